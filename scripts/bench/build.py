"""Measure how fast the engine builds a corpus, with what memory, and what each part of the work costs.

    python scripts/bench/build.py [--rows 50000 | --rows all] [--repeats 5]

Builds rows of lorenz-xsmall through the real engine into a temporary folder, each time in a process of its own, with
one worker and with two. Then it takes the stages apart on blocks in memory, in turns, median of the repeats. `all` is
the 1,096,628 rows of the published corpus. On a machine that others use, compare numbers of one run with each other.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.build import build
from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest
from hubkit.corpora.layout import whole_blocks
from hubkit.corpora.registry import find
from hubkit.corpora.shards import TextStatistics
from hubkit.files import atomic_path, file_sha256
from machine import print_machine

CONFIG = "lorenz-xsmall"
WORKERS = (1, 2)
STAGE_BLOCKS = 16


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast the engine builds a corpus.")
    parser.add_argument("--rows", default="50000", help="rows to build, or `all` (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5, help="of the stages (default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to build; its disk is measured too (default: temporary)")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_build(arguments.rows, arguments.one, arguments.folder)))
        return
    print_machine("numpy", "numba", "pyarrow")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        find(CONFIG).builder.block("train", 0, 8)  # compiles, for all processes to come
        compare_workers(arguments.rows, Path(scratch))
        compare_stages(arguments.repeats, Path(scratch))
    print("original (Microcosm), quoted: 57–74 worlds/s on one core at the same shape, not written as Parquet")
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


# --- whole builds ----------------------------------------------------------------------------------------------------


def compare_workers(rows: str, scratch: Path) -> None:
    """Print a table of whole builds."""
    print(f"\n{CONFIG}, {'all' if rows == 'all' else f'{int(rows):,}'} rows, through the engine")
    print(f"{'':<12}{'rows/s':>10}{'running':>10}{'MB/s':>8}{'seconds':>9}{'MB':>8}   peak MB: parent, workers")
    for workers in WORKERS:
        command = [sys.executable, __file__, "--rows", rows, "--one", str(workers)]
        command += ["--folder", str(scratch / str(workers))]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peaks = peak_memory(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        if process.wait():
            raise SystemExit(process.returncode)
        parent, *others = peaks
        print(
            f"{f'{workers} worker' + 's' * (workers > 1):<12}{told['rows'] / told['seconds']:>10,.0f}"
            f"{told['running']:>10,.0f}{told['bytes'] / told['seconds'] / 1e6:>8.1f}{told['seconds']:>9.1f}"
            f"{told['bytes'] / 1e6:>8.1f}   {parent:,.0f}; {', '.join(f'{peak:,.0f}' for peak in others) or '–'}"
        )
    print("rows/s and MB/s: of the whole build, written and synced; running: after the first block, without the start")


def one_build(rows: str, workers: int, folder: Path) -> dict[str, float]:
    """Build once in this process; return what to print."""
    corpus = find(CONFIG, () if rows == "all" else [f"splits={{train: {rows}}}"])
    # A part of the corpus is less than a shard as the engine cuts them; four of them keep two workers busy.
    shard_rows = None if rows == "all" else max(1, int(rows) // 4 // BLOCK_ROWS) * BLOCK_ROWS
    seen: list[tuple[float, int]] = []
    start = time.perf_counter()
    manifest = build(
        corpus, folder, workers, shard_rows, lambda what, done, total: seen.append((time.perf_counter(), done))
    )
    stop = time.perf_counter()
    first, done = next((moment, done) for moment, done in seen if done)
    running = (manifest.rows - done) / (stop - first)
    return {"rows": manifest.rows, "bytes": manifest.bytes, "seconds": stop - start, "running": running}


def peak_memory(process: subprocess.Popen) -> list[float]:
    """Return the peak of resident memory (MB) of a process and of each of its workers, asked for until it ends."""
    peaks: dict[int, float] = {}
    while process.poll() is None:
        for pid in (process.pid, *children(process.pid)):
            peak = high_water(pid)
            if peak is not None:
                peaks[pid] = peak
        time.sleep(0.02)
    # The process that only watches over semaphores is no worker.
    return [peak for pid, peak in peaks.items() if pid == process.pid or peak > 50]


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def high_water(pid: int) -> float | None:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), None)


# --- stages ----------------------------------------------------------------------------------------------------------


def compare_stages(repeats: int, scratch: Path) -> None:
    """Print what each stage takes for a row, and the writer with and without its options."""
    builder = find(CONFIG).builder
    batches = [builder.block("train", at * BLOCK_ROWS, (at + 1) * BLOCK_ROWS).rows for at in range(STAGE_BLOCKS)]
    rows = STAGE_BLOCKS * BLOCK_ROWS
    writers = {
        "plain": {},
        "page index": {"write_page_index": True},
        "content-defined chunking": {"use_content_defined_chunking": True},
        "both": {"write_page_index": True, "use_content_defined_chunking": True},
    }
    stages: dict[str, Callable[[], object]] = {
        "generation": lambda: builder.block("train", 0, BLOCK_ROWS),
        "hashing of rows": lambda: [block_digest(batch) for batch in batches],
        "statistics of text": lambda: statistics_of(builder, batches),
        **{f"writing, {name}": lambda options=options: write(scratch, builder, batches, options)
           for name, options in writers.items()},
        "copy, sync and hash of the file": lambda: finish(scratch),
    }  # fmt: skip
    medians = in_turns(stages, repeats)
    medians["generation"] *= STAGE_BLOCKS
    print(f"\nstages of one process, {rows:,} rows of {sum(batch.nbytes for batch in batches) / rows:,.0f} bytes")
    print(f"{'':<36}{'µs a row':>10}{'rows/s':>12}{'file MB':>10}")
    for name, seconds in medians.items():
        option = name.removeprefix("writing, ")
        size = f"{write(scratch, builder, batches, writers[option]) / 1e6:>10.2f}" if option in writers else ""
        print(f"{name:<36}{seconds / rows * 1e6:>10.1f}{rows / seconds:>12,.0f}{size}")


def statistics_of(builder: CorpusBuilder, batches: list[pa.RecordBatch]) -> None:
    totals = TextStatistics(builder.schema)
    for batch in batches:
        totals.add(batch)


def write(scratch: Path, builder: CorpusBuilder, batches: list[pa.RecordBatch], options: dict) -> int:
    """Write the rows as the engine does, in row groups of its size; return the bytes."""
    path = scratch / "rows.parquet"
    group = whole_blocks(32 << 20, builder.row_bytes) // BLOCK_ROWS
    with pq.ParquetWriter(path, builder.schema, compression="zstd", compression_level=1, **options) as writer:
        for at in range(0, len(batches), group):
            writer.write_table(pa.Table.from_batches(batches[at : at + group]), group * BLOCK_ROWS)
    return path.stat().st_size


def finish(scratch: Path) -> None:
    content = (scratch / "rows.parquet").read_bytes()
    with atomic_path(scratch / "copy.parquet") as temporary:
        temporary.write_bytes(content)
        file_sha256(temporary)


def in_turns(stages: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Return the median seconds of each stage; the stages take turns, so that a slow minute hits all of them."""
    times: dict[str, list[float]] = {name: [] for name in stages}
    for repeat in range(repeats + 1):
        for name, stage in stages.items():
            start = time.perf_counter()
            stage()
            if repeat:  # the first warms up
                times[name].append(time.perf_counter() - start)
    return {name: statistics.median(taken) for name, taken in times.items()}


if __name__ == "__main__":
    main()
