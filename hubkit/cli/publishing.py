"""`hubkit publish`."""

import shlex
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubkit.cli.output import next_step, say, show, show_json
from hubkit.errors import UserError

if TYPE_CHECKING:
    from hubkit.publishing import Release


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("publish")(publish)


def publish(
    folder: Annotated[
        Path, typer.Argument(help="A corpus, a tokenizer, a model or a Space; or a project's .yaml, which names them.")
    ],
    repo: Annotated[
        str | None, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub; a project names its own.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    create_pr: Annotated[
        bool, typer.Option("--create-pr", help="Open a pull request, for a repository that somebody else owns.")
    ] = False,
    private: Annotated[bool, typer.Option("--private", help="Create the repository as a private one.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Publish a folder as a tagged release: one commit, verified, then the tag. Safe to repeat."""
    from hubkit.publishing import plan
    from hubkit.publishing import publish as publish_plan

    if folder.suffix in (".yaml", ".yml") and folder.is_file():
        if repo or private or create_pr:
            given = "OWNER/NAME" if repo else "--private" if private else "--create-pr"
            raise UserError(f"{given} is for a single folder; {folder} says itself what goes where")
        _publish_project(folder, dry_run, as_json)
        return
    if repo is None:
        raise UserError(f"the repository is missing: hubkit publish {shlex.quote(str(folder))} OWNER/NAME")
    make = partial(plan, folder, repo, private=private, create_pr=create_pr)
    direct = f"hubkit publish {shlex.quote(str(folder))} {repo}{' --private' if private else ''}"
    again = f"{direct}{' --create-pr' if create_pr else ''}"
    if dry_run:
        made = make()
        show_json(made.to_json()) if as_json else show(made.render())
        next_step(again)
        return
    release = publish_plan(make, progress=say)
    show_release(release, as_json)
    if release.pull_request:
        say(f"{release.pull_request} waits to be merged; afterwards the next command tags v{release.version}")
        next_step(direct)
    else:
        next_step(_FOLLOWING[release.kind].format(repo=repo, version=f"v{release.version}"))


def _publish_project(path: Path, dry_run: bool, as_json: bool) -> None:
    from hubkit.projects import plan_project, publish_project

    if dry_run:
        steps = plan_project(path)
        if as_json:
            show_json([step.to_json() for step in steps])
        else:
            show("\n".join(step.render() for step in steps))
        next_step(f"hubkit publish {shlex.quote(str(path))}")
        return
    releases = []
    for release in publish_project(path, progress=say):
        releases.append(release)
        if not as_json:
            show_release(release, as_json)
    if as_json:
        show_json([release.to_json() for release in releases])
    next_step(f"hubkit lineage {releases[-1].repo}")


def show_release(release: "Release", as_json: bool) -> None:
    """Print what a publish left on the Hub."""
    if as_json:
        show_json(release.to_json())
        return
    state = release.tag or f"{release.version}, {'a pull request' if release.pull_request else 'nothing to release'}"
    show(f"{release.url} {state} at {release.commit[:12]}")


_FOLLOWING = {
    "corpus": """python -c 'from datasets import load_dataset; print(load_dataset("{repo}", revision="{version}"))'""",
    "tokenizer": "hubkit train RECIPE tokenizer={repo}@{version}",
    "model": "hubkit evaluate {repo}",
    "space": "hubkit space run {repo}",
}
