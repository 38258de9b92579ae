"""`hubkit train` and `hubkit evaluate`."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, progress_bar, say, show, show_json


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("train")(train)
    app.command("evaluate")(evaluate)


def train(
    recipe: Annotated[str, typer.Argument(help="Name or path of a recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Change fields.")] = None,
) -> None:
    """Train, evaluate and publish a recipe: `accelerate launch -m hubkit.train RECIPE [key=value …]`."""
    from hubkit.training.recipe import read_recipe

    read_recipe(recipe, overrides or ())
    launch = ["-m", "accelerate.commands.launch", "--quiet"]
    command = [sys.executable, *launch, "-m", "hubkit.train", recipe, *(overrides or ())]
    raise typer.Exit(subprocess.run(command).returncode)


def evaluate(
    model: Annotated[str, typer.Argument(help="A model on the Hub, or a model folder.")],
    dataset: Annotated[str | None, typer.Option(help="Another dataset [default: the one of its lineage].")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the model [default: newest].")] = None,
    limit: Annotated[int | None, typer.Option(help="Ask only about so many test rows.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Publish the result in the model's card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a model on its test split and compare it with the baseline."""
    from hubkit.evaluation.run import evaluate_model
    from hubkit.hub import fetch_model, resolve
    from hubkit.train import evaluation_table

    folder = Path(model)
    if not folder.is_dir():
        folder = fetch_model(model, resolve(model, revision, "model").revision)
    with progress_bar("rows") as progress:
        evaluation = evaluate_model(folder, dataset, limit=limit, progress=progress)
    show_json(evaluation) if as_json else show(evaluation_table(evaluation))
    if push:
        from hubkit.publishing.evaluations import publish_evaluation

        release = publish_evaluation(folder, model, evaluation)
        say(f"{release.url} at {release.commit[:12]}")
    next_step(f"hubkit space deploy OWNER/SPACE --model {model}")
