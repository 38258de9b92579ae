"""Patterns and what they lead to."""

import gzip
import os

import pytest

from hubkit.errors import UserError
from hubkit.reading import Digest, Form, documents, find_sources
from hubkit.reading.parts import grouped

from .conftest import jsonl


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def make(*names: str) -> None:
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(jsonl(name))

    return make


def names(*patterns: str) -> list[str]:
    return [source.name for source in find_sources(patterns)]


def test_natural_order_and_nothing_twice(folder):
    folder("a10.jsonl", "a2.jsonl", "b/c/1.jsonl", "b/2.jsonl", ".hidden.jsonl")
    assert names("*.jsonl", "a2.jsonl", "./a10.jsonl", os.path.abspath("a2.jsonl")) == ["a2.jsonl", "a10.jsonl"]
    assert names("b/**/*.jsonl", "b/**") == ["b/2.jsonl", "b/c/1.jsonl"]
    assert names("**/*.jsonl") == ["a2.jsonl", "a10.jsonl", "b/2.jsonl", "b/c/1.jsonl"]


def test_directories_hold_data_and_other_things(folder):
    folder("d/x.jsonl", "d/e/y.txt.gz", "d/README.md", "d/.git/z.jsonl", "d/p.zst.part", "d/q.jsonl.zst.001")
    assert names("d") == ["d/e/y.txt.gz", "d/q.jsonl.zst", "d/x.jsonl"]


def test_names_that_look_like_patterns(folder):
    folder("x[1].jsonl", "x1.jsonl")
    assert names("x[1].jsonl") == ["x[1].jsonl"]


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("missing.jsonl", r"files: missing.jsonl does not exist; check the path"),
        ("*.zst", r"files: nothing matches \*.zst; check the pattern"),
        ("empty", r"files: empty holds no .jsonl, .ndjson, .json or .txt"),
        ("foo://x", r"files: foo://x: .*; use a path, s3://, hf:// or https://"),
        ("broken.jsonl", r"files: can't read broken.jsonl: No such file"),
    ],
)
def test_what_leads_nowhere_is_named(folder, tmp_path, pattern, message):
    folder("x.jsonl")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken.jsonl").symlink_to("nowhere")
    with pytest.raises(UserError, match=message):
        find_sources(["x.jsonl", pattern])


def test_no_pattern_at_all():
    with pytest.raises(UserError, match="files: none are named"):
        find_sources([])


def test_the_stamp_changes_with_the_file(folder, tmp_path):
    folder("x.jsonl")
    before = find_sources(["x.jsonl"])
    assert before == find_sources(["x.jsonl"])
    os.utime(tmp_path / "x.jsonl", ns=(1, 1))
    assert find_sources(["x.jsonl"])[0].stamp != before[0].stamp
    assert before[0].bytes == len(jsonl("x.jsonl"))


def test_a_file_that_vanishes(folder, tmp_path):
    folder("x.jsonl")
    (source,) = find_sources(["x.jsonl"])
    (tmp_path / "x.jsonl").unlink()
    with pytest.raises(UserError, match=r"can't read .*x.jsonl: No such file"):
        list(documents(source, Form()))


@pytest.mark.parametrize(
    "endings", [("000", "001", "002"), ("1", "2", "10"), ("aa", "ab", "ac"), ("part1", "part2", "part3")]
)
def test_archives_in_parts(tmp_path, endings):
    endings = endings if "10" not in endings else [str(number) for number in range(1, 12)]
    content = gzip.compress(jsonl("a", "b", "c", "d"))
    size = -(-len(content) // len(endings))
    for index, ending in enumerate(endings):
        (tmp_path / f"x.jsonl.gz.{ending}").write_bytes(content[index * size : (index + 1) * size])
    (source,) = find_sources([str(tmp_path / "x.*")])
    assert (source.name, source.bytes) == (str(tmp_path / "x.jsonl.gz"), len(content))
    digest = Digest()
    assert [record.text for record in documents(source, Form(), digest=digest)] == ["a", "b", "c", "d"]
    assert digest.bytes == len(content)
    (tmp_path / f"x.jsonl.gz.{endings[1]}").unlink()
    with pytest.raises(UserError, match=r"comes without the part before it .*fetch all parts of .*x.jsonl.gz"):
        find_sources([str(tmp_path / "x.*")])


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (["x.zst", "x.zst.000"], "both x.zst and parts of it match"),
        (["x.zst.001", "x.zst.01"], "is there twice"),
        (["x.zst.002"], r"comes without the part before it \(number 1\)"),
        (["x.gz.ab", "x.gz.ac"], r"comes without the part before it \(number 0\)"),
    ],
)
def test_parts_that_do_not_add_up(files, message):
    with pytest.raises(UserError, match=message):
        grouped(files)


def test_endings_that_are_no_parts():
    names = ["news.txt.en", "news.txt.fr", "x.jsonl", "y.de", "z.part.jsonl", "part-00001"]
    assert grouped(names) == [(name, [name]) for name in names]
    assert grouped(["news.txt.ab", "news.txt.aa"]) == [("news.txt", ["news.txt.aa", "news.txt.ab"])]
