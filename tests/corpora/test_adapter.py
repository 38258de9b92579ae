"""The rows through `datasets`' own builder are those of the engine."""

import pyarrow.parquet as pq
import pytest

from hubkit.corpora.adapter import dataset_builder
from hubkit.corpora.build import build
from hubkit.errors import UserError

LORENZ = ["num_steps=5", "splits={train: 2100, test: 30}"]


@pytest.fixture(scope="module", autouse=True)
def quiet():
    from datasets.utils.logging import disable_progress_bar

    disable_progress_bar()


@pytest.fixture
def engine(tmp_path, corpus):
    """The rows of walks-small as the engine writes them, a list a split."""
    manifest = build(corpus(), tmp_path / "engine", workers=1, shard_rows=1024)
    return {
        name: [row for shard in split.shards for row in pq.read_table(tmp_path / "engine" / shard.file).to_pylist()]
        for name, split in manifest.splits.items()
    }


def test_prepared_rows_are_the_engines(tmp_path, walks, engine):
    builder = dataset_builder(str(walks), cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare(num_proc=2)
    assert {split: rows.to_list() for split, rows in builder.as_dataset().items()} == engine


def test_streamed_rows_are_the_engines(tmp_path, walks, engine):
    builder = dataset_builder(str(walks), cache_dir=str(tmp_path / "cache"))
    assert {split: list(rows) for split, rows in builder.as_streaming_dataset().items()} == engine
    assert not list((tmp_path / "cache").rglob("*.arrow"))


def test_prepared_parquet_is_the_engines(tmp_path, walks, engine):
    builder = dataset_builder(str(walks), cache_dir=str(tmp_path / "cache"))
    builder.download_and_prepare(str(tmp_path / "out"), file_format="parquet")
    (path,) = (tmp_path / "out").glob("walks-train*.parquet")
    assert pq.read_table(path).to_pylist() == engine["train"]


def test_an_own_family_works_alike(tmp_path):
    builder = dataset_builder("lorenz-tiny", LORENZ, cache_dir=str(tmp_path))
    rows = list(builder.as_streaming_dataset(split="train"))
    assert len(rows) == 2100
    from hubkit.corpora.registry import find

    block = find("lorenz-tiny", LORENZ).builder.block("train", 1000, 1100)
    assert rows[1000:1100] == block.rows.to_pylist()


def test_two_specs_do_not_share_a_cache(tmp_path, walks, monkeypatch):
    def prepared(*overrides):
        builder = dataset_builder(str(walks), overrides, cache_dir=str(tmp_path))
        builder.download_and_prepare()
        return builder.cache_dir, builder.as_dataset(split="test")[0]["text"]

    made = [prepared(), prepared("seed=1"), prepared("steps=9"), prepared()]
    assert made[0] == made[3]
    assert len({folder for folder, _ in made}) == len({text for _, text in made}) == 3
    from hubkit.corpora.registry import load

    monkeypatch.setattr(load(str(walks)), "version", "2")
    folder, text = prepared()
    assert folder not in {known for known, _ in made}, "another generator makes other rows"
    assert text not in {known for _, known in made}


def test_what_datasets_shows(tmp_path, walks):
    builder = dataset_builder(str(walks), cache_dir=str(tmp_path))
    assert (builder.dataset_name, builder.config.name) == ("walks", "walks-small")
    assert builder.info.description == "Each row is a walk. It goes a step forth or back."
    assert builder.info.features is not None
    assert str(builder.info.features["path"].feature) == "Value('int8')"
    assert dataset_builder(str(walks), ["seed=3"], cache_dir=str(tmp_path)).config.name == "walks"


def test_impossible_specs_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"num_steps: .*\(got 0\)"):
        dataset_builder("lorenz-tiny", ["num_steps=0"], cache_dir=str(tmp_path))
