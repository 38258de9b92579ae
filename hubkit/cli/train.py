"""`hubkit train`."""

from typing import Annotated

import typer


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("train")(train)


def train(
    recipe: Annotated[str, typer.Argument(help="Name or path of a recipe.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]…", help="Change fields.")] = None,
) -> None:
    """Train, evaluate and publish a recipe, in as many processes as `accelerate config` or the GPUs say.

    Exit status 75: a scheduler wants the machine, a checkpoint is written, and the same command goes on.
    """
    from hubkit.training.recipe import read_recipe

    read_recipe(recipe, overrides or ())
    # Read and checked before the slow imports: a typing error costs no waiting.
    from hubkit.train import leaving, main

    with leaving():
        from hubkit.training.launching import launch

        status = launch("hubkit.train", main, [recipe, *(overrides or ())])
    raise typer.Exit(status)
