"""`hubkit releases`: what a repository released, read from the repository alone."""

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hubkit.errors import UserError
from hubkit.publishing import apply, plan
from hubkit.publishing.history import releases

from .folders import make_corpus, make_model, make_space


def publish(folder: Path, repo: str, api: HfApi) -> None:
    apply(plan(folder, repo, api=api), api)


def test_releases_say_what_changed_and_what_they_hold(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "2", {"train": 3500, "test": 100}), repo, api)
    publish(make_corpus(corpus.parent / "3", {"train": 10, "test": 100}), repo, api)
    found = releases(repo, api=api)
    assert [str(release.version) for release in found.releases] == ["2.0.0", "1.1.0", "1.0.0"]
    assert [release.level for release in found.releases] == ["major", "minor", "first"]
    newest = found.releases[0]
    assert (newest.why, newest.details) == (
        "rows of the last release are gone or different",
        ("train: 3,500 → 10 rows",),
    )
    assert newest.rows == {"train": 10, "test": 100}
    assert newest.commit == api.dataset_info(repo, revision="v2.0.0").sha
    assert newest.date is not None and newest.date.startswith("20")
    assert found.releases[1].files == 6
    text = found.render()
    assert "MINOR: rows were added; every row of the last release is unchanged" in text
    assert "    - train: 3,000 → 3,500 rows\n    train 3,500 rows · test 100 rows · 6 files, " in text
    assert found.to_json()["releases"][2]["tag"] == "v1.0.0"


def test_a_tag_that_hubkit_did_not_make_is_named(corpus: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    api.create_commit(repo, [CommitOperationAdd("rows.csv", b"a\n1\n")], commit_message="x", repo_type="dataset")
    api.create_tag(repo, tag="v0.9.0", repo_type="dataset")
    api.create_tag(repo, tag="nightly", repo_type="dataset")
    publish(corpus, repo, api)
    ours, theirs = releases(repo, api=api).releases
    assert (ours.kind, str(ours.version), ours.level) == ("corpus", "1.0.0", "major")
    assert (theirs.kind, str(theirs.version), theirs.level, theirs.files) == (None, "0.9.0", None, 2)
    assert "not made by hubkit" in releases(repo, api=api).render()


def test_models_and_spaces_have_releases_too(tmp_path: Path, repo: str, api: HfApi) -> None:
    publish(make_model(tmp_path / "m"), f"{repo}-m", api)
    [model] = releases(f"{repo}-m", api=api).releases
    assert model.weights == (tmp_path / "m" / "model.safetensors").stat().st_size
    pin = {"repo": f"{repo}-m", "revision": model.commit}
    publish(make_space(tmp_path / "s", [pin]), f"{repo}-s", api)
    [space] = releases(f"{repo}-s", api=api).releases
    assert (space.kind, space.rows, space.weights) == ("space", {}, 0)


def test_a_repository_without_releases_is_told_so(repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    assert releases(repo, api=api).render() == f"dataset {repo} has no releases: no tag of the form v1.0.0"


def test_a_name_must_be_there_and_mean_one_repository(repo: str, api: HfApi) -> None:
    with pytest.raises(UserError, match=f"has no repository {repo}"):
        releases(repo, api=api)
    api.create_repo(repo, repo_type="dataset")
    api.create_repo(repo, repo_type="model")
    with pytest.raises(UserError, match=f"{repo} is a model and a dataset on this Hub: say which with --type"):
        releases(repo, api=api)
    assert releases(repo, "dataset", api=api).repo_type == "dataset"


def test_words_that_a_person_put_into_the_changelog_are_shown(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    text = b"# Changelog\n\n## v1.0.0\n\nWhat the paper used.\n"
    api.create_commit(repo, [CommitOperationAdd("CHANGELOG.md", text)], commit_message="x", repo_type="dataset")
    [release] = releases(repo, api=api).releases
    assert (release.level, release.why) == (None, "What the paper used")
