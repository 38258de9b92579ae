"""The rows of a split as token ids: made once, kept on disk, read through a memory map."""

import errno
import hashlib
import json
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hubkit.data.encoding import (
    IDS,
    LEARNT,
    LOSS,
    VALUES,
    Encode,
    Framing,
    Ready,
    Share,
    Text,
    Valued,
    columns,
    encode_rows,
)
from hubkit.errors import UserError
from hubkit.tokenizers import tokenizer_sha256

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa
    from transformers import PreTrainedTokenizerFast

_VERSION = "3"
"""Changes when the same tokenizer would be used in another way; older files on disk are then not read."""


_FIELDS = (IDS, LEARNT, VALUES)
"""The columns, in the order of a sample's fields."""


class Sample(NamedTuple):
    """A sequence to learn from; arrays by token are as long as `ids`, and none is to be written to."""

    ids: np.ndarray
    """uint16, int32 or uint32 of shape (tokens,)."""
    learnt: np.ndarray | None = None
    """Which tokens are learnt, uint8; None is all of them."""
    values: np.ndarray | None = None
    """float32: the number that a number's token stands for."""
    breaks: np.ndarray | None = None
    """int64: the places at which another document begins, in order; None where nobody asks."""
    whole: bool = False
    """Whether this is a row from its beginning to its end, and not a window over some."""


class TokenRows:
    """The token ids of each row of a split: views into Arrow's memory map, so that no split has to fit in memory.

    Reading a row takes two microseconds; through `datasets` it takes a hundred.
    """

    def __init__(self, dataset: "datasets.Dataset"):
        """Take a dataset whose columns hold lists of numbers, `input_ids` at least; it comes straight from its file."""
        assert dataset._indices is None  # else rows would stand elsewhere than Arrow's offsets say
        # A loader worker that is not forked gets the dataset, which opens its file again, and no copy of the tokens.
        self._made_of: tuple[Any, ...] = (dataset,)
        chunks = dataset.data.column(IDS).chunks
        lengths = np.concatenate([np.diff(chunk.offsets.to_numpy()) for chunk in chunks]).astype(np.int64)
        self._take([_flat(dataset, name) if name in dataset.column_names else None for name in _FIELDS], lengths)

    def _take(self, columns: list[list[np.ndarray] | None], lengths: np.ndarray) -> None:
        """Take the chunks of ids, marks and values, cut at the same places, and the rows' lengths."""
        self._columns = columns
        self._chunk_starts = [0, *accumulate(len(chunk) for chunk in columns[0] or ())]
        self.lengths = lengths
        """Tokens of each row, int64 of shape (rows,)."""
        self.starts = np.cumsum(np.concatenate([np.zeros(1, np.int64), lengths]))
        """Where each row begins in all rows put one after the other, and where the last ends: int64 (rows + 1,)."""

    def number(self, row: int) -> int:
        """Return the number by which people know a row: that which it has in its split."""
        return row

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> Sample:
        """Return a row."""
        span = self.span(int(self.starts[row]), int(self.starts[row + 1]))
        return Sample(span.ids, span.learnt, span.values, whole=True)

    def span(self, begin: int, end: int) -> Sample:
        """Return the tokens `begin` to `end` (exclusive) of all rows put one after the other."""
        ids, learnt, values = self._columns
        assert ids is not None
        return Sample(
            self._cut(ids, begin, end),
            None if learnt is None else self._cut(learnt, begin, end),
            None if values is None else self._cut(values, begin, end),
        )

    def _cut(self, chunks: list[np.ndarray], begin: int, end: int) -> np.ndarray:
        first = bisect_right(self._chunk_starts, begin) - 1
        start = self._chunk_starts[first]
        if end <= self._chunk_starts[first + 1]:
            return chunks[first][begin - start : end - start]
        pieces = []
        while begin < end:
            start, stop = self._chunk_starts[first], min(end, self._chunk_starts[first + 1])
            pieces.append(chunks[first][begin - start : stop - start])
            begin, first = stop, first + 1
        return np.concatenate(pieces)

    def __reduce__(self) -> tuple[type["TokenRows"], tuple[Any, ...]]:
        return type(self), self._made_of


class FlatRow(TokenRows):
    """One long row: a range of the tokens in a `.npy` file, which is read through a memory map."""

    def __init__(self, path: Path, begin: int, end: int):
        """Take tokens `begin` to `end` (exclusive) of a file."""
        self._made_of = (path, begin, end)
        tokens = np.asarray(np.load(path, mmap_mode="r")[begin:end])
        self._take([[tokens], None, None], np.array([end - begin], np.int64))


class MemoryRows(TokenRows):
    """Some rows of a split, in memory."""

    def __init__(self, tables: "Sequence[pa.Table]", types: Mapping[str, str], numbers: np.ndarray):
        """Take what was encoded.

        Args:
            tables: From :func:`hubkit.data.encoding.encode_rows`, in order.
            types: Of the numbers in their columns, from :func:`stored_types`.
            numbers: Of the rows in the split, int64.
        """
        lists = {name: [table.column(name).combine_chunks() for table in tables] for name in types}
        lengths = np.concatenate([np.diff(chunk.offsets.to_numpy()) for chunk in lists[IDS]]).astype(np.int64)
        flat = {name: [chunk.values.to_numpy().astype(types[name]) for chunk in lists[name]] for name in lists}
        self._take([flat.get(name) for name in _FIELDS], lengths)
        self._numbers = numbers

    def number(self, row: int) -> int:
        """Return the number that a row has in the split."""
        return int(self._numbers[row])


def _flat(dataset: "datasets.Dataset", name: str) -> list[np.ndarray]:
    """Return the numbers of a column of lists, one array a chunk of the file."""
    flat = []
    for chunk in dataset.data.column(name).chunks:
        offsets = chunk.offsets
        flat.append(chunk.values.to_numpy(zero_copy_only=True)[offsets[0].as_py() : offsets[-1].as_py()])
    return flat


def tokenise(
    rows: "datasets.Dataset",
    column: str,
    tokenizer: "PreTrainedTokenizerFast",
    spare: Path,
    framing: Framing = Framing(),  # noqa: B008 (it is immutable)
    share: Share | None = None,
) -> TokenRows:
    """Return the rows of a split as token ids.

    `datasets` keeps the result beside the rows in its cache, so a second run reads it from there.

    Args:
        rows: The split.
        column: The text, or token ids that somebody made before.
        tokenizer: Its rules and vocabulary are part of the file's name: two tokenizers never meet.
        spare: Folder for the result where the cache can't be written to.
        framing: What is put around a row, and what of it is learnt.
        share: Which rows to take; None is all.

    Raises:
        UserError: The split or a row is empty, the column is no text and no ids, the tokenizer has no token for part of
            a row, or the share holds no row.
    """
    import datasets

    if not len(rows):
        raise UserError(f"dataset: the split {rows.split!s} has no rows")
    encode = make_encoder(rows.features, column, tokenizer, framing)
    framed = framing if share is None else (framing, share)
    identity = f"{_VERSION} {rows._fingerprint} {column} {tokenizer_sha256(tokenizer)} {json.dumps(framed)}"
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:32]
    types = stored_types(tokenizer, framing)
    features = {name: datasets.List(datasets.Value(kind)) for name, kind in types.items()}
    settings: dict[str, Any] = {
        "batched": True,
        "with_indices": True,
        "features": datasets.Features(features),
        "fn_kwargs": {"column": column, "encode": encode, "framing": framing, "share": share},
        "new_fingerprint": fingerprint,
        "desc": "tokenise",
    }
    chosen = rows.select_columns([column, LOSS] if framing.marked else [column]).with_format("arrow")
    try:
        made = chosen.map(encode_rows, **settings)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
        spare.mkdir(parents=True, exist_ok=True)
        made = chosen.map(encode_rows, **settings, cache_file_name=str(spare / f"{fingerprint}.arrow"))
    if not len(made):
        raise UserError(f"dataset.held_out: too small a share for {len(rows)} rows, it holds none of them; raise it")
    return TokenRows(made.with_format(None))


def stored_types(tokenizer: "PreTrainedTokenizerFast", framing: Framing) -> dict[str, str]:
    """Return the columns of encoded rows, and as which type their numbers are kept."""
    types = {IDS: "uint16" if len(tokenizer) <= 1 << 16 else "int32", LEARNT: "uint8", VALUES: "float32"}
    return {name: types[name] for name in columns(framing)}


def make_encoder(
    features: "datasets.Features", column: str, tokenizer: "PreTrainedTokenizerFast", framing: Framing
) -> Encode:
    """Return what makes ids of a column.

    Args:
        features: What the columns hold.
        column: One of them, the text or token ids that somebody made before.
        tokenizer: Of the text; that of the ids.
        framing: Whether the values of numbers are wanted too.

    Raises:
        UserError: The column is no text and no ids; or ids, where values are wanted.
    """
    if not _holds_ids(features, column):
        return Valued(tokenizer) if framing.valued else Text(tokenizer)
    if framing.valued:
        raise UserError(f"dataset.column: {column!r} holds ids, which have no values; name a column of text")
    return Ready(len(tokenizer))


def _holds_ids(features: "datasets.Features", column: str) -> bool:
    """Tell whether a column holds token ids and not text; refuse one that holds neither."""
    feature: Any = features[column]
    if getattr(feature, "dtype", None) in ("string", "large_string"):
        return False
    if getattr(getattr(feature, "feature", None), "dtype", "").startswith(("int", "uint")):
        return True
    raise UserError(f"dataset.column: {column!r} holds {feature}; a column of text, or of lists of ids, is needed")
