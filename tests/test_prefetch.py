"""What is fetched with a network is enough without one, and no other commit is ever taken for it."""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.models.roberta import RobertaSpec
from hubkit.server import process
from hubkit.tokenizers import make_tokenizer, save_tokenizer

HUBKIT = Path(sys.executable).with_name("hubkit")
SPLITS = {"train": 64, "validation": 24, "test": 24}
CHANGES = (
    "name=worlds-roberta", "dataset.repo=lab/worlds", "training.steps=4", "training.schedule.warmup_steps=1",
    "training.log_every=1", "training.evaluate_every=2", "training.checkpoint_every=4", "model.hidden_size=32",
    "publish_to=null",
)  # fmt: skip


@dataclass
class Site:
    """A login node: a user's folder with its own cache, and a Hub that can be switched off."""

    folder: Path
    environment: dict[str, str]

    def run(self, *command: object, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(part) for part in command], cwd=self.folder, env=self.environment | environment,
            capture_output=True, text=True, timeout=200,
        )  # fmt: skip

    def hubkit(self, *arguments: object, **environment: str) -> str:
        """Return what a command prints; it must end well."""
        done = self.run(HUBKIT, *arguments, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def refused(self, *arguments: object, **environment: str) -> str:
        """Return the one line with which a command refuses."""
        done = self.run(HUBKIT, *arguments, **environment)
        assert done.returncode == 1, done.stderr
        return next(line for line in done.stderr.splitlines() if line.startswith("hubkit: "))

    def publish(self, rows: dict[str, int]) -> None:
        corpus = self.folder / f"corpus-{rows['train']}"
        build(find("lorenz-tiny", [f"splits.{split}={count}" for split, count in rows.items()]), corpus)
        self.hubkit("publish", corpus, "lab/worlds")

    def rows(self, revision: str | None, **environment: str) -> list:
        """Return commit, release and numbers of rows that a training would find."""
        done = self._rows(revision, **environment)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def no_rows(self, revision: str | None, **environment: str) -> str:
        """Return why a training would find no rows."""
        done = self._rows(revision, **environment)
        assert done.returncode == 1, done.stdout
        return done.stderr.splitlines()[-1]

    def _rows(self, revision: str | None, **environment: str) -> subprocess.CompletedProcess[str]:
        code = (
            "import json, sys; from hubkit.hub import load_rows, resolve; revision = json.loads(sys.argv[1])\n"
            "commit = resolve('lab/worlds', revision)\n"
            "count = lambda split: len(load_rows('lab/worlds', commit.revision, split, columns=('text',)))\n"
            "print(json.dumps([commit.revision, commit.release, *map(count, ('train', 'validation', 'test'))]))"
        )
        return self.run(sys.executable, "-c", code, json.dumps(revision), **environment)


def prefetch_arguments(*changes: str) -> list[str]:
    return ["prefetch", "lorenz-tiny", *(word for change in (*CHANGES, *changes) for word in ("--set", change))]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A Hub with two releases of a dataset."""
    folder = tmp_path_factory.mktemp("site")
    process.start(folder / "hub", port=0)
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "ACCELERATE_"))}
    made = Site(folder, clean | process.client_environment(folder / "hub") | {"HOME": str(folder)})
    made.publish(SPLITS)
    made.publish(SPLITS | {"train": 96})
    yield made
    process.stop(folder / "hub")


@pytest.mark.slow
def test_a_node_without_network_trains_on_what_was_fetched(site):
    fetched = json.loads(site.hubkit(*prefetch_arguments("dataset.revision=v1.0.0"), "--json"))
    (dataset,) = fetched["fetched"]
    assert (dataset["kind"], dataset["repo"], dataset["release"]) == ("dataset", "lab/worlds", "v1.0.0")
    assert Path(dataset["folder"]).name == dataset["revision"]
    assert dataset["files"] >= 5 and dataset["bytes"] > 10_000
    assert fetched["set"]["HF_HUB_OFFLINE"] == "1"
    assert Path(dataset["folder"]).is_relative_to(fetched["set"]["HF_HOME"])
    # The newer release comes into the cache as well, by a plain look at it: part of it, and prepared last.
    online = site.rows(None)
    assert online[2:] == [96, 24, 24]
    process.stop(site.folder / "hub")
    try:
        node = fetched["set"]
        assert site.rows("v1.0.0", **node) == [dataset["revision"], "v1.0.0", 64, 24, 24]
        trained = site.run(HUBKIT, "train", "lorenz-tiny", *CHANGES, "dataset.revision=v1.0.0", **node)
        assert trained.returncode == 0 and "Could not reach" not in trained.stderr, trained.stderr
        run = json.loads((site.folder / "runs/worlds-roberta/model/run.json").read_text())
        assert run["datasets"][0]["revision"] == dataset["revision"]
        assert run["datasets"][0]["release"] == "v1.0.0"
        assert (site.folder / "runs/worlds-roberta/model/evaluation.json").is_file()

        refused = site.refused("train", "lorenz-tiny", *CHANGES, **node)
        assert "HF_HUB_OFFLINE is set, and lab/worlds at its newest commit is not, or not completely, in the" in refused
        assert "run `hubkit prefetch RECIPE`" in refused
        assert "unset it" in site.refused(*prefetch_arguments(), **node)
        shard = next(Path(dataset["folder"]).glob("data/train-*"))
        hidden = shard.rename(shard.with_name("hidden"))
        assert "not completely" in site.no_rows("v1.0.0", **node)
        hidden.rename(shard)
    finally:
        process.start(site.folder / "hub", port=int(site.environment["HF_ENDPOINT"].rpartition(":")[2]))


EVERYTHING = """
name: all
dataset: {repo: lab/worlds, revision: v1.0.0}
mix: [{repo: lab/worlds, validation: nowhere}, {folder: corpus-64}]
also_evaluate: {more: {repo: lab/worlds, train: nowhere, test: nowhere}}
tokenizer: lab/base
init_from: lab/base@v1.0.0
model: {architecture: roberta}
objective: {name: masked}
training: {steps: 1, batch_size: 8, learning_rate: 0.001}
"""


@pytest.mark.slow
def test_all_that_a_recipe_names_comes_along_each_once(site):
    tokenizer = make_tokenizer("lorenz")
    save_tokenizer(tokenizer, site.folder / "base")
    small = RobertaSpec(hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
    small.make(tokenizer, 16).save_pretrained(site.folder / "base")
    api = HfApi(endpoint=site.environment["HF_ENDPOINT"], token=site.environment["HF_TOKEN"])
    api.create_repo("lab/base")
    api.upload_folder(repo_id="lab/base", folder_path=site.folder / "base")
    api.create_tag("lab/base", tag="v1.0.0")
    (site.folder / "all.yaml").write_text(EVERYTHING)
    fetched = json.loads(site.hubkit("prefetch", "all.yaml", "--json"))["fetched"]
    assert [(one["kind"], one["repo"], one["release"]) for one in fetched] == [
        ("dataset", "lab/worlds", "v1.0.0"), ("dataset", "lab/worlds", "v1.1.0"), ("model", "lab/base", "v1.0.0")
    ]  # fmt: skip
    (site.folder / "tokens.yaml").write_text(EVERYTHING.replace("init_from: lab/base@v1.0.0\n", ""))
    elsewhere = {"HF_HOME": str(site.folder / "elsewhere")}
    fetched_there = json.loads(site.hubkit("prefetch", "tokens.yaml", "--json", **elsewhere))["fetched"]
    assert sorted(path.name for path in Path(fetched_there[-1]["folder"]).iterdir()) == [
        "tokenizer.json", "tokenizer_config.json"
    ], "no weights where only the tokenizer is wanted"  # fmt: skip
    offline = (
        "from hubkit.training.recipe import read_recipe; from hubkit.training.starting import *\n"
        "recipe = read_recipe('all.yaml')\n"
        "print(len(tokenizer_of(recipe, find_commit(recipe.tokenizer))))\n"
        "with find_weights(recipe.init_from, find_commit(recipe.init_from)) as (folder, _): print(folder.name)"
    )
    done = site.run(sys.executable, "-c", offline, HF_HUB_OFFLINE="1")
    assert done.stdout.split()[1:] == [fetched[-1]["revision"]], done.stderr

    (site.folder / "all.yaml").write_text(EVERYTHING.replace("train: nowhere, ", "validation: dev, "))
    assert "lab/worlds has no split 'dev'" in site.refused("prefetch", "all.yaml")


@pytest.mark.slow
def test_more_repositories_come_along(site):
    said = site.hubkit(*prefetch_arguments(), "--dataset", "lab/worlds@v1.0.0")
    newest, first = re.findall(r"^dataset  lab/worlds at (\w{12}) (v1\.\d)\.0: \d+ files", said, re.MULTILINE)
    assert (newest[1], first[1]) == ("v1.1", "v1.0") and newest[0] != first[0]
    assert "export HF_HUB_OFFLINE=1\n" in said
    assert site.rows(None, HF_HUB_OFFLINE="1")[0].startswith(newest[0])
    assert "has no model lab/none" in site.refused(*prefetch_arguments(), "--model", "lab/none")


@pytest.mark.slow
def test_what_the_dataset_lacks_is_found_out_before_the_job_waits(site):
    lacking = site.refused(*prefetch_arguments("dataset.validation=dev"))
    assert "dataset: lab/worlds has no split 'dev' (it has train, validation, test)" in lacking
    assert "dataset: can't load config 'large' of lab/worlds" in site.refused(
        *prefetch_arguments("dataset.config=large")
    )
