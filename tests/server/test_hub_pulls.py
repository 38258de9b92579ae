"""Pull requests and discussions, through the unmodified client."""

import subprocess

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy
from huggingface_hub.errors import HfHubHTTPError


def put(api, repo_id, files, message="change", **options):
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(repo_id, operations, commit_message=message, repo_type="dataset", **options)


def read(hub, repo_id, path, revision="main"):
    return hub.ask("GET", f"/datasets/{repo_id}/resolve/{revision.replace('/', '%2F')}/{path}").body


def test_a_commit_that_opens_a_pull_request_leaves_the_branch_alone(hub):
    api, repo_id = hub.api(), hub.new()
    before = api.dataset_info(repo_id).sha
    made = put(api, repo_id, {"a.txt": b"1", "b.bin": b"\0" * 100}, create_pr=True)
    assert made.pr_revision == "refs/pr/1"
    assert made.pr_url == f"{hub.url}/datasets/{repo_id}/discussions/1"
    assert api.dataset_info(repo_id).sha == before
    assert read(hub, repo_id, "a.txt", "refs/pr/1") == b"1"
    assert api.dataset_info(repo_id, revision="refs/pr/1").sha == made.oid
    [pull] = api.get_repo_discussions(repo_id, repo_type="dataset", discussion_type="pull_request", author="lab")
    assert (pull.num, pull.status, pull.title, pull.is_pull_request) == (1, "draft", "change", True)
    refs = api.list_repo_refs(repo_id, repo_type="dataset", include_pull_requests=True)
    assert [(ref.ref, ref.target_commit) for ref in refs.pull_requests] == [("refs/pr/1", made.oid)]
    assert api.list_repo_refs(repo_id, repo_type="dataset").pull_requests is None


def test_several_commits_are_merged_as_one(hub):
    api, repo_id = hub.api(), hub.new()
    put(api, repo_id, {"old.txt": b"0"})
    before = api.dataset_info(repo_id).sha
    pull = api.create_pull_request(repo_id, "Two steps", description="Why.", repo_type="dataset")
    for step in range(2):
        put(api, repo_id, {f"{step}.txt": b"x"}, f"step {step}", revision=pull.git_reference)
    with pytest.raises(HfHubHTTPError, match="1 is draft: only an open pull request can be merged"):
        api.merge_pull_request(repo_id, 1, repo_type="dataset")
    api.change_discussion_status(repo_id, 1, "open", repo_type="dataset", comment="Ready.")
    api.merge_pull_request(repo_id, 1, repo_type="dataset")
    details = api.get_discussion_details(repo_id, 1, repo_type="dataset")
    assert (details.status, details.merge_commit_oid) == ("merged", api.dataset_info(repo_id).sha)
    assert [event.type for event in details.events] == ["comment", "comment", "status-change", "status-change"]
    assert "+++ b/1.txt" in (details.diff or "")
    titles = [commit.title for commit in api.list_repo_commits(repo_id, repo_type="dataset")]
    assert titles[:2] == ["Two steps (#1)", "change"]
    assert api.list_repo_commits(repo_id, repo_type="dataset")[1].commit_id == before
    assert sorted(api.list_repo_files(repo_id, repo_type="dataset"))[1:] == ["0.txt", "1.txt", "old.txt"]
    hub.fsck(repo_id)
    with pytest.raises(HfHubHTTPError, match="The pull request 1 is merged: open another one"):
        put(api, repo_id, {"late.txt": b"x"}, revision="refs/pr/1")


def test_what_both_sides_changed_is_not_merged(hub):
    api, repo_id = hub.api(), hub.new()
    put(api, repo_id, {"a.txt": b"0", "b.txt": b"0"})
    for number, path in enumerate(("a.txt", "b.txt"), start=1):
        put(api, repo_id, {path: b"theirs"}, create_pr=True)
        api.change_discussion_status(repo_id, number, "open", repo_type="dataset")
    put(api, repo_id, {"a.txt": b"ours"})
    assert api.get_discussion_details(repo_id, 1, repo_type="dataset").conflicting_files is True
    with pytest.raises(HfHubHTTPError, match=r"changed the same files since: a\.txt"):
        api.merge_pull_request(repo_id, 1, repo_type="dataset")
    api.merge_pull_request(repo_id, 2, repo_type="dataset")
    assert (read(hub, repo_id, "a.txt"), read(hub, repo_id, "b.txt")) == (b"ours", b"theirs")
    api.change_discussion_status(repo_id, 1, "closed", repo_type="dataset")
    found = api.get_repo_discussions(repo_id, repo_type="dataset", discussion_status="closed")
    assert [(item.num, item.status) for item in found] == [(2, "merged"), (1, "closed")]


def test_a_discussion_has_comments_and_a_title(hub):
    api, repo_id = hub.api(), hub.new()
    found = api.create_discussion(repo_id, "  A question ", repo_type="dataset")
    assert (found.num, found.title, found.git_reference) == (1, "A question", None)
    assert api.comment_discussion(repo_id, 1, "Yes?", repo_type="dataset").content == "Yes?"
    assert api.rename_discussion(repo_id, 1, "Another", repo_type="dataset").new_title == "Another"
    with pytest.raises(HfHubHTTPError, match="only an open pull request"):
        api.merge_pull_request(repo_id, 1, repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="'title' must be a text of 3 to 200"):
        api.create_discussion(repo_id, "x", repo_type="dataset")
    with pytest.raises(HfHubHTTPError, match="There is no discussion 9"):
        api.get_discussion_details(repo_id, 9, repo_type="dataset")


def test_a_list_has_pages(hub):
    api, repo_id = hub.api(), hub.new()
    for number in range(52):
        api.create_discussion(repo_id, f"number {number}", repo_type="dataset")
    found = list(api.get_repo_discussions(repo_id, repo_type="dataset"))
    assert [item.num for item in found] == list(range(52, 0, -1))


def test_who_may_only_read_opens_nothing(hub, reader):
    repo_id = hub.new()
    with pytest.raises(HfHubHTTPError, match="may only read"):
        put(hub.api(reader), repo_id, {"a": b"1"}, create_pr=True)
    answer = hub.ask("GET", f"/api/datasets/{repo_id}/discussions", token=None)
    assert answer.json()["count"] == 0


def test_a_large_file_of_an_old_commit_is_copied_without_being_sent(hub):
    api, repo_id = hub.api(), hub.new()
    put(api, repo_id, {"big.bin": b"\1" * 1000})
    first = api.dataset_info(repo_id).sha
    put(api, repo_id, {"big.bin": b"\2" * 1000})
    copy = CommitOperationCopy("big.bin", "again.bin", src_revision=first)
    api.create_commit(repo_id, [copy], commit_message="copy", repo_type="dataset", create_pr=True)
    assert read(hub, repo_id, "again.bin", "refs/pr/1") == b"\1" * 1000


def test_git_fetches_a_pull_request(hub, tmp_path):
    api, repo_id = hub.api(), hub.new()
    put(api, repo_id, {"a.txt": b"proposed"}, create_pr=True)
    url = f"{hub.url}/datasets/{repo_id}"
    for command in (["init", "-q", "."], ["fetch", "-q", url, "refs/pr/1"], ["checkout", "-q", "FETCH_HEAD"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    assert (tmp_path / "a.txt").read_text() == "proposed"
