"""What the README shows is true."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def test_tree_names_every_file_with_its_own_first_words():
    if not (ROOT / ".git").exists():
        pytest.skip("not a git checkout")
    command = [sys.executable, ROOT / "scripts" / "readme_tree.py", "--check"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_commands_of_the_step_by_step_part_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    verbs = {line.split("#")[0].split()[1] for line in text.splitlines() if line.startswith("hubkit ")}
    helped = subprocess.run([sys.executable, "-m", "hubkit", "--help"], capture_output=True, text=True, cwd=ROOT).stdout
    assert verbs and all(verb in helped for verb in verbs)


def test_example_builder_of_contributing_builds(tmp_path):
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    code = text.partition("```python\n")[2].partition("```")[0]
    (tmp_path / "coins.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "hubkit", "build", str(tmp_path / "coins.py"), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    import pyarrow.parquet as pq

    rows = pq.read_table(tmp_path / "out" / "data" / "train-00000-of-00001.parquet").to_pylist()
    assert len(rows) == 1000 and all(set(row["text"]) <= set("HT") and len(row["text"]) == 10 for row in rows)
