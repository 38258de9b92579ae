"""What benchmarks share: the machine that they print first, without which a number says little, and stages in turns."""

import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from hubkit.provenance import library_versions


def print_machine(*libraries: str) -> None:
    """Print the machine in three lines; `libraries` are distributions whose versions matter."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text().splitlines() if cpu.is_file() else []
    names = [line.split(":")[1].strip() for line in lines if line.startswith("model name")]
    commit = subprocess.run(["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    versions = [f"{name} {version}" for name, version in library_versions(libraries).items()]
    print(f"{(names or [platform.processor()])[0]}, {os.cpu_count()} cores, {platform.system()} {platform.machine()}")
    print(", ".join([f"Python {platform.python_version()}", *versions]))
    print(f"commit {commit.stdout.strip() or 'none'}, load average {os.getloadavg()[0]:.2f}")


def in_turns(stages: list[Callable[[], object]], repeats: int) -> list[float]:
    """Return the median seconds of each stage; the stages take turns, so that a slow minute hits all of them."""
    times: list[list[float]] = [[] for _ in stages]
    for repeat in range(repeats + 1):
        for stage, taken in zip(stages, times, strict=True):
            start = time.perf_counter()
            stage()
            if repeat:  # the first warms up
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]
