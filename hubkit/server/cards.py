"""Cards: the YAML at the top of a README, what is wrong with it, and the tags that the Hub's filters see."""

from __future__ import annotations

import datetime
import math
import re
from functools import lru_cache
from typing import Any

_FRONT_MATTER = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)(?:\r?\n)?^---[ \t]*\r?$", re.DOTALL | re.MULTILINE)
_MAX_NODES = 200_000
_MAX_YAML_BYTES = 1 << 20

SIZE_CATEGORIES = (
    *("n<1K", "1K<n<10K", "10K<n<100K", "100K<n<1M", "1M<n<10M", "10M<n<100M", "100M<n<1B", "1B<n<10B", "10B<n<100B"),
    *("100B<n<1T", "n>1T"),
)

# What the Hub turns into `key:value` tags for a dataset.
_DATASET_TAGS = (
    *("task_categories", "task_ids", "annotations_creators", "language_creators", "multilinguality"),
    *("source_datasets", "language", "license", "size_categories"),
)
_LISTS = ("tags", "configs", "datasets", "metrics")

_TASK_OF_ARCHITECTURE = {
    "ForMaskedLM": "fill-mask",
    "ForCausalLM": "text-generation",
    "LMHeadModel": "text-generation",
    "ForSequenceClassification": "text-classification",
    "ForTokenClassification": "token-classification",
    "ForQuestionAnswering": "question-answering",
    "ForConditionalGeneration": "text2text-generation",
}


class CardError(ValueError):
    """The YAML of a card cannot be read."""


def parse(readme: str) -> dict[str, Any] | None:
    """Reads the YAML at the top of a README.

    Returns:
        Its content as plain JSON values, or None when there is none.

    Raises:
        CardError: When there is YAML that cannot be read.
    """
    import yaml

    found = _FRONT_MATTER.match(readme)
    if not found:
        return None
    if len(found[1]) > _MAX_YAML_BYTES:
        raise CardError(f"the metadata is longer than {_MAX_YAML_BYTES} bytes")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # A safe loader, in C where there is one.
        value = yaml.load(found[1], Loader=loader)  # noqa: S506
        plain = _Plain().convert(value)
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        raise CardError(" ".join(str(error).split())) from None
    if plain is None:
        return None
    if not isinstance(plain, dict):
        raise CardError("the metadata must be a mapping of keys to values")
    return plain


class _Plain:
    """Turns YAML values into JSON values, within a budget: aliases can make a short text explode."""

    def __init__(self) -> None:
        self._left = _MAX_NODES

    def convert(self, value: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise CardError(f"the metadata has more than {_MAX_NODES} values")
        if isinstance(value, dict):
            return {str(key): self.convert(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set)):
            return [self.convert(item) for item in value]
        if isinstance(value, (datetime.date, datetime.datetime)):
            return value.isoformat()
        if isinstance(value, float) and not math.isfinite(value):
            return None
        if value is None or isinstance(value, (str, int, float)):
            return value
        return str(value)


@lru_cache(maxsize=4096)
def _parse_lenient(readme: bytes) -> dict[str, Any]:
    try:
        return parse(readme.decode("utf-8", "replace")) or {}
    except CardError:
        return {}


def card_data(readme: bytes) -> dict[str, Any]:
    """The metadata of a card; empty where there is none that can be read. Not to be changed: it is shared."""
    # Only the beginning counts, and only it is worth remembering.
    return _parse_lenient(readme[: _MAX_YAML_BYTES + 16])


def validate(readme: str, repo_type: str) -> tuple[list[str], list[str]]:
    """Checks a card as the Hub does before a commit.

    Args:
        readme: The whole README.
        repo_type: `model`, `dataset` or `space`.

    Returns:
        Errors and warnings.
    """
    try:
        card = parse(readme)
    except CardError as error:
        return [f"Invalid YAML metadata: {error}"], []
    if card is None:
        kind = {"dataset": "datasets-cards", "space": "spaces-config-reference"}.get(repo_type, "model-cards")
        return [], [f"empty or missing yaml metadata in repo card (https://huggingface.co/docs/hub/{kind})"]
    errors = [f'"{key}" must be an array' for key in _LISTS if key in card and not isinstance(card[key], list | str)]
    if isinstance(card.get("tags"), str):
        errors.append('"tags" must be an array')
    errors += [f'"{key}" must be a string' for key in ("pretty_name", "title", "sdk") if _wrong(card, key, str)]
    errors += _config_errors(card)
    warnings = []
    sizes = [size for size in _texts(card.get("size_categories")) if size not in SIZE_CATEGORIES]
    if sizes and repo_type == "dataset":
        warnings.append(f'"size_categories" has {sizes}: it must be one of {", ".join(SIZE_CATEGORIES)}')
    if repo_type == "space" and "sdk" not in card:
        errors.append('"sdk" is required')
    return errors, warnings


def _wrong(card: dict[str, Any], key: str, kind: type) -> bool:
    return card.get(key) is not None and not isinstance(card[key], kind)


def _config_errors(card: dict[str, Any]) -> list[str]:
    configs = card.get("configs")
    if not isinstance(configs, list):
        return []
    names = [config.get("config_name") if isinstance(config, dict) else None for config in configs]
    errors = [f'"configs[{index}].config_name" is required' for index, name in enumerate(names) if not name]
    if len(set(map(str, names))) < len(names):
        errors.append('"configs" has a config_name twice')
    return errors


def _texts(value: Any) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in (value if isinstance(value, list) else [value]) if item not in (None, "")]


def tags(type_: str, card: dict[str, Any], file_names: list[str], facts: dict[str, Any]) -> list[str]:
    """The tags of a repository: those of its card, and those that its other metadata implies.

    Args:
        type_: `models`, `datasets` or `spaces`.
        card: The metadata of its card.
        file_names: Its files.
        facts: `library_name`, `pipeline_tag` and `sdk`, where known.
    """
    if type_ == "datasets":
        found = [f"{key}:{value}" for key in _DATASET_TAGS for value in _texts(card.get(key))]
        found += _formats(file_names)
    elif type_ == "models":
        found = _model_tags(card, file_names, facts)
    else:
        found = _texts(facts.get("sdk"))
    found += _texts(card.get("tags"))
    return list(dict.fromkeys([*found, "region:us"]))


def _formats(file_names: list[str]) -> list[str]:
    endings = {"parquet": ".parquet", "json": (".jsonl", ".json"), "csv": ".csv", "text": ".txt"}
    found = [name for name, ending in endings.items() if any(file.endswith(ending) for file in file_names)]
    return [f"format:{name}" for name in found[:1]]


def _model_tags(card: dict[str, Any], file_names: list[str], facts: dict[str, Any]) -> list[str]:
    found = _texts(facts.get("library_name"))
    found += ["safetensors"] if any(name.endswith(".safetensors") for name in file_names) else []
    found += ["tensorboard"] if any("tfevents" in name for name in file_names) else []
    found += _texts(facts.get("model_type")) + _texts(facts.get("pipeline_tag"))
    found += _texts(card.get("language"))
    found += [f"dataset:{value}" for value in _texts(card.get("datasets"))]
    bases = _texts(card.get("base_model"))
    relation = card.get("base_model_relation") or ("adapter" if "adapter_config.json" in file_names else "finetune")
    found += [f"base_model:{value}" for value in bases] + [f"base_model:{relation}:{value}" for value in bases]
    found += [f"license:{value}" for value in _texts(card.get("license"))]
    return found + (["model-index"] if card.get("model-index") else [])


def task_of(config: dict[str, Any]) -> str | None:
    """The task that the architecture in a model's `config.json` implies."""
    for architecture in _texts(config.get("architectures")):
        for ending, task in _TASK_OF_ARCHITECTURE.items():
            if architecture.endswith(ending):
                return task
    return None
