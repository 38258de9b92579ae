"""Train a recipe, evaluate and publish: `accelerate launch scripts/train.py RECIPE [key=value …]`.

From an installed wheel: `accelerate launch -m hubkit.train RECIPE [key=value …]`, or `hubkit train RECIPE`. One GPU,
eight GPUs or a cluster: the launcher decides, the line stays. Exit status 75: a scheduler has sent SIGTERM or SIGUSR1,
and the same command goes on from the last step (`accelerate launch` does not hand it on; `hubkit train` does). Training
knows nothing of publishing; this script composes them.
"""

import atexit
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from hubkit.cli.output import next_step, progress_bar, say, set_up_libraries, show
from hubkit.errors import UserError
from hubkit.evaluation.tables import evaluation_table

if TYPE_CHECKING:
    from hubkit.training.recipe import Recipe

USAGE = "usage: accelerate launch scripts/train.py RECIPE [key=value …]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    set_up_libraries()
    if not arguments or arguments[0] in ("-h", "--help"):
        show(f"{USAGE}\n\n{__doc__}")
        return 0 if arguments else 2
    rank = os.environ.get("RANK", "0")
    try:
        with leaving():
            return run(arguments[0], arguments[1:])
    except UserError as error:
        say(f"hubkit: {error}" if rank == "0" else f"hubkit (process {rank}): {error}")
        return 1
    except SystemExit as ended:  # a signal before the training or after it: see `leaving`
        return int(ended.code or 0)
    except KeyboardInterrupt:
        if rank == "0":
            say("hubkit: interrupted; the same command goes on from the newest checkpoint")
        return 130


def leave(status: int) -> NoReturn:
    """End a process that runs nothing but this script.

    One of several that ends before the others leaves threads of torch's behind that wait for them. Where Python takes
    such threads down the process aborts now and then, and its status with it, so they are left to the system.
    """
    if status and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        atexit._run_exitfuncs()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # nobody reads it any more; the status counts all the same
                stream.flush()
        os._exit(status)
    sys.exit(status)


@contextmanager
def leaving() -> Iterator[None]:
    """Inside ``with``, a signal to end asks a scheduler to start the run again.

    That is right before the training and after it, where nothing that lasts is half done; during it, the loop listens.
    """
    from hubkit.training.stopping import EX_TEMPFAIL, Interruption

    def requeue(number: int, _: object) -> None:
        sys.exit(EX_TEMPFAIL)

    with Interruption(requeue):
        yield


def run(target: str, overrides: Sequence[str]) -> int:
    """Train, evaluate and publish one recipe.

    Args:
        target: Name or path of a recipe.
        overrides: Assignments such as ``training.steps=100``.

    Returns:
        The exit status: 0, or that which asks a scheduler to start the run again.

    Raises:
        UserError: Something that the user can mend.
    """
    from hubkit.evaluation.run import check_evaluations
    from hubkit.training.recipe import read_recipe

    # Read and checked before the slow imports: a typing error costs no waiting.
    recipe = read_recipe(target, overrides)
    check_evaluations(recipe.published())
    from hubkit.hub import check_token
    from hubkit.training.loop import Requeued
    from hubkit.training.run import make_accelerator, train
    from hubkit.training.stopping import EX_TEMPFAIL
    from hubkit.training.tracking import end_training

    accelerator = make_accelerator(recipe)
    if recipe.publish_to is not None:
        check_token(recipe.publish_to)
    main = accelerator.is_main_process
    try:
        with progress_bar("steps") if main else nullcontext(_silent) as progress:
            folder = train(recipe, accelerator, progress, say if main else _mute)
    except Requeued as interruption:
        end_training(accelerator)
        if main:
            say(f"hubkit: {interruption}")
        return EX_TEMPFAIL
    if main:
        _evaluate(recipe, folder)
        _publish(recipe, folder)
    return 0


def _evaluate(recipe: "Recipe", folder: Path) -> None:
    from hubkit.evaluation.run import EVALUATION, evaluate_model, read_evaluation, write_evaluation

    if not recipe.evaluations:
        return
    # The folder is replaced as a whole after a training, so what lies in it is of this model.
    if not (folder / EVALUATION).is_file():
        with progress_bar("rows") as progress:
            write_evaluation(folder, evaluate_model(folder, progress=progress))
    show(evaluation_table(read_evaluation(folder)))


def _publish(recipe: "Recipe", folder: Path) -> None:
    if recipe.publish_to is None:
        say(f"the model is in {folder}")
        next_step(f"hubkit publish {folder} ORG/{recipe.name} --dry-run")
        return
    from hubkit.publishing import plan, publish

    release = publish(partial(plan, folder, recipe.publish_to, private=recipe.private), progress=say)
    show(f"{release.url} {release.tag or f'{release.version}, nothing to release'} at {release.commit[:12]}")
    next_step(f"hubkit space deploy OWNER/SPACE --model {recipe.publish_to}")


def _mute(text: str) -> None:
    pass


def _silent(what: str, done: int, total: int) -> None:
    pass


if __name__ == "__main__":
    leave(main())
