"""What can be made again of a corpus that somebody else made: its builder, found here, and its sources, found by hash.

A manifest that comes from a Hub is taken for hostile. Its builder is one of this installation's or a file that the user
names, and while its spec is tried out, nothing is read but sources that the user names: what else a spec leads to on
this machine, or on another, is refused before it is looked at.
"""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import chdir
from pathlib import Path, PurePosixPath
from typing import Any

from hubkit.corpora.builder import CorpusBuilder, blamed
from hubkit.corpora.checking import Check
from hubkit.corpora.hashing import type_name
from hubkit.corpora.job import prepare
from hubkit.corpora.manifest import Manifest, SourceRecord
from hubkit.corpora.registry import families, load
from hubkit.errors import UserError
from hubkit.files import file_sha256

FUNCTION = "function"
"""What corpora of plain functions say for their builder; see :mod:`hubkit.corpora.functions`."""

_LONGEST_NAME = 255
"""Bytes that a part of a path may have."""


def make_check(
    folder: Path,
    manifest: Manifest,
    builder_file: str | None,
    sources: Sequence[Path],
    work: Path,
    family: type[CorpusBuilder] | None = None,
) -> Check:
    """Return the check of a corpus: one that makes its rows again if anything allows that.

    Args:
        folder: Where the shards are or will be.
        manifest: What they should be.
        builder_file: A file with the builder, if it is none that is installed.
        sources: Files and folders among which the sources may be, by whatever name.
        work: An empty folder for what is needed meanwhile, absolute.
        family: The builder itself, if it is in no file; the check then stays in this process.

    Raises:
        UserError: The builder's file is none, or a place of the sources is not there.
    """
    missing = next((place for place in sources if not place.exists()), None)
    if missing is not None:
        raise UserError(f"sources: {missing} is not there; check the path")
    if manifest.builder is None:
        return Check(folder, manifest, None, "as it was published; hubkit did not make its rows")
    reference = builder_file or manifest.builder
    if (
        not builder_file and not family and reference not in families()
    ):  # above all no file, which might have come with the manifest
        mend = "hubkit.verify_rows takes the function" if reference == FUNCTION else "give its file by --builder"
        return Check(folder, manifest, None, f"no builder {reference!r} is installed here; {mend}")
    given, family = family, family or load(reference)
    if family.version != manifest.generator_version:
        return Check(
            folder, manifest, None,
            f"generator version {manifest.generator_version} of {manifest.builder} made the rows, and here is "
            f"{family.version}; hubkit {manifest.code.get('hubkit')} has it",
        )  # fmt: skip
    places = [place.absolute() for place in sources]
    (work / "preparation").mkdir(parents=True)
    try:
        with blamed(family, "as it was prepared"), chdir(work / "preparation"):  # relative paths lead nowhere from here
            builder = _prepared(family, manifest, places, work)
            rows = {split: count for split, count in builder.rows.items() if count}
            columns = [{"name": field.name, "type": type_name(field.type)} for field in builder.schema]
    except (UserError, RuntimeError) as error:
        return Check(folder, manifest, None, str(error))
    except OSError as error:  # a full disk; `blamed` lets nothing else through
        raise UserError(f"can't write to {work}: {error.strerror}; free some space, or set TMPDIR") from None
    spec = builder.spec.model_dump(mode="json")
    return Check(folder, manifest, reference, "", spec, builder.prepared, rows, columns, given)


def _prepared(family: type[CorpusBuilder], manifest: Manifest, places: Sequence[Path], work: Path) -> CorpusBuilder:
    """Return the builder of a manifest's spec, ready to make its rows.

    Raises:
        UserError: They can't be made again here; the message says why.
    """
    if manifest.origin == "found" and not manifest.sources:
        raise UserError("the manifest names no source of its rows")
    assert manifest.spec is not None
    if not manifest.sources:
        _refuse_outside(manifest.spec)
    spec = family.spec_type.build(manifest.spec, origin="the manifest's spec")
    if manifest.sources:
        linked = _linked(manifest.sources, places, work / "sources")
        located = spec.located(linked, [source.name for source in manifest.sources])
        _refuse_outside({name: value for name, value in manifest.spec.items() if name not in located})
        _refuse_outside(located, linked)
        spec = family.spec_type.build(spec.model_dump() | located, origin="the manifest's spec")
    builder = family(spec)
    numerics = builder.numerics()
    if numerics != manifest.numerics:
        raise UserError(f"the rows hang on {manifest.numerics}, and here is {numerics or 'none of that'}")
    prepare(builder, work / "preparation")
    return builder


def _refuse_outside(values: Any, inside: Path | None = None) -> None:
    """Refuse fields that lead to a place on this machine, or to an address, other than below a folder.

    Raises:
        UserError: Names what leads there.
    """
    if isinstance(values, Mapping):
        for value in values.values():
            _refuse_outside(value, inside)
    elif isinstance(values, Sequence) and not isinstance(values, str):
        for value in values:
            _refuse_outside(value, inside)
    elif isinstance(values, str) and _leads(values) and not (inside and _is_inside(values, inside)):
        raise UserError(f"the manifest's spec leads to {values!r}, and nothing is read but what --sources names")


def _leads(text: str) -> bool:
    """Tell whether a text may be the name of a place that does not depend on the current folder."""
    return (len(text) > 1 and text[0] in "/~") or "://" in text or _climbs(text)


def _is_inside(path: str, folder: Path) -> bool:
    return not _climbs(path) and Path(path).is_relative_to(folder)


def _climbs(path: str) -> bool:
    return ".." in path.split("/")


def _linked(wanted: Sequence[SourceRecord], places: Iterable[Path], folder: Path) -> Path:
    """Put links to all sources into a folder, under their recorded names.

    Raises:
        UserError: One is not there; the message says which. Or a name is none for a file in a folder.
    """
    for source in wanted:
        if not _is_plain(source.name):
            raise UserError(f"the manifest names a source {source.name!r}, which leads out of its folder")
    sizes, found = {source.bytes for source in wanted}, dict[str, Path]()
    for path in _files(places):
        if path.stat().st_size in sizes:
            found.setdefault(file_sha256(path), path)
    missing = [source for source in wanted if source.sha256 not in found]
    if missing:
        where = ", ".join(str(place) for place in places) or "nowhere: give --sources"
        raise UserError(
            f"{len(missing)} of {len(wanted)} sources were not found ({missing[0].name}, sha256 "
            f"{missing[0].sha256[:16]}; looked in {where})"
        )
    for source in wanted:
        link = folder / source.name
        try:
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(found[source.sha256].resolve())
        except OSError as error:  # one name twice, or one below the other
            raise UserError(
                f"the manifest names a source {source.name!r} that can't lie beside the others: {error.strerror}"
            ) from None
    return folder


def _is_plain(name: str) -> bool:
    """Tell whether a name is that of a file somewhere below a folder."""
    path = PurePosixPath(name)
    fits = all(len(part.encode()) <= _LONGEST_NAME for part in path.parts)
    return bool(path.parts) and fits and name.isprintable() and not path.is_absolute() and not _climbs(name)


def _files(places: Iterable[Path]) -> Iterator[Path]:
    for place in places:
        if place.is_file():
            yield place
        for folder, _, names in os.walk(place):
            yield from (Path(folder, name) for name in sorted(names) if Path(folder, name).is_file())
