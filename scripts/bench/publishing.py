"""Measure how long a plan takes, and how much a release sends: hubkit, beside the Hub's own `upload_folder`.

    python scripts/bench/publishing.py [--files 1000] [--shards 100] [--megabytes 1] [--repeats 5]

The Hub is the embedded one, in a process of its own. Plans are made of a corpus of many small shards: before its first
release, when nothing changed, and when one shard did. For what is sent, a corpus of a few large shards of random bytes
is published; then one shard changes, and the next release's bytes are counted as they leave the client (request bodies,
at its transport; without Xet, which the embedded Hub does not speak). `upload_folder` sends the same folder to a
repository of its own. It neither compares nor verifies anything, so only bytes and the time of the upload stand beside.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ["HF_HUB_DISABLE_XET"] = "1"  # read when huggingface_hub is imported
os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = "1"

import httpx2
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from huggingface_hub import HfApi, set_client_factory

from hubkit import __version__
from hubkit.corpora.hashing import rows_sha256_of_parquet
from hubkit.corpora.manifest import Manifest
from hubkit.files import file_sha256
from hubkit.publishing import apply, plan
from hubkit.server import process
from machine import in_turns, print_machine

_INSIDE = "HUBKIT_BENCH_HUB"


class Counting(httpx2.HTTPTransport):
    """Counts the bytes of request bodies."""

    sent = 0

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        assert isinstance(request.stream, httpx2.SyncByteStream)
        request.stream = _Counted(request.stream)
        return super().handle_request(request)


class _Counted(httpx2.SyncByteStream):
    def __init__(self, stream: httpx2.SyncByteStream):
        self.stream = stream

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.stream:
            Counting.sent += len(chunk)
            yield chunk


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how long a plan takes, and how much a release sends.")
    parser.add_argument("--files", type=int, default=1000, help="small shards to plan for (default: %(default)s)")
    parser.add_argument("--shards", type=int, default=100, help="large shards to send (default: %(default)s)")
    parser.add_argument("--megabytes", type=float, default=1.0, help="size of each (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    if _INSIDE not in os.environ:
        sys.exit(with_a_hub())
    print_machine("huggingface-hub", "pyarrow")
    set_client_factory(lambda: httpx2.Client(transport=Counting(), timeout=None))
    with tempfile.TemporaryDirectory() as scratch:
        plans(HfApi(), Path(scratch), arguments.files, arguments.repeats)
        bytes_sent(HfApi(), Path(scratch), arguments.shards, arguments.megabytes)
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def with_a_hub() -> int:
    """Run this script again beside a Hub of its own: the libraries read where it is when they are imported."""
    with tempfile.TemporaryDirectory() as folder:
        process.start(Path(folder) / "hub", port=0)
        try:
            environment = {**os.environ, **process.client_environment(Path(folder) / "hub"), _INSIDE: "1"}
            return subprocess.run([sys.executable, *sys.argv], env=environment, check=False).returncode
        finally:
            process.stop(Path(folder) / "hub")


def plans(api: HfApi, folder: Path, files: int, repeats: int) -> None:
    """Time plans of a corpus of many small files."""
    released, changed = (
        corpus(folder / "many", files, 1000),
        corpus(folder / "changed", files, 1000, changed=files // 2),
    )
    apply(plan(released, "lab/many", api=api), api)
    stages: dict[str, Callable[[], object]] = {
        "plan a first release": lambda: plan(released, "lab/new", api=api),
        "plan where nothing changed": lambda: plan(released, "lab/many", api=api),
        "plan where one file changed": lambda: plan(changed, "lab/many", api=api),
    }
    for name, seconds in zip(stages, in_turns(list(stages.values()), repeats), strict=True):
        print(f"{name + f' ({files:,} files)':<60}{seconds:>9.2f} s")


def bytes_sent(api: HfApi, folder: Path, shards: int, megabytes: float) -> None:
    """Count what the first release sends, and the next, which changes one shard."""
    size = int(megabytes * 1e6)
    first, second = corpus(folder / "one", shards, size), corpus(folder / "two", shards, size, changed=shards // 2)
    total = sum(path.stat().st_size for path in second.rglob("*") if path.is_file())
    peers = {
        "hubkit publish": lambda source: apply(plan(source, "lab/large", api=api), api),
        "upload_folder (peer)": lambda source: upload_folder(api, source, "lab/peer"),
    }
    for name, publish in peers.items():
        for what, source in (("all of it", first), (f"1 of {shards} shards changed", second)):
            Counting.sent, start = 0, time.perf_counter()
            publish(source)
            seconds, share = time.perf_counter() - start, Counting.sent / total
            print(
                f"{name + ', ' + what:<60}{Counting.sent / 1e6:>9.2f} MB ({share:7.2%} of the data)  {seconds:6.1f} s"
            )


def upload_folder(api: HfApi, source: Path, repo: str) -> None:
    api.create_repo(repo, repo_type="dataset", exist_ok=True)
    api.upload_folder(repo_id=repo, folder_path=source, repo_type="dataset")


def corpus(folder: Path, shards: int, size: int, changed: int | None = None) -> Path:
    """Write a finished corpus of shards of random bytes, all of the same seed but one."""
    (folder / "data").mkdir(parents=True)
    records, schema = [], pa.schema({"data": pa.binary()})
    for index in range(shards):
        random = np.random.default_rng([index, index == changed])
        path = folder / "data" / f"train-{index:05d}-of-{shards:05d}.parquet"
        rows = [random.bytes(max(1, size // 1024)) for _ in range(1024)]
        pq.write_table(pa.table({"data": rows}, schema=schema), path, compression="none", use_dictionary=False)
        records.append(
            {
                "file": f"data/{path.name}",
                "rows": 1024,
                "bytes": path.stat().st_size,
                "rows_sha256": rows_sha256_of_parquet([path]),
                "file_sha256": file_sha256(path),
            }
        )
    digest = rows_sha256_of_parquet(sorted((folder / "data").iterdir()))
    split = {
        "rows": 1024 * shards, "rows_sha256": digest, "rejected": 0, "failed": 0, "statistics": {}, "shards": records,
    }  # fmt: skip
    Manifest.model_validate(
        {
            "builder": "random", "generator_version": "1", "config": None, "spec": {}, "spec_sha256": "0" * 64,
            "code": {"hubkit": __version__}, "libraries": {}, "numerics": {},
            "writer": {"compression": "none", "shard_rows": 1024},
            "columns": [{"name": "data", "type": "binary"}], "summary": "Random bytes.", "license": "cc0-1.0",
            "origin": "generated", "tokenizer": None, "sources": [], "facts": {}, "reports": [], "overlap": None,
            "splits": {"train": split},
        }
    ).write(folder)  # fmt: skip
    return folder


if __name__ == "__main__":
    main()
