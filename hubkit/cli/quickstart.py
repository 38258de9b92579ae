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
    root: Annotated[Path | None, typer.Option(help="The hub's folder [default: the user's own hub].")] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Leave Hub and Space running until Ctrl-C.")] = False,
) -> None:
    """From nothing to a published corpus, a model trained on it and a demo, on the embedded Hub, in some minutes."""
    from hubkit.quickstart import quickstart as run
    from hubkit.train import evaluation_table

    began = time.perf_counter()

    def wait(url: str) -> None:
        show(f"the demo is at {url}; Ctrl-C stops Hub and Space")
        try:
            while True:
                time.sleep(3600)
        except KeyboardInterrupt:
            say("stopping")

    with progress_bar("rows") as progress:
        result = run(folder, root, say, progress, wait if serve else None)
    show(evaluation_table(result.evaluation))
    show(f"corpus  {result.corpus}\nmodel   {result.model}\nSpace   {result.space}")
    say(f"done in {time.perf_counter() - began:.0f} s; Hub and Space are stopped")
    if not result.beats_baseline:
        say("hubkit: the model does not beat the baseline")
        raise typer.Exit(1)
    next_step("hubkit quickstart --serve, and open the demo")
