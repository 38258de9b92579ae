"""Measure how many sequences a second one loader worker makes: hubkit's batches, beside what torch users write.

    python scripts/bench/loader.py [--documents 4000] [--batch 64] [--steps 40] [--repeats 5]

The corpus is random ids in documents of about a thousand, in a file that is read through a memory map, as a trained
run reads it. A sequence is made when its batch is: int64 tensors of inputs and labels. The peers read the same tokens:
nanoGPT's `get_batch` (random slices of one `np.memmap`, a window at a time), and a `datasets` dataset of ready windows
with a collator that stacks them. All of it in this process and one thread, in turns; medians of the repeats.
"""

import argparse
import os
import tempfile
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path

os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")  # read when datasets is imported

import datasets
import numpy as np
import torch

from hubkit.data.batches import Batches, Source
from hubkit.data.encoding import IDS, LEARNT
from hubkit.data.objectives.base import Objective
from hubkit.data.objectives.causal import DIRECTION_TOKENS, CausalSpec
from hubkit.data.objectives.masked import MaskedSpec
from hubkit.data.reading import ReadingSpec
from hubkit.data.tokens import TokenRows
from hubkit.tokenizers.bpe import train_bpe
from machine import in_turns, print_machine

VOCABULARY = 320
Stages = dict[str, Callable[[], object]]


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how many sequences a second one loader worker makes.")
    parser.add_argument("--documents", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=64, help="sequences a step (default: %(default)s)")
    parser.add_argument("--steps", type=int, default=40, help="steps of a turn (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print_machine("torch", "numpy", "datasets", "pyarrow")
    with tempfile.TemporaryDirectory() as scratch:
        plain, marked, flat = corpora(Path(scratch), arguments.documents)
        print(f"{flat.size:,} tokens in {arguments.documents:,} documents, {arguments.batch} sequences a batch")
        stages: Stages = {}
        for length in (256, 1024):
            stages |= windows(plain, marked, length, arguments.batch, arguments.steps)
            stages |= peers(flat, length, arguments.batch, arguments.steps, Path(scratch))
        stages |= rows(plain, arguments.batch, arguments.steps)
        times = in_turns(list(stages.values()), arguments.repeats)
        made = arguments.steps * arguments.batch
        for name, seconds in zip(stages, times, strict=True):
            print(f"{name:<58}{made / seconds:>12,.0f} sequences/s")
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def corpora(folder: Path, documents: int) -> tuple[TokenRows, TokenRows, np.ndarray]:
    """Return random documents, the same with half of their tokens marked, and their tokens in one memory map."""
    random = np.random.default_rng(0)
    lengths = random.integers(500, 1500, documents)
    tokens = random.integers(1, VOCABULARY, lengths.sum(), dtype=np.uint16)
    pieces = np.split(tokens, lengths.cumsum()[:-1])
    kinds = {IDS: datasets.List(datasets.Value("uint16")), LEARNT: datasets.List(datasets.Value("uint8"))}
    marks = [np.arange(len(piece)) * 2 >= len(piece) for piece in pieces]
    whole = datasets.Dataset.from_dict({IDS: pieces, LEARNT: marks}, features=datasets.Features(kinds))
    whole.save_to_disk(folder / "documents")
    tokens.tofile(folder / "tokens.bin")
    stored = datasets.Dataset.load_from_disk(str(folder / "documents"))
    flat = np.memmap(folder / "tokens.bin", np.uint16, "r")
    return TokenRows(stored.select_columns([IDS])), TokenRows(stored), flat


def objective(direction: str) -> Objective:
    tokenizer = train_bpe(["a few words to begin with"], 300)
    tokenizer.add_special_tokens({"additional_special_tokens": list(DIRECTION_TOKENS.values())})
    return CausalSpec.model_validate({"direction": direction}).make(tokenizer)


def reading(batches: Batches, steps: int) -> Callable[[], object]:
    """Return what reads the next steps, the drawing of each epoch's order included; nothing is read twice in a row."""
    coming = count()
    return lambda: [batches[step] for step in islice(coming, steps)]


def windows(plain: TokenRows, marked: TokenRows, length: int, batch: int, steps: int) -> Stages:
    """Return hubkit's windows by what is asked of them."""

    def stage(direction: str, *given: TokenRows, isolate: bool = False) -> Callable[[], object]:
        asked = objective(direction)
        spec = ReadingSpec(form="windows", length=length, isolate=isolate)
        sources = [
            Source(f"source {number}", spec.make(each, asked.more, "documents"), number + 1.0)
            for number, each in enumerate(given)
        ]
        return reading(Batches(sources, asked, batch, 0), steps)

    name = f"hubkit, windows of {length}"
    return {
        f"{name}, forward": stage("forward", plain),
        f"{name}, backward": stage("backward", plain),
        f"{name}, both directions": stage("both", plain),
        f"{name}, half of it learnt": stage("forward", marked),
        f"{name}, documents kept apart": stage("forward", plain, isolate=True),
        f"{name}, a mixture of three": stage("forward", plain, plain, plain),
    }


def peers(flat: np.ndarray, length: int, batch: int, steps: int, folder: Path) -> Stages:
    """Return what others read: random slices of a memory map, and ready windows in a `datasets` dataset."""
    random = np.random.default_rng(0)
    ready = flat[: len(flat) // (length + 1) * (length + 1)].reshape(-1, length + 1)
    kinds = datasets.Features({IDS: datasets.List(datasets.Value("uint16"))})
    datasets.Dataset.from_dict({IDS: list(ready)}, features=kinds).save_to_disk(folder / f"windows-{length}")
    stored = datasets.Dataset.load_from_disk(str(folder / f"windows-{length}")).with_format("numpy")

    def sliced() -> dict[str, torch.Tensor]:
        starts = random.integers(0, len(flat) - length, batch)
        inputs = [torch.from_numpy(flat[start : start + length].astype(np.int64)) for start in starts]
        labels = [torch.from_numpy(flat[start + 1 : start + 1 + length].astype(np.int64)) for start in starts]
        return {"input_ids": torch.stack(inputs), "labels": torch.stack(labels)}

    def collated() -> dict[str, torch.Tensor]:
        samples = stored.__getitems__(random.integers(0, len(stored), batch).tolist())
        whole = torch.from_numpy(np.stack([sample[IDS] for sample in samples]).astype(np.int64))
        return {"input_ids": whole[:, :-1].contiguous(), "labels": whole[:, 1:].contiguous()}

    return {
        f"nanoGPT's slices of a memory map, {length}": lambda: [sliced() for _ in range(steps)],
        f"datasets and a collator, ready windows of {length}": lambda: [collated() for _ in range(steps)],
    }


def rows(plain: TokenRows, batch: int, steps: int) -> Stages:
    """Return whole documents, padded."""
    tokenizer = train_bpe(["a few words to begin with"], 300)
    tokenizer.add_special_tokens({"mask_token": "[MASK]", "pad_token": "[PAD]"})
    # The vocabulary must have all ids of the corpus.
    tokenizer.add_tokens([f"<{number}>" for number in range(VOCABULARY - len(tokenizer))])
    asked = {"causal": objective("forward"), "masked": MaskedSpec().make(tokenizer)}
    return {
        f"hubkit, whole documents, {name}": reading(
            Batches([Source("documents", ReadingSpec().make(plain, 0, "documents"))], each, batch, 0, 32), steps
        )
        for name, each in asked.items()
    }


if __name__ == "__main__":
    main()
