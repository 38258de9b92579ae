"""Which tokens make up a number, where one takes several: ``3.428`` is ``3 . 42 8`` to the Lorenz tokenizer.

A masked model that sees three tokens of a number can guess the fourth; whoever asks for whole numbers asks something
else. All tokens of a number are hidden together where they share the draw of the first.
"""

import re
from collections.abc import Mapping

import numpy as np

_PART = re.compile(r"[0-9]+|[.-]|e-[0-9]+")


def number_parts(vocabulary: Mapping[str, int]) -> np.ndarray:
    """Return by id whether a token is part of a number: digits, point, sign or exponent.

    Args:
        vocabulary: Ids by token, as `tokenizer.get_vocab()` gives them.

    Returns:
        bool of shape (largest id + 1,).
    """
    parts = np.zeros(max(vocabulary.values()) + 1, dtype=bool)
    parts[[id for token, id in vocabulary.items() if _PART.fullmatch(token)]] = True
    return parts


def number_starts(ids: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Return for each token where the number that it is part of begins; for others, where they are themselves.

    ``np.take_along_axis(draws, number_starts(ids, parts), -1)`` gives all tokens of a number the draw of the first.

    Args:
        ids: Token ids, integers of shape (..., tokens): a row, or a batch of them.
        parts: What :func:`number_parts` returns.

    Returns:
        int64 of the shape of `ids`.
    """
    inside = parts[ids]
    goes_on = np.zeros_like(inside)
    goes_on[..., 1:] = inside[..., 1:] & inside[..., :-1]
    return np.maximum.accumulate(np.where(goes_on, 0, np.arange(ids.shape[-1])), axis=-1)
