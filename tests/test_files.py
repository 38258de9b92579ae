"""Writing that survives a crash: whatever happens, a name holds the old content or the new, never a part."""

import hashlib
import signal
import subprocess
import sys

import pytest

from hubkit import files
from hubkit.files import atomic_path, file_sha256, sweep_temporary, write_atomic

WRITER = """
import sys, time
from pathlib import Path
from hubkit.files import atomic_path
with atomic_path(Path(sys.argv[1])) as temporary:
    with temporary.open("wb") as file:
        file.write(b"new" * 1000)
        file.flush()
        print("half-way", flush=True)
        time.sleep(60)
"""


def names(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_content_is_replaced_in_one_step(tmp_path):
    path = tmp_path / "deep" / "er" / "file.txt"
    write_atomic(path, "old é")
    with atomic_path(path) as temporary:
        temporary.write_text("new")
        assert path.read_text(encoding="utf-8") == "old é"
        assert temporary.parent == path.parent, "a rename is atomic on one file system only"
    assert path.read_text() == "new"
    write_atomic(path, b"\0\xff")
    assert path.read_bytes() == b"\0\xff"
    assert names(path.parent) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
@pytest.mark.parametrize("written", [True, False])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error, written):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(error), atomic_path(path) as temporary:
        if written:
            temporary.write_text("half of the ne")
        raise error
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_a_failed_sync_leaves_the_old_file(tmp_path, monkeypatch):
    """A disk may say only at the sync that it is full."""
    path = tmp_path / "file"
    path.write_text("old")

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_atomic(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == ["file"]


def test_content_is_synced_before_it_gets_its_name_and_the_name_after(tmp_path, monkeypatch):
    events = []
    monkeypatch.setattr(files, "_sync", lambda path: events.append(("sync", path.name)))
    monkeypatch.setattr(files.Path, "replace", lambda self, target: events.append(("rename", target.name)))
    write_atomic(tmp_path / "file", "new")
    (first, synced), *rest = events
    assert (first, synced.startswith(".file.")) == ("sync", True)
    assert rest == [("rename", "file"), ("sync", tmp_path.name)]


def test_a_writer_that_is_killed_leaves_the_old_file(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "half-way\n"
        writer.send_signal(signal.SIGKILL)
    assert writer.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    assert names(tmp_path) == [f".file.{writer.pid}.tmp", "file"]
    sweep_temporary(tmp_path)
    assert names(tmp_path) == ["file"]


def test_two_writers_of_one_file_do_not_meet(tmp_path, monkeypatch):
    path = tmp_path / "file"
    with atomic_path(path) as first:
        monkeypatch.setattr(files.os, "getpid", lambda: 1)
        with atomic_path(path) as second:
            assert first != second
            first.write_text("first")
            second.write_text("second")
        assert path.read_text() == "second"
    assert path.read_text() == "first"


def test_sweeping_takes_only_what_atomic_path_leaves(tmp_path):
    kept = ["file.tmp", ".file.tmp", ".hidden", "a.1.tmp", ".tmp", ".file.12x.tmp"]
    for name in (*kept, ".file.12.tmp", ".train-00000-of-00002.parquet.7.tmp"):
        (tmp_path / name).touch()
    sweep_temporary(tmp_path)
    assert names(tmp_path) == sorted(kept)
    sweep_temporary(tmp_path / "nowhere")


def test_the_hash_of_a_file_is_that_of_its_bytes(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert file_sha256(tmp_path / "file") == hashlib.sha256(content).hexdigest()
    (tmp_path / "empty").touch()
    assert file_sha256(tmp_path / "empty") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
