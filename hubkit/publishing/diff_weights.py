"""How the weights of a model differ between two releases: tensors by name, type, shape, and how far they moved."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

_PIECE = 1 << 22
"""Values that are compared at a time (16 MiB of float32)."""


@dataclass(frozen=True)
class TensorChange:
    """One tensor that differs."""

    name: str
    old: str | None
    """Type and shape, such as ``F32 [128, 64]``; None for a new tensor."""
    new: str | None
    largest: float | None
    """The largest absolute difference of a value; None where the shapes differ, or there is nothing to compare."""


@dataclass(frozen=True)
class WeightsDiff:
    """What happened to a model's weights."""

    tensors: int
    """How many tensors both releases have, in all."""
    changes: tuple[TensorChange, ...]

    @property
    def largest(self) -> float | None:
        """The largest difference of all."""
        return max((change.largest for change in self.changes if change.largest is not None), default=None)

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        return {
            "tensors": self.tensors,
            "largest": self.largest,
            "changes": [dict(vars(change)) for change in self.changes],
        }


def compare_weights(old: Iterable[Path], new: Iterable[Path]) -> WeightsDiff:
    """Compare safetensors files, tensor by tensor; no tensor is held in memory as a whole.

    Args:
        old: The files of the older release.
        new: Those of the newer one.
    """
    was, now = _tensors(old), _tensors(new)
    changes = [
        change for name in dict.fromkeys([*was, *now]) if (change := _change(name, was.get(name), now.get(name)))
    ]
    return WeightsDiff(len(was.keys() & now.keys()), tuple(changes))


def _tensors(files: Iterable[Path]) -> dict[str, tuple[Any, str]]:
    """Return each tensor, unread, with its type and shape."""
    from safetensors import safe_open

    found = {}
    for file in files:
        opened = safe_open(str(file), framework="pt")
        for name in opened.keys():  # noqa: SIM118 (it is no mapping)
            tensor = opened.get_slice(name)
            found[name] = tensor, f"{tensor.get_dtype()} {tensor.get_shape()}"
    return found


def _change(name: str, old: tuple[Any, str] | None, new: tuple[Any, str] | None) -> TensorChange | None:
    if old is None or new is None:
        return TensorChange(name, old[1] if old else None, new[1] if new else None, None)
    if old[0].get_shape() != new[0].get_shape():
        return TensorChange(name, old[1], new[1], None)
    largest = max(_distances(old[0], new[0]), default=0.0)
    return TensorChange(name, old[1], new[1], largest) if largest or old[1] != new[1] else None


def _distances(old: Any, new: Any) -> Iterable[float]:
    """Yield the largest absolute difference of each piece; a NaN on one side alone is infinitely far."""
    import torch

    shape = old.get_shape()
    rows = max(1, _PIECE // max(1, _product(shape[1:])))
    for start in range(0, shape[0] if shape else 1, rows):
        was, now = (_piece(tensor, shape, start, rows) for tensor in (old, new))
        apart = (was - now).abs()
        apart[was == now] = 0.0  # infinities of one sign
        apart[was.isnan() & now.isnan()] = 0.0
        apart = torch.nan_to_num(apart, nan=torch.inf)
        if apart.numel():
            yield float(apart.max())


def _piece(tensor: Any, shape: list[int], start: int, rows: int) -> "torch.Tensor":
    import torch

    return (tensor[start : start + rows] if shape else tensor[:]).to(torch.float64).reshape(-1)


def _product(sizes: Iterable[int]) -> int:
    product = 1
    for size in sizes:
        product *= size
    return product
