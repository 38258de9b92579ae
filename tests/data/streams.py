"""Small datasets in Parquet with row groups of every size, and what is read of them."""

import random
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.data.batches import Batches, Source
from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.parquet import ParquetSplit
from hubkit.data.pools import Stream
from hubkit.data.reading import ReadingSpec
from hubkit.data.sources import DatasetSpec
from hubkit.tokenizers import make_tokenizer

TOKENIZER = make_tokenizer("characters:AB")
OBJECTIVE = CausalSpec().make(TOKENIZER)
ROWS = ReadingSpec(length=32)
WINDOWS = ReadingSpec(form="windows", length=16)


def texts(count: int, seed: int = 0, longest: int = 30) -> list[str]:
    """Return different texts: each begins with its number in binary, an A for each 0 and a B for each 1."""
    draw = random.Random(seed)
    return [
        f"{number:012b}".replace("0", "A").replace("1", "B")
        + "".join(draw.choices("AB", k=draw.randint(1, longest - 12)))
        for number in range(count)
    ]


def write(folder: Path, counts: list[int], group_rows: int = 10, seed: int = 0) -> Path:
    """Write a dataset whose training split has files of so many rows, and small splits beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = texts(sum(counts), seed)
    starts = np.cumsum([0, *counts]).tolist()
    for number, (start, count) in enumerate(zip(starts, counts, strict=False)):
        # What nobody reads is most of the file, as it often is.
        made = {"text": rows[start : start + count], "more": [random.Random(n).randbytes(2000) for n in range(count)]}
        path = folder / f"train-{number:05d}-of-{len(counts):05d}.parquet"
        pq.write_table(pa.table(made), path, row_group_size=group_rows)
    for name in ("validation", "test"):
        pq.write_table(pa.table({"text": texts(20, seed + 1)}), folder / f"{name}.parquet")
    return folder


def stream(
    repo: str | Path, reading: ReadingSpec = WINDOWS, pool_rows: int = 50, revision: str = "", **fields
) -> Stream:
    """Return the stream of a dataset for a causal model."""
    spec = DatasetSpec(repo=str(repo), streaming=True, pool_rows=pool_rows, **fields)
    return spec.stream(revision, TOKENIZER, OBJECTIVE.framing, reading, OBJECTIVE.more)


def local_stream(folder: Path, reading: ReadingSpec, pool_rows: int) -> Stream:
    """Return the stream of files that nobody has to look for, which is quicker."""
    split = ParquetSplit("here", [str(path) for path in sorted(folder.glob("train-*"))], ["text"])
    return Stream("here", split, "text", TOKENIZER, OBJECTIVE.framing, reading, OBJECTIVE.more, pool_rows)


def batches(*sources: Stream | Source, size: int = 8, seed: int = 0, **options) -> Batches:
    """Return the batches of streams."""
    made = [one if isinstance(one, Source) else Source(one.name, one) for one in sources]
    return Batches(made, OBJECTIVE, size, seed, **options)
