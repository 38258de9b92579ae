"""From a corpus to a folder of Parquet: sharded, parallel, resumable, with the manifest last."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from hubkit.cores import usable_cores
from hubkit.corpora.builder import MAX_FAILURES, CorpusBuilder, full_disk
from hubkit.corpora.cluster.queue import check_no_jobs
from hubkit.corpora.executors import SMALL_BYTES, WorkerLost, Workers
from hubkit.corpora.job import Job
from hubkit.corpora.layout import LOCK, WORK, shard_plan
from hubkit.corpora.manifest import MANIFEST, Manifest, read_manifest
from hubkit.corpora.plan import Plan, make_plan, settle_plan
from hubkit.corpora.registry import Corpus
from hubkit.corpora.shards import check_schema
from hubkit.corpora.stages import finish
from hubkit.errors import UserError
from hubkit.files import sweep_temporary

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much of it is done, and how much there is in all."""


def build(
    corpus: Corpus,
    folder: Path,
    workers: int | None = None,
    shard_rows: int | None = None,
    progress: Progress = lambda what, done, total: None,
    overlap: bool = True,
    max_failures: int = MAX_FAILURES,
) -> Manifest:
    """Make a corpus, or finish one that was begun in the same folder.

    Args:
        corpus: What to make.
        folder: Where; empty, absent, or an unfinished or finished build of the same spec.
        workers: Processes (default: the cores this process may use, and one for a small corpus). The rows do not
            depend on it.
        shard_rows: Rows a shard, in whole blocks (default: about 256 MB of rows). The rows do not depend on it.
        progress: Hears of pieces and rows as they are made.
        overlap: Compare the rows of the splits, for the card.
        max_failures: How many exceptions in the builder's own code to bear; each row is drawn again and reported.

    Returns:
        The manifest, which is also in the folder. A finished build of the same spec is left alone.

    Raises:
        UserError: The folder holds something else or what other sources gave, is in use or being built by Slurm, can't
            be written, or the disk is full.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers: {workers} is less than one")
    with _explained(folder):
        plan = begin(corpus, folder, shard_rows, overlap, max_failures)
        if not (folder / MANIFEST).exists():
            with FileLock(folder / WORK / LOCK, timeout=0):
                if not (folder / MANIFEST).exists():  # or else another process finished it a moment ago
                    check_no_jobs(folder)
                    with _swept(folder):
                        _make(Job(folder, plan, corpus.builder), workers, progress)
        manifest = _finished(folder, plan)
        _check_sources(folder, manifest, corpus.builder)
        shutil.rmtree(folder / WORK, ignore_errors=True)
    return manifest


def begin(
    corpus: Corpus,
    folder: Path,
    shard_rows: int | None = None,
    overlap: bool = True,
    max_failures: int = MAX_FAILURES,
) -> Plan:
    """Claim a folder for a build and write down its plan, or find the same plan there.

    Afterwards :func:`hubkit.corpora.stages.run_stage` does the work, in this process or in others. In a finished build
    nothing is changed.

    Raises:
        UserError: The folder holds something else or another build, or the corpus can't be written to Parquet.
    """
    check_schema(corpus.builder.schema)
    if shard_rows is not None:
        shard_plan({}, shard_rows)
    plan = make_plan(corpus, shard_rows, overlap, max_failures)
    with _explained(folder):
        if not (folder / MANIFEST).exists():
            _claim(folder)
            with FileLock(folder / WORK / LOCK, timeout=0):
                if not (folder / MANIFEST).exists():
                    settle_plan(folder, plan)
    return plan


def _make(job: Job, workers: int | None, progress: Progress) -> None:
    """Do what no earlier run has done."""

    def follow(what: str, done: int, total: int) -> Callable[[int], None]:
        progress(what, done, total)

        def advance(more: int) -> None:
            nonlocal done
            done += more
            progress(what, done, total)

        return advance

    with Workers(job, workers or usable_cores()) as processes:
        pieces, total = job.missing_pieces(), len(job.pieces)
        try:
            if pieces:
                processes.run(pieces, follow("sources", total - len(pieces), total))
            job.join()
        except WorkerLost:
            raise
        except UserError:
            _forget(job)
            raise
        shards, total = job.missing_shards(), sum(job.rows.values())
        left = sum(shard.stop - shard.start for shard in shards)
        large = total * job.builder.row_bytes >= SMALL_BYTES
        processes.run(shards, follow("rows", total - left, total), worth_starting=large or workers is not None)
    finish(job)


def _forget(job: Job) -> None:
    """Leave the folder as if nothing had begun: whoever mends the spec or the sources will want another preparation."""
    for path in job.work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != LOCK:
            path.unlink()


def _finished(folder: Path, plan: Plan) -> Manifest:
    """Return the manifest of a finished build if it is of the same plan."""
    manifest = read_manifest(folder)
    for field in ("spec_sha256", "generator_version"):
        made, wanted = getattr(manifest, field), getattr(plan, field)
        if made != wanted:
            raise UserError(
                f"{folder} holds a build of another spec ({manifest.config or manifest.builder}, {field} "
                f"{made[:12]} instead of {wanted[:12]}); choose another folder or delete that one"
            )
    for field, wanted in plan.code.items():
        if manifest.code.get(field) != wanted:
            raise UserError(
                f"{folder} was built by other code of {plan.reference} ({field} {str(manifest.code.get(field))[:20]} "
                f"instead of {wanted[:20]}); choose another folder, or delete that one and build again"
            )
    shard_rows = plan.writer["shard_rows"]
    if shard_rows not in (None, manifest.writer["shard_rows"]):
        raise UserError(
            f"{folder} is finished with shard_rows={manifest.writer['shard_rows']}, not {shard_rows}; "
            "choose another folder"
        )
    for split in manifest.splits.values():
        for shard in split.shards:
            path = folder / shard.file
            if not path.is_file() or path.stat().st_size != shard.bytes:
                raise UserError(f"{path} is missing or not as long as {MANIFEST} says; delete {folder} and build again")
    return manifest


def _check_sources(folder: Path, manifest: Manifest, builder: CorpusBuilder) -> None:
    """Refuse to take a finished build for one of sources that have changed since, as far as their sizes tell."""
    then, now = {source.name: source.bytes for source in manifest.sources}, builder.sizes()
    for name in sorted(then.keys() & now.keys()):
        if then[name] != now[name]:
            raise UserError(
                f"{folder} was built when {name} had {then[name]:,} bytes, and now it has {now[name]:,}; choose "
                "another folder, or delete that one and build again"
            )


def _claim(folder: Path) -> None:
    """Make the working folder, unless something that is no build is there."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; a folder is needed")
    if folder.is_dir() and not (folder / WORK).is_dir():
        foreign = next((path.name for path in sorted(folder.iterdir())), None)
        if foreign:
            raise UserError(f"{folder} is not empty and not a build (it holds {foreign}); choose another folder")
    (folder / WORK).mkdir(parents=True, exist_ok=True)


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Remove what killed runs left half-written, and afterwards what killed workers did."""
    places = (folder, folder / "data", folder / WORK, folder / WORK / "pieces")
    for place in places:
        sweep_temporary(place)
    try:
        yield
    finally:
        for place in places:
            sweep_temporary(place)


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turn a folder in use or a failure of the file system into one line with its mend."""
    try:
        yield
    except Timeout:
        raise UserError(f"{folder} is being built by another process; wait for it or choose another folder") from None
    except OSError as error:
        raise _explain(error, folder) from error


def _explain(error: OSError, folder: Path) -> UserError:
    """Turn a failure of the file system into one line with its mend."""
    again = "run the same command: finished shards are kept"
    if full_disk(error):
        return UserError(f"the disk of {folder} is full; free some space and {again}")
    refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    mend = "choose a folder that you may write to" if refused else f"mend that and {again}"
    return UserError(f"can't write to {folder}: {error.strerror or error}; {mend}")
