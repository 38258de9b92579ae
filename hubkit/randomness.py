"""The only source of random numbers: a counter-based generator, addressed and never advanced.

A stream is named by a 128-bit key, made from what identifies it (seed, builder, generator version, split). Philox-4x64
(Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011) turns (key, counter) into random words, so that
row *i*, attempt *a* has its own block of the stream whatever was drawn before, by whom, and in which order.
"""

import hashlib
import json

import numpy as np

_WORD = (1 << 64) - 1


def stream_key(*parts: str | int) -> int:
    """Return the 128-bit key of the stream that these parts name.

    The parts are hashed as a JSON array, which no two different lists of parts share.
    """
    digest = hashlib.sha256(json.dumps(parts, separators=(",", ":")).encode()).digest()
    return int.from_bytes(digest[:16], "little")


def generator(key: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Return a fresh generator for item `index`, attempt `attempt`, of the stream `key`.

    The counter's low 128 bits are left to the draws; index and attempt fill its two high words, so that no two
    items overlap.
    """
    counter = (index & _WORD) << 128 | (attempt & _WORD) << 192
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


def item_seed(key: int, index: int, attempt: int = 0) -> int:
    """Return the 128-bit seed of item `index`, attempt `attempt`: for generators that must be seeded by an integer."""
    high, low = np.random.Philox(key=key, counter=(index & _WORD) << 128 | (attempt & _WORD) << 192).random_raw(2)
    return int(high) << 64 | int(low)
