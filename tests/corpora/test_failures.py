"""Exceptions in a builder's own code: counted, the row drawn again, reported with the traceback, up to a limit."""

import json

import pyarrow as pa
import pytest

from hubkit.corpora.build import build
from hubkit.corpora.builder import CorpusBuilder, CountedSpec
from hubkit.corpora.registry import Corpus
from hubkit.errors import UserError
from hubkit.randomness import item_seed


class Simulator(CorpusBuilder):
    """Breaks down on every draw whose seed is divisible by `every`, and rejects some others."""

    name, version, spec_type, summary, configs = "simulator", "1", CountedSpec, "Numbers. Sometimes.", {}
    schema = pa.schema({"number": pa.int64()})
    every = 97

    def row(self, seed):
        if seed % self.every == 0:
            raise ZeroDivisionError("the orbit diverged")
        return None if seed % 5 == 0 else {"number": seed % 1000}


def simulator(**splits):
    return Corpus(Simulator(CountedSpec(builder="simulator", splits=splits)), "simulator")


def failing(corpus, split):
    """Return (index, attempt) of every draw that fails, by a plain count."""
    key, found = corpus.builder.stream(split), []
    for index in range(corpus.builder.rows[split]):
        for attempt in range(100):
            seed = item_seed(key, index, attempt)
            if seed % Simulator.every == 0:
                found.append((index, attempt))
            elif seed % 5:
                break
    return found


def test_they_are_counted_retried_and_reported(tmp_path):
    corpus = simulator(train=3000, test=500)
    expected = {split: failing(corpus, split) for split in ("train", "test")}
    assert len(expected["train"]) > 10
    manifest = build(corpus, tmp_path / "corpus", workers=1, shard_rows=1024)
    assert {name: split.failed for name, split in manifest.splits.items()} == {
        name: len(draws) for name, draws in expected.items()
    }
    assert manifest.reports == ["failures.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "corpus" / "failures.jsonl").read_text().splitlines()]
    assert [(line["index"], line["attempt"]) for line in lines if line["split"] == "train"] == expected["train"]
    assert all("ZeroDivisionError: the orbit diverged" in line["error"] for line in lines)
    assert all('raise ZeroDivisionError("the orbit diverged")' in line["error"] for line in lines)
    again = build(corpus, tmp_path / "again", workers=1)
    assert [split.rows_sha256 for split in again.splits.values()] == [
        split.rows_sha256 for split in manifest.splits.values()
    ]
    assert [split.rejected for split in again.splits.values()] == [split.rejected for split in manifest.splits.values()]


def test_the_build_goes_on_to_a_limit_and_no_further(tmp_path):
    corpus = simulator(train=3000)
    count = len(failing(corpus, "train"))
    with pytest.raises(UserError, match=rf"max_failures: .* raised more than {count - 1} exceptions; mend it") as error:
        build(corpus, tmp_path / "corpus", workers=1, shard_rows=1024, max_failures=count - 1)
    assert "ZeroDivisionError: the orbit diverged" in str(error.value)
    assert not (tmp_path / "corpus" / "corpus.json").exists()
    manifest = build(corpus, tmp_path / "corpus", workers=1, shard_rows=1024, max_failures=count)
    assert manifest.splits["train"].failed == count, "those of the shards that were finished count too"


def test_none_are_borne_where_none_are_wanted(tmp_path):
    with pytest.raises(UserError, match="raised more than 0 exceptions"):
        build(simulator(train=3000), tmp_path / "corpus", workers=1, max_failures=0)


def test_code_that_never_works_ends(tmp_path, monkeypatch):
    monkeypatch.setattr(Simulator, "every", 1)
    builder = Simulator(CountedSpec(builder="simulator", splits={"train": 5}))
    with pytest.raises(UserError, match="raised more than 100 exceptions") as error:
        builder.block("train", 0, 5)
    assert "on attempt 100 of row 0" in str(error.value)
    builder.max_failures = 10_000
    with pytest.raises(UserError, match=r"row 0 of train: 1000 draws in a row .* \(1000 of them by an exception"):
        builder.block("train", 0, 5)


def test_a_row_with_other_columns_is_no_failure(monkeypatch):
    monkeypatch.setattr(Simulator, "row", lambda self, seed: {"numbre": 1})
    with pytest.raises(UserError, match=r"row 0 of train has \['numbre'\] and the schema of simulator \['number'\]"):
        Simulator(CountedSpec(builder="simulator", splits={"train": 5})).block("train", 0, 5)
