"""The whole chain on the embedded Hub: corpus, model, evaluation, demo, each published and pinned to the one before."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.ports import free_port
from hubkit.server import process

CORPUS, MODEL, SPACE = "lab/lorenz-tiny", "lab/lorenz-tiny-roberta", "lab/demo"
CONFIG = RECIPE = "lorenz-tiny"

Say = Callable[[str], None]
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Result:
    """What the chain made."""

    corpus: str
    """URL of the corpus."""
    model: str
    space: str
    evaluation: dict[str, Any]
    beats_baseline: bool


def quickstart(
    folder: Path, root: Path | None, say: Say, progress: Progress, serve: Callable[[str], None] | None
) -> Result:
    """Run the chain; each link is the command that a user would type.

    Args:
        folder: Where corpus, run and Space are made; a second call finds them and makes nothing twice.
        root: The hub's folder; None is the user's own.
        say: Hears of each step.
        progress: Hears (what, done, total) inside a step.
        serve: Called with the Space's address while Hub and Space run; they stop when it returns. None stops at once.

    Raises:
        UserError: A link failed; what was published before it stays.
    """
    with ExitStack() as stack:
        url = stack.enter_context(_hub(root or process.default_root(), say))
        tag = _corpus(folder / "corpus", say, progress)
        evaluation = _model(folder / "model", tag, say)
        _space(folder / "space", say)
        running = stack.enter_context(_running(folder, say))
        if serve:
            serve(running)
        return Result(
            f"{url}/datasets/{CORPUS}", f"{url}/{MODEL}", f"{url}/spaces/{SPACE}", evaluation, _beats(evaluation)
        )


@contextmanager
def _hub(root: Path, say: Say) -> Iterator[str]:
    """Have the embedded Hub run, and point this process and its children at it; stop it if it was started here."""
    try:
        known = process.status(root)
        status = known or process.start(root, port=free_port(process.DEFAULT_PORT, 0) or 0)
        # huggingface_hub reads its environment when it is imported, so nothing before this line may import it.
        os.environ.update(process.client_environment(root))
    except process.HubError as error:
        raise UserError(str(error)) from None
    say(f"Hub       {status.url} ({'was running' if known else 'started'})")
    try:
        yield status.url
    finally:
        if known is None:
            process.stop(root)


def _corpus(folder: Path, say: Say, progress: Progress) -> str:
    """Build and publish the corpus, load it back as anyone would, and return its release tag."""
    from hubkit.corpora.build import build
    from hubkit.corpora.registry import find
    from hubkit.publishing import apply, plan

    began = time.perf_counter()
    corpus = find(CONFIG)
    folder = folder / corpus.builder.spec.sha256[:12]
    manifest = build(corpus, folder, progress=progress)
    say(f"corpus    {manifest.rows:,} rows in {folder} ({time.perf_counter() - began:.0f} s)")
    release = apply(plan(folder, CORPUS))
    tag = f"v{release.version}"
    say(f"          {release.url} {tag}")
    import datasets

    datasets.disable_progress_bars()
    loaded = datasets.load_dataset(CORPUS, revision=tag)
    expected = {split: record.rows for split, record in manifest.splits.items()}
    if {split: rows.num_rows for split, rows in loaded.items()} != expected:
        raise UserError(f"load_dataset({CORPUS!r}) gives other rows than were published; delete {folder}, try again")
    counts = ", ".join(f"{rows:,} {split}" for split, rows in expected.items())
    say(f"          load_dataset({CORPUS!r}, revision={tag!r}) gives {counts}")
    return tag


def _model(folder: Path, tag: str, say: Say) -> dict[str, Any]:
    """Train, evaluate and publish the model by the command that a user would type; return the evaluation."""
    from hubkit.hub import resolve
    from hubkit.training.recipe import read_recipe

    began = time.perf_counter()
    changes = [f"dataset.revision={tag}"]
    identity = read_recipe(RECIPE, changes).identity(resolve(CORPUS, tag).revision)
    output = folder / identity[:12]
    command = ["-m", "hubkit.train", RECIPE, *changes, f"output={output}", f"publish_to={MODEL}"]
    say(f"model     accelerate launch {' '.join(command)}")
    launcher = [
        sys.executable, "-m", "accelerate.commands.launch", "--quiet", "--num_processes", "1", "--num_machines", "1",
        "--mixed_precision", "no", "--dynamo_backend", "no",
    ]  # fmt: skip
    # Its results are shown at the end, so of its output only the progress is let through.
    nested = os.environ | {"HUBKIT_NESTED": "1"}
    done = subprocess.run([*launcher, *command], stdout=subprocess.DEVNULL, env=nested)
    if done.returncode:
        raise UserError(f"training ended with status {done.returncode}; the same command goes on from its checkpoint")
    say(f"          trained, evaluated and published in {time.perf_counter() - began:.0f} s")
    return json.loads((output / "model" / "evaluation.json").read_text())


def _beats(evaluation: dict[str, Any]) -> bool:
    """Tell whether the model beats the baseline at what it was asked first: σ's integer part, top-1 and RMSE."""
    metrics = {metric["name"]: metric for metric in evaluation["results"][0]["metrics"]}
    first, rmse = metrics["top-1 accuracy"], metrics["RMSE"]
    return first["value"] > first["baseline"] and rmse["value"] < rmse["baseline"]


def _space(folder: Path, say: Say) -> None:
    """Publish the demo of the model, pinned to its commit."""
    from hubkit.demo import compose_space
    from hubkit.publishing import apply, plan

    compose_space(MODEL, folder)
    release = apply(plan(folder, SPACE))
    say(f"Space     {release.url} v{release.version}")


@contextmanager
def _running(folder: Path, say: Say) -> Iterator[str]:
    """Serve the Space from the Hub and ask it a question, as a visitor's browser would."""
    from hubkit.demo import RunningSpace, fetch_space

    with tempfile.TemporaryDirectory() as temporary:
        home = fetch_space(SPACE, Path(temporary) / "space")
        with RunningSpace(home, log=folder / "space.log") as running:
            from gradio_client import Client

            example = json.loads((home / "examples.json").read_text())[0]
            answer = Client(running.url, verbose=False).predict(example["text"], api_name="/fill")
            best = answer["masks"][0]["tokens"][0]
            fills = f"{best['token']} with {best['probability']:.0%} (hidden: {example['truth']})"
            say(f"          {running.url} fills {example['label']}: {fills}")
            yield running.url
