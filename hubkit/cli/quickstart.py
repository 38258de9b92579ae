"""`hubkit quickstart`."""

import time
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, progress_bar, say, show


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("quickstart")(quickstart)


def quickstart(
    folder: Annotated[Path, typer.Option("--folder", help="Where everything is made.")] = Path("runs/quickstart"),
    root: Annotated[Path | None, typer.Option(help="The hub's folder (default: the user's own hub).")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Leave Hub and Space running until Ctrl-C.")] = False,
    brief: Annotated[
        bool,
        typer.Option("--brief", help="Train a few steps only: the same chain sooner, with models that know little."),
    ] = False,
) -> None:
    """From nothing to published corpora, models trained on them and a demo, on the embedded Hub, in some minutes."""
    from hubkit.evaluation.tables import evaluation_table
    from hubkit.quickstart import quickstart as run

    began = time.perf_counter()

    def wait(url: str) -> None:
        show(f"the demo is at {url}; Ctrl-C stops Hub and Space")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("stopping")

    with progress_bar("rows") as progress:
        result = run(folder, root, say, progress, wait if serve else None, brief)
    for evaluation in result.evaluations:
        show(f"{evaluation_table(evaluation)}\n")
    for kind, url in result.urls:
        show(f"{kind:<8}{url}")
    say(f"done in {time.perf_counter() - began:.0f} s; Hub and Space are stopped")
    for shortfall in result.falls_short:
        say(f"hubkit: {shortfall}")
    if result.falls_short:
        raise typer.Exit(1)
    next_step(f"hubkit quickstart {'--brief ' if brief else ''}--serve, and open the demo")
