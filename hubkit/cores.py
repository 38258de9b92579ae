"""How much of the machine is ours."""

import os


def usable_cores() -> int:
    """Return how many cores this process may use: those it is bound to, on systems that bind processes (not macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
