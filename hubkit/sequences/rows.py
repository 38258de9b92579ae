"""From sequences of several domains to one Arrow batch: prefix, ids and order, without a Python object a row."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from hubkit.errors import UserError
from hubkit.kernels import kernel
from hubkit.sequences.arrays import offsets_of
from hubkit.sequences.base import Sequences

_MOST = 2**31 - 1  # an Arrow list counts its elements in int32


class Part(NamedTuple):
    """One domain's share of a block of rows."""

    name: str
    places: np.ndarray
    """int64 (n,): which rows of the block are its sequences, ascending."""
    sequences: Sequences
    lookup: np.ndarray
    """uint32: the id of each local id."""
    prefix: np.ndarray
    """uint32: ids before each sequence."""
    suffix: np.ndarray
    """uint32: ids after it; they are learnt where the last token of the sequence is."""


def assemble(parts: Iterable[Part], count: int, schema: pa.Schema) -> pa.RecordBatch:
    """Return `count` rows with the columns input_ids, loss and domain.

    Args:
        parts: Each row is in exactly one.
        count: How many rows there are.
        schema: The types; ids are uint16 or uint32.

    Raises:
        UserError: The rows have more tokens than an Arrow column holds.
    """
    parts = list(parts)
    lengths, pairs = np.zeros(count, np.int64), np.zeros(count, np.int64)
    codes = np.zeros(count, np.int32)
    for code, part in enumerate(parts):
        lengths[part.places] = np.diff(part.sequences.offsets) + len(part.prefix) + len(part.suffix)
        pairs[part.places] = np.diff(part.sequences.loss_offsets)
        codes[part.places] = code
    offsets, loss_offsets = _offsets(lengths), _offsets(pairs)
    wide = schema.field("input_ids").type.value_type == pa.uint32()
    tokens = np.empty(offsets[-1], np.uint32 if wide else np.uint16)
    loss = np.empty(loss_offsets[-1], np.int32)
    for part in parts:
        place_rows(*part[1:2], *part.sequences, *part[3:], offsets, loss_offsets, tokens, loss)
    names = pa.array([part.name for part in parts], pa.string())
    columns = [
        pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), pa.array(tokens)),
        pa.ListArray.from_arrays(pa.array(loss_offsets.astype(np.int32)), pa.array(loss)),
        names.take(pa.array(codes)),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _offsets(lengths: np.ndarray) -> np.ndarray:
    """Return where lists of these lengths begin, and the last ends, as int64 (n + 1,); refuse what no column holds."""
    offsets = offsets_of(lengths)
    if offsets[-1] > _MOST:
        raise UserError(
            f"domains: {len(lengths)} rows have {offsets[-1]:,} tokens, and a block of rows holds {_MOST:,}; lower the "
            "lengths of the longest domain"
        )
    return offsets


@kernel
def place_rows(places, tokens, offsets, loss, loss_offsets, lookup, prefix, suffix, to, loss_to, out_tokens, out_loss):
    """Write a domain's sequences to their rows: `to` and `loss_to` say where each row of the block begins."""
    shift = len(prefix)
    for i in range(len(places)):
        end = to[places[i]]
        for j in range(shift):
            out_tokens[end + j] = prefix[j]
        end += shift - offsets[i]
        for j in range(offsets[i], offsets[i + 1]):
            out_tokens[end + j] = lookup[tokens[j]]
        end += offsets[i + 1]
        for j in range(len(suffix)):
            out_tokens[end + j] = suffix[j]
        end = loss_to[places[i]] - loss_offsets[i]
        for j in range(loss_offsets[i], loss_offsets[i + 1]):
            learnt_to_the_end = j % 2 == 1 and loss[j] == offsets[i + 1] - offsets[i]
            out_loss[end + j] = loss[j] + shift + (len(suffix) if learnt_to_the_end else 0)
