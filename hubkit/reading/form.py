"""How the records of a source are to be read."""

import codecs
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from hubkit.specs import Spec


def _text_encoding(name: str) -> str:
    if name == "auto":
        return name
    try:
        known = codecs.lookup(name).name
        "".encode(known)  # refuses codecs such as hex, which make bytes of bytes
    except (LookupError, ValueError):
        raise ValueError("no such encoding; name one that Python knows, such as latin-1, or auto") from None
    return known


class Form(Spec):
    """How to read the records of a source."""

    format: Literal["auto", "jsonl", "lines", "paragraphs"] = "auto"
    """`jsonl`: one JSON object a line. `auto`: JSON by its content, which may also be one array of objects, or objects
    printed over several lines. `lines`: plain text, one document a line. `paragraphs`: plain text, documents apart by
    blank lines, as in CC-100."""
    text_field: Annotated[str, Field(min_length=1)] = "text"
    """The field of a JSON object that holds the text."""
    meta_field: Annotated[str, Field(min_length=1)] = "meta"
    """The field of a JSON object that holds what is known about the text."""
    encoding: Annotated[str, AfterValidator(_text_encoding)] = "auto"
    """Name of a character encoding; `auto` is UTF-8, or UTF-16 or UTF-32 where the first bytes tell."""
    max_document_bytes: Annotated[int, Field(gt=0)] = 2**28
    """A longer record is bad, and is never held in memory whole."""

    @property
    def is_plain(self) -> bool:
        """Whether records are plain text, whose end only shows by what follows."""
        return self.format in ("lines", "paragraphs")
