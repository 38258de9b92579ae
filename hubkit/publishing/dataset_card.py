"""What the card of a corpus says: everything from the manifest, and the schema and sizes from the Parquet footers."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hubkit.publishing.cards import citation, code_of, public, render_body, size_category, title_of, tokenizer_tags
from hubkit.publishing.drawing import drawn
from hubkit.publishing.inherited import UNKNOWN
from hubkit.publishing.plots import Plot, label_names, plots_of
from hubkit.publishing.sources import CardFacts, Content
from hubkit.publishing.versions import Version

CONFIG = "default"
"""Name of the one configuration, by which `load_dataset` finds the splits."""


def dataset_card(folder: Path, manifest: Mapping[str, Any], repo: str, version: Version) -> CardFacts:
    """Return the card of a corpus.

    Args:
        folder: The corpus folder.
        manifest: Its `corpus.json`.
        repo: Where it is published.
        version: The release that the snippets load.
    """
    splits = manifest["splits"]
    title = title_of(repo)
    language = any(column["name"] in ("text", "input_ids") for column in manifest["columns"])
    generated = manifest["origin"] == "generated"
    of_tokenizer = tokenizer_tags(manifest["facts"].get("tokenizer"))  # of token ids
    metadata = {
        **({} if manifest["license"] == UNKNOWN else {"license": manifest["license"]}),
        "tags": [*(["synthetic"] if generated else []), "hubkit", manifest["builder"], *of_tokenizer],
        "annotations_creators": ["no-annotation"],
        "language_creators": ["machine-generated" if generated else "found"],
        "source_datasets": ["original"],
        "size_categories": [size_category(sum(split["rows"] for split in splits.values()))],
        "configs": [_config(splits)],
        "dataset_info": _dataset_info(folder, splits),
    }
    plots = plots_of(splits, label_names(metadata["dataset_info"]))
    pictures = drawn(plots)
    # What the rows are good for is a judgement, so a person's word counts for more than ours.
    defaults = {"pretty_name": title, **({"task_categories": ["text-generation", "fill-mask"]} if language else {})}
    if manifest["license"] == UNKNOWN:  # and so does a licence where we know of none
        defaults["license"] = UNKNOWN
    facts = {
        "repo": repo,
        "title": title,
        "tag": version.tag,
        "m": manifest,
        "made": True,
        "function": manifest["spec"]["function"] if manifest["builder"] == "function" else None,
        "configs": 1,
        "argument": "",
        "modified": bool(manifest["code"].get("modified")),
        "rows": sum(split["rows"] for split in splits.values()),
        "rejected": sum(split["rejected"] for split in splits.values()),
        "failed": sum(split["failed"] for split in splits.values()),
        "generated": generated,
        "sources": [source | {"name": public(source["name"])} for source in manifest["sources"]],
        **shared(manifest),
        "domains": _domains(manifest["facts"].get("domains") or {}),
        "facts": public({name: value for name, value in manifest["facts"].items() if name != "domains"}),
        "splits": [split_row(name, split) for name, split in splits.items()],
        "plots": shown(plots, pictures),
        "first": "train" if "train" in splits else next(iter(splits)),
        "spec": public(manifest["spec"]),
        "code": code_of(manifest["code"]),
        "citation": citation(repo, version.tag, title, "Dataset"),
    }
    return CardFacts(metadata, defaults, render_body("dataset.md.j2", facts), tuple(pictures))


def shown(plots: Sequence[Plot], pictures: Sequence[Content]) -> list[dict[str, str]]:
    """Return what a card says of plots: where the pictures lie, and what one sees on them."""
    return [{"path": picture.path, "alt": plot.alt} for plot, picture in zip(plots, pictures, strict=True)]


def _config(splits: Mapping[str, Any]) -> dict[str, Any]:
    """Return the configuration: patterns that match this release's shards and no file that a person put beside them."""
    files = [
        {"split": name, "path": f"data/{name}-*-of-{len(split['shards']):05d}.parquet"}
        for name, split in splits.items()
    ]
    return {"config_name": CONFIG, "data_files": files, "default": True}


def split_row(name: str, split: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the tables of a card say of a split, given its name and its record in the manifest."""
    columns = [
        {"name": column, "unit": unit, **lengths}
        for column, value in _read(split["statistics"]).items()
        for unit in ("characters", "items")
        if (lengths := value.get(unit))
    ]
    return {
        "name": name,
        "rows": split["rows"],
        "bytes": sum(shard["bytes"] for shard in split["shards"]),
        "files": len(split["shards"]),
        "rejected": split["rejected"],
        "columns": columns,
        "sha256": split["rows_sha256"],
    }


def _read(statistics: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the statistics of the column that a model reads; of all columns where none has its usual name."""
    return next(({name: statistics[name]} for name in ("text", "input_ids") if name in statistics), statistics)


def shared(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a card says of how much of each split occurs in the first one of its config."""
    compared = {_config_of(split) for overlap in manifest["overlaps"] for split in overlap["repeats"]}
    splits = Counter(map(_config_of, manifest["splits"]))
    return {
        "overlaps": [_overlap(overlap, manifest["columns"]) for overlap in manifest["overlaps"] if overlap["pairs"]],
        "uncompared": any(count > 1 and config not in compared for config, count in splits.items()),
    }


def _config_of(split: str) -> str | None:
    """Return the config that a manifest's name of a split begins with; None is the default one."""
    return split.rpartition("/")[0] or None


def _overlap(overlap: Mapping[str, Any], columns: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a card says of one config."""
    first = next(iter(overlap["repeats"]))
    config = _config_of(first)
    pairs = [
        pair | {"share": pair["shared"] / pair["ngrams"] if pair["ngrams"] else None}
        for pair in overlap["pairs"]
        if pair["other"] == first
    ]
    return {
        **overlap,
        "config": config or "default",
        "first": first,
        "columns": sum(column.get("config") == config for column in columns),
        "pairs": pairs,
        # Rows of fewer words or items, such as short strings without blanks, have no n-gram to say anything about.
        "grams": any(pair["ngrams"] for pair in pairs),
    }


def _domains(domains: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the table of domains: every count that the builder gives of any of them, and the licence."""
    counts = dict.fromkeys(
        key for facts in domains.values() for key, value in facts.items() if isinstance(value, int | float)
    )
    rows = [
        {
            "name": name,
            "counts": [facts.get(count, 0) for count in counts],
            "licence": ", ".join(_listed(facts.get("licence") or facts.get("licences") or ())),
        }
        for name, facts in domains.items()
    ]
    licensed = any(row["licence"] for row in rows)
    return {"counts": list(counts), "rows": rows, "licensed": licensed} if rows else None


def _listed(names: Any) -> list[str]:
    return [names] if isinstance(names, str) else [str(name) for name in names]


def _dataset_info(folder: Path, splits: Mapping[str, Any]) -> dict[str, Any]:
    """Return features and sizes as `datasets` writes them into a card."""
    import pyarrow.parquet as pq
    from datasets import DatasetInfo, Features, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    schema, infos, download = None, SplitDict(), 0
    for name, split in splits.items():
        uncompressed = 0
        for shard in split["shards"]:
            footer = pq.read_metadata(folder / shard["file"])
            uncompressed += sum(footer.row_group(index).total_byte_size for index in range(footer.num_row_groups))
            schema = schema or footer.schema.to_arrow_schema()
            download += shard["bytes"]
        infos[name] = SplitInfo(name, num_bytes=uncompressed, num_examples=split["rows"])
    total = sum(info.num_bytes for info in infos.values())
    info = DatasetInfo(
        features=Features.from_arrow_schema(schema), splits=infos, download_size=download, dataset_size=total
    )
    data = DatasetCardData()
    DatasetInfosDict({CONFIG: info}).to_dataset_card_data(data)
    return data["dataset_info"]
