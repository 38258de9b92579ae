"""The generator ``portable``: blocks of Lorenz worlds by compiled loops, the same bytes on every machine.

A world draws, from its own generator and in this order: how many systems; the step_multip of each; the dimension; how
many scales and which; the systems' parameters and first points (`_lorenz_settling.py`); the matrix of its embedding
(`_lorenz_observing.py`). Then it is written down (`_lorenz_writing.py`). Each does a group of worlds at a time.

Only integer arithmetic and plain IEEE operations in a fixed order lead to a row: no LAPACK, no BLAS, no libm.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hubkit.draws import halves
from hubkit.resources import load_module

if TYPE_CHECKING:
    from dataset_builders._lorenz_spec import WorldSpec

float16 = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")
integrating = load_module(Path(__file__).with_name("_lorenz_integrating.py"), "hubkit_lorenz_integrating")
observing = load_module(Path(__file__).with_name("_lorenz_observing.py"), "hubkit_lorenz_observing")
writing = load_module(Path(__file__).with_name("_lorenz_writing.py"), "hubkit_lorenz_writing")
settling = load_module(Path(__file__).with_name("_lorenz_settling.py"), "hubkit_lorenz_settling")
Plan = settling.Plan
Physics = settling.Physics
Drafts = settling.Drafts
constants = load_module(Path(__file__).with_name("_lorenz_physics.py"), "hubkit_lorenz_physics")

_TOGETHER = 256  # worlds whose systems are integrated together: enough to fill the lanes, few enough for the cache
_FIRST_ROOM = 1 << 16  # bytes

PHYSICS = Physics(
    constants.STEP_MULTIPS,
    constants.PARAM_MEANS,
    constants.PARAM_SPREAD,
    constants.START_SPREAD,
    constants.RADIUS,
    float(constants.STEP_SIZE),
)


class Drawn(NamedTuple):
    """A block of worlds."""

    bytes: np.ndarray
    """uint8: all of them, one after the other."""
    offsets: np.ndarray
    """int64 (worlds + 1,): where each begins."""
    counts: np.ndarray
    """int64 (worlds,): systems of each."""
    starts: np.ndarray
    """uint16 (systems of all worlds, 6): bits of σ, β, ρ, x, y, z."""
    multips: np.ndarray
    """int64 (systems of all worlds,): step_multip."""
    rejected: int
    """Draws that were dropped and drawn again."""


class Hopeless(Exception):
    """A world was dropped in all its attempts; the argument is its position."""


def plan_of(spec: "WorldSpec") -> Plan:
    """Return a spec as the loops take it."""
    return Plan(
        spec.num_steps,
        spec.max_sys,
        spec.min_dim,
        spec.max_dim,
        constants.STEP_MULTIPS.index(spec.step_multip) if spec.step_multip else -1,
        spec.retries,
        spec.normalize,
        spec.rotate,
        spec.dilate,
        spec.rotate_again,
        spec.change_dim,
        spec.new_dim or 0,
        spec.num_hierarchies or 0,
        spec.integrator == "rk4",
    )


def draw_block(key: int, indices: range, attempts: int, plan: Plan, physics: Physics, as_ids: bool = False) -> Drawn:
    """Return the worlds of some positions of a stream.

    Args:
        key: The stream's 128-bit key.
        indices: Positions, in steps of 1.
        attempts: How often a world is drawn whole at most.
        plan: Which worlds to draw from.
        physics: What their systems are made with.
        as_ids: Write little-endian uint16 token ids instead of text.

    Raises:
        Hopeless: A world was dropped in all its attempts.
    """
    alphabet = (writing.id_alphabet if as_ids else writing.text_alphabet)(round(physics.step_size), physics.multips)
    drafts = _drafts(min(len(indices), _TOGETHER), plan)
    columns = max(3 * plan.max_sys, (plan.new_dim or plan.max_dim - 1) if plan.change_dim else 0)
    sheets = observing.sheets(len(drafts.attempts), columns, plan.num_steps)
    lanes = integrating.lanes(plan.num_steps)
    page, ends, systems, rejected = Page(), np.zeros(len(indices) + 1, np.int64), [], 0
    for begin in range(0, len(indices), _TOGETHER):
        group = indices[begin : begin + _TOGETHER]
        _draw_group(settling.Setting(plan, physics, *halves(key), group.start, attempts), group, drafts, lanes, sheets)
        page.write(ends[begin + 1 : begin + 1 + len(group)], drafts, sheets, plan, alphabet, len(indices) - begin)
        counts = drafts.shapes[: len(group), 0].copy()
        used = np.arange(plan.max_sys) < counts[:, None]
        multips = np.array(physics.multips)[drafts.multips[: len(group)][used]]
        systems.append((counts, drafts.starts[: len(group)][used], multips))
        rejected += int(drafts.attempts[: len(group)].sum())
    counts, starts, multips = (np.concatenate(parts) for parts in zip(*systems, strict=True))
    return Drawn(page.bytes[: page.used], ends, counts, starts, multips, rejected)


def _draw_group(setting: Any, group: range, drafts: Drafts, lanes: Any, sheets: Any) -> None:
    """Draw and observe the worlds of a group; those with a number too large for a float16 are drawn again."""
    *_, values, decimals = float16.half_tables()
    plan, members = setting.plan, np.arange(len(group))
    finite = np.empty(len(group), np.bool_)
    drafts.attempts[:] = 0
    while len(members):
        hopeless = settling.settle(members, setting, drafts, lanes, values, decimals)
        if hopeless >= 0:
            raise Hopeless(group[hopeless])
        if plan.rotate or plan.rotate_again:
            length = max(observing.MOST, sheets.right.shape[2])
            observing.find_frames(members, drafts.states, drafts.shapes, sheets, length)
        switches = plan.rotate, plan.dilate, plan.rotate_again
        observing.observe(members, drafts.shapes, drafts.series, sheets, values, *switches, finite)
        members = members[~finite[members]]
        drafts.attempts[members] += 1


def _drafts(worlds: int, plan: Plan) -> Drafts:
    """Return memory for so many drafts."""
    systems, columns = plan.max_sys, 3 * plan.max_sys
    return Drafts(
        np.empty((worlds, 4), np.uint64),
        np.zeros(worlds, np.int64),
        np.empty((worlds, 5), np.int64),
        np.empty((worlds, systems), np.int64),
        np.empty((worlds, systems, 6), np.uint16),
        np.empty((worlds, 2, columns), np.uint16),
        np.empty((worlds, columns, plan.num_steps), np.float32),
    )


class Page:
    """Bytes that worlds are written into, one after the other; it grows to what they come to."""

    def __init__(self) -> None:
        self.bytes = np.empty(0, np.uint8)
        self.used = 0

    def write(self, ends: np.ndarray, drafts: Drafts, sheets: Any, plan: Plan, alphabet: Any, left: int) -> None:
        """Write the worlds of a group; `left` is how many there are, those of later groups included."""
        start, begun = self.used, 0
        while begun < len(ends):
            begun, self.used = writing.write(begun, drafts, sheets, plan, alphabet, self.bytes, self.used, ends)
            if begun < len(ends):
                expected = round(1.1 * (self.used - start) / begun * (left - begun)) if begun else 0
                larger = np.empty(max(self.used + expected, 2 * len(self.bytes), _FIRST_ROOM), np.uint8)
                larger[: self.used] = self.bytes[: self.used]
                self.bytes = larger
