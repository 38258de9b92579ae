"""Checkpoints that are complete or absent: written under another name, then renamed; the newest one is used."""

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.files import write_atomic

if TYPE_CHECKING:
    import torch
    from accelerate import Accelerator

STATE = "state.json"
_BEST = "best-{:08d}.safetensors"
"""Weights of the best evaluation so far, among the checkpoints; each of these names its own."""
_NAME = re.compile(r"step-(\d{8,})")
_TELLING = ("architecture", "name")
"""Fields from which others of their group follow."""
_LONGEST_SHOWN = 80  # characters of a group or a list that a message repeats


def save_checkpoint(
    accelerator: "Accelerator", folder: Path, step: int, state: dict[str, Any], keep: int, backup: int | None = None
) -> None:
    """Write everything that the rest of the run depends on, and drop all but the newest `keep` checkpoints.

    Args:
        accelerator: Holds model, optimizer, schedule and random number generators.
        folder: The run's folder of checkpoints; where processes run on several machines, they share it.
        step: Optimizer steps done.
        state: What the loop wants back: plain data, with all that decides the losses as `recipe`.
        keep: How many to keep.
        backup: Those at multiples of so many steps are kept too; None keeps no more.

    Raises:
        UserError: The disk is full, or can't be written to; earlier checkpoints are left as they were.
    """
    final = folder / f"step-{step:08d}"
    unfinished = folder / f".step-{step:08d}.tmp"
    accelerator.wait_for_everyone()
    try:
        if accelerator.is_main_process:
            _sweep(folder)
            unfinished.mkdir(parents=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(unfinished))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            members = {"step": step, "processes": accelerator.num_processes} | state
            write_atomic(unfinished / STATE, json.dumps(members))
            unfinished.rename(final)
            for old in checkpoints(folder)[:-keep]:
                if not backup or step_of(old) % backup:
                    shutil.rmtree(old)
            _sweep_best(folder)
    except (OSError, RuntimeError) as error:  # torch's writer raises RuntimeError where the disk is full
        said = " ".join(str(error).split())
        raise UserError(
            f"can't write the checkpoint {final}: {said}; {_free(folder)} are free there. Free some space, and the "
            "same command goes on from the checkpoint before, which is as it was"
        ) from error
    accelerator.wait_for_everyone()


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted((path for path in folder.iterdir() if _NAME.fullmatch(path.name)), key=step_of)


def _free(folder: Path) -> str:
    """Return how much room there is on the disk of a folder that may not be there yet."""
    there = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return f"{shutil.disk_usage(there).free / 1e6:,.1f} MB"


def step_of(path: Path) -> int:
    """Return how many optimizer steps a checkpoint has behind it."""
    match = _NAME.fullmatch(path.name)
    assert match
    return int(match[1])


def load_checkpoint(accelerator: "Accelerator", folder: Path, recipe: Mapping[str, Any]) -> dict[str, Any] | None:
    """Restore the newest checkpoint of a run.

    Args:
        accelerator: Takes it up.
        folder: The run's folder of checkpoints.
        recipe: All that decides the losses, as :meth:`hubkit.training.recipe.Recipe.decisive` gives it.

    Returns:
        Its state (`step`, and what was saved with it), or None where there is no checkpoint.

    Raises:
        UserError: It belongs to another recipe, and in which field; or it can't be read. Never a silent fresh start.
    """
    found = checkpoints(folder)
    if not found:
        return None
    newest = found[-1]
    try:
        state = json.loads((newest / STATE).read_bytes())
        difference = _difference(state["recipe"], recipe)
        if difference is None:
            _load(accelerator, newest, state["processes"])
    # json, safetensors, torch and pickle each have errors of their own for a damaged file.
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        mend = "delete it to go on from the one before" if len(found) > 1 else "delete it to start over"
        raise UserError(f"can't read the checkpoint {newest} ({said}); {mend}") from error
    if difference is not None:
        raise UserError(
            f"{newest} belongs to another recipe: {difference}; give the same, another output=FOLDER, "
            "or resume=false to start over"
        )
    return state


def _difference(theirs: Any, ours: Any, field: str = "") -> str | None:
    """Return the first field in which a checkpoint's recipe differs from another one, with both values, or None."""
    # What is in one of them alone counts as null there.
    if theirs == ours:
        return None
    if isinstance(theirs, Mapping) and isinstance(ours, Mapping):
        names = sorted(dict.fromkeys((*ours, *theirs)), key=lambda name: name not in _TELLING)
        inner = [(name, theirs.get(name), ours.get(name)) for name in names]
    elif isinstance(theirs, list) and isinstance(ours, list) and len(theirs) == len(ours):
        inner = [(str(number), *pair) for number, pair in enumerate(zip(theirs, ours, strict=True))]
    else:
        named = f"the revision of {field.removeprefix('revisions.')}" if field.startswith("revisions.") else field
        return f"{named or 'recipe'}: the checkpoint has {_shown(theirs)}, the recipe {_shown(ours)}"
    found = (_difference(their, our, f"{field}.{name}" if field else name) for name, their, our in inner)
    return next(filter(None, found), None)


def _shown(value: Any) -> str:
    if isinstance(value, str):  # whole, because of two paths or hashes the ends may differ
        return value
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "…"


def save_best(accelerator: "Accelerator", model: Any, folder: Path, step: int) -> None:
    """Keep a model's weights as the best so far; those before go with the last checkpoint that names them.

    Args:
        accelerator: Of the run.
        model: Prepared; every process gives its share.
        folder: The run's folder of checkpoints.
        step: Optimizer steps done.

    Raises:
        UserError: The disk is full, or can't be written to; those before are left as they were.
    """
    from safetensors.torch import save

    weights: dict[str, Any] = accelerator.get_state_dict(model)
    if not accelerator.is_main_process:
        return
    path = folder / _BEST.format(step)
    # Tied weights share their memory, which a file of safetensors can't say: each gets its own.
    whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in weights.items()}
    try:
        write_atomic(path, save(whole))
    except OSError as error:
        raise UserError(
            f"can't write {path}: {error}; {_free(folder)} are free there. Free some space, the same command goes on"
        ) from error


def best_weights(folder: Path, step: int) -> "dict[str, torch.Tensor]":
    """Return what :func:`save_best` kept at a step.

    Raises:
        UserError: It is not there any more, or can't be read.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / _BEST.format(step)
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise UserError(
            f"training.keep: can't read the best weights {path} ({error}); set training.keep=last, or resume=false to "
            "start over"
        ) from None


def _load(accelerator: "Accelerator", checkpoint: Path, processes: int) -> None:
    """Restore everything; accelerate would pass over random states that it can't read."""
    from accelerate.utils import load

    if processes == accelerator.num_processes:
        load(checkpoint / f"random_states_{accelerator.process_index}.pkl")
    accelerator.load_state(str(checkpoint))


def _sweep(folder: Path) -> None:
    """Remove what killed processes left half-written."""
    for path in folder.glob(".step-*.tmp"):
        shutil.rmtree(path)


def _sweep_best(folder: Path) -> None:
    """Remove best weights that no checkpoint names."""
    states = [json.loads((checkpoint / STATE).read_bytes()) for checkpoint in checkpoints(folder)]
    named = {_BEST.format(state["best"]["step"]) for state in states}
    for path in folder.glob("best-*.safetensors"):
        if path.name not in named:
            path.unlink()
