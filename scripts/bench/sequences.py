"""Measure how many tokens a second each domain of `seqthetic` makes, and where the time goes on the way to Parquet.

    python scripts/bench/sequences.py [--repeats 9] [--rows 4096] [DOMAIN …]

Every domain has its defaults. `generate` makes the sequences; `rows` makes Arrow rows of them, generating included;
`hash` is the engine's digest of those; `write` is Parquet with the engine's options; `all` is rows, hash and write one
after the other. Millions of tokens a second, the median of several repeats of one process, after a warm-up that
compiles. `rows/s` is thousands of rows a second of `generate`. The original's figures are quoted.
"""

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.hashing import BLOCK_ROWS, block_digest
from hubkit.resources import load_module, resource
from hubkit.sequences import DOMAINS
from machine import in_turns, print_machine

seqthetic = load_module(resource("dataset_builders", "seqthetic.py"), "hubkit.dataset_builders.seqthetic")

ORIGINAL = {
    "identity": "3.3–3.5 (0.30 to CSV with mask)",
    "duplicate": "1.7–2.3",
    "deduplicate": "1.8",
    "delete": "0.4",
    "sort_numbers": "25–27",
    "ngram": "0.09",
    "fbm": "4.2",
    "lime": "9.2–9.9 thousand rows/s",
    "task": "4.6–21.9 thousand rows/s",
}
WRITER = {
    "compression": "zstd",
    "compression_level": 1,
    "write_page_index": True,
    "use_content_defined_chunking": True,
}
STAGES = ("generate", "rows", "hash", "write", "all")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many tokens a second each domain makes.")
    parser.add_argument("domains", nargs="*", default=list(DOMAINS), help="which (default: all)")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--rows", type=int, default=4096)
    arguments = parser.parse_args()
    print_machine("numpy", "numba", "pyarrow")
    print(f"{'Mtokens/s':<20}" + "".join(f"{stage:>10}" for stage in STAGES) + f"{'rows/s (k)':>12}  original")
    for domain in arguments.domains:
        rates, rows = measure(domain, arguments.rows, arguments.repeats)
        print(
            f"{domain:<20}"
            + "".join(f"{rate / 1e6:>10.1f}" for rate in rates)
            + f"{rows / 1e3:>12.0f}  {ORIGINAL.get(domain, 'none')}"
        )
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def measure(domain: str, rows: int, repeats: int) -> tuple[list[float], float]:
    """Return tokens a second of each stage, and rows a second of the first."""
    spec = seqthetic.SeqtheticSpec.build({"domains": [domain], "tokens": {"train": "1T"}, "limit": rows})
    builder = seqthetic.Seqthetic(spec)
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train").mkdir()
        builder.prepare("train", folder / "train")
        builder.prepared = folder
        key, sink = builder.key("train", spec.names[0]), folder / "rows.parquet"

        def made() -> list[pa.RecordBatch]:
            return [block.rows for block in builder.blocks("train", 0, rows)]

        def write(batches: list[pa.RecordBatch]) -> None:
            with pq.ParquetWriter(sink, builder.schema, **WRITER) as writer:
                writer.write_table(pa.Table.from_batches(batches), rows)

        def everything() -> None:
            batches = made()
            for batch in batches:
                block_digest(batch)
            write(batches)

        batches = made()
        tokens = sum(len(batch.column("input_ids").values) for batch in batches)  # pyright: ignore
        stages: list[Callable[[], object]] = [
            lambda: [
                spec.domains[0].generate(key, np.arange(start, min(start + BLOCK_ROWS, rows), dtype=np.uint64))
                for start in range(0, rows, BLOCK_ROWS)
            ],
            made,
            lambda: [block_digest(batch) for batch in batches],
            lambda: write(batches),
            everything,
        ]
        seconds = in_turns(stages, repeats)
    return [tokens / second for second in seconds], rows / seconds[0]


if __name__ == "__main__":
    main()
