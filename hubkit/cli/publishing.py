"""`hubkit publish`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, say, show, show_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("publish")(publish)


def publish(
    folder: Annotated[Path, typer.Argument(help="A corpus, a model or a Space.")],
    repo: Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish a folder as a tagged release: one commit, verified, then the tag. Safe to repeat."""
    from hubkit.publishing import apply, plan

    made = plan(folder, repo, private=private)
    again = f"hubkit publish {shlex.quote(str(folder))} {repo}{' --private' if private else ''}"
    if dry_run:
        show_json(made.to_json()) if as_json else show(made.render())
        next_step(again)
        return
    release = apply(made, progress=say)
    if as_json:
        show_json(release.to_json())
    else:
        show(f"{release.url} {release.tag or f'{release.version}, nothing to release'} at {release.commit[:12]}")
    next_step(_FOLLOWING[release.kind].format(repo=repo, version=f"v{release.version}"))


_FOLLOWING = {
    "corpus": """python -c 'from datasets import load_dataset; print(load_dataset("{repo}", revision="{version}"))'""",
    "model": "hubkit evaluate {repo}",
    "space": "hubkit space run {repo}",
}
