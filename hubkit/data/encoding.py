"""From a batch of rows, text or ids, to token ids: which rows to take, what is put around each, what is learnt."""

import hashlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hubkit.errors import UserError

if TYPE_CHECKING:
    import pyarrow as pa
    from transformers import PreTrainedTokenizerFast

    from hubkit.tokenizers.encoding import Encoder

IDS, LEARNT, VALUES = "input_ids", "learnt", "values"
"""Columns of what is made, equally long: ids, which of them are learnt (0 or 1), and the numbers behind them."""

LOSS = "loss"
"""Column of a corpus that says which tokens are learnt."""


class Framing(NamedTuple):
    """What is put around the tokens of a row, and which of them are learnt."""

    end: int | None = None
    """Id that each row ends with, put there where it doesn't; None leaves rows as they are."""
    after: int | None = None
    """Only what follows the first of this id in a row is learnt."""
    marked: bool = False
    """Only what the column `loss` says is learnt: [start, end) pairs one after the other."""
    valued: bool = False
    """The values of the numbers in a text are kept beside the ids (see :mod:`hubkit.tokenizers.numeric`)."""


class Share(NamedTuple):
    """Some of the rows, chosen by a hash of what they hold: equal rows are together, and no row's place matters."""

    begin: float
    end: float
    """The hash, as a part of its range, is at least `begin` and less than `end`."""

    def holds(self, content: bytes) -> bool:
        """Tell whether a row is one of them."""
        place = int.from_bytes(hashlib.blake2b(content, digest_size=8, key=b"hubkit: held out").digest()) / 2**64
        return self.begin <= place < self.end


class Encoded(NamedTuple):
    """Rows as ids, one after the other."""

    ids: np.ndarray
    """Of any integer type, (tokens,)."""
    offsets: np.ndarray
    """Where each row begins and the last ends: int64 (rows + 1,)."""
    values: np.ndarray | None = None
    """float32 (tokens,): a number's own, and 1 for other tokens."""


Encode = Callable[["pa.ChunkedArray", int], Encoded]
"""Takes rows, and the number of the first for messages."""


class Text:
    """Turns texts into ids; what is a special token's text in them is ordinary text."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        """Take the tokenizer; it is made ready when the first text comes, in the process that it comes to."""
        self._tokenizer = tokenizer
        self._encoder: Encoder | None = None

    def __call__(self, texts: "pa.ChunkedArray", first: int) -> Encoded:
        """Return the ids of texts (uint32)."""
        from hubkit.tokenizers.encoding import Encoder

        self._encoder = self._encoder or Encoder(self._tokenizer)
        return Encoded(*self._encoder.encode_batch(texts.to_pylist(), first))


class Valued:
    """Turns texts into ids, each number into one token and its value."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast"):
        """Take the tokenizer, whose normaliser says what is a number."""
        from hubkit.models.numeric_roberta.numbers_numeric_roberta import Numbers

        self._tokenizer = tokenizer
        self._encode = Numbers(tokenizer).encode

    def __call__(self, texts: "pa.ChunkedArray", first: int) -> Encoded:
        """Return the ids and values of texts."""
        rows = []
        for number, text in enumerate(texts.to_pylist(), first):
            try:
                rows.append(self._encode(text))
            except ValueError as error:
                raise UserError(f"text {number}: {error}") from None
        offsets = np.cumsum([0, *(len(ids) for ids, _ in rows)])
        ids, values = (np.concatenate([np.asarray(row[of]) for row in rows]) for of in (0, 1))
        return Encoded(ids.astype(np.int64), offsets, values.astype(np.float32))

    def __reduce__(self) -> tuple[type["Valued"], tuple["PreTrainedTokenizerFast"]]:
        return Valued, (self._tokenizer,)


class Ready:
    """Takes ids as they are, if the vocabulary has them."""

    def __init__(self, vocabulary: int):
        """Take the number of ids there may be."""
        self._vocabulary = vocabulary

    def __call__(self, lists: "pa.ChunkedArray", first: int) -> Encoded:
        """Return lists of ids as they are."""
        ids, offsets = flat(lists, range(first, first + len(lists)))
        wrong = np.flatnonzero((ids < 0) | (ids >= self._vocabulary))
        if len(wrong):
            row = first + int(np.searchsorted(offsets, wrong[0], "right")) - 1
            raise UserError(
                f"tokenizer: row {row} has the id {ids[wrong[0]]}, and the tokenizer has the ids 0 to "
                f"{self._vocabulary - 1}; name the tokenizer that made these ids"
            )
        return Encoded(ids, offsets)


def flat(lists: "pa.ChunkedArray", numbers: Sequence[int] | np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the items of lists of integers one after the other, and where each list begins and the last ends (int64).

    Raises:
        UserError: An item is null; its row is named by its number.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = np.asarray(pc.call_function("list_value_length", [lists]), np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), lengths.cumsum()])
    items = pc.call_function("list_flatten", [lists])
    if items.null_count:
        place = int(np.flatnonzero(np.asarray(items.is_null()))[0])
        row = numbers[int(np.searchsorted(offsets, place, "right")) - 1]
        raise UserError(f"row {row} holds a null among its numbers; leave such rows out of the corpus")
    return np.asarray(items if isinstance(items, pa.Array) else items.combine_chunks()), offsets


def encode_rows(
    batch: "pa.Table", indices: Sequence[int], column: str, encode: Encode, framing: Framing, share: Share | None
) -> "pa.Table":
    """Return the token ids of a batch of rows, and what goes with them, as :func:`columns` says.

    Args:
        batch: The column, and `loss` where the framing wants it.
        indices: The rows' numbers, for messages.
        column: What to encode.
        encode: How.
        framing: What is put around a row, and what of it is learnt.
        share: Which rows to take; None is all.

    Raises:
        UserError: A row is null or empty, can't be encoded, or doesn't say what is learnt; the message has its number.
    """
    import pyarrow as pa

    numbers = np.asarray(indices)
    for name in batch.column_names:
        if batch.column(name).null_count:
            row = numbers[batch.column(name).is_null().to_pylist().index(True)]
            raise UserError(f"dataset.column: row {row} of {name!r} is null; leave such rows out of the corpus")
    if share is not None:
        taken = held(batch.column(column), numbers, share)
        batch, numbers = batch.take(taken), numbers[taken]
    if not len(numbers):
        return pa.table({name: pa.array([], pa.list_(pa.int64())) for name in columns(framing)})
    ids, offsets, values = _encoded(batch, numbers, column, encode)
    empty = np.flatnonzero(np.diff(offsets) == 0)
    if len(empty):
        row = numbers[empty[0]]
        raise UserError(f"dataset.column: row {row} of {column!r} is empty; leave such rows out of the corpus")
    made = {IDS: ids, LEARNT: _marks(batch, numbers, ids, offsets, framing), VALUES: values}
    made = {name: made[name] for name in columns(framing)}
    if framing.end is not None:
        made, offsets = _ended(made, offsets, framing.end)
    narrow = offsets.astype(np.int32)
    assert narrow[-1] == offsets[-1]  # a thousand rows of two million tokens each
    return pa.table({name: pa.ListArray.from_arrays(narrow, array) for name, array in made.items()})


def columns(framing: Framing) -> tuple[str, ...]:
    """Return the columns that :func:`encode_rows` makes."""
    learnt = (LEARNT,) if framing.marked or framing.after is not None else ()
    return (IDS, *learnt, *((VALUES,) if framing.valued else ()))


def held(rows: "pa.ChunkedArray", numbers: Sequence[int] | np.ndarray, share: Share) -> np.ndarray:
    """Return the places of the rows that a share holds: int64. What a row holds is UTF-8, or ids as int64.

    Raises:
        UserError: A list has a null in it; its row is named by its number.
    """
    import pyarrow as pa

    if pa.types.is_nested(rows.type):
        ids, offsets = flat(rows, numbers)
        contents = [row.tobytes() for row in np.split(ids.astype("<i8"), offsets[1:-1])]
    else:
        contents = [text.encode() for text in rows.to_pylist()]
    return np.flatnonzero([share.holds(content) for content in contents])


def _encoded(batch: "pa.Table", numbers: np.ndarray, column: str, encode: Encode) -> Encoded:
    rows = batch.column(column)
    try:
        try:
            return encode(rows, int(numbers[0]))
        except UserError:
            # Where rows were left out, the numbers of the others are found only one by one.
            for place, number in enumerate(numbers.tolist()):
                encode(rows.slice(place, 1), number)
            raise
    except UserError as error:
        raise UserError(f"dataset.column: {column!r}: {error}") from None


def _marks(
    batch: "pa.Table", numbers: np.ndarray, ids: np.ndarray, offsets: np.ndarray, framing: Framing
) -> np.ndarray | None:
    """Return which tokens of a batch are learnt: uint8, as long as `ids`."""
    if framing.marked:
        return _marked(batch.column(LOSS), numbers, offsets)
    if framing.after is None:
        return None
    # How many of the key have gone by before each token, and before each row.
    gone = np.concatenate([[0], np.cumsum(ids == framing.after)])
    before = gone[offsets]
    without = np.flatnonzero(before[1:] == before[:-1])
    if len(without):
        raise UserError(
            f"objective.learn_after: row {numbers[without[0]]} has no such token, so nothing of it would be "
            "learnt; name a token that each row has, or leave such rows out of the corpus"
        )
    return (gone[:-1] > np.repeat(before[:-1], np.diff(offsets))).astype(np.uint8)


def _marked(ranges: "pa.ChunkedArray", numbers: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return which tokens lie in the ranges of their rows: uint8 of shape (tokens,).

    Args:
        ranges: Of each row, [start, end) pairs one after the other, counted from its start.
        numbers: Of the rows, for messages.
        offsets: Where each row begins and the last ends.

    Raises:
        UserError: A range is cut in half, turned round, or reaches beyond its row.
    """
    found, ends = flat(ranges, numbers)
    counts, lengths = np.diff(ends), np.diff(offsets)
    pairs = found[: len(found) // 2 * 2].astype(np.int64).reshape(-1, 2)
    rows = np.repeat(np.arange(len(numbers)), counts)[: len(pairs) * 2 : 2]
    fits = (pairs[:, 0] >= 0) & (pairs[:, 0] <= pairs[:, 1]) & (pairs[:, 1] <= lengths[rows])
    wrong = [*np.flatnonzero(counts % 2)[:1], *rows[~fits][:1]]
    if wrong:
        row = min(wrong)
        given = found[ends[row] : ends[row + 1]].tolist()
        raise UserError(
            f"objective.learn: row {numbers[row]} has loss {given}, which are no [start, end) pairs in its "
            f"{lengths[row]} tokens; mend that column, or set objective.learn=all"
        )
    depth = np.zeros(offsets[-1] + 1, np.int64)
    np.add.at(depth, offsets[rows] + pairs[:, 0], 1)
    np.add.at(depth, offsets[rows] + pairs[:, 1], -1)
    return (depth.cumsum()[:-1] > 0).astype(np.uint8)


def _ended(made: dict[str, np.ndarray], offsets: np.ndarray, end: int) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Put the end after each row that lacks it; it is learnt, and no number."""
    lacking = made[IDS][offsets[1:] - 1] != end
    places = offsets[1:][lacking]
    put = {IDS: end, LEARNT: 1, VALUES: 1}
    longer = offsets + np.concatenate([[0], np.cumsum(lacking)])
    return {name: np.insert(array, places, put[name]) for name, array in made.items()}, longer
