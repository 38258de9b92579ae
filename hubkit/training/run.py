"""A whole run: from a recipe to a model folder that can be published, with its lineage written down."""

import json
import os
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from hubkit.cores import keep_memory, usable_cores
from hubkit.data.batches import Batches, HeldOut
from hubkit.data.sources import recorded
from hubkit.errors import UserError
from hubkit.models.directed_generation import add_pipeline
from hubkit.models.streaming import context_length
from hubkit.provenance import code_version, library_versions, platform_name, python_version
from hubkit.randomness import item_seed, stream_key
from hubkit.tokenizers import save_tokenizer, tokenizer_sha256
from hubkit.training.checkpoints import checkpoints, step_of
from hubkit.training.loading import Data, Pins, find_pins, load_data
from hubkit.training.loop import Loop, Outcome, Progress
from hubkit.training.parallel import exchange, keep_precision
from hubkit.training.pinning import pinned
from hubkit.training.recipe import Recipe
from hubkit.training.snippets import Snippets
from hubkit.training.starting import find_weights, load_weights, local_weights, tokenizer_of
from hubkit.training.tracking import end_training, start_trackers

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

LIBRARIES = ("accelerate", "datasets", "huggingface-hub", "numpy", "safetensors", "tokenizers", "torch", "transformers")


def train(
    recipe: Recipe, accelerator: Accelerator, progress: Progress, say: Callable[[str], None] = lambda text: None
) -> Path:
    """Train a recipe's model, go on from its newest checkpoint, or find that it is finished.

    Args:
        recipe: What to train, on what, how.
        accelerator: From :func:`make_accelerator`.
        progress: Hears (what, done, total).
        say: Hears remarks for people.

    Returns:
        The model folder: weights, config, tokenizer, `recipe.json`, `run.json` (lineage), the curve and the logs.

    Raises:
        UserError: The dataset, the recipe or a checkpoint can't be used; the message names the field and the mend.
        Requeued: A scheduler wants the machine; the same command goes on.
    """
    say_what_is_left_out(accelerator, say)
    pins = find_pins(recipe)
    weights = local_weights(recipe.init_from, pins.init_from)
    revisions = pins.revisions | ({"init_from": weights} if weights else {})
    identity, folder = recipe.identity(revisions), recipe.folder / "model"
    if recipe.resume and recipe.further is None and _is_finished(folder, recipe, identity):
        end_training(accelerator)
        say("this recipe is trained already; to train it anew, set resume=false")
        return folder
    if not recipe.resume and accelerator.is_main_process:
        shutil.rmtree(recipe.folder / "checkpoints", ignore_errors=True)
    tokenizer = tokenizer_of(recipe, pins.tokenizer)
    with accelerator.main_process_first():
        data = load_data(recipe, tokenizer, pins)
    model, init_from = _make_model(recipe, tokenizer, data, pins, accelerator)
    parameters = sum(p.numel() for p in model.parameters())
    loop = _loop(recipe, revisions, model, tokenizer, data, accelerator, progress, say)
    if recipe.resume:
        _check_where_it_stopped(recipe, loop.steps, say)
    start_trackers(accelerator, recipe, loop.steps)
    outcome = loop.run(recipe.resume, recipe.further)
    say(_in_short(outcome))
    trained, weights = accelerator.unwrap_model(loop.model), loop.weights()
    # Closes the logs, before they are copied, and the group of processes: nobody waits for anybody from here on.
    end_training(accelerator)
    if accelerator.is_main_process:
        lineage = _lineage(recipe, identity, pins, tokenizer, data, parameters, init_from, accelerator, loop, outcome)
        _write(folder, recipe, pins, trained, weights, tokenizer, lineage, outcome)
    return folder


def _check_where_it_stopped(recipe: Recipe, steps: int, say: Callable[[str], None]) -> None:
    """Say which checkpoint a run goes on from, if there is one; refuse one with more steps behind it than the run has.

    Raises:
        UserError: The newest checkpoint lies beyond the last step.
    """
    found = checkpoints(recipe.folder / "checkpoints")
    if not found:
        return
    if step_of(found[-1]) > steps and recipe.further is None:
        raise UserError(
            f"training.steps: {found[-1]} has more steps behind it than {steps}; raise it, or give another "
            "output=FOLDER, or resume=false to start over"
        )
    say(f"reading {found[-1]}, to go on from there")


def _in_short(outcome: Outcome) -> str:
    """Return what a run came to, for people."""
    stopped = f"stopped at step {outcome.steps}: {outcome.stopped}\n" if outcome.stopped else ""
    kept = f"; the weights of step {outcome.kept_step} are kept" if outcome.kept_step != outcome.steps else ""
    return (
        f"{stopped}{outcome.steps:,} steps, {outcome.tokens:,} tokens: training loss {outcome.final_train_loss:.4f}, "
        f"validation loss {outcome.final_validation_loss:.4f} nats a token{kept}"
    )


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
    # Of bf16 the loop takes care where it can: accelerate's would turn every output into fp32, logits too.
    sharded = _sharing() is not None
    if sharded and spec.precision == "bf16_weights":
        raise UserError("training.precision: bf16_weights and sharded weights don't go together; use bf16")
    precision = {"fp16": "fp16", "bf16": "bf16" if sharded else "no"}.get(spec.precision, "no")
    log_with: Any = list(spec.trackers) or None
    together = int(os.environ.get("WORLD_SIZE") or 1)
    # Told nothing, accelerate has each of several processes without a GPU train by itself, into the same folder.
    cpu = together > 1 and not torch.accelerator.is_available()
    try:
        accelerator = Accelerator(
            cpu=cpu,
            mixed_precision=precision,
            log_with=log_with,
            project_dir=recipe.folder / "runs",
            kwargs_handlers=exchange(),
        )
    except ValueError as error:
        if spec.precision not in str(error):
            raise
        raise UserError(f"training.precision: {' '.join(str(error).split())} Set training.precision=fp32") from None
    if accelerator.num_processes != together:
        raise UserError(
            f"{together} processes were started and do not find each other; on CPUs set ACCELERATE_USE_CPU=true before "
            "the command"
        )
    keep_precision(accelerator)
    # The launcher's configuration may name another number, and every loss would be divided by it.
    accelerator.gradient_accumulation_steps = 1
    if accelerator.device.type == "cpu":
        keep_memory()
        if spec.precision == "fp16":
            # accelerate would train in fp32, and the lineage would not be true.
            raise UserError("training.precision: fp16 needs a GPU; use fp32, or bf16 on a processor that is fast at it")
        # The launcher leaves one thread a process; share this machine's cores instead.
        neighbours = int(os.environ.get("LOCAL_WORLD_SIZE") or accelerator.num_processes)
        torch.set_num_threads(max(1, usable_cores() // neighbours))
    return accelerator


def _sharing() -> str | None:
    """Return how the launcher would share a model out over processes: FSDP or DEEPSPEED; None if it wouldn't."""
    return next((name for name in ("FSDP", "DEEPSPEED") if os.environ.get(f"ACCELERATE_USE_{name}") == "true"), None)


def say_what_is_left_out(accelerator: Accelerator, say: Callable[[str], None]) -> None:
    """Say so where accelerate was to share the model out and doesn't: without GPUs it leaves that away in silence."""
    asked = _sharing()
    if asked is not None and accelerator.distributed_type.value != asked:
        say(
            f"{asked} is for GPUs, and there are none: each of the {accelerator.num_processes} processes holds the "
            "whole model, and the gradients are averaged"
        )


def _is_finished(folder: Path, recipe: Recipe, identity: str) -> bool:
    """Tell whether a model folder is what this recipe makes; then it keeps the lineage of the day it was made."""
    try:
        lineage = json.loads((folder / "run.json").read_bytes())
    except (OSError, ValueError):
        return False
    return lineage["recipe_sha256"] == identity and lineage["recipe"] == recipe.published()


def _make_model(
    recipe: Recipe, tokenizer: "PreTrainedTokenizerFast", data: Data, pins: Pins, accelerator: Accelerator
) -> tuple["PreTrainedModel", dict[str, Any] | None]:
    """Return the model, the same in each process, and what lineage says of the weights that it begins with.

    What follows, dropout, differs between the processes.
    """
    seed = recipe.training.seed
    set_seed(seed)
    model = recipe.model.make(tokenizer, data.longest)
    init_from = None
    if recipe.init_from is not None:
        with ExitStack() as found:
            with accelerator.main_process_first():
                folder, init_from = found.enter_context(find_weights(recipe.init_from, pins.init_from))
            load_weights(model, folder, recipe.init_from, added=len(recipe.added_tokens))
    for name, value in recipe.objective.recorded(tokenizer).items():
        setattr(model.config, name, value)
    torch.manual_seed(item_seed(stream_key("dropout", seed), accelerator.process_index) >> 65)
    return model, init_from


def _loop(
    recipe: Recipe,
    revisions: dict[str, str],
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    data: Data,
    accelerator: Accelerator,
    progress: Progress,
    say: Callable[[str], None],
) -> Loop:
    spec, processes = recipe.training, accelerator.num_processes
    training = Batches(
        data.training, data.objective, spec.batch_size, spec.seed, spec.length_pool, accelerator.process_index,
        processes, spec.micro_batch_size,
    )  # fmt: skip
    size = training.micro_batch_size
    held_out = {
        name: HeldOut(sequences, spec.evaluation_rows, data.objective, size, spec.seed)
        for name, sequences in data.validation.items()
    }
    snippets = None
    if spec.snippet_every and recipe.objective.kind == "causal":
        snippets = Snippets(tokenizer, data.validation["validation"], recipe.objective)
    decisive = recipe.decisive(revisions)
    return Loop(spec, model, training, held_out, accelerator, recipe.folder, decisive, progress, say, snippets)


def _lineage(
    recipe: Recipe,
    identity: str,
    pins: Pins,
    tokenizer: "PreTrainedTokenizerFast",
    data: Data,
    parameters: int,
    init_from: dict[str, Any] | None,
    accelerator: Accelerator,
    loop: Loop,
    outcome: Outcome,
) -> dict[str, Any]:
    """Return `run.json`: what the model came from, by commit."""
    read = loop.training.counts(outcome.steps)
    named: dict[str, Any] = {"name": recipe.published()["tokenizer"]} if pins.tokenizer is None else {
        "name": pins.tokenizer.repo, "revision": pins.tokenizer.revision
    }  # fmt: skip
    return {
        "format": 1,
        "name": recipe.name,
        "architecture": recipe.model.architecture,
        "parameters": parameters,
        "recipe": recipe.published(),
        "recipe_sha256": identity,
        "datasets": [recorded(pin) | {"splits": rows} for pin, rows in zip(pins.datasets, data.rows, strict=True)],
        "also_evaluate": {name: recorded(pin) for name, pin in pins.evaluated.items()},
        "tokenizer": named | {"sha256": tokenizer_sha256(tokenizer)},
        "init_from": init_from,
        "direction": getattr(recipe.objective, "direction", "forward"),
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
            "kept_step": outcome.kept_step,
            "stopped": outcome.stopped,
            "epochs": round(loop.training.epochs(outcome.steps), 2),
            "sequences": read,
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
    pins: Pins,
    model: "PreTrainedModel",
    weights: dict[str, torch.Tensor],
    tokenizer: "PreTrainedTokenizerFast",
    lineage: dict[str, Any],
    outcome: Outcome,
) -> None:
    """Write the model folder beside its final name, then swap it in."""
    unfinished = folder.with_name(f".{folder.name}.tmp")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    limit = context_length(model.config)
    if limit is not None:
        # RoBERTa counts positions from pad_token_id + 1, whatever that id is.
        first = model.config.pad_token_id + 1 if "roberta" in model.config.model_type else 0
        tokenizer.model_max_length = limit - first
    model.save_pretrained(unfinished, state_dict=weights)
    save_tokenizer(tokenizer, unfinished)
    if recipe.objective.kind == "causal":
        add_pipeline(unfinished)
    (unfinished / "recipe.json").write_text(json.dumps(pinned(recipe, pins), indent=1) + "\n")
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
