"""Measure how fast hubkit's loop trains each architecture, with peers of the same size beside it.

    python scripts/bench/training.py [CASE …] [--steps 30] [--turns 3] [--alone]

hubkit's figure is of the real loop: batches read from windows over a long row of tokens, forward, backward, clipping,
fused AdamW, schedule, a log every ten steps. A peer's is of a plain loop of forward, backward, clipping and the same
AdamW over batches that lie on the device already, smaller ones where its memory is too small. They take turns; a figure
is the median of the turns, and the first steps of a turn, in which things are compiled, are not counted. MFU is of the
device's dense 16-bit peak. `wait` is the share of hubkit's time in which it waited for the loader.

With no CASE, those that suit the device: the large ones want a GPU of 80 GB. For several GPUs, each with a batch as
large as one alone, without peers:

    accelerate launch --config_file scripts/accelerate/ddp.yaml --num_processes 2 scripts/bench/training.py gpt2-124m
"""

# ruff: noqa: E402
import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, NamedTuple

from hubkit.cores import calm_threads, keep_memory, usable_cores

calm_threads()  # before torch, which reads what it sets

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from pydantic import TypeAdapter

from hubkit.data.batches import Batches, HeldOut, Source
from hubkit.data.objectives import ObjectiveSpec
from hubkit.data.reading import Windows
from hubkit.data.tokens import Sample
from hubkit.models import ModelSpec
from hubkit.training.loop import Loop
from hubkit.training.parallel import exchange
from hubkit.training.recipe import TrainingSpec
from hubkit.training.throughput import flops_per_token, peak_flops
from machine import print_machine

TOKENS = 20_000_000
LOG = 10
LENGTHS = 864, 2840
"""Tokens of rows that are about as long as Lorenz worlds: the fewest, and one more than the most."""
RANK, PROCESSES = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))


class Case(NamedTuple):
    """A model, what it reads, and who runs beside it."""

    model: Mapping[str, Any]
    vocabulary: int
    length: int
    batch: int
    peers: tuple[str, ...]
    objective: Mapping[str, Any] = {"name": "causal"}
    precision: Literal["fp32", "bf16", "bf16_weights"] = "bf16"
    compile: bool = True
    rows: bool = False
    """Whether it reads rows of several lengths, of `length` tokens in the mean, instead of windows of that length."""


def gpt2(precision: Literal["bf16", "bf16_weights"] = "bf16", peers: tuple[str, ...] = (), **fields: Any) -> Case:
    model = {"architecture": "minigpt", "size": "gpt2", "block_size": 1024, **fields}
    return Case(model, 50304, 1024, 64, peers, precision=precision)


def recurrent(cell: str, batch: int = 180, precision: Literal["bf16", "bf16_weights"] = "bf16") -> Case:
    model = {"architecture": "recurrent", "cell": cell, "hidden_size": 768, "num_hidden_layers": 3}
    return Case(model, 50304, 256, batch, (), precision=precision)


def small(vocabulary: int, objective: str = "causal", **model: Any) -> Case:
    return Case(model, vocabulary, 128, 8, ("transformers eager",), {"name": objective}, "fp32", compile=False)


TRANSFORMERS = ("transformers compiled", "transformers eager")
LARGE = {
    "gpt2-124m": gpt2(peers=(*TRANSFORMERS, "written-out fp32")),
    "gpt2-124m, bf16 weights": gpt2("bf16_weights"),
    "gpt2-124m, rope swiglu rms": gpt2(position="rope", mlp="swiglu", norm="rmsnorm"),
    "roberta-720": Case(
        {"architecture": "roberta", "max_length": 2048}, 142, 2048, 32, TRANSFORMERS, {"name": "masked"}
    ),
    "roberta-720, rows of 864 to 2839": Case(
        {"architecture": "roberta", "max_length": LENGTHS[1]},
        142,
        sum(LENGTHS) // 2,
        32,
        ("transformers eager",),
        {"name": "masked"},
        rows=True,
    ),
    "pythia-14m": Case({"architecture": "gpt_neox", "size": "pythia-14m"}, 50304, 1024, 64, TRANSFORMERS),
    "gru-768x3": recurrent("gru"),
    "gru-768x3, bf16 weights": recurrent("gru", 360, "bf16_weights"),
    "lstm-768x3": recurrent("lstm"),
    "lstm-768x3, bf16 weights": recurrent("lstm", 360, "bf16_weights"),
}
NARROW: dict[str, Any] = {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4}
SMALL = {
    "gpt-mini": small(4096, architecture="minigpt", size="mini"),
    "pythia-tiny": small(4096, architecture="gpt_neox", **NARROW),
    "roberta-small": small(142, "masked", architecture="roberta", intermediate_size=512, **NARROW),
}
CASES = LARGE | SMALL


class Vocabulary:
    """A tokenizer as far as models and objectives ask: so many ids, the last ones special."""

    def __init__(self, size: int):
        self.bos_token_id, self.eos_token_id, self.pad_token_id, self.mask_token_id = range(size - 4, size)
        self.all_special_ids = list(range(size - 4, size))
        self._size = size

    def __len__(self) -> int:
        return self._size

    def get_vocab(self) -> dict[str, int]:
        return {}


class OneRow:
    """One long row of tokens, as skewed as words are."""

    def __init__(self, vocabulary: int):
        drawn = np.random.default_rng(0).zipf(1.2, TOKENS)
        self.tokens = (drawn % (vocabulary - 4)).astype(np.uint16)
        self.starts, self.lengths = np.array([0, TOKENS]), np.array([TOKENS])

    def span(self, begin: int, end: int) -> Sample:
        return Sample(self.tokens[begin:end])


class CutRows:
    """The same tokens as rows by themselves, of lengths about as those of Lorenz worlds."""

    def __init__(self, row: OneRow):
        drawn = np.random.default_rng(0).integers(*LENGTHS, TOKENS // LENGTHS[1])
        self._row, self._ends, self.lengths = row, drawn.cumsum(), drawn

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, number: int) -> Sample:
        end = self._ends[number]
        return self._row.span(end - self.lengths[number], end)._replace(whole=True)


class Figures(NamedTuple):
    """What was measured in one turn."""

    speed: float
    """Tokens a second, padding left out."""
    seconds: float
    """Of a step."""
    batch: int
    """Sequences a step."""
    memory: float = 0.0
    """GiB at most."""
    waiting: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast each architecture trains.")
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}")
    parser.add_argument("--steps", type=int, default=30, help="steps of a turn that count, 10 or more")
    parser.add_argument("--turns", type=int, default=None, help="default: 3 on a CPU, 1 on a GPU")
    parser.add_argument("--alone", action="store_true", help="without peers")
    arguments = parser.parse_args()
    gpu = torch.cuda.is_available()
    if RANK == 0:
        print_machine("accelerate", "torch", "transformers")
        if gpu:
            print(f"{PROCESSES} × {torch.cuda.get_device_name(0)}")
        print(f"\n{'':<44}{'tokens/s':>12}{'ms a step':>11}{'MFU':>8}{'GiB':>7}{'wait':>8}")
    for name in arguments.cases or (LARGE if gpu else SMALL):
        peers = PROCESSES == 1 and not arguments.alone
        measure(name, CASES[name], max(LOG, arguments.steps), arguments.turns or (1 if gpu else 3), peers)
    if PROCESSES > 1:
        torch.distributed.destroy_process_group()  # else one waits for the other when they end


def measure(name: str, case: Case, steps: int, turns: int, peers: bool) -> None:
    """Print the rows of a case."""
    ways = [name, *(case.peers if peers else ())]
    taken: dict[str, list[Figures]] = {way: [] for way in ways}
    for _ in range(turns):
        for way in ways:
            taken[way].append(apart(name, way, steps))
    if RANK:
        return
    flops = flops_per_token(model_of(case), case.length) / PROCESSES
    peak = peak_flops(torch.cuda.get_device_name(0)) if torch.cuda.is_available() else None
    for way, figures in taken.items():
        speed = statistics.median(figure.speed for figure in figures)
        seconds = statistics.median(figure.seconds for figure in figures)
        label = way if way == name else f"  {way}"
        label = label if figures[0].batch == case.batch * PROCESSES else f"{label}, batch {figures[0].batch}"
        mfu = f"{speed * flops / peak:>8.1%}" if peak else f"{'':>8}"
        memory = f"{figures[0].memory:>7.1f}" if figures[0].memory else f"{'':>7}"
        waiting = f"{figures[0].waiting:>8.1%}" if figures[0].waiting is not None else ""
        print(f"{label:<44}{speed:>12,.0f}{1000 * seconds:>11.1f}{mfu}{memory}{waiting}", flush=True)


def apart(name: str, way: str, steps: int) -> Figures:
    """Run a turn, without a GPU in a process of its own: hubkit's tells the C library to keep memory, for all there."""
    if torch.cuda.is_available() or PROCESSES > 1:
        return turn(name, way, steps)
    with ProcessPoolExecutor(1, get_context("spawn")) as alone:
        return alone.submit(turn, name, way, steps).result()


def turn(name: str, way: str, steps: int) -> Figures:
    """Run hubkit's loop, or that of a peer."""
    torch.set_num_threads(usable_cores())
    case = CASES[name]
    row = OneRow(case.vocabulary)
    return hubkit_turn(case, row, steps) if way == name else peer_turn(case, row, steps, way)


def model_of(case: Case) -> Any:
    torch.manual_seed(0)
    spec: Any = TypeAdapter(ModelSpec).validate_python(case.model)
    return spec.make(Vocabulary(case.vocabulary), LENGTHS[1] if case.rows else case.length)


def batches_of(case: Case, row: Any) -> tuple[Batches, HeldOut]:
    """Return what this process reads."""
    spec: Any = TypeAdapter(ObjectiveSpec).validate_python(case.objective)
    objective = spec.make(Vocabulary(case.vocabulary))
    windows = Windows(row, case.length + objective.more, case.length, False, "tokens")
    sequences: Any = CutRows(row) if case.rows else windows
    source, held_out = Source("tokens", sequences), HeldOut(sequences, 1, objective, 1, 0)
    pool = TrainingSpec.model_fields["length_pool"].default
    training = Batches([source], objective, case.batch * PROCESSES, 0, pool, rank=RANK, processes=PROCESSES)
    return training, held_out


def hubkit_turn(case: Case, row: OneRow, steps: int) -> Figures:
    """Run the real loop."""
    fresh()
    if not torch.cuda.is_available():
        keep_memory()
    spec = TrainingSpec(
        steps=steps + 2 * LOG + 1, batch_size=case.batch * PROCESSES, learning_rate=6e-4, weight_decay=0.1,
        adam_betas=(0.9, 0.95), precision=case.precision, compile=case.compile, log_every=LOG, evaluate_every=10**9,
        checkpoint_every=10**9, trackers=(), loader_workers=2 if torch.cuda.is_available() else 0,
    )  # fmt: skip
    times: list[tuple[float, int]] = []

    class Enough(Exception):
        pass

    def progress(what: str, done: int, total: int) -> None:
        if done % LOG == 0:  # the loop has just waited for the device
            times.append((time.perf_counter(), loop.tokens))
        if done == total - 1:
            raise Enough

    training, held_out = batches_of(case, row)
    with tempfile.TemporaryDirectory() as folder:
        processes = Accelerator(kwargs_handlers=exchange())
        loop = Loop(spec, model_of(case), training, {"validation": held_out}, processes, Path(folder), {}, progress)
        with suppress(Enough):
            loop.run(resume=False)
    (began, before), (ended, after) = times[1], times[-1]
    each = (ended - began) / (len(times) - 2) / LOG
    return Figures(
        (after - before) / (ended - began), each, case.batch * PROCESSES, memory(), loop.throughput.waiting_share
    )


def peer_turn(case: Case, row: OneRow, steps: int, peer: str) -> Figures:
    """Run a plain loop around a peer's model, with half the batch where the memory is too small, and so on."""
    try:
        fresh()
        return plain_loop(case, row, steps, peer)
    except torch.OutOfMemoryError:
        if case.batch == 1:
            raise
    return peer_turn(case._replace(batch=case.batch // 2), row, steps, peer)


def plain_loop(case: Case, row: OneRow, steps: int, peer: str) -> Figures:
    """Measure a plain loop around a peer's model."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = peer_model(case, peer).to(device).train()
    narrow = case.precision != "fp32" and "fp32" not in peer
    if "compiled" in peer:
        model.compile()
    optimizer = torch.optim.AdamW(model.parameters(), lr=6e-4, betas=(0.9, 0.95), weight_decay=0.1, fused=True)
    training, _ = batches_of(case, row)
    batches = [{name: t.to(device) for name, t in training[step][0].items()} for step in range(LOG)]
    began, tokens = 0.0, 0
    steps = max(4, steps // 4) if "fp32" in peer else steps
    for step in range(-LOG, steps):
        if step == 0:
            wait()
            began = time.perf_counter()
        with torch.autocast(device, torch.bfloat16, enabled=narrow):
            loss = model(**batches[step % LOG]).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        tokens += training.tokens(step % LOG) if step >= 0 else 0
    wait()
    seconds = time.perf_counter() - began
    return Figures(tokens / seconds, seconds / steps, case.batch, memory())


def peer_model(case: Case, peer: str) -> Any:
    """Return the model of a peer, transformers' own; `written-out` attends step by step, as minGPT does."""
    if case.model["architecture"] != "minigpt":
        return model_of(case)  # the architecture is transformers' own
    from transformers import GPT2Config, GPT2LMHeadModel

    ours = model_of(case).config
    attention = "eager" if "written-out" in peer else "sdpa"
    config = GPT2Config(
        vocab_size=case.vocabulary, n_positions=ours.block_size, n_embd=ours.n_embd, n_layer=ours.n_layer,
        n_head=ours.n_head, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
        bos_token_id=None, eos_token_id=None, use_cache=False,
    )  # fmt: skip
    config._attn_implementation = attention
    return GPT2LMHeadModel(config)


def fresh() -> None:
    """Forget what the turn before left."""
    torch._dynamo.reset()
    AcceleratorState._reset_state(reset_partial_state=True)
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def memory() -> float:
    return torch.cuda.max_memory_allocated() / 2**30 if torch.cuda.is_available() else 0.0


if __name__ == "__main__":
    main()
