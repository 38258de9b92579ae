"""Plan and apply against a real Hub: the embedded one, in a process of its own."""

import json
import re
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi

from hubkit.errors import UserError
from hubkit.publishing import Action, Plan, PlannedFile, apply, plan
from hubkit.publishing.applying import difference
from hubkit.publishing.hub import RemoteFile, Repository

from .conftest import Hub
from .folders import make_corpus, make_evaluation, make_model, make_space


def publish(folder: Path, repo: str, api: HfApi) -> Plan:
    made = plan(folder, repo, api=api)
    apply(made, api)
    return made


def served(repo: str, path: str, api: HfApi, revision: str = "main") -> bytes:
    data = Repository(api, repo, "dataset").read(path, revision)
    assert data is not None
    return data


def tags(repo: str, api: HfApi) -> dict[str, str]:
    return {ref.name: ref.target_commit for ref in api.list_repo_refs(repo, repo_type="dataset").tags}


def commits(repo: str, api: HfApi) -> list[str]:
    return [commit.title for commit in api.list_repo_commits(repo, repo_type="dataset")]


def write(repo: str, api: HfApi, path: str, data: bytes) -> None:
    operation = CommitOperationAdd(path, data)
    api.create_commit(repo, [operation], commit_message="by hand", repo_type="dataset")


def head(repo: str, api: HfApi) -> str:
    sha = api.dataset_info(repo).sha
    assert sha is not None
    return sha


def test_a_first_release_is_one_verified_commit_and_a_tag(corpus: Path, repo: str, api: HfApi) -> None:
    steps: list[str] = []
    made = plan(corpus, repo, api=api)
    release = apply(made, api, steps.append)
    assert (made.exists, made.version, made.tag, made.parent_commit) == (False, "1.0.0", "v1.0.0", None)
    assert tags(repo, api) == {"v1.0.0": release.commit}
    assert commits(repo, api)[0] == "Release v1.0.0"
    assert [step.split()[0] for step in steps] == ["creating", "sending", "verifying", "loading", "tagging"]
    tree = Repository(api, repo, "dataset").files("v1.0.0")
    assert {file.path: file.size for file in made.files}.items() <= {
        file.path: file.size for file in tree.values()
    }.items()
    assert tree["data/train-00000-of-00003.parquet"].sha256 is not None
    assert release.url.endswith(f"/datasets/{repo}/tree/v1.0.0")
    assert release.uploaded_bytes == made.upload_bytes > 10_000


def test_planning_changes_nothing(corpus: Path, repo: str, api: HfApi) -> None:
    plan(corpus, repo, api=api)
    assert not api.repo_exists(repo, repo_type="dataset")
    publish(corpus, repo, api)
    before = (head(repo, api), tags(repo, api))
    plan(make_corpus(corpus.parent / "new", {"train": 10}), repo, api=api)
    assert (head(repo, api), tags(repo, api)) == before


def test_publishing_again_does_nothing(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    before = (head(repo, api), tags(repo, api))
    made = plan(corpus, repo, api=api)
    assert (made.changes, made.tag, made.version) == ((), None, "1.0.0")
    assert made.render().endswith("nothing to do")
    assert apply(made, api).uploaded_bytes == 0
    assert (head(repo, api), tags(repo, api)) == before


def test_the_card_s_snippets_run_with_plain_datasets(
    corpus: Path, repo: str, api: HfApi, hub: Hub, tmp_path: Path
) -> None:
    publish(corpus, repo, api)
    # A person's file beside ours must not become rows.
    write(repo, api, "data/train-extra.parquet", b"not even Parquet")
    snippets = re.findall(r"```python\n(.*?)```", served(repo, "README.md", api).decode(), re.DOTALL)
    code = "\n".join([*snippets, "print(load_dataset(" + repr(repo) + ")['test'][99])"])
    environment = {**hub.process_environment, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60)
    assert re.sub(r"\s+", " ", done.stdout) == (
        "DatasetDict({ train: Dataset({ features: ['text', 'number'], num_rows: 3000 }) "
        "test: Dataset({ features: ['text', 'number'], num_rows: 100 }) }) "
        "{'text': 'a train 0', 'number': 0} {'text': 'a train 0', 'number': 0} "
        "{'text': 'a train 1', 'number': 1} {'text': 'a train 2', 'number': 2} {'text': 'a test 99', 'number': 99} "
    ), done.stderr


@pytest.mark.parametrize(
    ("splits", "changes", "version"),
    [
        ({"train": 3000, "test": 100}, {"compression": "gzip"}, "1.0.1"),
        ({"train": 3500, "test": 100, "extra": 5}, {}, "1.1.0"),
        ({"train": 3000, "test": 100}, {"seed": "b"}, "2.0.0"),
        ({"train": 2000, "test": 100}, {}, "2.0.0"),
        ({"train": 3000}, {}, "2.0.0"),
    ],
)
def test_the_version_follows_from_the_rows(
    corpus: Path, repo: str, api: HfApi, splits: dict[str, int], changes: dict[str, str], version: str
) -> None:
    publish(corpus, repo, api)
    made = publish(make_corpus(corpus.parent / "new", splits, **changes), repo, api)
    assert made.version == version
    assert set(tags(repo, api)) == {"v1.0.0", f"v{version}"}
    changelog = served(repo, "CHANGELOG.md", api).decode()
    assert changelog.index(f"## v{version}") < changelog.index("## v1.0.0")
    # What the old release had and the new one doesn't is gone, and still there under its tag.
    names = {file.path for file in made.files if file.action is not Action.DELETE}
    assert set(Repository(api, repo, "dataset").files("main")) == names | {".gitattributes"}
    assert "data/train-00002-of-00003.parquet" in Repository(api, repo, "dataset").files("v1.0.0")


def test_what_people_added_stays(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    write(repo, api, "data/notes.md", b"mine")
    card = served(repo, "README.md", api)
    write(repo, api, "README.md", card.replace(b"# Publish", b"# My own title\n\nA word of mine.\n\n## Publish"))
    made = publish(make_corpus(corpus.parent / "new", {"train": 10, "test": 100}), repo, api)
    assert {file.path for file in made.kept} == {".gitattributes", "data/notes.md"}
    assert served(repo, "data/notes.md", api) == b"mine"
    merged = served(repo, "README.md", api).decode()
    assert "# My own title\n\nA word of mine." in merged
    assert "| train | 10 | 1 |" in merged


def test_a_change_of_the_card_alone_is_a_commit_without_a_tag(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    card = served(repo, "README.md", api)
    write(repo, api, "README.md", card.replace(b"license: apache-2.0", b"license: unlicense"))
    made = plan(corpus, repo, api=api)
    assert ([file.path for file in made.changes], made.tag) == (["README.md"], None)
    assert "-license: unlicense\n+license: apache-2.0\n" in made.card_diff
    assert made.conflicts == ("field license: somebody wrote unlicense, and hubkit writes apache-2.0",)
    apply(made, api)
    assert served(repo, "README.md", api) == card
    assert list(tags(repo, api)) == ["v1.0.0"]
    assert commits(repo, api)[0] == "Update the card"


def test_a_config_and_a_result_that_people_added_stay(corpus: Path, repo: str, api: HfApi, tmp_path: Path) -> None:
    publish(corpus, repo, api)
    card = served(repo, "README.md", api).decode()
    write(repo, api, "extra.parquet", (corpus / "data" / "test-00000-of-00001.parquet").read_bytes())
    extra = card.replace("configs:\n", "configs:\n- config_name: extra\n  data_files: extra.parquet\n")
    write(repo, api, "README.md", extra.encode())
    publish(make_corpus(corpus.parent / "new", {"train": 3500, "test": 100}), repo, api)
    assert b"config_name: extra\n  data_files: extra.parquet\n" in served(repo, "README.md", api)
    # An evaluation of ours goes with the weights that it was made with.
    model = f"{repo}-model"
    publish(make_evaluation(make_model(tmp_path / "m")), model, api)
    data = Repository(api, model, "model").read("README.md", "main")
    assert data is not None
    assert b"model-index:" in data
    publish(make_model(tmp_path / "m2", b"\1" * 16), model, api)
    data = Repository(api, model, "model").read("README.md", "main")
    assert data is not None
    assert b"model-index:" not in data


def test_another_spelling_of_a_name_is_refused(
    corpus: Path, repo: str, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(corpus, repo, api)
    info = api.dataset_info(repo)
    monkeypatch.setattr(api, "repo_info", lambda name, repo_type: info)  # as huggingface.co answers
    with pytest.raises(UserError, match=f"is called {repo} on this Hub"):
        plan(corpus, repo.upper(), api=api)


def test_a_release_list_of_somebody_else_deletes_nothing(corpus: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    write(repo, api, "precious.csv", b"1")
    write(repo, api, "release.json", json.dumps({"files": [{"path": "precious.csv"}]}).encode())
    publish(corpus, repo, api)
    assert served(repo, "precious.csv", api) == b"1"


def test_a_commit_that_was_never_tagged_is_finished(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    new = make_corpus(corpus.parent / "new", {"train": 3500, "test": 100})
    publish(new, repo, api)
    before = head(repo, api)
    api.delete_tag(repo, tag="v1.1.0", repo_type="dataset")  # as if the process had died just before
    made = plan(new, repo, api=api)
    assert (made.changes, made.tag) == ((), "v1.1.0")
    assert "only the tag v1.1.0 is missing" in made.render()
    apply(made, api)
    assert (head(repo, api), tags(repo, api)["v1.1.0"]) == (before, before)
    assert served(repo, "CHANGELOG.md", api).count(b"## v1.1.0") == 1


def test_an_untagged_commit_that_became_another_release_leaves_nothing_behind(
    corpus: Path, repo: str, api: HfApi
) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "new", {"train": 5000, "test": 100}), repo, api)
    api.delete_tag(repo, tag="v1.1.0", repo_type="dataset")
    made = publish(make_corpus(corpus.parent / "other", {"train": 10, "test": 100}), repo, api)
    assert made.version == "2.0.0"
    assert not [path for path in Repository(api, repo, "dataset").files("main") if "-of-00005" in path]
    assert b"v1.1.0" not in served(repo, "CHANGELOG.md", api)


def test_an_untagged_commit_that_was_given_up_is_taken_back(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    released = Repository(api, repo, "dataset").files("v1.0.0")
    publish(make_corpus(corpus.parent / "new", {"train": 5000, "test": 100}), repo, api)
    api.delete_tag(repo, tag="v1.1.0", repo_type="dataset")
    made = publish(corpus, repo, api)
    assert (made.version, made.tag) == ("1.0.0", None)
    assert Repository(api, repo, "dataset").files("main") == released


def test_a_repository_that_moved_on_is_left_alone(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    new = make_corpus(corpus.parent / "new", {"train": 10, "test": 100})
    made = plan(new, repo, api=api)
    write(repo, api, "mine.txt", b"x")
    before = (head(repo, api), tags(repo, api))
    with pytest.raises(UserError, match="moved on since the plan was made: run the same command again"):
        apply(made, api)
    assert (head(repo, api), tags(repo, api)) == before
    assert publish(new, repo, api).version == "2.0.0"
    assert served(repo, "mine.txt", api) == b"x"


def test_a_repository_that_somebody_created_meanwhile_is_left_alone(corpus: Path, repo: str, api: HfApi) -> None:
    made = plan(corpus, repo, api=api)
    api.create_repo(repo, repo_type="dataset")
    write(repo, api, "README.md", b"Somebody's.\n")
    with pytest.raises(UserError, match="was created by somebody since the plan"):
        apply(made, api)
    publish(corpus, repo, api)
    assert b"\nSomebody's.\n" in served(repo, "README.md", api)


def test_a_file_that_changed_since_the_plan_stops_before_anything_is_sent(corpus: Path, repo: str, api: HfApi) -> None:
    made = plan(corpus, repo, api=api)
    shard = corpus / "data" / "test-00000-of-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1] + b"!")
    with pytest.raises(UserError, match=r"test-00000-of-00001\.parquet has changed since the plan"):
        apply(made, api)
    shard.unlink()
    with pytest.raises(UserError, match=r"test-00000-of-00001\.parquet has changed since the plan"):
        apply(made, api)
    assert not api.repo_exists(repo, repo_type="dataset")


def test_what_the_hub_does_not_serve_is_not_released(corpus: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    # The Hub drops ignored files from a commit, and the client says nothing.
    write(repo, api, ".gitignore", b"data/test-*\n")
    with pytest.raises(UserError, match=r"test-00000-of-00001\.parquet is missing.*gitignore"):
        publish(corpus, repo, api)
    assert tags(repo, api) == {}


def test_what_differs_on_the_hub_is_not_released(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    write(repo, api, "kept.txt", b"x")
    made = replace(plan(corpus, repo, api=api), tag="v9.9.9")
    # A Hub that loses bytes can't be had, so the plan is made to expect others than are there.
    wrong = tuple(replace(file, sha256="0" * 64, git_oid="0" * 40) for file in made.files)
    moved = tuple(replace(file, git_oid="0" * 40) for file in made.kept)
    for bad in (replace(made, files=wrong), replace(made, kept=moved)):
        with pytest.raises(UserError, match="is not what was sent, so nothing was released"):
            apply(bad, api)
    assert list(tags(repo, api)) == ["v1.0.0"]


@pytest.mark.parametrize(
    ("action", "there", "problem"),
    [
        (Action.DELETE, RemoteFile("f", 1, "g", "s"), "is still there"),
        (Action.DELETE, None, None),
        (Action.ADD, None, "is missing"),
        (Action.SAME, RemoteFile("f", 1, "pointer", "s"), None),
        (Action.ADD, RemoteFile("f", 1, "g", None), None),
        (Action.ADD, RemoteFile("f", 2, "g", "s"), "has other bytes"),
        (Action.ADD, RemoteFile("f", 1, "g", "t"), "has other bytes"),
        (Action.ADD, RemoteFile("f", 1, "h", None), "has other bytes"),
    ],
)
def test_verification_compares_size_and_hash(action: Action, there: RemoteFile | None, problem: str | None) -> None:
    found = difference(PlannedFile("f", action, 1, "s", "g", b"x"), there)
    assert (found is None) if problem is None else (found is not None and problem in found)


def test_a_tag_that_somebody_made_elsewhere_is_not_ours(corpus: Path, repo: str, api: HfApi) -> None:
    made = plan(corpus, repo, api=api)
    apply(replace(made, tag=None), api)
    ours = head(repo, api)
    write(repo, api, "x", b"x")
    late = replace(made, files=tuple(replace(f, action=Action.SAME) for f in made.files), parent_commit=ours)
    api.create_tag(repo, tag="v1.0.0", repo_type="dataset")
    with pytest.raises(UserError, match=r"the tag v1\.0\.0 of .* points at"):
        apply(late, api)


def test_a_name_that_belongs_to_another_kind_is_refused(corpus: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="model")
    with pytest.raises(UserError, match="is a model on this Hub, and a corpus is published as a dataset"):
        plan(corpus, repo, api=api)


def test_private_is_created_so_and_never_published_into_the_open(corpus: Path, repo: str, api: HfApi) -> None:
    apply(plan(corpus, repo, private=True, api=api), api)
    assert api.dataset_info(repo).private is True
    assert plan(corpus, repo, api=api).private is True
    api.update_repo_settings(repo, repo_type="dataset", private=False)
    with pytest.raises(UserError, match="is public, and --private was asked for"):
        plan(corpus, repo, private=True, api=api)


@pytest.mark.parametrize("name", ["lorenz", "lab/a/b", "lab/-x", "lab/x..y", "lab/ä", ""])
def test_a_name_that_no_hub_takes_is_refused(corpus: Path, api: HfApi, name: str) -> None:
    with pytest.raises(UserError, match="OWNER/NAME"):
        plan(corpus, name, api=api)


def test_a_hub_that_is_down_is_named(corpus: Path) -> None:
    start = time.monotonic()
    with pytest.raises(UserError, match=r"can't reach the Hub at http://127\.0\.0\.1:9"):
        plan(corpus, "lab/x", api=HfApi(endpoint="http://127.0.0.1:9", token="hf_x"))
    assert time.monotonic() - start < 10


def test_a_wrong_token_is_refused_and_not_shown(corpus: Path, repo: str, api: HfApi) -> None:
    wrong = "hubkit_" + "zZ9" * 12
    with pytest.raises(UserError, match="refused the token") as caught:
        plan(corpus, repo, api=HfApi(endpoint=api.endpoint, token=wrong))
    assert wrong not in str(caught.value)


def test_a_plan_is_for_one_hub(corpus: Path, repo: str, api: HfApi) -> None:
    made = plan(corpus, repo, api=api)
    with pytest.raises(UserError, match="the plan was made for"):
        apply(made, HfApi(endpoint="http://127.0.0.1:9"))


def test_a_card_that_can_t_be_read_is_not_overwritten(corpus: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    write(repo, api, "README.md", b"<!-- hubkit:use -->\nno end")
    with pytest.raises(UserError, match=r"README\.md.*has no end"):
        plan(corpus, repo, api=api)


def test_a_readme_in_the_folder_begins_the_card(corpus: Path, repo: str, api: HfApi) -> None:
    (corpus / "README.md").write_text("My words.\n")
    publish(corpus, repo, api)
    assert b"\nMy words.\n" in served(repo, "README.md", api)
    (corpus / "README.md").write_text("Other words.\n")
    made = plan(corpus, repo, api=api)
    assert made.changes == ()
    assert made.left_out == ("README.md (the repository has one, which is kept and brought up to date)",)


def test_a_plan_reads_well_and_as_data(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    made = plan(make_corpus(corpus.parent / "new", {"train": 3500, "test": 100}), repo, api=api)
    text = made.render()
    assert text.startswith(f"corpus → dataset {repo} on {api.endpoint} (public, at ")
    assert (
        "version 1.1.0: rows were added; every row of the last release is unchanged\n  - train: 3,000 → 3,500 rows"
        in text
    )
    assert "  add      data/train-00003-of-00004.parquet" in text
    assert "  delete   data/train-00000-of-00003.parquet" in text
    assert "  same     data/test-00000-of-00001.parquet" in text
    assert "+| train | 3,500 | 4 |" in text
    assert text.endswith("verify it, then the tag v1.1.0")
    data = json.loads(json.dumps(made.to_json()))
    assert (data["version"], data["tag"], data["upload_bytes"]) == ("1.1.0", "v1.1.0", made.upload_bytes)
    assert str(corpus.parent) not in json.dumps(data)


def test_planning_twice_gives_equal_plans(corpus: Path, repo: str, api: HfApi) -> None:
    assert plan(corpus, repo, api=api) == plan(corpus, repo, api=api)


def test_a_model_and_a_space_are_released_with_their_lineage(
    corpus: Path, repo: str, api: HfApi, tmp_path: Path
) -> None:
    data = apply(plan(corpus, repo, api=api), api)
    name = f"{repo}-model"
    datasets = [{"repo": repo, "revision": data.commit, "release": data.tag, "splits": {"train": 3000}}]
    model = make_evaluation(make_model(tmp_path / "m", datasets=datasets))
    first = apply(plan(model, name, api=api), api)
    assert first.tag == "v1.0.0"
    assert [info.id for info in api.list_models(filter=f"dataset:{repo}")] == [name]
    (model / "evaluation.json").unlink()
    assert apply(plan(model, name, api=api), api).tag == "v1.0.1"
    assert "evaluation.json" not in Repository(api, name, "model").files("v1.0.1")
    second = apply(plan(make_model(model, b"\1" * 16, datasets=datasets), name, api=api), api)
    assert second.tag == "v1.1.0"

    space = make_space(tmp_path / "s", [{"repo": name, "revision": second.commit}])
    assert apply(plan(space, f"{repo}-space", api=api), api).tag == "v1.0.0"
    assert plan(space, f"{repo}-space", api=api).changes == ()
    (space / "app.py").write_text("print('new')\n")
    assert apply(plan(space, f"{repo}-space", api=api), api).tag == "v1.1.0"
    card = Repository(api, f"{repo}-space", "space").read("README.md", "main")
    assert card is not None
    assert f"- {name} config.json,model.safetensors,tokenizer.json {second.commit}".encode() in card


def test_a_space_pins_only_what_the_hub_has(repo: str, api: HfApi, tmp_path: Path) -> None:
    space = make_space(tmp_path / "s", [{"repo": repo, "revision": "a" * 40}])
    with pytest.raises(UserError, match=f"this Hub has no model {repo} at aaaaaaaaaaaa: publish that first"):
        plan(space, f"{repo}-space", api=api)
