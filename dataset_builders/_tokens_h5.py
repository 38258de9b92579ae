"""Tokens that lie in an HDF5 file as one long row of integers, as BackPerplexity keeps them."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from hubkit.errors import UserError

SUFFIXES = (".h5", ".hdf5")
_SLICE = 1 << 20  # so many tokens are read at once


class FlatTokens:
    """One integer dataset of an HDF5 file, read in slices."""

    def __init__(self, path: Path, dataset: str | None = None):
        """Open a file.

        Args:
            path: The file.
            dataset: Which dataset in it; None means the only one that is one row of integers.

        Raises:
            UserError: h5py is not installed, or there is no such file or dataset.
        """
        try:
            import h5py
        except ImportError:
            raise UserError(f"corpus: reading {path} needs h5py; pip install 'hubkit[h5]'") from None
        self._path = path
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise UserError(f"corpus: can't read {path} as HDF5: {error}; check the path") from None
        rows: dict[str, h5py.Dataset] = {}

        def note(name: str, item: object) -> None:
            if isinstance(item, h5py.Dataset) and item.ndim == 1 and item.dtype.kind in "ui":
                rows[name] = item

        file.visititems(note)
        self._dataset = rows[self._choice(sorted(rows), dataset)]

    def __len__(self) -> int:
        return self._dataset.shape[0]

    def read(self, start: int, stop: int, type: np.dtype, vocabulary: int) -> np.ndarray:
        """Return tokens `start` to `stop` (exclusive) as `type`.

        Raises:
            UserError: One of them is no id of a vocabulary of that size, or the file is damaged.
        """
        tokens = np.empty(stop - start, type)
        for first in range(start, stop, _SLICE):
            last = min(first + _SLICE, stop)
            try:
                found = self._dataset[first:last]
            except OSError as error:
                raise UserError(f"corpus: {self._path} is damaged at token {first}: {error}; replace it") from None
            if found.min() < 0 or found.max() >= vocabulary:
                at = int(np.flatnonzero((found < 0) | (found >= vocabulary))[0])
                raise UserError(
                    f"corpus: token {first + at} of {self._path} is {found[at]}, and the tokenizer has the ids 0 to "
                    f"{vocabulary - 1}; name the tokenizer that made these tokens"
                )
            tokens[first - start : last - start] = found
        return tokens

    def _choice(self, names: list[str], dataset: str | None) -> str:
        if dataset is None and len(names) == 1:
            return names[0]
        if dataset is not None and dataset.strip("/") in names:
            return dataset.strip("/")
        there = f"it has {', '.join(names)}" if names else "it has no row of integers"
        if dataset is None:
            raise UserError(f"dataset: which one of {self._path} holds the tokens? ({there})")
        raise UserError(f"dataset: {self._path} has no {dataset!r} of one dimension ({there})")


def ranges(chunks: int, shares: Mapping[str, float]) -> dict[str, range]:
    """Divide consecutive chunks among splits, in order and in proportion, so that no two splits touch one chunk.

    Raises:
        UserError: A split would be empty.
    """
    found, share, total, start = {}, 0.0, sum(shares.values()), 0
    for split, part in shares.items():
        share += part
        stop = round(chunks * share / total)
        if start == stop:
            raise UserError(
                f"shares: {split}={part} of {chunks} chunks is none; raise it, lower chunk, or leave it out"
            )
        found[split], start = range(start, stop), stop
    return found
