"""Measure how fast a text corpus is built, with what memory, with `datasets`' own loader of JSON beside it.

    python scripts/bench/text.py [--mb 1000] [--repeats 1] [--stored plain gz] [--folder DIR]

Makes JSON Lines of about 6 kB a document from a vocabulary, in one file, and stores it in each way that is asked for.
Of each it runs in turns, each in processes of its own: `hubkit build text` with one worker and with two, without the
comparison of splits (of which the loader has no counterpart) and with it; `datasets.load_dataset("json")` into a fresh
cache, whose result is an Arrow file; and the same, written to Parquet with the options of a corpus's shards. That is
what to compare a build with. A build does more: sha256 of the sources, of the rows and of the files; duplicates out;
the split of each document by its keyed hash; bad lines set aside instead of an error; counts by domain and lengths of
columns; and each file synced to the disk. MB are those of the uncompressed file; CPU seconds are of all processes, the
peak of memory is of the largest. Last come the builder's own stages.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import zstandard

from hubkit.corpora.registry import find
from machine import print_machine

DOCUMENT_WORDS = 1000
VOCABULARY = 20_000
BATCH = 500
"""Documents that are made at once."""

LOAD = """
import sys, datasets
datasets.disable_progress_bars()
rows = datasets.load_dataset("json", data_files=sys.argv[1], cache_dir=sys.argv[2], split="train")
if sys.argv[3:]:  # not by its to_parquet, which settles the compression itself
    import pyarrow.parquet as pq
    options = dict(compression="zstd", compression_level=1, write_page_index=True, use_content_defined_chunking=True)
    with pq.ParquetWriter(sys.argv[3], rows.features.arrow_schema, **options) as file:
        for start in range(0, len(rows), 4096):
            file.write_table(rows.with_format("arrow")[start : start + 4096])
"""


class Taken(NamedTuple):
    """What a command took."""

    seconds: float
    cpu: float
    peak: float
    """MB, of the largest process."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast a text corpus is built.")
    parser.add_argument("--mb", type=int, default=1000, help="of JSON Lines (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=1, help="the best counts (default: %(default)s)")
    parser.add_argument(
        "--stored", choices=("plain", "gz", "zst"), nargs="+", default=["plain", "gz"], help="(default: plain and gz)"
    )
    parser.add_argument("--folder", type=Path, help="where to work (default: temporary)")
    arguments = parser.parse_args()
    print_machine("orjson", "xxhash", "zstandard", "pyarrow", "datasets")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch)
        for stored in arguments.stored:
            path, size = make(folder, arguments.mb, stored)
            print(f"\n{size / 1e6:,.0f} MB of JSON Lines, stored {stored} in {path.stat().st_size / 1e6:,.0f} MB")
            compare(commands(path, folder), size, folder, arguments.repeats)
            stages(path, size, folder / f"stages-{stored}")
            path.unlink()
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def make(folder: Path, megabytes: int, stored: str) -> tuple[Path, int]:
    """Write the file; return where, and its size before compression."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    words = np.array(["".join(random.choice(letters, random.integers(2, 11))) for _ in range(VOCABULARY)])
    path, size, number = folder / f"text.jsonl.{stored}".removesuffix(".plain"), 0, 0
    with opened(path, stored) as file:
        while size < megabytes * 1e6:
            chosen = np.minimum(random.zipf(1.3, (BATCH, DOCUMENT_WORDS)) - 1, len(words) - 1)
            for text in map(" ".join, words[chosen].tolist()):
                number += 1
                meta = {"pile_set_name": ("Pile-CC", "ArXiv")[number % 2], "id": number}
                size += file.write(json.dumps({"text": text, "meta": meta}).encode() + b"\n")
    return path, size


def opened(path: Path, stored: str):
    if stored == "gz":
        import gzip

        return gzip.open(path, "wb", compresslevel=6)
    return zstandard.open(path, "wb") if stored == "zst" else path.open("wb")


def commands(path: Path, folder: Path) -> dict[str, list[str]]:
    build = [str(Path(sys.executable).parent / "hubkit"), "build", "text", "--set", f"files=[{path}]"]
    build += ["-o", str(folder / "out")]
    load = [sys.executable, "-c", LOAD, str(path), str(folder / "out")]
    return {
        "hubkit, 1 worker": [*build, "--workers", "1", "--no-overlap"],
        "hubkit, 2 workers": [*build, "--workers", "2", "--no-overlap"],
        "hubkit, 2 workers, overlap": [*build, "--workers", "2"],
        "datasets, to Arrow": load,
        "datasets, to Parquet": [*load, str(folder / "out" / "rows.parquet")],
    }


def compare(todo: dict[str, list[str]], size: int, folder: Path, repeats: int) -> None:
    """Print a table of whole commands, run in turns."""
    best: dict[str, Taken] = {}
    for _ in range(repeats):
        for name, command in todo.items():
            taken = run(command)
            best[name] = min(best.get(name, taken), taken)
            shutil.rmtree(folder / "out")
    print(f"{'':<28}{'MB/s':>8}{'seconds':>9}{'CPU s':>8}{'peak MB':>9}")
    for name, taken in best.items():
        rate = size / taken.seconds / 1e6
        print(f"{name:<28}{rate:>8,.0f}{taken.seconds:>9.1f}{taken.cpu:>8.1f}{taken.peak:>9,.0f}")


def run(command: list[str]) -> Taken:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    assert process.stderr is not None
    told = process.stderr.read().decode()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed: {told}")
    return Taken(time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1000)


def stages(path: Path, size: int, folder: Path) -> None:
    """Print what the stages of a build that are the builder's own take, one after the other in this process."""
    builder = find("text", [f"files=[{path}]"]).builder
    pieces = {name: folder / str(number) for number, name in enumerate(builder.pieces())}
    joined = folder / "joined"
    for place in (folder, joined, *pieces.values()):
        place.mkdir()

    def rows() -> None:
        for split, count in builder.rows.items():
            for _ in builder.blocks(split, 0, count):
                pass

    for name, stage in stages_of(builder, pieces, joined, rows):
        start = time.perf_counter()
        stage()
        seconds = time.perf_counter() - start
        print(f"{name:<28}{size / seconds / 1e6:>8,.0f}{seconds:>9.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"of one process, which peaked at {peak:,.0f} MB (with the making of the file)")


def stages_of(builder, pieces: dict[str, Path], joined: Path, rows) -> Iterator[tuple[str, Callable[[], None]]]:
    def prepare() -> None:
        for name, place in pieces.items():
            builder.prepare(name, place)

    yield "spool and index", prepare
    yield "duplicates and splits", lambda: builder.join(list(pieces.values()), joined)
    builder.prepared = joined
    yield "rows, in memory", rows


if __name__ == "__main__":
    main()
