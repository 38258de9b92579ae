"""What a corpus of token ids is described by, and which descriptions are refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hubkit.corpora.builder import CorpusSpec, SplitName
from hubkit.reading.tokens_h5 import SUFFIXES

CORPUS, TOKENIZER = "corpus", "tokenizer"
"""What the folders of the sources are called."""


class TokensSpec(CorpusSpec):
    """A corpus of token ids."""

    builder: Literal["tokens"] = "tokens"
    corpus: Annotated[str, Field(min_length=1)]
    """Folder, Parquet file or Hub repository ``owner/name`` with the text, or an ``.h5`` file of tokens."""
    revision: str | None = None
    """Branch, tag or commit of a repository; null is the newest."""
    column: str = "text"
    """The column of text."""
    tokenizer: Annotated[str, Field(min_length=1)]
    """Folder, ``tokenizer.json``, ``owner/name[@revision]`` on the Hub, or one of hubkit's by name."""
    bos: str = "auto"
    """The token before each document: ``auto`` is the tokenizer's own if it has one, ``none`` puts nothing there."""
    eos: str = "none"
    """The token after each document, likewise."""
    dtype: Literal["auto", "uint16", "uint32"] = "auto"
    """The type of an id; ``auto`` is the narrowest that holds the vocabulary."""
    splits: Annotated[list[SplitName], Field(min_length=1)] | None = None
    """Which splits; null is all of them."""
    keep: Annotated[list[str], Field(default_factory=list)]
    """Columns to pass on beside the ids, such as the domain."""
    max_rows: Annotated[int, Field(gt=0)] | None = None
    """Only so many rows of each split, from its beginning."""
    dataset: str | None = None
    """Of an ``.h5`` file: the dataset with the tokens; null is the only one that is one row of integers."""
    chunk: Annotated[int, Field(gt=0, le=1 << 20)] = 65_536
    """Of an ``.h5`` file: tokens a row."""
    shares: Annotated[dict[SplitName, Annotated[float, Field(gt=0)]], Field(min_length=1)] = Field(
        default_factory=lambda: {"train": 0.98, "validation": 0.02}
    )
    """Of an ``.h5`` file: the splits, as parts of the whole, in the order in which they lie there."""

    def located(self, folder: Path, names: Sequence[str]) -> dict[str, Any]:
        """Return where the corpus is and, if it came from a file, the tokenizer."""
        whole = folder / CORPUS
        single = self.corpus.endswith((*SUFFIXES, ".parquet"))
        given = {"corpus": str(whole / self.corpus) if single else str(whole), "revision": None}
        return given | (
            {"tokenizer": str(folder / TOKENIZER)} if any(name.startswith(f"{TOKENIZER}/") for name in names) else {}
        )

    @property
    def flat(self) -> bool:
        """Whether the source is one long row of tokens."""
        return self.corpus.endswith(SUFFIXES)

    def limited(self, rows: int) -> dict[str, Any]:
        """Return how many rows of each split to take."""
        return {"max_rows": min(rows, self.max_rows or rows)}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if "input_ids" in self.keep:
            raise ValueError("keep: 'input_ids' is the name of the ids; rename that column of the source")
        if len(set(self.keep)) < len(self.keep):
            raise ValueError(f"keep: {self.keep} names a column twice; once is enough")
        if self.flat and self.keep:
            raise ValueError(f"keep: {self.corpus} has no columns; leave keep out")
        if self.flat and self.splits is not None:
            raise ValueError("splits: of an .h5 file, shares says which splits there are; leave splits out")
        return self
