"""`hubkit releases`, `hubkit diff` and `hubkit rollback`: what was released, what changed, and back again."""

from functools import partial
from typing import Annotated, Any

import typer

from hubkit.cli.output import next_step, say, show, show_json

Repo = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="Repository on the Hub.")]
Type = Annotated[
    str | None,
    typer.Option("--type", metavar="TYPE", help="model, dataset or space, where a name belongs to several."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("releases")(releases)
    app.command("diff")(diff)
    app.command("rollback")(rollback)


def releases(repo: Repo, repo_type: Type = None, as_json: AsJson = False) -> None:
    """List the releases of a dataset, model or Space, newest first, with what each changed."""
    from hubkit.publishing.history import releases

    found = releases(repo, _type(repo_type))
    show_json(found.to_json()) if as_json else show(found.render())
    tags = [release.version.tag for release in found.releases]
    if len(tags) > 1:
        next_step(f"hubkit diff {repo} {tags[1]} {tags[0]}")
    elif not tags:
        next_step(f"hubkit publish FOLDER {repo}")


def diff(
    repo: Repo,
    old: Annotated[str, typer.Argument(help="Tag, branch or commit.")],
    new: Annotated[str, typer.Argument(help="Tag, branch or commit, later in the history.")],
    rows: Annotated[int, typer.Option("--rows", help="Examples of each kind of change.")] = 3,
    repo_type: Type = None,
    as_json: AsJson = False,
) -> None:
    """Show what changed between two releases: rows, columns, spec, card, files; of a model weights and evaluation."""
    from hubkit.publishing.diff import diff

    found = diff(repo, old, new, repo_type=_type(repo_type), examples=rows)
    show_json(found.to_json()) if as_json else show(found.render())
    next_step(f"hubkit rollback {repo} {old} --dry-run")


def rollback(
    repo: Repo,
    release: Annotated[str, typer.Argument(metavar="VERSION", help="The release to bring back, such as v1.0.0.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and change nothing.")] = False,
    repo_type: Type = None,
    as_json: AsJson = False,
) -> None:
    """Publish an old release as a new one, of bytes that the Hub has already. Safe to repeat."""
    from hubkit.cli.publishing import show_release
    from hubkit.publishing import publish
    from hubkit.publishing.rollback import plan_rollback

    make = partial(plan_rollback, repo, release, repo_type=_type(repo_type))
    if dry_run:
        made = make()
        show_json(made.to_json()) if as_json else show(made.render())
        next_step(f"hubkit rollback {repo} {release}")
        return
    show_release(publish(make, progress=say), as_json)
    next_step(f"hubkit releases {repo}")


def _type(name: str | None) -> Any:
    """Check a repository type.

    Raises:
        UserError: There is no such type.
    """
    from hubkit.publishing.cards import one_of
    from hubkit.publishing.hub import REPO_TYPES

    return None if name is None else one_of(name, REPO_TYPES, "--type")
