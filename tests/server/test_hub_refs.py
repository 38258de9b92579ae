"""Branches, tags and history."""

from __future__ import annotations

import pytest
from huggingface_hub.errors import HfHubHTTPError, RevisionNotFoundError


def code(error: pytest.ExceptionInfo) -> int:
    return error.value.response.status_code


def test_branches(hub):
    api, repo_id = hub.api(), hub.new()
    start = api.dataset_info(repo_id).sha
    api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo_id, repo_type="dataset")
    api.create_branch(repo_id, branch="feature/one", revision=start, repo_type="dataset")
    api.create_branch(repo_id, branch="now", repo_type="dataset")
    branches = {ref.name: ref for ref in api.list_repo_refs(repo_id, repo_type="dataset").branches}
    assert set(branches) == {"main", "feature/one", "now"}
    assert branches["feature/one"].target_commit == start
    assert branches["feature/one"].ref == "refs/heads/feature/one"
    assert branches["now"].target_commit == branches["main"].target_commit != start
    with pytest.raises(HfHubHTTPError) as error:
        api.create_branch(repo_id, branch="now", repo_type="dataset")
    assert code(error) == 409
    api.create_branch(repo_id, branch="now", repo_type="dataset", exist_ok=True)
    with pytest.raises(HfHubHTTPError) as error:
        api.create_branch(repo_id, branch="feature", repo_type="dataset")
    assert code(error) == 409
    with pytest.raises(HfHubHTTPError) as error:
        api.create_branch(repo_id, branch="now/below", repo_type="dataset")
    assert code(error) == 409
    with pytest.raises(RevisionNotFoundError):
        api.create_branch(repo_id, branch="x", revision="nope", repo_type="dataset")
    api.delete_branch(repo_id, branch="feature/one", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.delete_branch(repo_id, branch="feature/one", repo_type="dataset")
    with pytest.raises(HfHubHTTPError) as error:
        api.delete_branch(repo_id, branch="main", repo_type="dataset")
    assert code(error) == 403
    hub.fsck(repo_id)


@pytest.mark.parametrize("message", [None, "a release\n\nwith notes"])
def test_tags(hub, message):
    api, repo_id = hub.api(), hub.new()
    first = api.dataset_info(repo_id).sha
    api.create_tag(repo_id, tag="v1.0.0", tag_message=message, repo_type="dataset")
    second = api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo_id, repo_type="dataset").oid
    api.create_tag(repo_id, tag="v1.1.0", revision=second, tag_message=message, repo_type="dataset")
    tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo_id, repo_type="dataset").tags}
    assert tags == {"v1.0.0": first, "v1.1.0": second}
    assert api.dataset_info(repo_id, revision="v1.0.0").sha == first
    assert not api.file_exists(repo_id, "a.txt", revision="v1.0.0", repo_type="dataset")
    with pytest.raises(HfHubHTTPError) as error:
        api.create_tag(repo_id, tag="v1.0.0", revision=second, repo_type="dataset")
    assert code(error) == 409
    api.create_tag(repo_id, tag="v1.0.0", revision=second, repo_type="dataset", exist_ok=True)
    assert api.dataset_info(repo_id, revision="v1.0.0").sha == first
    with pytest.raises(RevisionNotFoundError):
        api.create_tag(repo_id, tag="v2", revision="nope", repo_type="dataset")
    api.delete_tag(repo_id, tag="v1.0.0", repo_type="dataset")
    with pytest.raises(RevisionNotFoundError):
        api.delete_tag(repo_id, tag="v1.0.0", repo_type="dataset")
    hub.fsck(repo_id)


def test_a_branch_and_a_tag_of_one_name_are_told_apart(hub):
    api, repo_id = hub.api(), hub.new()
    first = api.dataset_info(repo_id).sha
    api.create_tag(repo_id, tag="same", repo_type="dataset")
    second = api.upload_file(path_or_fileobj=b"1", path_in_repo="a.txt", repo_id=repo_id, repo_type="dataset").oid
    api.create_branch(repo_id, branch="same", repo_type="dataset")
    assert api.dataset_info(repo_id, revision="same").sha == second
    assert api.dataset_info(repo_id, revision="refs/tags/same").sha == first
    assert api.dataset_info(repo_id, revision="refs/heads/same").sha == second


@pytest.mark.parametrize("name", ["a..b", "a b", "-x", "x.lock", "0" * 40, "refs/heads/x"])
def test_bad_names_are_refused(hub, name):
    api, repo_id = hub.api(), hub.new()
    for call in (
        lambda: api.create_branch(repo_id, branch=name, repo_type="dataset"),
        lambda: api.create_tag(repo_id, tag=name, repo_type="dataset"),
    ):
        with pytest.raises(HfHubHTTPError) as error:
            call()
        assert code(error) == 400


def test_what_git_would_compute_is_no_revision(hub):
    repo_id = hub.new()
    for revision in ("main~0", "main^{tree}", "HEAD@{0}", "..", "refs%2Fheads", "main%00", ":README.md", "x" * 300):
        answer = hub.ask("GET", f"/api/datasets/{repo_id}/revision/{revision}")
        assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound"), revision


def test_history_comes_in_pages_newest_first(hub):
    api, repo_id = hub.api(), hub.new()
    for number in range(4):
        line = {"key": "file", "value": {"path": "a.txt", "content": str(number)}}
        assert hub.commit(repo_id, [line]).status == 200
    header = b'{"key":"header","value":{"summary":"<b>","description":"why & how"}}\n'
    body = header + b'{"key":"file","value":{"path":"a","content":"b"}}'
    assert hub.ask("POST", f"/api/datasets/{repo_id}/commit/main", body).status == 200
    commits = api.list_repo_commits(repo_id, repo_type="dataset", formatted=True)
    assert [commit.title for commit in commits] == ["<b>", "test", "test", "test", "test", "initial commit"]
    assert (commits[0].message, commits[0].authors) == ("why & how", ["lab"])
    assert (commits[0].formatted_title, commits[0].formatted_message) == ("&lt;b&gt;", "why &amp; how")
    pages = [hub.ask("GET", f"/api/datasets/{repo_id}/commits/main?limit=4&p={page}") for page in (1, 2)]
    assert [item["id"] for page in pages for item in page.json()] == [commit.commit_id for commit in commits]
    assert f"<{hub.url}/api/datasets/{repo_id}/commits/main?limit=4&p=2>" in pages[0].headers["Link"]
    assert pages[1].headers["Link"] is None
    older = api.list_repo_commits(repo_id, repo_type="dataset", revision=commits[-2].commit_id)
    assert [commit.commit_id for commit in older] == [commit.commit_id for commit in commits[-2:]]
