"""What Lorenz worlds and corpora of them are described by, and which descriptions are refused."""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from hubkit.corpora.builder import CountedSpec
from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.resources import load_module
from hubkit.specs import Spec

physics = load_module(Path(__file__).with_name("_lorenz_physics.py"), "hubkit_lorenz_physics")

_MOST_NUMBERS = 2**31 // BLOCK_ROWS // 8  # an Arrow column of strings holds 2 GiB, and a number takes 8 bytes
_Dim = Annotated[int, Field(ge=1, le=1000)]


class WorldSpec(Spec):
    """How one world is drawn. Toggles and overrides leave the draws alone: a seed keeps its systems whatever is off."""

    generator: Literal["portable", "microcosm"] = "portable"
    """Whose rows these are: new ones, the same on every machine, or those of the Microcosm corpora."""
    integrator: Literal["euler", "rk4"] = "euler"
    """By which rule a step of 1/700 is taken: explicit Euler is crude (a median of 1–4 % off a tight Runge–Kutta
    solution) and what Microcosm used; the classical Runge–Kutta rule of fourth order is not."""
    num_steps: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Observations in a world."""
    max_sys: Annotated[int, Field(ge=1, le=physics.MOST_SYSTEMS)] = 5
    """A world has 1 to `max_sys` systems."""
    min_dim: _Dim = 3
    """Least dimension that is drawn for the embedding."""
    max_dim: Annotated[int, Field(ge=2, le=1001)] = 40
    """One more than the greatest dimension that is drawn."""
    step_multip: Literal[1, 2, 4, 8, 16, 32] | None = None
    """Euler steps between two observations, for every system; None draws it for each."""
    retries: Annotated[int, Field(ge=1, le=1000)] = 5
    """Tries that a system has to stay within `RADIUS`; then its world is dropped."""
    normalize: bool = True
    """Bring each column to mean 0 and standard deviation 1; off, 'normalization' is an empty list."""
    rotate: bool = True
    """Multiply by the frame l; off, l is an empty list and the dimension must not change."""
    dilate: bool = True
    """Multiply by the scales; off, diag is an empty list."""
    rotate_again: bool = True
    """Multiply by the frame r; off, r is an empty list and a world has min(3 · systems, drawn dimension) columns."""
    change_dim: bool = True
    """Draw the dimension; off, a world has 3 columns a system."""
    new_dim: _Dim | None = None
    """The dimension of every world, in place of the drawn one."""
    num_hierarchies: Literal[1, 2, 3] | None = None
    """How many different scales a world has (1 included), in place of the drawn 1 or 2."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.generator == "microcosm" and self.integrator != "euler":
            raise ValueError(
                f"integrator={self.integrator} is not what generator=microcosm integrates by; set integrator=euler, or "
                "generator=portable"
            )
        if self.min_dim >= self.max_dim:
            raise ValueError(
                f"max_dim={self.max_dim} leaves no dimension to draw from min_dim={self.min_dim} on, because max_dim "
                f"is exclusive; set max_dim to {self.min_dim + 1} or more"
            )
        if self.normalize and self.num_steps == 1:
            raise ValueError(
                "num_steps=1 has no standard deviation to normalize by; set num_steps to 2 or more, or normalize=false"
            )
        if self.new_dim is not None and not self.change_dim:
            raise ValueError(f"new_dim={self.new_dim} contradicts change_dim=false; leave one of them out")
        if not self.rotate and self.change_dim:
            self._check_unrotated()
        return self

    def _check_unrotated(self) -> None:
        """Refuse dimensions that can't be reached without the frame l: it alone can lower one, r alone can raise it."""
        low = self.new_dim or self.min_dim
        high = self.new_dim or self.max_dim - 1
        most = 3 * self.max_sys
        if self.rotate_again and low < most:
            raise ValueError(
                f"rotate=false can't bring the {most} columns of max_sys={self.max_sys} down to {low}; set "
                f"change_dim=false, or {'min_dim' if self.new_dim is None else 'new_dim'} to {most} or more"
            )
        if not self.rotate_again and not low == high == most == 3:
            raise ValueError(
                f"rotate=false with rotate_again=false can't change the dimension (3 to {most} columns) to {low}"
                f"{'' if low == high else f'–{high}'}; set change_dim=false"
            )


class LorenzSpec(WorldSpec, CountedSpec):
    """A corpus of Lorenz worlds."""

    builder: Literal["lorenz"] = "lorenz"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        columns = max(3 * self.max_sys, self.new_dim or self.max_dim - 1) if self.change_dim else 3 * self.max_sys
        if self.num_steps * columns > _MOST_NUMBERS:
            raise ValueError(
                f"num_steps={self.num_steps} with up to {columns} columns makes a world of "
                f"{self.num_steps * columns} numbers; lower num_steps or max_dim to stay within {_MOST_NUMBERS}"
            )
        return self
