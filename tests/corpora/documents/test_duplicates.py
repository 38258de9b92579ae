"""Exact duplicates against a plain set, near duplicates against what they must and must not find."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora.documents.duplicates import mark_firsts
from hubkit.corpora.documents.near_duplicates import mark_later_ones, write_signatures
from hubkit.errors import UserError

KEYS = np.dtype([("high", "<u8"), ("low", "<u8"), ("position", "<i8")])
HALF = st.sampled_from([0, 1, 2**63, 2**64 - 1, 5 << 60, 9 << 60])


def keyed(pairs: list[tuple[int, int]]) -> np.ndarray:
    return np.array([(high, low, 0) for high, low in pairs], KEYS)


def plain_firsts(pairs: list[tuple[int, int]]) -> list[bool]:
    seen, firsts = set(), []
    for pair in pairs:
        firsts.append(pair not in seen)
        seen.add(pair)
    return firsts


@given(st.lists(st.lists(st.tuples(HALF, HALF), max_size=30), max_size=4), st.sampled_from([1, 2, 7, 1000]))
@settings(max_examples=100, deadline=None)
def test_firsts_are_those_of_a_set(tmp_path_factory, parts, bucket_items):
    scratch = tmp_path_factory.mktemp("scratch")
    got = mark_firsts([keyed(part) for part in parts], scratch, bucket_items)
    assert got.tolist() == plain_firsts([pair for part in parts for pair in part])
    assert [path.name for path in scratch.iterdir()] == ["firsts.bin"]


def test_many_buckets(tmp_path):
    random = np.random.default_rng(0)
    keys = np.zeros(20_000, KEYS)
    keys["high"] = random.integers(0, 2**64, len(keys), dtype=np.uint64)
    keys["low"] = random.integers(0, 3, len(keys))
    keys[10_000:] = keys[random.integers(0, 10_000, 10_000)]
    got = mark_firsts([keys[:7000], keys[7000:]], tmp_path, bucket_items=100)
    assert got[:10_000].all()
    assert not got[10_000:].any()


SENTENCE = (
    "the court finds that the lower court did not err when it held that {} was the only heir of the estate of {} "
)


def document(names: str) -> str:
    return "".join(SENTENCE.format(name, name * 2) for name in names)


def near(tmp_path, *sources: list[str]) -> list[int]:
    folders = []
    for number, texts in enumerate(sources):
        folders.append(tmp_path / str(number))
        folders[-1].mkdir()
        write_signatures(texts, folders[-1])
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    return mark_later_ones(folders, [len(texts) for texts in sources], scratch).tolist()


def test_of_near_duplicates_the_first_stays(tmp_path):
    pytest.importorskip("datatrove")
    one, other = document("abcdefghij"), document("klmnopqrst")
    again = one.upper().replace("  ", " ") + "!"
    assert near(
        tmp_path, [one, "short", other], [], [again, other + "x", "and something else altogether, of some length"]
    ) == [
        3,
        4,
    ]


def test_no_near_duplicates(tmp_path):
    pytest.importorskip("datatrove")
    assert near(tmp_path, [document("abcdef"), ""], ["one two three four five six seven eight"]) == []


def test_without_datatrove(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "datatrove.pipeline.dedup", None)
    with pytest.raises(UserError, match=r"near_duplicates: .*hubkit\[cluster\]"):
        write_signatures(["a"], tmp_path)
