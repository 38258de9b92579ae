"""Checks a corpus against its manifest, and where possible against the rows that its spec gives when made again.

Each shard gets a verdict. *regenerated*: its rows were made again from the spec, and are equal. *rederived*: the same,
from sources found by their sha256. *intact*: only the hashes of what is there could be checked, and the reason why.
*wrong*: what is there is not what the manifest says. Nothing that lies on a Hub is ever executed: a builder is one of
this installation's, or a file that the user names.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hubkit.cores import usable_cores
from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.checking import VERDICTS, Check, Finding, Part
from hubkit.corpora.executors import SMALL_BYTES, run_local
from hubkit.corpora.hashing import BLOCK_ROWS, rows_sha256
from hubkit.corpora.layout import Shard
from hubkit.corpora.manifest import MANIFEST, Manifest, ShardRecord, read_manifest
from hubkit.corpora.remaking import make_check
from hubkit.errors import UserError
from hubkit.specs import canonical_json

UNREAD = "--shards all makes its rows again"


class Elsewhere(NamedTuple):
    """Shards that are not in the folder, as their server describes them."""

    compare: Callable[[ShardRecord], Finding]
    """Compares one with what the manifest says of it."""
    files: Sequence[str]
    """All files in `data`, named or not."""


def verify(
    folder: Path,
    shards: int | None = 1,
    *,
    builder_file: str | None = None,
    sources: Sequence[Path] = (),
    workers: int | None = 1,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    elsewhere: Elsewhere | None = None,
    family: type[CorpusBuilder] | None = None,
) -> list[Finding]:
    """Check a corpus folder.

    Args:
        folder: With `corpus.json` and at least the shards that are :func:`chosen`.
        shards: How many of each split to make again; None is all of them. Of the others only the files are compared.
        builder_file: A file with the builder, if it is none that is installed.
        sources: Files and folders among which the sources may be, for rows that were read from outside.
        workers: Processes; None is one a core where there is enough to do for several.
        progress: Hears of rows as they are checked.
        elsewhere: Where the shards are that are not chosen, if not in the folder.
        family: The builder itself, if it is in no file; for one worker.

    Returns:
        A finding a shard, in the manifest's order, then those about files that are no shards and the manifest itself.

    Raises:
        UserError: The folder has no readable manifest, or an argument is wrong.
    """
    if shards is not None and shards < 1:
        raise UserError(f"shards: {shards} is less than one; give a number or all")
    if workers is not None and workers < 1:
        raise UserError(f"workers: {workers} is less than one")
    manifest = read_manifest(folder)
    full = chosen(manifest, shards)
    if workers is None:
        workers = usable_cores() if sum(part.record.bytes for part in full) >= SMALL_BYTES else 1
    findings: dict[str, Finding] = {}
    with tempfile.TemporaryDirectory(prefix="hubkit-verify-") as work:
        check = make_check(folder, manifest, builder_file, sources, Path(work).resolve(), family)
        done, total = 0, sum(part.record.rows for part in full)

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            progress("rows", done, total)

        run_local(check, full, workers, advance, lambda finding: findings.update({finding.file: finding}))
    why = check.reason if manifest.origin == "files" else f"only its file was compared; {UNREAD}"
    unread = Check(folder, manifest, None, why)
    for part in parts(manifest):
        if part.record.file not in findings:
            other = elsewhere.compare(part.record) if elsewhere else unread(part, lambda rows: None)
            findings[part.record.file] = other
    ordered = [findings[part.record.file] for part in parts(manifest)]
    there = elsewhere.files if elsewhere else _data_files(folder)
    about = (foreign_findings(manifest, there), manifest_findings(manifest), spec_findings(check))
    everything = [*ordered, *(finding for some in about for finding in some), *split_findings(manifest, ordered)]
    return [finding._replace(reason=_printable(finding.reason)) for finding in everything]


def weakest(findings: Iterable[Finding]) -> str:
    """Return the verdict on a whole: that of its weakest part."""
    return max((finding.verdict for finding in findings), key=VERDICTS.index)


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


# --- what is wrong with the whole ------------------------------------------------------------------------------------


def foreign_findings(manifest: Manifest, files: Iterable[str]) -> Iterator[Finding]:
    """Yield files that lie among the shards, where `datasets` would read them too, and that the manifest lacks."""
    if manifest.origin == "files":  # the card names the files of each split, and others may lie beside them
        return
    named = {part.record.file for part in parts(manifest)}
    for file in sorted(set(files) - named):
        yield Finding(_printable(file), "wrong", f"it is not in {MANIFEST}")


def manifest_findings(manifest: Manifest) -> Iterator[Finding]:
    """Yield what is wrong with a manifest in itself."""
    made = manifest.spec is not None
    if made and hashlib.sha256(canonical_json(manifest.spec).encode()).hexdigest() != manifest.spec_sha256:
        yield Finding(MANIFEST, "wrong", "its spec is not the one that spec_sha256 is of")
    for name, split in manifest.splits.items():
        rows = sum(shard.rows for shard in split.shards)
        if rows != split.rows:
            yield Finding(MANIFEST, "wrong", f"{name} has {split.rows:,} rows, and its shards have {rows:,}")
        count = len(split.shards)
        wanted = [Shard(name, index, count, 0, 0).file for index in range(count)]
        if made and [shard.file for shard in split.shards] != wanted:
            yield Finding(MANIFEST, "wrong", f"the shards of {name} are not named as its shards are, in order")


def spec_findings(check: Check) -> Iterator[Finding]:
    """Yield what the manifest says otherwise than its spec, where the builder is here and can be asked."""
    if check.rows is not None:
        here = {name: split.rows for name, split in check.manifest.splits.items()}
        for name in dict.fromkeys([*here, *check.rows]):
            if here.get(name, 0) != check.rows.get(name, 0):
                gives = f"{check.rows.get(name, 0):,} rows of {name}, and there are {here.get(name, 0):,}"
                yield Finding(MANIFEST, "wrong", f"its spec gives {gives}")
    if check.columns not in (None, check.manifest.columns):
        yield Finding(MANIFEST, "wrong", f"its columns are {check.manifest.columns}, and of the spec {check.columns}")


def split_findings(manifest: Manifest, findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield splits whose recorded hash is not that of their rows; known where all of their rows were read."""
    read = {finding.file: finding.digests for finding in findings if finding.digests}
    for name, split in manifest.splits.items():
        digests = [read.get(shard.file, ()) for shard in split.shards]
        aligned = all(shard.rows % BLOCK_ROWS == 0 for shard in split.shards[:-1])
        if aligned and all(digests) and rows_sha256(digest for some in digests for digest in some) != split.rows_sha256:
            yield Finding(MANIFEST, "wrong", f"rows_sha256 of {name} is not of its rows")


def _data_files(folder: Path) -> list[str]:
    found = (path for path in (folder / "data").rglob("*") if path.is_file() and not path.name.startswith("."))
    return [path.relative_to(folder).as_posix() for path in found]


def _printable(text: str) -> str:
    """Return a text that may quote a manifest, without what would steer a terminal."""
    return "".join(letter if letter.isprintable() or letter == "\n" else repr(letter)[1:-1] for letter in text)
