"""Names and paths: what is refused, and that nothing that is accepted can leave the repository."""

from __future__ import annotations

import os
import posixpath

import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from hubkit.server.errors import ApiError
from hubkit.server.paths import check_oid, check_ref_name, check_repo, is_name, path_problem

BAD_PATHS = [
    *("", "/", "/a", "a/", "a//b", ".", "./a", "a/.", "..", "../a", "a/../b", "a/.."),
    *(".git", ".git/config", "a/.git/b", ".GIT/x", ".Git", "git~1", "GIT~1/x", "a/git~1", ".git.", ".git ", ".git . ."),
    *(".git::$INDEX_ALLOCATION", ".git:x/y", "git~1:x", ".g\u200cit", ".gi\ufefft/x"),
    *("a\\b", "..\\a", "a\0b", "a\nb", "a\x1fb", "a\x7fb", "a\x85b", "\ud800", "x" * 256, "/".join(["abc"] * 1000)),
]
GOOD_PATHS = [
    *("a", "README.md", ".gitattributes", ".gitignore", ".github/x", "a.git/b", "git", "git~2", "...", "..a", "a..b"),
    *("data/train-00000-of-00001.parquet", "ümläut/文件.txt", "a b/c d", "-", "a:b", "%2e%2e", "~", "con", "x" * 255),
]


@pytest.mark.parametrize("path", BAD_PATHS, ids=ascii)
def test_bad_paths_are_refused(path: str):
    assert path_problem(path)


@pytest.mark.parametrize("path", GOOD_PATHS, ids=ascii)
def test_good_paths_are_accepted(path: str):
    assert path_problem(path) is None


@given(st.lists(st.sampled_from(["..", ".", "", ".git", "a", "b", "\\", "\0", "~", ".GiT", " ", "ü", ":"]), max_size=6))
def test_accepted_paths_stay_below_their_folder(parts: list[str]):
    path = "/".join(parts)
    if path_problem(path) is None:
        assert posixpath.normpath(path) == path
        inside = os.path.abspath(os.path.join("/base/repo", path))
        assert inside.startswith("/base/repo/")
        assert not any(part.lower() == ".git" for part in path.split("/"))


@given(st.text(max_size=20))
def test_any_text_is_judged_without_an_exception(path: str):
    problem = path_problem(path)
    assert problem is None or isinstance(problem, str)
    if "\\" in path or "\0" in path or "\n" in path:
        assert problem


@given(st.from_regex(r"[A-Za-z0-9._-]{1,12}", fullmatch=True))
def test_names_follow_the_rules_of_the_real_client(name: str):
    try:
        validate_repo_id(f"ns/{name}")
        client_says = True
    except ValueError:
        client_says = False
    # Stricter in one thing only: no name of a lock file, and no `.git` in capitals.
    if not name.lower().endswith((".lock", ".git")):
        assert is_name(name) == client_says


@pytest.mark.parametrize(
    "name", ["", ".a", "a.", "-a", "a-", "a--b", "a..b", "a/b", "a.git", "a.GIT", "é", "a b", "x" * 97, "..", "a\0"]
)
def test_bad_names_are_refused(name: str):
    with pytest.raises(ApiError) as error:
        check_repo("models", "lab", name)
    assert error.value.status == 400


@pytest.mark.parametrize("namespace", ["api", "datasets", "Spaces", "models"])
def test_namespaces_that_are_addresses_of_the_server_are_refused(namespace: str):
    with pytest.raises(ApiError, match="reserved"):
        check_repo("models", namespace, "x")


@pytest.mark.parametrize(
    "name",
    [
        "a..b",
        "a b",
        "-a",
        "a.lock",
        "a~1",
        "a^",
        "a:b",
        "refs/heads/x",
        "@{",
        "0" * 40,
        "",
        "a//b",
        "HEAD",
        None,
        3,
        "a\0",
        "x/../y",
        "x" * 201,
    ],
)
def test_bad_ref_names_are_refused(name: object):
    with pytest.raises(ApiError):
        check_ref_name(name)


@pytest.mark.parametrize("name", ["v1.0.0", "feature/x", "ü", "a-b_c", "1234567"])
def test_good_ref_names_are_accepted(name: str):
    assert check_ref_name(name) == name


@pytest.mark.parametrize("oid", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "../" + "a" * 61, None, 1])
def test_only_sha256_is_an_oid(oid: object):
    with pytest.raises(ApiError):
        check_oid(oid)
    assert check_oid("a" * 64) == "a" * 64
