"""Integrates Lorenz systems side by side, on vectors, and looks at their orbits' columns.

Each of `LANES` systems takes the same steps; a system depends on nothing in the other lanes. Explicit Euler multiplies
by the step where ``microcosm`` divides by its inverse, so that orbits part after some time, as those of a chaotic
system do after any rounding: the distribution is the same, the digits are not.
"""

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numba import njit

from hubkit.resources import load_module

float16 = load_module(Path(__file__).with_name("_lorenz_halves.py"), "hubkit_lorenz_halves")
rounded = float16.rounded

LANES = 16
"""Systems side by side: two or four vectors, enough to hide the latency of one."""
_SIGMA, _BETA, _RHO, _X, _Y, _Z, _INSIDE = (field * LANES for field in range(7))


class Lanes(NamedTuple):
    """Memory of systems side by side."""

    systems: np.ndarray
    """float64 of shape (7 · LANES,): σ, β, ρ, x, y, z of all lanes, and 1 where it has stayed in the ball, else 0."""
    points: np.ndarray
    """float64 of shape (steps, 3, LANES): the orbits, and then their columns, normalised."""
    moments: np.ndarray
    """float64 of shape (2, 3, LANES): means and standard deviations of the columns."""


def lanes(steps: int) -> Lanes:
    """Return memory for orbits of so many observations."""
    return Lanes(np.zeros(7 * LANES), np.empty((steps, 3, LANES)), np.empty((2, 3, LANES)))


@njit
def load(lanes, lane, start, decimals):
    """Put a system (the bits of σ, β, ρ, x, y, z) into a lane."""
    for i in range(6):
        lanes.systems[i * LANES + lane] = decimals[start[i]]
    lanes.systems[_INSIDE + lane] = 1.0


@njit
def stayed(lanes, lane):
    """Return whether a lane's orbit has stayed in the ball and can be normalised."""
    return lanes.systems[_INSIDE + lane] > 0.0


@njit
def integrate(lanes, multip, step, limit, runge_kutta):
    """Fill the points: one before each `multip` steps; mark orbits that leave the ball, if only between them.

    Args:
        lanes: The systems.
        multip: Steps between two observations.
        step: Length of a step.
        limit: Square of the ball's radius.
        runge_kutta: Take the classical Runge–Kutta steps of fourth order instead of Euler's.
    """
    systems = lanes.systems
    for point in lanes.points:
        inside = 0.0
        for lane in range(LANES):
            point[0, lane], point[1, lane], point[2, lane] = systems[_X + lane], systems[_Y + lane], systems[_Z + lane]
            inside += systems[_INSIDE + lane]
        if inside == 0.0:
            return
        if runge_kutta:
            _take_runge_kutta(systems, multip, step, limit)
        else:
            _take_euler(systems, multip, step, limit)


@njit(inline="always")
def _slope(sigma, beta, rho, x, y, z):
    return sigma * (y - x), rho * x - y - x * z, x * y - beta * z


@njit
def _take_euler(systems, count, step, limit):
    for _ in range(count):
        for lane in range(LANES):
            x, y, z = systems[_X + lane], systems[_Y + lane], systems[_Z + lane]
            # So written, it also marks what is not a number.
            systems[_INSIDE + lane] = systems[_INSIDE + lane] if x * x + y * y + z * z <= limit else 0.0
            dx, dy, dz = _slope(systems[_SIGMA + lane], systems[_BETA + lane], systems[_RHO + lane], x, y, z)
            systems[_X + lane], systems[_Y + lane], systems[_Z + lane] = x + step * dx, y + step * dy, z + step * dz


@njit
def _take_runge_kutta(systems, count, step, limit):
    half_step, sixth = step / 2.0, step / 6.0
    for _ in range(count):
        for lane in range(LANES):
            sigma, beta, rho = systems[_SIGMA + lane], systems[_BETA + lane], systems[_RHO + lane]
            x, y, z = systems[_X + lane], systems[_Y + lane], systems[_Z + lane]
            systems[_INSIDE + lane] = systems[_INSIDE + lane] if x * x + y * y + z * z <= limit else 0.0
            ax, ay, az = _slope(sigma, beta, rho, x, y, z)
            bx, by, bz = _slope(sigma, beta, rho, x + half_step * ax, y + half_step * ay, z + half_step * az)
            cx, cy, cz = _slope(sigma, beta, rho, x + half_step * bx, y + half_step * by, z + half_step * bz)
            dx, dy, dz = _slope(sigma, beta, rho, x + step * cx, y + step * cy, z + step * cz)
            systems[_X + lane] = x + sixth * (ax + 2.0 * (bx + cx) + dx)
            systems[_Y + lane] = y + sixth * (ay + 2.0 * (by + cy) + dy)
            systems[_Z + lane] = z + sixth * (az + 2.0 * (bz + cz) + dz)


@njit
def standardise(lanes, normalize):
    """Turn the points into float16 columns, normalised or not; mark lanes where a column that should be never moves."""
    points, means, deviations = lanes.points, lanes.moments[0], lanes.moments[1]
    means[:], deviations[:] = 0.0, 1.0
    for axis in range(3):
        if normalize:
            _find_moments(points, axis, means[axis], deviations[axis])
            for lane in range(LANES):
                if deviations[axis, lane] == 0.0:
                    lanes.systems[_INSIDE + lane] = 0.0
        for point in points:
            column = point[axis]
            for lane in range(LANES):
                column[lane] = rounded((column[lane] - means[axis, lane]) / deviations[axis, lane])


@njit
def _find_moments(points, axis, means, deviations):
    """Find mean and standard deviation of a column in all lanes, summed from the first point to the last."""
    count = float(len(points))
    for point in points:
        for lane in range(LANES):
            means[lane] += point[axis, lane]
    deviations[:] = 0.0
    for lane in range(LANES):
        means[lane] /= count
    for point in points:
        for lane in range(LANES):
            away = point[axis, lane] - means[lane]
            deviations[lane] += away * away
    for lane in range(LANES):
        deviations[lane] = math.sqrt(deviations[lane] / count)
