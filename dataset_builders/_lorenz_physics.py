"""What Lorenz systems and their embeddings are drawn from: the constants of every generator."""

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
