"""What splits share, against a plain count of whole rows and n-grams."""

import json

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora import overlap
from hubkit.corpora.build import build
from hubkit.corpora.comparison import Comparison
from hubkit.corpora.overlap import N, Sketch, compared_column, report
from hubkit.corpora.registry import find

TEXT = pa.schema({"text": pa.string()})
IDS = pa.schema({"input_ids": pa.list_(pa.uint16())})

# Few words and short rows, so that rows and n-grams do repeat.
words = st.lists(st.sampled_from(["a", "b", "cd"]), max_size=2 * N)
rows_of_words = st.lists(words, min_size=1, max_size=8)


@pytest.fixture(autouse=True)
def everything_is_kept(monkeypatch):
    monkeypatch.setattr(overlap, "_SAMPLED", 1 - 2**-53)


def sketched(path, schema, rows, parts=1):
    """Write the sketches of a split in some shards; return their paths."""
    paths = []
    for part in range(parts):
        sketch = Sketch(schema)
        sketch.add(pa.record_batch([pa.array(rows[part::parts], schema.field(0).type)], schema=schema))
        paths.append(path.with_name(f"{path.name}-{part}.npy"))
        sketch.write(paths[-1])
    return paths


def ngrams(rows):
    return {tuple(row[at : at + N]) for row in rows for at in range(len(row) - N + 1)}


def plain(one, other):
    """Return what a pair's record should say, from definitions."""
    there = {tuple(row) for row in other}
    return sum(tuple(row) in there for row in one), len(ngrams(one)), len(ngrams(one) & ngrams(other))


@settings(max_examples=60, deadline=None)
@given(rows_of_words, rows_of_words, st.sampled_from([" ", "  ", "\n", " \t"]), st.integers(1, 3))
def test_it_counts_what_a_plain_count_counts(tmp_path_factory, train, test, blank, parts):
    folder = tmp_path_factory.mktemp("sketches")
    for schema, spell in ((TEXT, blank.join), (IDS, lambda row: [len(word) * 40_000 + ord(word[0]) for word in row])):
        if schema is IDS:
            spell = lambda row: [ord(word[0]) for word in row]  # noqa: E731
        found = report(
            schema,
            {
                "train": sketched(folder / "train", schema, [spell(row) for row in train], parts),
                "test": sketched(folder / "test", schema, [spell(row) for row in test]),
            },
        )
        assert found is not None
        pairs = {(pair.split, pair.other): (pair.rows, pair.ngrams, pair.shared) for pair in found.pairs}
        assert pairs == {("train", "test"): plain(train, test), ("test", "train"): plain(test, train)}
        different = len({tuple(row) for row in train})
        assert found.repeats == {
            "train": len(train) - different,
            "test": len(test) - len({tuple(row) for row in test}),
        }


def test_it_does_not_depend_on_buckets_or_shards(tmp_path, monkeypatch):
    random = np.random.default_rng(5)
    rows = [" ".join(map(str, random.integers(0, 3, 20))) for _ in range(300)]
    splits = {"train": rows[:200], "test": rows[150:]}
    whole = report(TEXT, {name: sketched(tmp_path / name, TEXT, texts) for name, texts in splits.items()})
    assert whole is not None
    assert [pair.rows for pair in whole.pairs] == [50, 50]
    monkeypatch.setattr(overlap, "_BUCKET", 16)
    assert report(TEXT, {name: sketched(tmp_path / name, TEXT, texts, 3) for name, texts in splits.items()}) == whole


def test_a_sketch_of_a_large_shard_keeps_a_smaller_sample(tmp_path, monkeypatch):
    monkeypatch.setattr(overlap, "_MOST_NGRAMS", 1000)
    random = np.random.default_rng(5)
    rows = [" ".join(map(str, random.integers(0, 1000, 40))) for _ in range(1000)]
    splits = {"train": rows, "test": rows[:500]}
    found = report(TEXT, {name: sketched(tmp_path / name, TEXT, texts) for name, texts in splits.items()})
    assert found is not None
    assert found.sampled < 1 / 16
    back, forth = found.pairs
    assert (back.split, back.rows, forth.rows) == ("train", 500, 500)
    assert forth.shared == forth.ngrams > 0, "of what was sampled, all of test is in train"
    assert 0.3 < back.shared / back.ngrams < 0.7
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 8 * (1500 + 2 * 1000) + 1000


@pytest.mark.parametrize(
    ("schema", "column"),
    [
        (pa.schema({"a": pa.int8(), "text": pa.large_string()}), ("text", "words")),
        (pa.schema({"name": pa.string(), "input_ids": pa.list_(pa.uint32())}), ("input_ids", "items")),
        (pa.schema({"a": pa.int8(), "b": pa.string(), "c": pa.string()}), ("b", "words")),
        (pa.schema({"a": pa.int8(), "b": pa.list_(pa.float64())}), None),
    ],
)
def test_the_column_that_is_read_is_compared(tmp_path, schema, column):
    assert compared_column(schema) == column
    if column is None:
        sketch = Sketch(schema)
        sketch.add(pa.record_batch([[1], [[2.0]]], schema=schema))
        sketch.write(tmp_path / "x.npy")
        assert report(schema, {"train": [tmp_path / "x.npy"]}) is None


@pytest.mark.parametrize(
    ("columns", "column"),
    [
        ({"text": ["a"], "long": ["b" * 99]}, "text"),
        ({"long": ["b" * 99], "input_ids": [[1, 2]]}, "input_ids"),
        ({"id": ["07"], "question": ["who?"], "context": ["it was Ada"], "label": ["x"]}, "context"),
        ({"n": [1], "picture": [b"..."]}, None),
    ],
)
def test_rows_of_unknown_origin_are_compared_by_what_is_read(tmp_path, columns, column):
    comparison = Comparison(tmp_path)
    rows = pa.RecordBatch.from_pydict(columns)
    for split in ("train", "test"):
        comparison.add(split, rows.slice(0, 0))
        comparison.add(split, rows)
        comparison.end_split(split)
    found = comparison.report()
    assert (found and found.column) == column
    assert found is None or [pair.rows for pair in found.pairs] == [1, 1]


def test_a_comparison_does_not_depend_on_how_many_rows_a_sketch_takes(tmp_path, monkeypatch):
    random = np.random.default_rng(5)
    rows = [" ".join(map(str, random.integers(0, 3, 20))) for _ in range(300)]
    found = []
    for at_once in (1 << 20, 64, 7):
        monkeypatch.setattr("hubkit.corpora.comparison._SKETCH_ROWS", at_once)
        folder = tmp_path / str(at_once)
        folder.mkdir()
        comparison = Comparison(folder)
        for split, texts in (("train", rows[:200]), ("test", rows[150:])):
            for start in range(0, len(texts), 10):
                comparison.add(split, pa.RecordBatch.from_pydict({"text": texts[start : start + 10]}))
            comparison.end_split(split)
        found.append(comparison.report())
        assert len(list(folder.iterdir())) == {1 << 20: 2, 64: 3 + 3, 7: 20 + 15}[at_once]
    assert found[0] is not None
    assert [pair.rows for pair in found[0].pairs] == [50, 50]
    assert found[1] == found[2] == found[0]


def test_nulls_dictionaries_and_slices(tmp_path):
    schema = pa.schema({"text": pa.dictionary(pa.int8(), pa.string())})
    rows = pa.record_batch(
        [pa.array(["x", "a b", None, "a b", ""]).dictionary_encode().cast(schema.types[0])], schema=schema
    )
    for name, batch in (("train", rows.slice(1, 3)), ("test", rows.slice(2))):
        sketch = Sketch(schema)
        sketch.add(batch)
        sketch.add(batch.slice(0, 0))
        sketch.write(tmp_path / f"{name}.npy")
    found = report(schema, {name: [tmp_path / f"{name}.npy"] for name in ("train", "test")})
    assert found is not None
    assert [pair.rows for pair in found.pairs] == [3, 3], "nothing and an empty text are alike"
    assert found.repeats == {"train": 1, "test": 1}


def test_a_build_records_it_whatever_the_shards_and_workers(tmp_path, walks, finished):
    [manifest] = json.loads((finished / "corpus.json").read_text())["overlaps"]
    assert (manifest["column"], manifest["unit"], manifest["n"]) == ("text", "words", 13)
    assert manifest["repeats"]["train"] > 4000, "walks of eight steps are 256"
    other = build(find(str(walks)), tmp_path / "other", workers=2, shard_rows=1024)
    assert [overlap.model_dump() for overlap in other.overlaps] == [manifest]
    assert build(find(str(walks)), tmp_path / "none", workers=1, overlap=False).overlaps == []
