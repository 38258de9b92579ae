"""Tokens that lie in an HDF5 file as one long row of integers, as BackPerplexity keeps them."""

from pathlib import Path

import numpy as np

from hubkit.errors import UserError

SUFFIXES = (".h5", ".hdf5")
_SLICE = 1 << 20  # so many tokens are read at once


class FlatTokens:
    """One integer dataset of an HDF5 file, read in slices."""

    def __init__(self, path: Path, dataset: str | None = None, field: str = "corpus", choice: str = "dataset"):
        """Open a file.

        Args:
            path: The file.
            dataset: Which dataset in it; None means the only one that is one row of integers.
            field: Which field of a spec names the file, for messages.
            choice: Which field names the dataset, for messages.

        Raises:
            UserError: h5py is not installed, or there is no such file or dataset.
        """
        try:
            import h5py
        except ImportError:
            raise UserError(f"{field}: reading {path} needs h5py; pip install 'hubkit[h5]'") from None
        self._path, self._field, self._choice = path, field, choice
        try:
            file = h5py.File(path, "r")
        except OSError as error:
            raise UserError(f"{field}: can't read {path} as HDF5: {error}; check the path") from None
        rows: dict[str, h5py.Dataset] = {}
        others: list[str] = []

        def note(name: str, item: object) -> None:
            if not isinstance(item, h5py.Dataset):
                return
            if item.ndim == 1 and item.dtype.kind in "ui":
                rows[name] = item
            else:
                others.append(f"{name}: {item.dtype} of shape {item.shape}")

        file.visititems(note)
        if not rows:
            there = "; ".join(others) or "nothing"
            raise UserError(
                f"{field}: {path} has no row of integers (it has {there}); write the tokens as one dimension"
            )
        self._dataset = rows[self._chosen(sorted(rows), dataset)]

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
                where = f"{self._path} is damaged at token {first}"
                raise UserError(f"{self._field}: {where}: {error}; replace it") from None
            if found.min() < 0 or found.max() >= vocabulary:
                at = int(np.flatnonzero((found < 0) | (found >= vocabulary))[0])
                raise UserError(
                    f"{self._field}: token {first + at} of {self._path} is {found[at]}, and the tokenizer has the ids "
                    f"0 to {vocabulary - 1}; name the tokenizer that made these tokens"
                )
            tokens[first - start : last - start] = found
        return tokens

    def _chosen(self, names: list[str], dataset: str | None) -> str:
        if dataset is None and len(names) == 1:
            return names[0]
        if dataset is not None and dataset.strip("/") in names:
            return dataset.strip("/")
        there = f"it has {', '.join(names)}"
        if dataset is None:
            raise UserError(f"{self._choice}: which one of {self._path} holds the tokens? ({there})")
        raise UserError(f"{self._choice}: {self._path} has no {dataset!r} of one dimension ({there})")
