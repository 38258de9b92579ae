"""Measure how many Lorenz worlds a core draws a second, and where the time goes.

    python scripts/bench/lorenz.py [--repeats 9] [--worlds 1024]

Microcosm's generator one world at a time and by the block, with its stages; the portable one by the block, by
Runge–Kutta, as token ids without text, and through the Parquet writer that a build uses. Each number is the median of
several repeats by the wall clock, of one process with one BLAS thread, after a warm-up that compiles. On a machine that
others use, compare numbers of one run with each other only.
"""

import argparse
import os
from collections.abc import Callable

import pyarrow as pa
import pyarrow.parquet as pq
import threadpoolctl

from hubkit.corpora.hashing import block_digest
from hubkit.randomness import item_seeds
from hubkit.resources import load_module, resource
from hubkit.tokenizers.lorenz import encode_batch
from machine import in_turns, print_machine

WRITER = {
    "compression": "zstd",
    "compression_level": 1,
    "write_page_index": True,
    "use_content_defined_chunking": True,
}
"""The options of a build's writer, as its manifest has them."""

lorenz = load_module(resource("dataset_builders", "lorenz.py"), "hubkit.dataset_builders.lorenz")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many Lorenz worlds a core draws a second.")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument(
        "--worlds", type=int, default=1024, help="worlds a repeat, at most 1024 (an eighth at the full shape)"
    )
    arguments = parser.parse_args()
    print_machine("numpy", "numba", "pyarrow")
    print(" ".join(lorenz.Lorenz(made_by("microcosm", "lorenz")).numerics().values()))
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
    spec = made_by("microcosm", config)
    builder, portable = lorenz.Lorenz(spec), lorenz.Lorenz(made_by("portable", config))
    runge_kutta = lorenz.Lorenz(portable.spec.model_copy(update={"integrator": "rk4"}))
    microcosm = lorenz.microcosm
    options = spec.model_dump(include=set(lorenz.WorldSpec.model_fields))
    seeds = item_seeds(1, range(worlds))
    drafts = [draft for seed in seeds if (draft := microcosm._draft(seed, spec))]
    frames = list(microcosm._frames(drafts, spec))
    rows = portable.block("train", 0, worlds).rows
    stages: dict[str, Callable[[], object]] = {
        "microcosm, one by one: worlds/s": lambda: [lorenz.sample_world(seed, **options) for seed in seeds],
        "microcosm, by the block: worlds/s": lambda: builder.block("train", 0, worlds),
        "  draws and integration, µs a world": lambda: [microcosm._draft(seed, spec) for seed in seeds],
        "  frames (SVD), µs a world": lambda: list(microcosm._frames(drafts, spec)),
        "  products and text, µs a world": lambda: [microcosm._finish(*pair) for pair in finishing(drafts, frames)],
        "portable, by the block: worlds/s": lambda: portable.block("train", 0, worlds),
        "portable, rk4: worlds/s": lambda: runge_kutta.block("train", 0, worlds),
        "portable, as token ids: worlds/s": lambda: portable.ids("train", 0, worlds),
        "text to token ids: worlds/s": lambda: encode_batch(rows["text"]),
        "hashing: worlds/s": lambda: block_digest(rows),
        "to Parquet: worlds/s": lambda: write(rows),
        "portable to Parquet, all: worlds/s": lambda: build(portable, worlds),
    }
    medians = in_turns(list(stages.values()), repeats)
    return {
        name: worlds / seconds if "worlds/s" in name else seconds / worlds * 1e6
        for name, seconds in zip(stages, medians, strict=True)
    }


def made_by(generator: str, config: str):
    return lorenz.CONFIGS[config].model_copy(update={"generator": generator})


def write(rows: pa.RecordBatch) -> None:
    with pq.ParquetWriter(pa.BufferOutputStream(), rows.schema, **WRITER) as parquet:
        parquet.write_table(pa.Table.from_batches([rows]))


def build(builder, worlds: int) -> None:
    """Do what a build does with a block, in memory: generate, hash and write."""
    rows = builder.block("train", 0, worlds).rows
    block_digest(rows)
    write(rows)


def finishing(drafts: list, frames: list) -> list:
    return [(draft, *pair) for draft, pair in zip(drafts, frames, strict=True)]


if __name__ == "__main__":
    main()
