"""A whole run: from a recipe to a model folder that can be published, with its lineage written down."""

import json
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from hubkit.hub import Commit, load_rows, resolve
from hubkit.provenance import code_version, library_versions, platform_name, python_version
from hubkit.specs import canonical_json
from hubkit.tokenizers import make_tokenizer, save_tokenizer, tokenizer_sha256
from hubkit.training.checkpoints import checkpoints
from hubkit.training.data import Batches, TokenRows, tokenise
from hubkit.training.loop import Loop, Outcome, Progress
from hubkit.training.recipe import Recipe

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LIBRARIES = ("accelerate", "datasets", "huggingface-hub", "numpy", "safetensors", "tokenizers", "torch", "transformers")


def train(recipe: Recipe, accelerator: Accelerator, progress: Progress) -> Path:
    """Train a recipe's model, or go on from its newest checkpoint.

    Args:
        recipe: What to train, on what, how.
        accelerator: From :func:`make_accelerator`.
        progress: Hears (what, done, total).

    Returns:
        The model folder: weights, config, tokenizer, `recipe.json`, `run.json` (lineage), the curve and the logs.

    Raises:
        UserError: The dataset, the recipe or a checkpoint can't be used; the message names the field and the mend.
    """
    commit = resolve(recipe.dataset.repo, recipe.dataset.revision)
    identity = recipe.identity(commit.revision)
    if not recipe.resume and accelerator.is_main_process:
        shutil.rmtree(recipe.folder / "checkpoints", ignore_errors=True)
    tokenizer = make_tokenizer(recipe.tokenizer)
    with accelerator.main_process_first():
        splits = _load(recipe, tokenizer, commit.revision)
    set_seed(recipe.training.seed)
    longest = max(int(split.lengths.max()) for split in splits.values())
    model = recipe.model.make(tokenizer, longest)
    parameters = sum(p.numel() for p in model.parameters())
    loop = _loop(recipe, model, tokenizer, splits, accelerator, identity, progress)
    _start_trackers(accelerator, recipe)
    outcome = loop.run(recipe.resume)
    accelerator.end_training()
    folder = recipe.folder / "model"
    if accelerator.is_main_process:
        trained = accelerator.unwrap_model(loop.model)
        lineage = _lineage(recipe, identity, commit, tokenizer, splits, parameters, accelerator, outcome)
        _write(folder, recipe, trained, tokenizer, lineage, outcome)
    accelerator.wait_for_everyone()
    return folder


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return the accelerator of a run: device and processes from the launcher, precision and trackers from the recipe."""
    precision = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[recipe.training.precision]
    log_with: list[Any] = list(recipe.training.trackers)
    accelerator = Accelerator(mixed_precision=precision, log_with=log_with, project_dir=recipe.folder / "runs")
    if accelerator.device.type == "cpu":
        # The launcher leaves one thread a process; share this machine's cores instead.
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // accelerator.num_processes))
    return accelerator


def _load(recipe: Recipe, tokenizer: "PreTrainedTokenizerFast", revision: str) -> dict[str, TokenRows]:
    """Return the recipe's three splits as token ids; the test split counts for the model's length."""
    spec = recipe.dataset
    return {
        split: tokenise(load_rows(spec.repo, revision, split, spec.config, (spec.column,)), spec.column, tokenizer)
        for split in dict.fromkeys((spec.train, spec.validation, spec.test))
    }


def _loop(  # noqa: PLR0913
    recipe: Recipe,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    splits: dict[str, TokenRows],
    accelerator: Accelerator,
    identity: str,
    progress: Progress,
) -> Loop:
    spec = recipe.training
    rank, processes = accelerator.process_index, accelerator.num_processes
    training = Batches(
        splits[recipe.dataset.train], recipe.objective, tokenizer, spec.batch_size, spec.seed, rank, processes
    )
    held_out = splits[recipe.dataset.validation].first(spec.evaluation_rows)
    validation = Batches(held_out, recipe.objective, tokenizer, spec.batch_size, spec.seed, shuffle=False)
    return Loop(spec, model, training, validation, accelerator, recipe.folder, identity, progress)


def _start_trackers(accelerator: Accelerator, recipe: Recipe) -> None:
    """Open the trackers, unless the run is finished and would only add an empty log."""
    newest = [path.name for path in checkpoints(recipe.folder / "checkpoints")[-1:]]
    if newest != [f"step-{recipe.training.steps:08d}"]:
        accelerator.init_trackers(recipe.name)


def _lineage(  # noqa: PLR0913
    recipe: Recipe,
    identity: str,
    commit: Commit,
    tokenizer: "PreTrainedTokenizerFast",
    splits: dict[str, TokenRows],
    parameters: int,
    accelerator: Accelerator,
    outcome: Outcome,
) -> dict[str, Any]:
    """Return `run.json`: what the model came from, by commit."""
    rows = {split: len(tokens) for split, tokens in splits.items()}
    validation = [loss for loss in outcome.history.series("validation_loss")[1]]
    return {
        "format": 1,
        "name": recipe.name,
        "architecture": recipe.model.architecture,
        "parameters": parameters,
        "recipe": recipe.published(),
        "recipe_sha256": identity,
        "datasets": [{"repo": commit.repo, "revision": commit.revision, "release": commit.release, "splits": rows}],
        "tokenizer": {"name": recipe.tokenizer, "sha256": tokenizer_sha256(tokenizer)},
        "init_from": None,
        "direction": "forward",
        "code": code_version(),
        "environment": {
            "python": python_version(),
            "platform": platform_name(),
            "device": _device_name(accelerator.device),
            "processes": accelerator.num_processes,
            "libraries": library_versions(LIBRARIES),
        },
        "training": {
            "steps": outcome.steps,
            "epochs": round(outcome.steps * recipe.training.batch_size / rows[recipe.dataset.train], 2),
            "tokens": outcome.tokens,
            "seconds": round(outcome.seconds, 1),
            "final_train_loss": outcome.final_train_loss,
            "final_validation_loss": outcome.final_validation_loss,
            "best_validation_loss": float(np.min(validation)),
        },
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _write(  # noqa: PLR0913
    folder: Path,
    recipe: Recipe,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    lineage: dict[str, Any],
    outcome: Outcome,
) -> None:
    """Write the model folder beside its final name, then swap it in."""
    unfinished = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    tokenizer.model_max_length = model.config.max_position_embeddings - tokenizer.pad_token_id - 1
    model.save_pretrained(unfinished)
    save_tokenizer(tokenizer, unfinished)
    (unfinished / "recipe.json").write_text(json.dumps(recipe.published(), indent=1) + "\n")
    (unfinished / "run.json").write_text(json.dumps(lineage, indent=1) + "\n")
    outcome.history.write(unfinished, recipe.name)
    _copy_logs(recipe.folder / "runs", unfinished / "runs")
    shutil.rmtree(folder, ignore_errors=True)
    unfinished.rename(folder)


def _copy_logs(source: Path, target: Path) -> None:
    """Copy TensorBoard's event files under names that don't tell the machine's."""
    for number, path in enumerate(sorted(source.rglob("events.out.tfevents.*"))):
        target.mkdir(exist_ok=True)
        shutil.copyfile(path, target / f"events.out.tfevents.{number}")
