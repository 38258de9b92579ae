"""From sequences to batches: their order, and what is asked. Batch *s* of a run is a function of (recipe, s)."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch.utils.data

from hubkit.data.mixtures import allotted
from hubkit.data.objectives.base import Objective
from hubkit.data.reading import Sequences
from hubkit.data.tokens import Sample
from hubkit.errors import UserError
from hubkit.randomness import generator, stream_key

if TYPE_CHECKING:
    import torch


class Source(NamedTuple):
    """What training reads from one dataset."""

    name: str
    """For messages."""
    sequences: Sequences
    ratio: float = 1.0
    """Its share of the sequences of a mixture, in proportion to the others'."""


class Batches(torch.utils.data.Dataset):
    """The training batches of a process, by step: item *s* is a function of (seed, s), whatever was read before.

    So a resumed run goes on where it stopped without reading what lies behind, with any number of loader workers. Each
    source gives its sequences epoch by epoch, each epoch a permutation of them, and what is asked of a sequence in an
    epoch is a function of (seed, epoch, sequence): the batches of all processes together are the batch of one.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        objective: Objective,
        batch_size: int,
        seed: int,
        length_pool: int = 1,
        rank: int = 0,
        processes: int = 1,
        micro_batch_size: int | None = None,
    ):
        """Prepare to read.

        Args:
            sources: One dataset, or several to be mixed by their ratios; one that is exhausted begins again.
            objective: What is asked.
            batch_size: Sequences a step, over all processes.
            seed: Decides order and questions.
            length_pool: Of one dataset alone, the sequences of so many batches are sorted by length together.
            rank: Which of the processes this is, from 0.
            processes: How many share each batch.
            micro_batch_size: Sequences that a process puts through the model at once; None is its whole share.

        Raises:
            UserError: The batch can't be shared evenly, or there are too few sequences for one.
        """
        if batch_size % processes:
            mend = f"raise it to {-(-batch_size // processes) * processes}"
            raise UserError(f"training.batch_size: {batch_size} is not a multiple of the {processes} processes; {mend}")
        alone = len(sources) == 1
        if alone and len(sources[0].sequences) < batch_size:
            raise UserError(
                f"training.batch_size: {batch_size} is more than the {len(sources[0].sequences)} sequences of "
                f"{sources[0].name}; lower it"
            )
        self.objective, self.batch_size, self.rank, self.processes = objective, batch_size, rank, processes
        self.micro_batch_size = micro_batch_size or batch_size // processes
        # In a mixture a source is read whole; alone, what fills no last batch waits for another epoch.
        self.sources = [
            _Endless(source, (seed,) if alone else (seed, number), *((batch_size, length_pool) if alone else (1, 1)))
            for number, source in enumerate(sources)
        ]
        self._ratios = [source.ratio for source in sources]

    def __len__(self) -> int:
        """Steps until every source has been read once."""

        def are_read(steps: int) -> bool:
            given = allotted(steps * self.batch_size, self._ratios)
            return all(count >= source.per_epoch for count, source in zip(given, self.sources, strict=True))

        return bisect_left(range(1 << 40), True, key=are_read)

    def __getitem__(self, step: int) -> "list[dict[str, torch.Tensor]]":
        """Return the batches that make up this process's share of a step."""
        runs = self._runs(step)
        places = [(run.source, run.epoch, number) for run in runs for number in run.numbers.tolist()]
        mine = places[self.rank :: self.processes]
        return [
            self._batch(mine[start : start + self.micro_batch_size])
            for start in range(0, len(mine), self.micro_batch_size)
        ]

    def tokens(self, step: int) -> int:
        """Return how many tokens the batch of a step has over all processes, padding left out."""
        return sum(int(self.sources[run.source].lengths[run.numbers].sum()) for run in self._runs(step))

    def counts(self, steps: int) -> dict[str, int]:
        """Return how many sequences of each source are read in so many steps."""
        counts: dict[str, int] = {}
        for source, count in zip(self.sources, allotted(steps * self.batch_size, self._ratios), strict=True):
            counts[source.name] = counts.get(source.name, 0) + count
        return counts

    def described(self, step: int) -> str:
        """Return which sequences the batch of a step has, for people."""
        found: dict[str, list[int]] = {}
        for run in self._runs(step):
            found.setdefault(self.sources[run.source].name, []).extend(run.numbers.tolist())
        return "; ".join(
            f"{', '.join(map(str, numbers[:8]))}{f' and {len(numbers) - 8} more' if len(numbers) > 8 else ''} of {name}"
            for name, numbers in found.items()
        )

    def _batch(self, places: Sequence[tuple[int, int, int]]) -> "dict[str, torch.Tensor]":
        """Return the batch of some sequences: each is its source, its epoch and its number."""
        samples = [self.sources[source][number] for source, _, number in places]
        addresses = [(self.sources[source].question_key, number, epoch) for source, epoch, number in places]
        return self.objective.batch(samples, _Randoms(addresses))

    def _runs(self, step: int) -> "Iterator[_Run]":
        """Yield the sequences of a step, source by source and epoch by epoch."""
        begins, ends = (allotted(count * self.batch_size, self._ratios) for count in (step, step + 1))
        for number, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            for epoch, numbers in self.sources[number].between(begin, end):
                yield _Run(number, epoch, numbers)


class _Run(NamedTuple):
    source: int
    epoch: int
    numbers: np.ndarray
    """Of sequences, in the order in which they are read: int64."""


class _Endless:
    """A source that begins again when it is exhausted, each time in another order."""

    def __init__(self, source: Source, key: tuple[int, ...], block: int, length_pool: int):
        self.name, self.lengths, self._sequences = source.name, source.sequences.lengths, source.sequences
        self.block, self.length_pool = block, length_pool
        self.per_epoch = len(self._sequences) // block * block
        self._order_key, self.question_key = stream_key("order", *key), stream_key("mask", *key)
        self._known: tuple[int, np.ndarray] = (-1, np.empty(0))

    def __getitem__(self, number: int) -> Sample:
        return self._sequences[number]

    def between(self, begin: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the sequences from place `begin` to `end` (exclusive) of the endless row: epoch and numbers."""
        while begin < end:
            epoch, place = divmod(begin, self.per_epoch)
            stop = min(place + end - begin, self.per_epoch)
            yield epoch, self._order(epoch)[place:stop]
            begin += stop - place

    def _order(self, epoch: int) -> np.ndarray:
        """Return the numbers of the sequences of an epoch in their order: int64."""
        if self._known[0] != epoch:
            self._known = (epoch, self._drawn_order(epoch))
        return self._known[1]

    def _drawn_order(self, epoch: int) -> np.ndarray:
        random = generator(self._order_key, epoch)
        order = random.permutation(len(self._sequences))[: self.per_epoch]
        if self.length_pool > 1:
            pools = np.arange(len(order)) // (self.length_pool * self.block)
            # By pool first and by length inside each; equal lengths stay in the order that was drawn.
            order = order[np.lexsort((self.lengths[order], pools))]
        return random.permutation(order.reshape(-1, self.block)).ravel()


class _Randoms(Sequence[np.random.Generator]):
    """Generators by their addresses, made when they are asked for: many objectives ask for none."""

    def __init__(self, addresses: Sequence[tuple[int, int, int]]):
        """Take key, index and attempt of each (see :func:`hubkit.randomness.generator`)."""
        self._addresses = addresses

    def __len__(self) -> int:
        return len(self._addresses)

    def __getitem__(self, index):
        return generator(*self._addresses[index])


class HeldOut:
    """The validation batches, in the order of the sequences, which are asked the same at each reading."""

    def __init__(self, sequences: Sequences, limit: int | None, objective: Objective, batch_size: int, seed: int):
        """Prepare to read the first `limit` sequences; None is all. The others are those of :class:`Batches`."""
        self.sequences, self.objective, self.batch_size = sequences, objective, batch_size
        self._starts = range(0, min(limit or len(sequences), len(sequences)), batch_size)
        self._key = stream_key("mask for evaluation", seed)

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._starts)

    def __getitem__(self, batch: int) -> "dict[str, torch.Tensor]":
        start = self._starts[batch]
        chosen = range(start, min(start + self.batch_size, self._starts.stop))
        return self.objective.batch(
            [self.sequences[number] for number in chosen], _Randoms([(self._key, number, 0) for number in chosen])
        )
