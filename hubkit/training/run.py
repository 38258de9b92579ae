"""A whole run: from a recipe to a model folder that can be published, with its lineage written down."""

import json
import os
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from hubkit.cores import usable_cores
from hubkit.errors import UserError
from hubkit.hub import Commit, load_rows, resolve
from hubkit.provenance import code_version, library_versions, platform_name, python_version
from hubkit.randomness import item_seed, stream_key
from hubkit.tokenizers import make_tokenizer, save_tokenizer, tokenizer_sha256
from hubkit.training.checkpoints import checkpoints
from hubkit.training.data import Batches, HeldOut
from hubkit.training.loop import Loop, Outcome, Progress
from hubkit.training.recipe import Recipe
from hubkit.training.tokens import TokenRows, tokenise

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LIBRARIES = ("accelerate", "datasets", "huggingface-hub", "numpy", "safetensors", "tokenizers", "torch", "transformers")


def train(recipe: Recipe, accelerator: Accelerator, progress: Progress) -> Path:
    """Train a recipe's model, go on from its newest checkpoint, or find that it is finished.

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
    identity, folder = recipe.identity(commit.revision), recipe.folder / "model"
    if recipe.resume and _is_finished(folder, recipe, identity):
        accelerator.end_training()
        return folder
    if not recipe.resume and accelerator.is_main_process:
        shutil.rmtree(recipe.folder / "checkpoints", ignore_errors=True)
    tokenizer = make_tokenizer(recipe.tokenizer)
    with accelerator.main_process_first():
        splits = _load(recipe, tokenizer, commit.revision)
    model = _make_model(recipe, tokenizer, splits, accelerator)
    parameters = sum(p.numel() for p in model.parameters())
    loop = _loop(recipe, model, tokenizer, splits, accelerator, identity, progress)
    _start_trackers(accelerator, recipe)
    outcome = loop.run(recipe.resume)
    trained = accelerator.unwrap_model(loop.model)
    # Closes the logs, before they are copied, and the group of processes: nobody waits for anybody from here on.
    accelerator.end_training()
    if accelerator.is_main_process:
        lineage = _lineage(recipe, identity, commit, tokenizer, splits, parameters, accelerator, outcome)
        _write(folder, recipe, trained, tokenizer, lineage, outcome)
    return folder


def make_accelerator(recipe: Recipe) -> Accelerator:
    """Return the accelerator of a run: device and processes from the launcher, precision and trackers from the recipe.

    Raises:
        UserError: A tracker is not installed, or the device can't train in the recipe's precision.
    """
    spec = recipe.training
    for tracker in spec.trackers:
        # accelerate would leave out what it can't import, without a word.
        if find_spec(tracker) is None:
            raise UserError(f"training.trackers: {tracker} is not installed; pip install {tracker}, or take it out")
    if spec.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; torch insists on it
        torch.use_deterministic_algorithms(True)
    precision = {"fp32": "no", "bf16": "bf16", "fp16": "fp16"}[spec.precision]
    log_with: Any = list(spec.trackers) or None
    try:
        accelerator = Accelerator(mixed_precision=precision, log_with=log_with, project_dir=recipe.folder / "runs")
    except ValueError as error:
        if spec.precision not in str(error):
            raise
        raise UserError(f"training.precision: {' '.join(str(error).split())} Set training.precision=fp32") from None
    # The launcher's configuration may name another number, and every loss would be divided by it.
    accelerator.gradient_accumulation_steps = 1
    if accelerator.device.type == "cpu":
        if spec.precision == "fp16":
            # accelerate would train in fp32, and the lineage would not be true.
            raise UserError("training.precision: fp16 needs a GPU; use fp32, or bf16 on a processor that is fast at it")
        # The launcher leaves one thread a process; share this machine's cores instead.
        neighbours = int(os.environ.get("LOCAL_WORLD_SIZE") or accelerator.num_processes)
        torch.set_num_threads(max(1, usable_cores() // neighbours))
    return accelerator


def _is_finished(folder: Path, recipe: Recipe, identity: str) -> bool:
    """Tell whether a model folder is what this recipe makes; then it keeps the lineage of the day it was made."""
    try:
        lineage = json.loads((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return False
    return lineage["recipe_sha256"] == identity and lineage["recipe"] == recipe.published()


def _load(recipe: Recipe, tokenizer: "PreTrainedTokenizerFast", revision: str) -> dict[str, TokenRows]:
    """Return the recipe's three splits as token ids; the test split counts for the model's length."""
    spec, splits = recipe.dataset, {}
    for split in dict.fromkeys((spec.train, spec.validation, spec.test)):
        rows = load_rows(spec.repo, revision, split, spec.config, (spec.column,))
        splits[split] = tokenise(rows, spec.column, tokenizer, spare=recipe.folder / "tokens")
    return splits


def _make_model(
    recipe: Recipe, tokenizer: "PreTrainedTokenizerFast", splits: dict[str, TokenRows], accelerator: Accelerator
) -> "PreTrainedModel":
    """Return the model with fresh weights, the same in each process; what follows, dropout, differs between them."""
    seed = recipe.training.seed
    set_seed(seed)
    model = recipe.model.make(tokenizer, longest=max(int(split.lengths.max()) for split in splits.values()))
    torch.manual_seed(item_seed(stream_key("dropout", seed), accelerator.process_index) >> 65)
    return model


def _loop(
    recipe: Recipe,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    splits: dict[str, TokenRows],
    accelerator: Accelerator,
    identity: str,
    progress: Progress,
) -> Loop:
    data, spec, objective = recipe.dataset, recipe.training, recipe.objective
    rank, processes = accelerator.process_index, accelerator.num_processes
    training = Batches(
        splits[data.train], objective, tokenizer, spec.batch_size, spec.seed, spec.length_pool, rank, processes
    )
    held_out = HeldOut(
        splits[data.validation], spec.evaluation_rows, objective, tokenizer, spec.batch_size // processes, spec.seed
    )
    return Loop(spec, model, training, held_out, accelerator, recipe.folder, identity, progress)


def _start_trackers(accelerator: Accelerator, recipe: Recipe) -> None:
    """Open the trackers, unless the training is done and would only add an empty log."""
    newest = [path.name for path in checkpoints(recipe.folder / "checkpoints")[-1:]]
    if newest != [f"step-{recipe.training.steps:08d}"]:
        accelerator.init_trackers(recipe.name)


def _lineage(
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
            "best_validation_loss": min(outcome.history.series("validation_loss")[1]),
        },
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _write(
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
