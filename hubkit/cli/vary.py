"""`hubkit vary`."""

import json
import shlex
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, say, show, show_json


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("vary")(vary)


def vary(
    target: Annotated[str, typer.Argument(metavar="SPEC", help="What `hubkit build` takes.")],
    variation: Annotated[Path, typer.Argument(metavar="VARIATION.yaml", help="How its fields vary.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the specs and their index, family.json.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the index.")] = False,
) -> None:
    """Make a family of specs of one, for an ablation: a file each, which `hubkit build` takes.

    VARIATION.yaml is one of these; FIELD and LIST are paths such as length.max and domains.0.ratio:

    op: mul (add, sub, div) · field: FIELD · by: [1, 2, 4]

    op: set · field: FIELD · to: VALUES

    op: insert · field: LIST · at: 0 · items: ITEMS

    op: remove · field: LIST · at: [0, 1]

    op: shuffle · field: LIST · times: 3 · seed: 0

    op: zip (side by side) or product (each with each) · of: VARIATIONS
    """
    from hubkit.corpora.registry import find
    from hubkit.corpora.variants import vary as vary_corpus
    from hubkit.specs import read_mapping
    from hubkit.variations import read_variation

    change = read_variation(read_mapping(variation), str(variation))
    family = vary_corpus(find(target, overrides or ()), change)
    written = family.write(out)
    index = family.index()
    if as_json:
        show_json(index)
    else:
        for name, member in index["members"].items():
            changes = ", ".join(
                f"{field}={json.dumps(value, ensure_ascii=False)}" for field, value in member["differences"].items()
            )
            show(f"{name}  spec {member['sha256'][:16]}  {changes or 'as it was'}")
    say(f"{out}: {len(family.specs):,} specs{'' if written else ', all of them there already'}")
    first = next(iter(family.specs))
    next_step(f"hubkit build {shlex.quote(str(out / f'{first}.yaml'))} -o FOLDER")
