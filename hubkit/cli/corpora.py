"""`hubkit list` and `hubkit build`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubkit.cli.output import next_step, progress_bar, say, show, show_json

if TYPE_CHECKING:
    from hubkit.corpora.builder import CorpusSpec


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("list")(list_)
    app.command("build")(build)


def list_(as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """List builders, their named configs, tokenizers and recipes."""
    from hubkit.corpora.registry import builders
    from hubkit.tokenizers import TOKENIZERS
    from hubkit.training.recipe import recipes

    known = builders()
    configs: dict[str, CorpusSpec] = {}
    for builder in known.values():
        for name, spec in builder.configs.items():
            configs.setdefault(name, spec)  # of two with one name, `hubkit build` takes the first
    if as_json:
        show_json(
            {
                "builders": {name: {"version": builder.version} for name, builder in known.items()},
                "configs": {name: spec.model_dump(mode="json") for name, spec in configs.items()},
                "tokenizers": sorted(TOKENIZERS),
                "recipes": recipes(),
            }
        )
        return
    show("builders")
    for name, builder in known.items():
        show(f"  {name:<16} version {builder.version}")
    show("configs")
    for name, spec in configs.items():
        splits = ", ".join(f"{split} {rows:,}" for split, rows in spec.splits.items())
        show(f"  {name:<16} {spec.builder:<10} {splits}")
    show("tokenizers\n  " + "\n  ".join(sorted(TOKENIZERS)))
    show("recipes\n  " + "\n  ".join(recipes()))
    next_step("hubkit build CONFIG -o FOLDER")


def build(
    target: Annotated[str, typer.Argument(metavar="NAME|SPEC.yaml|FILE.py", help="A named config, a spec, a builder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to build in.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes; the rows do not depend on it.")] = None,
    limit: Annotated[int | None, typer.Option(help="Keep at most so many rows of each split.")] = None,
    shard_rows: Annotated[int | None, typer.Option(help="Rows a shard, a multiple of 1024.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Make a corpus: a folder of Parquet with a manifest. The same command continues an interrupted build."""
    from hubkit.corpora.build import build as build_corpus
    from hubkit.corpora.registry import find

    corpus = find(target, overrides or (), limit)
    with progress_bar("rows") as progress:
        manifest = build_corpus(corpus, out, workers, shard_rows, progress)
    if as_json:
        show_json(manifest.model_dump(mode="json"))
    else:
        for name, split in manifest.splits.items():
            show(f"{name:<12} {split.rows:>10,} rows  {sum(s.bytes for s in split.shards) / 1e6:>9,.1f} MB  "
                 f"{split.rejected:,} redrawn  rows {split.rows_sha256[:16]}")  # fmt: skip
    say(f"{out}: spec {manifest.spec_sha256[:16]}, {manifest.rows:,} rows, {manifest.bytes / 1e6:,.1f} MB")
    next_step(f"hubkit publish {out} ORG/{manifest.config or manifest.builder} --dry-run")
