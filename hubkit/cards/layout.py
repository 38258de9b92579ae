"""Which files of a dataset its card names, split by split, and how many rows they hold."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubkit.cards.once import once

if TYPE_CHECKING:
    import pyarrow as pa

    from hubkit.cards.card import Card

MOST_FOOTERS = 100
"""Footers that are read over a network; with more files than that, rows and columns stay unchecked."""

_DATA = re.compile(r".*\.(parquet|arrow|csv|tsv|jsonl?|ndjson|txt|tar|h5|lance|vortex)(\.(gz|zst|bz2|xz))?")
_NOT_DATA = re.compile(
    r"(.*/)?(README\.md|config\.json|dataset_infos?\.json|dataset_dict\.json|corpus\.json|croissant\.json|run\.json|"
    r"release\.json|requirements\.txt|LICENSE(\.txt)?|\.[^/]*)|\..*"
)
_SHARDED = re.compile(r"data/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*")
_MAGIC = re.compile(r"[*?\[]")
_FAR = re.compile(r"[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True)
class Pattern:
    """One entry of `data_files`."""

    line: int
    split: str
    pattern: str
    files: tuple[str, ...]
    """The files of the repository that it matches."""

    @property
    def is_far(self) -> bool:
        """Tell whether it names files elsewhere."""
        return _FAR.match(self.pattern) is not None


@dataclass(frozen=True)
class Config:
    """A configuration: `load_dataset`'s second argument."""

    name: str
    line: int
    patterns: tuple[Pattern, ...]

    @property
    def splits(self) -> dict[str, list[str]]:
        """The files of each split, in order."""
        found: dict[str, list[str]] = {}
        for pattern in self.patterns:
            files = found.setdefault(pattern.split, [])
            files += [file for file in pattern.files if file not in files]
        return found

    @property
    def is_far(self) -> bool:
        """Tell whether some of its files are elsewhere."""
        return any(pattern.is_far for pattern in self.patterns)


@once
def data_files(card: "Card") -> list[str]:
    """Return the files of a repository that look like data."""
    return [path for path in card.files.sizes if _DATA.fullmatch(path) and not _NOT_DATA.fullmatch(path)]


@once
def configs(card: "Card") -> list[Config]:
    """Return the configurations that a card lists and that are well formed.

    Without any, `load_dataset` looks for names such as ``data/train-00000-of-00004.parquet``: so do we.
    """
    listed = card.fields.get("configs")
    if isinstance(listed, list):
        return [_config(card, i, entry) for i, entry in enumerate(listed) if isinstance(entry, dict)]
    shards = [(match.group(1), path) for path in data_files(card) if (match := _SHARDED.fullmatch(path))]
    if not shards:
        return []
    line = card.front.line()
    splits = dict.fromkeys(split for split, _ in shards)
    patterns = (
        Pattern(line, split, f"data/{split}-*", tuple(path for own, path in shards if own == split)) for split in splits
    )
    return [Config("default", line, tuple(patterns))]


def _config(card: "Card", index: int, entry: dict[str, Any]) -> Config:
    name = entry.get("config_name")
    patterns = tuple(_patterns(card, ("configs", index, "data_files"), entry))
    return Config(name if isinstance(name, str) else f"number {index + 1}", card.front.line("configs", index), patterns)


def _patterns(card: "Card", path: tuple[str | int, ...], entry: dict[str, Any]) -> Iterator[Pattern]:
    """Yield the patterns of one configuration, whichever of its three spellings `data_files` has."""
    value, folder = entry.get("data_files"), entry.get("data_dir")
    prefix = f"{str(folder).strip('./')}/" if folder else ""
    if value is None and prefix:
        yield _pattern(card, path[:-1], "train", f"{prefix}**")
    entries = value if isinstance(value, list) else [] if value is None else [value]
    for i, item in enumerate(entries):
        where = (*path, i) if isinstance(value, list) else path
        if isinstance(item, str):
            yield _pattern(card, where, "train", prefix + item)
        elif isinstance(item, dict):
            split, globs = str(item.get("split", "train")), item.get("path")
            for j, glob in enumerate(globs if isinstance(globs, list) else [globs]):
                if isinstance(glob, str):
                    spot = (*where, "path", j) if isinstance(globs, list) else (*where, "path")
                    yield _pattern(card, spot, split, prefix + glob)


def _pattern(card: "Card", path: tuple[str | int, ...], split: str, pattern: str) -> Pattern:
    return Pattern(card.front.line(*path), split, pattern, tuple(matching(pattern, card.files.sizes)))


def matching(pattern: str, paths: Collection[str]) -> list[str]:
    """Return the paths that a pattern of `data_files` matches: ``*`` stays in its folder, ``**`` does not."""
    from fsspec.utils import glob_translate

    pattern = pattern.removeprefix("./")
    magic = _MAGIC.search(pattern)
    if magic is None:
        return [pattern] if pattern in paths else []
    start, expression = pattern[: magic.start()], re.compile(glob_translate(pattern))
    likely = [path for path in paths if path.startswith(start)]
    return [path for path in likely if expression.match(path) and not _NOT_DATA.fullmatch(path)]


def rows(card: "Card", files: list[str]) -> int | None:
    """Return the rows of some files, or None where they can't be counted."""
    counts = [count(card, file) for file in files]
    return None if None in counts else sum(filter(None, counts))


def count(card: "Card", file: str) -> int | None:
    """Return the rows of a file, or None where that would mean to read all of it over a network or to guess."""
    if file.endswith(".parquet"):
        footer = footers(card).get(file)
        return footer[0] if footer else None
    if card.files.far or not file.endswith((".jsonl", ".ndjson")):
        return None
    with card.files.open(file) as stream:
        return sum(bool(line.strip()) for line in stream)


def schema(card: "Card", file: str) -> "pa.Schema | None":
    """Return the columns of a Parquet file."""
    footer = footers(card).get(file)
    return footer[1] if footer else None


@once
def footers(card: "Card") -> dict[str, "tuple[int, pa.Schema]"]:
    """Return rows and columns of the Parquet files that the configurations name."""
    named = {file: None for config in configs(card) for files in config.splits.values() for file in files}
    wanted = [file for file in named if file.endswith(".parquet")]
    if card.files.far and len(wanted) > MOST_FOOTERS:
        card.unchecked.append(f"rows and columns of {len(wanted):,} Parquet files (more than {MOST_FOOTERS})")
        return {}
    return {file: footer for file in wanted if (footer := _footer(card, file))}


def _footer(card: "Card", file: str) -> "tuple[int, pa.Schema] | None":
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with card.files.open(file) as stream:
            footer = pq.read_metadata(stream)
            return footer.num_rows, footer.schema.to_arrow_schema()
    except pa.ArrowException:
        card.unchecked.append(f"{file}, which is not a Parquet file")
        return None
