"""Rules on values of the metadata: only the spellings that the Hub knows."""

import re
from collections.abc import Callable, Collection, Iterator
from typing import TYPE_CHECKING

from hubkit.cards import legal
from hubkit.cards.findings import Flaw, Severity, rule

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_METRIC = re.compile(r"[a-z0-9][a-z0-9_.-]*(/[a-z0-9_.-]+)?")


def _among(field: str, values: Callable[[], Collection[str]], what: str) -> Callable[["Card"], Iterator[Flaw]]:
    """Return a check that a field holds nothing but some values."""

    def check(card: "Card") -> Iterator[Flaw]:
        for line, value in card.texts(field):
            if value and value not in values():
                mend = legal.nearest(value, values(), what)
                yield Flaw(line, f"{field}: {value} is not one of the Hub's values", mend)

    return check


_DATASET, _MODEL = ("dataset",), ("model",)
_TASK = "a task of huggingface.co/tasks"
for _field, _kinds, _severity, _values, _what, _about in (
    ("license", ("model", "dataset", "space"), Severity.ERROR, lambda: legal.LICENSES,
     "license: other, with license_name and license_link", "license is one of the Hub's identifiers."),
    ("task_categories", _DATASET, Severity.ERROR, lambda: legal.TASKS, _TASK, "task_categories are tasks of the Hub."),
    ("task_ids", _DATASET, Severity.ERROR, lambda: legal.TASK_IDS,
     "it under tags: instead", "task_ids are subtasks that the Hub knows."),
    ("annotations_creators", _DATASET, Severity.ERROR, lambda: legal.from_datasets("creators")["annotations"],
     "", "annotations_creators are the Hub's, such as no-annotation."),
    ("language_creators", _DATASET, Severity.ERROR, lambda: legal.from_datasets("creators")["language"],
     "", "language_creators are the Hub's, such as machine-generated."),
    ("multilinguality", _DATASET, Severity.ERROR, lambda: legal.from_datasets("multilingualities"),
     "", "multilinguality is monolingual, multilingual, translation or other."),
    ("pipeline_tag", _MODEL, Severity.ERROR, lambda: legal.TASKS, _TASK, "pipeline_tag is a task of the Hub."),
    ("library_name", _MODEL, Severity.WARNING, lambda: legal.LIBRARIES,
     "the library's name as the Hub lists it, if it does", "library_name is a library that the Hub knows."),
    ("base_model_relation", _MODEL, Severity.ERROR, lambda: legal.BASE_MODEL_RELATIONS,
     "", "base_model_relation is adapter, merge, quantized or finetune."),
):  # fmt: skip
    rule(_severity, f"{_field.replace('_', '-')}-legal", _about, kinds=_kinds, reads_fields=True)(
        _among(_field, _values, _what)
    )


@rule(Severity.ERROR, "language-legal", "language holds ISO 639 codes.", kinds=("model", "dataset"), reads_fields=True)
def _language(card: "Card") -> Iterator[Flaw]:
    languages = legal.from_datasets("languages")
    for line, value in card.texts("language"):
        if value and not legal.is_language(value):
            codes = [code for code, name in languages.items() if name.lower() == value.lower()]
            mend = f"write {codes[0]}" if codes else "write the ISO 639 code, such as en"
            yield Flaw(line, f"language: {value} is not a language code", mend)


@rule(Severity.ERROR, "license-other", "license: other comes with license_name and license_link.", reads_fields=True)
def _other(card: "Card") -> Iterator[Flaw]:
    if "other" in [value for _, value in card.texts("license")]:
        missing = [name for name in ("license_name", "license_link") if not card.fields.get(name)]
        if missing:
            message = f"license: other, and {' and '.join(missing)} missing: readers can't tell which licence it is"
            yield Flaw(card.front.line("license"), message, f"add {' and '.join(missing)}")


@rule(Severity.WARNING, "license-name-unused", "license_name goes with license: other.", reads_fields=True)
def _unused(card: "Card") -> Iterator[Flaw]:
    licences = [value for _, value in card.texts("license")]
    if "license_name" in card.fields and licences and "other" not in licences:
        message = f"license_name is shown for license: other, and license is {', '.join(licences)}"
        yield Flaw(card.front.line("license_name"), message, "remove it, or write license: other")


@rule(Severity.WARNING, "metrics-legal", "metrics holds ids, such as accuracy.", kinds=("model",), reads_fields=True)
def _metrics(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("metrics"):
        if not _METRIC.fullmatch(value):
            yield Flaw(
                line, f"metrics: {value} is not the id of a metric", "write the id, such as accuracy or perplexity"
            )
