"""What tests of domains share: some sequences of each, and what every domain must hold to."""

import hashlib

import numpy as np

from hubkit.draws import halves
from hubkit.randomness import stream_key
from hubkit.sequences.base import BaseDomain, Key, Sequences

KEY = halves(stream_key(0, "golden", "1", "train"))


def key_of(seed: int) -> Key:
    """Return the key of a stream of its own."""
    return halves(stream_key(seed))


def sequences(domain: BaseDomain, count: int, first: int = 0, seed: int | None = None) -> Sequences:
    """Return sequences `first` to `first + count`, of the golden stream unless a seed is given."""
    key = KEY if seed is None else key_of(seed)
    return domain.generate(key, np.arange(first, first + count, dtype=np.uint64))


def golden(domain: BaseDomain, count: int = 200) -> str:
    """Return the hash of some sequences: of the numbers, not of how an array holds them."""
    drawn = sequences(domain, count)
    numbers = np.concatenate([np.asarray(part, "<i8") for part in drawn])
    return hashlib.sha256(numbers.tobytes()).hexdigest()[:16]


def assert_sequences_stand_alone(domain: BaseDomain) -> None:
    """Hold that a sequence does not depend on which others are asked for, in which order and how often."""
    whole = sequences(domain, 70)
    for indices in (range(7, 8), range(64, 70), range(69, -1, -1), (5, 4, 5, 4, 4, 5, 6, 7, 6), ()):
        part = domain.generate(KEY, np.array(indices, np.uint64))
        assert len(part) == len(indices)
        for at, index in enumerate(indices):
            assert part.sequence(at).tolist() == whole.sequence(index).tolist()
            assert part.ranges(at) == whole.ranges(index)


def assert_well_formed(domain: BaseDomain, drawn: Sequences) -> None:
    """Hold to the interface: types, offsets, ids in range, one learnt part that ends with its sequence."""
    types = [part.dtype for part in drawn]
    assert types == [np.uint32, np.int64, np.int32, np.int64]
    assert drawn.offsets[0] == drawn.loss_offsets[0] == 0
    assert drawn.offsets[-1] == len(drawn.tokens)
    assert drawn.loss_offsets[-1] == len(drawn.loss)
    assert (np.diff(drawn.offsets) > 0).all()
    assert drawn.tokens.max() < domain.content + len(domain.markers)
    for i in range(len(drawn)):
        ((start, end),) = drawn.ranges(i)
        assert 0 <= start < end == len(drawn.sequence(i))
