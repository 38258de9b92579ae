"""A run of some steps in a process of its own, which can be killed: `python small_run.py FOLDER STEPS [DIE_AT]`.

Prints one JSON line: the training losses by step, the validation losses, and the sha256 of the final weights.
"""

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

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


def small_loop(folder: Path, steps: int, progress=lambda what, done, total: None, **changes) -> Loop:
    """Return a loop over a RoBERTa of one narrow layer, with dropout, on 96 worlds of ten steps."""
    torch.set_num_threads(1)
    tokenizer = make_tokenizer("lorenz")
    rows = datasets.Dataset.from_dict(
        {"text": find("lorenz-tiny").builder.block("train", 0, 96).rows["text"].to_pylist()}
    )
    tokens = tokenise(rows, "text", tokenizer, folder)
    # The schedule is that of the whole run, so that a shorter one is its beginning.
    values = {"steps": steps, "batch_size": 8, "learning_rate": 3e-3, "schedule": {"warmup_steps": 4}}
    values |= {
        "log_every": 1,
        "evaluate_every": EVERY,
        "checkpoint_every": EVERY,
        "evaluation_rows": 16,
        "trackers": (),
    }
    spec = TrainingSpec.model_validate(values | changes)
    set_seed(0)
    shape = RobertaSpec(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2)
    model = shape.make(tokenizer, int(tokens.lengths.max()))
    objective = MaskedSpec()
    training = Batches(tokens, objective, tokenizer, spec.batch_size, seed=0)
    held_out = HeldOut(tokens, spec.evaluation_rows, objective, tokenizer, spec.batch_size, seed=0)
    return Loop(spec, model, training, held_out, Accelerator(cpu=True), folder, "recipe", progress)


def main() -> None:
    folder, steps = Path(sys.argv[1]), int(sys.argv[2])
    die_at = int(sys.argv[3]) if len(sys.argv) > 3 else None

    def progress(what: str, done: int, total: int) -> None:
        if done == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    loop = small_loop(folder, steps, progress)
    history = loop.run().history
    weights = hashlib.sha256()
    for name, tensor in sorted(loop.model.state_dict().items()):
        weights.update(name.encode() + tensor.numpy().tobytes())
    losses = {"train": history.series("train_loss")[1], "validation": history.series("validation_loss")[1]}
    print(json.dumps(losses | {"weights": weights.hexdigest()}))


if __name__ == "__main__":
    main()
