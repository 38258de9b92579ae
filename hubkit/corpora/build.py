"""From a corpus to a folder of Parquet: sharded, parallel, resumable, with the manifest last."""

import errno
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hubkit.cores import usable_cores
from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.executors import run_local
from hubkit.corpora.hashing import rows_sha256, type_name
from hubkit.corpora.layout import ROW_GROUP_BYTES, SHARD_BYTES, Shard, shard_plan, whole_blocks
from hubkit.corpora.manifest import MANIFEST, Manifest, ShardRecord, SplitRecord, read_manifest
from hubkit.corpora.registry import Corpus, code_of
from hubkit.corpora.shards import WORK, TextStatistics, check_schema, finished_record, record_path
from hubkit.errors import UserError
from hubkit.files import sweep_temporary, write_atomic
from hubkit.provenance import code_version, library_versions

SMALL_BYTES = 32 << 20
"""A corpus with less than this is made by one process sooner than others have started."""

Progress = Callable[[str, int, int], None]
"""Called with what is being done, rows done and rows in all."""


def build(
    corpus: Corpus,
    folder: Path,
    workers: int | None = None,
    shard_rows: int | None = None,
    progress: Progress = lambda what, done, total: None,
) -> Manifest:
    """Make a corpus, or finish one that was begun in the same folder.

    Args:
        corpus: What to make.
        folder: Where; empty, absent, or an unfinished or finished build of the same spec.
        workers: Processes (default: the cores this process may use, and one for a small corpus). The rows do not
            depend on it.
        shard_rows: Rows a shard, in whole blocks (default: about 256 MB of rows). The rows do not depend on it.
        progress: Hears of rows as they are made.

    Returns:
        The manifest, which is also in the folder. A finished build of the same spec is left alone.

    Raises:
        UserError: The folder holds something else, is in use, can't be written, or the disk is full.
    """
    if workers is not None and workers < 1:
        raise UserError(f"workers: {workers} is less than one")
    check_schema(corpus.builder.schema)
    plan = _plan(corpus.builder, shard_rows)
    shards = shard_plan(corpus.builder.spec.splits, plan["writer"]["shard_rows"])
    try:
        if not (folder / MANIFEST).exists():
            _claim(folder)
            with FileLock(folder / WORK / "lock", timeout=0):
                if not (folder / MANIFEST).exists():  # or else another process finished it a moment ago
                    _same_plan(folder, plan)
                    with _swept(folder):
                        _make(corpus, folder, shards, plan["writer"], workers or _workers(corpus.builder), progress)
                        _manifest(corpus, folder, shards, plan).write(folder)
        manifest = _finished(folder, plan, shard_rows)
        shutil.rmtree(folder / WORK, ignore_errors=True)
    except Timeout:
        raise UserError(f"{folder} is being built by another process; wait for it or choose another folder") from None
    except OSError as error:
        raise _explain(error, folder) from error
    return manifest


def _plan(builder: CorpusBuilder, shard_rows: int | None) -> dict[str, Any]:
    """Return what must be equal for a build to be continued: the spec, the generator, what they rest on, the writer."""
    return {
        "spec_sha256": builder.spec.sha256,
        "generator_version": builder.version,
        "libraries": library_versions(builder.libraries),
        "numerics": builder.numerics(),
        "writer": {
            "compression": "zstd",
            "compression_level": 1,
            "shard_rows": whole_blocks(SHARD_BYTES, builder.row_bytes) if shard_rows is None else shard_rows,
            "row_group_rows": whole_blocks(ROW_GROUP_BYTES, builder.row_bytes),
            "page_index": True,
            "content_defined_chunking": True,
        },
    }


def _workers(builder: CorpusBuilder) -> int:
    small = sum(builder.spec.splits.values()) * builder.row_bytes < SMALL_BYTES
    return 1 if small else usable_cores()


def _finished(folder: Path, plan: dict[str, Any], shard_rows: int | None) -> Manifest:
    """Return the manifest of a finished build if it is of the same plan."""
    manifest = read_manifest(folder)
    made = {"spec_sha256": manifest.spec_sha256, "generator_version": manifest.generator_version}
    for field, value in made.items():
        if value != plan[field]:
            raise UserError(
                f"{folder} holds a build of another spec ({manifest.config or manifest.builder}, {field} "
                f"{value[:12]} instead of {plan[field][:12]}); choose another folder or delete that one"
            )
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


def _claim(folder: Path) -> None:
    """Make the working folder, unless something that is no build is there."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file; a folder is needed")
    if folder.is_dir() and not (folder / WORK).is_dir():
        foreign = next((path.name for path in sorted(folder.iterdir())), None)
        if foreign:
            raise UserError(f"{folder} is not empty and not a build (it holds {foreign}); choose another folder")
    (folder / WORK).mkdir(parents=True, exist_ok=True)


def _same_plan(folder: Path, plan: dict[str, Any]) -> None:
    """Record the plan of a new build, or check that an unfinished one has the same."""
    path = folder / WORK / "plan.json"
    if not path.exists():
        write_atomic(path, json.dumps(plan))
        return
    try:
        begun = json.loads(path.read_bytes())
    except ValueError:
        begun = None
    if not isinstance(begun, dict) or begun.keys() != plan.keys():
        raise UserError(f"{path} is damaged; delete {folder} and build again")
    if begun["spec_sha256"] != plan["spec_sha256"] or begun["generator_version"] != plan["generator_version"]:
        raise UserError(f"{folder} holds an unfinished build of another spec; choose another folder or delete that one")
    for group in ("writer", "libraries", "numerics"):
        for field in sorted(begun[group].keys() | plan[group].keys()):
            then, now = begun[group].get(field), plan[group].get(field)
            if then != now:
                raise UserError(
                    f"{folder} was begun with {field} {then} and would go on with {now}; go on as it was begun, "
                    "or delete it and build again"
                )


def _make(
    corpus: Corpus, folder: Path, shards: list[Shard], writer: dict[str, Any], workers: int, progress: Progress
) -> None:
    """Make the shards that no earlier run has finished."""
    total = sum(shard.stop - shard.start for shard in shards)
    todo = [shard for shard in shards if finished_record(folder, shard) is None]
    done = total - sum(shard.stop - shard.start for shard in todo)
    progress("rows", done, total)

    def advance(rows: int) -> None:
        nonlocal done
        done += rows
        progress("rows", done, total)

    run_local(corpus.builder, corpus.reference, todo, folder, writer, workers, advance)


def _manifest(corpus: Corpus, folder: Path, shards: list[Shard], plan: dict[str, Any]) -> Manifest:
    """Join the records of all shards."""
    builder = corpus.builder
    return Manifest(
        builder=builder.name,
        generator_version=plan["generator_version"],
        config=corpus.config,
        spec=builder.spec.model_dump(mode="json"),
        spec_sha256=plan["spec_sha256"],
        code=code_version() | code_of(corpus.reference),
        libraries=plan["libraries"],
        numerics=plan["numerics"],
        writer=plan["writer"],
        columns=[{"name": field.name, "type": type_name(field.type)} for field in builder.schema],
        summary=builder.summary,
        license=builder.license,
        tokenizer=builder.tokenizer,
        splits={
            split: _split_record(builder, folder, [shard for shard in shards if shard.split == split])
            for split in builder.spec.splits
        },
    )


def _split_record(builder: CorpusBuilder, folder: Path, shards: list[Shard]) -> SplitRecord:
    records = []
    statistics = TextStatistics(builder.schema)
    for shard in shards:
        record = json.loads(record_path(folder, shard).read_bytes())
        statistics.join(record["characters"])
        records.append(record)
    return SplitRecord(
        rows=sum(record["shard"]["rows"] for record in records),
        rows_sha256=rows_sha256(bytes.fromhex(digest) for record in records for digest in record["digests"]),
        rejected=sum(record["rejected"] for record in records),
        statistics=statistics.summary(),
        shards=[ShardRecord(**record["shard"]) for record in records],
    )


@contextmanager
def _swept(folder: Path) -> Iterator[None]:
    """Remove what killed runs left half-written, and afterwards what killed workers did."""
    places = (folder, folder / "data", folder / WORK)
    for place in places:
        sweep_temporary(place)
    try:
        yield
    finally:
        for place in places:
            sweep_temporary(place)


def _explain(error: OSError, folder: Path) -> UserError:
    """Turn a failure of the file system into one line with its mend."""
    again = "run the same command: finished shards are kept"
    # Arrow tells a full disk by its message alone.
    if error.errno in (errno.ENOSPC, errno.EDQUOT) or "No space left" in str(error):
        return UserError(f"the disk of {folder} is full; free some space and {again}")
    refused = error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
    mend = "choose a folder that you may write to" if refused else f"mend that and {again}"
    return UserError(f"can't write to {folder}: {error.strerror or error}; {mend}")
