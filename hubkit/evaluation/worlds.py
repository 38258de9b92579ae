"""Where in a Lorenz world's token ids the numbers stand that a model is asked for."""

from dataclasses import dataclass

import numpy as np

from hubkit.tokenizers.lorenz import MASK, VOCABULARY

MASK_ID = VOCABULARY.index(MASK)
_PARAMS, _MULTIP = VOCABULARY.index("'params':"), VOCABULARY.index("'step_multip':")
_DOT, _COMMA = VOCABULARY.index("."), VOCABULARY.index(",")

# What can stand for decimals: a digit or a pair of digits. An integer part has no leading zero.
DECIMALS = np.array([i for i, token in enumerate(VOCABULARY) if token.isdigit() and len(token) <= 2])
INTEGERS = np.array([i for i in DECIMALS if VOCABULARY[i] == str(int(VOCABULARY[i]))])


@dataclass(frozen=True)
class Truth:
    """What the masks of a world hide."""

    sigma: float
    integer: int
    """σ's integer part."""
    decimals: str
    """What stands after σ's dot."""
    multip: int
    """`step_multip`."""


@dataclass(frozen=True)
class World:
    """One world with the places of σ and `step_multip` of its first system."""

    ids: np.ndarray
    """Token ids of the whole world, integers of shape (tokens,)."""
    place: int
    """Index of σ's integer part; the dot follows, then the decimals."""
    end: int
    """Index after σ's last decimal."""
    multip_place: int
    """Index of `step_multip`, which is one token."""
    truth: Truth

    def integer_masked(self) -> np.ndarray:
        """Return the ids with σ's integer part masked, the decimals left to see."""
        return self._masked(self.place)

    def number_masked(self) -> np.ndarray:
        """Return the ids with σ's integer part and decimals masked, one mask each."""
        return np.concatenate([self.ids[: self.place], [MASK_ID, _DOT, MASK_ID], self.ids[self.end :]])

    def multip_masked(self) -> np.ndarray:
        """Return the ids with `step_multip` masked."""
        return self._masked(self.multip_place)

    def _masked(self, place: int) -> np.ndarray:
        ids = self.ids.copy()
        ids[place] = MASK_ID
        return ids


def find_world(ids: np.ndarray) -> World | None:
    """Return the world in a row of token ids; None where σ is not digits, dot, digits, or `step_multip` no integer."""
    params, multips = np.flatnonzero(ids == _PARAMS), np.flatnonzero(ids == _MULTIP)
    if not len(params) or not len(multips) or multips[0] + 1 >= len(ids):
        return None
    place = int(params[0]) + 2  # after the key comes a bracket
    commas = np.flatnonzero(ids[place:] == _COMMA)
    if not len(commas):
        return None
    end, multip = place + int(commas[0]), int(multips[0]) + 1
    pieces = [VOCABULARY[id] for id in ids[place:end]]
    written = "".join(pieces)
    plain = len(pieces) >= 3 and pieces[1] == "." and written.replace(".", "", 1).isdigit()
    if not plain or ids[place] not in INTEGERS or ids[multip] not in INTEGERS:
        return None
    truth = Truth(float(written), int(pieces[0]), "".join(pieces[2:]), int(VOCABULARY[ids[multip]]))
    return World(ids, place, end, multip, truth)
