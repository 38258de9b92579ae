"""The rows of a split as token ids: made once, kept on disk, read through a memory map."""

import errno
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubkit.errors import UserError
from hubkit.tokenizers import tokenizer_sha256

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerFast

_VERSION = "1"
"""Changes when the same tokenizer would be used in another way; older files on disk are then not read."""


class TokenRows:
    """The token ids of each row of a split: views into Arrow's memory map, so that no split has to fit in memory.

    Reading a row takes a microsecond; through `datasets` it takes a hundred.
    """

    def __init__(self, dataset: "datasets.Dataset"):
        """Take a dataset whose one column, `input_ids`, holds lists of integers; it comes straight from its file."""
        assert dataset._indices is None  # else rows would stand elsewhere than Arrow's offsets say
        self._dataset = dataset
        chunks = dataset.data.column("input_ids").chunks
        offsets = [chunk.offsets.to_numpy() for chunk in chunks]
        self._values = [chunk.values.to_numpy(zero_copy_only=True) for chunk in chunks]
        self._chunks = np.repeat(np.arange(len(chunks)), [len(chunk) for chunk in chunks])
        self._begins = np.concatenate([o[:-1] for o in offsets]).astype(np.int64)
        self.lengths = np.concatenate([np.diff(o) for o in offsets]).astype(np.int64)
        """Tokens of each row, int64 of shape (rows,)."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return the ids of a row: uint16 or int32 of shape (tokens,), not to be written to."""
        begin = self._begins[row]
        return self._values[self._chunks[row]][begin : begin + self.lengths[row]]

    def __reduce__(self) -> tuple[type["TokenRows"], tuple["datasets.Dataset"]]:
        # A loader worker that is not forked gets the dataset, which opens its file again, and no copy of the tokens.
        return TokenRows, (self._dataset,)


def tokenise(rows: "datasets.Dataset", column: str, tokenizer: "PreTrainedTokenizerFast", spare: Path) -> TokenRows:
    """Return the rows of a split as token ids.

    `datasets` keeps the result beside the rows in its cache, so a second run reads it from there.

    Args:
        rows: The split.
        column: The text.
        tokenizer: Its rules and vocabulary are part of the file's name: two tokenizers never meet.
        spare: Folder for the result where the cache can't be written to.

    Raises:
        UserError: The split or a row is empty, the column is no text, or the tokenizer has no token for part of a row.
    """
    import datasets

    if getattr(rows.features[column], "dtype", None) not in ("string", "large_string"):
        raise UserError(f"dataset.column: {column!r} holds {rows.features[column]}; a column of text is needed")
    if not len(rows):
        raise UserError(f"dataset: the split {rows.split!s} has no rows")
    identity = f"{_VERSION} {rows._fingerprint} {column} {tokenizer_sha256(tokenizer)}"
    fingerprint = hashlib.sha256(identity.encode()).hexdigest()[:32]
    ids = datasets.Value("uint16" if len(tokenizer) <= 1 << 16 else "int32")
    settings: dict[str, Any] = {
        "batched": True,
        "with_indices": True,
        "remove_columns": rows.column_names,
        "features": datasets.Features({"input_ids": datasets.List(ids)}),
        "fn_kwargs": {"column": column, "tokenizer": tokenizer},
        "new_fingerprint": fingerprint,
        "desc": "tokenise",
    }
    try:
        return TokenRows(rows.map(_encode, **settings))
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    spare.mkdir(parents=True, exist_ok=True)
    return TokenRows(rows.map(_encode, **settings, cache_file_name=str(spare / f"{fingerprint}.arrow")))


def _encode(
    batch: dict[str, list[str]], indices: list[int], column: str, tokenizer: "PreTrainedTokenizerFast"
) -> dict[str, list[list[int]]]:
    try:
        ids = _ids(batch[column], tokenizer)
    except Exception:  # tokenizers raises nothing more special
        for index, text in zip(indices, batch[column], strict=True):
            _check(index, text, column, tokenizer)
        raise
    for index, row in zip(indices, ids, strict=True):
        if not row:
            raise UserError(f"dataset.column: row {index} of {column!r} is empty; leave such rows out of the corpus")
    return {"input_ids": ids}


def _ids(texts: list[str], tokenizer: "PreTrainedTokenizerFast") -> list[list[int]]:
    return tokenizer(texts, return_attention_mask=False, verbose=False)["input_ids"]


def _check(index: int, text: str, column: str, tokenizer: "PreTrainedTokenizerFast") -> None:
    """Refuse a row that the tokenizer can't take."""
    if text is None:
        raise UserError(f"dataset.column: row {index} of {column!r} is null; leave such rows out of the corpus")
    try:
        _ids([text], tokenizer)
    except Exception as error:
        start = text if len(text) <= 60 else f"{text[:57]}..."
        raise UserError(
            f"dataset.column: row {index} of {column!r} ({start!r}) holds text that the tokenizer has no token for: "
            f"{error}; choose the corpus's own tokenizer, or leave such rows out"
        ) from None
