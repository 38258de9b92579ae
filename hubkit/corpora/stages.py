"""The stages of a build, each a function of the folder: what one process does of it, or one of many on a cluster."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from hubkit.corpora import overlap
from hubkit.corpora.hashing import rows_sha256, type_name
from hubkit.corpora.job import Advance, Job
from hubkit.corpora.manifest import MANIFEST, Manifest, ShardRecord, SourceRecord, SplitRecord
from hubkit.corpora.plan import read_plan
from hubkit.corpora.shards import record_path
from hubkit.corpora.statistics import Statistics
from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.provenance import code_version

STAGES = ("pieces", "join", "shards", "manifest")
"""What a build does, in order. Pieces and shards divide among processes, joining and the manifest are one's alone."""

FAILURES = "failures.jsonl"
"""The report of exceptions in a builder's code: a line each, with the row, the attempt and the traceback."""


def run_stage(folder: Path, stage: str, rank: int = 0, world: int = 1, advance: Advance = lambda done: None) -> None:
    """Do one process's share of a stage of the build in `folder`, begun by :func:`hubkit.corpora.build.begin`.

    What is done already is skipped, so that the same call can be repeated. The earlier stages must be complete.

    Args:
        folder: The corpus folder, on a disk that all processes see.
        stage: One of `STAGES`.
        rank: Which process this is, from 0; item *i* is the work of process *i* mod `world`.
        world: How many processes share the stage.
        advance: Called with the number of pieces or rows done.

    Raises:
        UserError: The folder holds no build under way, an earlier stage is not complete, or the spec can't be met.
        RuntimeError: The builder's code failed.
    """
    if (folder / MANIFEST).exists():
        return
    job = Job(folder, read_plan(folder))
    if stage == "pieces":
        for piece in job.pieces[rank::world]:
            if not (job.work / piece.path).is_dir():
                job(piece, advance)
    elif stage == "join" and rank == 0:
        job.join()
    elif stage == "shards":
        for shard in job.missing_shards(rank, world):
            job(shard, advance)
    elif stage == "manifest" and rank == 0:
        finish(job)
    elif stage not in STAGES:
        raise UserError(f"stage: {stage!r} is unknown (known: {', '.join(STAGES)})")


def finish(job: Job) -> Manifest:
    """Join the records of all shards into the manifest, and put the reports beside it.

    Raises:
        UserError: A shard is missing.
    """
    missing = job.missing_shards(thorough=False)
    if missing:
        raise UserError(f"{job.folder / missing[0].file} is missing; run the same build again")
    manifest = _manifest(job)
    for name, write in _reports(job).items():
        write(job.folder / name)
    manifest.write(job.folder)
    return manifest


def _manifest(job: Job) -> Manifest:
    builder, plan = job.builder, job.plan
    return Manifest(
        builder=builder.name,
        generator_version=plan.generator_version,
        config=plan.config,
        spec=builder.recorded.model_dump(mode="json"),
        spec_sha256=plan.spec_sha256,
        code=code_version() | plan.code,
        libraries=plan.libraries,
        numerics=plan.numerics,
        writer=job.writer,
        columns=[{"name": field.name, "type": type_name(field.type)} for field in builder.schema],
        summary=builder.summary,
        license=builder.license,
        origin=builder.origin,
        tokenizer=builder.tokenizer,
        sources=[SourceRecord(**source._asdict()) for source in builder.sources()],
        facts=builder.facts(),
        reports=sorted(_reports(job)),
        overlaps=_overlaps(job) if plan.overlap else [],
        splits={split: _split_record(job, split) for split in job.rows},
    )


def _records(job: Job, split: str) -> list[dict]:
    return [json.loads(record_path(job.folder, shard).read_bytes()) for shard in job.shards if shard.split == split]


def _split_record(job: Job, split: str) -> SplitRecord:
    records = _records(job, split)
    statistics = Statistics(job.builder.schema)
    for record in records:
        statistics.join(record["statistics"])
    return SplitRecord(
        rows=sum(record["shard"]["rows"] for record in records),
        rows_sha256=rows_sha256(bytes.fromhex(digest) for record in records for digest in record["digests"]),
        rejected=sum(record["rejected"] for record in records),
        failed=sum(len(record["failures"]) for record in records),
        statistics=statistics.summary(),
        shards=[ShardRecord(**record["shard"]) for record in records],
    )


def _overlaps(job: Job) -> "list[overlap.Overlap]":
    def sketches(split: str) -> list[Path]:
        return [overlap.sketch_path(job.folder, shard) for shard in job.shards if shard.split == split]

    found = overlap.report(job.builder.schema, {split: sketches(split) for split in job.rows if sketches(split)})
    return [found] if found else []


def _reports(job: Job) -> dict[str, Callable[[Path], object]]:
    """Return the files that go beside the manifest, by name, each with what writes it there."""
    reports: dict[str, Callable[[Path], object]] = {}
    for name, path in job.builder.reports().items():
        reports[name] = lambda to, path=path: shutil.copyfile(path, to)
    records = [record for split in job.rows for record in _records(job, split)]
    failures = [failure for record in records for failure in record["failures"]]
    if failures:
        lines = "".join(json.dumps(failure) + "\n" for failure in failures)
        reports[FAILURES] = lambda to: write_atomic(to, lines)
    return reports
