"""One corpus of each family: built, published, loaded back by plain `datasets`, and verified from the Hub."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.warm import warm

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SAMPLE = Path(__file__).parent.parent / "dataset_builders" / "data" / "text"

LOAD = """
import json, sys
sys.modules["hubkit"] = None
from datasets import load_dataset
found = {}
for repo in json.loads(sys.argv[1]):
    rows = load_dataset(repo, revision="v1.0.0")
    first = next(iter(load_dataset(repo, revision="v1.0.0", split="train", streaming=True)))
    assert first == rows["train"][0], repo
    found[repo] = [{split: data.num_rows for split, data in rows.items()}, sorted(first)]
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("families")


@pytest.fixture(scope="module")
def run(hub, home):
    environment = hub.process_environment | {"HF_HOME": str(home / "cache")}

    def run(*command):
        done = subprocess.run(
            [str(part) for part in command], cwd=home, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert "Warning" not in done.stderr, done.stderr
        return done.stdout

    with warm(home / "warm", environment) as bin:
        environment["PATH"] = f"{bin}{os.pathsep}{environment['PATH']}"
        yield run


@pytest.fixture(scope="module")
def published(run, home):
    """The repositories, each with the manifest that was published."""
    targets = {
        "lorenz": ["lorenz-xsmall", "--limit", 300],
        "rewriting": ["rewriting", "--set", "rule=double_a", "--set", "train=2000", "--set", "max_length=8"],
        "seqthetic": ["seqthetic-mixture", "--set", "tokens=300K"],
        "text": ["text", "--set", f'files=["{SAMPLE}/*.jsonl"]', "--set", "min_characters=10",
                 "--set", "shares={train: 2, test: 1}"],
        "tokens": ["tokens", "--set", f"corpus={home / 'lorenz'}", "--set", "tokenizer=lorenz"],
    }  # fmt: skip
    manifests = {}
    for family, target in targets.items():
        run("hubkit", "build", *target, "-o", home / family)
        run("hubkit", "publish", home / family, f"lab/family-{family}")
        manifests[f"lab/family-{family}"] = json.loads((home / family / "corpus.json").read_text())
    return manifests


def test_plain_datasets_loads_every_family(run, published):
    found = json.loads(run(sys.executable, "-c", LOAD, json.dumps(list(published))))
    for repo, manifest in published.items():
        rows, columns = found[repo]
        assert rows == {split: record["rows"] for split, record in manifest["splits"].items()}
        assert columns == sorted(column["name"] for column in manifest["columns"])


@pytest.mark.parametrize(
    ("family", "verdict", "sources"),
    [
        ("lorenz", "regenerated", None),
        ("rewriting", "regenerated", None),
        ("seqthetic", "regenerated", None),
        ("text", "rederived", SAMPLE),
        ("text", "intact", None),
        ("tokens", "rederived", "lorenz"),
    ],
)
def test_every_family_is_verified_from_the_hub(run, published, home, family, verdict, sources):
    given = () if sources is None else ("--sources", home / sources)
    told = run("hubkit", "verify", f"lab/family-{family}", "--shards", "all", *given, "--json")
    assert json.loads(told)["verdict"] == verdict, told
    if verdict == "intact":
        assert "sources were not found" in json.loads(told)["findings"][0]["reason"]


def test_nothing_that_is_published_says_where_it_was_made(published, home):
    for repo, manifest in published.items():
        said = json.dumps(manifest)
        assert str(home) not in said, repo
        assert str(SAMPLE) not in said, repo
