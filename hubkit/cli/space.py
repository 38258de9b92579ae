"""`hubkit space …`: the demo."""

import tempfile
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, say, show

app = typer.Typer(help="The demo Space: a page that shows a published model.", no_args_is_help=True)


@app.command()
def deploy(
    repo: Annotated[str, typer.Argument(metavar="OWNER/SPACE", help="Repository of the Space.")],
    model: Annotated[
        list[str], typer.Option(metavar="OWNER/NAME[@REVISION]", help="Model that it shows; twice to show two.")
    ],
    title: Annotated[str | None, typer.Option(help="Title of the page.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
) -> None:
    """Publish a Space that shows models at pinned commits: one that fills masks, one that generates, or both."""
    from hubkit.demo import compose_space
    from hubkit.publishing import plan, publish

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "space"
        compose_space(model, folder, title)
        make = partial(plan, folder, repo, private=private)
        if dry_run:
            show(make().render())
            return
        release = publish(make, progress=say)
    show(f"{release.url} {release.tag or release.version} at {release.commit[:12]}")
    next_step(f"hubkit space run {repo}")


@app.command()
def run(
    space: Annotated[str, typer.Argument(metavar="OWNER/SPACE|FOLDER", help="A Space on the Hub, or a folder.")],
    revision: Annotated[str | None, typer.Option(help="Revision of the Space (default: newest).")] = None,
    port: Annotated[int | None, typer.Option(help="Port on 127.0.0.1 (default: 7860, or a free one).")] = None,
) -> None:
    """Serve a Space on this machine until Ctrl-C or SIGTERM. This runs the Space's own code."""
    from hubkit.demo import RunningSpace, fetch_space

    try:
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(space) if Path(space).is_dir() else fetch_space(space, Path(temporary) / "space", revision)
            with RunningSpace(folder, port) as running:
                show(running.url)
                say("Ctrl-C stops it")
                raise typer.Exit(running.wait())
    except KeyboardInterrupt:  # at whatever moment: it is how one ends a server
        say("stopped")
