"""Which files of somebody's folder are which split of which config: as `datasets` finds them, and in its words."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.corpora.row_files import RowFile
from hubkit.errors import UserError
from hubkit.publishing import frontmatter
from hubkit.publishing.sources import CARD, check_inside

DEFAULT = "default"
"""The config that a dataset has where nobody names another."""

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".json")
"""What files of rows may end in, the last three also with a compression behind it."""

_COMPRESSED = re.compile(r"\.(?:gz|zst|zstd|xz|bz2)$", re.IGNORECASE)
_CONVERT = "make Parquet of it: load_dataset({module!r}, data_files=…, split=…).to_parquet('data/train.parquet')"
_SPLIT = re.compile(r"\w+(\.\w+)*")
_CONFIG = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Config:
    """One config: its name and the files of each of its splits, in order."""

    name: str
    splits: Mapping[str, Sequence[RowFile]]
    entry: Mapping[str, Any]
    """What stands under `configs:` in the card."""

    def key(self, split: str) -> str:
        """Return what a manifest calls a split of this config."""
        return split if self.name == DEFAULT else f"{self.name}/{split}"


def holds_rows(folder: Path) -> bool:
    """Tell whether a folder has a card that names rows, or any file that looks like some."""
    if card_fields(folder).get("configs"):
        return True
    names = (path.name for path in folder.rglob("*") if not path.name.startswith(".") and path.is_file())
    return any(_bare(name).endswith((*SUFFIXES, ".csv", ".tsv", ".arrow")) for name in names if name not in _NO_ROWS)


_NO_ROWS = {
    "config.json", "corpus.json", "croissant.json", "dataset_dict.json", "dataset_info.json", "dataset_infos.json",
    "release.json", "run.json", "space.json", "state.json", "tokenizer.json",
}  # fmt: skip


def find_configs(folder: Path, ours: Iterable[Mapping[str, Any]] = ()) -> list[Config]:
    """Return the configs of a folder: those that its README.md names, else one, by the names of files and folders.

    Args:
        folder: The folder.
        ours: Entries that hubkit itself wrote into the README for other files; they are not taken for a person's.

    Raises:
        UserError: There are no rows, or some in a format that is not known here, or the README names what is not there.
    """
    wrote = list(ours)
    entries = [entry for entry in card_fields(folder).get("configs") or () if entry not in wrote]
    if not entries:
        return [_found(folder)]
    configs = [_named(folder, entry) for entry in entries]
    names = [config.name for config in configs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(f"{CARD}: configs: {twice[0]!r} stands there twice: take one out")
    return configs


def card_fields(folder: Path) -> dict[str, Any]:
    """Return the front matter of a folder's README, empty where there is none.

    Raises:
        UserError: It is no YAML.
    """
    card = folder / CARD
    if not card.is_file():
        return {}
    check_inside(folder, card)
    return frontmatter.parse(frontmatter.split(card.read_text(encoding="utf-8", errors="replace"))[1])


def _found(folder: Path) -> Config:
    """Return the one config of files whose names tell their split."""
    from datasets.data_files import EmptyDatasetError, get_data_patterns

    base = folder.resolve()
    try:
        patterns = get_data_patterns(base.as_posix())
    except EmptyDatasetError:
        raise _nothing(folder) from None
    splits = _resolved(folder, base, patterns, DEFAULT)
    return Config(DEFAULT, splits, default_entry({split: [f.name for f in files] for split, files in splits.items()}))


def default_entry(splits: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    """Return what the card says under `configs:` of the only config there is, given the files of its splits."""
    every = [name for files in splits.values() for name in files]
    paths = [{"split": split, "path": _pattern(files, every)} for split, files in splits.items()]
    return {"config_name": DEFAULT, "data_files": paths, "default": True}


def _named(folder: Path, entry: Any) -> Config:
    """Return a config as a person describes it in the README."""
    from datasets.data_files import EmptyDatasetError, get_data_patterns, sanitize_patterns

    name = entry.get("config_name") if isinstance(entry, Mapping) else None
    if not isinstance(name, str) or not _CONFIG.fullmatch(name):
        raise UserError(f"{CARD}: configs: {name!r} is no config_name: give each entry one, of letters, digits, . _ -")
    base = folder.resolve() / str(entry.get("data_dir") or "")
    check_inside(folder, base)
    try:
        given = entry.get("data_files")
        patterns = get_data_patterns(base.as_posix()) if given is None else sanitize_patterns(given)
    except (EmptyDatasetError, ValueError) as error:
        raise UserError(f"{CARD}: configs: {name}: {_line(error)}: mend the entry, or take it out") from None
    return Config(name, _resolved(folder, base, patterns, name), entry)


def _resolved(folder: Path, base: Path, patterns: Mapping[str, Any], config: str) -> dict[str, list[RowFile]]:
    """Return the files that patterns match, by split.

    Raises:
        UserError: They match nothing, files of other formats, or what lies outside.
    """
    from datasets import load
    from datasets.data_files import DataFilesDict, DataFilesList

    allowed = [*load._EXTENSION_TO_MODULE, ".zip"]
    try:
        found = DataFilesDict.from_patterns(dict(patterns), base_path=base.as_posix(), allowed_extensions=allowed)
        for split, paths in found.items():  # what says something of the rows is none of them, where others are
            rows = [path for path in paths if Path(str(path)).name not in _NO_ROWS]
            found[split] = DataFilesList(rows or paths, paths.origin_metadata)
        module, _ = load.infer_module_for_data_files(found, folder.as_posix())
    except FileNotFoundError as error:
        raise UserError(f"config {config}: {_line(error)}: mend configs in {CARD}, or put the files there") from None
    except ValueError as error:
        raise UserError(f"config {config}: {_line(error)}: leave files of one format, Parquet or JSON Lines") from None
    if module not in ("parquet", "json"):
        first = Path(next(str(path) for paths in found.values() for path in paths)).name
        mend = _CONVERT.format(module=module) if module in ("csv", "text", "arrow", "xml") else "make Parquet of it"
        raise UserError(f"{first} is of the format {module}, and hubkit publishes Parquet and JSON Lines: {mend}")
    splits = {}
    for split, paths in found.items():
        if not _SPLIT.fullmatch(str(split)) or split == "all":
            raise UserError(f"config {config}: {split!r} can't be the name of a split: use letters, digits and _")
        files = [_row_file(folder, Path(path)) for path in paths]
        splits[str(split)] = [file for file in files if _bare(file.name).endswith(_ENDINGS[module])]
    return {split: files for split, files in splits.items() if files}


_ENDINGS = {"parquet": (".parquet",), "json": (".jsonl", ".ndjson", ".json")}


def _row_file(folder: Path, path: Path) -> RowFile:
    path = Path(folder, path.relative_to(folder.resolve())) if path.is_relative_to(folder.resolve()) else path
    check_inside(folder, path)
    if not path.is_relative_to(folder) or not path.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{path} lies outside {folder}: put the file itself there")
    name = path.relative_to(folder).as_posix()
    if set(name) & set("*?[]{}\\") or not name.isprintable():
        raise UserError(f"{name!r} has characters in its name that mean more than themselves: rename it")
    return RowFile(path, name)


def _pattern(names: Sequence[str], every: Sequence[str]) -> str | list[str]:
    """Return a pattern that matches some files and no other, such as ``data/train-*-of-00004.parquet``, or their names.

    Args:
        names: The files of a split.
        every: All files of rows.
    """
    from fnmatch import fnmatchcase

    if len(names) == 1:
        return names[0]
    start, end = _shared(names), _shared([name[::-1] for name in names])[::-1]
    start = re.sub(r"\d+$", "", start)
    end = re.sub(r"^\d+", "", end)
    pattern = f"{start}*{end}"
    inside = all("/" not in name[len(start) : len(name) - len(end)] for name in names)
    if inside and sorted(names) == sorted(name for name in every if fnmatchcase(name, pattern)):
        return pattern
    return list(names)


def _shared(names: Sequence[str]) -> str:
    """Return the beginning that all names have."""
    first, last = min(names), max(names)
    count = next((i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), min(len(first), len(last)))
    return first[:count]


def _bare(name: str) -> str:
    return _COMPRESSED.sub("", name.lower())


def _nothing(folder: Path) -> UserError:
    return UserError(f"{folder} holds no rows: put Parquet or JSON Lines there, such as data/train.parquet")


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())
