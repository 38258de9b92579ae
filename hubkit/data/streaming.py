"""Training rows that are fetched while they are learnt: in pools of some thousand, each shuffled by itself.

A pool is some row groups of the Parquet files, which an order drawn for each epoch brings together. While one is in
use, a thread fetches the next and turns it into token ids. What is read at a place of the endless row of sequences is
a function of the recipe, as it is without streaming; but where a pool begins may hang on how many sequences those
before it had. So a checkpoint keeps a mark of the pool it is in: a run that goes on from it fetches this pool and those
after it, and no other.

Each process reads the whole stream and takes its share of each batch: so the batches of all are the batch of one.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from itertools import pairwise
from typing import NamedTuple, TypeVar

import numpy as np

from hubkit.data.ordering import drawn_order
from hubkit.data.parquet import RowGroup
from hubkit.data.pools import Pool, Stream
from hubkit.data.tokens import Sample
from hubkit.errors import UserError
from hubkit.randomness import generator, stream_key

_BITS = 32
"""The number of a sequence is that of its pool, and in so many lower bits its own."""

Result = TypeVar("Result")


class Mark(NamedTuple):
    """Where a pool stands in the endless row of sequences."""

    number: int
    """Pools before it, over all epochs."""
    epoch: int
    place: int
    """Pools before it in the epoch."""
    begin: int
    """Sequences before it, over all epochs."""


_START = Mark(0, 0, 0, 0)


class EndlessStream:
    """The endless row of a stream's sequences: epoch by epoch, each time in another order."""

    def __init__(self, name: str, stream: Stream, key: tuple[int, ...], block: int, length_pool: int):
        """Stand at the first sequence.

        Args:
            name: For messages and what is counted.
            stream: Where they come from.
            key: Decides order and questions.
            block: Sequences that come together, from the first on; those of a pool are sorted by length for them.
            length_pool: So many blocks are sorted together.
        """
        self.name, self._stream, self._block, self._length_pool = name, stream, block, length_pool
        self.question_key = stream_key("mask", *key)
        self._groups_key, self._order_key = stream_key("row groups", *key), stream_key("order", *key)
        self._plans: dict[int, list[list[RowGroup]]] = {}
        self._marks = [_START]
        """Of the pools from one on, in order; the last is of the first whose size nobody has asked for."""
        self._pools: dict[int, Future[Pool]] = {}
        """The pools that are read or being read, by number."""
        self._orders: dict[int, np.ndarray] = {}

    @property
    def per_epoch(self) -> int | None:
        """Sequences of an epoch; None where that is known only afterwards."""
        return None if self._stream.windows else self._stream.rows

    def __getitem__(self, number: int) -> Sample:
        """Return a sequence by the number that :meth:`between` gave."""
        pool = self._pools[number >> _BITS].result()
        assert pool.sequences is not None
        return pool.sequences[number & (1 << _BITS) - 1]

    def between(self, begin: int, end: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the sequences from place `begin` to `end` (exclusive) of the endless row: epoch and numbers.

        Raises:
            UserError: As :meth:`Stream.read`; or an epoch has fewer tokens than one window.
        """
        for mark, following in self._marked(begin, end):
            order = self._order(mark)[max(begin - mark.begin, 0) : min(end, following.begin) - mark.begin]
            if len(order):
                yield mark.epoch, (mark.number << _BITS) + order

    def tokens(self, numbers: np.ndarray) -> int:
        """Return how many tokens the sequences of one item of :meth:`between` have."""
        pool = self._pools[int(numbers[0]) >> _BITS].result()
        assert pool.sequences is not None
        return int(pool.sequences.lengths[numbers & (1 << _BITS) - 1].sum())

    def shown(self, numbers: np.ndarray) -> list[str]:
        """Return what people call the sequences of one item of :meth:`between`: the rows that they begin in."""
        rows = self._pools[int(numbers[0]) >> _BITS].result().rows
        places = numbers & (1 << _BITS) - 1
        if self._stream.windows:
            places = rows.starts.searchsorted(places * self._stream.stride, "right") - 1
        return [f"row {rows.number(int(place))}" for place in places]

    def mark(self, begin: int) -> Mark:
        """Return the mark of the pool that a place lies in, from which :meth:`go_to` finds the place again."""
        self._extend(begin, begin)
        return self._marks[self._index(begin)]

    def go_to(self, mark: Sequence[int]) -> None:
        """Go on from the mark of a checkpoint; what lies before it would be found only from the beginning."""
        self._marks = [Mark(*mark)]

    def epochs(self, count: int) -> float:
        """Return how often the rows have been read once so many sequences were."""
        mark = self.mark(count)
        before = sum(group.rows for pool in self._plan(mark.epoch)[: mark.place] for group in pool)
        if count > mark.begin:
            size = self._size(mark)
            before += (count - mark.begin) / size * sum(group.rows for group in self._groups(mark))
        return mark.epoch + before / self._stream.rows

    # --- which pool stands where --------------------------------------------------------------------------------------

    def _marked(self, begin: int, end: int) -> Iterator[tuple[Mark, Mark]]:
        """Yield the marks of the pools that places lie in, each with that of the next; forget the pools before them."""
        self._extend(begin, end)
        first = self._index(begin)
        self._forget(self._marks[first].number)
        for mark, following in pairwise(self._marks[first:]):
            if mark.begin < end:
                yield mark, following

    def _extend(self, begin: int, end: int) -> None:
        """Know the marks from that of place `begin` to the first that is not before `end`."""
        if begin < self._marks[0].begin:
            self._marks = [_START]
        while self._marks[-1].begin < end:
            self._marks.append(self._following(self._marks[-1]))
            if self._marks[-1].begin <= begin:
                self._forget(self._marks[-1].number)

    def _index(self, begin: int) -> int:
        return bisect_right(self._marks, begin, key=lambda mark: mark.begin) - 1

    def _following(self, mark: Mark) -> Mark:
        size = self._size(mark)
        epoch, place = self._next(mark.epoch, mark.place)
        begins = [other.begin for other in self._marks if other.epoch == mark.epoch]
        if epoch > mark.epoch and len(begins) == len(self._plan(mark.epoch)) and mark.begin + size == begins[0]:
            raise UserError(
                f"reading.length: no pool of {self.name} has the {self._stream.longest} tokens of a window; lower it, "
                "or raise dataset.pool_rows"
            )
        return Mark(mark.number + 1, epoch, place, mark.begin + size)

    def _next(self, epoch: int, place: int) -> tuple[int, int]:
        return (epoch, place + 1) if place + 1 < len(self._plan(epoch)) else (epoch + 1, 0)

    def _size(self, mark: Mark) -> int:
        """Return how many sequences a pool has; of windows, it is read for that."""
        return len(self._pool(mark)) if self._stream.windows else sum(group.rows for group in self._groups(mark))

    def _groups(self, mark: Mark) -> list[RowGroup]:
        return self._plan(mark.epoch)[mark.place]

    def _plan(self, epoch: int) -> list[list[RowGroup]]:
        """Return the pools of an epoch."""
        if epoch not in self._plans:
            self._plans = {known: plan for known, plan in self._plans.items() if abs(known - epoch) == 1}
            self._plans[epoch] = self._stream.pools(generator(self._groups_key, epoch))
        return self._plans[epoch]

    # --- the pools in memory ------------------------------------------------------------------------------------------

    def _order(self, mark: Mark) -> np.ndarray:
        """Return the numbers of a pool's sequences in their order: int64."""
        if mark.number not in self._orders:
            pool = self._pool(mark)
            if pool.sequences is None:
                return np.empty(0, np.int64)
            random = generator(self._order_key, mark.epoch, mark.place)
            # The first ones fill up the block that the pool before has begun.
            lead = min(-mark.begin % self._block, len(pool))
            lengths = pool.sequences.lengths
            self._orders[mark.number] = drawn_order(random, lengths, self._block, self._length_pool, lead)
        return self._orders[mark.number]

    def _pool(self, mark: Mark) -> Pool:
        """Return a pool, and have the next one read meanwhile."""
        ahead = self._pools.get(mark.number)
        if ahead is not None and ahead.done() and ahead.exception() is not None:
            del self._pools[mark.number]  # it failed before it was wanted: now the Hub may be back
        self._begin_to_read(mark.number, self._groups(mark))
        pool = self._pools[mark.number].result()
        epoch, place = self._next(mark.epoch, mark.place)
        self._begin_to_read(mark.number + 1, self._plan(epoch)[place])
        return pool

    def _begin_to_read(self, number: int, groups: list[RowGroup]) -> None:
        if number not in self._pools:
            self._pools[number] = _begun(lambda: self._stream.read(groups))

    def _forget(self, number: int) -> None:
        """Free the memory of the pools before one."""
        self._pools = {known: pool for known, pool in self._pools.items() if known >= number}
        self._orders = {known: order for known, order in self._orders.items() if known >= number}


def _begun(work: Callable[[], Result]) -> Future[Result]:
    """Begin some work in a thread of its own."""
    future: Future[Result] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name="next pool").start()
    return future
