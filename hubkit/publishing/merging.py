"""Puts hubkit's part into a README and leaves everybody else's as it was, byte for byte.

hubkit owns what lies between ``<!-- hubkit:NAME -->`` and ``<!-- /hubkit:NAME -->``, wherever a person moved it, and
the front matter's fields that it sets. A section that hubkit no longer writes is taken out, a new one goes to the end.
What people wrote between the marks all the same stays, below the section: see :mod:`hubkit.publishing.edits`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing import frontmatter
from hubkit.publishing.sources import CARD, CardFacts

_MARK = re.compile(r"<!-- (/?)hubkit:([a-z][a-z0-9-]*) -->")


class MarkError(UserError):
    """A mark of hubkit's in a README has no partner."""

    def __init__(self, message: str, place: int):
        super().__init__(message)
        self.place = place
        """Where in the body the section begins."""


@dataclass(frozen=True)
class Piece:
    """A stretch of a README: one of hubkit's sections, marks included, or (without a name) somebody's text."""

    name: str | None
    text: str


def merge_card(
    existing: bytes | None,
    facts: CardFacts,
    written: Mapping[str, Any] | None = None,
    kept: Mapping[str, str] | None = None,
) -> bytes:
    """Return the README to publish.

    Args:
        existing: The README that is there, if any.
        facts: What hubkit has to say.
        written: What hubkit set the last time: see :func:`.frontmatter.merged`.
        kept: By section what people wrote into it.

    Raises:
        UserError: The README that is there can't be read; it is never overwritten then.
    """
    text = _decoded(existing)
    if not text.strip():
        yaml_text = frontmatter.merged("", facts.metadata, facts.defaults, "\n", {})
        return f"---\n{yaml_text}\n---\n\n{facts.body.strip()}\n".encode()
    newline = "\r\n" if "\r\n" in text else "\n"
    opening, yaml_text, closing, body = frontmatter.split(text)
    yaml_text = frontmatter.merged(yaml_text, facts.metadata, facts.defaults, newline, written or {})
    body = merge_body(body, facts.body, newline, kept or {})
    if not opening:
        opening, closing = f"---{newline}", f"{newline}---{newline}"
        mark, body = ("\ufeff", body[1:]) if body.startswith("\ufeff") else ("", body)
        return f"{mark}{opening}{yaml_text}{closing}{newline}{body}".encode()
    if yaml_text and not closing.startswith(("\r", "\n")):  # the block was empty, so its end stood on the second line
        closing = newline + closing
    if body and not closing.endswith(("\r", "\n")):
        closing += newline
    return f"{opening}{yaml_text}{closing}{body}".encode()


def merge_body(body: str, ours: str, newline: str = "\n", kept: Mapping[str, str] | None = None) -> str:
    """Return a Markdown body in which hubkit's sections are the given ones.

    Args:
        body: What is there.
        ours: hubkit's Markdown; only its sections count.
        newline: The line ending to write.
        kept: By section what people wrote into it, which goes below it.
    """
    wanted = {piece.name: piece.text.replace("\n", newline) for piece in pieces(ours) if piece.name}
    parts, seen, theirs = [], set(), {name: text.replace("\n", newline) for name, text in (kept or {}).items() if text}
    for piece in pieces(body):
        parts.append(piece.text if piece.name is None else wanted.get(piece.name, ""))
        if text := theirs.pop(piece.name or "", None):
            parts.append(f"{newline * 2 if parts[-1] else ''}{text}{newline}")
        seen.add(piece.name)
    result = "".join(parts)
    for name, section in wanted.items():
        if name not in seen:
            gap = "" if not result else newline if result.endswith(newline) else newline * 2
            result += gap + section + newline
    return result


def pieces(body: str) -> list[Piece]:
    """Cut a Markdown body into hubkit's sections and the text between them.

    Raises:
        MarkError: A mark is opened and not closed, or another section begins inside.
    """
    found, place, opened = [], 0, None
    for mark in _MARK.finditer(body):
        closes, name = mark.group(1) == "/", mark.group(2)
        if opened is None and not closes:
            found.append(Piece(None, body[place : mark.start()]))
            place, opened = mark.start(), name
        elif opened == name and closes:
            found.append(Piece(name, body[place : mark.end()]))
            place, opened = mark.end(), None
        elif opened is not None:
            raise MarkError(
                f"{CARD}: the section <!-- hubkit:{opened} --> meets {mark.group(0)} before its end: "
                f"put <!-- /hubkit:{opened} --> back where it ended, or remove its first mark",
                place,
            )
    if opened is not None:
        raise MarkError(
            f"{CARD}: the section <!-- hubkit:{opened} --> has no end: add <!-- /hubkit:{opened} -->", place
        )
    found.append(Piece(None, body[place:]))
    return [piece for piece in found if piece.text]


def _decoded(existing: bytes | None) -> str:
    try:
        return (existing or b"").decode()
    except UnicodeDecodeError as error:
        raise UserError(f"{CARD} is not UTF-8 text (at byte {error.start}): save it as UTF-8") from None
