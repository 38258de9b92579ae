"""kill -9: the command with its workers, and the command alone. The same command then finishes with the same rows."""

import json
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from hubkit.corpora.build import build
from hubkit.corpora.hashing import rows_sha256_of_parquet
from hubkit.corpora.layout import WORK
from hubkit.corpora.manifest import read_manifest
from hubkit.corpora.registry import find

SHARDS = 7  # of walks-small, with a block in each
MOMENTS = 2
PAUSE = "0.1"


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, walks):
    """The hashes of the rows that no kill may change, for each shard and split."""
    manifest = build(find(str(walks)), tmp_path_factory.mktemp("undisturbed") / "corpus", workers=1, shard_rows=1024)
    return row_hashes(manifest)


def row_hashes(manifest) -> dict[str, object]:
    """Return what `corpus.json` says of the rows."""
    return {
        name: (split.rows_sha256, split.rejected, [shard.rows_sha256 for shard in split.shards])
        for name, split in manifest.splits.items()
    }


def hit(command, folder: Path, walks: Path, moment: random.Random, *, everyone: bool) -> bool:
    """Run a build into a folder and kill it at a moment: after some more shards, and a little later than that.

    Returns:
        Whether it was hit, and had not finished before.
    """
    finished = len(records(folder))
    target = finished + moment.randrange(max(1, SHARDS - finished))
    killed = command(*arguments(folder, walks), WALKS_PAUSE=PAUSE)
    killed.wait_until(lambda: len(records(folder)) >= target or killed.process.poll() is not None)
    with suppress(subprocess.TimeoutExpired):
        killed.process.wait(timeout=moment.uniform(0, 1 if target == 0 else 0.1))
    if killed.process.poll() is None:
        killed.signal(signal.SIGKILL, everyone=everyone)
        killed.process.wait()
    killed.all_gone()
    return killed.process.returncode == -signal.SIGKILL


def arguments(folder: Path, walks: Path) -> tuple[object, ...]:
    return "build", walks, "-o", folder, "--shard-rows", "1024", "--workers", "2"


def records(folder: Path) -> list[Path]:
    return list((folder / WORK).glob("t*.json"))


def finish(command, folder: Path, walks: Path) -> None:
    again = command(*arguments(folder, walks))
    assert again.finish() == 0, again.stderr
    manifest = read_manifest(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["corpus.json", "data"]
    named = sorted(Path(shard.file).name for split in manifest.splits.values() for shard in split.shards)
    assert sorted(path.name for path in (folder / "data").iterdir()) == named, "no leftovers"
    for split in manifest.splits.values():
        assert rows_sha256_of_parquet([folder / shard.file for shard in split.shards]) == split.rows_sha256


@pytest.mark.parametrize("seed", range(MOMENTS))
def test_a_killed_build_is_finished_by_the_same_command(command, tmp_path, walks, undisturbed, seed):
    """Killed with its workers, begun again, killed without them, and begun again."""
    folder, moment = tmp_path / "corpus", random.Random(seed)
    for everyone in (True, False):
        hit(command, folder, walks, moment, everyone=everyone)
        for path in folder.glob("data/t*.parquet"):
            assert path.read_bytes()[-4:] == b"PAR1", "what has its name is whole"
    finish(command, folder, walks)
    assert row_hashes(read_manifest(folder)) == undisturbed


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_a_hundred_kills(command, tmp_path, walks, undisturbed):
    """Each corpus is hit up to five times, at moments that the seed draws, before it may finish."""
    kills, moment = 0, random.Random(100)
    while kills < 100:
        folder = tmp_path / f"corpus-{kills}"
        for _ in range(5):
            if not hit(command, folder, walks, moment, everyone=moment.random() < 0.5):
                break
            kills += 1
        finish(command, folder, walks)
        assert row_hashes(read_manifest(folder)) == undisturbed


def test_workers_end_with_their_parent(command, tmp_path, walks):
    """Not by finishing: each would be busy for ten minutes."""
    build = command(*arguments(tmp_path / "corpus", walks), WALKS_PAUSE="600")
    build.wait_until(lambda: list(tmp_path.glob("corpus/data/.*.tmp")))
    assert len(build.alive()) >= 3
    build.signal(signal.SIGKILL, everyone=False)
    build.process.wait()
    build.all_gone()
    assert json.loads((tmp_path / "corpus" / WORK / "plan.json").read_text())["spec_sha256"]
