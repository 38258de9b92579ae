"""`hubkit list` and `hubkit build` as a user types them: what goes where, exit statuses, and refusals in one line."""

import json
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from hubkit.cli import output
from hubkit.corpora.manifest import read_manifest

HUBKIT = Path(sys.executable).parent / "hubkit"
WALKS = Path(__file__).parent.parent / "corpora" / "data" / "walks.py"


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the command line in an empty folder."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(HUBKIT), *(str(argument) for argument in arguments)]
        environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)

    return run


# --- list ------------------------------------------------------------------------------------------------------------


def test_list_shows_builders_configs_tokenizers_and_recipes(run):
    done = run("list")
    assert done.returncode == 0
    sections = re.split(r"^(\w+)$", done.stdout, flags=re.MULTILINE)
    shown = dict(zip(sections[1::2], sections[2::2], strict=True))
    assert list(shown) == ["builders", "configs", "tokenizers", "recipes"]
    assert re.search(r"^  lorenz +version 1$", shown["builders"], re.MULTILINE)
    tiny = r"^  lorenz-tiny +lorenz +train 16,000, validation 2,000, test 2,000$"
    assert re.search(tiny, shown["configs"], re.MULTILINE)
    assert "\n  lorenz\n" in shown["tokenizers"]
    assert "lorenz-tiny" in shown["recipes"]
    assert done.stderr == "next: hubkit build CONFIG -o FOLDER\n"


def test_list_as_json_is_all_there_is_on_stdout(run):
    done = run("list", "--json")
    assert done.returncode == 0
    listed = json.loads(done.stdout)
    assert list(listed) == ["builders", "configs", "tokenizers", "recipes"]
    assert listed["builders"]["lorenz"] == {"version": "1"}
    assert listed["configs"]["lorenz-tiny"]["splits"] == {"train": 16_000, "validation": 2_000, "test": 2_000}
    assert "lorenz" in listed["tokenizers"]


def test_a_reader_that_has_seen_enough_ends_the_command_in_silence():
    with subprocess.Popen([HUBKIT, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        said = process.stderr.read()
    assert (process.returncode, said) == (141, "")


# --- build -----------------------------------------------------------------------------------------------------------


def test_build_prints_a_table_and_the_next_command(run, tmp_path):
    done = run("build", WALKS, "-o", "out", "--workers", "1", "--set", "steps=5", "--set", "splits.train=2000")
    assert done.returncode == 0, done.stderr
    manifest = read_manifest(tmp_path / "out")
    train, test = done.stdout.splitlines()
    sha256 = manifest.splits["train"].rows_sha256
    assert re.fullmatch(rf"train +2,000 rows +0\.\d MB +\d+ redrawn +rows {sha256[:16]}", train)
    assert re.fullmatch(r"test +1,500 rows .*", test)
    assert done.stderr.splitlines() == [
        f"out: spec {manifest.spec_sha256[:16]}, 3,500 rows, 0.0 MB",
        "next: hubkit publish out ORG/walks --dry-run",
    ]
    assert manifest.spec["steps"] == 5


def test_build_as_json_prints_the_manifest_and_again_what_is_there(run, tmp_path):
    for _ in range(2):
        done = run("build", f"{WALKS}:walks-small", "--out", "out", "--limit", "1000", "--shard-rows", "1024", "--json")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == json.loads((tmp_path / "out" / "corpus.json").read_text())
    assert read_manifest(tmp_path / "out").rows == 2000


def test_build_from_a_spec_file(run, tmp_path):
    (tmp_path / "mine.yaml").write_text("config: lorenz-tiny\nnum_steps: 4\nsplits: {train: 20}\n")
    done = run("build", "mine.yaml", "-o", "out", "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("train                20 rows")
    assert read_manifest(tmp_path / "out").spec["num_steps"] == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["lorenz-tinny"],
            r"config: 'lorenz-tinny' is unknown \(known: .*lorenz-tiny.*; or a \.yaml spec, or a \.py builder\)",
        ),
        ([WALKS, "--set", "stepz=3"], r".*walks\.py: stepz is not a field \(known: builder, seed, splits, steps\)"),
        ([WALKS, "--set", "steps"], r"override 'steps' is not of the form key=value .*"),
        ([WALKS, "--set", "steps=0"], r".*walks\.py: steps: Input should be greater than or equal to 1 \(got 0\)"),
        (["lorenz-tiny", "--set", "max_sys=9"], r"lorenz-tiny: max_sys: .* less than or equal to 5 \(got 9\)"),
        (
            ["lorenz-xsmall", "--set", "max_dim=3"],
            r"lorenz-xsmall: max_dim=3 leaves no dimension .*; set max_dim to 4 or more",
        ),
        ([WALKS, "--limit", "0"], r"limit: 0 rows is less than one"),
        ([WALKS, "--workers", "0"], r"workers: 0 is less than one"),
        ([WALKS, "--shard-rows", "0"], r"shard_rows: 0 is not a positive multiple of 1024, the rows of a block"),
        ([WALKS, "--shard-rows", "1000"], r"shard_rows: 1000 is not a positive multiple of 1024, the rows of a block"),
        (["mine.py"], r"builder file mine\.py does not exist"),
        (["mine.yaml"], r"can't read mine\.yaml: No such file or directory"),
    ],
)
def test_build_refuses_in_one_line_and_leaves_nothing(run, tmp_path, arguments, message):
    done = run("build", *arguments, "-o", "out")
    assert done.returncode == 1
    assert done.stdout == ""
    assert re.fullmatch(f"hubkit: {message}\n", done.stderr), done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["build", "lorenz-tiny"], "Missing option '--out'"),
        (["build", "-o", "out"], "Missing argument"),
        (["build", "lorenz-tiny", "-o", "out", "--wokers", "2"], "No such option: --wokers"),
        (["build", "lorenz-tiny", "-o", "out", "--workers", "two"], "Invalid value for '--workers'"),
        (["bild"], "No such command 'bild'"),
    ],
)
def test_what_is_typed_wrong_is_explained(run, arguments, message):
    done = run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_and_version_are_results(run):
    done = run("build", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(option in done.stdout for option in ("--out", "--set", "--workers", "--limit", "--shard-rows", "--json"))
    done = run("--version")
    assert re.fullmatch(r"hubkit \d+\.\d+\.\d+\n", done.stdout)


# --- progress --------------------------------------------------------------------------------------------------------


def test_progress_in_a_log_is_a_line_now_and_then(capsys, monkeypatch):
    clock = iter([0.0, 10.0, 29.0, 31.0, 31.0, 40.0, 61.5, 61.5])
    monkeypatch.setattr(output.time, "monotonic", lambda: next(clock))
    with output.progress_bar("rows") as update:
        for done in (100, 200, 3100, 4000, 6200):
            update("train", done, 10_000)
    captured = capsys.readouterr()
    assert captured.err == "train: 3,100 of 10,000 rows\ntrain: 6,200 of 10,000 rows\n"
    assert captured.out == ""


def test_progress_on_a_terminal_is_a_bar(tmp_path):
    ours, theirs = pty.openpty()
    command = [HUBKIT, "build", WALKS, "-o", "out", "--workers", "1", "--shard-rows", "1024"]
    environment = os.environ | {"WALKS_PAUSE": "0.1", "TERM": "xterm", "COLUMNS": "100"}
    with (tmp_path / "stdout").open("w") as stdout:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=stdout, stderr=theirs)
    os.close(theirs)
    drawn = b""
    with suppress(OSError):  # how Linux says that the other end is closed
        while part := os.read(ours, 1 << 16):
            drawn += part
    os.close(ours)
    assert process.wait() == 0
    assert "/6500" in drawn.decode()
    assert "next: hubkit publish" in drawn.decode()
    assert (tmp_path / "stdout").read_text().startswith("train"), "and nothing of it on stdout"
