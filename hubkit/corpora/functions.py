"""A plain Python function as a builder: `row(index, random, spec)`, or a generator of a split's rows.

The random generator that a row gets is keyed by (seed, split, row, attempt), so the first rows stay as they are when
more are asked for. Whether the function keeps to its arguments can't be proved; a sample of its rows is drawn twice, in
another order, and must be the same.
"""

import inspect
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, Field

from hubkit.corpora.builder import MAX_ATTEMPTS, Block, CorpusBuilder, CorpusSpec, SplitName
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest
from hubkit.corpora.plain_rows import batch_of, checked, of_row, shown
from hubkit.corpora.tables import Part, RowReader
from hubkit.errors import UserError
from hubkit.randomness import generator

Function = Callable[..., Any]

SAMPLE_ROWS = 32
"""So many rows of each split are drawn first, for the schema, and once more, to compare."""

_END = object()


class FunctionRecord(BaseModel):
    """Which function it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    sha256: str | None
    """Of its text; null where Python could not say what that is."""
    yields: bool
    """Whether it yields the rows of a split, or returns one."""


class FunctionSpec(CorpusSpec):
    """The spec of rows that a function makes."""

    builder: Literal["function"] = "function"
    function: FunctionRecord
    spec: Any = None
    """What the function was given, as plain data."""
    splits: Annotated[dict[SplitName, Annotated[int, Field(gt=0)] | None], Field(min_length=1)]
    """Rows of each split; null is all that the function yields."""


class FunctionRows(CorpusBuilder):
    """Rows of a function; :func:`family_of` makes the class for one."""

    name = "function"
    version = "1"
    spec_type = FunctionSpec
    configs: ClassVar[Mapping[str, CorpusSpec]] = {}
    license = "unknown"
    summary = "Each row is what a Python function returns."
    function: ClassVar[Function]
    """Takes all three arguments, and gives what it was made of as many of them as that wants."""
    argument: ClassVar[Any]
    """What the function gets as its spec."""
    spec: FunctionSpec

    # --- one row at a time

    def draw(self, split: str, index: int) -> tuple[dict[str, Any], int]:
        """Return a row and how many draws were rejected before it.

        Raises:
            UserError: The function failed, or returns no row; shows which one and why.
        """
        for attempt in range(MAX_ATTEMPTS):
            with of_row(split, index):
                row = self.function(index, generator(self.stream(split), index, attempt), self.argument)
            if row is not None:
                return checked(row, split, index), attempt
        raise UserError(f"row {index} of {split}: the function returned None {MAX_ATTEMPTS} times; return a dict")

    def blocks(self, split: str, start: int, stop: int) -> Iterator[Block]:
        """Yield rows `start` to `stop` (exclusive), in blocks."""
        if self.spec.function.yields:
            yield from self._spooled(split, start, stop)
            return
        for first in range(start, stop, BLOCK_ROWS):
            rows, rejected = [], 0
            for index in range(first, min(first + BLOCK_ROWS, stop)):
                row, attempts = self.draw(split, index)
                rows.append(row)
                rejected += attempts
            yield Block(batch_of(rows, self.schema, split, first), rejected)

    # --- all rows of a split, one after the other

    def yielded(self, split: str) -> Iterator[dict[str, Any]]:
        """Yield the rows that a generator makes, at most as many as the spec says."""
        index = 0
        with of_row(split, 0):
            rows = iter(self.function(split, generator(self.stream(split), 0), self.argument))
        limit = self.spec.splits[split]
        while limit is None or index < limit:
            with of_row(split, index):
                row = next(rows, _END)
            if row is _END:
                return
            yield checked(row, split, index)
            index += 1

    def pieces(self) -> Sequence[str]:
        """Return the splits, whose rows are written down before anybody knows how many there are."""
        return list(self.spec.splits) if self.spec.function.yields else ()

    def prepare(self, piece: str, folder: Path) -> None:
        """Write the rows of a split down, in constant memory."""
        rows, first = self.yielded(piece), 0
        with pq.ParquetWriter(folder / "rows.parquet", self.schema, compression="zstd") as writer:
            while some := list(islice(rows, BLOCK_ROWS)):
                writer.write_batch(batch_of(some, self.schema, piece, first))
                first += len(some)
        wanted = self.spec.splits[piece]
        if wanted is not None and first < wanted:
            raise UserError(
                f"splits: {piece} has {first:,} rows, and {wanted:,} were asked for: ask for fewer, or None"
            )

    def join(self, pieces: Sequence[Path], folder: Path) -> None:
        """Note where the rows of each split are, and how many."""
        files = [str(piece / "rows.parquet") for piece in pieces]
        found = {
            split: (file, pq.read_metadata(file).num_rows) for split, file in zip(self.pieces(), files, strict=True)
        }
        (folder / "splits.json").write_text(json.dumps(found))

    @property
    def rows(self) -> dict[str, int]:
        """Rows of each split."""
        if self.spec.function.yields:
            return {split: rows for split, (_, rows) in self._joined().items()}
        return {split: rows for split, rows in self.spec.splits.items() if rows}

    def _joined(self) -> dict[str, tuple[str, int]]:
        return json.loads((self.prepared / "splits.json").read_text())

    def _spooled(self, split: str, start: int, stop: int) -> Iterator[Block]:
        file, rows = self._joined()[split]
        reader = RowReader([Part(file, file, rows, Path(file).stat().st_size, None)], self.schema.names)
        for first in range(start, stop, BLOCK_ROWS):
            table = reader.read(first, min(first + BLOCK_ROWS, stop)).combine_chunks()
            yield Block(pa.RecordBatch.from_arrays([c.chunk(0) for c in table.columns], schema=self.schema))


def family_of(function: Function, spec: FunctionSpec, argument: Any, schema: pa.Schema | None) -> type[FunctionRows]:
    """Return the family of corpora that a function makes; a sample of its rows is drawn, and drawn again.

    Args:
        function: See :func:`hubkit.publish_rows`.
        spec: Of which rows.
        argument: What the function gets as its spec.
        schema: The columns' types; None infers them from the sample.

    Raises:
        UserError: The function fails, gives other rows the second time, or columns whose types can't be told.
    """
    taken = arity(function)
    values = {
        "function": staticmethod(lambda *arguments: function(*arguments[:taken])),
        "argument": argument,
        "schema": schema or pa.schema([]),
    }
    family = type("FunctionRows", (FunctionRows,), values)
    builder = family(spec)
    found = {split: list(_sample(builder, split)) for split in spec.splits}
    if schema is None:
        family.schema = _inferred([row for rows in found.values() for _, row in rows])
    for split, rows in found.items():
        again = dict(reversed(list(_sample(builder, split, backwards=True))))
        for index, row in rows:
            _compare(family.schema, split, index, row, again.get(index))
    return family


def arity(function: Function) -> int:
    """Return how many arguments a function wants of the three that there are.

    Raises:
        UserError: It wants more, or can't be asked.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        raise UserError(f"function: {function!r} is no Python function; wrap it in one") from None
    places = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in places if p.default is p.empty]
    keyword = [p.name for p in parameters if p.kind == p.KEYWORD_ONLY and p.default is p.empty]
    if len(needed) > 3 or keyword:
        raise UserError(
            f"function: {getattr(function, '__name__', function)} wants {', '.join(needed + keyword)}, and it is given "
            "(index, random, spec), or (split, random, spec) if it yields rows: put the rest into spec"
        )
    return 3 if any(p.kind == p.VAR_POSITIONAL for p in parameters) else min(3, len(places))


# --- a sample ---------------------------------------------------------------------------------------------------------


def _sample(builder: FunctionRows, split: str, backwards: bool = False) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield some rows with their places: the first ones of a generator, of another function also later ones."""
    if builder.spec.function.yields:
        yield from enumerate(islice(builder.yielded(split), SAMPLE_ROWS))
        return
    count = builder.spec.splits[split] or 0
    half = SAMPLE_ROWS // 2
    places = sorted({*range(min(half, count)), *(count * i // half for i in range(half)), count - 1})
    for index in reversed(places) if backwards else places:
        yield index, builder.draw(split, index)[0]


def _inferred(rows: Sequence[dict[str, Any]]) -> pa.Schema:
    if not rows:
        raise UserError("function: it yields no rows at all; yield a dict a row")
    fields = []
    for name in rows[0]:
        try:
            kind = pa.array([row.get(name) for row in rows]).type
        except (pa.ArrowException, OverflowError) as error:
            raise UserError(f"column {name!r} has no one type ({error}): mend the function, or give schema=") from None
        if pa.types.is_null(kind):
            raise UserError(f"column {name!r} is None in the first {len(rows)} rows: give schema=, to say its type")
        fields.append((name, kind))
    return pa.schema(fields)


def _compare(schema: pa.Schema, split: str, index: int, row: dict[str, Any], again: dict[str, Any] | None) -> None:
    """Refuse a row that was another one when it was drawn again."""
    digests = [block_digest(batch_of([drawn], schema, split, index)) for drawn in (row, again) if drawn is not None]
    if len(set(digests)) != 1 or again is None:
        raise UserError(
            f"row {index} of {split} is not the same when it is drawn twice: {shown(row)}, then {shown(again)}. Draw "
            "from the generator that the function is given, and let nothing stay from one row to the next"
        )
