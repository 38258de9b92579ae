"""Releases by way of a pull request: for other people's repositories, and above the limits of one commit."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from huggingface_hub.community import Discussion

from hubkit.errors import UserError
from hubkit.publishing import Action, apply, committing, plan
from hubkit.publishing.hub import Repository
from hubkit.server.tokens import TokenStore

from .conftest import Hub
from .folders import make_corpus


def pulls(repo: str, api: HfApi) -> list[Discussion]:
    return list(api.get_repo_discussions(repo, repo_type="dataset", discussion_type="pull_request"))


def tags(repo: str, api: HfApi) -> set[str]:
    return {ref.name for ref in api.list_repo_refs(repo, repo_type="dataset").tags}


def titles(repo: str, api: HfApi, revision: str = "main") -> list[str]:
    return [commit.title for commit in api.list_repo_commits(repo, repo_type="dataset", revision=revision)]


@pytest.fixture
def released(corpus: Path, repo: str, api: HfApi) -> str:
    """A repository with the release v1.0.0."""
    apply(plan(corpus, repo, api=api), api)
    return repo


@pytest.fixture
def larger(corpus: Path) -> Path:
    """What is to become v1.1.0."""
    return make_corpus(corpus.parent / "larger", {"train": 9000, "test": 100})


def test_a_proposal_is_verified_and_tagged_after_its_merge(released: str, larger: Path, api: HfApi) -> None:
    before = api.dataset_info(released).sha
    made = plan(larger, released, create_pr=True, api=api)
    assert made.render().endswith("after the merge, the same command without --create-pr tags v1.1.0")
    release = apply(made, api)
    assert (release.tag, release.pull_request) == (None, f"{api.endpoint}/datasets/{released}/discussions/1")
    assert (api.dataset_info(released).sha, tags(released, api)) == (before, {"v1.0.0"})
    assert [(pull.status, pull.title.partition(" [")[0]) for pull in pulls(released, api)] == [
        ("open", "Release v1.1.0")
    ]
    # The same command finds what it did before; another folder's proposal replaces it.
    assert apply(plan(larger, released, create_pr=True, api=api), api).pull_request == release.pull_request
    other = make_corpus(larger.parent / "other", {"train": 4000, "test": 100})
    apply(plan(other, released, create_pr=True, api=api), api)
    assert [(pull.num, pull.status) for pull in pulls(released, api)] == [(2, "open"), (1, "closed")]
    api.merge_pull_request(released, 2, repo_type="dataset")
    merged = plan(other, released, api=api)
    assert (merged.changes, merged.tag) == ((), "v1.1.0")
    assert apply(merged, api).tag == "v1.1.0"


def test_a_repository_of_somebody_else_is_named_with_the_way_out(
    released: str, larger: Path, api: HfApi, hub: Hub
) -> None:
    guest = HfApi(endpoint=api.endpoint, token=TokenStore(hub.root).add("guest", "read", f"reader of {released}"))
    with pytest.raises(UserError, match=r"may only read.*or add --create-pr, which proposes the release to that owner"):
        apply(plan(larger, released, api=guest), guest)
    with pytest.raises(UserError, match="does not exist, so nobody can merge a pull request: leave out --create-pr"):
        plan(larger, f"{released}-new", create_pr=True, api=api)


def test_more_than_one_commit_can_hold_is_gathered_and_merged_once(
    released: str, larger: Path, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "COMMIT_FILES", 4)
    steps: list[str] = []
    made = plan(larger, released, api=api)
    release = apply(made, api, steps.append)
    assert (release.tag, tags(released, api)) == ("v1.1.0", {"v1.0.0", "v1.1.0"})
    assert release.commit == api.dataset_info(released, revision="v1.1.0").sha
    sent = [step for step in steps if step.startswith("sending")]
    assert len(sent) == -(-len(made.changes) // 4) > 3
    assert sent[0].startswith(f"sending part 1 of {len(sent)}: ")
    assert [step.split()[0] for step in steps[len(sent) :]] == ["verifying", "loading", "merging", "tagging"]
    assert titles(released, api)[1] == "Release v1.0.0"
    assert [pull.status for pull in pulls(released, api)] == ["merged"]


def test_a_first_release_can_be_large_too(corpus: Path, repo: str, api: HfApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committing, "COMMIT_BYTES", 6000)
    assert apply(plan(corpus, repo, api=api), api).tag == "v1.0.0"
    parts = titles(repo, api, "refs/pr/1")[:-1]
    assert len(parts) > 3
    assert parts[0] == f"Release v1.0.0, part {len(parts)} of {len(parts)}"
    assert plan(corpus, repo, api=api).changes == ()


def stop_at(api: HfApi, name: str, call: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Have the client fail at one call of a method, as if the network had gone; return what mends it."""
    original, calls = getattr(api, name), iter(range(1, 100))

    def broken(*arguments: object, **options: object) -> object:
        if next(calls) == call:
            raise ConnectionError("gone")
        return original(*arguments, **options)

    monkeypatch.setattr(api, name, broken)
    return lambda: monkeypatch.setattr(api, name, original)


@pytest.mark.parametrize(
    ("method", "call"),
    [("create_pull_request", 1), ("create_commit", 1), ("create_commit", 3), ("merge_pull_request", 1),
     ("change_discussion_status", 1), ("create_tag", 1)],
)  # fmt: skip
def test_the_same_command_goes_on_and_leaves_no_litter(
    released: str, larger: Path, api: HfApi, monkeypatch: pytest.MonkeyPatch, method: str, call: int
) -> None:
    monkeypatch.setattr(committing, "COMMIT_FILES", 5)
    before = api.dataset_info(released).sha
    mend = stop_at(api, method, call, monkeypatch)
    with pytest.raises(UserError, match="gone"):
        apply(plan(larger, released, api=api), api)
    assert tags(released, api) == {"v1.0.0"}
    assert method == "create_tag" or api.dataset_info(released).sha == before
    mend()
    steps: list[str] = []
    made = plan(larger, released, api=api)
    assert apply(made, api, steps.append).tag == "v1.1.0"
    assert [pull.status for pull in pulls(released, api)] == ["merged"]
    if call == 3:  # two of the parts were there
        assert len([step for step in steps if step.startswith("sending")]) == -(-len(made.changes) // 5) - 2


def test_a_pull_request_for_a_plan_that_is_no_longer_right_is_closed(
    released: str, larger: Path, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "COMMIT_FILES", 5)
    mend = stop_at(api, "merge_pull_request", 1, monkeypatch)
    with pytest.raises(UserError, match="gone"):
        apply(plan(larger, released, api=api), api)
    mend()
    operation = CommitOperationAdd("notes.md", b"a person's")
    api.create_commit(released, [operation], commit_message="by hand", repo_type="dataset")
    assert apply(plan(larger, released, api=api), api).tag == "v1.1.0"
    assert [(pull.num, pull.status) for pull in pulls(released, api)] == [(2, "merged"), (1, "closed")]
    assert Repository(api, released, "dataset").read("notes.md", "v1.1.0") == b"a person's"


def test_what_others_put_into_a_pull_request_is_not_merged(
    released: str, larger: Path, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "COMMIT_FILES", 5)
    stop_at(api, "merge_pull_request", 1, monkeypatch)
    with pytest.raises(UserError, match="gone"):
        apply(plan(larger, released, api=api), api)
    operation = CommitOperationAdd("evil.py", b"x")
    api.create_commit(released, [operation], commit_message="x", repo_type="dataset", revision="refs/pr/1")
    with pytest.raises(UserError, match=r"evil\.py is none of the plan's files"):
        apply(plan(larger, released, api=api), api)
    assert tags(released, api) == {"v1.0.0"}


def test_a_shard_under_another_name_is_copied_on_the_hub(released: str, larger: Path, api: HfApi) -> None:
    made = plan(larger, released, api=api)
    copied = [file.path for file in made.files if file.action is Action.COPY]
    assert copied == ["data/train-00000-of-00009.parquet", "data/train-00001-of-00009.parquet"]
    assert made.upload_bytes < sum(file.size for file in made.files if file.action is not Action.DELETE)
    moved = replace(made, files=tuple(replace(f, size=1) if f.path == copied[0] else f for f in made.files))
    with pytest.raises(UserError, match="has other bytes"):
        apply(moved, api)
    assert apply(plan(larger, released, api=api), api).tag == "v1.1.0"


def test_a_long_plan_names_the_first_files_and_counts_the_others(
    corpus: Path, repo: str, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(committing, "COMMIT_FILES", 10)
    text = plan(make_corpus(corpus.parent / "many", {"train": 25 * 1024}), repo, api=api).render()
    lines = [line for line in text.splitlines() if line.startswith("  add ")]
    assert len(lines) == 21
    assert lines[-1].startswith("  add      … and ")
    assert "changes in 3 commits of a pull request, merged as one (sends " in text
