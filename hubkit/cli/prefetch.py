"""`hubkit prefetch`."""

import shlex
from dataclasses import asdict
from typing import Annotated

import typer

from hubkit.cli.output import next_step, say, show, show_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("prefetch")(prefetch)


def prefetch(
    recipe: Annotated[str, typer.Argument(help="Name or path of a recipe.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field.")] = None,
    datasets: Annotated[list[str] | None, typer.Option("--dataset", metavar="REPO[@REVISION]", help="Also.")] = None,
    models: Annotated[list[str] | None, typer.Option("--model", metavar="REPO[@REVISION]", help="Also.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Fetch what a recipe needs from the Hub, for a machine that has no network and sees the same disk."""
    from hubkit.prefetch import node_environment
    from hubkit.prefetch import prefetch as fetch
    from hubkit.training.recipe import read_recipe

    wanted = read_recipe(recipe, overrides or ())
    fetched, environment = fetch(wanted, datasets or (), models or ()), node_environment(wanted)
    if as_json:
        show_json({"fetched": [asdict(one) | {"folder": str(one.folder)} for one in fetched], "set": environment})
    else:
        for one in fetched:
            at = f"{one.revision[:12]} {one.release or ''}".rstrip()
            show(f"{one.kind:<8} {one.repo} at {at}: {one.files:,} files, {one.bytes / 1e6:,.1f} MB in {one.folder}")
        say("on the machine without a network:")
        for name, value in environment.items():
            show(f"export {name}={shlex.quote(value)}")
    changes = [*(overrides or ()), *(["publish_to=null"] if wanted.publish_to else [])]
    if wanted.publish_to:
        say(f"publishing needs the network: train there with publish_to=null, then publish to {wanted.publish_to} here")
    next_step(" ".join(["hubkit train", recipe, *(shlex.quote(change) for change in changes)]))
