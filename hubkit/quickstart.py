"""The whole chain on the embedded Hub: corpora, models, evaluation, demo, each pinned to the ones before."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hubkit.ending import call
from hubkit.errors import UserError
from hubkit.ports import free_port
from hubkit.server import process

SPACE = "lab/demo"


class Part(NamedTuple):
    """A corpus, and the model that learns it."""

    config: str
    """The corpus's."""
    corpus: str
    """Its repository."""
    recipe: str
    model: str
    """The model's repository."""


PARTS = (
    Part("lorenz-tiny", "lab/lorenz-tiny", "lorenz-tiny", "lab/lorenz-tiny-roberta"),
    Part("rewriting-tiny", "lab/double-a", "rewriting-double-a", "lab/double-a-minigpt"),
)
"""One model that fills in what is hidden, and one that writes what follows."""

BRIEF = ("training.steps=60", "training.schedule.warmup_steps=6")
"""What a brief run changes in both recipes."""

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Result:
    """What the chain made."""

    urls: list[tuple[str, str]]
    """What each repository is, and where."""
    evaluations: list[dict[str, Any]]
    """Of each model."""
    falls_short: list[str]
    """What a model was expected to learn and did not, in words; empty if all is well. A brief run expects nothing."""


def quickstart(
    folder: Path,
    root: Path | None,
    say: Say,
    progress: Progress,
    serve: Callable[[str], None] | None,
    brief: bool = False,
) -> Result:
    """Run the chain; each link is the command that a user would type.

    Args:
        folder: Where corpora, runs and Space are made; a second call finds them and makes nothing twice.
        root: The hub's folder; None is the user's own.
        say: Hears of each step.
        progress: Hears (what, done, total) inside a step.
        serve: Called with the Space's address while Hub and Space run; they stop when it returns. None stops at once.
        brief: Train a few steps only.

    Raises:
        UserError: A link failed; what was published before it stays.
    """
    with ExitStack() as stack:
        url = stack.enter_context(_hub(root or process.default_root(), say))
        urls, evaluations = [], []
        for part in PARTS:
            tag = _corpus(part, folder / "corpus", say, progress)
            evaluations.append(
                _model(part, folder / "model", [f"dataset.revision={tag}", *(BRIEF if brief else ())], say)
            )
            urls += [("corpus", f"{url}/datasets/{part.corpus}"), ("model", f"{url}/{part.model}")]
        _space(folder / "space", say)
        running = stack.enter_context(_running(folder, say))
        if serve:
            serve(running)
        falls_short = [] if brief else _shortfalls(*evaluations)
        return Result([*urls, ("Space", f"{url}/spaces/{SPACE}")], evaluations, falls_short)


@contextmanager
def _hub(root: Path, say: Say) -> Iterator[str]:
    """Have the embedded Hub run, and point this process and its children at it; stop it if it was started here."""
    known = process.status(root)
    try:
        try:
            status = known or process.start(root, port=free_port(process.DEFAULT_PORT, 0) or 0)
            # huggingface_hub reads its environment when it is imported, so nothing before this line may import it.
            os.environ.update(process.client_environment(root))
        except process.HubError as error:
            raise UserError(str(error)) from None
        say(f"Hub       {status.url} ({'was running' if known else 'started'})")
        yield status.url
    finally:
        if known is None:
            process.stop(root)


def _corpus(part: Part, folder: Path, say: Say, progress: Progress) -> str:
    """Build and publish a corpus, load it back as anyone would, and return its release tag."""
    from hubkit.corpora.build import build
    from hubkit.corpora.registry import find
    from hubkit.publishing import plan, publish

    began = time.perf_counter()
    corpus = find(part.config)
    folder = folder / corpus.builder.spec.sha256[:12]
    manifest = build(corpus, folder, progress=progress)
    say(f"corpus    {manifest.rows:,} rows in {folder} ({time.perf_counter() - began:.0f} s)")
    release = publish(partial(plan, folder, part.corpus))
    tag = f"v{release.version}"
    say(f"          {release.url} {tag}")
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(part.corpus, revision=tag)
    expected = {split: record.rows for split, record in manifest.splits.items()}
    if {split: rows.num_rows for split, rows in loaded.items()} != expected:
        raise UserError(
            f"load_dataset({part.corpus!r}) gives other rows than were published; delete {folder}, try again"
        )
    counts = ", ".join(f"{rows:,} {split}" for split, rows in expected.items())
    say(f"          load_dataset({part.corpus!r}, revision={tag!r}) gives {counts}")
    return tag


def _model(part: Part, folder: Path, changes: list[str], say: Say) -> dict[str, Any]:
    """Train, evaluate and publish a model by the command that a user would type; return the evaluation."""
    from hubkit.hub import resolve
    from hubkit.training.recipe import read_recipe

    began = time.perf_counter()
    recipe = read_recipe(part.recipe, changes)
    identity = recipe.identity({"dataset": resolve(part.corpus, recipe.dataset.revision).revision})
    output = folder / identity[:12]
    command = ["train", part.recipe, *changes, f"output={output}", f"publish_to={part.model}"]
    say(f"model     hubkit {' '.join(command)}")
    # Its results are shown at the end, so of its output only the progress is let through.
    nested = os.environ | {"HUBKIT_NESTED": "1"}
    status = call([sys.executable, "-m", "hubkit", *command], stdout=subprocess.DEVNULL, env=nested)
    if status:
        raise UserError(f"training ended with status {status}; the same command goes on from its checkpoint")
    say(f"          trained, evaluated and published in {time.perf_counter() - began:.0f} s")
    return json.loads((output / "model" / "evaluation.json").read_text())


def _shortfalls(lorenz: dict[str, Any], rewriting: dict[str, Any]) -> list[str]:
    """Return what the models were expected to learn and did not.

    Of a world, σ's integer part better than the baseline; of strings, all rows exactly.
    """
    found = []
    first, rmse = _metric(lorenz, "top-1 accuracy"), _metric(lorenz, "RMSE")
    if first["value"] <= first["baseline"] or rmse["value"] >= rmse["baseline"]:
        found.append("the model of worlds does not beat the baseline")
    if (share := _metric(rewriting, "exact match")["value"]) < 1:
        found.append(f"the model of strings gets only {share:.1%} of the rows exactly")
    return found


def _metric(evaluation: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the first metric of that name."""
    return next(metric for result in evaluation["results"] for metric in result["metrics"] if metric["name"] == name)


def _space(folder: Path, say: Say) -> None:
    """Publish the demo of the models, pinned to their commits."""
    from hubkit.demo import compose_space
    from hubkit.publishing import plan, publish

    compose_space([part.model for part in PARTS], folder)
    release = publish(partial(plan, folder, SPACE))
    say(f"Space     {release.url} v{release.version}")


@contextmanager
def _running(folder: Path, say: Say) -> Iterator[str]:
    """Serve the Space from the Hub and ask it a question, as a visitor's browser would."""
    from hubkit.demo import RunningSpace, fetch_space

    with tempfile.TemporaryDirectory() as temporary:
        home = fetch_space(SPACE, Path(temporary) / "space")
        with RunningSpace(home, log=folder / "space.log") as running:
            from gradio_client import Client

            client = Client(running.url, verbose=False)
            example = json.loads((home / "examples.json").read_text())[0]
            best = client.predict(example["text"], api_name="/fill")["masks"][0]["tokens"][0]
            fills = f"{best['token']} with {best['probability']:.0%} (hidden: {example['truth']})"
            say(f"          {running.url} fills {example['label']}: {fills}")
            prompt = json.loads((home / "prompts.json").read_text())[0]
            new = client.predict(prompt["prompt"], 100, 0.0, api_name="/generate")["new"]
            say(f"          and after {prompt['prompt']} writes {new} (right: {prompt['truth']})")
            yield running.url
