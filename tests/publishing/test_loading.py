"""Before the tag, what the Hub serves is loaded; what does not load is not released."""

import json
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, constants

from hubkit.errors import UserError
from hubkit.models.loading import architecture_files
from hubkit.publishing import apply, plan
from hubkit.publishing.hub import Repository
from hubkit.publishing.loading import check_loads

from .folders import make_model, make_space


def commit(repo: str, api: HfApi, files: dict[str, bytes], repo_type: str) -> str:
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(repo, operations, commit_message="x", repo_type=repo_type).oid


def tags(repo: str, api: HfApi, repo_type: str) -> list[str]:
    return [ref.name for ref in api.list_repo_refs(repo, repo_type=repo_type).tags]


def test_a_dataset_that_does_not_load_is_not_tagged(corpus: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    card = "---\nconfigs:\n- config_name: more\n  data_files: more.parquet\n---\nMine.\n"
    commit(repo, api, {"README.md": card.encode()}, "dataset")
    with pytest.raises(
        UserError, match=r"has every file, but `datasets` can't load it \(FileNotFoundError: .*more\.parquet"
    ):
        apply(plan(corpus, repo, api=api), api)
    assert tags(repo, api, "dataset") == []
    rows = (corpus / "data" / "test-00000-of-00001.parquet").read_bytes()
    commit(repo, api, {"more.parquet": rows}, "dataset")
    assert apply(plan(corpus, repo, api=api), api).tag == "v1.0.0"


def test_a_split_without_a_row_is_found(repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    made = commit(repo, api, {"train.csv": b"a\n1\n", "test.csv": b"a\n"}, "dataset")
    with pytest.raises(UserError, match="finds no row in the split test of its config default"):
        check_loads(Repository(api, repo, "dataset"), made)


def test_a_model_whose_tokenizer_is_broken_is_not_tagged(tmp_path: Path, repo: str, api: HfApi) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    with pytest.raises(UserError, match="`transformers` can't load it"):
        apply(plan(folder, repo, api=api), api)
    assert tags(repo, api, "model") == []


def test_a_model_with_code_of_others_is_loaded_without_it(tmp_path: Path, repo: str, api: HfApi) -> None:
    folder = make_model(tmp_path / "m")
    mapped = {"model_type": "theirs", "auto_map": {"AutoConfig": "configuration_theirs.Config"}}
    (folder / "config.json").write_text(json.dumps(mapped))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    (folder / "configuration_theirs.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    assert apply(plan(folder, repo, api=api), api).tag == "v1.0.0"
    assert not (tmp_path / "ran").exists()


@pytest.mark.slow
def test_hubkit_s_own_code_runs_in_a_process_of_its_own(tmp_path: Path, repo: str, api: HfApi) -> None:
    from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig

    folder = make_model(tmp_path / "m")
    MiniGPTConfig().save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "configuration_minigpt.MiniGPTConfig"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text('{"tokenizer_class": "PreTrainedTokenizerFast"}')
    for file in architecture_files("minigpt"):
        (folder / file.name).write_bytes(file.read_bytes())
    assert apply(plan(folder, repo, api=api), api).tag == "v1.0.0"
    config["auto_map"] = {"AutoConfig": "configuration_minigpt.Nothing"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match=r"`transformers` can.t load it .*Nothing"):
        apply(plan(folder, repo, api=api), api)


def test_another_hub_than_the_libraries_ask_is_asked_by_a_process(
    corpus: Path, repo: str, api: HfApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert apply(plan(corpus, repo, api=api), api).tag == "v1.0.0"


@pytest.mark.parametrize(
    ("card", "problem"),
    [
        (b"---\nsdk: gradio\napp_file: main.py\n---\n", "names the app_file main.py, which is not there"),
        (b"# No fields\n", r"names no sdk that runs Spaces \(sdk: None\)"),
    ],
)
def test_a_space_without_what_it_starts_with(repo: str, api: HfApi, card: bytes, problem: str) -> None:
    api.create_repo(repo, repo_type="space", space_sdk="gradio")
    made = commit(repo, api, {"README.md": card, "app.py": b""}, "space")
    with pytest.raises(UserError, match=problem):
        check_loads(Repository(api, repo, "space"), made)


def test_a_space_that_can_start_is_tagged(tmp_path: Path, repo: str, api: HfApi) -> None:
    assert apply(plan(make_space(tmp_path / "s", []), repo, api=api), api).tag == "v1.0.0"
