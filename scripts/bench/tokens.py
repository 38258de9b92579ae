"""Measure how fast text becomes token ids: `tokenizers`, tiktoken with the same ids, and a whole build.

    python scripts/bench/tokens.py [--corpus FOLDER --tokenizer FOLDER] [--megabytes 10] [--repeats 5]

Without a corpus it makes texts from a fixed vocabulary of invented words, with numbers, code and other scripts among
them, and trains its own tokenizer on them; such text is easier than people's. Encoding is measured in this process, one
thread, in turns, median of the repeats; documents as they are. On a machine that others use, compare numbers of one run
with each other only.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"  # before the library is loaded

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.corpora.texts import corpus_texts
from hubkit.tokenizers import save_tokenizer
from hubkit.tokenizers.bpe import train_bpe
from hubkit.tokenizers.encoding import Encoder
from hubkit.tokenizers.merging import Characters
from machine import print_machine


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast text becomes token ids.")
    parser.add_argument("--corpus", help="a corpus with a text column (default: made up)")
    parser.add_argument("--tokenizer", help="a tokenizer (default: trained on that text, 8192 ids)")
    parser.add_argument("--megabytes", type=float, default=10, help="of text to encode (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    print_machine("tokenizers", "tiktoken", "pyarrow", "numpy")
    with tempfile.TemporaryDirectory() as scratch:
        texts = some_texts(arguments.corpus, arguments.megabytes * 1e6)
        tokenizer = arguments.tokenizer or trained(texts, Path(scratch) / "tokenizer")
        compare(texts, tokenizer, arguments.repeats)
        whole_build(texts, tokenizer, Path(scratch))
    print("measured earlier, quoted: original 0.87 MB/s, tokenizers 2.1, tiktoken 7.9")
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def some_texts(corpus: str | None, wanted: float) -> list[str]:
    """Return whole documents, until there are `wanted` bytes of them."""
    texts, size = [], 0
    for text in corpus_texts(corpus) if corpus else invented():
        texts.append(text)
        size += len(text.encode())
        if size >= wanted:
            break
    return texts


def invented():
    """Yield documents of about 4 KB without end."""
    random = np.random.default_rng(0)
    letters = np.array(list("eeeetttaaooiinnsshhrrdlucmfwypvbgkqjxz"))
    words = ["".join(random.choice(letters, size)) for size in random.integers(1, 11, 20_000)]
    words[::40] = ["naïve", "größer", "кошка", "猫", "x += 1\n    ", "1984", "3.14", "don't", "\n\n", "==>"] * 50
    while True:
        ranks = np.minimum(random.zipf(1.2, 700) - 1, len(words) - 1)
        yield " ".join(words[rank * 7919 % len(words)] for rank in ranks)


def trained(texts: list[str], folder: Path) -> str:
    start = time.perf_counter()
    tokenizer = train_bpe(texts, 8192)
    seconds = time.perf_counter() - start
    print(f"training: {megabytes(texts) / seconds:.1f} MB/s to {len(tokenizer):,} ids")
    save_tokenizer(tokenizer, folder)
    return str(folder)


def megabytes(texts: list[str]) -> float:
    return sum(len(text.encode()) for text in texts) / 1e6


def compare(texts: list[str], tokenizer: str, repeats: int) -> None:
    """Print the rates of both libraries on the same texts, and whether their ids are the same."""
    start = time.perf_counter()
    fast = Encoder(tokenizer)
    print(
        f"the fast path is ready after {time.perf_counter() - start:.2f} s: {fast.engine} ({fast.reason or 'proven'})"
    )
    slow = Encoder(tokenizer, fast=False)
    same = all(np.array_equal(a, b) for a, b in zip(fast.encode_batch(texts), slow.encode_batch(texts), strict=True))
    size, ascii_ = megabytes(texts), sum(text.isascii() for text in texts)
    print(f"{len(texts):,} documents, {size:.1f} MB, {ascii_ / len(texts):.0%} plain ASCII; ids equal: {same}")
    stages: dict[str, Callable[[], object]] = {
        "tokenizers": lambda: slow.encode_batch(texts),
        fast.engine: lambda: fast.encode_batch(texts),
        "of that, the check of characters": lambda: [
            text.isascii() or Characters.known().agree(text) for text in texts
        ],
    }
    times: dict[str, list[float]] = {name: [] for name in stages}
    for _ in range(repeats):
        for name, stage in stages.items():
            start = time.process_time()
            stage()
            times[name].append(time.process_time() - start)
    for name, seconds in times.items():
        print(f"{name:<36}{size / statistics.median(seconds):>9.2f} MB per second of processor time")


def whole_build(texts: list[str], tokenizer: str, scratch: Path) -> None:
    """Print the rate of a build of these texts by one worker, from Parquet to Parquet."""
    (scratch / "source").mkdir()
    pq.write_table(pa.table({"text": texts}), scratch / "source/train-00000-of-00001.parquet", row_group_size=1024)
    corpus = find("tokens", [f"corpus={scratch / 'source'}", f"tokenizer={tokenizer}"])
    start = time.process_time(), time.perf_counter()
    build(corpus, scratch / "out", workers=1, overlap=False)
    spent, wall = time.process_time() - start[0], time.perf_counter() - start[1]
    size = megabytes(texts)
    print(f"{'whole build, one worker':<36}{size / spent:>9.2f} MB per second of processor time ({wall:.1f} s in all)")


if __name__ == "__main__":
    main()
