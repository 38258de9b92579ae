"""Rules on the fields of the metadata: their names, what type their values have, and which ones readers miss."""

import difflib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hubkit.cards.findings import Flaw, Severity, rule

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_TEXT, _TEXTS, _LIST = "a text", "a text or a list of texts", "a list"
_TAGS, _INFOS = "a list of texts", "fields or a list of them"
_FLAG, _NUMBER, _ANY = "true or false", "a number", "anything"
_ALL = {
    "license": _TEXTS, "license_name": _TEXT, "license_link": _TEXT, "language": _TEXTS, "tags": _TAGS,
    "title": _TEXT, "thumbnail": _TEXT, "datasets": _TEXTS, "models": _TEXTS, "extra_gated_prompt": _TEXT,
    "extra_gated_fields": _ANY, "extra_gated_heading": _TEXT, "extra_gated_button_content": _TEXT,
    "extra_gated_description": _TEXT, "language_details": _TEXTS, "license_details": _TEXT, "viewer": _FLAG,
}  # fmt: skip
_OF = {
    "model": {
        "library_name": _TEXT, "pipeline_tag": _TEXT, "metrics": _TEXTS, "base_model": _TEXTS,
        "base_model_relation": _TEXT, "model-index": _LIST, "new_version": _TEXT, "widget": _LIST, "inference": _ANY,
        "co2_eq_emissions": _ANY, "model_name": _TEXT, "pretty_name": _TEXT, "buckets": _TEXTS, "mask_token": _TEXT,
        "instance_prompt": _ANY, "quantized_by": _TEXT, "model_type": _TEXT, "arxiv": _ANY,
    },
    "dataset": {
        "pretty_name": _TEXT, "annotations_creators": _TEXTS, "language_creators": _TEXTS, "multilinguality": _TEXTS,
        "size_categories": _TEXTS, "source_datasets": _TEXTS, "task_categories": _TEXTS, "task_ids": _TEXTS,
        "configs": _LIST, "dataset_info": _INFOS, "paperswithcode_id": _TEXT,
        "train-eval-index": _LIST, "library_name": _TEXT, "arxiv": _ANY,
    },
    "space": {
        "emoji": _TEXT, "colorFrom": _TEXT, "colorTo": _TEXT, "sdk": _TEXT, "sdk_version": _TEXT,
        "python_version": _TEXT, "app_file": _TEXT, "app_build_command": _TEXT, "app_port": _NUMBER,
        "base_path": _TEXT, "fullWidth": _FLAG, "header": _TEXT, "short_description": _TEXT, "pinned": _FLAG,
        "hf_oauth": _FLAG, "hf_oauth_scopes": _TEXTS, "hf_oauth_expiration_minutes": _NUMBER,
        "hf_oauth_authorized_org": _TEXTS, "disable_embedding": _FLAG, "startup_duration_timeout": _TEXT,
        "custom_headers": _ANY, "preload_from_hub": _TEXTS, "suggested_hardware": _TEXT, "suggested_storage": _TEXT,
    },
}  # fmt: skip
_CHECKED_ELSEWHERE = {"sdk_version", "python_version"}
_WEIGHTS = (".safetensors", ".bin", ".gguf", ".onnx", ".pt", ".pth", ".ckpt", ".h5", ".keras", ".msgpack")
_SAME = {"licence": "license", "dataset": "datasets", "model": "models", "task": "task_categories"}


@rule(Severity.WARNING, "field-misspelt", "Every field has a name that the Hub knows.", reads_fields=True)
def _misspelt(card: "Card") -> Iterator[Flaw]:
    known = {**_ALL, **_OF[card.kind]}
    for name in card.fields:
        if name in known or name in _OF["model"] or name in _OF["dataset"] or name in _OF["space"]:
            continue
        plain = name.lower().replace("-", "_")
        likely = [_SAME[plain]] if plain in _SAME else difflib.get_close_matches(plain, known, n=1, cutoff=0.8)
        if likely and likely[0] not in card.fields:
            yield Flaw(card.front.line(name), f"{name} is no field of the Hub, so it is not read", f"write {likely[0]}")


@rule(Severity.ERROR, "field-type", "Every field holds the type that the Hub reads.", reads_fields=True)
def _type(card: "Card") -> Iterator[Flaw]:
    for name, wanted in {**_ALL, **_OF[card.kind]}.items():
        value = card.fields.get(name)
        if value is None or name in _CHECKED_ELSEWHERE or _is(value, wanted):
            continue
        yield Flaw(card.front.line(name), *_told(card, name, value, wanted))


@rule(Severity.WARNING, "field-empty", "Every field that is there says something.", reads_fields=True)
def _empty(card: "Card") -> Iterator[Flaw]:
    for name, value in card.fields.items():
        if value is None or value in ("", [], {}):
            yield Flaw(card.front.line(name), f"{name} has no value", "give it one, or remove the line")


@rule(Severity.WARNING, "license-missing", "The card names the licence.", reads_fields=True)
def _license(card: "Card") -> Iterator[Flaw]:
    yield from _absent(card, "license", "without one nobody may use it")


@rule(
    Severity.WARNING,
    "size-categories-missing",
    "A dataset says how large it is.",
    kinds=("dataset",),
    reads_fields=True,
)
def _size(card: "Card") -> Iterator[Flaw]:
    yield from _absent(card, "size_categories", "people filter by it")


@rule(
    Severity.WARNING, "pretty-name-missing", "A dataset has a name for people.", kinds=("dataset",), reads_fields=True
)
def _pretty(card: "Card") -> Iterator[Flaw]:
    yield from _absent(card, "pretty_name", "the Hub shows it above the card")


@rule(
    Severity.WARNING, "library-missing", "A model names the library that loads it.", kinds=("model",), reads_fields=True
)
def _library(card: "Card") -> Iterator[Flaw]:
    yield from _absent(card, "library_name", "the Hub does not guess it for newer repositories")


@rule(
    Severity.WARNING,
    "pipeline-tag-missing",
    "A model with weights names its task.",
    kinds=("model",),
    reads_fields=True,
)
def _pipeline(card: "Card") -> Iterator[Flaw]:
    if any(path.endswith(_WEIGHTS) for path in card.files.sizes):  # a tokenizer alone has no task
        yield from _absent(card, "pipeline_tag", "people filter by it, and it chooses the widget")


@rule(
    Severity.WARNING,
    "base-model-missing",
    "An adapter names the model that it changes.",
    kinds=("model",),
    reads_fields=True,
)
def _base(card: "Card") -> Iterator[Flaw]:
    if "adapter_config.json" in card.files.sizes:
        yield from _absent(card, "base_model", "there is an adapter_config.json, so this needs another model")


@rule(
    Severity.WARNING, "synthetic-creators", "Synthetic text is called machine-generated.", kinds=("dataset",),
    reads_fields=True,
)  # fmt: skip
def _creators(card: "Card") -> Iterator[Flaw]:
    synthetic = [line for line, tag in card.texts("tags") if tag == "synthetic"]
    made = [value for _, value in card.texts("language_creators")]
    if synthetic and "machine-generated" not in made:
        message = "the tag says synthetic, and language_creators does not say machine-generated"
        yield Flaw(synthetic[0], message, "add language_creators: [machine-generated]")


def _absent(card: "Card", name: str, why: str) -> Iterator[Flaw]:
    if name not in card.fields:
        yield Flaw(card.front.line(), f"{name} is missing: {why}", f"add {name}")


def _is(value: Any, wanted: str) -> bool:
    texts = isinstance(value, list) and all(isinstance(item, str) for item in value)
    return {
        _TEXT: isinstance(value, str),
        _TEXTS: isinstance(value, str) or texts,
        _TAGS: texts,
        _LIST: isinstance(value, list),
        _FLAG: isinstance(value, bool),
        _NUMBER: isinstance(value, int) and not isinstance(value, bool),
        _INFOS: isinstance(value, dict | list),
        _ANY: True,
    }[wanted]


def _told(card: "Card", name: str, value: Any, wanted: str) -> tuple[str, str]:
    """Return message and mend; YAML's own surprises, such as ``language: no``, are called by their name."""
    items = [value] if not isinstance(value, list) else value
    paths = [(name,)] if not isinstance(value, list) else [(name, i) for i in range(len(value))]
    for item, path in zip(items, paths, strict=True):
        raw = card.front.raw(*path)
        if raw and not isinstance(item, str | dict | list) and wanted in (_TEXT, _TEXTS, _TAGS):
            kind = type(item).__name__
            return f"{name} holds {raw}, which YAML reads as a {kind} and not as a text", f'write "{raw}"'
    return f"{name} is not {wanted}", f"write {wanted}"
