"""From sequences to batches: their order, and what is asked. Batch *s* of a run is a function of (recipe, s)."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch.utils.data

from hubkit.data.mixtures import allotted
from hubkit.data.objectives.base import Objective
from hubkit.data.ordering import drawn_order
from hubkit.data.pools import Stream
from hubkit.data.reading import Sequences
from hubkit.data.streaming import EndlessStream
from hubkit.data.tokens import Sample
from hubkit.errors import UserError
from hubkit.randomness import Randoms, generator, stream_key

if TYPE_CHECKING:
    import torch


class Source(NamedTuple):
    """What training reads from one dataset."""

    name: str
    """For messages."""
    sequences: Sequences | Stream
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
        self.objective, self.batch_size, self.rank, self.processes = objective, batch_size, rank, processes
        self.micro_batch_size = micro_batch_size or batch_size // processes
        # In a mixture a source is read whole; alone, what fills no last batch waits for another epoch.
        self.sources = [
            _endless(source, (seed,) if alone else (seed, number), *((batch_size, length_pool) if alone else (1, 1)))
            for number, source in enumerate(sources)
        ]
        self._ratios = [source.ratio for source in sources]

    def __len__(self) -> int:
        """Steps until every source has been read once; of windows from a stream nobody knows."""
        sizes = [source.per_epoch for source in self.sources if source.per_epoch is not None]
        assert len(sizes) == len(self.sources)

        def are_read(steps: int) -> bool:
            given = allotted(steps * self.batch_size, self._ratios)
            return all(count >= size for count, size in zip(given, sizes, strict=True))

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
        return sum(self.sources[run.source].tokens(run.numbers) for run in self._runs(step))

    def counts(self, steps: int) -> dict[str, int]:
        """Return how many sequences of each source are read in so many steps."""
        counts: dict[str, int] = {}
        for source, count in self._read(steps):
            counts[source.name] = counts.get(source.name, 0) + count
        return counts

    def epochs(self, steps: int) -> float:
        """Return how often the training data was read in so many steps; of a mixture, the source that takes longest."""
        return min(source.epochs(count) for source, count in self._read(steps))

    def marks(self, steps: int) -> list[Any]:
        """Return what :meth:`go_to` needs to go on after so many steps: plain data, of each source little or None."""
        return [source.mark(count) for source, count in self._read(steps)]

    def go_to(self, marks: Sequence[Any]) -> None:
        """Go on from a checkpoint. Without it the same batches come, but streams are read from the beginning."""
        for source, mark in zip(self.sources, marks, strict=True):
            source.go_to(mark)

    def described(self, step: int) -> str:
        """Return which sequences the batch of a step has, for people."""
        found: dict[str, list[str]] = {}
        for run in self._runs(step):
            source = self.sources[run.source]
            found.setdefault(source.name, []).extend(source.shown(run.numbers))
        return "; ".join(
            f"{', '.join(numbers[:8])}{f' and {len(numbers) - 8} more' if len(numbers) > 8 else ''} of {name}"
            for name, numbers in found.items()
        )

    def _batch(self, places: Sequence[tuple[int, int, int]]) -> "dict[str, torch.Tensor]":
        """Return the batch of some sequences: each is its source, its epoch and its number."""
        samples = [self.sources[source][number] for source, _, number in places]
        addresses = [(self.sources[source].question_key, number, epoch) for source, epoch, number in places]
        return self.objective.batch(samples, Randoms(addresses))

    def _read(self, steps: int) -> "Iterator[tuple[_Endless | EndlessStream, int]]":
        """Yield each source, and how many of its sequences are read in so many steps."""
        yield from zip(self.sources, allotted(steps * self.batch_size, self._ratios), strict=True)

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


def _endless(source: Source, key: tuple[int, ...], block: int, length_pool: int) -> "_Endless | EndlessStream":
    if isinstance(source.sequences, Stream):
        return EndlessStream(source.name, source.sequences, key, block, length_pool)
    return _Endless(source.name, source.sequences, key, block, length_pool)


class _Endless:
    """A source that begins again when it is exhausted, each time in another order."""

    def __init__(self, name: str, sequences: Sequences, key: tuple[int, ...], block: int, length_pool: int):
        if len(sequences) < block:
            raise UserError(
                f"training.batch_size: {block} is more than the {len(sequences)} sequences of {name}; lower it"
            )
        self.name, self._sequences, self._block, self._length_pool = name, sequences, block, length_pool
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

    def tokens(self, numbers: np.ndarray) -> int:
        """Return how many tokens sequences have."""
        return int(self._sequences.lengths[numbers].sum())

    def shown(self, numbers: np.ndarray) -> list[str]:
        """Return what people call sequences."""
        return [str(number) for number in numbers.tolist()]

    def epochs(self, count: int) -> float:
        """Return how often all have been read once so many were."""
        return count / self.per_epoch

    def mark(self, begin: int) -> None:
        """Return nothing: every place is found at once."""

    def go_to(self, mark: None) -> None:
        """Do nothing."""

    def _order(self, epoch: int) -> np.ndarray:
        """Return the numbers of the sequences of an epoch in their order: int64."""
        if self._known[0] != epoch:
            random = generator(self._order_key, epoch)
            self._known = (epoch, drawn_order(random, self._sequences.lengths, self._block, self._length_pool))
        return self._known[1]


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
            [self.sequences[number] for number in chosen], Randoms([(self._key, number, 0) for number in chosen])
        )
