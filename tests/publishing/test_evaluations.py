"""An evaluation that is pushed changes the card, the results and nothing else of the repository."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import CommitOperationAdd, HfApi, constants

from hubkit.errors import UserError
from hubkit.publishing import apply, plan
from hubkit.publishing.evaluations import publish_evaluation
from hubkit.publishing.hub import Repository

from .folders import make_evaluation, make_model


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = make_evaluation(make_model(tmp_path / "model"))
    (folder / "modeling_counting.py").write_text("x = 1\n")
    (folder / "LICENSE").write_text("Free.\n")
    (folder / "chat_template.jinja").write_text("{{ x }}\n")
    return folder


def results(value: float) -> dict[str, Any]:
    dataset = {"repo": "lab/counting", "revision": "d" * 40, "split": "test"}
    metric = {"type": "accuracy", "name": "top-1 accuracy", "value": value}
    task = {"type": "fill-mask", "name": "integer part masked"}
    return {"results": [{"task": task, "dataset": dataset, "metrics": [metric]}]}


def test_only_results_and_card_change(model: Path, repo: str, api: HfApi) -> None:
    apply(plan(model, repo, api=api), api)
    api.create_commit(repo, [CommitOperationAdd("notes.json", b"{}")], commit_message="by hand")
    before = Repository(api, repo, "model").files("main")
    # What is evaluated need not be the whole repository: weights, config and lineage do.
    part = model.parent / "part"
    part.mkdir()
    for name in ("config.json", "run.json", "model.safetensors"):
        shutil.copy(model / name, part)
    release = publish_evaluation(part, repo, results(0.75), api=api)
    after = Repository(api, repo, "model").files("main")
    assert release.tag == "v1.0.1"
    changed = {path for path in before | after if before.get(path) != after.get(path)}
    assert changed == {"README.md", "CHANGELOG.md", "release.json", "evaluation.json"}
    found = json.loads(Repository(api, repo, "model").read("evaluation.json", "main") or b"")["results"]
    assert [(result["task"]["name"], result["metrics"][0]["value"]) for result in found] == [
        ("integer part masked", 0.75),
        ("fraction masked", 0.26),
    ]
    card = (Repository(api, repo, "model").read("README.md", "main") or b"").decode()
    assert len(yaml.safe_load(card.split("---\n")[1])["model-index"][0]["results"]) == 2


def test_results_of_older_weights_are_refused(model: Path, repo: str, api: HfApi, tmp_path: Path) -> None:
    apply(plan(model, repo, api=api), api)
    apply(plan(make_model(tmp_path / "newer", b"\1" * 16), repo, api=api), api)
    before = Repository(api, repo, "model").files("main")
    with pytest.raises(UserError, match=r"are not those that .* has now: evaluate its newest revision"):
        publish_evaluation(model, repo, results(0.75), api=api)
    assert Repository(api, repo, "model").files("main") == before


def test_a_model_of_somebody_else_is_left_alone(model: Path, repo: str, api: HfApi) -> None:
    with pytest.raises(UserError, match="no model"):
        publish_evaluation(model, repo, results(0.75), api=api)
    api.create_repo(repo)
    weights = CommitOperationAdd("model.safetensors", model / "model.safetensors")
    api.create_commit(repo, [weights], commit_message="by hand")
    with pytest.raises(UserError, match="no release of hubkit's"):
        publish_evaluation(model, repo, results(0.75), api=api)
