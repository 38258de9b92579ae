"""How much of the machine is ours, how its cores are shared, and who keeps memory that is free."""

import ctypes
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


def keep_memory() -> None:
    """Have freed memory stay with this process, where the C library is glibc; elsewhere nothing changes.

    The tensors of one training step are freed at its end, and the next step wants as many. By default large ones go
    back to the system, which gives new pages for them, each with a fault: a few hundredths of a small model's step.
    """
    trim_threshold, mmap_max = -1, -4  # of malloc.h
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if os.name == "posix" else None
    if mallopt is not None:
        mallopt(mmap_max, 0)
        mallopt(trim_threshold, 2**31 - 1)
