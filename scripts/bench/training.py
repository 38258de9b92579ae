"""Measure how fast a recipe trains in hubkit's loop, beside transformers' own Trainer, and what its loader costs.

    python scripts/bench/training.py [--recipe lorenz-tiny] [--rows 2000] [--steps 60] [--turns 5]

The same model, rows, batch size, precision and number of threads for both. The peer is `Trainer` with its
`DataCollatorForLanguageModeling`. They take turns of some steps each, in one process, and each number is the median of
the turns; the first step of a turn is not counted. Tokens are those of the rows: padding is work, and no result.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # as hubkit.train does; read when torch is imported

import datasets
import numpy as np
import torch
from accelerate import Accelerator
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedModel,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from hubkit.cores import usable_cores
from hubkit.corpora.registry import find
from hubkit.tokenizers import make_tokenizer
from hubkit.training.data import Batches, HeldOut
from hubkit.training.loop import Loop
from hubkit.training.recipe import Recipe, read_recipe
from hubkit.training.tokens import TokenRows, tokenise
from machine import print_machine


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast a recipe trains.")
    parser.add_argument("--recipe", default="lorenz-tiny")
    parser.add_argument("--corpus", default="lorenz-tiny", help="a named config; its first rows are drawn here")
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--steps", type=int, default=60, help="steps of a turn")
    parser.add_argument("--turns", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(usable_cores())
    datasets.disable_progress_bars()
    print_machine("accelerate", "datasets", "torch", "transformers")
    recipe = read_recipe(arguments.recipe)
    with tempfile.TemporaryDirectory() as folder:
        texts = find(arguments.corpus).builder.block("train", 0, arguments.rows).rows["text"].to_pylist()
        began = time.perf_counter()
        tokenizer = make_tokenizer(recipe.tokenizer)
        rows = tokenise(datasets.Dataset.from_dict({"text": texts}), "text", tokenizer, Path(folder))
        tokenising = time.perf_counter() - began
        measure(recipe, rows, Path(folder), arguments.steps, arguments.turns)
    print(f"tokenising: {rows.lengths.sum() / tokenising:,.0f} tokens a second, once a corpus and tokenizer")


def measure(recipe: Recipe, rows: TokenRows, folder: Path, steps: int, turns: int) -> None:
    """Print the table."""
    ways: dict[str, Callable[[], float]] = {
        "hubkit's loop": lambda: hubkit_step(recipe, rows, folder, steps),
        "transformers' Trainer (peer)": lambda: trainer_step(recipe, rows, folder, steps),
        "  hubkit's loader alone": lambda: loader_step(recipe, rows, steps),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            taken = way()
            if turn:  # the first warms up
                seconds[name].append(taken)
    tokens = recipe.training.batch_size * float(rows.lengths.mean())
    print(f"\n{'recipe ' + recipe.name:<34}{'ms a step':>12}{'min':>8}{'max':>8}{'tokens/s':>12}")
    medians = {name: statistics.median(taken) for name, taken in seconds.items()}
    for name, median in medians.items():
        spread = "".join(f"{1000 * edge(seconds[name]):>8.1f}" for edge in (min, max))
        print(f"{name:<34}{1000 * median:>12.1f}{spread}{tokens / median:>12,.0f}")
    ours, peer, loader = medians.values()
    print(f"loader's share of a step: {loader / ours:.1%}; peer's time a step: {peer / ours:.2f} of hubkit's")


def hubkit_step(recipe: Recipe, rows: TokenRows, folder: Path, steps: int) -> float:
    """Return the mean seconds of a step in the real loop, logging as the recipe does, without a checkpoint."""
    spec = recipe.training.model_copy(update={"steps": steps + 1, "evaluate_every": 10**9, "checkpoint_every": 10**9})
    tokenizer, times = make_tokenizer(recipe.tokenizer), []
    held_out = HeldOut(rows, 1, recipe.objective, tokenizer, 1, spec.seed)

    def progress(what: str, done: int, total: int) -> None:
        times.append(time.perf_counter())
        if done == steps:  # the last one also evaluates and saves
            raise StopIteration

    loop = Loop(spec, model_of(recipe, rows), batches(recipe, rows), held_out, Accelerator(), folder, "", progress)
    with suppress(StopIteration):
        loop.run(resume=False)
    return (times[-1] - times[0]) / (len(times) - 1)


def trainer_step(recipe: Recipe, rows: TokenRows, folder: Path, steps: int) -> float:
    """Return the mean seconds of a step in transformers' Trainer."""
    spec, times = recipe.training, []

    class Clock(TrainerCallback):
        def on_step_end(self, args, state, control, **others):
            times.append(time.perf_counter())

    settings = TrainingArguments(
        output_dir=str(folder / "trainer"), max_steps=steps, per_device_train_batch_size=spec.batch_size,
        learning_rate=spec.learning_rate, lr_scheduler_type=spec.schedule.name, warmup_steps=spec.schedule.warmup_steps,
        weight_decay=spec.weight_decay, max_grad_norm=spec.max_grad_norm, logging_steps=spec.log_every,
        dataloader_pin_memory=torch.cuda.is_available(),
        adam_beta1=spec.adam_betas[0], adam_beta2=spec.adam_betas[1], save_strategy="no", report_to="none",
        disable_tqdm=True, seed=spec.seed,
    )  # fmt: skip
    collator = DataCollatorForLanguageModeling(
        make_tokenizer(recipe.tokenizer), mlm_probability=recipe.objective.probability
    )
    data = datasets.Dataset.from_dict({"input_ids": [rows[row] for row in range(len(rows))]})
    trainer = Trainer(model_of(recipe, rows), settings, collator, data, callbacks=[Clock()])
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return (times[-1] - times[0]) / (len(times) - 1)


def loader_step(recipe: Recipe, rows: TokenRows, steps: int) -> float:
    """Return the mean seconds that a batch takes to be made."""
    made = batches(recipe, rows)
    made[0]
    began = time.perf_counter()
    for step in range(steps):
        made[step]
    return (time.perf_counter() - began) / steps


def batches(recipe: Recipe, rows: TokenRows) -> Batches:
    spec = recipe.training
    tokenizer = make_tokenizer(recipe.tokenizer)
    return Batches(rows, recipe.objective, tokenizer, spec.batch_size, spec.seed, spec.length_pool)


def model_of(recipe: Recipe, rows: TokenRows) -> PreTrainedModel:
    torch.manual_seed(0)
    return recipe.model.make(make_tokenizer(recipe.tokenizer), int(np.max(rows.lengths)))


if __name__ == "__main__":
    main()
