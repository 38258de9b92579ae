"""From rows of tokens to batches: their order, and what is asked. Batch *s* of a run is a function of (recipe, s)."""

from typing import TYPE_CHECKING

import numpy as np
import torch.utils.data

from hubkit.errors import UserError
from hubkit.randomness import generator, stream_key
from hubkit.training.objectives import ObjectiveSpec
from hubkit.training.tokens import TokenRows

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedTokenizerFast


class Batches(torch.utils.data.Dataset):
    """The training batches of a process, by step: item *s* is a function of (seed, s), whatever was read before.

    So a resumed run goes on where it stopped without reading what lies behind, with any number of loader workers. Each
    epoch is a permutation of the rows (what does not fill a last batch waits for another epoch), and what is asked of
    row *r* in epoch *e* is a function of (seed, e, r): the batches of all processes together are the batch of one.
    """

    def __init__(
        self,
        rows: TokenRows,
        objective: ObjectiveSpec,
        tokenizer: "PreTrainedTokenizerFast",
        batch_size: int,
        seed: int,
        length_pool: int = 32,
        rank: int = 0,
        processes: int = 1,
    ):
        """Prepare to read.

        Args:
            rows: The training split.
            objective: What is asked.
            tokenizer: That of the rows.
            batch_size: Rows a step, over all processes.
            seed: Decides order and questions.
            length_pool: Rows of so many batches are sorted by length together.
            rank: Which of the processes this is, from 0.
            processes: How many share each batch.

        Raises:
            UserError: The batch can't be shared evenly, there are too few rows for one, or the objective can't be made.
        """
        if batch_size % processes:
            mend = f"raise it to {-(-batch_size // processes) * processes}"
            raise UserError(f"training.batch_size: {batch_size} is not a multiple of the {processes} processes; {mend}")
        if len(rows) < batch_size:
            raise UserError(
                f"training.batch_size: {batch_size} is more than the {len(rows)} rows of the training split; lower it"
            )
        self.rows, self.masking, self.batch_size = rows, objective.make(tokenizer), batch_size
        self.length_pool, self.rank, self.processes = length_pool, rank, processes
        self.per_epoch = len(rows) // batch_size
        self._order_key, self._mask_key = stream_key("order", seed), stream_key("mask", seed)
        self._known: tuple[int, np.ndarray] = (-1, np.empty((0, 0)))

    def __len__(self) -> int:
        """Batches in one pass over the rows."""
        return self.per_epoch

    def __getitem__(self, step: int) -> "dict[str, torch.Tensor]":
        epoch, batch = divmod(step, self.per_epoch)
        mine = self._order(epoch)[batch, self.rank :: self.processes].tolist()
        return self.masking.batch(
            [self.rows[row] for row in mine], [generator(self._mask_key, row, epoch) for row in mine]
        )

    def tokens(self, step: int) -> int:
        """Return how many tokens the batch of a step has over all processes, padding left out."""
        epoch, batch = divmod(step, self.per_epoch)
        return int(self.rows.lengths[self._order(epoch)[batch]].sum())

    def _order(self, epoch: int) -> np.ndarray:
        """Return the row indices of each batch of an epoch: int64 of shape (batches, batch size)."""
        if self._known[0] != epoch:
            self._known = (epoch, self._drawn_order(epoch))
        return self._known[1]

    def _drawn_order(self, epoch: int) -> np.ndarray:
        random = generator(self._order_key, epoch)
        rows = random.permutation(len(self.rows))[: self.per_epoch * self.batch_size]
        if self.length_pool > 1:
            pools = np.arange(len(rows)) // (self.length_pool * self.batch_size)
            # By pool first and by length inside each; equal lengths stay in the order that was drawn.
            rows = rows[np.lexsort((self.rows.lengths[rows], pools))]
        return random.permutation(rows.reshape(self.per_epoch, self.batch_size))


class HeldOut:
    """The validation batches, in the order of the rows, which are asked the same at each reading."""

    def __init__(
        self,
        rows: TokenRows,
        limit: int,
        objective: ObjectiveSpec,
        tokenizer: "PreTrainedTokenizerFast",
        batch_size: int,
        seed: int,
    ):
        """Prepare to read the first `limit` rows; the other arguments are those of :class:`Batches`."""
        self.rows, self.masking, self.batch_size = rows, objective.make(tokenizer), batch_size
        self._starts = range(0, min(limit, len(rows)), batch_size)
        self._mask_key = stream_key("mask for evaluation", seed)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._starts)

    def __getitem__(self, batch: int) -> "dict[str, torch.Tensor]":
        start = self._starts[batch]
        rows = range(start, min(start + self.batch_size, self._starts.stop))
        return self.masking.batch([self.rows[row] for row in rows], [generator(self._mask_key, row) for row in rows])
