"""Checkpoints that are complete or absent: written under another name, then renamed; the newest complete one is used."""

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.files import write_atomic

if TYPE_CHECKING:
    from accelerate import Accelerator

_NAME = re.compile(r"step-(\d{8})")


def save_checkpoint(accelerator: "Accelerator", folder: Path, step: int, state: dict[str, Any], keep: int) -> None:
    """Write everything that the rest of the run depends on, and drop all but the newest `keep` checkpoints.

    Args:
        accelerator: Holds model, optimizer, schedule and random number generators.
        folder: The run's folder of checkpoints.
        step: Optimizer steps done.
        state: What the loop wants back: identity of the recipe, history.
        keep: How many to keep.
    """
    final = folder / f"step-{step:08d}"
    unfinished = folder / f".step-{step:08d}.tmp"
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(unfinished))
    accelerator.wait_for_everyone()
    if accelerator.is_main_process:
        write_atomic(unfinished / "state.json", json.dumps({"step": step} | state))
        shutil.rmtree(final, ignore_errors=True)
        unfinished.rename(final)
        for old in checkpoints(folder)[:-keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def checkpoints(folder: Path) -> list[Path]:
    """Return the complete checkpoints, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and (path / "state.json").is_file())


def load_checkpoint(accelerator: "Accelerator", folder: Path, recipe_sha256: str) -> dict[str, Any] | None:
    """Restore the newest checkpoint of a run.

    Returns:
        Its state (`step`, and what was saved with it), or None where there is no checkpoint.

    Raises:
        UserError: It belongs to another recipe, or can't be read; never a silent fresh start.
    """
    found = checkpoints(folder)
    if not found:
        return None
    newest = found[-1]
    state = json.loads((newest / "state.json").read_text())
    if state["recipe_sha256"] != recipe_sha256:
        raise UserError(
            f"{newest} belongs to another recipe; give the same recipe and overrides, another output=FOLDER, "
            "or resume=false to start over"
        )
    try:
        accelerator.load_state(str(newest))
    except (RuntimeError, OSError, ValueError, KeyError) as error:
        raise UserError(f"can't read the checkpoint {newest}: {error}; delete it to go on from the one before") from error
    return state
