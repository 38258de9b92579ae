"""Measure how long the command line takes to answer, beside the Hub's own.

    python scripts/bench/startup.py [--repeats 11]

Whole processes by the wall clock, in turns, median; the files are in the page cache after the first, uncounted turn.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

from machine import print_machine

BIN = Path(sys.executable).parent
COMMANDS = {
    "hubkit --help": [BIN / "hubkit", "--help"],
    "hubkit hub status": [BIN / "hubkit", "hub", "status"],
    "hubkit list": [BIN / "hubkit", "list"],
    "hf --help (peer)": [BIN / "hf", "--help"],
    "python -c pass (floor)": [sys.executable, "-c", "pass"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long the command line takes to answer.")
    parser.add_argument("--repeats", type=int, default=11)
    repeats = parser.parse_args().repeats
    print_machine("typer", "huggingface-hub")
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for repeat in range(repeats + 1):
        for name, command in COMMANDS.items():
            start = time.perf_counter()
            subprocess.run(command, capture_output=True, check=False)
            if repeat:
                times[name].append(time.perf_counter() - start)
    for name, taken in times.items():
        print(f"{name:<26}{statistics.median(taken):>8.3f} s")


if __name__ == "__main__":
    main()
