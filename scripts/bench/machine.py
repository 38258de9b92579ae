"""What every benchmark prints first: processor, versions, commit and load, without which a number says little."""

import os
import platform
import subprocess
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
