"""What a corpus of text is described by, and which descriptions are refused."""

import glob
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from hubkit.corpora.builder import CorpusSpec, SplitName
from hubkit.reading import Form

SHARES = {"train": 0.98, "validation": 0.01, "test": 0.01}


def _listed(files: Any) -> Any:
    return (files,) if isinstance(files, str) else files


class TextSpec(CorpusSpec):
    """Which text, and what to do with it."""

    builder: Literal["text"] = "text"
    files: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_listed)]
    """One or several: paths, globs (also ``**``), folders, or addresses such as ``s3://…`` and ``hf://datasets/…``."""
    form: Form = Form()
    """How the records are to be read (see :class:`hubkit.reading.Form`)."""
    shares: Annotated[dict[SplitName, Annotated[float, Field(gt=0)]], Field(min_length=1)] = SHARES
    """How much of the documents each split gets, in proportion; which ones, their keyed hashes decide."""
    split_field: Annotated[str, Field(min_length=1)] | None = None
    """Path of the field that names a document's split, such as ``meta.split``; it overrides `shares`."""
    min_characters: Annotated[int, Field(ge=0)] = 0
    """Shorter documents are left out (counted as they are written, after masking)."""
    max_characters: Annotated[int, Field(ge=1)] | None = None
    """Longer documents are left out."""
    mask_emails: bool = False
    """Whether to put `email_mask` in place of e-mail addresses, in texts and in the fields beside them."""
    email_mask: str = "<email>"
    near_duplicates: Literal["none", "minhash"] = "none"
    """Whether documents that are nearly the same go too, the first of them excepted (needs datatrove)."""
    domain_field: Annotated[str, Field(min_length=1)] | None = None
    """Path of the field that names a document's domain; unless set, where the big collections have it (such as
    ``meta.pile_set_name``), or else `domain`, or else the name of the file."""
    domain: Annotated[str, Field(min_length=1)] | None = None
    """Domain of the documents that name none."""
    license: str = "other"
    """Licence of the whole, as the Hub spells it."""
    licences: dict[str, str] = Field(default={})
    """Licence of each domain, where the documents don't state theirs in ``meta.licence``."""
    count_tokens: Annotated[str, Field(min_length=1)] | None = None
    """A tokenizer (its ``tokenizer.json``, a folder with one, or its name on the Hub) by which to count tokens."""
    max_bad: Annotated[int, Field(ge=0)] = 100
    """So many records that can't be read are borne, and"""
    max_bad_share: Annotated[float, Field(ge=0, le=1)] = 0.01
    """this share of all records; with more than both the build stops."""
    max_bad_files: Annotated[int, Field(ge=0)] = 0
    """So many files that are cut short, damaged or no text at all are borne; what could be read of them is kept."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """At most so many rows of each split, the first."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.max_characters is not None and self.max_characters < self.min_characters:
            raise ValueError(
                f"max_characters: {self.max_characters} is less than min_characters={self.min_characters}, so that no "
                "document is left; raise it"
            )
        return self

    def limited(self, rows: int) -> dict[str, Any]:
        """Return a lower limit."""
        return {"limit": min(rows, self.limit or rows)}

    def located(self, folder: Path, names: Sequence[str]) -> dict[str, Any]:
        """Return where the files are; what tokens were counted by changes no row."""
        return {"files": tuple(glob.escape(str(folder / name)) for name in names), "count_tokens": None}
