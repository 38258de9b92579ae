"""Rules on the text: no left-overs of generators, no secrets, no paths of one machine."""

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from hubkit.cards.findings import Flaw, Severity, rule
from hubkit.publishing.merging import MarkError, pieces
from hubkit.publishing.sources import contains_token

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_UNFILLED = re.compile(r"\[?\bMore information (?:is )?needed\b\]?", re.I)
_TITLE = re.compile(r"(?:Model Card for (?:Model ID|None)|Dataset Card for (?:Dataset Name|None))\s*$", re.I)
_TODO = re.compile(r"\b(?:TODO|FIXME|TBD)\b|\b[Ll]orem ipsum\b")
_NONE = re.compile(
    r"\[None\]\([^)]*\)|huggingface\.co/None\b|\bthe None dataset\b|\ban unknown dataset\b|\[\]\(https?://"
)
# Titles of BibTeX entries have double braces too.
_UNRENDERED = re.compile(r"(?<![={\"])(?<!= )\{\{\s*[a-z_][\w.]*\s*(?:\|[^{}]*)?\}\}|\{%[^{}]*%\}|\[optional\]")
_BEG = re.compile(
    r"<!--\s*(?:This model card has been generated automatically|Provide a (?:quick|longer) summary|"
    r"You should probably proofread|This section (?:is|describes)|Address questions around)",
    re.I,
)
_END = re.compile(r"<!-- /hubkit:([a-z][a-z0-9-]*) -->")
_OTHER_SECRETS = re.compile(
    r"\bgh[pousr]_[A-Za-z0-9]{36}|\bgithub_pat_\w{60,}|\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}|\bAKIA[0-9A-Z]{16}\b|"
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----"
)
_MACHINE = re.compile(
    r"(?<![\w./:~-])(?:/(?:home|Users|root|mnt|scratch|workspace|kaggle|gpfs|lustre|content/drive)/"
    r"[\w.@+-]+[^\s\"'`)\]|,;]*|[A-Za-z]:\\\\?[\w.@+-]+[^\s\"'`)\]|,;]*)"
)


@rule(Severity.ERROR, "placeholder-unfilled", "No template's blank is left, such as [More Information Needed].")
def _unfilled(card: "Card") -> Iterator[Flaw]:
    yield from _in_prose(card, _UNFILLED, "nobody filled in {}", "write it, or remove the section")


@rule(Severity.ERROR, "placeholder-title", "The title names the repository and not the template's example.")
def _title(card: "Card") -> Iterator[Flaw]:
    for heading in card.body.headings:
        if _TITLE.match(heading.text):
            yield Flaw(heading.line, f"the title is still {heading.text!r}", "name what this is")
    for line, value in card.texts("pretty_name"):
        if value == "Dataset Name":
            yield Flaw(line, "pretty_name is still the template's", "name what this is")


@rule(Severity.ERROR, "placeholder-none", "No sentence was written around something that was not known.")
def _none(card: "Card") -> Iterator[Flaw]:
    yield from _in_prose(
        card, _NONE, "{} was written by a program that knew no better", "name it, or remove the sentence"
    )


@rule(Severity.WARNING, "placeholder-todo", "No TODO and no lorem ipsum is left.")
def _todo(card: "Card") -> Iterator[Flaw]:
    yield from _in_prose(card, _TODO, "{} is left in the text", "do it, or remove it")


@rule(Severity.ERROR, "placeholder-template", "No template's own syntax is left.")
def _template(card: "Card") -> Iterator[Flaw]:
    yield from _in_prose(card, _UNRENDERED, "{} is left of a template", "write what belongs there, or remove it")


@rule(Severity.WARNING, "placeholder-comment", "No comment of a generator asks to finish the card.")
def _comment(card: "Card") -> Iterator[Flaw]:
    first = card.front.body_line
    for i, text in enumerate(card.front.body.splitlines()):
        if _BEG.search(text):
            yield Flaw(
                first + i, "a comment of the program that wrote this card asks to finish it", "do so, and remove it"
            )


@rule(Severity.WARNING, "body-empty", "Below the metadata stands a text.")
def _body(card: "Card") -> Iterator[Flaw]:
    text = [line for _, line in card.body.prose if line.strip() and not line.lstrip().startswith(("#", "<!--"))]
    if not text and not card.body.blocks and card.front.trouble is None:
        yield Flaw(card.front.body_line, "the card says nothing in words", "write what this is and how to use it")


@rule(Severity.WARNING, "heading-duplicate", "No two headings of one section are the same.")
def _headings(card: "Card") -> Iterator[Flaw]:
    above: list[tuple[int, str]] = []
    seen: dict[tuple[str, ...], int] = {}
    for heading in card.body.headings:
        above = [(level, text) for level, text in above if level < heading.level]
        above.append((heading.level, heading.text.casefold()))
        key = tuple(text for _, text in above)
        if key in seen:
            message = f"{heading.text!r} is a heading here and in line {seen[key]}"
            yield Flaw(heading.line, message, "join the two, or rename one")
        seen.setdefault(key, heading.line)


@rule(Severity.ERROR, "section-unbalanced", "Every section of hubkit that begins also ends, once.")
def _sections(card: "Card") -> Iterator[Flaw]:
    try:
        found = pieces(card.front.body)
    except MarkError as error:
        line = card.front.body_line + card.front.body.count("\n", 0, error.place)
        message, _, mend = str(error).removeprefix("README.md: ").partition(": ")
        yield Flaw(line, message, mend)
        return
    line, names = card.front.body_line, set()
    for piece in found:
        if piece.name is None and (stray := _END.search(piece.text)):
            place = line + piece.text.count("\n", 0, stray.start())
            yield Flaw(place, f"the section {stray.group(1)} ends here and begins nowhere", "remove this mark")
        elif piece.name is not None and piece.name in names:
            yield Flaw(line, f"the section {piece.name} is here for the second time", "remove one of the two")
        names.add(piece.name)
        line += piece.text.count("\n")


@rule(Severity.ERROR, "secret", "No access token stands in the card.")
def _secret(card: "Card") -> Iterator[Flaw]:
    for i, text in enumerate(card.text.splitlines(), 1):
        if contains_token(text.encode()) or _OTHER_SECRETS.search(text):
            yield Flaw(i, "this looks like an access token", "take it out, and revoke it: the history keeps it")


@rule(Severity.ERROR, "path-local", "No path of one machine stands in the card.")
def _paths(card: "Card") -> Iterator[Flaw]:
    # Where an id should be, another rule finds the path.
    ids = {line for name in ("base_model", "datasets", "models") for line, _ in card.texts(name)}
    for i, text in enumerate(card.text.splitlines(), 1):
        if i not in ids and (match := _MACHINE.search(text)):
            yield Flaw(i, f"{match.group(0)} is a path of one machine", "name a repository, or a path in this one")


def _in_prose(card: "Card", pattern: re.Pattern[str], message: str, mend: str) -> Iterator[Flaw]:
    """Yield the places of a pattern outside of code, one a line."""
    for line, text in card.body.prose:
        if match := pattern.search(text):
            yield Flaw(line, message.format(match.group(0)), mend)
