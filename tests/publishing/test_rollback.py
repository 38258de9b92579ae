"""An old release comes back as a new one, of bytes that the Hub has."""

from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hubkit.errors import UserError
from hubkit.publishing import Action, apply, plan
from hubkit.publishing.history import releases
from hubkit.publishing.hub import Repository
from hubkit.publishing.rollback import plan_rollback, renamed
from hubkit.publishing.sources import OURS
from hubkit.publishing.versions import Version

from .folders import make_corpus, make_model, make_space


def publish(folder: Path, repo: str, api: HfApi) -> None:
    apply(plan(folder, repo, api=api), api)


def write(repo: str, api: HfApi, path: str, data: bytes) -> None:
    api.create_commit(repo, [CommitOperationAdd(path, data)], commit_message="by hand", repo_type="dataset")


def data_files(repo: str, api: HfApi, revision: str, repo_type: str = "dataset") -> dict[str, str]:
    files = Repository(api, repo, repo_type).files(revision)  # type: ignore[arg-type]
    return {path: file.git_oid for path, file in files.items() if path not in OURS}


def test_an_old_release_comes_back_without_being_sent(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "2", {"train": 2000, "extra": 9}, seed="b"), repo, api)
    card = Repository(api, repo, "dataset").read("README.md", "main") or b""
    write(repo, api, "README.md", card.replace(b"# Publish", b"# Mine\n\nA word of mine.\n\n# Publish"))
    made = plan_rollback(repo, "1.0.0", api=api)
    assert (made.version, made.tag) == ("3.0.0", "v3.0.0")
    assert made.why == "brings back v1.0.0; rows of the last release are gone or different"
    actions = {file.path: file.action for file in made.files}
    assert actions["data/train-00002-of-00003.parquet"] is Action.COPY
    assert actions["data/extra-00000-of-00001.parquet"] is Action.DELETE
    assert {path for path, action in actions.items() if action is Action.ADD} == OURS
    release = apply(made, api)
    assert api.dataset_info(repo, revision="v3.0.0").sha == release.commit
    assert data_files(repo, api, "v3.0.0") == data_files(repo, api, "v1.0.0")
    text = (Repository(api, repo, "dataset").read("README.md", "v3.0.0") or b"").decode()
    assert "A word of mine." in text
    assert "| train | 3,000 | 3 |" in text
    assert "v1.0.0" not in text
    assert text.count('revision="v3.0.0"') == 2
    assert releases(repo, api=api).releases[0].why == made.why
    again = plan_rollback(repo, "v1.0.0", api=api)
    assert (again.changes, again.tag) == ((), None)


def test_rows_that_only_come_back_make_a_minor_version(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "2", {"train": 2000, "test": 100}), repo, api)
    made = plan_rollback(repo, "v1.0.0", api=api)
    assert made.version == "2.1.0"
    assert made.details == ("train: 2,000 → 3,000 rows",)


def test_an_interrupted_rollback_is_finished_by_the_same_command(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "2", {"train": 10, "test": 100}), repo, api)
    apply(plan_rollback(repo, "v1.0.0", api=api), api)
    api.delete_tag(repo, tag="v2.1.0", repo_type="dataset")  # as if the process had died just before
    made = plan_rollback(repo, "v1.0.0", api=api)
    assert (made.changes, made.tag) == ((), "v2.1.0")


def test_models_and_spaces_come_back_too(tmp_path: Path, repo: str, api: HfApi) -> None:
    publish(make_model(tmp_path / "1"), f"{repo}-m", api)
    publish(make_model(tmp_path / "2", b"\1" * 16), f"{repo}-m", api)
    made = plan_rollback(f"{repo}-m", "v1.0.0", api=api)
    assert (made.version, made.kind, made.repo_type) == ("1.2.0", "model", "model")
    commit = apply(made, api).commit
    assert data_files(f"{repo}-m", api, "v1.2.0", "model") == data_files(f"{repo}-m", api, "v1.0.0", "model")
    pin = {"repo": f"{repo}-m", "revision": commit}
    publish(make_space(tmp_path / "s", [pin]), f"{repo}-s", api)
    publish(make_space(tmp_path / "s", [pin], title="Counted"), f"{repo}-s", api)
    assert apply(plan_rollback(f"{repo}-s", "v1.0.0", api=api), api).tag == "v1.2.0"
    assert b"title: Counting\n" in (Repository(api, f"{repo}-s", "space").read("README.md", "main") or b"")


def test_a_tokenizer_comes_back_too(tmp_path: Path, repo: str, api: HfApi) -> None:
    model = make_model(tmp_path / "m")
    for number, word in enumerate(("one", "two")):
        folder = tmp_path / str(number)
        folder.mkdir()
        text = (model / "tokenizer.json").read_text().replace("[UNK]", word)
        (folder / "tokenizer.json").write_text(text)
        (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
        publish(folder, repo, api)
    made = plan_rollback(repo, "v1.0.0", api=api)
    assert (made.kind, made.version) == ("tokenizer", "3.0.0")
    assert apply(made, api).tag == "v3.0.0"
    assert data_files(repo, api, "v3.0.0", "model") == data_files(repo, api, "v1.0.0", "model")


def test_what_can_t_come_back_is_said(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    with pytest.raises(UserError, match=r"has no release v4\.0\.0 \(it has v1\.0\.0\)"):
        plan_rollback(repo, "v4.0.0", api=api)
    with pytest.raises(UserError, match=r"'main' is not a release: write its version, such as v1\.0\.0"):
        plan_rollback(repo, "main", api=api)
    other = f"{repo}-other"
    api.create_repo(other, repo_type="dataset")
    api.create_tag(other, tag="v1.0.0", repo_type="dataset")
    with pytest.raises(UserError, match=r"v1\.0\.0 of .* was not made by hubkit.*hf download .* --revision v1\.0\.0"):
        plan_rollback(other, "v1.0.0", api=api)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('load_dataset("lab/x", revision="v1.0.0")', 'load_dataset("lab/x", revision="v2.0.0")'),
        ("hubkit verify lab/x --revision v1.0.0 --shards", "hubkit verify lab/x --revision v2.0.0 --shards"),
        ("Dataset lab/x, version v1.0.0}", "Dataset lab/x, version v2.0.0}"),
        ("trained on lab/y at v1.0.0", "trained on lab/y at v1.0.0"),
        ('load_dataset("lab/xy", revision="v1.0.0")', 'load_dataset("lab/xy", revision="v1.0.0")'),
        ('load_dataset("lab/x", revision="v1.0.01")', 'load_dataset("lab/x", revision="v1.0.01")'),
    ],
)
def test_only_a_repository_s_own_version_is_renamed(text: str, expected: str) -> None:
    assert renamed(text, "lab/x", Version(1, 0, 0), Version(2, 0, 0)) == expected
