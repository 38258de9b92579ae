"""Measure how fast corpora are made: the stages of one process apart, whole builds by worker, and their memory.

    python scripts/bench/corpora.py [FAMILY …] [--repeats 5] [--rows 60000] [--no-builds | --no-stages]

The stages are taken apart on blocks in memory, in turns, median of the repeats: generation, hashing, what the card
needs (lengths, and sketches of the overlap), and the real Parquet writer with its real options. Whole builds run
through the engine in processes of their own, start and sync included. On a machine that others use, compare numbers of
one run.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.build import build
from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest
from hubkit.corpora.job import prepare
from hubkit.corpora.layout import ROW_GROUP_BYTES, whole_blocks
from hubkit.corpora.overlap import Sketch
from hubkit.corpora.registry import find
from hubkit.corpora.statistics import Statistics
from machine import in_turns, print_machine

BLOCKS = 16
WORKERS = (1, 2)


class Subject(NamedTuple):
    """What is measured of a family."""

    target: str
    overrides: tuple[str, ...]
    unit: str
    """What rates count: rows, or the items (tokens) of `input_ids`."""
    quoted: str
    """What was measured earlier of the original program, on one core of a shared machine; no command here runs it."""


def _domain(text: str) -> tuple[str, ...]:
    return (f"domains=[{text}]", "tokens=200M")


SUBJECTS = {
    "lorenz": Subject("lorenz-xsmall", (), "rows", "57–74"),
    "lorenz microcosm": Subject("lorenz-xsmall", ("generator=microcosm",), "rows", "57–74"),
    "rewriting copy ≤ 20": Subject("rewriting-copy", ("max_length=20", "train=1000000"), "rows", "14–96 k"),
    "rewriting double_a ≤ 20": Subject("rewriting-double-a", ("max_length=20", "train=1000000"), "rows", "14–96 k"),
    "identity": Subject("seqthetic", _domain("identity"), "tokens", "3.3–3.5 M; 0.30 M as CSV with mask"),
    "duplicate": Subject("seqthetic", _domain("duplicate"), "tokens", "1.7–2.3 M"),
    "deduplicate": Subject("seqthetic", _domain("deduplicate"), "tokens", "1.8 M"),
    "delete": Subject("seqthetic", _domain("delete"), "tokens", "0.4 M"),
    "sort_numbers": Subject("seqthetic", _domain("sort_numbers"), "tokens", "25–27 M"),
    "ngram": Subject("seqthetic", _domain("ngram"), "tokens", "0.09 M"),
    "fbm": Subject("seqthetic", _domain("fbm"), "tokens", "4.2 M"),
    "lime": Subject("seqthetic", _domain("lime"), "rows", "9.2–9.9 k"),
    "task (18 tasks)": Subject("seqthetic", _domain("{domain: task, task: mixed}"), "rows", "4.6–21.9 k"),
}

BUILDS = ("lorenz", "rewriting double_a ≤ 20", "identity")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast corpora are made.")
    parser.add_argument("families", nargs="*", choices=[*SUBJECTS, []], help="of these (default: all)")
    parser.add_argument("--repeats", type=int, default=5, help="of the stages (default: %(default)s)")
    parser.add_argument("--rows", type=int, default=60_000, help="of a whole build of lorenz (default: %(default)s)")
    parser.add_argument("--stages", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--builds", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--folder", type=Path, help="where to build; its disk is measured too (default: temporary)")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(one_build(json.loads(arguments.one), arguments.folder)))
        return
    print_machine("numpy", "numba", "pyarrow")
    chosen = {name: subject for name, subject in SUBJECTS.items() if name in (arguments.families or SUBJECTS)}
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        if arguments.stages:
            compare_stages(chosen, arguments.repeats, Path(scratch))
        if arguments.builds:
            for name in BUILDS:
                if name in chosen:
                    compare_workers(name, chosen[name], arguments.rows, Path(scratch))
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


# --- stages ----------------------------------------------------------------------------------------------------------


def compare_stages(subjects: dict[str, Subject], repeats: int, scratch: Path) -> None:
    """Print the rate of each stage of one process, and of all of them one after the other."""
    print("\nstages of one process, in units a second")
    print(f"{'':<26}{'unit':<8}{'generate':>10}{'hash':>10}{'card':>10}{'write':>10}{'all':>10}   original, quoted")
    for name, subject in subjects.items():
        builder = find(subject.target, subject.overrides).builder
        with tempfile.TemporaryDirectory(dir=scratch) as folder:
            prepare(builder, Path(folder))
            batches = generated(builder)
            units = sum(count(batch, subject.unit) for batch in batches)
            seconds = in_turns(stages_of(builder, batches, scratch), repeats)
        rates = [units / taken for taken in seconds] + [units / sum(seconds)]
        print(f"{name:<26}{subject.unit:<8}{''.join(f'{short(rate):>10}' for rate in rates)}   {subject.quoted}")


def stages_of(builder: CorpusBuilder, batches: list[pa.RecordBatch], scratch: Path) -> list[Callable[[], object]]:
    """Return generation, hashing, what the card needs, and writing."""
    return [
        lambda: generated(builder),
        lambda: [block_digest(batch) for batch in batches],
        lambda: describe(builder, batches),
        lambda: write(scratch, builder, batches),
    ]


def generated(builder: CorpusBuilder) -> list[pa.RecordBatch]:
    return [block.rows for block in builder.blocks("train", 0, BLOCKS * BLOCK_ROWS)]


def count(batch: pa.RecordBatch, unit: str) -> int:
    return batch.num_rows if unit == "rows" else len(batch.column("input_ids").flatten())


def describe(builder: CorpusBuilder, batches: list[pa.RecordBatch]) -> None:
    lengths, sketch = Statistics(builder.schema), Sketch(builder.schema)
    for batch in batches:
        lengths.add(batch)
        sketch.add(batch)


def write(scratch: Path, builder: CorpusBuilder, batches: list[pa.RecordBatch]) -> None:
    """Write the rows as the engine does, in row groups of its size."""
    group = whole_blocks(ROW_GROUP_BYTES, builder.row_bytes) // BLOCK_ROWS
    options: dict[str, Any] = {"write_page_index": True, "use_content_defined_chunking": True}
    with pq.ParquetWriter(
        scratch / "rows.parquet", builder.schema, compression="zstd", compression_level=1, **options
    ) as writer:
        for at in range(0, len(batches), group):
            writer.write_table(pa.Table.from_batches(batches[at : at + group]), group * BLOCK_ROWS)


def short(rate: float) -> str:
    """Return a rate such as ``12.3 M`` or ``45.6 k``."""
    return f"{rate / 1e6:.1f} M" if rate >= 1e6 else f"{rate / 1e3:.1f} k"


# --- whole builds ----------------------------------------------------------------------------------------------------


def compare_workers(name: str, subject: Subject, rows: int, scratch: Path) -> None:
    """Print a table of whole builds."""
    sized = {"lorenz": (f"splits={{train: {rows}}}",), "identity": ("shares={train: 1}",)}.get(name, ())
    print(f"\n{name}: whole builds")
    print(f"{'':<12}{'rows/s':>12}{'running':>12}{'MB/s':>8}{'seconds':>9}{'MB':>8}   peak MB: parent, workers")
    running = []
    for workers in WORKERS:
        job = json.dumps([subject.target, [*subject.overrides, *sized], workers])
        command = [sys.executable, __file__, "--one", job, "--folder", str(scratch / f"{workers} {subject.target}")]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peaks = peak_memory(process)
        assert process.stdout is not None
        told = json.loads(process.stdout.read())
        if process.wait():
            raise SystemExit(process.returncode)
        parent, *others = peaks
        running.append(told["running"])
        print(
            f"{f'{workers} worker' + 's' * (workers > 1):<12}{told['rows'] / told['seconds']:>12,.0f}"
            f"{told['running']:>12,.0f}{told['bytes'] / told['seconds'] / 1e6:>8.1f}{told['seconds']:>9.1f}"
            f"{told['bytes'] / 1e6:>8.1f}   {parent:,.0f}; {', '.join(f'{peak:,.0f}' for peak in others) or '–'}"
        )
    print(f"two workers make {running[1] / running[0]:.2f} × the rows of one, once they run")
    print("rows/s and MB/s: of the whole build, written and synced; running: after the first block, without the start")


def one_build(job: list, folder: Path) -> dict[str, float]:
    """Build once in this process; return what to print."""
    target, overrides, workers = job
    corpus = find(target, overrides)
    seen: list[tuple[float, int]] = []

    def hear(what: str, done: int, total: int) -> None:
        if what == "rows":
            seen.append((time.perf_counter(), done))

    start = time.perf_counter()
    manifest = build(corpus, folder, workers, shard_rows(corpus.builder), hear)
    stop = time.perf_counter()
    first, done = next((moment, done) for moment, done in seen if done)
    last, total = seen[-1]
    return {
        "rows": manifest.rows,
        "bytes": manifest.bytes,
        "seconds": stop - start,
        "running": (total - done) / (last - first),
    }


def shard_rows(builder: CorpusBuilder) -> int:
    """Return a size that keeps two workers busy: a part of a corpus is less than a shard as the engine cuts them."""
    with tempfile.TemporaryDirectory() as folder:
        prepare(builder, Path(folder))
        return max(1, sum(builder.rows.values()) // 8 // BLOCK_ROWS) * BLOCK_ROWS


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


if __name__ == "__main__":
    main()
