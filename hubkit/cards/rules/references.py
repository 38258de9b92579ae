"""Rules on what the metadata names: repositories, by ids that can be followed."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hubkit.cards import legal
from hubkit.cards.findings import Flaw, Severity, rule

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_PART = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?"
_REPO = re.compile(rf"(?:{_PART}/)?{_PART}")
_URL = re.compile(r"https?://[^/]+/(?:datasets/|spaces/)?([^/?#]+/[^/?#]+)")
_PATH = re.compile(r"^(?:/|\.{1,2}/|~|[A-Za-z]:\\)|.*/.*/|(?:.*/)?checkpoint-\d+$")
_NOTHING = {"none", "null", "nan", "unknown", "n/a", "todo"}
_SOURCES = re.compile(r"original|extended(\|.+)?")


def reference_trouble(value: str) -> tuple[str, str] | None:
    """Say what is wrong with the id of a repository, and the mend; None where nothing is."""
    if value.lower() in _NOTHING:
        return f"{value} is no repository: a program wrote it where it knew none", "name the repository, or remove it"
    if url := _URL.match(value):
        return f"{value} is an address, not the id of a repository", f"write {url.group(1)}"
    if _PATH.match(value):
        return f"{value} is a path, not the id of a repository", "write OWNER/NAME as on the Hub"
    if not _REPO.fullmatch(value) or "--" in value or ".." in value:
        return f"{value} is not the id of a repository", "write OWNER/NAME as on the Hub"
    return None


def dataset_trouble(value: str) -> tuple[str, str] | None:
    """The same for a dataset, which must not be the name of a loader either."""
    if value in legal.LOADERS:
        message = f"{value} is a loader of the library datasets, not a dataset"
        return message, "name the dataset as OWNER/NAME, or remove it"
    return reference_trouble(value)


@rule(
    Severity.ERROR,
    "datasets-id",
    "datasets holds ids of datasets on the Hub.",
    kinds=("model", "space"),
    reads_fields=True,
)
def _datasets(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("datasets"):
        if trouble := dataset_trouble(value):
            yield Flaw(line, f"datasets: {trouble[0]}", trouble[1])


@rule(
    Severity.ERROR,
    "base-model-id",
    "base_model and new_version hold ids of models on the Hub.",
    kinds=("model",),
    reads_fields=True,
)
def _base(card: "Card") -> Iterator[Flaw]:
    for name in ("base_model", "new_version"):
        for line, value in card.texts(name):
            if trouble := reference_trouble(value):
                yield Flaw(line, f"{name}: {trouble[0]}", trouble[1])


@rule(Severity.ERROR, "base-model-itself", "A model is not its own base model.", kinds=("model",), reads_fields=True)
def _itself(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("base_model"):
        if value == card.name:
            yield Flaw(line, f"base_model names this very repository, {value}", "name the model that it began as")


@rule(Severity.ERROR, "models-id", "models holds ids of models on the Hub.", kinds=("space",), reads_fields=True)
def _models(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("models"):
        if trouble := reference_trouble(value):
            yield Flaw(line, f"models: {trouble[0]}", trouble[1])


@rule(
    Severity.ERROR, "source-datasets-id", "source_datasets holds original, extended or ids of datasets.",
    kinds=("dataset",), reads_fields=True,
)  # fmt: skip
def _sources(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("source_datasets"):
        trouble = None if _SOURCES.fullmatch(value) else dataset_trouble(value)
        if trouble:
            yield Flaw(line, f"source_datasets: {trouble[0]}", trouble[1])
