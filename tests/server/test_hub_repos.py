"""Accounts and whole repositories, through the real client."""

from __future__ import annotations

import base64
import re

import pytest
from huggingface_hub import HfApi, ModelCardData
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

CARD = b"""---
license: mit
tags: [toy]
language: [en]
task_categories: [fill-mask]
size_categories: ['n<1K']
---
# Hi
"""


def put(api: HfApi, repo_id: str, files: dict[str, bytes], repo_type: str, **options):
    from huggingface_hub import CommitOperationAdd

    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(repo_id, operations, commit_message="put", repo_type=repo_type, **options)


def test_whoami_names_the_user_and_the_role(hub, reader):
    me = hub.api().whoami()
    assert (me["name"], me["auth"]["accessToken"]["role"]) == ("lab", "write")
    guest = hub.api(reader).whoami()
    assert (guest["name"], guest["auth"]["accessToken"]["role"]) == ("guest", "read")


def test_names_that_differ_in_case_are_the_same_name(hub):
    api = hub.api()
    api.create_repo("lab/Cased", repo_type="dataset")
    for name in ("lab/cased", "LAB/Cased"):
        with pytest.raises(HfHubHTTPError) as caught:
            api.create_repo(name, repo_type="dataset")
        assert caught.value.response.status_code == 409


@pytest.mark.parametrize("cursor", [b'["main", Infinity]', b'["main", 1e300]', b"[" * 20_000, b'["main", null]', b"x"])
def test_a_cursor_of_somebody_s_own_is_refused(hub, cursor):
    text = base64.urlsafe_b64encode(cursor).decode()
    assert hub.ask("GET", f"/api/datasets/{hub.new()}/tree/main?cursor={text}").status in (200, 400)
    assert hub.ask("GET", f"/api/datasets?cursor={text}").status in (200, 400)


def test_members_of_the_wrong_kind_are_refused(hub):
    assert hub.ask("POST", "/api/repos/create", {"name": "a", "type": ["dataset"]}).status == 400
    paths = hub.ask("POST", f"/api/datasets/{hub.new()}/paths-info/main", {"paths": [".gitattributes"], "expand": []})
    assert paths.status in (200, 400)


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_a_repo_is_made_described_and_deleted(hub, repo_type):
    api = hub.api()
    options = {"space_sdk": "gradio"} if repo_type == "space" else {}
    url = api.create_repo(f"org-{repo_type}/thing", repo_type=repo_type, **options)
    prefix = "" if repo_type == "model" else f"{repo_type}s/"
    assert str(url) == f"{hub.url}/{prefix}org-{repo_type}/thing"
    assert (url.repo_id, url.repo_type) == (f"org-{repo_type}/thing", repo_type)
    info = api.repo_info(url.repo_id, repo_type=repo_type)
    assert re.fullmatch("[0-9a-f]{40}", info.sha)
    assert [file.rfilename for file in info.siblings] == [".gitattributes"]
    assert (info.author, info.private, info.disabled, info.gated) == (f"org-{repo_type}", False, False, False)
    assert info.created_at <= info.last_modified or (info.created_at - info.last_modified).total_seconds() < 2
    if repo_type == "space":
        assert info.sdk == "gradio"
    api.delete_repo(url.repo_id, repo_type=repo_type)
    with pytest.raises(RepositoryNotFoundError):
        api.repo_info(url.repo_id, repo_type=repo_type)
    api.delete_repo(url.repo_id, repo_type=repo_type, missing_ok=True)
    with pytest.raises(RepositoryNotFoundError):
        api.delete_repo(url.repo_id, repo_type=repo_type)
    assert not hub.path(url.repo_id, repo_type).exists()


def test_a_name_without_namespace_goes_to_the_user(hub):
    assert hub.api().create_repo("short-name").repo_id == "lab/short-name"


def test_existing_repos_conflict_unless_that_is_fine(hub):
    api, repo_id = hub.api(), hub.new()
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(repo_id, repo_type="dataset")
    assert error.value.response.status_code == 409
    assert str(api.create_repo(repo_id, repo_type="dataset", exist_ok=True)) == f"{hub.url}/datasets/{repo_id}"
    with pytest.raises(HfHubHTTPError) as error:
        api.create_repo(repo_id.upper().replace("LAB/", "lab/"), repo_type="dataset")
    assert error.value.response.status_code == 409
    api.create_repo(repo_id, repo_type="model")  # another type is another repository


def test_bad_requests_for_repos_say_what_is_wrong(hub):
    for body in (
        {"name": "a..b"},
        {"name": "x", "type": "bucket"},
        {"name": 3},
        {"name": "x", "organization": "api"},
        {},
    ):
        answer = hub.ask("POST", "/api/repos/create", body)
        assert answer.status == 400, body
        assert answer.json()["error"]
    assert hub.ask("POST", "/api/repos/create", {"name": "x", "type": "space", "sdk": "cgi"}).status == 400
    assert hub.ask("POST", "/api/repos/create", {"name": "x", "visibility": "odd"}).status == 400
    assert hub.ask("POST", "/api/repos/create", b"[]").status == 400
    assert hub.ask("POST", "/api/repos/create", b"{").status == 400
    assert hub.ask("POST", "/api/repos/create", b"[" * 100_000).status == 400


def test_move_renames_with_history_and_refuses_taken_names(hub):
    api, repo_id, other = hub.api(), hub.new(), hub.new()
    sha = put(api, repo_id, {"a.txt": b"1", "b.bin": b"large"}, "dataset").oid
    target = repo_id.replace("lab/", "moved/")
    api.move_repo(repo_id, target, repo_type="dataset")
    assert api.dataset_info(target).sha == sha
    assert hub.ask("GET", f"/datasets/{target}/resolve/main/b.bin").body == b"large"
    with pytest.raises(RepositoryNotFoundError):
        api.dataset_info(repo_id)
    with pytest.raises(HfHubHTTPError) as error:
        api.move_repo(other, target, repo_type="dataset")
    assert error.value.response.status_code == 409
    assert api.dataset_info(other).sha
    changed = target.replace("repo", "Repo")
    api.move_repo(target, changed, repo_type="dataset")
    assert api.dataset_info(changed).sha == sha


def test_private_repos_are_invisible_without_a_token(hub, reader):
    api, repo_id = hub.api(), hub.new(private=True)
    anonymous = hub.api(token=False)
    assert api.dataset_info(repo_id).private
    assert hub.api(reader).dataset_info(repo_id).private
    with pytest.raises(RepositoryNotFoundError):
        anonymous.dataset_info(repo_id)
    for path in (
        f"/api/datasets/{repo_id}",
        f"/datasets/{repo_id}/resolve/main/.gitattributes",
        f"/datasets/{repo_id}",
    ):
        hidden, missing = (hub.ask("GET", p, token=None) for p in (path, path.replace("repo-", "no-repo-")))
        assert hidden.status == missing.status == 401
        assert hidden.body == missing.body
        assert hidden.headers["X-Error-Code"] == missing.headers["X-Error-Code"] == "RepoNotFound"
    assert repo_id not in [repo.id for repo in anonymous.list_datasets()]
    assert repo_id in [repo.id for repo in api.list_datasets()]
    api.update_repo_settings(repo_id, private=False, repo_type="dataset")
    assert not anonymous.dataset_info(repo_id).private
    api.update_repo_settings(repo_id, private=True, repo_type="dataset")
    assert hub.ask("GET", f"/api/datasets/{repo_id}", token=None).status == 401


def test_gated_repos_show_their_card_but_not_their_files_to_strangers(hub):
    api, repo_id = hub.api(), hub.new()
    api.update_repo_settings(repo_id, gated="auto", repo_type="dataset")
    assert api.dataset_info(repo_id).gated == "auto"
    anonymous = hub.api(token=False)
    assert anonymous.dataset_info(repo_id).gated == "auto"
    with pytest.raises(GatedRepoError):
        anonymous.file_exists(repo_id, ".gitattributes", repo_type="dataset")
    assert api.file_exists(repo_id, ".gitattributes", repo_type="dataset")
    assert hub.ask("PUT", f"/api/datasets/{repo_id}/settings", {"gated": "maybe"}).status == 400


def test_missing_things_are_the_exceptions_that_clients_expect(hub):
    api, repo_id = hub.api(), hub.new()
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("lab/nothing")
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("gpt2")
    with pytest.raises(RevisionNotFoundError):
        api.dataset_info(repo_id, revision="nope")
    assert not api.file_exists(repo_id, "nope.txt", repo_type="dataset")
    assert not api.repo_exists(repo_id)  # it is a dataset
    answer = hub.ask("GET", f"/api/datasets/{repo_id}/lfs-files")
    assert (answer.status, answer.headers["Content-Type"]) == (404, "application/json")
    assert hub.ask("GET", f"/api/datasets/{repo_id}/xet-write-token/main").status == 404
    assert hub.ask("POST", "/api/datasets").status == 405


def test_info_tells_sizes_and_hashes_when_asked(hub):
    api, repo_id = hub.api(), hub.new("model")
    config = b'{"architectures": ["RobertaForMaskedLM"], "model_type": "roberta"}'
    commit = put(api, repo_id, {"config.json": config, "model.safetensors": b"x" * 1000, "README.md": CARD}, "model")
    info = api.model_info(repo_id, files_metadata=True)
    files = {file.rfilename: file for file in info.siblings}
    assert files["config.json"].size == len(config)
    assert files["config.json"].lfs is None
    assert re.fullmatch("[0-9a-f]{40}", files["config.json"].blob_id)
    assert (files["model.safetensors"].size, files["model.safetensors"].lfs.size) == (1000, 1000)
    assert len(files["model.safetensors"].lfs.sha256) == 64
    assert (info.sha, info.pipeline_tag, info.library_name) == (commit.oid, "fill-mask", "transformers")
    assert info.config["model_type"] == "roberta"
    assert {"transformers", "safetensors", "license:mit", "toy", "en", "roberta"} <= set(info.tags)
    assert info.card_data.license == "mit"
    only = api.model_info(repo_id, expand=["sha", "usedStorage"])
    assert only.sha == commit.oid
    assert only.used_storage > 1000
    assert only.tags is None
    assert only.siblings is None
    first = api.list_repo_commits(repo_id)[-1].commit_id
    assert [file.rfilename for file in api.model_info(repo_id, revision=first).siblings] == [".gitattributes"]


def test_lists_filter_by_author_search_and_tags(hub):
    api = hub.api()
    source = api.create_repo("lineage/source", repo_type="dataset").repo_id
    put(api, source, {"README.md": CARD, "data/train.parquet": b"PAR1"}, "dataset")
    card = ModelCardData(datasets=[source], license="mit", pipeline_tag="fill-mask")
    parent = api.create_repo("lineage/parent").repo_id
    put(api, parent, {"README.md": f"---\n{card}\n---\n".encode()}, "model")
    child = api.create_repo("lineage/child").repo_id
    put(api, child, {"README.md": f"---\nbase_model: {parent}\ndatasets: [{source}]\n---\n".encode()}, "model")
    space = api.create_repo("lineage/demo", repo_type="space", space_sdk="gradio").repo_id
    put(api, space, {"README.md": f"---\nsdk: gradio\nmodels: [{parent}]\n---\n".encode()}, "space")

    def ids(found):
        return sorted(repo.id for repo in found)

    assert ids(api.list_models(filter=f"dataset:{source}")) == [child, parent]
    assert ids(api.list_models(trained_dataset=source, author="lineage", pipeline_tag="fill-mask")) == [parent]
    assert ids(api.list_models(filter=f"base_model:{parent}")) == [child]
    assert ids(api.list_models(filter=f"base_model:finetune:{parent}")) == [child]
    assert ids(api.list_models(filter=["license:mit", f"dataset:{source}"])) == [parent]
    assert ids(api.list_models(search="CHILD", author="lineage")) == [child]
    assert ids(api.list_models(author="nobody")) == []
    assert ids(api.list_datasets(author="lineage", size_categories="n<1K", task_categories="fill-mask")) == [source]
    assert ids(api.list_datasets(filter="format:parquet", author="lineage")) == [source]
    assert ids(api.list_spaces(models=parent)) == [space]
    assert ids(api.list_spaces(models="lineage/other")) == []
    full = next(iter(api.list_datasets(author="lineage", full=True)))
    assert full.card_data.license == "mit"
    assert "README.md" in [file.rfilename for file in full.siblings]
    assert next(iter(api.list_models(search=child, cardData=True))).card_data.base_model == parent
    lean = next(iter(api.list_models(author="lineage", expand=["lastModified"])))
    assert lean.last_modified
    assert lean.tags is None


def test_lists_come_in_pages_that_lose_and_repeat_nothing(hub):
    api = hub.api()
    made = [api.create_repo(f"many/m-{number:02}").repo_id for number in range(7)]
    first = hub.ask("GET", "/api/models?author=many&limit=3")
    assert len(first.json()) == 3
    link = re.fullmatch(r'<(http://[^>]+)>; rel="next"', first.headers["Link"])
    assert link
    assert link[1].startswith(f"{hub.url}/api/models?author=many&limit=3&cursor=")
    assert [repo.id for repo in api.list_models(author="many")] == made[::-1]
    assert [repo.id for repo in api.list_models(author="many", limit=2)] == made[:4:-1]
    seen, path = first.json(), link[1].removeprefix(hub.url)
    api.create_repo("many/late")
    while path:
        answer = hub.ask("GET", path)
        seen += answer.json()
        following = re.match(r"<([^>]+)>", answer.headers.get("Link", ""))
        path = following[1].removeprefix(hub.url) if following else None
    assert [repo["id"] for repo in seen] == made[::-1]
    assert hub.ask("GET", "/api/models?cursor=rubbish").status == 400
    assert hub.ask("GET", "/api/models?limit=-1").status == 400
    rising = hub.ask("GET", "/api/models?author=many&sort=createdAt&direction=1&limit=2").json()
    assert [repo["id"] for repo in rising] == made[:2]


def test_cards_are_validated_before_a_commit(hub):
    api, repo_id = hub.api(), hub.new()
    with pytest.raises(ValueError, match="Invalid YAML metadata"):
        put(api, repo_id, {"README.md": b"---\na: [1\n---\n"}, "dataset")
    with pytest.raises(ValueError, match="config_name"):
        put(api, repo_id, {"README.md": b"---\nconfigs:\n- data_files: x\n---\n"}, "dataset")
    with pytest.warns(UserWarning, match="empty or missing yaml metadata"):
        put(api, repo_id, {"README.md": b"# no metadata"}, "dataset")
    with pytest.warns(UserWarning, match="size_categories"):
        put(api, repo_id, {"README.md": b"---\nsize_categories: [tiny]\n---\n"}, "dataset")
    assert hub.ask("POST", "/api/validate-yaml", {"content": 3}).status == 400
    assert hub.ask("POST", "/api/validate-yaml", {"content": "x"}, token=None).status == 200


def test_yaml_that_explodes_or_is_odd_is_survived(hub):
    bomb = "---\na: &a [1,1,1,1,1,1,1,1,1,1]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 10)}]\n" for i in range(9)
    )
    answer = hub.ask("POST", "/api/validate-yaml", {"content": bomb + "---\n"})
    assert answer.status == 400
    assert "values" in answer.json()["errors"][0]["message"]
    odd = "---\nwhen: 2024-01-01\nnan: .nan\n1: x\nbin: !!binary aGk=\nset: !!set {a}\n---\n"
    assert hub.ask("POST", "/api/validate-yaml", {"content": odd}).status == 200
    assert (
        hub.ask("POST", "/api/validate-yaml", {"content": "---\nx: !!python/object/apply:os.getcwd []\n---\n"}).status
        == 400
    )
    repo_id = hub.new()
    hub.commit(repo_id, [{"key": "file", "value": {"path": "README.md", "content": bomb + "---\n"}}])
    assert hub.api().dataset_info(repo_id).card_data is None
    hub.commit(repo_id, [{"key": "file", "value": {"path": "README.md", "content": odd}}])
    assert hub.api().dataset_info(repo_id).card_data["when"] == "2024-01-01"
