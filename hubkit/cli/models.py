"""`hubkit train` and `hubkit evaluate`."""

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, progress_bar, say, show, show_json
from hubkit.errors import UserError


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
    raise typer.Exit(_launch(["-m", "hubkit.train", recipe, *(overrides or ())]))


def _launch(arguments: Sequence[str]) -> int:
    """Do what `accelerate launch` does, without its tracebacks; return the exit status of what it ran."""
    from accelerate.commands.launch import launch_command, launch_command_parser
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    # Ctrl-C reaches the training processes as well: they say what there is to say, and this one waits for them.
    before = signal.signal(signal.SIGINT, lambda *_: None)
    try:
        launch_command(launch_command_parser().parse_args(arguments))
    except subprocess.CalledProcessError as error:
        status = error.returncode
    except ChildFailedError as error:
        status = error.get_first_failure()[1].exitcode
    except SignalException as error:
        status = -error.sigval
    else:
        status = 0
    finally:
        signal.signal(signal.SIGINT, before)
    return status if status >= 0 else 128 - status


def evaluate(
    model: Annotated[str, typer.Argument(help="A model on the Hub, or a model folder.")],
    dataset: Annotated[str | None, typer.Option(help="Another dataset [default: the one of its lineage].")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the model [default: newest].")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only about so many test rows.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Publish the result in the model's card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a model on its test split and compare it with the baseline."""
    from hubkit.evaluation.run import evaluate_model, write_evaluation
    from hubkit.hub import fetch_model, resolve
    from hubkit.train import evaluation_table

    folder, local = Path(model), Path(model).is_dir()
    if local and push:
        raise UserError(f"--push: {model} is a folder; publish it with hubkit publish {model} OWNER/NAME")
    if not local:
        folder = fetch_model(model, resolve(model, revision, "model").revision)
    with progress_bar("rows") as progress:
        evaluation = evaluate_model(folder, dataset, limit=limit, progress=progress)
    show_json(evaluation) if as_json else show(evaluation_table(evaluation))
    if push:
        from hubkit.publishing.evaluations import publish_evaluation

        release = publish_evaluation(folder, model, evaluation)
        say(f"{release.url} at {release.commit[:12]}")
    if local and dataset is None and limit is None:
        write_evaluation(folder, evaluation)
        say(f"kept in {folder}, for its card")
    next_step(f"hubkit publish {model} OWNER/NAME" if local else f"hubkit space deploy OWNER/SPACE --model {model}")
