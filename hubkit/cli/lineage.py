"""`hubkit lineage` and `hubkit reproduce`."""

import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from hubkit.cli.output import next_step, say, show, show_json


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("lineage")(lineage)
    app.command("reproduce")(reproduce)


def lineage(
    repo: Annotated[str, typer.Argument(metavar="REPO[@REVISION]", help="A dataset, a model or a Space on the Hub.")],
    kind: Annotated[
        Literal["model", "dataset", "space"] | None, typer.Option("--type", help="Where the name alone is not enough.")
    ] = None,
    depth: Annotated[int, typer.Option(min=1, help="Steps to walk each way.")] = 6,
    svg: Annotated[Path | None, typer.Option(metavar="FILE", help="Draw it into this file too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what a repository was made of and what uses it, by commit, from the repositories alone.

    Flags: stale (made with a release that is no longer the newest), unreachable, unreleased (no tag at the commit),
    unpinned (named without a commit), moved, gated, private.
    """
    from hubkit.files import write_atomic
    from hubkit.hub_patience import hub_api
    from hubkit.lineage import svg as drawn
    from hubkit.lineage import trace, tree
    from hubkit.lineage.tree import findings
    from hubkit.publishing.rendering import count

    name, _, revision = repo.partition("@")
    graph = trace(hub_api(), name, revision or None, kind, depth)
    show_json(graph.to_json()) if as_json else show(tree(graph))
    if svg is not None:
        write_atomic(svg, drawn(graph))
        say(f"drawn into {svg}")
    found = findings(graph)
    counts = {"node": graph.nodes, "edge": graph.edges, "flag": found}
    say(", ".join(count(len(some), noun) for noun, some in counts.items()))
    root = graph.nodes[graph.root]
    if root.kind == "model":
        next_step(f"hubkit reproduce {repo}")
    elif svg is None:
        next_step(f"hubkit lineage {repo} --svg lineage.svg")


def reproduce(
    model: Annotated[str, typer.Argument(metavar="MODEL[@REVISION]", help="A model on the Hub that hubkit trained.")],
    run: Annotated[bool, typer.Option("--run", help="Run the commands and compare what comes out.")] = False,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder (default: runs/reproduce-NAME).")
    ] = None,
    tolerance: Annotated[
        float, typer.Option(min=0, help="Share by which a number may differ where the weights do.")
    ] = 0.02,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print the commands that make a model again from what its repository records; with --run, run and compare.

    Ends with 1 where what was made does not agree with what was published. Interrupted, the same command goes on.
    """
    from hubkit.hub_patience import hub_api
    from hubkit.lineage.comparing import agrees, compare
    from hubkit.lineage.original import find_original
    from hubkit.lineage.remaking import remaking
    from hubkit.lineage.reporting import as_data, script, table, verdict
    from hubkit.lineage.running import run as run_steps
    from hubkit.lineage.surroundings import surroundings

    name, _, revision = model.partition("@")
    original = find_original(hub_api(), name, revision or None)
    made = remaking(original, surroundings(original.environment.get("libraries") or {}))
    folder = out or Path("runs") / f"reproduce-{name.rpartition('/')[2]}"
    again = f"hubkit reproduce {model} --run" + (f" -o {shlex.quote(str(out))}" if out else "")
    if not run:
        show_json(as_data(made)) if as_json else show(script(made, folder))
        next_step(again)
        return
    for remark in made.remarks:
        say(f"! {remark}")
    run_steps(made, folder, say)
    compared = compare(made, folder, tolerance)
    show_json(as_data(made, compared)) if as_json else show(table(compared))
    say(verdict(made, compared))
    if not agrees(compared):
        raise typer.Exit(1)
    next_step(f"hubkit lineage {model}")
