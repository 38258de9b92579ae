"""What changed between two revisions of a dataset: manifests come first, and of the rows what they don't say."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.corpus import MANIFEST
from hubkit.publishing.diff_files import Part, parts_of_files, parts_of_manifest
from hubkit.publishing.diff_readers import open_rows
from hubkit.publishing.diff_rows import Side, SplitDiff, compare_split, unchanged
from hubkit.publishing.diff_sides import Fields, Pair, Revision, each, put
from hubkit.publishing.frontmatter import parse, split
from hubkit.publishing.sources import CARD

_QUESTIONS = 8
"""Files that are asked for their rows at a time."""


def compare_datasets(pair: Pair, fields: Fields, examples: int) -> tuple[SplitDiff, ...]:
    """Return what became of each split; of the data only files that differ are downloaded.

    Args:
        pair: The two revisions.
        fields: Takes up what differs of spec, columns, and how the rows were made.
        examples: Rows of each kind to read, at most.

    Raises:
        UserError: Rows have a format that can't be compared.
    """
    manifests = pair.json(MANIFEST)
    put(fields, "spec", *each(manifests, lambda manifest: manifest["spec"]))
    put(fields, "made by", *each(manifests, _made))
    sides = [_parts(pair, side, manifest) for side, manifest in zip(pair.both, manifests, strict=True)]
    equal = _equal_splits(*manifests)
    found, columns = [], ({}, {})
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        if name in equal:
            found.append(unchanged(name, equal[name]))
            continue
        _count_rows(pair, sides, name)
        opened = [
            Side(parts.get(name, []), partial(_open, pair, side)) for parts, side in zip(sides, pair.both, strict=True)
        ]
        found.append(compare_split(name, opened[0], opened[1], examples))
        if all(side.read for side in opened):
            for seen, side in zip(columns, opened, strict=True):
                seen.update(side.columns())
    schemas = [_schema(manifest) or seen for manifest, seen in zip(manifests, columns, strict=True)]
    put(fields, "columns", *schemas)
    return tuple(found)


def _equal_splits(old: Any, new: Any) -> dict[str, int]:
    """Return the splits, with their rows, that two manifests give the same hash: nothing of them has to be read."""
    was, now = each(
        (old, new), lambda manifest: {name: split["rows_sha256"] for name, split in manifest["splits"].items()}
    )
    return {name: new["splits"][name]["rows"] for name, known in (was or {}).items() if (now or {}).get(name) == known}


def _made(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: manifest.get(name) for name in ("builder", "generator_version", "code", "libraries", "writer")}


def _schema(manifest: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(column["name"]): str(column["type"]) for column in (manifest or {}).get("columns") or ()}


def _parts(pair: Pair, side: Revision, manifest: Mapping[str, Any] | None) -> dict[str, list[Part]]:
    """Return the files of each split of one side."""
    if manifest is not None:
        try:
            return parts_of_manifest(manifest)
        except (KeyError, TypeError):
            pass  # somebody else's file of that name
    try:
        card = parse(split(pair.text(CARD, side))[1])
    except UserError:
        card = {}
    return parts_of_files(side.files, card)


def _count_rows(pair: Pair, sides: list[dict[str, list[Part]]], name: str) -> None:
    """Ask the footers of Parquet files for their rows where nothing else tells them, so that fewer are downloaded."""
    old, new = (side.get(name, []) for side in sides)
    same = {part.path for part in old} & {part.path for part in new} if old != new else set()
    for parts, revision in zip((old, new), pair.both, strict=True):
        wanted = [at for at, part in enumerate(parts) if part.rows is None and _is_footed(part, same)]
        with ThreadPoolExecutor(_QUESTIONS) as pool:
            rows = pool.map(lambda at, parts=parts, side=revision: _footer_rows(pair, side, parts[at].path), wanted)
            for at, count in zip(wanted, list(rows), strict=True):
                parts[at] = replace(parts[at], rows=count)


def _is_footed(part: Part, same: set[str]) -> bool:
    return part.path in same and part.path.endswith(".parquet")


def _footer_rows(pair: Pair, side: Revision, path: str) -> int:
    """Return the rows of a Parquet file on the Hub, of which only the footer is read."""
    import pyarrow.parquet as pq
    from huggingface_hub import HfFileSystem

    repository = pair.repository
    system = HfFileSystem(endpoint=repository.api.endpoint, token=repository.api.token)
    with system.open(f"datasets/{repository.name}@{side.commit}/{path}") as stream:
        return pq.read_metadata(stream).num_rows


def _open(pair: Pair, side: Revision, part: Part) -> Any:
    return open_rows(pair.fetch(part.path, side), part.path)
