"""What the card of somebody's own files says: what they hold, and how to load and check it."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hubkit.publishing.cards import citation, render_body, size_category, title_of
from hubkit.publishing.data_layout import DEFAULT
from hubkit.publishing.dataset_card import shared, shown, split_row
from hubkit.publishing.drawing import drawn
from hubkit.publishing.plots import label_names, plots_of
from hubkit.publishing.sources import CardFacts
from hubkit.publishing.versions import Version

if TYPE_CHECKING:
    from datasets import Features

    from hubkit.publishing.data_folder import ConfigRows


def data_card(
    configs: "Sequence[ConfigRows]",
    manifest: Mapping[str, Any],
    written: Mapping[str, Any],
    repo: str,
    version: Version,
) -> CardFacts:
    """Return the card of somebody's files.

    Args:
        configs: What was found out about them.
        manifest: The manifest made of that.
        written: The front matter of the folder's own README.
        repo: Where they are published.
        version: The release that the snippets load.
    """
    title, splits = str(written.get("pretty_name") or title_of(repo)), manifest["splits"]
    rows = sum(split["rows"] for split in splits.values())
    chosen = _first(configs)
    names = [content for config in configs for content in config.contents]
    metadata = {
        "tags": ["hubkit"],
        "size_categories": [size_category(rows)],
        "configs": [dict(config.config.entry) for config in configs],
        "dataset_info": _infos(configs, written),
    }
    plots = plots_of(splits, label_names(metadata["dataset_info"]))
    pictures = drawn(plots)
    facts = {
        "repo": repo,
        "title": title,
        "tag": version.tag,
        "m": manifest,
        "made": False,
        "function": None,
        "generated": False,
        "configs": len(configs),
        "argument": f', "{chosen.config.name}"' if len(configs) > 1 else "",
        "first": "train" if "train" in chosen.splits else next(iter(chosen.splits)),
        "rows": rows,
        "rejected": 0,
        "failed": 0,
        "modified": False,
        "formats": "Parquet" if all(name.endswith(".parquet") for name in names) else "JSON Lines",
        "sources": [],
        **shared(manifest),
        "domains": None,
        "facts": {},
        "splits": [split_row(name, split) for name, split in splits.items()],
        "plots": shown(plots, pictures),
        "citation": citation(repo, version.tag, title, "Dataset"),
    }
    return CardFacts(metadata, {"pretty_name": title}, render_body("dataset.md.j2", facts), tuple(pictures))


def _first(configs: "Sequence[ConfigRows]") -> "ConfigRows":
    """Return the config that the snippets load: the default one, if there is one."""
    marked = (config for config in configs if config.config.entry.get("default") is True)
    named = (config for config in configs if config.config.name == DEFAULT)
    return next(marked, next(named, configs[0]))


def _infos(configs: "Sequence[ConfigRows]", written: Mapping[str, Any]) -> Any:
    """Return features and sizes as `datasets` writes them into a card."""
    from datasets import DatasetInfo, SplitDict, SplitInfo
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    infos = {}
    for config in configs:
        splits = SplitDict()
        for name, found in config.splits.items():
            splits[name] = SplitInfo(name, num_bytes=found.bytes, num_examples=found.rows)
        infos[config.config.name] = DatasetInfo(
            features=_features(config, written),
            splits=splits,
            download_size=sum(content.size for content in config.contents.values()),
            dataset_size=sum(found.bytes for found in config.splits.values()),
        )
    data = DatasetCardData()
    DatasetInfosDict(infos).to_dataset_card_data(data)
    return data["dataset_info"]


def _features(config: "ConfigRows", written: Mapping[str, Any]) -> "Features":
    """Return the features of a config: those of the README if the rows have their types, for they may say more."""
    from datasets import Features
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    from hubkit.corpora.hashing import type_name

    try:
        stated = DatasetInfosDict.from_dataset_card_data(DatasetCardData(dataset_info=written.get("dataset_info")))
        features = stated[config.config.name].features
        if features is None:
            return Features.from_arrow_schema(config.schema)
        types = {field.name: type_name(field.type) for field in features.arrow_schema}
        if types == {field.name: type_name(field.type) for field in config.schema}:
            return features
    except (KeyError, TypeError, ValueError, AttributeError):  # the README says nothing of this config, or nonsense
        pass
    return Features.from_arrow_schema(config.schema)
