"""A run of some steps, in this process or in one that can be killed: `python small_run.py FOLDER STEPS DIE_AT`."""

import hashlib
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from hubkit.corpora.registry import find
from hubkit.models.roberta import RobertaSpec
from hubkit.tokenizers import make_tokenizer
from hubkit.training.data import Batches, HeldOut
from hubkit.training.loop import Loop
from hubkit.training.objectives import MaskedSpec
from hubkit.training.recipe import TrainingSpec
from hubkit.training.tokens import tokenise

EVERY = 6
"""Steps between checkpoints."""
TRAINING = {
    "batch_size": 8,
    "learning_rate": 3e-3,
    "schedule": {"warmup_steps": 4},
    "log_every": 1,
    "evaluate_every": EVERY,
    "checkpoint_every": EVERY,
    "evaluation_rows": 16,
    "trackers": (),
}
SHAPE = RobertaSpec(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
"""With dropout, so that a run hangs on the state of torch's generator."""


def small_loop(
    folder: Path, steps: int, progress: Callable[[str, int, int], None] = lambda what, done, total: None, **changes: Any
) -> Loop:
    """Return a loop over a RoBERTa of one narrow layer on 96 worlds of ten steps; `changes` are fields of training."""
    torch.set_num_threads(1)
    spec = TrainingSpec.model_validate({"steps": steps} | TRAINING | changes)
    tokenizer, objective = make_tokenizer("lorenz"), MaskedSpec()
    worlds = find("lorenz-tiny").builder.block("train", 0, 96).rows["text"].to_pylist()
    tokens = tokenise(datasets.Dataset.from_dict({"text": worlds}), "text", tokenizer, folder)
    set_seed(0)
    model = SHAPE.make(tokenizer, int(tokens.lengths.max()))
    training = Batches(tokens, objective, tokenizer, spec.batch_size, seed=0)
    held_out = HeldOut(tokens, spec.evaluation_rows, objective, tokenizer, spec.batch_size, seed=0)
    return Loop(spec, model, training, held_out, Accelerator(cpu=True), folder, "recipe", progress)


def measured(loop: Loop) -> dict[str, Any]:
    """Run a loop and return its losses and the sha256 of its final weights."""
    history = loop.run().history
    weights = hashlib.sha256()
    for name, tensor in sorted(loop.model.state_dict().items()):
        weights.update(name.encode() + tensor.numpy().tobytes())
    losses = {name: history.series(f"{name}_loss") for name in ("train", "validation")}
    return losses | {"weights": weights.hexdigest()}


def main() -> None:
    folder, steps, die_at = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])

    def progress(what: str, done: int, total: int) -> None:
        if done == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    small_loop(folder, steps, progress).run()


if __name__ == "__main__":
    main()
