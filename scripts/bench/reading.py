"""Measure how fast text is read, by how it is stored, with `datasets`' own loader of JSON beside it.

    python scripts/bench/reading.py [--mb 200] [--repeats 3]

Makes JSON Lines of about 6 kB a document from a vocabulary, stores them plain and compressed, and reads each copy, in
turns, best of the repeats, on one core: every document parsed, and the same with the digest of the stored bytes. MB are
those of the text uncompressed. `datasets` reads the plain file into a cache of its own, each time a new one; its figure
includes the Arrow file that it writes there.
"""

import argparse
import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import zstandard

from hubkit.reading import Digest, Form, documents, find_sources
from machine import print_machine

DOCUMENT_WORDS = 1000
SLOW_MB = 20  # of the formats that take minutes to make

LOAD = """
import sys, time, datasets
start = time.perf_counter()
rows = datasets.load_dataset("json", data_files=sys.argv[1], cache_dir=sys.argv[2], split="train").num_rows
print(rows, time.perf_counter() - start)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast text is read.")
    parser.add_argument("--mb", type=int, default=200, help="of text (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=3, help="(default: %(default)s)")
    arguments = parser.parse_args()
    print_machine("orjson", "zstandard", "numpy", "numba", "datasets")
    with tempfile.TemporaryDirectory() as scratch:
        files = make(Path(scratch), arguments.mb)
        print(f"\n{'MB/s of text':<22}{'parsed':>9}{'+ digest':>10}{'stored MB':>12}")
        rates = {name: compare(path, form, arguments.repeats) for name, (path, form) in files.items()}
        for name, (parsed, digested) in rates.items():
            stored = files[name][0].stat().st_size / 1e6
            print(f"{name:<22}{parsed:>9,.0f}{digested:>10,.0f}{stored:>12,.1f}")
        loaded = max(load(files["plain"][0], Path(scratch)) for _ in range(arguments.repeats))
        print(f"{'datasets, plain':<22}{loaded:>9,.0f}")
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def make(folder: Path, megabytes: int) -> dict[str, tuple[Path, Form]]:
    """Store the same text in several ways; the slow ways hold less of it."""
    random = np.random.default_rng(0)
    letters = np.array(list("etaoinshrdlucmfwypvbgkjqxz"))
    words = ["".join(random.choice(letters, random.integers(2, 11))) for _ in range(20_000)]
    lines, size, texts = [], 0, []
    while size < megabytes * 1e6:
        chosen = np.minimum(random.zipf(1.3, DOCUMENT_WORDS) - 1, len(words) - 1)
        texts.append(" ".join([words[index] for index in chosen]))
        meta = {"pile_set_name": "Pile-CC", "id": len(texts)}
        lines.append(json.dumps({"text": texts[-1], "meta": meta}).encode() + b"\n")
        size += len(lines[-1])
    data, few = b"".join(lines), b"".join(lines[: len(lines) * SLOW_MB // megabytes])
    compressor = zstandard.ZstdCompressor(level=3)
    stored = {
        "plain": data,
        "gzip": gzip.compress(data, 6),
        "zstd": compressor.compress(data),
        "xz": lzma.compress(few, preset=1),
        "bzip2": bz2.compress(few),
        "CR LF": data.replace(b"\n", b"\r\n"),
        "UTF-16": few.decode().encode("utf-16"),
        "JSON array": b"[" + b",\n".join(line.strip() for line in lines) + b"]",
    }
    files = {}
    for name, content in stored.items():
        files[name] = (folder / f"{name.replace(' ', '_')}.jsonl", Form())
        files[name][0].write_bytes(content)
    plain = {"lines": "\n".join(texts), "paragraphs": "\n\n".join(texts)}
    for name, content in plain.items():
        files[name] = (folder / f"{name}.txt", Form.build({"format": name}))
        files[name][0].write_text(content)
    return files


def compare(path: Path, form: Form, repeats: int) -> tuple[float, float]:
    """Return MB/s of text: parsed, and parsed with the digest."""
    source = find_sources([str(path)])[0]
    kept = [(len(record.text or ""), record.reason) for record in documents(source, form)]
    assert not any(reason for _, reason in kept)
    size = sum(length for length, _ in kept) / 1e6

    def count(records) -> int:
        return sum(1 for _ in records)

    ways: list[Callable[[], int]] = [
        lambda: count(documents(source, form)),
        lambda: count(documents(source, form, digest=Digest())),
    ]
    best = [float("inf")] * len(ways)
    for _ in range(repeats):
        for index, way in enumerate(ways):
            start = time.perf_counter()
            way()
            best[index] = min(best[index], time.perf_counter() - start)
    return size / best[0], size / best[1]


def load(path: Path, scratch: Path) -> float:
    """Return MB/s of `datasets`' loader, in a process and with a cache of its own."""
    with tempfile.TemporaryDirectory(dir=scratch) as cache:
        environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_DATASETS_DISABLE_PROGRESS_BARS": "1"}
        command = [sys.executable, "-c", LOAD, str(path), cache]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
    return path.stat().st_size / 1e6 / float(done.stdout.split()[1])


if __name__ == "__main__":
    main()
