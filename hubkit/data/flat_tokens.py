"""One long row of tokens in an HDF5 file, cut into contiguous ranges: training first, what is held out last."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from hubkit.data.tokens import FlatRow
from hubkit.errors import UserError
from hubkit.files import atomic_path
from hubkit.reading.tokens_h5 import FlatTokens

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

Part = Literal["train", "validation", "test"]

_SLICE = 1 << 24  # so many tokens are copied at once


def load_flat(
    path: Path,
    dataset: str | None,
    sha256: str,
    part: Part,
    held_out: float,
    tokenizer: "PreTrainedTokenizerFast",
    spare: Path,
) -> FlatRow:
    """Return a part of a file of tokens: its last share is for the test, the one before for validation.

    HDF5 is slow to read at random, so the tokens are first copied into a plain file, once.

    Args:
        path: The file.
        dataset: Which dataset in it; None is the only one that is one row of integers.
        sha256: Of the file; the copy is called so.
        part: Which.
        held_out: Share of the tokens that validation has, and the test too.
        tokenizer: That made the tokens.
        spare: Folder for the copy.

    Raises:
        UserError: The file can't be read, a token is no id of the tokenizer, or the part would be empty.
    """
    tokens = FlatTokens(path, dataset, "dataset.tokens", "dataset.config")
    kept = round(len(tokens) * held_out)
    train, validation = len(tokens) - 2 * kept, len(tokens) - kept
    ranges = {"train": (0, train), "validation": (train, validation), "test": (validation, len(tokens))}
    begin, end = ranges[part]
    if begin >= end:
        raise UserError(f"dataset.held_out: {held_out} of the {len(tokens)} tokens of {path.name} is none; raise it")
    copy = spare / f"{sha256[:32]}-{dataset or 'tokens'}-{len(tokenizer)}.npy".replace("/", "-")
    if not copy.exists():
        _copy(tokens, copy, len(tokenizer))
    return FlatRow(copy, begin, end)


def _copy(tokens: FlatTokens, path: Path, vocabulary: int) -> None:
    kind = np.dtype(np.uint16 if vocabulary <= 1 << 16 else np.int32)
    with atomic_path(path) as temporary:
        copied = np.lib.format.open_memmap(temporary, "w+", kind, (len(tokens),))
        for begin in range(0, len(tokens), _SLICE):
            end = min(begin + _SLICE, len(tokens))
            copied[begin:end] = tokens.read(begin, end, kind, vocabulary)
        copied.flush()
