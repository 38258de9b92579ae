"""What people wrote inside a section of hubkit's: found by the hash of what was written there, and kept below it."""

import difflib
import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from hubkit.publishing import frontmatter
from hubkit.publishing.merging import pieces


@dataclass(frozen=True)
class Edit:
    """A change that somebody made between hubkit's marks."""

    section: str
    text: str
    """The lines that are theirs; empty where they only took some out."""

    def __str__(self) -> str:
        """Return what becomes of it, for the plan."""
        if not self.text:
            return f"section {self.section}: somebody took lines out of it, and hubkit writes them again"
        lines = len([line for line in self.text.splitlines() if line.strip()])
        what = "a line" if lines == 1 else f"{lines} lines"
        return (
            f"section {self.section}: somebody wrote {what} between hubkit's marks, and hubkit writes that section "
            "anew; the text moves below it, so edit it there"
        )


def hashes(body: str) -> dict[str, str]:
    """Return the sha256 of every section in a body of hubkit's, by name."""
    return {piece.name: _sha256(piece.text) for piece in pieces(body) if piece.name}


def edits(
    existing: bytes, ours: str, recorded: Mapping[str, str], released: Callable[[], bytes | None]
) -> dict[str, Edit]:
    """Return what people changed in hubkit's sections since these were written, by section.

    Args:
        existing: The README that is there.
        ours: The Markdown that hubkit is going to write.
        recorded: The hashes of the sections as hubkit wrote them; of others nothing is known.
        released: Reads the README of the last release, which tells old lines of hubkit's from people's.
    """
    wanted = {piece.name: piece.text for piece in pieces(ours)}
    found: dict[str, Edit] = {}
    base: dict[str, str] | None = None
    for name, text in _sections(existing):
        if name not in recorded or _sha256(text) == recorded[name] or text == wanted.get(name) or name in found:
            continue
        if base is None:
            base = {name: text for name, text in _sections(released() or b"") if _sha256(text) == recorded.get(name)}
        # What was written between releases (a pull request, another card) is not there to compare with; what is going
        # to be written is next to it, and no line of that is lost.
        found[name] = Edit(name, _added(base.get(name, wanted.get(name, "")), text))
    return found


def _sections(readme: bytes) -> list[tuple[str, str]]:
    body = frontmatter.split(readme.decode("utf-8", "replace").replace("\r\n", "\n"))[3]
    return [(piece.name, piece.text) for piece in pieces(body) if piece.name]


def _added(base: str, text: str) -> str:
    """Return the lines inside a section that its base does not have; all of them where there is no base."""
    old, new = (_inside(side).splitlines() for side in (base, text))
    changes = difflib.SequenceMatcher(None, old, new, autojunk=False).get_opcodes()
    hunks = ["\n".join(new[start:stop]).strip("\n") for how, _, _, start, stop in changes if how != "equal"]
    return "\n\n".join(hunk for hunk in hunks if hunk.strip())


def _inside(section: str) -> str:
    return section.partition("-->")[2].rpartition("<!--")[0]


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
