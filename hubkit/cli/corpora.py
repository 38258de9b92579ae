"""`hubkit list`, `hubkit build` and `hubkit verify`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hubkit.cli.cluster import Executor, build_on_cluster, check_options
from hubkit.cli.output import next_step, progress_bar, say, show, show_json

if TYPE_CHECKING:
    from hubkit.corpora.builder import CorpusSpec


def register(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command("list")(list_)
    app.command("build")(build)
    app.command("verify")(verify)


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
        splits = getattr(spec, "splits", {})
        sizes = ", ".join(f"{split} {size:,}" for split, size in splits.items() if isinstance(size, int))
        show(f"  {name:<28} {spec.builder:<10} {sizes}".rstrip())
    show("tokenizers\n  " + "\n  ".join(sorted(TOKENIZERS)))
    show("recipes\n  " + "\n  ".join(recipes()))
    next_step("hubkit build CONFIG -o FOLDER")


def build(
    target: Annotated[str, typer.Argument(metavar="NAME|SPEC.yaml|FILE.py", help="A named config, a spec, a builder.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder to build in.")],
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a field.")] = None,
    workers: Annotated[
        int | None, typer.Option(help="Processes, or a cluster's tasks at a time; the rows do not depend on it.")
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Keep at most so many rows of each split.")] = None,
    shard_rows: Annotated[int | None, typer.Option(help="Rows a shard, a multiple of 1024.")] = None,
    overlap: Annotated[bool, typer.Option(help="Compare the rows of the splits, for the card.")] = True,
    max_failures: Annotated[int, typer.Option(help="Exceptions in the builder's own code that are borne.")] = 100,
    executor: Annotated[Executor, typer.Option(help="Where it runs.")] = Executor.local,
    tasks: Annotated[int | None, typer.Option(help="Tasks to divide a cluster's work into.")] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="retries, max_array, python, or any option of sbatch."),
    ] = None,
    ray: Annotated[
        list[str] | None, typer.Option(metavar="KEY=VALUE", help="address, cpus_per_task, memory_gb, retries.")
    ] = None,
    wait: Annotated[bool, typer.Option(help="Wait for Slurm's jobs.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest.")] = False,
) -> None:
    """Make a corpus: a folder of Parquet with a manifest. The same command continues an interrupted build."""
    from hubkit.corpora.build import build as build_corpus
    from hubkit.corpora.registry import find

    corpus = find(target, overrides or (), limit)
    how = {"shard_rows": shard_rows, "overlap": overlap, "max_failures": max_failures}
    check_options(executor, tasks, workers, slurm or [], ray or [], wait)
    if executor == Executor.local:
        with progress_bar("done") as progress:
            manifest = build_corpus(corpus, out, workers, progress=progress, **how)
    else:
        manifest = build_on_cluster(corpus, out, executor, tasks, workers, slurm or [], ray or [], wait, **how)
    if manifest is None:  # the jobs go on by themselves
        return
    if as_json:
        show_json(manifest.model_dump(mode="json"))
    else:
        for name, split in manifest.splits.items():
            show(f"{name:<12} {split.rows:>10,} rows  {sum(s.bytes for s in split.shards) / 1e6:>9,.1f} MB  "
                 f"{split.rejected + split.failed:,} redrawn  rows {split.rows_sha256[:16]}")  # fmt: skip
        for report in manifest.reports:
            say(f"{out / report}: read it, something was set aside")
    assert manifest.spec_sha256 is not None  # for a build has a spec
    say(f"{out}: spec {manifest.spec_sha256[:16]}, {manifest.rows:,} rows, {manifest.bytes / 1e6:,.1f} MB")
    next_step(f"hubkit publish {out} ORG/{manifest.config or manifest.builder} --dry-run")


def verify(
    target: Annotated[str, typer.Argument(metavar="DIR|REPO", help="A corpus folder, or a dataset on the Hub.")],
    revision: Annotated[str | None, typer.Option(help="Tag, branch or commit of a dataset on the Hub.")] = None,
    shards: Annotated[str, typer.Option(metavar="K|all", help="How many shards of each split to make again.")] = "1",
    builder: Annotated[str | None, typer.Option(metavar="FILE.py", help="The builder, if it is not installed.")] = None,
    sources: Annotated[list[Path] | None, typer.Option(help="Where the sources of found text may be.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Check a corpus: make its rows again where that can be done, else compare hashes. Ends with 1 if it is wrong."""
    from hubkit.corpora.verify import verify as verify_folder
    from hubkit.corpora.verify import weakest
    from hubkit.corpora.verify_hub import verify_repo
    from hubkit.errors import UserError

    if shards != "all" and not shards.isdecimal():
        raise UserError(f"shards: {shards!r} is neither a number nor all")
    count = None if shards == "all" else int(shards)
    local = Path(target).is_dir()
    if local and revision:
        raise UserError(f"revision: {target} is a folder, which has none; leave it out")
    with progress_bar("rows") as progress:
        options = {
            "builder_file": builder,
            "sources": sources or (),
            "workers": workers,
            "progress": progress,
        }
        findings = (
            verify_folder(Path(target), count, **options) if local else verify_repo(target, revision, count, **options)
        )
    verdict = weakest(findings)
    if as_json:
        listed = [{"file": f.file, "verdict": f.verdict, "reason": f.reason} for f in findings]
        show_json({"verdict": verdict, "findings": listed})
    else:
        for finding in findings:
            show(f"{finding.verdict:<12} {finding.file}" + (f"  {finding.reason}" if finding.reason else ""))
    say(f"{target}: {verdict}")
    if verdict == "wrong":
        raise typer.Exit(1)
