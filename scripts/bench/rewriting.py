"""Measure how many pairs of strings a core draws and rewrites a second, by rule and length, in blocks and in memory.

    python scripts/bench/rewriting.py [--repeats 9] [--blocks 20]

Each number is the median of several repeats in processor time of one process with one thread, after a warm-up that
compiles; inputs have 1 to so many symbols. On a machine that others use, compare numbers of one run with each other
only.
"""

import argparse
import os
import statistics
import time

from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.resources import load_module, resource
from machine import print_machine

rewriting = load_module(resource("dataset_builders", "rewriting.py"), "hubkit.dataset_builders.rewriting")

RULES = ("rewriting-copy", "rewriting-double-a", "rewriting-sort", "rewriting-binary-to-unary", "rewriting-increment")
LENGTHS = (10, 20, 50, 100)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many pairs a core draws and rewrites a second.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--blocks", type=int, default=20, help="blocks of 1024 rows a repeat")
    arguments = parser.parse_args()
    print_machine("numpy", "numba", "pyarrow")
    print(f"{'train rows/s, 1,000s; inputs of 1 to':<40}" + "".join(f"{length:>10}" for length in LENGTHS))
    for config in RULES:
        rates = (rate(config, length, arguments.blocks, arguments.repeats) for length in LENGTHS)
        print(
            f"{config:<40}" + "".join("         –" if r is None else f"{r / 1000:>10,.0f}" for r in rates), flush=True
        )
    print("original (copy, double_a), quoted: 96,000 pairs/s a core at length 10, 14,000 at length 100")
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def rate(config: str, length: int, blocks: int, repeats: int) -> float | None:
    """Return rows a second of the train split, or None where strings would double with each symbol more."""
    if config == "rewriting-binary-to-unary" and length > 10:
        return None
    spec = rewriting.CONFIGS[config]
    values = spec.model_dump() | {"max_length": length, "test": 0, "test_min_length": None, "test_max_length": None}
    builder = rewriting.Rewriting(rewriting.RewritingSpec.build(values))
    times = []
    for repeat in range(repeats + 1):
        start = time.process_time()
        for block in range(blocks):
            builder.block("train", block * BLOCK_ROWS, (block + 1) * BLOCK_ROWS)
        if repeat:  # the first warms up
            times.append(time.process_time() - start)
    return blocks * BLOCK_ROWS / statistics.median(times)


if __name__ == "__main__":
    main()
