"""`hubkit evaluate`."""

from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, progress_bar, say, show, show_json
from hubkit.errors import UserError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("evaluate")(evaluate)


def evaluate(
    model: Annotated[str, typer.Argument(help="OWNER/NAME[@REVISION] on the Hub, or a model folder.")],
    metric: Annotated[
        list[str] | None,
        typer.Option(help="An evaluation by name; may be given several times (default: those of its recipe)."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Another dataset (default: the one of its lineage).")] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the model (default: newest).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Ask only about so many test rows or windows.")] = None,
    push: Annotated[bool, typer.Option("--push", help="Publish the result in the model's card.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Evaluate a model on its test split and compare it with the baseline.

    Evaluations: perplexity, exact_match (first wrong answers shown), mask_filling, number_recovery.
    """
    from hubkit.evaluation.run import add_evaluation, evaluate_model, write_evaluation
    from hubkit.evaluation.tables import evaluation_table
    from hubkit.prompting import find_model

    local = Path(model).is_dir()
    if local and push:
        raise UserError(f"--push: {model} is a folder; publish it with hubkit publish {model} OWNER/NAME")
    folder = find_model(model, revision)
    with progress_bar("rows") as progress:
        evaluation = evaluate_model(folder, dataset, limit=limit, progress=progress, names=metric or ())
    show_json(evaluation) if as_json else show(evaluation_table(evaluation))
    if push:
        from hubkit.publishing.evaluations import publish_evaluation

        release = publish_evaluation(folder, model.partition("@")[0], evaluation, progress=say)
        say(f"{release.url} at {release.commit[:12]}")
    if local and dataset is None and limit is None:
        (add_evaluation if metric else write_evaluation)(folder, evaluation)
        say(f"kept in {folder}, for its card")
    next_step(f"hubkit publish {model} OWNER/NAME" if local else f"hubkit space deploy OWNER/SPACE --model {model}")
