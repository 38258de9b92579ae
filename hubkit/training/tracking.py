"""The trackers of a run: each sees one run of its own, however often ours is resumed, and none writes on stdout."""

import secrets
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.training.checkpoints import checkpoints

if TYPE_CHECKING:
    from accelerate import Accelerator

    from hubkit.training.recipe import Recipe

NAME = "tracked_as"
"""File in the folder of logs with the name that the trackers know the run by."""


def start_trackers(accelerator: "Accelerator", recipe: "Recipe", steps: int) -> None:
    """Open the trackers of a recipe, unless the training is done and would only add an empty log.

    Steps between a checkpoint and a kill are logged twice, with the same losses.

    Args:
        accelerator: From :func:`hubkit.training.run.make_accelerator`, which names the trackers.
        recipe: Of the run; wandb and trackio get it as it is published.
        steps: Of the run.

    Raises:
        UserError: wandb has neither a login nor leave to stay offline, or can't be reached.
    """
    found = [path.name for path in checkpoints(recipe.folder / "checkpoints")[-1:]]
    if found == [f"step-{steps:08d}"] and not recipe.further:
        return
    options: dict[str, Any] = {}
    if accelerator.is_main_process and {"wandb", "trackio"} & {*recipe.training.trackers}:
        name = _name(recipe, resumed=bool(found))
        shared = {"name": name, "resume": "allow", "config": recipe.published()}
        options = {"wandb": shared | {"id": name}, "trackio": shared}
    try:
        with redirect_stdout(sys.stderr):
            accelerator.init_trackers(recipe.name, init_kwargs=options)
    except Exception as error:
        if not type(error).__module__.startswith("wandb."):
            raise
        said = " ".join(str(error).split())
        raise UserError(
            f"training.trackers: wandb: {said} Or set WANDB_MODE=offline, or take wandb out of the recipe"
        ) from None


def end_training(accelerator: "Accelerator") -> None:
    """Close the trackers and the group of processes."""
    with redirect_stdout(sys.stderr):
        if accelerator.is_main_process and any(tracker.name == "trackio" for tracker in accelerator.trackers):
            import trackio  # pyright: ignore[reportMissingImports]

            trackio.finish()  # which accelerate leaves to the end of the process, and then it says so once more
        accelerator.end_training()


def _name(recipe: "Recipe", resumed: bool) -> str:
    """Return what the trackers call the run: the name that it had before it was resumed, or a new one."""
    path: Path = recipe.folder / "runs" / NAME
    if resumed and path.is_file():
        return path.read_text().strip()
    name = f"{recipe.name}-{secrets.token_hex(4)}"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomic(path, f"{name}\n")
    return name
