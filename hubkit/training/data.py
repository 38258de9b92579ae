"""From a dataset on the Hub to batches: load, tokenise, order. Batch *s* of a run is a function of (recipe, s)."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch.utils.data

from hubkit.errors import UserError
from hubkit.randomness import generator, stream_key
from hubkit.training.objectives import ObjectiveSpec

if TYPE_CHECKING:
    import datasets
    import torch
    from transformers import PreTrainedTokenizerFast

POOL_BATCHES = 32
"""Rows of so many batches are sorted by length together: little padding, and still a random order."""


@dataclass(frozen=True)
class TokenRows:
    """The rows of one split as token ids, on disk behind `datasets`."""

    rows: "datasets.Dataset"
    lengths: np.ndarray
    """Tokens of each row, int64 of shape (rows,)."""

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, indices: np.ndarray) -> list[np.ndarray]:
        return self.rows[indices]["input_ids"]

    def first(self, rows: int) -> "TokenRows":
        """Return the first so many rows."""
        rows = min(rows, len(self))
        return TokenRows(self.rows.select(range(rows)), self.lengths[:rows])


def tokenise(rows: "datasets.Dataset", column: str, tokenizer: "PreTrainedTokenizerFast") -> TokenRows:
    """Return the rows of a split as token ids; `datasets` keeps the result, so a second run reads it from disk.

    Raises:
        UserError: A row holds what the tokenizer has no token for.
    """

    def encode(batch: dict[str, list[str]]) -> dict[str, Any]:
        ids = tokenizer(batch[column], return_attention_mask=False, verbose=False)["input_ids"]
        return {"input_ids": ids, "length": [len(row) for row in ids]}

    try:
        encoded = rows.map(encode, batched=True, remove_columns=rows.column_names, desc="tokenise")
    except Exception as error:
        # A WordLevel tokenizer without an unknown token raises a bare Exception.
        if "UNK" not in str(error):
            raise
        raise UserError(f"dataset.column: {column!r} holds text that the tokenizer has no token for") from None
    lengths = np.asarray(encoded.with_format("numpy")["length"][:], dtype=np.int64)
    return TokenRows(encoded.select_columns("input_ids").with_format("numpy"), lengths)


class Batches(torch.utils.data.Dataset):
    """The batches of a run, by step: item *s* depends on (seed, s) and on nothing that was drawn before.

    So a resumed run goes on where it stopped without reading what lies behind, with any number of loader workers.
    """

    def __init__(  # noqa: PLR0913
        self,
        rows: TokenRows,
        objective: ObjectiveSpec,
        tokenizer: "PreTrainedTokenizerFast",
        batch_size: int,
        seed: int,
        rank: int = 0,
        processes: int = 1,
        shuffle: bool = True,
    ):
        if batch_size % processes:
            raise UserError(f"training.batch_size: {batch_size} is not a multiple of {processes} processes")
        if shuffle and len(rows) < batch_size:
            raise UserError(f"training.batch_size: {batch_size} is more than the {len(rows)} rows of the training split")
        self.rows, self.objective, self.tokenizer = rows, objective, tokenizer
        self.batch_size, self.shuffle = batch_size, shuffle
        self.rank, self.processes = rank, processes
        self.order_key = stream_key("order", seed)
        self.mask_key = stream_key("mask" if shuffle else "mask for evaluation", seed)
        self.per_epoch = len(rows) // batch_size if shuffle else -(-len(rows) // batch_size)
        self._known: tuple[int, list[np.ndarray]] = (-1, [])

    def __len__(self) -> int:
        """Batches in one pass over the rows."""
        return self.per_epoch

    def __getitem__(self, step: int) -> "dict[str, torch.Tensor]":
        epoch, batch = divmod(step, self.per_epoch)
        if self._known[0] != epoch:
            self._known = (epoch, self._order(epoch))
        whole = self._known[1][batch]
        mine = whole[self.rank :: self.processes] if self.shuffle else whole
        random = generator(self.mask_key, step, self.rank if self.shuffle else 0)
        return self.objective.batch(self.rows[mine], self.tokenizer, random)

    def _order(self, epoch: int) -> list[np.ndarray]:
        """Return the row indices of each batch of an epoch."""
        if not self.shuffle:
            return np.split(np.arange(len(self.rows)), np.arange(self.batch_size, len(self.rows), self.batch_size))
        random = generator(self.order_key, epoch)
        rows = random.permutation(len(self.rows))[: self.per_epoch * self.batch_size]
        batches = []
        for pool in np.split(rows, np.arange(POOL_BATCHES, self.per_epoch, POOL_BATCHES) * self.batch_size):
            by_length = pool[np.argsort(self.rows.lengths[pool], kind="stable")]
            batches.extend(np.split(by_length, len(pool) // self.batch_size))
        return [batches[i] for i in random.permutation(len(batches))]
