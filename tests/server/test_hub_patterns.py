"""Patterns of .gitattributes and .gitignore, compared with git itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubkit.server.commits import MAX_REGULAR_BYTES, upload_mode
from hubkit.server.paths import path_problem
from hubkit.server.patterns import IgnoreRules, LfsRules, attribute_line, default_attributes

PATHS = [
    *("a.bin", "x/a.bin", "a.BIN", "a.bin.txt", "saved_model/a", "saved_model/x/y", "x/saved_model/a", "a.tar.gz"),
    *("a.lfs.b", "events.out.tfevents.1", "data/x.parquet", "README.md", "a b.txt", "x/a b.txt", "[x].txt", "x.txt"),
    *(
        "a*b",
        "aab",
        "a?b",
        "#c",
        "!d",
        "ü.txt",
        "x/y/z.txt",
        "y/z.txt",
        "build/x",
        "a/build/x",
        "build",
        "deep/a/b/c.log",
    ),
    *('"q".txt', "-x", "tab", "a\\b".replace("\\", "-"), "q]", "^x", "x1", "x2", "xa"),
]


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("git")
    subprocess.run(["git", "init", "-q", str(folder)], check=True)
    return folder


def git_says_lfs(work: Path, attributes: bytes, paths: list[str]) -> list[bool]:
    (work / ".gitattributes").write_bytes(attributes)
    command = ["git", "-C", str(work), "check-attr", "-z", "--stdin", "filter"]
    sent = b"".join(path.encode() + b"\0" for path in paths)
    fields = subprocess.run(command, input=sent, capture_output=True, check=True).stdout.split(b"\0")
    return [value == b"lfs" for value in fields[2::3]]


def git_says_ignored(work: Path, ignore: str, paths: list[str]) -> list[bool]:
    (work / ".gitignore").write_bytes(ignore.encode())
    command = ["git", "-C", str(work), "check-ignore", "-z", "--stdin", "--no-index"]
    sent = b"".join(path.encode() + b"\0" for path in paths)
    found = subprocess.run(command, input=sent, capture_output=True, check=False).stdout.split(b"\0")
    return [path.encode() in found for path in paths]


@pytest.mark.parametrize("repo_type", ["models", "datasets"])
def test_the_default_attributes_mean_what_git_reads(work: Path, repo_type: str):
    attributes = default_attributes(repo_type)
    rules = LfsRules(attributes)
    assert [rules.match(path) for path in PATHS] == git_says_lfs(work, attributes, PATHS)


@pytest.mark.parametrize(
    "attributes",
    [
        "*.txt filter=lfs\nx/*.txt -filter\n",
        "*.txt filter=lfs\ny/z.txt !filter\n",
        "/x.txt filter=lfs\n",
        "x/** filter=lfs\n",
        "**/z.txt filter=lfs\n",
        "x/**/z.txt filter=lfs\n",
        "build/ filter=lfs\n",
        "!*.txt filter=lfs\n",
        "# *.txt filter=lfs\n",
        '"a b.txt" filter=lfs\n',
        "a[[:space:]]b.txt filter=lfs\n",
        "x[12] filter=lfs\nx[!1] filter=other\n",
        "x[a-z] filter=lfs\n",
        "\\[x\\].txt filter=lfs\n",
        "[x filter=lfs\n",
        "*.txt\tfilter=lfs diff=lfs\n",
        "a?b filter=lfs\na\\?b filter=x\n",
        "*.txt text\n",
        "*.txt filter=lfs\r\n",
    ],
)
def test_rules_mean_what_git_reads(work: Path, attributes: str):
    rules = LfsRules(attributes.encode())
    assert [rules.match(path) for path in PATHS] == git_says_lfs(work, attributes.encode(), PATHS)


NAMES = st.text(st.sampled_from("ab.[]*?#!\"' -ü{}~^$(|)+x"), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.lists(NAMES, min_size=1, max_size=3).map("/".join), min_size=1, max_size=8))
def test_an_added_line_names_exactly_its_file_for_us_and_for_git(work: Path, paths: list[str]):
    paths = [path for path in dict.fromkeys(paths) if not path_problem(path)]
    others = [f"deep/{path}" for path in paths] + [f"{path}x" for path in paths] + ["other"]
    others = [path for path in others if path not in paths]
    attributes = b"".join(map(attribute_line, paths))
    rules = LfsRules(attributes)
    expected = [True] * len(paths) + [False] * len(others)
    assert [rules.match(path) for path in paths + others] == expected
    assert git_says_lfs(work, attributes, paths + others) == expected


@pytest.mark.parametrize(
    "ignore",
    [
        "*.log\n", "build/\n", "/build\n", "*.txt\n!x.txt\n", "x/\n!x/y/\n", "# c\n\\#c\n", "\\!d\n", "a b.txt  \n",
        "**/z.txt\n", "deep/**\n", "deep/*\n!deep/a\n", "x/y\n", "[x].txt\n", "\n\n", "*\n!*.md\n", "/*\n!/README.md\n",
    ],
)  # fmt: skip
def test_ignore_rules_mean_what_git_reads(work: Path, ignore: str):
    rules = IgnoreRules(ignore)
    assert [rules.match(path) for path in PATHS] == git_says_ignored(work, ignore, PATHS)


def test_hostile_patterns_do_not_stop_the_matcher():
    rules = LfsRules(b"a*a*a*a*a*a*a*a*a*a*a*a*a*b filter=lfs\n")
    assert not rules.match("a" * 200)


def test_the_upload_mode_follows_size_content_and_pattern():
    rules = LfsRules(default_attributes("models"))
    assert upload_mode(rules, "a.txt", 100, b"text") == "regular"
    assert upload_mode(rules, "a.bin", 100, b"text") == "lfs"
    assert upload_mode(rules, "a.txt", 100, b"\0text") == "lfs"
    assert upload_mode(rules, "a.txt", MAX_REGULAR_BYTES, b"text") == "regular"
    assert upload_mode(rules, "a.txt", MAX_REGULAR_BYTES + 1, b"text") == "lfs"
    assert upload_mode(rules, "a.bin", 0, b"") == "regular"
