"""A person commits between plan and apply: what they wrote is in the release, and the new plan is shown."""

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from hubkit.hub_errors import Moved
from hubkit.projects import publish_project
from hubkit.publishing import committing, plan, publish
from hubkit.publishing.evaluations import publish_evaluation
from hubkit.publishing.hub import Repository
from hubkit.publishing.replanning import PLANS
from hubkit.publishing.rollback import plan_rollback
from hubkit.publishing.rows import publish_rows
from tests.faults import Fault, fault_proxy

from .conftest import Hub
from .folders import make_corpus, make_evaluation, make_model

MINE = "A word of mine."


def card(repo: str, api: HfApi, revision: str = "main", repo_type: str = "dataset") -> str:
    return (Repository(api, repo, repo_type).read("README.md", revision) or b"").decode()  # type: ignore[arg-type]


def write_into_card(repo: str, api: HfApi, text: str = MINE, repo_type: str = "dataset") -> None:
    """Add a line at the end of a card, as a person does in the browser."""
    new = f"{card(repo, api, repo_type=repo_type)}\n{text}\n".encode()
    api.upload_file(path_or_fileobj=new, path_in_repo="README.md", repo_id=repo, repo_type=repo_type)


@pytest.fixture
def before(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Return a function by which something happens before the first call of a method of the Hub's client."""

    def arrange(api: HfApi, method: str, happens: Callable[[], object], times: int = 1) -> None:
        real, left = getattr(api, method), times

        def call(*arguments: object, **options: object) -> object:
            nonlocal left
            if left:
                left -= 1
                happens()
            return real(*arguments, **options)

        monkeypatch.setattr(api, method, call)

    return arrange


@pytest.fixture
def released(corpus: Path, repo: str, api: HfApi) -> str:
    """A repository with one release."""
    publish(partial(plan, corpus, repo, api=api), api)
    return repo


@pytest.fixture
def longer(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "longer", {"train": 3001, "test": 100})


@pytest.fixture
def person(hub: Hub) -> HfApi:
    return hub.api


def test_the_command_plans_again_and_keeps_their_text(released: str, longer: Path, hub: Hub, tmp_path: Path) -> None:
    """In a process, with a Hub at which a person commits while the command's own commit is on its way."""
    commits: list[str] = []

    def decide(number: int, method: str, path: str) -> Fault | None:
        if method == "POST" and "/commit/main" in path:
            if not commits:
                write_into_card(released, hub.api)
            commits.append(path)
        return None

    with fault_proxy(hub.environment["HF_ENDPOINT"], decide) as proxy:
        environment = {**hub.process_environment, "HF_ENDPOINT": proxy.url, "HF_HOME": str(tmp_path / "home")}
        command = [sys.executable, "-m", "hubkit", "publish", str(longer), released, "--json"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tag"] == "v1.1.0"
    assert len(commits) == 2
    head = hub.api.list_repo_commits(released, repo_type="dataset")[1].commit_id[:12]
    assert f"{released} has moved on since the plan was made; this is the new plan:\n" in done.stderr
    assert f"(public, at {head})\nversion 1.1.0: " in done.stderr
    text = card(released, hub.api, "v1.1.0")
    assert MINE in text
    assert "| train | 3,001 |" in text


def test_a_repository_that_never_rests_is_left_alone(
    released: str, longer: Path, api: HfApi, person: HfApi, before: Callable[..., None]
) -> None:
    steps: list[str] = []
    before(api, "create_commit", lambda: write_into_card(released, person), times=99)
    with pytest.raises(Moved, match=f"^{released} has moved on since the plan was made: run the same command again$"):
        publish(partial(plan, longer, released, api=api), api, steps.append)
    assert card(released, person).count(MINE) == PLANS
    assert sum("this is the new plan" in step for step in steps) == PLANS - 1
    assert {ref.name for ref in person.list_repo_refs(released, repo_type="dataset").tags} == {"v1.0.0"}


def test_a_repository_or_a_tag_that_somebody_made_meanwhile(
    corpus: Path, repo: str, api: HfApi, person: HfApi, before: Callable[..., None]
) -> None:
    def create() -> None:
        person.create_repo(repo, repo_type="dataset")
        write_into_card(repo, person)

    def tag() -> None:
        first = person.list_repo_commits(repo, repo_type="dataset")[-1].commit_id
        person.create_tag(repo, tag="v1.0.0", revision=first, repo_type="dataset")

    steps: list[str] = []
    before(api, "create_repo", create)
    before(api, "create_tag", tag)
    release = publish(partial(plan, corpus, repo, api=api), api, steps.append)
    assert (release.tag, steps[1].split(";")[0]) == (
        "v2.0.0",
        f"{repo} was created by somebody since the plan was made",
    )
    assert any(step.startswith(f"the tag v1.0.0 of {repo} points at ") for step in steps)
    assert MINE in card(repo, api, "v2.0.0")


def test_a_pull_request_takes_nothing_back(
    released: str, longer: Path, api: HfApi, person: HfApi, before: Callable[..., None]
) -> None:
    before(api, "create_pull_request", lambda: write_into_card(released, person))
    release = publish(partial(plan, longer, released, create_pr=True, api=api), api)
    assert MINE in card(released, api, release.commit)
    assert (release.pull_request or "").endswith("/discussions/2")
    pulls = person.get_repo_discussions(released, repo_type="dataset")
    assert sorted((pull.num, pull.status) for pull in pulls) == [(1, "closed"), (2, "open")]


def test_a_large_release_is_planned_again_before_its_merge(
    released: str, longer: Path, api: HfApi, person: HfApi, before: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "COMMIT_FILES", 4)
    before(api, "create_pull_request", lambda: write_into_card(released, person))
    assert publish(partial(plan, longer, released, api=api), api).tag == "v1.1.0"
    assert MINE in card(released, api, "v1.1.0")


def test_a_rollback_is_planned_again(
    released: str, longer: Path, api: HfApi, person: HfApi, before: Callable[..., None]
) -> None:
    publish(partial(plan, longer, released, api=api), api)
    before(api, "create_commit", lambda: write_into_card(released, person))
    assert publish(partial(plan_rollback, released, "v1.0.0", api=api), api).tag == "v2.0.0"
    assert MINE in card(released, api, "v2.0.0")


def test_an_evaluation_joins_what_was_published_meanwhile(
    tmp_path: Path, repo: str, api: HfApi, person: HfApi, before: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    model = make_evaluation(make_model(tmp_path / "model"))
    publish(partial(plan, model, repo, api=api), api)

    def evaluation(name: str) -> dict:
        dataset = {"repo": "lab/counting", "revision": "d" * 40, "split": "test"}
        metric = {"type": "accuracy", "name": "top-1 accuracy", "value": 0.75}
        return {"results": [{"task": {"type": "fill-mask", "name": name}, "dataset": dataset, "metrics": [metric]}]}

    before(api, "create_commit", lambda: publish_evaluation(model, repo, evaluation("theirs"), api=person))
    steps: list[str] = []
    publish_evaluation(model, repo, evaluation("ours"), api=api, progress=steps.append)
    assert any("this is the new plan" in step for step in steps)
    found = json.loads(Repository(api, repo, "model").read("evaluation.json", "main") or b"")["results"]
    assert {"ours", "theirs"} <= {result["task"]["name"] for result in found}


def test_a_project_and_a_function_are_planned_again(
    corpus: Path, repo: str, api: HfApi, person: HfApi, before: Callable[..., None], tmp_path: Path
) -> None:
    project = tmp_path / "project.yaml"
    project.write_text(f"corpora: {{{repo}: {corpus.name}}}\n")
    for _ in publish_project(project, api):
        pass
    before(api, "create_commit", lambda: write_into_card(repo, person))
    make_corpus(corpus, {"train": 3001, "test": 100})
    assert [release.tag for release in publish_project(project, api)] == ["v1.1.0"]
    assert MINE in card(repo, api, "v1.1.0")

    def row(index: int) -> dict[str, int]:
        return {"number": index}

    sums = f"{repo}-rows"
    publish_rows(row, None, sums, splits={"train": 10}, api=api)
    before(api, "create_commit", lambda: write_into_card(sums, person))
    assert publish_rows(row, None, sums, splits={"train": 20}, api=api).tag == "v1.1.0"
    assert MINE in card(sums, api, "v1.1.0")
