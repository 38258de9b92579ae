"""Lorenz worlds: one or more Lorenz systems, watched through a random linear embedding, as one line of text each.

A row is the `repr` of a Python dict (single quotes, a blank after each comma), so that a masked language model can be
asked for any number in it::

    {'description': {'num_sys': n, 'sys0': {'params': [σ, β, ρ], 'init_point': [x, y, z], 'step_size': 700,
     'name': 'lorenz', 'step_multip': m}, …, 'normalization': [mean, std], 'embedding': [l, diag, r]}, 'data': [[…], …]}

`data` holds a row for each observed step: the systems' coordinates side by side, each column normalised, times the
frame l, the scales diag and the frame r. Every number is a float16, written with the fewest digits that name it, so
that whoever reads the numbers back has the very values that the generator went on with.

This is generator ``microcosm``: the rows of the Microcosm corpora to the byte. Its frames come from LAPACK's singular
value decomposition, and some of them have another sign on another CPU, for which the BLAS picks other kernels (1 in
20,000 at the shape of ``lorenz-xsmall``, 1 in 400 at the full one). So rows with frames can be verified only like for
like; :meth:`Lorenz.numerics` names what they hang on. Another generator, say a portable one, adds its function to
`FRAMES` and its name to `WorldSpec.generator`.
"""

import platform
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
import threadpoolctl
from pydantic import Field, model_validator

from hubkit.corpora.builder import MAX_ATTEMPTS, Block, CorpusBuilder, CorpusSpec
from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.errors import UserError
from hubkit.randomness import item_seeds
from hubkit.resources import load_module
from hubkit.specs import Spec

# One name, whatever name this file goes by: Numba's cache finds the module of its functions again by it.
kernels = load_module(Path(__file__).with_name("_lorenz_kernels.py"), "hubkit_lorenz_kernels")

# --- constants -------------------------------------------------------------------------------------------------------

STEP_SIZE = 700
"""Euler steps in a unit of time."""
STEP_MULTIPS = (1, 2, 4, 8, 16, 32)
"""How many Euler steps may lie between two observations."""
PARAM_MEANS = (8.0, 2.66, 25.0)
"""Where σ, β and ρ are centred; each is |mean · (1 + PARAM_SPREAD · normal)|."""
PARAM_SPREAD = 0.4
START_SPREAD = 3.0
"""Standard deviation of each coordinate of the first point."""
RADIUS = 55.0
"""A system that leaves this ball around the origin, at any Euler step, is drawn again."""
SCALES = (10, 100)
"""By what a direction may be stretched, beside 1."""
MOST_SYSTEMS = 5
"""The tokenizer has ids for `sys0` to `sys4`."""

_MOST_NUMBERS = 2**31 // BLOCK_ROWS // 8  # an Arrow column of strings holds 2 GiB, and a number takes 8 bytes
_PHYSICS = (PARAM_MEANS, PARAM_SPREAD, START_SPREAD, RADIUS, float(STEP_SIZE))
_NO_FRAME = np.empty((0, 0))
_NO_SCALES = np.empty(0, np.uint16)

# --- config ----------------------------------------------------------------------------------------------------------

_Dim = Annotated[int, Field(ge=1, le=1000)]


class WorldSpec(Spec):
    """How one world is drawn. Toggles and overrides leave the draws alone: a seed keeps its systems whatever is off."""

    generator: Literal["microcosm"] = "microcosm"
    """Whose rows these are; see the module's first lines."""
    integrator: Literal["euler"] = "euler"
    """Explicit Euler of 1/700: crude (a median of 1–4 % off a tight Runge–Kutta solution), and what Microcosm used."""
    num_steps: Annotated[int, Field(ge=1, le=100_000)] = 500
    """Observations in a world."""
    max_sys: Annotated[int, Field(ge=1, le=MOST_SYSTEMS)] = 5
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


class LorenzSpec(WorldSpec, CorpusSpec):
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


# --- worlds ----------------------------------------------------------------------------------------------------------


class World(NamedTuple):
    """One drawn world."""

    text: str
    """The row."""
    starts: np.ndarray
    """float64 of shape (systems, 6): σ, β, ρ, x, y, z of each system, as the decimals that stand in the text."""
    multips: list[int]
    """`step_multip` of each system."""


class _Draft(NamedTuple):
    """A world of which everything is drawn, before its frames are made."""

    starts: np.ndarray  # uint16 (systems, 6): bits of σ, β, ρ, x, y, z
    multips: list[int]
    series: np.ndarray  # uint16 (steps, old): bits of the columns
    moments: np.ndarray  # uint16 (2, old): bits of their means and standard deviations; (0, 0) where not normalised
    normals: np.ndarray  # float64 (old, new): what the frames are made from
    scales: np.ndarray  # uint16 (k,): bits of diag; (0,) where off


def draw_worlds(seeds: Iterable[int], spec: WorldSpec) -> list[World | None]:
    """Return the world of each seed, or None where a system was rejected `spec.retries` times.

    A world depends on its own seed only. Many at once take about 0.6 of the time: each step runs over all of them.

    Args:
        seeds: Any integers from 0 on; NumPy's `default_rng` takes them.
        spec: Which worlds to draw from.
    """
    drafts = [_draft(seed, spec) for seed in seeds]
    frames = _frames([draft for draft in drafts if draft], spec)
    return [_finish(draft, *next(frames)) if draft else None for draft in drafts]


def _draft(seed: int, spec: WorldSpec) -> _Draft | None:
    """Make all draws of a world, in Microcosm's order, and integrate its systems."""
    rng, tables = np.random.default_rng(seed), kernels.half_tables()
    count = int(rng.integers(1, 1 + spec.max_sys))
    # Each system's type would be drawn here, by integers(0, 1, count); of one type that takes nothing from the stream.
    multips = [spec.step_multip or STEP_MULTIPS[i] for i in rng.integers(0, len(STEP_MULTIPS), count).tolist()]
    starts = np.empty((count, 6), np.uint16)
    series = np.empty((spec.num_steps, 3 * count), np.uint16)
    moments = np.empty((2, 3 * count) if spec.normalize else (0, 0), np.uint16)
    for system, multip in enumerate(multips):
        how = _PHYSICS, tables, system, multip, spec.normalize
        for _ in range(spec.retries):
            if kernels.simulate(rng.standard_normal(6), *how, starts, series, moments):
                break
        else:
            return None
    return _Draft(starts, multips, series, moments, *_draw_embedding(rng, 3 * count, spec))


def _draw_embedding(rng: np.random.Generator, old: int, spec: WorldSpec) -> tuple[np.ndarray, np.ndarray]:
    """Draw what the frames are made from, and the bits of diag."""
    new = int(rng.integers(spec.min_dim, spec.max_dim))
    new = (spec.new_dim or new) if spec.change_dim else old
    normals = rng.standard_normal((old, new))
    if not spec.dilate:  # and nothing is drawn after the scales
        return normals, _NO_SCALES
    hierarchies = int(rng.integers(1, 3))
    hierarchies = spec.num_hierarchies or hierarchies
    chosen = rng.choice(len(SCALES), hierarchies - 1, replace=False).tolist() if hierarchies > 1 else ()
    return normals, _scales(min(old, new), tuple(sorted(chosen)))


@lru_cache(maxsize=10_000)
def _scales(size: int, chosen: tuple[int, ...]) -> np.ndarray:
    """Return the bits of diag: ones, then equally many copies of each chosen scale, as many as fit beside the ones."""
    copies = [SCALES[i] for i in chosen for _ in range(size // (1 + len(chosen)))]
    return np.array([1] * (size - len(copies)) + copies, np.float16).view(np.uint16)


def lapack_frames(normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the frames of ``microcosm``: the singular vectors that LAPACK gives.

    Args:
        normals: float64 of shape (count, old, new).

    Returns:
        l of shape (count, old, k) and r of shape (count, k, new), where k is the lesser of old and new.
    """
    left, _, right = np.linalg.svd(normals, full_matrices=False)
    return left, right


FRAMES: Mapping[str, Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]] = {"microcosm": lapack_frames}
"""How each generator makes frames from matrices of normals; a frame may depend on its own matrix only."""


def _frames(drafts: list[_Draft], spec: WorldSpec) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return frames l and r of each draft, made together for all of one shape; one that is off is empty."""
    if not (spec.rotate or spec.rotate_again):
        return iter([(_NO_FRAME, _NO_FRAME)] * len(drafts))
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, draft in enumerate(drafts):
        groups.setdefault(draft.normals.shape, []).append(index)
    frames = [(_NO_FRAME, _NO_FRAME)] * len(drafts)
    for members in groups.values():
        left, right = FRAMES[spec.generator](np.array([drafts[index].normals for index in members]))
        for at, index in enumerate(members):
            frames[index] = (left[at] if spec.rotate else _NO_FRAME, right[at] if spec.rotate_again else _NO_FRAME)
    return iter(frames)


def _finish(draft: _Draft, left: np.ndarray, right: np.ndarray) -> World:
    """Observe a draft through its frames and write it down."""
    tables = kernels.half_tables()
    tail = kernels.describe(draft.series, draft.moments, left, draft.scales, right, tables)
    text = _head(draft.starts, draft.multips) + str(tail.data, "ascii")
    *_, decimals = tables
    return World(text, decimals[draft.starts], draft.multips)


def _head(starts: np.ndarray, multips: list[int]) -> str:
    """Return the text of a world up to its normalization."""
    texts, systems = kernels.half_texts(), ""
    for system, (bits, multip) in enumerate(zip(starts.tolist(), multips, strict=True)):
        sigma, beta, rho, x, y, z = [texts[i] for i in bits]
        systems += (
            f"'sys{system}': {{'params': [{sigma}, {beta}, {rho}], 'init_point': [{x}, {y}, {z}], "
            f"'step_size': {STEP_SIZE}, 'name': 'lorenz', 'step_multip': {multip}}}, "
        )
    return f"{{'description': {{'num_sys': {len(multips)}, {systems}"


@lru_cache(maxsize=64)
def _world_spec(options: tuple[tuple[str, Any], ...]) -> WorldSpec:
    return WorldSpec.build(dict(options), origin="sample_world")


def sample_world(seed: int, *, graceful_fail: bool = True, **options: Any) -> str:
    """Return the world of a seed as one line of text, without the line's end.

    Args:
        seed: An integer from 0 on; the same seed and options give the same text.
        graceful_fail: What to do where a system is rejected `retries` times: return ``{}``, or raise.
        **options: Fields of :class:`WorldSpec`; those left out have its defaults (the full pipeline, 500 steps).

    Raises:
        UserError: An option is unknown or impossible, the seed is not an integer from 0 on, or the world is dropped and
            `graceful_fail` is false. The message names the field, the value and the mend.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise UserError(f"sample_world: seed={seed!r} is not an integer from 0 on")
    try:
        spec = _world_spec(tuple(options.items()))
    except TypeError:  # a value that can't be hashed: let the spec refuse it by name
        spec = WorldSpec.build(options, origin="sample_world")
    (world,) = draw_worlds([int(seed)], spec)
    if world is not None:
        return world.text
    if graceful_fail:
        return "{}"
    raise UserError(
        f"sample_world: seed={seed} is dropped, because one of its systems left the ball of radius {RADIUS:g} in each "
        f"of retries={spec.retries} tries; take another seed, raise retries, or set graceful_fail=True to get '{{}}'"
    )


# --- named configs ---------------------------------------------------------------------------------------------------

CONFIGS = {
    # For tests and first runs: every row has fewer than 300 tokens, and only the bare orbit fits. Normalising would
    # take 41 tokens more, one frame 56, the scales 8; the longest row has 290.
    "lorenz-tiny": LorenzSpec(
        num_steps=10,
        max_sys=1,
        normalize=False,
        rotate=False,
        dilate=False,
        rotate_again=False,
        change_dim=False,
        splits={"train": 16_000, "validation": 2_000, "test": 2_000},
    ),
    "lorenz-xsmall": LorenzSpec(
        num_steps=40, max_sys=2, max_dim=10, splits={"train": 877_302, "validation": 109_663, "test": 109_663}
    ),
    # Microcosm names no number of rows for its full shape; these come to about 10 GB of text.
    "lorenz": LorenzSpec(splits={"train": 100_000, "validation": 10_000, "test": 10_000}),
}

# --- the family ------------------------------------------------------------------------------------------------------


class Lorenz(CorpusBuilder):
    """Corpora of Lorenz worlds: their text, and what can be asked of it as numbers."""

    name = "lorenz"
    version = "1"
    spec_type = LorenzSpec
    schema = pa.schema(
        {
            "text": pa.string(),
            "params": pa.list_(pa.list_(pa.float64())),
            "init_point": pa.list_(pa.list_(pa.float64())),
            "step_multip": pa.list_(pa.int32()),
        }
    )
    configs = CONFIGS
    tokenizer = "lorenz"
    libraries = ("numpy", "numba", "pyarrow")
    spec: LorenzSpec

    @property
    def summary(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """How the rows are made, in two sentences; the second stage only where the spec has it."""
        several = "one Lorenz system" if self.spec.max_sys == 1 else "one or more Lorenz systems"
        bare = not (self.spec.rotate or self.spec.dilate or self.spec.rotate_again)
        seen = "written down as they are" if bare else "observed through a random linear embedding"
        return (
            f"Each row is a small world: {several} with random parameters and starting points, integrated by explicit "
            f"Euler steps of 1/{STEP_SIZE} and {seen}. It is written as one Python dict that holds the parameters"
            f"{'' if bare else ', the embedding'} and the observations, so that a language model can be asked for any "
            "number in it."
        )

    @property
    def row_bytes(self) -> int:
        """About how many bytes a row takes: 8 a number, and the words around them."""
        spec = self.spec
        systems = (1 + spec.max_sys) / 2
        old = 3 * systems
        new = (spec.new_dim or (spec.min_dim + spec.max_dim - 1) / 2) if spec.change_dim else old
        least = min(old, new)
        columns = new if spec.rotate_again else least
        numbers = spec.num_steps * columns + 2 * old * spec.normalize + least * spec.dilate
        numbers += old * least * spec.rotate + least * new * spec.rotate_again
        return round(120 + 240 * systems + 8 * numbers)

    def row(self, seed: int) -> dict[str, Any] | None:
        """Return the world of a seed, or None where it is dropped.

        Args:
            seed: Any integer from 0 on.

        Returns:
            `text`; `params` (σ, β, ρ) and `init_point` (x, y, z) of each system, as the decimals of the text;
            `step_multip` of each system.
        """
        (world,) = draw_worlds([seed], self.spec)
        return None if world is None else _row(world)

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split; those dropped are redrawn together until none is left.

        Raises:
            UserError: A row was dropped `MAX_ATTEMPTS` times.
        """
        key, pending, rejected = self.stream(split), range(start, stop), 0
        kept: dict[int, World] = {}
        for attempt in range(MAX_ATTEMPTS):
            worlds = draw_worlds(item_seeds(key, pending, attempt), self.spec)
            kept |= {index: world for index, world in zip(pending, worlds, strict=True) if world}
            pending = [index for index in pending if index not in kept]
            if not pending:
                rows = [_row(kept[index]) for index in range(start, stop)]
                return Block(pa.RecordBatch.from_pylist(rows, schema=self.schema), rejected)
            rejected += len(pending)
        raise UserError(
            f"row {pending[0]} of {split}: {MAX_ATTEMPTS} draws in a row were dropped, each after "
            f"retries={self.spec.retries}; raise retries"
        )

    def numerics(self) -> dict[str, str]:
        """Return what the frames depend on beside the spec: the LAPACK at work, its version and its kernels.

        Without frames there is nothing; with them, 1 row in 400 to 20,000 differs where any of these does.
        """
        if not (self.spec.rotate or self.spec.rotate_again):
            return {}
        pools = [pool for pool in threadpoolctl.threadpool_info() if pool["user_api"] == "blas"]
        pools.sort(key=lambda pool: "numpy" not in pool["filepath"])  # NumPy's own before that of another library
        if pools:
            library, version = pools[0]["internal_api"], pools[0]["version"]
            kernel = pools[0].get("architecture")
        else:  # such as Apple's Accelerate, which threadpoolctl doesn't know
            built = np.show_config(mode="dicts")["Build Dependencies"]["lapack"]
            library, version, kernel = built["name"], built["version"], None
        return {
            "lapack": str(library),
            "lapack_version": str(version or "unknown"),
            "lapack_kernel": str(kernel or platform.machine()),
        }


def _row(world: World) -> dict[str, Any]:
    params, init_point = world.starts[:, :3].tolist(), world.starts[:, 3:].tolist()
    return {"text": world.text, "params": params, "init_point": init_point, "step_multip": world.multips}


BUILDER = Lorenz
