"""How much of the machine is ours, and how its cores are shared."""

import os


def usable_cores() -> int:
    """Return how many cores this process may use: those it is bound to, on systems that bind processes (not macOS)."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def calm_threads() -> None:
    """Have OpenMP's threads wait without spinning; called before torch is loaded, which reads it then.

    Spinning, they starve each other on a shared or busy machine: five times slower on two cores with one other process.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
