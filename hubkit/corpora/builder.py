"""What a family of corpora is: a spec, a schema, and blocks of rows that depend on nothing but spec and position."""

import errno
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, NamedTuple

import pyarrow as pa
from pydantic import AfterValidator, Field

from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.errors import UserError
from hubkit.randomness import item_seed, item_seeds, stream_key
from hubkit.specs import Spec

MAX_ATTEMPTS = 1000
"""After so many rejected draws of one row the spec is taken to be impossible."""


MAX_FAILURES = 100
"""So many exceptions in a builder's own code are borne, each row drawn again, before a build stops."""


def check_split(split: str) -> str:
    """Return the name of a split if it is free (a validator of pydantic's)."""
    if split == "all":
        raise ValueError("'all' means every split to `datasets`; choose another name")
    return split


SplitName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$"), AfterValidator(check_split)]


class CorpusSpec(Spec):
    """What every corpus is described by; a family adds its own fields."""

    builder: str
    """Name of the family, such as ``lorenz``."""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    """Seed of the whole corpus; two seeds share no stream."""

    def limited(self, rows: int) -> dict[str, Any]:
        """Return the fields that keep at most so many rows of each split and differ from this spec's."""
        raise UserError(f"limit: {self.builder} has no smaller corpus of the same rows")

    def located(self, folder: Path, names: Sequence[str]) -> dict[str, Any]:
        """Return the fields that have the corpus read its sources from `folder`, where they lie under these names."""
        raise UserError(f"sources: {self.builder} can't be told where they are")


class CountedSpec(CorpusSpec):
    """A corpus that is as large as one says: most that are generated."""

    splits: Annotated[dict[SplitName, Annotated[int, Field(gt=0)]], Field(min_length=1)]
    """Rows of each split, in order."""

    def limited(self, rows: int) -> dict[str, Any]:
        """Return smaller splits."""
        return {"splits": {split: min(count, rows) for split, count in self.splits.items()}}


class Failure(NamedTuple):
    """An exception that a builder raised while it drew a row; the row was then drawn again."""

    index: int
    attempt: int
    error: str
    """The traceback."""


@dataclass(frozen=True)
class Block:
    """Consecutive rows of one split."""

    rows: pa.RecordBatch
    """The rows, in the builder's schema."""
    rejected: int = 0
    """How many draws were rejected and redrawn on the way."""
    failures: tuple[Failure, ...] = ()
    """Draws that raised an exception and were redrawn; they are not counted as rejected."""


class Source(NamedTuple):
    """Something from outside that rows were made of."""

    name: str
    """Its path or address, as the spec led to it."""
    bytes: int
    sha256: str


@contextmanager
def blamed(builder: "CorpusBuilder | type[CorpusBuilder]", where: str) -> Iterator[None]:
    """Make what a builder's code raises a `RuntimeError` that says where; what a user can mend, or a full disk, passes.

    Its own kind of exception might not survive the way to the parent process, or be taken for the output's disk.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if isinstance(error, OSError) and full_disk(error):
            raise
        raise RuntimeError(f"{builder.name} failed {where}: {type(error).__name__}: {error}") from error


def full_disk(error: OSError) -> bool:
    """Tell whether a disk or a quota is full; Arrow and NumPy say so by their messages alone."""
    said = str(error)
    partly = "requested and" in said and said.endswith("written")
    return (
        error.errno in (errno.ENOSPC, errno.EDQUOT)
        or partly
        or any(words in said for words in ("No space left", "Not enough free space"))
    )


def too_many(failures: Sequence[Failure], most: int) -> UserError:
    """Return what to raise when there are more failures than are borne; it shows the last of them."""
    last = failures[-1]
    return UserError(
        f"max_failures: the builder's code raised more than {most} exceptions; mend it or raise the limit. The last, "
        f"on attempt {last.attempt} of row {last.index}:\n{last.error}"
    )


class CorpusBuilder:
    """A family of corpora. Subclasses state the class attributes and say how row *i* comes about.

    Row *i* of a split is a pure function of (spec, split, i): see :mod:`hubkit.randomness` for the stream that makes
    it so. A subclass implements :meth:`row` (one at a time), or overrides :meth:`block` (many at once), or overrides
    :meth:`blocks` (one after the other, where that is cheaper than each for itself).

    What must be known before any row can be made, such as which documents a set of files holds, is the preparation:
    :meth:`pieces` names its independent pieces of work, :meth:`prepare` does one of them, in any process, and
    :meth:`join` puts them together. The engine runs it once a corpus, keeps finished pieces after a crash, and sets
    `prepared` before it asks for anything else.
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
    origin: ClassVar[Literal["generated", "found"]] = "generated"
    """Whether a program made the rows up, or people wrote what they hold."""
    license: ClassVar[str] = "apache-2.0"
    """Licence of the corpora that this family makes, as the Hub spells it."""
    tokenizer: ClassVar[str | None] = None
    """Name of the tokenizer that fits the `text` column (see :mod:`hubkit.tokenizers`), if there is one."""
    libraries: ClassVar[tuple[str, ...]] = ("numpy", "pyarrow")
    """Distributions whose versions the manifest records."""

    prepared: Path = Path()
    """Where the joined preparation lies."""
    max_failures: int = MAX_FAILURES
    """How many exceptions of its own code a build bears."""

    def __init__(self, spec: CorpusSpec):
        self.spec = spec

    @classmethod
    def read_foreign(cls, text: str) -> dict[str, Any] | None:
        """Return the fields of a spec from a config file of another program; None where the text is something else."""
        return None

    def pieces(self) -> Sequence[str]:
        """Return the names of the pieces of the preparation, each any text, none twice; normally there are none."""
        return ()

    def prepare(self, piece: str, folder: Path) -> None:
        """Do one piece of the preparation and leave what it found in `folder`, which is empty and its own."""
        raise NotImplementedError

    def join(self, pieces: Sequence[Path], folder: Path) -> None:
        """Put the pieces' folders, in the order of :meth:`pieces`, together in `folder`, which is empty.

        The pieces' folders stay until the last shard is made, so what is joined may point into them.
        """

    @property
    def recorded(self) -> CorpusSpec:
        """The spec as the manifest and the card show it: the same, without where sources lie on this machine."""
        return self.spec

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows of each split, in order."""
        assert isinstance(self.spec, CountedSpec), f"{type(self).__name__} says in rows how many there are"
        return self.spec.splits

    def sources(self) -> Sequence[Source]:
        """Return what was read from outside, for the manifest and for whoever makes the rows again."""
        return ()

    def sizes(self) -> Mapping[str, int]:
        """Return the bytes that :meth:`sources` have now, by name, as far as that can be told without reading them.

        By these a finished build notices that its sources have changed. Asked for before there is a preparation.
        """
        return {}

    def facts(self) -> dict[str, Any]:
        """Return what else the manifest and the card should say (plain data): counts, licences of parts."""
        return {}

    def reports(self) -> Mapping[str, Path]:
        """Return files to put beside the manifest, by name, such as a list of lines that could not be read."""
        return {}

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

    def blocks(self, split: str, start: int, stop: int) -> Iterator[Block]:
        """Yield rows `start` to `stop` (exclusive) of a split, in blocks of `BLOCK_ROWS`; `start` begins one."""
        for first in range(start, stop, BLOCK_ROWS):
            yield self.block(split, first, min(first + BLOCK_ROWS, stop))

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split.

        A draw that is rejected or raises an exception is drawn again, whole, under the next attempt.

        Raises:
            UserError: A row failed `MAX_ATTEMPTS` times, or has other columns than the schema.
        """
        key, columns = self.stream(split), set(self.schema.names)
        rows, rejected, failures = [], 0, []
        for index, seed in zip(range(start, stop), item_seeds(key, range(start, stop)), strict=True):
            row, attempt = self._tried(seed, index, 0, failures), 0
            while row is None:
                attempt += 1
                if attempt == MAX_ATTEMPTS:
                    raise UserError(self._hopeless(split, index, failures))
                row = self._tried(item_seed(key, index, attempt), index, attempt, failures)
            if row.keys() != columns:  # Arrow would drop what the schema lacks, and make null what the row lacks
                raise UserError(
                    f"row {index} of {split} has {sorted(row)} and the schema of {self.name} {sorted(columns)}"
                )
            rejected += attempt
            rows.append(row)
        return Block(pa.RecordBatch.from_pylist(rows, schema=self.schema), rejected - len(failures), tuple(failures))

    def _tried(self, seed: int, index: int, attempt: int, failures: list[Failure]) -> dict[str, Any] | None:
        """Return a row, or None where this draw is rejected or fails; note how it failed."""
        try:
            return self.row(seed)
        except (UserError, NotImplementedError):
            raise
        except Exception:
            failures.append(Failure(index, attempt, traceback.format_exc()))
            if len(failures) > self.max_failures:
                raise too_many(failures, self.max_failures) from None
            return None

    def _hopeless(self, split: str, index: int, failures: list[Failure]) -> str:
        failed = sum(failure.index == index for failure in failures)
        remark = f" ({failed} of them by an exception; the last:\n{failures[-1].error})" if failed else ""
        return f"row {index} of {split}: {MAX_ATTEMPTS} draws in a row were rejected; this spec can't be met{remark}"
