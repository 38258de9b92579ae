"""Draws the worlds of a group and integrates their systems, again and again what is rejected, until all have settled.

The systems of a world are tried in rounds: all of the world's, then those that were rejected, up to `retries` times.
Then the world is dropped, and drawn whole under its next attempt. So what a world draws depends on nothing but itself,
while systems of many worlds are integrated side by side, on vectors: `LANES` of one step_multip at a time.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from hubkit.draws import below, between, normal, seed
from hubkit.kernels import kernel
from hubkit.resources import load_module

half = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves").half
integrating = load_module(Path(__file__).with_name("_lorenz_integrating.py"), "hubkit_lorenz_integrating")
load, stayed, standardise = integrating.load, integrating.stayed, integrating.standardise
integrate, LANES = integrating.integrate, integrating.LANES


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
