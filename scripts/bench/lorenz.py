"""Measure how many Lorenz worlds a core draws a second, and where the time goes.

    python scripts/bench/lorenz.py [--repeats 9] [--worlds 512]

Each number is the median of several repeats by the wall clock, of one process with one BLAS thread, after a warm-up
that compiles. On a machine that others use, compare numbers of one run with each other only.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable

import threadpoolctl

from hubkit.randomness import item_seeds
from hubkit.resources import load_module, resource
from machine import print_machine

lorenz = load_module(resource("dataset_builders", "lorenz.py"), "hubkit.dataset_builders.lorenz")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many Lorenz worlds a core draws a second.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--worlds", type=int, default=512, help="worlds a repeat (an eighth of it at the full shape)")
    arguments = parser.parse_args()
    print_machine("numpy", "numba", "pyarrow")
    print(" ".join(lorenz.Lorenz(lorenz.CONFIGS["lorenz"]).numerics().values()))
    with threadpoolctl.threadpool_limits(1):
        columns = {
            config: measure(config, max(1, arguments.worlds // shrink), arguments.repeats)
            for config, shrink in (("lorenz-tiny", 1), ("lorenz-xsmall", 1), ("lorenz", 8))
        }
    print(f"{'median of ' + str(arguments.repeats):<44}" + "".join(f"{config:>15}" for config in columns))
    for stage in next(iter(columns.values())):
        print(f"{stage:<44}" + "".join(f"{column[stage]:>15,.0f}" for column in columns.values()))
    print("original (Microcosm), quoted: 57–74 worlds/s on one core at the shape of lorenz-xsmall")
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def measure(config: str, worlds: int, repeats: int) -> dict[str, float]:
    """Return worlds a second of both ways to draw them, and microseconds a world of each stage of a block."""
    spec = lorenz.CONFIGS[config]
    builder = lorenz.Lorenz(spec)
    options = spec.model_dump(include=set(lorenz.WorldSpec.model_fields))
    seeds = item_seeds(1, range(worlds))
    drafts = [draft for seed in seeds if (draft := lorenz._draft(seed, spec))]
    frames = list(lorenz._frames(drafts, spec))
    finished = [lorenz._finish(draft, *pair) for draft, pair in zip(drafts, frames, strict=True)]
    stages: dict[str, Callable[[], object]] = {
        "sample_world, one by one: worlds/s": lambda: [lorenz.sample_world(seed, **options) for seed in seeds],
        "Lorenz.block, to Arrow: worlds/s": lambda: builder.block("train", 0, worlds),
        "  seeds, µs a world": lambda: item_seeds(1, range(worlds)),
        "  draws and integration, µs a world": lambda: [lorenz._draft(seed, spec) for seed in seeds],
        "  frames (SVD), µs a world": lambda: list(lorenz._frames(drafts, spec)),
        "  products and text, µs a world": lambda: [lorenz._finish(*pair) for pair in finishing(drafts, frames)],
        "  to columns, µs a world": lambda: [lorenz._row(world) for world in finished],
    }
    medians = in_turns(list(stages.values()), repeats)
    return {
        name: worlds / seconds if "worlds/s" in name else seconds / worlds * 1e6
        for name, seconds in zip(stages, medians, strict=True)
    }


def finishing(drafts: list, frames: list) -> list:
    return [(draft, *pair) for draft, pair in zip(drafts, frames, strict=True)]


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


if __name__ == "__main__":
    main()
