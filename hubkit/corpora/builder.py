"""What a family of corpora is: a spec, a schema, and blocks of rows that depend on nothing but spec and position."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import pyarrow as pa
from pydantic import AfterValidator, Field

from hubkit.errors import UserError
from hubkit.randomness import item_seed, item_seeds, stream_key
from hubkit.specs import Spec

MAX_ATTEMPTS = 1000
"""After so many rejected draws of one row the spec is taken to be impossible."""


def _free(split: str) -> str:
    if split == "all":
        raise ValueError("'all' means every split to `datasets`; choose another name")
    return split


SplitName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(_free)]


class CorpusSpec(Spec):
    """What every corpus is described by; a family adds its own fields."""

    builder: str
    """Name of the family, such as ``lorenz``."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the whole corpus; two seeds share no stream."""
    splits: Annotated[dict[SplitName, Annotated[int, Field(gt=0)]], Field(min_length=1)]
    """Rows of each split, in order."""


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one split."""

    rows: pa.RecordBatch
    """The rows, in the builder's schema."""
    rejected: int
    """How many draws were rejected and redrawn on the way."""


class CorpusBuilder:
    """A family of corpora. Subclasses state the four class attributes and say how row *i* comes about.

    Row *i* of a split is a pure function of (spec, split, i): see :mod:`hubkit.randomness` for the stream that makes
    it so. A subclass either implements :meth:`row` (one at a time) or overrides :meth:`block` (many at once).
    """

    name: ClassVar[str]
    """The family's name; also the file's, and the `builder` field of its specs."""
    version: ClassVar[str]
    """The generator's version: raised by whoever changes any row of any spec."""
    spec_type: ClassVar[type[CorpusSpec]]
    schema: ClassVar[pa.Schema]
    configs: ClassVar[Mapping[str, CorpusSpec]]
    """Named specs that users can build at once, such as ``lorenz-tiny``."""
    summary: ClassVar[str]
    """How the rows are made, in two sentences for a reader of the dataset card."""
    license: ClassVar[str] = "apache-2.0"
    """Licence of the corpora that this family makes, as the Hub spells it."""
    tokenizer: ClassVar[str | None] = None
    """Name of the tokenizer that fits the `text` column (see :mod:`hubkit.tokenizers`), if there is one."""
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow")
    """Distributions whose versions the manifest records."""

    def __init__(self, spec: CorpusSpec):
        self.spec = spec

    @property
    def row_bytes(self) -> int:
        """A rough size of one row in memory, from which the shard plan is made."""
        return 1000

    def numerics(self) -> dict[str, str]:
        """What outside plain IEEE arithmetic the rows depend on, such as a LAPACK build; normally nothing."""
        return {}

    def stream(self, split: str) -> int:
        """Return the key of a split's stream (see :func:`hubkit.randomness.stream_key`)."""
        return stream_key(self.spec.seed, self.name, self.version, split)

    def row(self, seed: int) -> dict[str, Any] | None:
        """Return the row drawn from a 128-bit seed, with every column of the schema; None rejects this draw."""
        raise NotImplementedError(f"{type(self).__name__} implements neither row() nor block()")

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split; a rejected row is redrawn whole until one is kept.

        Raises:
            UserError: A row was rejected `MAX_ATTEMPTS` times, or has other columns than the schema.
        """
        key, columns = self.stream(split), set(self.schema.names)
        rows, rejected = [], 0
        for index, first_seed in zip(range(start, stop), item_seeds(key, range(start, stop)), strict=True):
            row, attempt = self.row(first_seed), 0
            while row is None:
                attempt += 1
                if attempt == MAX_ATTEMPTS:
                    raise UserError(
                        f"row {index} of {split}: {MAX_ATTEMPTS} draws in a row were rejected; this spec can't be met"
                    )
                row = self.row(item_seed(key, index, attempt))
            if row.keys() != columns:  # Arrow would drop what the schema lacks, and make null what the row lacks
                raise UserError(
                    f"row {index} of {split} has {sorted(row)} and the schema of {self.name} {sorted(columns)}"
                )
            rejected += attempt
            rows.append(row)
        return Block(pa.RecordBatch.from_pylist(rows, schema=self.schema), rejected)
