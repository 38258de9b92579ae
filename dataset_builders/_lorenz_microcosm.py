"""The generator ``microcosm``: the rows of the Microcosm corpora to the byte.

Its frames come from LAPACK's singular value decomposition, and some of them have another sign on another CPU, for which
the BLAS picks other kernels (1 in 20,000 at the shape of ``lorenz-xsmall``, 1 in 400 at the full one). So rows with
frames can be verified only like for like; :func:`numerics` names what they hang on.
"""

import platform
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import threadpoolctl

from hubkit.resources import load_module

if TYPE_CHECKING:
    from dataset_builders._lorenz_spec import WorldSpec

physics = load_module(Path(__file__).with_name("_lorenz_physics.py"), "hubkit_lorenz_physics")
halves = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")
kernels = load_module(Path(__file__).with_name("_lorenz_kernels.py"), "hubkit_lorenz_kernels")

_PHYSICS = (
    physics.PARAM_MEANS,
    physics.PARAM_SPREAD,
    physics.START_SPREAD,
    physics.RADIUS,
    float(physics.STEP_SIZE),
)
_NO_FRAME = np.empty((0, 0))
_NO_SCALES = np.empty(0, np.uint16)


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


def draw_worlds(seeds: Iterable[int], spec: "WorldSpec") -> list[World | None]:
    """Return the world of each seed, or None where a system was rejected `spec.retries` times.

    A world depends on its own seed only. Many at once take about 0.6 of the time: each step runs over all of them.

    Args:
        seeds: Any integers from 0 on; NumPy's `default_rng` takes them.
        spec: Which worlds to draw from.
    """
    drafts = [_draft(seed, spec) for seed in seeds]
    frames = _frames([draft for draft in drafts if draft], spec)
    return [_finish(draft, *next(frames)) if draft else None for draft in drafts]


def _draft(seed: int, spec: "WorldSpec") -> _Draft | None:
    """Make all draws of a world, in Microcosm's order, and integrate its systems."""
    rng, tables = np.random.default_rng(seed), halves.half_tables()
    count = int(rng.integers(1, 1 + spec.max_sys))
    # Each system's type would be drawn here, by integers(0, 1, count); of one type that takes nothing from the stream.
    multips = [
        spec.step_multip or physics.STEP_MULTIPS[i] for i in rng.integers(0, len(physics.STEP_MULTIPS), count).tolist()
    ]
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


def _draw_embedding(rng: np.random.Generator, old: int, spec: "WorldSpec") -> tuple[np.ndarray, np.ndarray]:
    """Draw what the frames are made from, and the bits of diag."""
    new = int(rng.integers(spec.min_dim, spec.max_dim))
    new = (spec.new_dim or new) if spec.change_dim else old
    normals = rng.standard_normal((old, new))
    if not spec.dilate:  # and nothing is drawn after the scales
        return normals, _NO_SCALES
    hierarchies = int(rng.integers(1, 3))
    hierarchies = spec.num_hierarchies or hierarchies
    chosen = rng.choice(len(physics.SCALES), hierarchies - 1, replace=False).tolist() if hierarchies > 1 else ()
    return normals, _scales(min(old, new), tuple(sorted(chosen)))


@lru_cache(maxsize=10_000)
def _scales(size: int, chosen: tuple[int, ...]) -> np.ndarray:
    """Return the bits of diag: ones, then equally many copies of each chosen scale, as many as fit beside the ones."""
    copies = [physics.SCALES[i] for i in chosen for _ in range(size // (1 + len(chosen)))]
    return np.array([1] * (size - len(copies)) + copies, np.float16).view(np.uint16)


def lapack_frames(normals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return frames: the singular vectors that LAPACK gives.

    Args:
        normals: float64 of shape (count, old, new).

    Returns:
        l of shape (count, old, k) and r of shape (count, k, new), where k is the lesser of old and new.
    """
    left, _, right = np.linalg.svd(normals, full_matrices=False)
    return left, right


def _frames(drafts: list[_Draft], spec: "WorldSpec") -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Return frames l and r of each draft, made together for all of one shape; one that is off is empty."""
    if not (spec.rotate or spec.rotate_again):
        return iter([(_NO_FRAME, _NO_FRAME)] * len(drafts))
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, draft in enumerate(drafts):
        groups.setdefault(draft.normals.shape, []).append(index)
    frames = [(_NO_FRAME, _NO_FRAME)] * len(drafts)
    for members in groups.values():
        left, right = lapack_frames(np.array([drafts[index].normals for index in members]))
        for at, index in enumerate(members):
            frames[index] = (left[at] if spec.rotate else _NO_FRAME, right[at] if spec.rotate_again else _NO_FRAME)
    return iter(frames)


def _finish(draft: _Draft, left: np.ndarray, right: np.ndarray) -> World:
    """Observe a draft through its frames and write it down."""
    tables = halves.half_tables()
    tail = kernels.describe(draft.series, draft.moments, left, draft.scales, right, tables)
    text = _head(draft.starts, draft.multips) + str(tail.data, "ascii")
    *_, decimals = tables
    return World(text, decimals[draft.starts], draft.multips)


def _head(starts: np.ndarray, multips: list[int]) -> str:
    """Return the text of a world up to its normalization."""
    texts, systems = halves.half_texts(), ""
    for system, (bits, multip) in enumerate(zip(starts.tolist(), multips, strict=True)):
        sigma, beta, rho, x, y, z = [texts[i] for i in bits]
        systems += (
            f"'sys{system}': {{'params': [{sigma}, {beta}, {rho}], 'init_point': [{x}, {y}, {z}], "
            f"'step_size': {physics.STEP_SIZE}, 'name': 'lorenz', 'step_multip': {multip}}}, "
        )
    return f"{{'description': {{'num_sys': {len(multips)}, {systems}"


def numerics(spec: "WorldSpec") -> dict[str, str]:
    """Return what the frames depend on beside the spec: the LAPACK at work, its version and its kernels.

    Without frames there is nothing; with them, 1 row in 400 to 20,000 differs where any of these does.
    """
    if not (spec.rotate or spec.rotate_again):
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
