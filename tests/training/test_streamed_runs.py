"""Runs that fetch their rows while they go on: from the recipe to losses that a kill does not change."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from accelerate import Accelerator

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.data.batches import Batches, HeldOut, Source
from hubkit.data.mixtures import allotted
from hubkit.data.sources import DatasetSpec, Local
from hubkit.errors import UserError
from hubkit.server import process
from hubkit.training.checkpoints import checkpoints
from hubkit.training.loading import Pins, load_data
from hubkit.training.loop import Loop
from hubkit.training.recipe import Recipe, TrainingSpec
from tests.data.streams import OBJECTIVE, ROWS, TOKENIZER, WINDOWS, stream, write

from .small_run import MODELS, TRAINING, measured, set_seed
from .test_resume import Died

STEPS = 20
SPLITS = {"train": 64, "validation": 24, "test": 24}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("streamed") / "rows", [60, 33, 40])


def loop(run: Path, folder: Path, reading, mixed: bool, die_at: int | None = None) -> Loop:
    """Return a loop over a stream alone, or over a stream, another and a dataset that is no stream."""

    def progress(what: str, done: int, total: int) -> None:
        if done == die_at:
            raise Died

    whole = reading.make(_validation(folder, run), OBJECTIVE.more, "validation")
    sources = [Source("stream", stream(folder, reading, 40))]
    if mixed:
        sources += [Source("rows", whole, 0.5), Source("smaller pools", stream(folder, reading, 25), 2.0)]
    set_seed(0)
    model = MODELS[["minigpt", "forward"][0]].make(TOKENIZER, 32)
    training = Batches(sources, OBJECTIVE, 8, 0, 2)
    held_out = {"validation": HeldOut(whole, 16, OBJECTIVE, 8, 0)}
    spec = TrainingSpec.model_validate({"steps": STEPS} | TRAINING)
    return Loop(spec, model, training, held_out, Accelerator(cpu=True), run, {"name": "recipe"}, progress)


def _validation(folder: Path, spare: Path):
    return DatasetSpec(repo=str(folder), streaming=True).load("", "validation", TOKENIZER, spare, OBJECTIVE.framing)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("reading", [ROWS, WINDOWS], ids=["rows", "windows"])
def test_a_run_killed_in_the_midst_of_a_pool_and_resumed_is_equal_to_the_bit(folder, tmp_path, reading, mixed):
    straight = measured(loop(tmp_path / "straight", folder, reading, mixed))
    assert measured(loop(tmp_path / "again", folder, reading, mixed)) == straight
    with pytest.raises(Died):
        loop(tmp_path / "broken", folder, reading, mixed, die_at=15).run()
    (*_, newest) = checkpoints(tmp_path / "broken" / "checkpoints")
    marks = json.loads((newest / "state.json").read_bytes())["data"]
    assert newest.name == "step-00000012" and len(marks) == (3 if mixed else 1)
    assert all(len(mark) == 4 for mark in marks if mark is not None), "four numbers a stream"
    number, *_, begin = marks[-1]
    assert number > 0 and begin < allotted(12 * 8, [1, 0.5, 2.0] if mixed else [1])[-1], "it is one in a later pool"
    assert measured(loop(tmp_path / "broken", folder, reading, mixed)) == straight


# --- recipes ---------------------------------------------------------------------------------------------------------


def recipe(folder: Path, *overrides: str) -> Recipe:
    values = {
        "name": "small",
        "tokenizer": "characters:AB",
        "dataset": {"repo": "lab/rows", "streaming": True, "pool_rows": 30},
        "model": {"architecture": "minigpt"},
        "objective": {"name": "causal"},
        "reading": {"form": "windows", "length": 16},
        "training": {"steps": 5, "batch_size": 4, "learning_rate": 1e-3},
    }
    return Recipe.build(values, [f"output={folder / 'run'}", *overrides])


def test_a_recipe_reads_its_stream_and_counts_its_rows(folder, tmp_path):
    made = recipe(tmp_path)
    made = made.model_copy(update={"dataset": made.dataset.model_copy(update={"repo": str(folder)})})
    data = load_data(made, TOKENIZER, Pins([Local("rows", "")], {}, None, None))
    assert data.rows == [{"train": 133, "validation": 20, "test": 20}] and data.longest == 16
    assert [source.name for source in data.training] == [f"{folder} train"]
    assert len(Batches(data.training, data.objective, 4, 0)[3]) == 1
    rows = made.model_copy(update={"reading": made.reading.model_copy(update={"form": "rows", "length": 40})})
    assert load_data(rows, TOKENIZER, Pins([Local("rows", "")], {}, None, None)).longest == 40


def test_streaming_is_part_of_what_a_run_is(tmp_path):
    assert recipe(tmp_path).identity({}) != recipe(tmp_path, "dataset.streaming=false").identity({})
    assert recipe(tmp_path).identity({}) != recipe(tmp_path, "dataset.pool_rows=31").identity({})
    recipe(tmp_path, "training.steps=", "training.epochs=2", "reading={form: rows, length: 64}")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["reading={form: rows}"], r"reading\.length: the longest row of lab/rows, which is a stream, .* such as 512"),
        (
            ["training.steps=", "training.epochs=1"],
            r"training\.epochs: the number of windows of lab/rows, which is a stream, .* say training\.steps instead",
        ),
        (["training.loader_workers=1"], r"training\.loader_workers: lab/rows is a stream, .*; set it to 0"),
        (
            ["also_evaluate={other: {repo: lab/x, streaming: true}}"],
            r"also_evaluate\.other\.streaming: evaluation sets are fetched whole; leave it out",
        ),
        (
            ["dataset.streaming=false", "mix=[{repo: lab/mixed, streaming: true}]", "training.loader_workers=2"],
            r"training\.loader_workers: lab/mixed is a stream",
        ),
        (["dataset.held_out=0.1"], r"dataset: streaming: which rows are held_out is only known when all were read"),
    ],
    ids=["longest", "epochs", "workers", "evaluated", "mixed", "held"],
)
def test_what_does_not_go_with_a_stream_is_refused_at_once(tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        recipe(tmp_path, *overrides)


# --- as a user -------------------------------------------------------------------------------------------------------


@pytest.mark.soak
def test_a_user_trains_from_a_stream_alone_and_with_two_processes(tmp_path):
    """The second run begins with one process, ends at step 6, and goes on with two."""
    hub = tmp_path / "hub"
    process.start(hub, port=0)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ACCELERATE_"))}
    environment = clean | process.client_environment(hub) | {"HOME": str(tmp_path)}

    def run(*command: str, **more: str) -> None:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment | more, capture_output=True, text=True, timeout=250
        )  # fmt: skip
        assert done.returncode == 0, done.stderr

    hubkit, accelerate = (str(Path(sys.executable).with_name(name)) for name in ("hubkit", "accelerate"))
    changes = [
        "dataset.repo=lab/worlds", "dataset.streaming=true", "dataset.pool_rows=30", "reading.length=300",
        "training.schedule={name: constant}", "training.log_every=1", "training.evaluate_every=6",
        "model.hidden_size=32", "publish_to=null", "evaluations=[]",
    ]  # fmt: skip
    try:
        build(find("lorenz-tiny", [f"splits.{split}={rows}" for split, rows in SPLITS.items()]), tmp_path / "corpus")
        run(hubkit, "publish", "corpus", "lab/worlds")
        run(hubkit, "train", "lorenz-tiny", *changes, "training.steps=12", "output=one")
        run(hubkit, "train", "lorenz-tiny", *changes, "training.steps=6", "output=two")
        together = ("launch", "--multi_gpu", "--num_processes", "2", "-m", "hubkit.train", "lorenz-tiny")
        run(accelerate, *together, *changes, "training.steps=12", "output=two", ACCELERATE_USE_CPU="true")
    finally:
        process.stop(hub)
    one, two = ((tmp_path / name / "model" / "curve.csv").read_text().splitlines() for name in ("one", "two"))
    losses = [[float(cell) for cell in line.split(",") if cell] for line in (*one[1:], *two[1:])]
    assert len(one) == len(two) > 12
    for mine, theirs in zip(losses[: len(one) - 1], losses[len(one) - 1 :], strict=True):
        assert mine == pytest.approx(theirs, rel=1e-4)
    lineage = json.loads((tmp_path / "two" / "model" / "run.json").read_text())
    assert lineage["datasets"][0]["splits"] == SPLITS
    assert lineage["training"]["sequences"] == {"lab/worlds train": 192} and lineage["training"]["epochs"] == 3.0
    assert not list((tmp_path / ".cache").rglob("*train*")), "nothing of the stream stays on disk"
