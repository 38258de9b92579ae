"""The generator ``portable``: a block of Lorenz worlds by one compiled loop, the same bytes on every machine.

A world draws, from its own generator and in this order: how many systems; the step_multip of each; the dimension; how
many scales and which; the systems' parameters and first points; the matrix of its embedding. The systems are tried in
rounds: all of the world's, then those that were rejected, up to `retries` times. So what a world draws depends on
nothing but itself, while the loop integrates systems of many worlds side by side: `LANES` of one step_multip at a time,
on vectors.

Only integer arithmetic and plain IEEE operations in a fixed order lead to a row: no LAPACK, no BLAS, no libm.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numba import njit

from hubkit.draws import below, between, halves, normal, seed
from hubkit.kernels import kernel
from hubkit.resources import load_module

if TYPE_CHECKING:
    from dataset_builders.lorenz import WorldSpec

float16 = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")
integrating = load_module(Path(__file__).with_name("_lorenz_integrating.py"), "hubkit_lorenz_integrating")
observing = load_module(Path(__file__).with_name("_lorenz_observing.py"), "hubkit_lorenz_observing")
writing = load_module(Path(__file__).with_name("_lorenz_writing.py"), "hubkit_lorenz_writing")
half = float16.half
load, stayed, standardise = integrating.load, integrating.stayed, integrating.standardise
integrate, LANES = integrating.integrate, integrating.LANES

constants = load_module(Path(__file__).with_name("_lorenz_physics.py"), "hubkit_lorenz_physics")

_TOGETHER = 256  # worlds whose systems are integrated together: enough to fill the lanes, few enough for the cache
_FIRST_ROOM = 1 << 16  # bytes


class Plan(NamedTuple):
    """A spec as the loops take it."""

    num_steps: int
    max_sys: int
    min_dim: int
    max_dim: int
    multip: int
    """Which of the step_multips all systems have; -1: drawn."""
    retries: int
    normalize: bool
    rotate: bool
    dilate: bool
    rotate_again: bool
    change_dim: bool
    new_dim: int
    """The dimension of all worlds; 0: drawn."""
    num_hierarchies: int
    """How many scales all worlds have; 0: drawn."""
    runge_kutta: bool


class Physics(NamedTuple):
    """What systems are made with."""

    multips: tuple[int, ...]
    means: tuple[float, float, float]
    """Of σ, β and ρ."""
    spread: float
    """Of σ, β and ρ, relative to their means."""
    start_spread: float
    radius: float
    """Of the ball to stay in."""
    step_size: float
    """Steps in a unit of time."""


PHYSICS = Physics(
    constants.STEP_MULTIPS,
    constants.PARAM_MEANS,
    constants.PARAM_SPREAD,
    constants.START_SPREAD,
    constants.RADIUS,
    float(constants.STEP_SIZE),
)


class Setting(NamedTuple):
    """Everything that worlds depend on beside their positions."""

    plan: Plan
    physics: Physics
    key_low: np.uint64
    """Of the stream."""
    key_high: np.uint64
    first: int
    """Position of the group's first world in the stream."""
    attempts: int
    """How often a world is drawn whole at most."""


class Drafts(NamedTuple):
    """What is drawn of the worlds of a group, before they are observed."""

    states: np.ndarray
    """uint64 (worlds, 4): their generators."""
    attempts: np.ndarray
    """int64 (worlds,): how often each was drawn whole before."""
    shapes: np.ndarray
    """int64 (worlds, 5): systems, dimension, number of scales, which scale, and how many columns are observed."""
    multips: np.ndarray
    """int64 (worlds, max_sys): which of the step_multips."""
    starts: np.ndarray
    """uint16 (worlds, max_sys, 6): bits of σ, β, ρ, x, y, z."""
    moments: np.ndarray
    """uint16 (worlds, 2, 3 · max_sys): bits of means and standard deviations."""
    series: np.ndarray
    """float32 (worlds, 3 · max_sys, steps): the columns, float16 values."""


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
        _draw_group(Setting(plan, physics, *halves(key), group.start, attempts), group, drafts, lanes, sheets)
        page.write(ends[begin + 1 : begin + 1 + len(group)], drafts, sheets, plan, alphabet, len(indices) - begin)
        counts = drafts.shapes[: len(group), 0].copy()
        used = np.arange(plan.max_sys) < counts[:, None]
        multips = np.array(physics.multips)[drafts.multips[: len(group)][used]]
        systems.append((counts, drafts.starts[: len(group)][used], multips))
        rejected += int(drafts.attempts[: len(group)].sum())
    counts, starts, multips = (np.concatenate(parts) for parts in zip(*systems, strict=True))
    return Drawn(page.bytes[: page.used], ends, counts, starts, multips, rejected)


def _draw_group(setting: Setting, group: range, drafts: Drafts, lanes: Any, sheets: Any) -> None:
    """Draw and observe the worlds of a group; those with a number too large for a float16 are drawn again."""
    *_, values, decimals = float16.half_tables()
    plan, members = setting.plan, np.arange(len(group))
    finite = np.empty(len(group), np.bool_)
    drafts.attempts[:] = 0
    while len(members):
        hopeless = settle(members, setting, drafts, lanes, values, decimals)
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


# --- draws -----------------------------------------------------------------------------------------------------------


@kernel
def settle(members, setting, drafts, lanes, values, decimals):
    """Draw the worlds `members`, again and again those that are dropped; return one that is hopeless, or -1.

    Args:
        members: int64: which worlds of the group.
        setting: What they depend on.
        drafts: Receives them; says how often each was drawn before.
        lanes: Memory of the integration.
        values: float32 of shape (65536,): what each float16 is.
        decimals: float64 of shape (65536,): what its text is, which is what systems start from.
    """
    waiting = members
    while len(waiting):
        for draft in waiting:
            if drafts.attempts[draft] >= setting.attempts:
                return draft
            state, index = drafts.states[draft], setting.first + draft
            seed(state, setting.key_low, setting.key_high, index, drafts.attempts[draft])
            _draw_shape(state, drafts.shapes[draft], drafts.multips[draft], setting.plan)
        waiting = _dropped(waiting, setting, drafts, lanes, values, decimals)
        for draft in waiting:
            drafts.attempts[draft] += 1
    return np.int64(-1)


@njit
def _draw_shape(state, shape, multips, plan):
    """Draw what a world consists of. An override takes the place of what was drawn, so that the rest stays."""
    count = between(state, 1, plan.max_sys)
    for system in range(count):
        drawn = below(state, 6)
        multips[system] = drawn if plan.multip < 0 else plan.multip
    drawn = between(state, plan.min_dim, plan.max_dim - 1)
    drawn = plan.new_dim if plan.new_dim else drawn
    hierarchies = between(state, 1, 2)
    hierarchies = plan.num_hierarchies if plan.num_hierarchies else hierarchies
    shape[0], shape[1] = count, drawn if plan.change_dim else 3 * count
    shape[2], shape[3] = hierarchies, below(state, 2)


@njit
def _draw_start(state, start, physics, values):
    """Draw parameters and first point of a system."""
    for i in range(3):
        start[i] = half(abs(physics.means[i] * (1.0 + physics.spread * normal(state))))
    for i in range(3, 6):
        start[i] = half(np.float64(values[half(normal(state))]) * physics.start_spread)


@njit
def _dropped(members, setting, drafts, lanes, values, decimals):
    """Draw and integrate the systems of some worlds; return the worlds that are dropped."""
    most = setting.plan.max_sys
    pending = np.empty(len(members) * most, np.int64)  # system `s` of draft `d` is number d · max_sys + s
    left = 0
    for draft in members:
        for system in range(drafts.shapes[draft, 0]):
            pending[left] = draft * most + system
            left += 1
    for _ in range(setting.plan.retries):
        for number in pending[:left]:
            draft, system = number // most, number % most
            _draw_start(drafts.states[draft], drafts.starts[draft, system], setting.physics, values)
        left = _try(pending[:left], setting, drafts, lanes, decimals)
        if not left:
            break
    dropped, count = np.empty(left, np.int64), 0
    for number in pending[:left]:
        if not count or dropped[count - 1] != number // most:
            dropped[count] = number // most
            count += 1
    return dropped[:count]


@njit
def _try(pending, setting, drafts, lanes, decimals):
    """Integrate systems, those of one step_multip together; move those that are rejected to the front, in order."""
    most = setting.plan.max_sys
    rejected, places = np.zeros(len(pending), np.bool_), np.empty(len(pending), np.int64)
    for multip in range(6):
        count = 0
        for place in range(len(pending)):
            if drafts.multips[pending[place] // most, pending[place] % most] == multip:
                places[count] = place
                count += 1
        for begin in range(0, count, LANES):
            together = places[begin : min(begin + LANES, count)]
            _try_together(together, pending, rejected, multip, setting, drafts, lanes, decimals)
    left = 0
    for place in range(len(pending)):
        if rejected[place]:
            pending[left] = pending[place]
            left += 1
    return left


@njit
def _try_together(places, pending, rejected, multip, setting, drafts, lanes, decimals):
    """Integrate at most `LANES` systems; keep their columns, or note that they are rejected."""
    plan, physics, most = setting.plan, setting.physics, setting.plan.max_sys
    for lane in range(LANES):  # lanes without a system of their own do what the first does
        number = pending[places[lane if lane < len(places) else 0]]
        start = drafts.starts[number // most, number % most]
        load(lanes, lane, start, decimals)
    limit = physics.radius * physics.radius
    integrate(lanes, physics.multips[multip], 1.0 / physics.step_size, limit, plan.runge_kutta)
    standardise(lanes, plan.normalize)
    for lane in range(len(places)):
        if not stayed(lanes, lane):
            rejected[places[lane]] = True
            continue
        number = pending[places[lane]]
        draft, column = number // most, 3 * (number % most)
        for axis in range(column, column + 3):
            drafts.moments[draft, 0, axis] = half(lanes.moments[0, axis - column, lane])
            drafts.moments[draft, 1, axis] = half(lanes.moments[1, axis - column, lane])
            series = drafts.series[draft, axis]
            for step in range(len(series)):
                series[step] = lanes.points[step, axis - column, lane]
