"""Rules on a dataset's configurations: what `load_dataset` reads, and that it is there."""

import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hubkit.cards import layout
from hubkit.cards.findings import Flaw, Severity, rule

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_SPLIT = re.compile(r"\w+(\.\w+)*")
_SHARD = re.compile(r"(.*)-(\d{5})-of-(\d{5})(\..*)?")
_DATASET: Any = {"kinds": ("dataset",), "reads_fields": True}


@rule(Severity.WARNING, "configs-missing", "A dataset with files says which of them belong to which split.", **_DATASET)
def _missing(card: "Card") -> Iterator[Flaw]:
    files = layout.data_files(card)
    if "configs" not in card.fields and files:
        message = f"configs is missing, so readers guess what {files[0]} and the like belong to"
        yield Flaw(card.front.line(), message, "add configs, with config_name and data_files")


@rule(Severity.ERROR, "config-name-missing", "Every configuration has a config_name, even the only one.", **_DATASET)
def _nameless(card: "Card") -> Iterator[Flaw]:
    for i, entry in _entries(card, "configs"):
        if not isinstance(entry, dict):
            yield Flaw(card.front.line("configs", i), "this configuration has no fields", "write config_name: default")
        elif not isinstance(entry.get("config_name"), str) or not entry["config_name"]:
            message = "this configuration has no config_name, so load_dataset refuses the repository"
            yield Flaw(card.front.line("configs", i), message, "add config_name: default")
    infos = card.fields.get("dataset_info")
    for i, info in _entries(card, "dataset_info"):
        if isinstance(infos, list) and len(infos) > 1 and isinstance(info, dict) and "config_name" not in info:
            message = "this entry of dataset_info does not say of which configuration it is"
            yield Flaw(card.front.line("dataset_info", i), message, "add its config_name")


@rule(Severity.ERROR, "config-twice", "Names of configurations differ, and one at most is the default.", **_DATASET)
def _twice(card: "Card") -> Iterator[Flaw]:
    seen, default = set(), None
    for i, entry in _entries(card, "configs"):
        name = entry.get("config_name") if isinstance(entry, dict) else None
        if name is None:
            continue
        if name in seen:
            message = f"a second configuration is called {name}"
            yield Flaw(card.front.line("configs", i, "config_name"), message, "give it another name")
        seen.add(name)
        if entry.get("default"):
            if default:
                message = f"{name} is the default, and so is {default}"
                yield Flaw(card.front.line("configs", i, "default"), message, "leave default: true with one of them")
            default = default or name


@rule(
    Severity.ERROR, "config-data-files", "data_files is a pattern, a list of patterns, or a list of splits.", **_DATASET
)
def _shape(card: "Card") -> Iterator[Flaw]:
    for i, entry in _entries(card, "configs"):
        value = entry.get("data_files") if isinstance(entry, dict) else None
        where = ("configs", i, "data_files")
        if value is not None and not isinstance(value, str | list):
            yield Flaw(card.front.line(*where), "data_files is neither a text nor a list", "list split and path")
        items = value if isinstance(value, list) else []
        for j, item in enumerate(items):
            if not isinstance(item, str) and not _is_split(item):
                message = "this entry of data_files is not a split with its path"
                yield Flaw(card.front.line(*where, j), message, "write both split: and path:, and nothing else")
        names = [item["split"] for item in items if _is_split(item)]
        for j, item in enumerate(items):
            if _is_split(item) and not _SPLIT.fullmatch(item["split"]):
                message = f"a split can't be called {item['split']}"
                yield Flaw(card.front.line(*where, j, "split"), message, "use letters, digits, _ and .")
            elif _is_split(item) and item["split"] in names[: _order(items, j)]:
                message = f"the split {item['split']} comes twice, so load_dataset refuses the configuration"
                yield Flaw(card.front.line(*where, j, "split"), message, "list all its paths under the first")


@rule(Severity.ERROR, "config-empty", "Every pattern of data_files matches a file.", **_DATASET)
def _empty(card: "Card") -> Iterator[Flaw]:
    for config in layout.configs(card):
        for pattern in config.patterns:
            if not pattern.files and not pattern.is_far:
                message = f"{pattern.pattern} of the split {pattern.split} matches no file"
                yield Flaw(pattern.line, message, f"{_instead(card)}")


@rule(Severity.ERROR, "config-overlap", "No file belongs to two splits of a configuration.", **_DATASET)
def _overlap(card: "Card") -> Iterator[Flaw]:
    for config in layout.configs(card):
        owner: dict[str, str] = {}
        for pattern in config.patterns:
            shared = [file for file in pattern.files if owner.setdefault(file, pattern.split) != pattern.split]
            if shared:
                others = " and ".join(dict.fromkeys(owner[file] for file in shared))
                message = f"{shared[0]} is in {pattern.split} and in {others} of the configuration {config.name}"
                yield Flaw(pattern.line, message, "narrow the patterns, so that no row is in two splits")


@rule(
    Severity.ERROR,
    "shards-missing",
    "A set of numbered shards is complete, and one pattern takes all of it.",
    **_DATASET,
)
def _shards(card: "Card") -> Iterator[Flaw]:
    there = Counter(key for path in layout.data_files(card) if (key := _shard_set(path)))
    for config in layout.configs(card):
        for split, files in config.splits.items():
            taken = Counter(key for path in files if (key := _shard_set(path)))
            line = next(pattern.line for pattern in config.patterns if pattern.split == split)
            for key, count in taken.items():
                stem, total, _ = key
                if there[key] < total:
                    message = f"of the {total} shards {stem}-… of {split}, {there[key]} are there"
                    yield Flaw(line, message, "upload the others again")
                elif count < total:
                    message = f"{split} takes {count} of the {total} shards {stem}-…"
                    yield Flaw(line, message, f"write {stem}-*")


def _entries(card: "Card", field: str) -> list[tuple[int, Any]]:
    value = card.fields.get(field)
    return list(enumerate(value)) if isinstance(value, list) else []


def _is_split(item: Any) -> bool:
    return (
        isinstance(item, dict)
        and item.keys() == {"split", "path"}
        and isinstance(item["split"], str)
        and isinstance(item["path"], str | list)
    )


def _order(items: list[Any], index: int) -> int:
    """Return how many splits stand before an entry."""
    return sum(map(_is_split, items[:index]))


def _shard_set(path: str) -> tuple[str, int, str] | None:
    match = _SHARD.fullmatch(path)
    return (match.group(1), int(match.group(3)), match.group(4) or "") if match else None


def _instead(card: "Card") -> str:
    files = layout.data_files(card)
    return f"there is {files[0]}, for example" if files else "upload the files, or remove the entry"
