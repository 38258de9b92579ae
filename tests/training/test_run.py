"""A whole run as a user starts it: from a corpus on a Hub to a published model, its evaluation and its card."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

import pytest
from huggingface_hub import HfApi
from huggingface_hub.repocard import ModelCard

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.errors import UserError
from hubkit.server import process
from hubkit.training import run as runs
from hubkit.training.recipe import Recipe, read_recipe

pytestmark = pytest.mark.slow

HUBKIT, ACCELERATE = (Path(sys.executable).with_name(name) for name in ("hubkit", "accelerate"))
CORPUS, MODEL = "lab/worlds", "lab/worlds-roberta"
STEPS = 20
CHANGES = (
    "name=worlds-roberta", f"dataset.repo={CORPUS}", f"training.steps={STEPS}", "training.schedule.warmup_steps=4",
    "training.log_every=1", "training.evaluate_every=10", "training.checkpoint_every=10", "model.hidden_size=32",
)  # fmt: skip
SPLITS = {"train": 64, "validation": 24, "test": 24}


@dataclass(frozen=True)
class World:
    """A Hub with a corpus on it, and the environment of its users."""

    folder: Path
    environment: dict[str, str]

    @cached_property
    def commit(self) -> str:
        """The corpus's."""
        sha = self.api.dataset_info(CORPUS).sha
        assert sha is not None
        return sha

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.environment["HF_ENDPOINT"], token=self.environment["HF_TOKEN"])

    def run(self, *command: object, timeout: float = 250, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command], cwd=self.folder, env=self.environment | environment,
            capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip

    def launch(self, *arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return self.run(ACCELERATE, "launch", *arguments, **environment)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    process.start(folder / "hub", port=0)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ACCELERATE_"))}
    environment = clean | process.client_environment(folder / "hub") | {"HOME": str(folder)}
    build(find("lorenz-tiny", [f"splits.{split}={rows}" for split, rows in SPLITS.items()]), folder / "corpus")
    made = World(folder, environment)
    done = made.run(HUBKIT, "publish", "corpus", CORPUS)
    assert done.returncode == 0, done.stderr
    yield made
    process.stop(folder / "hub")


@pytest.fixture(scope="module")
def published(world):
    """The run that all tests look at."""
    done = world.launch("-m", "hubkit.train", "lorenz-tiny", *CHANGES, f"publish_to={MODEL}")
    assert done.returncode == 0, done.stderr
    return done


def model_folder(world: World) -> Path:
    return world.folder / "runs" / "worlds-roberta" / "model"


def curve(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "curve.csv").read_text().splitlines()))


def test_the_model_folder_is_complete_and_holds_no_pickle(world, published):
    found = {
        path.relative_to(model_folder(world)).as_posix() for path in model_folder(world).rglob("*") if path.is_file()
    }
    assert found == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "recipe.json", "run.json",
        "curve.csv", "curve.png", "evaluation.json", "runs/events.out.tfevents.0",
    }  # fmt: skip
    tokenizer = json.loads((model_folder(world) / "tokenizer_config.json").read_text())
    config = json.loads((model_folder(world) / "config.json").read_text())
    assert tokenizer["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert config["architectures"] == ["RobertaForMaskedLM"] and "auto_map" not in config
    assert tokenizer["model_max_length"] == config["max_position_embeddings"] - config["pad_token_id"] - 1


def test_lineage_names_the_dataset_at_its_commit_and_release(world, published):
    lineage = json.loads((model_folder(world) / "run.json").read_text())
    assert lineage["datasets"] == [{"repo": CORPUS, "revision": world.commit, "release": "v1.0.0", "splits": SPLITS}]
    recipe = read_recipe("lorenz-tiny", [*CHANGES, f"publish_to={MODEL}"])
    assert lineage["recipe"] == recipe.published()
    again = json.loads((model_folder(world) / "recipe.json").read_text())
    assert again["dataset"].pop("revision") == world.commit, "what anyone trains again by it is pinned"
    assert again | {"publish_to": MODEL} == lineage["recipe"] | {"dataset": again["dataset"]}
    assert lineage["recipe_sha256"] == recipe.identity({"dataset": world.commit})
    assert lineage["training"]["steps"] == STEPS and lineage["training"]["epochs"] == STEPS * 16 / 64
    assert lineage["environment"]["device"] == "cpu" and lineage["environment"]["processes"] == 1
    assert lineage["parameters"] > 1000 and lineage["direction"] == "forward"


def test_the_curve_has_every_step(world, published):
    rows = curve(model_folder(world))
    assert [int(row["step"]) for row in rows] == list(range(1, STEPS + 1))
    assert [int(row["step"]) for row in rows if row["validation_loss"]] == [10, 20]
    assert float(rows[-1]["train_loss"]) < float(rows[0]["train_loss"])
    assert (model_folder(world) / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_run_ends_by_saying_its_losses(world, published):
    training = json.loads((model_folder(world) / "run.json").read_text())["training"]
    assert (
        f"{STEPS} steps, {training['tokens']:,} tokens: training loss {training['final_train_loss']:.4f}, "
        f"validation loss {training['final_validation_loss']:.4f} nats a token\n"
    ) in published.stderr


def test_a_run_says_where_it_goes_on_and_refuses_to_end_before_that(tmp_path):
    said = []
    runs._check_where_it_stopped(recipe(f"output={tmp_path}"), 50, said.append)
    (tmp_path / "checkpoints" / "step-00000060").mkdir(parents=True)
    runs._check_where_it_stopped(recipe(f"output={tmp_path}"), 60, said.append)
    runs._check_where_it_stopped(recipe(f"output={tmp_path}", "further=10"), 50, said.append)
    assert said == [f"reading {tmp_path}/checkpoints/step-00000060, to go on from there"] * 2
    with pytest.raises(UserError, match=r"training\.steps: .*step-00000060 has more steps behind it than 50; raise it"):
        runs._check_where_it_stopped(recipe(f"output={tmp_path}"), 50, said.append)


def test_logs_hold_the_losses_and_no_host_name(world, published):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    log = model_folder(world) / "runs" / "events.out.tfevents.0"
    assert socket.gethostname().encode() not in log.read_bytes()
    events = EventAccumulator(str(log))
    events.Reload()
    losses = [event.value for event in events.Scalars("loss/train")]
    assert losses == pytest.approx([float(row["train_loss"]) for row in curve(model_folder(world))])


def test_the_evaluation_has_both_baselines_and_is_shown(world, published):
    results = json.loads((model_folder(world) / "evaluation.json").read_text())["results"]
    names = ["Recover σ: integer part masked", "Recover σ: whole number masked", "Recover step_multip"]
    assert [result["task"]["name"] for result in results] == names
    for result in results:
        assert (result["rows"], result["skipped"]) == (SPLITS["test"], 0)
        assert result["dataset"]["revision"] == world.commit and result["dataset"]["split"] == "test"
        assert all({"value", "baseline"} <= metric.keys() for metric in result["metrics"])
    assert all("strong_baseline" in metric for metric in results[0]["metrics"])
    assert all(name in published.stdout for name in names)
    assert "looked up by the decimals that stay visible: top-1 accuracy 0." in published.stdout


def test_what_is_published_has_a_tag_and_a_card_that_links_the_dataset(world, published):
    tags = {tag.name: tag.target_commit for tag in world.api.list_repo_refs(MODEL).tags}
    assert list(tags) == ["v1.0.0"]
    assert tags["v1.0.0"][:12] in published.stdout
    card = ModelCard(Path(world.api.hf_hub_download(MODEL, "README.md", cache_dir=world.folder / "cache")).read_text())
    assert card.data.pipeline_tag == "fill-mask" and card.data.datasets == [CORPUS]
    assert {result.dataset_revision for result in card.data.eval_results} == {world.commit}
    assert f"next: hubkit space deploy OWNER/SPACE --model {MODEL}" in published.stderr


def test_hubkit_train_is_the_same_command_and_again_changes_nothing(world, published):
    def state() -> dict:
        files = {str(path): path.stat().st_mtime_ns for path in model_folder(world).rglob("*") if path.is_file()}
        return files | {"head": world.api.model_info(MODEL).sha}

    before = state()
    done = world.run(HUBKIT, "train", "lorenz-tiny", *CHANGES, f"publish_to={MODEL}")
    assert done.returncode == 0, done.stderr
    assert state() == before
    assert "1.0.0, nothing to release at" in done.stdout and "training" not in done.stderr
    assert "this recipe is trained already; to train it anew, set resume=false" in done.stderr
    assert done.stdout.splitlines()[:-1] == published.stdout.splitlines()[:-1], "the same results are shown again"


def test_two_processes_give_the_losses_of_one(world, published):
    """To 1e-5: they add the same numbers in another order. Unweighted means over the processes would be 1e-2 off."""
    alone = curve(model_folder(world))
    done = world.launch(
        "--multi_gpu", "--num_processes", "2", "-m", "hubkit.train", "lorenz-tiny", *CHANGES, "publish_to=",
        "evaluations=[]", "output=two", ACCELERATE_USE_CPU="true",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    folder = world.folder / "two" / "model"
    lineage = json.loads((folder / "run.json").read_text())
    assert lineage["environment"]["processes"] == 2, "two processes trained, and one wrote"
    assert (
        lineage["training"]["tokens"]
        == json.loads((model_folder(world) / "run.json").read_text())["training"]["tokens"]
    )
    for column in ("train_loss", "validation_loss"):
        ours, theirs = ([float(row[column]) for row in rows if row[column]] for rows in (curve(folder), alone))
        assert ours == pytest.approx(theirs, rel=1e-5)


def test_ctrl_c_ends_a_run_with_one_line_and_the_same_command_goes_on(world):
    """In a process group of its own, which gets the signal as from a terminal."""
    arguments = [*CHANGES, "training.steps=4000", "evaluations=[]", "publish_to=", "output=stopped"]
    command = [str(HUBKIT), "train", "lorenz-tiny", *arguments]
    child = subprocess.Popen(
        command, cwd=world.folder, env=world.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    checkpoints = world.folder / "stopped" / "checkpoints"
    deadline = time.monotonic() + 120
    while not list(checkpoints.glob("step-*")) and time.monotonic() < deadline and child.poll() is None:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGINT)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    ours = [line for line in said.splitlines() if "accelerate" not in line and not line.startswith("\t`--")]
    assert ours == ["hubkit: interrupted; the same command goes on from the newest checkpoint"]


def test_a_mistake_ends_hubkit_train_with_one_line_and_status_1(world):
    done = world.run(HUBKIT, "train", "lorenz-tiny", *CHANGES, "dataset.repo=lab/nobody")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert [line for line in done.stderr.splitlines() if line.startswith("hubkit: ")] == [
        f"hubkit: the Hub at {world.environment['HF_ENDPOINT']} has no dataset lab/nobody, or this token may not see it"
    ]


def recipe(*overrides: str) -> Recipe:
    return read_recipe("lorenz-tiny", overrides)


def test_a_precision_that_the_device_lacks_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"training\.precision: fp16 needs a GPU; use fp32"):
        runs.make_accelerator(recipe("training.precision=fp16", f"output={tmp_path}"))


def test_the_launchers_configuration_changes_no_loss(tmp_path, monkeypatch):
    monkeypatch.setenv("ACCELERATE_GRADIENT_ACCUMULATION_STEPS", "4")
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    accelerator = runs.make_accelerator(recipe("training.trackers=[]", f"output={tmp_path}"))
    assert (accelerator.gradient_accumulation_steps, accelerator.mixed_precision) == (1, "no")


def test_a_tracker_that_is_not_installed_is_refused_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "find_spec", lambda name: None if name == "wandb" else object())
    with pytest.raises(UserError, match=r"training\.trackers: wandb is not installed; pip install wandb, or"):
        runs.make_accelerator(recipe("training.trackers=[tensorboard, wandb]", f"output={tmp_path}"))


def test_no_trackers_are_no_trackers(tmp_path):
    accelerator = runs.make_accelerator(recipe("training.trackers=[]", f"output={tmp_path}"))
    accelerator.init_trackers("x")
    accelerator.log({"loss": 1.0}, step=1)
    assert accelerator.trackers == [] and list(tmp_path.iterdir()) == []


def test_the_cores_are_shared_among_the_processes_of_a_machine(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(runs, "usable_cores", lambda: 8)
    for processes, threads in (("", 8), ("3", 2), ("16", 1)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", processes)
        runs.make_accelerator(recipe("training.trackers=[]", f"output={tmp_path}"))
        assert torch.get_num_threads() == threads


def test_processes_that_do_not_find_each_other_are_refused(tmp_path, monkeypatch):
    """As of two that a launcher starts where accelerate takes each for the only one."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setattr(runs, "Accelerator", lambda **_: SimpleNamespace(num_processes=1))
    with pytest.raises(
        UserError, match=r"2 processes were started and do not find each other; on CPUs set ACCELERATE_"
    ):
        runs.make_accelerator(recipe("training.trackers=[]", f"output={tmp_path}"))


@pytest.mark.parametrize(("tracker", "environment"), [("wandb", {"WANDB_MODE": "offline"}), ("trackio", {})])
def test_trackers_are_told_the_losses(tmp_path, monkeypatch, tracker, environment):
    pytest.importorskip(tracker, reason=f"{tracker} is not installed")
    for name, value in (environment | {"TRACKIO_DIR": str(tmp_path / "trackio"), "WANDB_DIR": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    accelerator = runs.make_accelerator(recipe(f"training.trackers=[{tracker}]", f"output={tmp_path}"))
    accelerator.init_trackers("small")
    accelerator.log({"loss/train": 1.5}, step=1)
    accelerator.log({"loss/train": 1.25, "loss/validation": 2.0}, step=2)
    accelerator.end_training()
    if tracker == "wandb":
        (log,) = tmp_path.rglob("run-*.wandb")
        assert b"loss/train" in log.read_bytes()
    else:
        stored = b"".join(path.read_bytes() for path in (tmp_path / "trackio").rglob("*") if path.is_file())
        assert b"loss/train" in stored
