"""Measure how fast a text corpus is built, with what memory, with `datasets`' own loader of JSON beside it.

    python scripts/bench/text.py [--mb 1000] [--repeats 1] [--stored plain] [--folder DIR]

Makes JSON Lines of about 6 kB a document from a vocabulary, in one file, and runs in turns, each in processes of its
own: `hubkit build text` with one worker and with two, without the comparison of splits (of which the loader has no
counterpart) and with it, and `datasets.load_dataset("json")` into a fresh cache. MB are those of the uncompressed file;
CPU seconds are of all processes, the peak of memory is of the largest. Last come the builder's own stages.
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
print(datasets.load_dataset("json", data_files=sys.argv[1], cache_dir=sys.argv[2], split="train").num_rows)
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
    parser.add_argument("--stored", choices=("plain", "gz", "zst"), default="plain", help="(default: %(default)s)")
    parser.add_argument("--folder", type=Path, help="where to work (default: temporary)")
    arguments = parser.parse_args()
    print_machine("orjson", "xxhash", "zstandard", "pyarrow", "datasets")
    with tempfile.TemporaryDirectory(dir=arguments.folder) as scratch:
        folder = Path(scratch)
        path, size = make(folder, arguments.mb, arguments.stored)
        print(f"\n{size / 1e6:,.0f} MB of JSON Lines, stored {arguments.stored} in {path.stat().st_size / 1e6:,.0f} MB")
        compare(commands(path, folder), size, folder, arguments.repeats)
        stages(path, size, folder)
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
    return {
        "hubkit, 1 worker": [*build, "--workers", "1", "--no-overlap"],
        "hubkit, 2 workers": [*build, "--workers", "2", "--no-overlap"],
        "hubkit, 2 workers, overlap": [*build, "--workers", "2"],
        "datasets": [sys.executable, "-c", LOAD, str(path), str(folder / "out")],
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
    (piece,) = builder.pieces()
    index, joined = folder / "index", folder / "joined"
    index.mkdir()
    joined.mkdir()

    def rows() -> None:
        for split, count in builder.rows.items():
            for _ in builder.blocks(split, 0, count):
                pass

    for name, stage in stages_of(builder, piece, index, joined, rows):
        start = time.perf_counter()
        stage()
        seconds = time.perf_counter() - start
        print(f"{name:<28}{size / seconds / 1e6:>8,.0f}{seconds:>9.1f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
    print(f"of one process, which peaked at {peak:,.0f} MB (with the making of the file)")


def stages_of(builder, piece: str, index: Path, joined: Path, rows) -> Iterator[tuple[str, Callable[[], None]]]:
    yield "the index", lambda: builder.prepare(piece, index)
    yield "duplicates and splits", lambda: builder.join([index], joined)
    builder.prepared = joined
    yield "rows, in memory", rows


if __name__ == "__main__":
    main()
