"""`hubkit reproduce` and `hubkit lineage` as people type them: a model is made again, and an untrue one found out."""

import json
import os
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hubkit.server import process
from tests.warm import warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

HUBKIT = Path(sys.executable).with_name("hubkit")
CORPUS, OTHER, MODEL = "lab/double-a", "lab/other", "lab/tiny"
CHANGES = (
    "training.steps=12", "training.schedule.warmup_steps=2", "training.evaluate_every=6",
    "training.checkpoint_every=6", "training.log_every=1", "model.n_embd=16", "evaluations=[perplexity]",
    f"also_evaluate={{other: {{repo: {OTHER}, validation: test}}}}",
)  # fmt: skip


@dataclass(frozen=True)
class World:
    """A Hub with a corpus and a model that was trained on it."""

    folder: Path
    environment: dict[str, str]
    bin: Path

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.environment["HF_ENDPOINT"], token=self.environment["HF_TOKEN"])

    def hubkit(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [str(part) for part in (self.bin / "hubkit", *arguments)]
        return subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world")
    process.start(folder / "hub", port=0)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ACCELERATE_"))}
    environment = clean | process.client_environment(folder / "hub") | {"HOME": str(folder)}
    with warm(folder / "warm", environment) as bin:
        yield filled(World(folder, environment, bin))
    process.stop(folder / "hub")


def filled(world: World) -> World:
    """Publish the corpora, and the model."""
    sizes = (f"--set={split}={rows}" for split, rows in (("train", 200), ("validation", 16), ("test", 16)))
    for command in (
        ("build", "rewriting-tiny", *sizes, "-o", "corpus"),
        ("publish", "corpus", CORPUS),
        ("publish", "corpus", OTHER),
        ("train", "rewriting-double-a", *CHANGES, f"publish_to={MODEL}"),
    ):
        done = world.hubkit(*command)
        assert done.returncode == 0, done.stderr
    return world


@pytest.fixture(scope="module")
def interrupted(world):
    """A reproduction that Ctrl-C ended after its first step: its exit status, what it said, and what was done."""
    command = [str(HUBKIT), "reproduce", MODEL, "--run", "-o", "again"]
    state = world.folder / "again" / "reproduce.json"
    with (world.folder / "log").open("w+") as log:
        running = subprocess.Popen(
            command, cwd=world.folder, env=world.environment, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + 240
        while not (state.is_file() and json.loads(state.read_text())["done"]) and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)  # as a terminal does
        status = running.wait(120)
        log.seek(0)
        return status, log.read(), json.loads(state.read_text())["done"]


@pytest.fixture(scope="module")
def again(world, interrupted):
    """The same reproduction, gone on with: several tests look at it."""
    return world.hubkit("reproduce", MODEL, "--run", "-o", "again", "--json")


def test_the_commands_are_printed_and_nothing_is_done(world):
    done = world.hubkit("reproduce", MODEL)
    assert done.returncode == 0, done.stderr
    assert "\nhubkit train published/recipe.json output=run\n" in done.stdout, "the published recipe is pinned"
    assert f"next: hubkit reproduce {MODEL} --run" in done.stderr
    assert not (world.folder / "runs" / "reproduce-tiny").exists()


def test_a_model_is_made_again_to_the_bit(world, again):
    assert again.returncode == 0, again.stderr
    report = json.loads(again.stdout)
    assert report["agrees"] and report["same_surroundings"] == (report["remarks"] == [])
    verdicts = {entry["what"]: entry["verdict"] for entry in report["compared"]}
    assert set(verdicts.values()) == {"equal"}
    assert {"model.safetensors", "final training loss", "Perplexity: perplexity", f"rows of {CORPUS} train"} <= set(
        verdicts
    )
    assert f"{MODEL} v1.0.0 was reproduced, equal to the bit" in again.stderr
    for repo in (CORPUS, OTHER):
        assert f"verify {repo}: hubkit verify {repo} --revision " in again.stderr


def test_what_losses_were_noted_on_beside_is_recorded_at_its_commit(world):
    graph = json.loads(world.hubkit("lineage", MODEL, "--json").stdout)
    commit = world.api.dataset_info(OTHER).sha
    edges = [edge for edge in graph["edges"] if edge["relation"] == "evaluated on" and edge["to"] == graph["root"]]
    assert [(edge["from"], edge["pinned"], edge["flags"]) for edge in edges] == [
        (f"dataset:{OTHER}@{commit}", True, {})
    ]
    run = json.loads(Path(world.api.hf_hub_download(MODEL, "run.json", cache_dir=world.folder / "cache")).read_text())
    assert run["also_evaluate"] == {"other": {"repo": OTHER, "revision": commit, "release": "v1.0.0"}}


def test_a_second_call_finds_everything_done(world, again):
    done = world.hubkit("reproduce", MODEL, "--run", "-o", "again")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("done before: ") == len(json.loads(again.stdout)["commands"]) - 1
    assert "model.safetensors" in done.stdout


def test_published_numbers_that_are_not_true_are_found_out(world, again):
    file = world.api.hf_hub_download(MODEL, "evaluation.json", cache_dir=world.folder / "cache")
    evaluation = json.loads(Path(file).read_text())
    evaluation["results"][0]["metrics"][0]["value"] *= 0.9
    world.api.create_branch(MODEL, branch="untrue")
    text = json.dumps(evaluation).encode()
    world.api.upload_file(path_or_fileobj=text, path_in_repo="evaluation.json", repo_id=MODEL, revision="untrue")
    commit = world.api.model_info(MODEL, revision="untrue").sha
    state = json.loads((world.folder / "again" / "reproduce.json").read_text())
    (world.folder / "again" / "reproduce.json").write_text(json.dumps(state | {"commit": commit}))
    done = world.hubkit("reproduce", f"{MODEL}@untrue", "--run", "-o", "again")
    assert done.returncode == 1
    assert "was not reproduced: Perplexity: perplexity" in done.stderr
    assert any(
        line.startswith("Perplexity: perplexity") and line.endswith("differs") for line in done.stdout.splitlines()
    )


def test_interrupted_it_goes_on_where_it_was(interrupted, again):
    status, said, done = interrupted
    assert status == 130 and "hubkit: interrupted; the same command continues" in said
    assert done and [line for line in again.stderr.splitlines() if line.startswith("done before: ")][: len(done)] == [
        f"done before: {line}" for line in done
    ]
    assert "train: hubkit train published/recipe.json output=run" in again.stderr


def test_lineage_leads_from_the_corpus_to_the_model_and_into_a_file(world):
    done = world.hubkit("lineage", CORPUS, "--svg", "lineage.svg")
    assert done.returncode == 0, done.stderr
    assert f"└── model {MODEL} v1.0.0 " in done.stdout and "Perplexity: perplexity " in done.stdout
    drawn = ElementTree.parse(world.folder / "lineage.svg").getroot()
    assert len(drawn.findall("{http://www.w3.org/2000/svg}g")) == 4, (
        "the corpus, the tokenizer, the model, its evaluation"
    )
    data = json.loads(world.hubkit("lineage", MODEL, "--json").stdout)
    assert {edge["relation"] for edge in data["edges"]} == {"trained on", "tokenised by", "evaluated", "evaluated on"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lineage", "lab/nothing"), "hubkit: the Hub at http://127.0.0.1"),
        (("reproduce", "lab/nothing"), "has no lab/nothing"),
        (("reproduce", CORPUS), f"{CORPUS} is a dataset, and models are made again"),
        (("reproduce", "nothing"), "has no owner: write OWNER/NAME"),
        (("reproduce", f"{MODEL}@v9.9.9"), "does not have that revision"),
    ],
)
def test_what_is_wrong_is_one_line(world, arguments, message):
    done = world.hubkit(*arguments)
    assert done.returncode == 1 and done.stdout == ""
    assert len(done.stderr.strip().splitlines()) == 1 and message in done.stderr


def test_a_model_that_hubkit_did_not_train_can_not_be_made_again(world):
    world.api.create_repo("lab/foreign")
    done = world.hubkit("reproduce", "lab/foreign")
    assert done.returncode == 1 and "hubkit did not train it, so nothing says how" in done.stderr
