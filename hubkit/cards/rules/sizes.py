"""Rules on sizes and columns that a dataset's card gives: they are those of the files."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hubkit.cards import layout, legal
from hubkit.cards.findings import Flaw, Severity, rule
from hubkit.publishing.cards import size_category

if TYPE_CHECKING:
    import pyarrow as pa

    from hubkit.cards.card import Card

_DATASET: Any = {"kinds": ("dataset",), "reads_fields": True}


@rule(Severity.ERROR, "dataset-info-config", "dataset_info speaks of configurations that exist.", **_DATASET)
def _config(card: "Card") -> Iterator[Flaw]:
    names = [config.name for config in layout.configs(card)]
    for path, info in _infos(card):
        name = str(info.get("config_name", "default"))
        if "configs" in card.fields and names and name not in names:
            line = card.front.line(*path, "config_name")
            yield Flaw(
                line, f"dataset_info is about {name}, and configs has {', '.join(names)}", "use one name for both"
            )


@rule(Severity.ERROR, "dataset-info-splits", "dataset_info lists the splits that the configuration has.", **_DATASET)
def _splits(card: "Card") -> Iterator[Flaw]:
    for path, info, config in _described(card):
        listed = {str(split.get("name")): i for i, split in _listed(info)}
        if not listed:
            continue
        for name, i in listed.items():
            if name not in config.splits:
                message = f"dataset_info has the split {name}, and the configuration {config.name} has not"
                yield Flaw(card.front.line(*path, "splits", i), message, "remove it, or add its files to configs")
        for name in config.splits:
            if name not in listed:
                message = f"dataset_info lacks the split {name} of the configuration {config.name}"
                yield Flaw(card.front.line(*path, "splits"), message, f"add {name}")


@rule(Severity.ERROR, "dataset-info-rows", "num_examples are the rows that the files hold.", **_DATASET)
def _rows(card: "Card") -> Iterator[Flaw]:
    for path, info, config in _described(card):
        for i, split in _listed(info):
            files, told = config.splits.get(str(split.get("name"))), split.get("num_examples")
            rows = layout.rows(card, files) if files and not config.is_far else None
            if rows is not None and told is not None and told != rows:
                message = f"{split.get('name')} has {rows:,} rows, and num_examples says {_number(told)}"
                yield Flaw(card.front.line(*path, "splits", i, "num_examples"), message, f"write {rows}")


@rule(
    Severity.ERROR, "dataset-info-bytes", "download_size and dataset_size are the sums that they stand for.", **_DATASET
)
def _bytes(card: "Card") -> Iterator[Flaw]:
    for path, info, config in _described(card):
        files = [file for split in config.splits.values() for file in split]
        # Other formats are often prepared from something else, whose size was downloaded.
        parquet = files and not config.is_far and all(file.endswith(".parquet") for file in files)
        told, real = info.get("download_size"), sum(card.files.sizes[file] for file in dict.fromkeys(files))
        if parquet and told is not None and told != real:
            message = f"the files have {real:,} bytes, and download_size says {_number(told)}"
            yield Flaw(card.front.line(*path, "download_size"), message, f"write {real}")
    for path, info in _infos(card):
        listed = [split.get("num_bytes") for _, split in _listed(info)]
        sizes = [size for size in listed if isinstance(size, int)]
        told = info.get("dataset_size")
        if sizes and len(sizes) == len(listed) and told is not None and told != sum(sizes):
            message = f"the num_bytes of the splits are {sum(sizes):,} together, and dataset_size says {_number(told)}"
            yield Flaw(card.front.line(*path, "dataset_size"), message, f"write {sum(sizes)}")


@rule(Severity.ERROR, "dataset-info-features", "features are the columns that the files have.", **_DATASET)
def _features(card: "Card") -> Iterator[Flaw]:
    for path, info, config in _described(card):
        file = next((file for files in config.splits.values() for file in files if file.endswith(".parquet")), None)
        told, real = info.get("features"), layout.schema(card, file) if file else None
        if not isinstance(told, list) or real is None:
            continue
        named = {str(column.get("name")): i for i, column in enumerate(told) if isinstance(column, dict)}
        for name, i in named.items():
            if name not in real.names:
                message = f"features has the column {name}, and {file} has not"
                yield Flaw(card.front.line(*path, "features", i), message, "remove it")
        for name in real.names:
            if name not in named:
                line = card.front.line(*path, "features")
                yield Flaw(line, f"features lacks the column {name} of {file}", f"add {name}")
        for name, expected in _types(told).items():
            if name in real.names and not _alike(expected, real.field(name).type):
                message = f"the column {name} is {real.field(name).type} in {file}, and features says {expected}"
                yield Flaw(card.front.line(*path, "features", named[name]), message, "write the type that the file has")


@rule(Severity.ERROR, "size-categories-legal", "size_categories are the Hub's, such as 1K<n<10K.", **_DATASET)
def _legal(card: "Card") -> Iterator[Flaw]:
    known = legal.from_datasets("size_categories")
    for line, value in card.texts("size_categories"):
        if value and value not in known:
            spelt = value.replace(" ", "").upper().replace("N", "n")
            rows = _all_rows(card)
            mend = size_category(sum(rows)) if rows else spelt if spelt in known else "one such as 1K<n<10K"
            yield Flaw(line, f"size_categories: {value} is not one of the Hub's values", f"write {mend}")


@rule(Severity.ERROR, "size-categories-rows", "The size category is that of the rows.", **_DATASET)
def _category(card: "Card") -> Iterator[Flaw]:
    told = [(line, value) for line, value in card.texts("size_categories") if value in _sized()]
    rows = _all_rows(card)
    # Of several configurations some people mean all rows, others those of one.
    fitting = {size_category(count) for count in (*rows, sum(rows))}
    if told and rows and not fitting & {value for _, value in told}:
        line, value = told[0]
        message = f"size_categories says {value}, and there are {sum(rows):,} rows"
        yield Flaw(line, message, f"write {size_category(sum(rows))}")


def _sized() -> set[str]:
    """Return the categories that say anything."""
    return set(legal.from_datasets("size_categories")) - {"unknown"}


def _all_rows(card: "Card") -> list[int]:
    """Return the rows of every configuration; none where those of one are not known, or where there are none."""
    counts = [_rows_of(card, config) for config in layout.configs(card)]
    known = [count for count in counts if count is not None]
    return known if len(known) == len(counts) and any(known) else []


def _rows_of(card: "Card", config: layout.Config) -> int | None:
    """Return the rows of a configuration: by its files, else as its dataset_info tells."""
    files = [file for split in config.splits.values() for file in split]
    found = layout.rows(card, list(dict.fromkeys(files))) if files and not config.is_far else None
    if found is not None:
        return found
    for _, info, own in _described(card):
        told = [split.get("num_examples") for _, split in _listed(info)]
        if own.name == config.name and told and all(isinstance(rows, int) for rows in told):
            return sum(rows for rows in told if isinstance(rows, int))
    return None


def _infos(card: "Card") -> list[tuple[tuple[str | int, ...], dict[str, Any]]]:
    """Return every entry of `dataset_info` with its place."""
    value = card.fields.get("dataset_info")
    if isinstance(value, dict):
        return [(("dataset_info",), value)]
    entries = enumerate(value) if isinstance(value, list) else ()
    return [(("dataset_info", i), entry) for i, entry in entries if isinstance(entry, dict)]


def _described(card: "Card") -> Iterator[tuple[tuple[str | int, ...], dict[str, Any], layout.Config]]:
    """Yield every entry of `dataset_info` whose configuration has files, with that configuration."""
    known = {config.name: config for config in layout.configs(card)}
    for path, info in _infos(card):
        config = known.get(str(info.get("config_name", "default")))
        if config is not None and config.patterns:
            yield path, info, config


def _listed(info: dict[str, Any]) -> list[tuple[int, dict[str, Any]]]:
    """Return the splits of an entry of `dataset_info`."""
    splits = info.get("splits")
    entries = enumerate(splits) if isinstance(splits, list) else ()
    return [(i, split) for i, split in entries if isinstance(split, dict)]


def _types(features: list[Any]) -> dict[str, "pa.DataType"]:
    """Return the Arrow types of features as a card spells them; nothing where `datasets` can't read them."""
    from datasets import Features

    try:
        schema = Features._from_yaml_list(features).arrow_schema
    except (ValueError, TypeError, KeyError, AttributeError):
        return {}
    return {field.name: field.type for field in schema}


def _alike(one: "pa.DataType", other: "pa.DataType") -> bool:
    """Tell whether two types hold the same values: 32-bit and 64-bit offsets, and names of items, do not matter."""
    plain = [str(kind).replace("large_", "").replace("element:", "item:") for kind in (one, other)]
    return plain[0].replace("string_view", "string") == plain[1].replace("string_view", "string")


def _number(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
