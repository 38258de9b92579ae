"""The pools of a stream: some thousand rows that are fetched, encoded and shuffled together."""

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hubkit.data.encoding import Framing, encode_rows
from hubkit.data.parquet import ParquetSplit, RowGroup
from hubkit.data.reading import ReadingSpec, Sequences
from hubkit.data.tokens import MemoryRows, make_encoder, stored_types

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

_BATCH = 1000
"""So many rows are encoded at once."""

_POOL_BYTES = 256 << 20
"""With so much in it a pool is full, however few its rows are."""


class Stream:
    """The sequences of a split, pool by pool."""

    def __init__(
        self,
        name: str,
        split: ParquetSplit,
        column: str,
        tokenizer: "PreTrainedTokenizerFast",
        framing: Framing,
        reading: ReadingSpec,
        more: int,
        pool_rows: int,
    ):
        """Prepare to read; nothing is fetched yet.

        Args:
            name: For messages.
            split: Where the rows lie.
            column: The text, or token ids that somebody made before.
            tokenizer: Of the text; that of the ids.
            framing: What is put around a row, and what of it is learnt.
            reading: What a sequence is; its length must be said.
            more: As :meth:`hubkit.data.reading.ReadingSpec.make` takes it.
            pool_rows: A pool is full with so many rows.

        Raises:
            UserError: The column is no text and no ids.
        """
        assert reading.length is not None
        self.name, self._split, self._column, self._framing = name, split, column, framing
        self._encode = make_encoder(split.features(), column, tokenizer, framing)
        self._types = stored_types(tokenizer, framing)
        self._reading, self._more, self._pool_rows = reading, more, pool_rows
        self.windows = reading.form == "windows"
        """Whether how many sequences a pool has is only known once it was read."""
        self.longest = reading.length + (more if self.windows else 0)
        """Tokens of the longest sequence that there may be."""
        self.stride = reading.stride or reading.length
        """Tokens from the beginning of a window to that of the next."""

    @property
    def rows(self) -> int:
        """Rows of the split."""
        return self._split.rows

    def pools(self, order: np.random.Generator) -> list[list[RowGroup]]:
        """Return the row groups in an order that is drawn, divided into pools."""
        pools: list[list[RowGroup]] = [[]]
        rows = size = 0
        for place in order.permutation(len(self._split.groups)).tolist():
            if rows >= self._pool_rows or size >= _POOL_BYTES:
                pools.append([])
                rows = size = 0
            group = self._split.groups[place]
            pools[-1].append(group)
            rows, size = rows + group.rows, size + group.bytes
        return pools

    def read(self, pool: Sequence[RowGroup]) -> "Pool":
        """Fetch a pool and make it into sequences; windows are cut inside it, and what fills no last one is left out.

        Raises:
            UserError: The Hub is down for minutes, or a row can't be encoded or is too long; the message names it.
        """
        tables = []
        for group, rows in zip(pool, self._split.read(pool), strict=True):
            for start in range(0, group.rows, _BATCH):
                _go_on()
                batch = rows.slice(start, _BATCH)
                numbers = range(group.first + start, group.first + start + batch.num_rows)
                tables.append(encode_rows(batch, numbers, self._column, self._encode, self._framing, None))
        numbers = np.concatenate([np.arange(group.first, group.first + group.rows) for group in pool])
        made = MemoryRows(tables, self._types, numbers)
        if self.windows and made.starts[-1] < self.longest:
            return Pool(made, None)
        return Pool(made, self._reading.make(made, self._more, self.name))


class Pool(NamedTuple):
    """Rows that are shuffled together."""

    rows: MemoryRows
    sequences: Sequences | None
    """None where there are fewer tokens than one window has."""

    def __len__(self) -> int:
        return 0 if self.sequences is None else len(self.sequences)


def _go_on() -> None:
    """Give up where the program ends and waits for this thread alone."""
    if not threading.main_thread().is_alive():
        raise InterruptedError
