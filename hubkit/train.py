"""Train a recipe, evaluate and publish: `accelerate launch scripts/train.py RECIPE [key=value …]`.

From an installed wheel: `accelerate launch -m hubkit.train RECIPE [key=value …]`. One GPU, eight GPUs or a cluster: the
launcher decides, the line stays. Training knows nothing of publishing; this script composes them.
"""

import os
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.cli.output import next_step, progress_bar, quiet_libraries, say, show
from hubkit.errors import UserError

if TYPE_CHECKING:
    from hubkit.training.recipe import Recipe

USAGE = "usage: accelerate launch scripts/train.py RECIPE [key=value …]"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; returns its exit status."""
    arguments = sys.argv[1:] if arguments is None else arguments
    quiet_libraries()
    # OpenMP's threads spin while they wait, which starves them of each other on a shared or busy machine (five times
    # slower on two cores with one other process). Read when torch is loaded, so it must be said before.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not arguments or arguments[0] in ("-h", "--help"):
        show(f"{USAGE}\n\n{__doc__}")
        return 0 if arguments else 2
    rank = os.environ.get("RANK", "0")
    try:
        run(arguments[0], arguments[1:])
    except UserError as error:
        say(f"hubkit: {error}" if rank == "0" else f"hubkit (process {rank}): {error}")
        return 1
    except KeyboardInterrupt:
        if rank == "0":
            say("hubkit: interrupted; the same command goes on from the newest checkpoint")
        return 130
    return 0


def run(target: str, overrides: Sequence[str]) -> None:
    """Train, evaluate and publish one recipe.

    Args:
        target: Name or path of a recipe.
        overrides: Assignments such as ``training.steps=100``.

    Raises:
        UserError: Something that the user can mend.
    """
    from hubkit.training.recipe import read_recipe

    recipe = read_recipe(target, overrides)
    # Read and checked before the slow imports: a typing error costs no waiting.
    from hubkit.hub import check_token
    from hubkit.training.run import make_accelerator, train

    accelerator = make_accelerator(recipe)
    if recipe.publish_to is not None:
        check_token(recipe.publish_to)
    with progress_bar("steps") if accelerator.is_main_process else nullcontext(_silent) as progress:
        folder = train(recipe, accelerator, progress)
    if accelerator.is_main_process:
        _evaluate(recipe, folder)
        _publish(recipe, folder)


def _evaluate(recipe: "Recipe", folder: Path) -> None:
    from hubkit.evaluation.run import EVALUATION, evaluate_model, read_evaluation, write_evaluation

    if not recipe.evaluations:
        return
    # The folder is replaced as a whole after a training, so what lies in it is of this model.
    if not (folder / EVALUATION).is_file():
        with progress_bar("rows") as progress:
            write_evaluation(folder, evaluate_model(folder, progress=progress))
    show(evaluation_table(read_evaluation(folder)))


def evaluation_table(evaluation: dict) -> str:
    """Return the results of an evaluation as a table for people."""
    lines, remarks = [f"{'':<34}{'':<28}{'model':>9}{'baseline':>10}"], []
    for result in evaluation["results"]:
        name = result["task"]["name"]
        for metric in result["metrics"]:
            lines.append(f"{name:<34}{metric['name']:<28}{metric['value']:>9.4f}{metric['baseline']:>10.4f}")
        strong = [f"{m['name']} {m['strong_baseline']:.4f}" for m in result["metrics"] if "strong_baseline" in m]
        if strong:
            remarks.append(f"{name}, {result['strong_baseline']}: {', '.join(strong)}")
    asked = evaluation["results"][0]
    skipped = f" ({asked['skipped']:,} others hold no plain number there)" if asked["skipped"] else ""
    data = asked["dataset"]
    rows = f"{asked['rows']:,} rows{skipped} of {data['repo']} {data['split']} at {data['revision'][:12]}"
    return "\n".join([*lines, *remarks, rows])


def _publish(recipe: "Recipe", folder: Path) -> None:
    if recipe.publish_to is None:
        say(f"the model is in {folder}")
        next_step(f"hubkit publish {folder} ORG/{recipe.name} --dry-run")
        return
    from hubkit.publishing import apply, plan

    release = apply(plan(folder, recipe.publish_to, private=recipe.private), progress=say)
    show(f"{release.url} {release.tag or f'{release.version}, nothing to release'} at {release.commit[:12]}")
    next_step(f"hubkit space deploy OWNER/SPACE --model {recipe.publish_to}")


def _silent(what: str, done: int, total: int) -> None:
    pass


if __name__ == "__main__":
    sys.exit(main())
