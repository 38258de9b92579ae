"""Commits, trees and downloads, through the real client and on the wire."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from pathlib import Path

import pytest
from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, RemoteEntryNotFoundError, RevisionNotFoundError
from huggingface_hub.hf_api import RepoFolder

from hubkit.server.commits import MAX_REGULAR_BYTES
from hubkit.server.gitobjects import PACK_FROM


def put(api, repo_id, files, **options):
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    return api.create_commit(repo_id, operations, commit_message="put", repo_type="dataset", **options)


def text(path: str, content: str = "x") -> dict:
    return {"key": "file", "value": {"path": path, "content": content}}


def attributes(hub, repo_id: str) -> str:
    return hub.ask("GET", f"/datasets/{repo_id}/raw/main/.gitattributes").body.decode()


def test_files_come_back_as_they_were_put(hub, tmp_path):
    api, repo_id = hub.api(), hub.new()
    files = {"a.txt": b"text\r\n", "ümläut/文 件%20#?.txt": b"odd name", "x/y/z.bin": b"\0\1\2" * 100, "empty.bin": b""}
    commit = put(api, repo_id, files)
    assert commit.commit_url == f"{hub.url}/datasets/{repo_id}/commit/{commit.oid}"
    for path, data in files.items():
        local = hf_hub_download(
            repo_id, path, repo_type="dataset", endpoint=hub.url, token=hub.token, cache_dir=tmp_path, revision="main"
        )
        assert Path(local).read_bytes() == data
        assert commit.oid in local
    hub.fsck(repo_id)


def test_small_texts_lie_in_git_and_large_or_binary_files_in_lfs(hub):
    api, repo_id = hub.api(), hub.new()
    large = b"a line\n" * (MAX_REGULAR_BYTES // 7 + 1)
    before = attributes(hub, repo_id)
    put(
        api,
        repo_id,
        {"small.txt": b"x", "big file.txt": large, "d/binary.dat": b"a\0b", "t.parquet": b"PAR1", "e.bin": b""},
    )
    files = {file.path: file for file in api.list_repo_tree(repo_id, recursive=True, repo_type="dataset")}
    assert {path for path, file in files.items() if getattr(file, "lfs", None)} == {
        "big file.txt",
        "d/binary.dat",
        "t.parquet",
    }
    assert files["big file.txt"].lfs.sha256 == hashlib.sha256(large).hexdigest()
    assert files["big file.txt"].size == len(large)
    # What no pattern covers is written down, once, in the same commit.
    added = attributes(hub, repo_id).removeprefix(before)
    lfs = "filter=lfs diff=lfs merge=lfs -text"
    assert added == f"/big[[:space:]]file.txt {lfs}\nd/binary.dat {lfs}\n"
    assert len(api.list_repo_commits(repo_id, repo_type="dataset")) == 2
    put(api, repo_id, {"big file.txt": large + b"more"})
    assert attributes(hub, repo_id) == before + added
    pointer = hub.ask("GET", f"/datasets/{repo_id}/raw/main/t.parquet").body
    assert pointer.startswith(b"version https://git-lfs.github.com/spec/v1\noid sha256:")
    # Git itself agrees which files are pointers.
    command = ["git", "-C", str(hub.path(repo_id)), "show", "main:big file.txt"]
    assert subprocess.run(command, capture_output=True, check=True).stdout.startswith(b"version https://git-lfs")


def test_attributes_given_in_the_same_commit_are_extended(hub):
    api, repo_id = hub.api(), hub.new()
    put(api, repo_id, {".gitattributes": b"*.txt text", "x.bin": b"\0"})
    assert attributes(hub, repo_id) == "*.txt text\n/x.bin filter=lfs diff=lfs merge=lfs -text\n"


def test_unchanged_files_make_no_commit_and_no_upload(hub):
    api, repo_id = hub.api(), hub.new()
    first = put(api, repo_id, {"a.txt": b"1", "b.bin": b"2"})
    again = put(api, repo_id, {"a.txt": b"1", "b.bin": b"2"})
    assert again.oid == first.oid
    # Also when a client sends it all the same.
    assert hub.commit(repo_id, [text("a.txt", "1")]).json()["commitOid"] == first.oid


def test_delete_copy_and_replace(hub):
    api, repo_id = hub.api(), hub.new()
    put(api, repo_id, {"a.txt": b"1", "d/x.txt": b"2", "d/e/y.bin": b"3", "keep/z.txt": b"4"})
    operations = [
        CommitOperationCopy("d/e/y.bin", "copy.bin"),
        CommitOperationCopy("a.txt", "copy.txt"),
        CommitOperationDelete("d/", is_folder=True),
        CommitOperationDelete("a.txt"),
        CommitOperationAdd("a.txt/now/a/folder", b"5"),
    ]
    api.create_commit(repo_id, operations, commit_message="many", repo_type="dataset")
    names = {file.rfilename for file in api.dataset_info(repo_id).siblings}
    assert names == {".gitattributes", "copy.bin", "copy.txt", "a.txt/now/a/folder", "keep/z.txt"}
    assert hub.ask("GET", f"/datasets/{repo_id}/resolve/main/copy.bin").body == b"3"
    api.delete_files(repo_id, ["keep/*"], repo_type="dataset")
    assert "keep" not in [entry.path for entry in api.list_repo_tree(repo_id, repo_type="dataset")]
    with pytest.raises(EntryNotFoundError, match="doesn't exist"):
        api.delete_file("nope.txt", repo_id, repo_type="dataset")
    with pytest.raises(EntryNotFoundError):
        api.delete_folder("copy.bin", repo_id, repo_type="dataset")
    hub.fsck(repo_id)


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ([text("f/below.txt")], 400),  # f is a file
        ([text("d")], 400),  # d is a folder
        ([{"key": "file", "value": {"path": "x", "content": "%%%", "encoding": "base64"}}], 400),
        ([{"key": "file", "value": {"path": "x"}}], 400),
        ([{"key": "unknown", "value": {"path": "x"}}], 400),
        ([{"key": "header", "value": {"summary": "again"}}], 400),
        ([{"no": "key"}], 400),
        ([{"key": "file", "value": []}], 400),
        ([{"key": "lfsFile", "value": {"path": "x", "oid": "0" * 64}}], 400),
        ([{"key": "lfsFile", "value": {"path": "x", "oid": "nonsense"}}], 422),
        ([{"key": "lfsFile", "value": {"path": "x", "oid": "0" * 64, "algo": "md5"}}], 400),
        ([{"key": "deletedFile", "value": {"path": "nope"}}], 404),
        ([{"key": "deletedFolder", "value": {"path": "/"}}], 400),
        ([text("ok.txt"), text("../bad")], 400),
        ([text("a/" * 80 + "deep")], 400),
    ],
)
def test_bad_commits_change_nothing(hub, lines, status):
    repo_id = hub.new()
    tip = hub.commit(repo_id, [text("f"), text("d/x")]).json()["commitOid"]
    answer = hub.commit(repo_id, lines)
    assert answer.status == status, answer.body
    assert answer.json()["error"]
    assert hub.api().dataset_info(repo_id).sha == tip


def test_the_header_of_a_commit_is_checked(hub):
    repo_id = hub.new()
    path = f"/api/datasets/{repo_id}/commit/main"
    for body in (
        b"",
        b"{}",
        b"nonsense\n",
        b'{"key": "file", "value": {"path": "a", "content": "b"}}\n',
        b"\xff\xfe\n",
    ):
        assert hub.ask("POST", path, body).status == 400
    header = b'{"key": "header", "value": {"summary": %s}}\n'
    assert hub.ask("POST", path, header % b'""').status == 400
    assert hub.ask("POST", path, header % b"3").status == 400
    assert hub.ask("POST", path, header % (b'"' + b"x" * 70000 + b'"')).status == 413
    odd = hub.ask(
        "POST", path, header % b'"two\\nlines\\u0000 \\ud800"' + b'{"key":"file","value":{"path":"a","content":"b"}}'
    )
    assert odd.status == 200
    assert hub.api().list_repo_commits(repo_id, repo_type="dataset")[0].title == "two lines ?"
    hub.fsck(repo_id)


def test_a_stale_parent_is_refused(hub):
    api, repo_id = hub.api(), hub.new()
    first = api.dataset_info(repo_id).sha
    second = put(api, repo_id, {"a.txt": b"1"}, parent_commit=first).oid
    with pytest.raises(HfHubHTTPError) as error:
        put(api, repo_id, {"a.txt": b"2"}, parent_commit=first)
    assert error.value.response.status_code == 412
    assert api.dataset_info(repo_id).sha == second
    assert put(api, repo_id, {"a.txt": b"2"}, parent_commit=second[:7]).oid != second
    assert hub.commit(repo_id, [text("b")], parent="no hash").status == 412


def test_commits_need_a_branch(hub):
    api, repo_id = hub.api(), hub.new()
    api.create_tag(repo_id, tag="v1", repo_type="dataset")
    assert hub.commit(repo_id, [text("a")], "v1").status == 400
    assert hub.commit(repo_id, [text("a")], api.dataset_info(repo_id).sha).status == 400
    answer = hub.commit(repo_id, [text("a")], "nope")
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    api.create_branch(repo_id, branch="side/branch", repo_type="dataset")
    assert (
        put(api, repo_id, {"a": b"1"}, revision="side/branch").oid
        == api.dataset_info(repo_id, revision="side/branch").sha
    )
    assert not api.file_exists(repo_id, "a", repo_type="dataset")


def test_regular_files_have_a_limit(hub):
    repo_id = hub.new()
    content = base64.b64encode(b"x" * (MAX_REGULAR_BYTES + 1)).decode()
    line = {"key": "file", "value": {"path": "x", "content": content, "encoding": "base64"}}
    answer = hub.commit(repo_id, [line])
    assert answer.status == 400
    assert "LFS" in answer.json()["error"]
    line["value"]["content"] = content * 2
    assert hub.commit(repo_id, [line]).status == 413


def test_many_files_become_one_pack_that_git_accepts(hub):
    api, repo_id = hub.api(), hub.new()
    count = PACK_FROM * 12
    lines = [text(f"f{number % 7}/n{number:05}.txt", f"content {number % 900}") for number in range(count)]
    assert hub.commit(repo_id, lines).status == 200
    packs = list((hub.path(repo_id) / "objects" / "pack").glob("*.pack"))
    assert len(packs) == 1
    hub.fsck(repo_id)
    subprocess.run(["git", "verify-pack", packs[0]], check=True, capture_output=True)
    files = [
        file
        for file in api.list_repo_tree(repo_id, recursive=True, repo_type="dataset")
        if not isinstance(file, RepoFolder)
    ]
    assert len(files) == count + 1
    # More than a page of 1000, with folders between; in git's order, nothing lost and nothing twice.
    paths = [file.path for file in files]
    assert paths == sorted(set(paths))
    assert hub.ask("GET", f"/datasets/{repo_id}/resolve/main/f3/n00010.txt").body == b"content 10"
    assert hub.commit(repo_id, [text("f3/n00010.txt", "new")]).status == 200
    hub.fsck(repo_id)


def test_tree_pages_show_one_commit_even_if_the_branch_moves(hub):
    repo_id = hub.new()
    hub.commit(repo_id, [text(f"{number}.txt") for number in range(6)])
    first = hub.ask("GET", f"/api/datasets/{repo_id}/tree/main?limit=3")
    assert len(first.json()) == 3
    link = first.headers["Link"].partition(">")[0].removeprefix(f"<{hub.url}")
    hub.commit(repo_id, [{"key": "deletedFile", "value": {"path": f"{number}.txt"}} for number in range(6)])
    second = hub.ask("GET", link).json() + hub.ask("GET", link.replace("limit=3", "limit=50")).json()[3:]
    assert [entry["path"] for entry in first.json() + second] == [
        ".gitattributes",
        *(f"{number}.txt" for number in range(6)),
    ]
    assert hub.ask("GET", f"/api/datasets/{repo_id}/tree/main?cursor=rubbish").status == 400


def test_trees_describe_folders_and_last_commits(hub):
    api, repo_id = hub.api(), hub.new()
    first = put(api, repo_id, {"a/x.txt": b"1", "a/y.txt": b"1", "b.txt": b"1"})
    second = put(api, repo_id, {"a/x.txt": b"2"})
    top = {entry.path: entry for entry in api.list_repo_tree(repo_id, repo_type="dataset", expand=True)}
    assert set(top) == {".gitattributes", "a", "b.txt"}
    assert isinstance(top["a"], RepoFolder)
    assert (top["a"].last_commit.oid, top["b.txt"].last_commit.oid) == (second.oid, first.oid)
    below = list(api.list_repo_tree(repo_id, "a", repo_type="dataset", expand=True))
    assert [(entry.path, entry.last_commit.oid) for entry in below] == [("a/x.txt", second.oid), ("a/y.txt", first.oid)]
    old = list(api.list_repo_tree(repo_id, "a", repo_type="dataset", revision=first.oid, expand=True))
    assert {entry.last_commit.oid for entry in old} == {first.oid}
    assert [e.path for e in api.list_repo_tree(repo_id, recursive=True, repo_type="dataset")][1:4] == [
        "a",
        "a/x.txt",
        "a/y.txt",
    ]
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(repo_id, "missing", repo_type="dataset"))
    with pytest.raises(RemoteEntryNotFoundError):
        list(api.list_repo_tree(repo_id, "b.txt", repo_type="dataset"))
    with pytest.raises(RevisionNotFoundError):
        list(api.list_repo_tree(repo_id, revision="missing", repo_type="dataset"))


def test_paths_info_skips_what_is_missing(hub):
    api, repo_id = hub.api(), hub.new()
    commit = put(api, repo_id, {"a/x.txt": b"123", "b.bin": b"45"})
    found = api.get_paths_info(repo_id, ["a", "a/x.txt", "b.bin", "missing", "../up"], repo_type="dataset", expand=True)
    assert [entry.path for entry in found] == ["a", "a/x.txt", "b.bin"]
    assert isinstance(found[0], RepoFolder)
    assert (found[1].size, found[2].size) == (3, 2)
    assert found[2].lfs.sha256 == hashlib.sha256(b"45").hexdigest()
    assert {entry.last_commit.oid for entry in found} == {commit.oid}
    body = "&".join(["paths=x"] * 1001).encode()
    assert hub.ask("POST", f"/api/datasets/{repo_id}/paths-info/main", body).status == 413
    as_json = hub.ask(
        "POST", f"/api/datasets/{repo_id}/paths-info/main", {"paths": ["b.bin"]}, Content_Type="application/json"
    )
    assert [entry["path"] for entry in as_json.json()] == ["b.bin"]
    assert "lastCommit" not in as_json.json()[0]


def test_preupload_knows_ignored_and_existing_files(hub):
    api, repo_id = hub.api(), hub.new()
    put(api, repo_id, {".gitignore": b"*.log\n", "a.txt": b"1", "b.bin": b"2"})
    path = f"/api/datasets/{repo_id}/preupload/main"
    wanted = [{"path": name, "size": 1, "sample": ""} for name in ("a.txt", "b.bin", "c.log", "d.txt")]
    files = {file["path"]: file for file in hub.ask("POST", path, {"files": wanted}).json()["files"]}
    assert files["a.txt"]["oid"] == hashlib.sha1(b"blob 1\x001").hexdigest()
    assert files["b.bin"]["oid"] == hashlib.sha256(b"2").hexdigest()
    assert (files["b.bin"]["uploadMode"], files["d.txt"]["uploadMode"]) == ("lfs", "regular")
    assert [files[name]["shouldIgnore"] for name in ("a.txt", "c.log")] == [False, True]
    assert "oid" not in files["d.txt"]
    other = hub.ask("POST", path, {"files": wanted, "gitIgnore": "a.*"}).json()["files"]
    assert [file["shouldIgnore"] for file in other] == [True, False, False, False]
    for bad in (
        {},
        {"files": 3},
        {"files": [3]},
        {"files": [{"path": "../x", "size": 1}]},
        {"files": [{"path": "x", "size": -1}]},
    ):
        assert hub.ask("POST", path, bad).status == 400
    assert hub.ask("POST", path, {"files": [{"path": "x", "size": 1, "sample": "%"}]}).status == 400
    # The client leaves ignored files out of the commit.
    put(api, repo_id, {"new.log": b"1", "new.txt": b"1"})
    assert not api.file_exists(repo_id, "new.log", repo_type="dataset")
    assert api.file_exists(repo_id, "new.txt", repo_type="dataset")


@pytest.fixture(scope="module")
def served(hub) -> tuple[str, bytes, str]:
    """A repository with the same 1000 bytes as a text in git and as a large file."""
    repo_id = hub.new()
    data = bytes(48 + number % 10 for number in range(1000))
    commit = put(hub.api(), repo_id, {"t.txt": data, "t.bin": data})
    return f"/datasets/{repo_id}/resolve/main", data, commit.oid


@pytest.mark.parametrize("name", ["t.txt", "t.bin"])
def test_downloads_carry_the_headers_that_clients_read(hub, served, name):
    base, data, commit = served
    for method in ("GET", "HEAD"):
        answer = hub.ask(method, f"{base}/{name}", Accept_Encoding="identity")
        assert answer.status == 200
        assert answer.body == (data if method == "GET" else b"")
        headers = answer.headers
        assert (headers["Content-Length"], headers["Accept-Ranges"], headers["X-Repo-Commit"]) == (
            "1000",
            "bytes",
            commit,
        )
        etag = hashlib.sha256(data) if name == "t.bin" else hashlib.sha1(b"blob 1000\0" + data)
        assert headers["ETag"] == f'"{etag.hexdigest()}"'
        linked = ("1000", headers["ETag"]) if name == "t.bin" else (None, None)
        assert (headers["X-Linked-Size"], headers["X-Linked-Etag"]) == linked
        assert headers["X-Xet-Hash"] is None
        # A browser must never run what somebody uploaded.
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Content-Security-Policy"].startswith("sandbox")
        assert headers["Content-Disposition"].startswith("attachment")
        assert not headers["Content-Type"].startswith("text/html")
    cached = hub.ask("GET", f"{base}/{name}", If_None_Match=headers["ETag"])
    assert (cached.status, cached.body) == (304, b"")


@pytest.mark.parametrize("name", ["t.txt", "t.bin"])
@pytest.mark.parametrize(
    ("wanted", "span"),
    [
        ("bytes=0-0", (0, 1)),
        ("bytes=10-19", (10, 20)),
        ("bytes=990-", (990, 1000)),
        ("bytes=990-5000", (990, 1000)),
        ("bytes=-5", (995, 1000)),
        ("bytes=-5000", (0, 1000)),
        ("bytes=0-999", (0, 1000)),
    ],
)
def test_ranges(hub, served, name, wanted, span):
    base, data, _ = served
    answer = hub.ask("GET", f"{base}/{name}", Range=wanted)
    assert answer.status == 206
    assert answer.body == data[slice(*span)]
    assert answer.headers["Content-Range"] == f"bytes {span[0]}-{span[1] - 1}/1000"


@pytest.mark.parametrize("name", ["t.txt", "t.bin"])
def test_ranges_that_cannot_be_served(hub, served, name):
    base, data, _ = served
    for wanted in ("bytes=1000-", "bytes=5000-6000", "bytes=-0"):
        answer = hub.ask("GET", f"{base}/{name}", Range=wanted)
        assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */1000"), wanted
    for ignored in ("bytes=9-5", "lines=1-2", "bytes=0-1,5-6", "bytes=-", "bytes=a-b"):
        answer = hub.ask("GET", f"{base}/{name}", Range=ignored)
        assert (answer.status, answer.body) == (200, data), ignored
    etag = hub.ask("HEAD", f"{base}/{name}").headers["ETag"]
    assert hub.ask("GET", f"{base}/{name}", Range="bytes=0-1", If_Range=etag).status == 206
    assert hub.ask("GET", f"{base}/{name}", Range="bytes=0-1", If_Range='"other"').status == 200


def test_empty_files_and_missing_entries(hub):
    repo_id = hub.new()
    commit = put(hub.api(), repo_id, {"empty.bin": b"", "d/x.txt": b"1"}).oid
    base = f"/datasets/{repo_id}/resolve"
    assert hub.ask("GET", f"{base}/main/empty.bin").body == b""
    assert hub.ask("GET", f"{base}/main/empty.bin", Range="bytes=0-").status == 416
    for path in ("main/nope.txt", "main/d", "main/d/x.txt/y"):
        answer = hub.ask("HEAD", f"{base}/{path}")
        assert (answer.status, answer.headers["X-Error-Code"], answer.headers["X-Repo-Commit"]) == (
            404,
            "EntryNotFound",
            commit,
        )
    answer = hub.ask("HEAD", f"{base}/nope/d/x.txt")
    assert (answer.status, answer.headers["X-Error-Code"]) == (404, "RevisionNotFound")
    # Revisions arrive as one encoded segment.
    hub.api().create_branch(repo_id, branch="a/b", repo_type="dataset")
    for revision in ("a%2Fb", "refs%2Fheads%2Fa%2Fb", commit, commit[:8]):
        assert hub.ask("GET", f"{base}/{revision}/d/x.txt").body == b"1"
        assert hub.ask("GET", f"{base}/{revision}/d%2Fx.txt").body == b"1"
