"""What goes wrong while a corpus is prepared: one line, nothing half-written, and the same command goes on."""

import json
import shutil
import signal
from pathlib import Path

import pytest

from hubkit.corpora.build import build
from hubkit.corpora.builder import full_disk
from hubkit.corpora.layout import WORK
from hubkit.corpora.registry import find
from hubkit.errors import UserError

from .folders import content

MORTAL = Path(__file__).parent / "data" / "mortal.py"
INTERRUPTED = "hubkit: interrupted; the same command continues or starts over, nothing is lost\n"


@pytest.fixture(scope="module")
def mortal(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mortal") / "corpus"
    build(find(str(MORTAL)), folder, workers=1)
    return folder


def left(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder / WORK).as_posix() for path in (folder / WORK / "pieces").iterdir())


@pytest.mark.parametrize(("stage", "workers", "finished"), [("piece-1", 1, ["pieces/00000"]), ("join", 2, None)])
def test_an_interrupt_leaves_nothing_half_written(command, tmp_path, mortal, stage, workers, finished):
    arguments = "build", MORTAL, "-o", "corpus", "--workers", workers
    run = command(*arguments, MORTAL_STUCK=stage)
    run.wait_until(lambda: list(tmp_path.glob(f"corpus/{WORK}/**/.*.tmp/half")))
    run.signal(signal.SIGINT, everyone=True)
    assert run.finish() == 130
    run.all_gone()
    assert run.stderr == INTERRUPTED
    assert not (tmp_path / "corpus" / WORK / "prepared").exists()
    assert left(tmp_path / "corpus") == (finished or ["pieces/00000", "pieces/00001"])
    assert command(*arguments).finish() == 0
    assert content(tmp_path / "corpus") == content(mortal)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_in_a_preparation_says_where_and_keeps_its_traceback(tmp_path, monkeypatch, mortal, workers):
    monkeypatch.setenv("MORTAL_BREAKS", "bug")
    with pytest.raises(RuntimeError, match="mortal failed on piece piece-1: KeyError: 'no such thing'"):
        build(find(str(MORTAL)), tmp_path / "corpus", workers=workers)
    assert left(tmp_path / "corpus") in ([], ["pieces/00000"])
    monkeypatch.delenv("MORTAL_BREAKS")
    build(find(str(MORTAL)), tmp_path / "corpus", workers=workers)
    assert content(tmp_path / "corpus") == content(mortal)


@pytest.mark.parametrize("how", ["disk", "numpy"])
def test_a_disk_that_fills_up_during_the_preparation(disk, monkeypatch, mortal, how):
    folder = disk("size=4m") / "corpus"
    monkeypatch.setenv("MORTAL_BREAKS", how)
    with pytest.raises(UserError, match=r"the disk of .* is full; free some space and run the same command"):
        build(find(str(MORTAL)), folder, workers=1)
    assert left(folder) == ["pieces/00000"]
    monkeypatch.delenv("MORTAL_BREAKS")
    build(find(str(MORTAL)), folder, workers=1)
    assert content(folder) == content(mortal)


def test_a_disk_that_is_full_when_a_sketch_is_written(tmp_path, corpus, monkeypatch):
    def full(file, array):
        raise OSError("4096 requested and 100 written")

    monkeypatch.setattr("hubkit.corpora.overlap.np.save", full)
    with pytest.raises(UserError, match=r"the disk of .* is full"):
        build(corpus(), tmp_path / "corpus", workers=1)


def test_sources_that_may_only_be_read(disk, tmp_path):
    """Nothing is written beside them."""
    folder = disk("size=1m")
    (folder / "a.jsonl").write_text("".join(json.dumps({"text": f"text {number}"}) + "\n" for number in range(100)))
    disk("ro")
    manifest = build(find("text", [f"files=[{folder}/a.jsonl]", "shares={train: 1}"]), tmp_path / "corpus", workers=1)
    assert manifest.rows == 100
    shutil.rmtree(tmp_path / "corpus")


@pytest.mark.parametrize(
    "said",
    [
        "4096 requested and 100 written",
        "[Errno 28] No space left on device",
        "Not enough free space to write 9 bytes after offset 0",
    ],
)
def test_a_full_disk_is_known_by_its_message_where_it_has_no_number(said):
    assert full_disk(OSError(said))
    assert not full_disk(OSError("something else"))


def test_a_preparation_that_is_refused_leaves_the_folder_free(tmp_path):
    """For another spec, or for the same one once its sources are mended, of which nothing old may be kept."""
    lines = ['{"text": "a good line"}\n'] * 20
    source = tmp_path / "x.jsonl"
    source.write_text("".join([*lines, "bad\n", "worse\n"]))
    files = f"files=[{source}]"
    with pytest.raises(UserError, match="max_bad: 2 of 22 records are bad"):
        build(find("text", [files, "max_bad=1", "max_bad_share=0"]), tmp_path / "corpus", workers=1)
    assert not (tmp_path / "corpus" / WORK / "pieces").exists()
    source.write_text("".join([*lines, "bad\n"]))
    manifest = build(find("text", [files, "max_bad=1", "max_bad_share=0"]), tmp_path / "corpus", workers=1)
    assert manifest.facts["quarantined"] == {"not JSON": 1}
    with pytest.raises(UserError, match="max_bad: 1 of 21"):
        build(find("text", [files, "max_bad=0", "max_bad_share=0"]), tmp_path / "other", workers=1)
    assert build(find("text", [files]), tmp_path / "other", workers=1).facts["quarantined"] == {"not JSON": 1}
