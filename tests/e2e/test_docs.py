"""The pages in docs/ are true: their commands are typed into a shell, and their outputs come."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hubkit.server import process
from tests.warm import warm

DOCS = Path(__file__).parents[2] / "docs"


def commands(page: str) -> list[tuple[str, list[str]]]:
    """Return each command of a page, and the lines of output that are shown below it."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```console\n(.*?)^```", page, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def pattern(line: str) -> re.Pattern:
    return re.compile(".*".join(re.escape(part) for part in line.split("…")))


def missing(shown: list[str], output: str) -> str | None:
    """Return the first shown line that does not come in the output, in its order; None if all do."""
    lines = iter(output.splitlines())
    return next((line for line in shown if not any(pattern(line).fullmatch(said.strip()) for said in lines)), None)


def test_a_shown_line_that_does_not_come_is_found():
    assert missing(["a …", "b"], "a 1\nx\nb\n") is None
    assert missing(["b", "a …"], "a 1\nx\nb\n") == "a …"
    assert commands("```console\n$ one\nout\n$ two\n```\n") == [("one", ["out"]), ("two", [])]


def check(command: str, shown: list[str], work: Path, environment: dict[str, str]) -> None:
    """Type a command into a shell; it must end well and say what is shown."""
    done = subprocess.run(
        ["bash", "-c", command], cwd=work, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stderr}"
    lost = missing(shown, done.stdout)
    assert lost is None, f"{command} does not say {lost!r}:\n{done.stdout}\n{done.stderr}"


@pytest.mark.slow
@pytest.mark.parametrize("page", [path.name for path in sorted(DOCS.glob("*.md"))])
def test_a_page_is_true(page, tmp_path):
    root = tmp_path / "hub"
    process.start(root, port=0)
    bin = Path(sys.executable).parent
    environment = {**os.environ, **process.client_environment(root)}
    work = tmp_path / "work"
    work.mkdir()
    try:
        with warm(tmp_path / "warm", environment) as first:
            environment["PATH"] = os.pathsep.join([str(first), str(bin), os.environ["PATH"]])
            failed = subprocess.run(["bash", "-c", "hubkit nothing"], env=environment, capture_output=True)
            assert failed.returncode == 2, "that a command failed is heard of"
            for command, shown in commands((DOCS / page).read_text(encoding="utf-8")):
                check(command, shown, work, environment)
    finally:
        process.stop(root)
