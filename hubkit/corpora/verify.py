"""Checks a corpus against its manifest, and where possible against the rows that its spec gives when made again.

Each shard gets a verdict. *regenerated*: its rows were made again from the spec, and are equal. *rederived*: the same,
from sources found by their sha256. *intact*: only the hashes of what is there could be checked, and the reason why.
*wrong*: what is there is not what the manifest says. Nothing that lies on a Hub is ever executed: a builder is one of
this installation's, or a file that the user names.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.executors import run_local
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest, blocks, rows_sha256, type_name
from hubkit.corpora.job import prepare
from hubkit.corpora.manifest import MANIFEST, Manifest, ShardRecord, read_manifest
from hubkit.corpora.registry import families, load, restore
from hubkit.corpora.shards import checked_blocks
from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.hub import resolve
from hubkit.hub_errors import explained
from hubkit.specs import canonical_json

Advance = Callable[[int], None]

VERDICTS = ("regenerated", "rederived", "intact", "wrong")
"""From the strongest to the failure."""


class Finding(NamedTuple):
    """What was found out about one shard, or about the manifest itself."""

    file: str
    verdict: str
    """One of `VERDICTS`."""
    reason: str
    """Why it is no better; empty if there is nothing to say."""
    digests: tuple[bytes, ...] = ()
    """Of its blocks, where its rows were read."""


class Part(NamedTuple):
    """One shard of a split."""

    split: str
    start: int
    record: ShardRecord


@dataclass
class Check:
    """Checks shards one by one; goes to worker processes."""

    folder: Path
    manifest: Manifest
    reference: str | None
    """The builder that makes the rows again; None if that can't be done."""
    reason: str
    """Why it can't."""
    spec: dict[str, Any] = field(default_factory=dict)
    prepared: Path = Path()

    @cached_property
    def builder(self) -> CorpusBuilder:
        """The builder, prepared."""
        assert self.reference is not None
        builder = restore(self.reference, self.spec)
        builder.prepared = self.prepared
        return builder

    def __call__(self, part: Part, advance: Advance) -> Finding:
        """Check one shard, which is here in full."""
        path, record = self.folder / part.record.file, part.record
        if not path.is_file():
            return Finding(record.file, "wrong", "it is missing")
        same_file = path.stat().st_size == record.bytes and file_sha256(path) == record.file_sha256
        try:
            if self.reference is None and same_file:
                advance(record.rows)
                return Finding(record.file, "intact", self.reason)
            stored = blocks(_batches(path))
            finding = self._intact(part, stored) if self.reference is None else self._regenerated(part, stored, advance)
        except (OSError, pa.ArrowException) as error:
            return Finding(record.file, "wrong", f"it is damaged: {' '.join(str(error).split())}")
        if finding.verdict != "wrong" and not same_file:
            remark = "its rows are the recorded ones, and its bytes are not: another writer made the file"
            return finding._replace(reason="; ".join(filter(None, (remark, finding.reason))))
        return finding

    def _intact(self, part: Part, stored: Iterator[pa.RecordBatch]) -> Finding:
        """Compare the rows of a file that is not the recorded one with their recorded hash."""
        digests = tuple(block_digest(block) for block in stored)
        if rows_sha256(digests) == part.record.rows_sha256:
            return Finding(part.record.file, "intact", self.reason, digests)
        return Finding(part.record.file, "wrong", "neither its bytes nor its rows are the recorded ones")

    def _regenerated(self, part: Part, stored: Iterator[pa.RecordBatch], advance: Advance) -> Finding:
        """Make the rows again and compare them one block after the other."""
        file, start, digests = part.record.file, part.start, list[bytes]()
        made = checked_blocks(self.builder, part.split, start, start + part.record.rows)
        for block, found in zip_longest(made, stored):
            at = start + len(digests) * BLOCK_ROWS
            if block is None or found is None:
                return Finding(file, "wrong", f"{'more' if block is None else 'fewer'} rows than {part.record.rows:,}")
            digest = block_digest(block.rows)
            if digest != block_digest(found):
                return Finding(file, "wrong", _first_difference(part.split, at, block.rows, found))
            digests.append(digest)
            advance(found.num_rows)
        if rows_sha256(digests) != part.record.rows_sha256:
            return Finding(
                file, "wrong", "its rows are those of the spec, and the manifest records another hash of them"
            )
        return Finding(file, "rederived" if self.manifest.sources else "regenerated", "", tuple(digests))


def _batches(path: Path) -> Iterator[pa.RecordBatch]:
    with pq.ParquetFile(path) as file:
        yield from file.iter_batches(batch_size=BLOCK_ROWS)


def _first_difference(split: str, start: int, made: pa.RecordBatch, found: pa.RecordBatch) -> str:
    """Say which row of a block is not the one that the spec gives, and in which column."""
    columns = [[(column.name, type_name(column.type)) for column in batch.schema] for batch in (made, found)]
    if columns[0] != columns[1]:
        return f"its columns are {columns[1]}, and those of the spec {columns[0]}"
    for row in range(min(made.num_rows, found.num_rows)):
        for name in made.schema.names:
            wanted, there = (batch.select([name]).slice(row, 1) for batch in (made, found))
            if block_digest(wanted) != block_digest(there):
                shown = [_shown(batch.column(0)[0].as_py()) for batch in (there, wanted)]
                return f"row {start + row} of {split} differs in {name}: {shown[0]} instead of {shown[1]}"
    return f"{found.num_rows} rows from row {start} of {split} on instead of {made.num_rows}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"


# --- what can be made again ------------------------------------------------------------------------------------------


def make_check(
    folder: Path, manifest: Manifest, builder_file: str | None, sources: Sequence[Path], work: Path
) -> Check:
    """Return the check of a corpus: one that makes its rows again if anything allows that.

    Args:
        folder: Where the shards are or will be.
        manifest: What they should be.
        builder_file: A file with the builder, if it is none that is installed.
        sources: Files and folders among which the sources may be, by whatever name.
        work: An empty folder for what is needed meanwhile.

    Raises:
        UserError: The builder's file is none.
    """
    reference = builder_file or manifest.builder
    if not builder_file and reference not in families():  # above all no file, which might have come with the manifest
        return Check(folder, manifest, None, f"no builder {reference!r} is installed here; give its file by --builder")
    family = load(reference)
    if family.version != manifest.generator_version:
        return Check(
            folder, manifest, None,
            f"generator version {manifest.generator_version} of {manifest.builder} made the rows, and here is "
            f"{family.version}; hubkit {manifest.code.get('hubkit')} has it",
        )  # fmt: skip
    try:
        spec = family.spec_type.build(manifest.spec, origin="the manifest's spec")
        if manifest.origin == "found" and not manifest.sources:
            raise UserError("the manifest names no source of its rows")
        if manifest.sources:
            linked = _linked(manifest, sources, work / "sources")
            spec = family.spec_type.build(
                spec.model_dump() | spec.located(linked, [source.name for source in manifest.sources]),
                origin="the manifest's spec",
            )
        builder = family(spec)
        numerics = builder.numerics()
        if numerics != manifest.numerics:
            raise UserError(f"the rows hang on {manifest.numerics}, and here is {numerics or 'none of that'}")
        (work / "preparation").mkdir(parents=True)
        prepare(builder, work / "preparation")
    except UserError as error:
        return Check(folder, manifest, None, str(error))
    return Check(folder, manifest, reference, "", spec.model_dump(mode="json"), builder.prepared)


def _linked(manifest: Manifest, places: Sequence[Path], folder: Path) -> Path:
    """Put links to all sources into a folder, under their recorded names.

    Raises:
        UserError: One is not there; the message says which.
    """
    wanted = {source.sha256: source for source in manifest.sources}
    sizes = {source.bytes for source in manifest.sources}
    for path in _files(places):
        source = wanted.get(file_sha256(path)) if path.stat().st_size in sizes else None
        if source is None:
            continue
        link = folder / source.name
        if not link.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"the manifest names a source {source.name!r}, which leads out of its folder")
        link.parent.mkdir(parents=True, exist_ok=True)
        if not link.is_symlink():
            link.symlink_to(path.resolve())
    missing = [source for source in manifest.sources if not (folder / source.name).is_symlink()]
    if missing:
        where = ", ".join(str(place) for place in places) or "nowhere: give --sources"
        raise UserError(
            f"{len(missing)} of {len(manifest.sources)} sources were not found ({missing[0].name}, sha256 "
            f"{missing[0].sha256[:16]}; looked in {where})"
        )
    return folder


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_dir():
            for folder, _, names in os.walk(place):
                yield from (Path(folder, name) for name in sorted(names) if Path(folder, name).is_file())
        elif place.is_file():
            yield place
        else:
            raise UserError(f"--sources {place} is not there")


# --- the whole -------------------------------------------------------------------------------------------------------


def parts(manifest: Manifest) -> list[Part]:
    """Return all shards of a corpus."""
    found = []
    for split, record in manifest.splits.items():
        start = 0
        for shard in record.shards:
            found.append(Part(split, start, shard))
            start += shard.rows
    return found


def chosen(manifest: Manifest, shards: int | None) -> list[Part]:
    """Return the shards to check in full: all, or so many of each split, spread evenly; its hash says which."""
    everything = parts(manifest)
    if shards is None:
        return everything
    kept = []
    for split, record in manifest.splits.items():
        own = [part for part in everything if part.split == split]
        count, first = min(shards, len(own)), int(record.rows_sha256[:8], 16)
        places = sorted((first + i * len(own) // count) % len(own) for i in range(count))
        kept += [own[place] for place in places]
    return kept


def manifest_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with a manifest in itself."""
    if hashlib.sha256(canonical_json(manifest.spec).encode()).hexdigest() != manifest.spec_sha256:
        yield Finding("corpus.json", "wrong", "its spec is not the one that spec_sha256 is of")
    for name, split in manifest.splits.items():
        rows = sum(shard.rows for shard in split.shards)
        if rows != split.rows:
            yield Finding("corpus.json", "wrong", f"{name} has {split.rows:,} rows, and its shards have {rows:,}")


def split_findings(manifest: Manifest, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield splits whose recorded hash is not that of their rows; known where all of their rows were read."""
    read = {finding.file: finding.digests for finding in findings if finding.digests}
    for name, split in manifest.splits.items():
        digests = [read.get(shard.file, ()) for shard in split.shards]
        if all(digests) and rows_sha256(digest for some in digests for digest in some) != split.rows_sha256:
            yield Finding("corpus.json", "wrong", f"rows_sha256 of {name} is not of its rows")


def weakest(findings: Iterable[Finding]) -> str:
    """Return the verdict on a whole: that of its weakest part."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index, default="intact")


def verify(
    folder: Path,
    shards: int | None = 1,
    *,
    builder_file: str | None = None,
    sources: Sequence[Path] = (),
    workers: int = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    elsewhere: Callable[[ShardRecord], Finding] | None = None,
) -> list[Finding]:
    """Check a corpus folder.

    Args:
        folder: With `corpus.json` and at least the shards that are :func:`chosen`.
        shards: How many of each split to make again; None is all of them. Of the others only the files are compared.
        builder_file: A file with the builder, if it is none that is installed.
        sources: Files and folders among which the sources may be, for rows that were read from outside.
        workers: Processes.
        progress: Hears of rows as they are checked.
        elsewhere: How to compare the files of shards that are not chosen, if they are not in the folder.

    Returns:
        A finding a shard, in the manifest's order, then those about the manifest itself.

    Raises:
        UserError: The folder has no readable manifest, or an argument is wrong.
    """
    if shards is not None and shards < 1:
        raise UserError(f"shards: {shards} is less than one; give a number or all")
    manifest = read_manifest(folder)
    full = chosen(manifest, shards)
    findings: dict[str, Finding] = {}
    with tempfile.TemporaryDirectory(prefix="hubkit-verify-") as work:
        check = make_check(folder, manifest, builder_file, sources, Path(work))
        done, total = 0, sum(part.record.rows for part in full)

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            progress("rows", done, total)

        run_local(check, full, workers, advance, lambda finding: findings.update({finding.file: finding}))
    unread = Check(folder, manifest, None, "only its file was compared; --shards all makes its rows again")
    for part in parts(manifest):
        if part.record.file not in findings:
            other = elsewhere(part.record) if elsewhere else unread(part, lambda rows: None)
            findings[part.record.file] = other
    ordered = [findings[part.record.file] for part in parts(manifest)]
    return [*ordered, *manifest_findings(manifest), *split_findings(manifest, ordered)]


def verify_repo(repo: str, revision: str | None, shards: int | None = 1, **options: Any) -> list[Finding]:
    """Check a corpus on the Hub: the chosen shards are downloaded, of the others the Hub's own sha256 is compared.

    Args:
        repo: ``owner/name`` of a dataset.
        revision: Tag, branch or commit; None is the newest.
        shards: As for :func:`verify`.
        **options: The others of :func:`verify`.

    Raises:
        UserError: The Hub has no such repository or revision, or it was not made by hubkit.
    """
    from huggingface_hub import HfApi, hf_hub_download, snapshot_download

    commit = resolve(repo, revision).revision
    with explained(repo):
        api = HfApi()
        if not api.file_exists(repo, MANIFEST, repo_type="dataset", revision=commit):
            raise UserError(
                f"{repo} has no {MANIFEST} at {commit[:12]}: hubkit did not publish it, so nothing is known"
            )
        path = hf_hub_download(repo, MANIFEST, repo_type="dataset", revision=commit)
        manifest = read_manifest(Path(path).parent)
        files = [part.record.file for part in chosen(manifest, shards)]
        there = {
            entry.path: entry
            for entry in api.get_paths_info(repo, _all_files(manifest), repo_type="dataset", revision=commit)
        }
        folder = Path(snapshot_download(repo, repo_type="dataset", revision=commit, allow_patterns=[MANIFEST, *files]))

    def elsewhere(record: ShardRecord) -> Finding:
        entry: Any = there.get(record.file)
        if entry is None:
            return Finding(record.file, "wrong", "it is missing")
        if entry.size != record.bytes or (entry.lfs and entry.lfs.sha256 != record.file_sha256):
            return Finding(record.file, "wrong", "its bytes are not the recorded ones")
        return Finding(
            record.file, "intact", "only its hash on the Hub was compared; --shards all makes its rows again"
        )

    return verify(folder, shards, elsewhere=elsewhere, **options)


def _all_files(manifest: Manifest) -> list[str]:
    return [part.record.file for part in parts(manifest)]
