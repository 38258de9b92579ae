"""Rules on the YAML at the top: it is there, it can be read, and it says everything once."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from hubkit.cards.findings import Flaw, Severity, rule

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_GUIDES = {"model": "model-cards", "dataset": "datasets-cards", "space": "spaces-config-reference"}


@rule(Severity.ERROR, "front-matter-missing", "A card begins with metadata between two lines of ---.")
def _missing(card: "Card") -> Iterator[Flaw]:
    if not card.front.present:
        guide = f"https://huggingface.co/docs/hub/{_GUIDES[card.kind]}"
        yield Flaw(1, "there is no metadata", f"begin the card with YAML between two lines of --- ({guide})")
    elif card.front.fields == {}:
        yield Flaw(card.front.line(), "the metadata is empty", "name at least the license between the lines of ---")


@rule(Severity.ERROR, "front-matter-open", "The line of --- that opens the metadata has another that closes it.")
def _open(card: "Card") -> Iterator[Flaw]:
    yield from _trouble(card, "front-matter-open", "put a line of --- below the last field")


@rule(Severity.ERROR, "front-matter-yaml", "The metadata is valid YAML.")
def _yaml(card: "Card") -> Iterator[Flaw]:
    if not any(True for _ in _tab_lines(card)):
        yield from _trouble(card, "front-matter-yaml", "texts that hold : or # or begin with a mark need quotes")


@rule(Severity.ERROR, "front-matter-mapping", "The metadata is a mapping of fields to values.")
def _mapping(card: "Card") -> Iterator[Flaw]:
    yield from _trouble(card, "front-matter-mapping", "write each field as NAME: VALUE")


@rule(Severity.ERROR, "front-matter-tabs", "The metadata is indented by blanks.")
def _tabs(card: "Card") -> Iterator[Flaw]:
    for line in _tab_lines(card):
        yield Flaw(line, "a tab indents this line, which YAML forbids", "write blanks")


@rule(Severity.ERROR, "front-matter-duplicate", "No field comes twice.")
def _duplicate(card: "Card") -> Iterator[Flaw]:
    for line, name in sorted(card.front.duplicates):
        yield Flaw(line, f"the key {name} stands here for the second time, and readers keep one", "remove one")


def _trouble(card: "Card", name: str, mend: str) -> Iterator[Flaw]:
    trouble = card.front.trouble
    if trouble and trouble[1] == name:
        yield Flaw(trouble[0], trouble[2], mend)


def _tab_lines(card: "Card") -> Iterator[int]:
    for i, text in enumerate(card.front.yaml.splitlines()):
        if "\t" in text[: len(text) - len(text.lstrip())]:
            yield card.front.first_line + i
