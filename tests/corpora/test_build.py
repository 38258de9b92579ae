"""Builds: rows that depend on the spec alone, refusals in one line, and nothing half-written whatever goes wrong."""

import errno
import json
import os
import re
import shutil
import subprocess
import traceback
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubkit import cores, files
from hubkit.corpora import build as building
from hubkit.corpora import executors, job, shards, stages
from hubkit.corpora import plan as planning
from hubkit.corpora.build import build
from hubkit.corpora.builder import Block, CorpusBuilder, CountedSpec
from hubkit.corpora.hashing import rows_sha256_of_parquet
from hubkit.corpora.layout import WORK, shard_plan
from hubkit.corpora.manifest import read_manifest
from hubkit.corpora.registry import Corpus
from hubkit.corpora.shards import check_schema
from hubkit.corpora.statistics import Statistics
from hubkit.errors import UserError
from hubkit.randomness import item_seed

from .folders import content


def rejected(key: int, index: int) -> int:
    """Return how many draws of a row the walks reject."""
    return next(attempt for attempt in range(99) if item_seed(key, index, attempt) % 7)


def hashes(manifest) -> dict[str, str]:
    return {name: split.rows_sha256 for name, split in manifest.splits.items()}


def rows(folder: Path, split: str) -> list[dict]:
    """Return the rows of a split, as any reader of Parquet sees them."""
    return [row for path in sorted((folder / "data").glob(f"{split}-*")) for row in pq.read_table(path).to_pylist()]


@pytest.fixture
def unfinished(tmp_path, corpus, monkeypatch):
    """A build that ended on the way, at row 3000 of the training split: one shard of train is finished."""
    monkeypatch.setenv("WALKS_FAIL_AT", "3000")
    with pytest.raises(RuntimeError, match="walks failed on rows 2048 to 3071 of train"):
        build(corpus(), tmp_path / "corpus", workers=1, shard_rows=2048)
    monkeypatch.delenv("WALKS_FAIL_AT")
    return tmp_path / "corpus"


# --- the rows depend on the spec alone -------------------------------------------------------------------------------


def test_what_is_built_is_what_the_builder_says(finished, corpus):
    manifest = read_manifest(finished)
    builder = corpus().builder
    assert sorted(content(finished)) == [
        "corpus.json",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00003.parquet",
        "data/train-00001-of-00003.parquet",
        "data/train-00002-of-00003.parquet",
    ]
    for name, split in manifest.splits.items():
        blocks = [builder.block(name, at, min(at + 1000, split.rows)) for at in range(0, split.rows, 1000)]
        assert rows(finished, name) == [row for block in blocks for row in block.rows.to_pylist()]
        assert split.rejected == sum(rejected(builder.stream(name), index) for index in range(split.rows)) > 0
        lengths = [len(row["text"]) for row in rows(finished, name)]
        characters = split.statistics["text"].characters
        assert (characters.min, characters.max) == (min(lengths), max(lengths))
        assert characters.mean == pytest.approx(sum(lengths) / len(lengths), abs=0.05001)
        assert split.rows == len(lengths) == builder.spec.splits[name]


def test_the_manifest_tells_the_truth_about_every_file(finished, walks):
    manifest = read_manifest(finished)
    for split in manifest.splits.values():
        paths = [finished / shard.file for shard in split.shards]
        assert rows_sha256_of_parquet(paths) == split.rows_sha256
        for shard, path in zip(split.shards, paths, strict=True):
            assert (path.stat().st_size, files.file_sha256(path)) == (shard.bytes, shard.file_sha256)
            assert rows_sha256_of_parquet([path]) == shard.rows_sha256
            assert pq.read_metadata(path).num_rows == shard.rows
    assert manifest.rows == 6500
    assert manifest.bytes == sum(path.stat().st_size for path in (finished / "data").iterdir())
    assert manifest.columns == [
        {"name": "text", "type": "string"},
        {"name": "end", "type": "int64"},
        {"name": "mean", "type": "double"},
        {"name": "path", "type": "list<int8>"},
    ]
    assert manifest.spec == {"builder": "walks", "seed": 0, "splits": {"train": 5000, "test": 1500}, "steps": 8}
    assert set(manifest.libraries) == {"numpy", "pyarrow"}
    assert set(manifest.code) == {"hubkit", "commit", "modified", "builder_file_sha256"}
    assert manifest.code["builder_file_sha256"] == files.file_sha256(walks)


def test_the_same_spec_gives_the_same_bytes(finished, tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(stages, "code_version", lambda: {"hubkit": "0", "commit": None, "modified": False})
    for workers in (1, 2):
        build(corpus(), tmp_path / str(workers), workers=workers, shard_rows=2048)
        assert content(tmp_path / str(workers)) == content(finished)
    assert (tmp_path / "1" / "corpus.json").read_bytes() == (tmp_path / "2" / "corpus.json").read_bytes()


@pytest.mark.parametrize("shard_rows", [1024, 3072, None])
def test_shards_do_not_matter(finished, tmp_path, corpus, shard_rows):
    manifest = build(corpus(), tmp_path / "corpus", workers=1, shard_rows=shard_rows)
    first = read_manifest(finished)
    assert hashes(manifest) == hashes(first)
    assert {name: split.rejected for name, split in manifest.splits.items()} == {
        name: split.rejected for name, split in first.splits.items()
    }
    assert [split.statistics for split in manifest.splits.values()] == [s.statistics for s in first.splits.values()]


def test_adding_rows_leaves_the_old_ones(finished, tmp_path, corpus):
    more = build(corpus("splits.train=6000", "splits.extra=10"), tmp_path / "more", workers=1)
    assert rows(tmp_path / "more", "train")[:5000] == rows(finished, "train")
    old = read_manifest(finished).splits["train"].rows_sha256
    paths = [tmp_path / "more" / shard.file for shard in more.splits["train"].shards]
    assert rows_sha256_of_parquet(paths, limit=5000) == old != more.splits["train"].rows_sha256
    assert more.splits["test"].rows_sha256 == read_manifest(finished).splits["test"].rows_sha256


def test_a_limit_keeps_the_first_rows(finished, tmp_path, corpus):
    manifest = build(corpus(limit=1500), tmp_path / "few", workers=1)
    assert {name: split.rows for name, split in manifest.splits.items()} == {"train": 1500, "test": 1500}
    assert rows(tmp_path / "few", "train") == rows(finished, "train")[:1500]
    assert manifest.config is None


def test_splits_and_seeds_differ(finished, tmp_path, corpus):
    build(corpus("seed=1"), tmp_path / "other", workers=1)
    paths = [[row["path"] for row in rows(folder, "train")] for folder in (finished, tmp_path / "other")]
    assert paths[0] != paths[1]
    assert rows(finished, "train")[:1500] != rows(finished, "test")


def test_row_groups_are_as_the_manifest_says(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(planning, "ROW_GROUP_BYTES", 2048 * 1000)
    manifest = build(corpus(), tmp_path / "corpus", workers=1)
    assert manifest.writer["row_group_rows"] == 2048
    metadata = pq.read_metadata(tmp_path / "corpus" / "data" / "train-00000-of-00001.parquet")
    assert [metadata.row_group(i).num_rows for i in range(metadata.num_row_groups)] == [2048, 2048, 904]
    column = metadata.row_group(0).column(0)
    assert (column.compression, column.has_column_index, column.has_offset_index) == ("ZSTD", True, True)


def test_row_groups_of_small_rows_may_be_long(tmp_path):
    """Left to itself, Arrow's writer cuts a group at 1,048,576 rows."""

    class Narrow(CorpusBuilder):
        name, version, spec_type, summary, row_bytes = "narrow", "1", CountedSpec, "", 8
        schema = pa.schema({"x": pa.int8()})

        def block(self, split, start, stop):
            return Block(pa.record_batch({"x": pa.repeat(pa.scalar(1, pa.int8()), stop - start)}), 0)

    spec = CountedSpec(builder="narrow", splits={"train": 1_100_000})
    manifest = build(Corpus(Narrow(spec), "narrow"), tmp_path, workers=1)
    assert manifest.writer["row_group_rows"] == 4 << 20
    assert pq.read_metadata(tmp_path / "data" / "train-00000-of-00001.parquet").num_row_groups == 1


# --- what is already there -------------------------------------------------------------------------------------------


def test_a_finished_build_is_left_alone(finished, corpus):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    for arguments in ({}, {"workers": 2}, {"shard_rows": 2048}):
        assert build(corpus(), finished, **arguments) == read_manifest(finished)
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.parametrize(
    ("overrides", "arguments", "message"),
    [
        (["steps=9"], {}, r"holds a build of another spec \(walks-small, spec_sha256 \w{12} instead of \w{12}\)"),
        (["splits.train=5001"], {}, r"holds a build of another spec"),
        ([], {"shard_rows": 1024}, r"is finished with shard_rows=2048, not 1024; choose another folder"),
    ],
)
def test_a_finished_build_of_something_else_is_refused(finished, corpus, overrides, arguments, message):
    before = content(finished)
    with pytest.raises(UserError, match=message):
        build(corpus(*overrides), finished, **arguments)
    assert content(finished) == before


def test_a_finished_build_of_another_generator_is_refused(finished, corpus, monkeypatch):
    other = corpus()
    monkeypatch.setattr(type(other.builder), "version", "2")
    with pytest.raises(UserError, match=r"another spec \(walks-small, generator_version 1 instead of 2\)"):
        build(other, finished)


@pytest.mark.parametrize(
    ("overrides", "arguments", "message"),
    [
        (["steps=9"], {}, r"holds an unfinished build of another spec"),
        ([], {"shard_rows": 1024}, r"was begun with shard_rows 2048 and would go on with 1024; go on as it was begun"),
        ([], {}, r"was begun with shard_rows 2048 and would go on with none"),
    ],
)
def test_an_unfinished_build_of_something_else_is_refused(unfinished, corpus, overrides, arguments, message):
    before = content(unfinished)
    with pytest.raises(UserError, match=message):
        build(corpus(*overrides), unfinished, workers=1, **arguments)
    assert content(unfinished) == before


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("numerics", lambda self: {"lapack": "another"}, r"begun with lapack none and would go on with another"),
        ("libraries", ("numpy", "pyarrow", "pydantic"), r"begun with pydantic none and would go on with \d"),
    ],
)
def test_a_build_does_not_go_on_with_other_numerics_or_libraries(unfinished, corpus, monkeypatch, name, value, message):
    """Its rows might differ from those it has, and its manifest would tell a lie."""
    other = corpus()
    monkeypatch.setattr(type(other.builder), name, value)
    with pytest.raises(UserError, match=message):
        build(other, unfinished, workers=1, shard_rows=2048)


def test_a_damaged_plan_is_refused(unfinished, corpus):
    for damage in ("", "[]", '{"spec_sha256": 3}', "\0"):
        (unfinished / WORK / "plan.json").write_text(damage)
        with pytest.raises(UserError, match=r"plan\.json is damaged; delete .* and build again"):
            build(corpus(), unfinished, workers=1, shard_rows=2048)


def test_a_folder_that_is_no_build_is_refused_and_stays_as_it_was(tmp_path, corpus):
    for name in (".hidden", "thesis.tex"):
        folder = tmp_path / name.strip(".")
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(UserError, match=rf"is not empty and not a build \(it holds {re.escape(name)}\)"):
            build(corpus(), folder)
        assert content(folder) == {name: b"mine"}


def test_a_file_in_place_of_the_folder_is_refused(tmp_path, corpus):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"file is a file; a folder is needed"):
        build(corpus(), tmp_path / "file")
    with pytest.raises(UserError, match=r"can't write to .*: Not a directory; mend that"):
        build(corpus(), tmp_path / "file" / "corpus")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_build_that_another_process_makes_is_left_to_it(unfinished, corpus):
    with building.FileLock(unfinished / WORK / "lock"), pytest.raises(UserError, match="built by another process"):
        build(corpus(), unfinished, workers=1, shard_rows=2048)
    build(corpus(), unfinished, workers=1, shard_rows=2048)


def test_a_build_that_another_process_finished_a_moment_ago_is_taken(tmp_path, finished, corpus, monkeypatch):
    """The other's last act falls between the look at the folder and the lock."""
    claim = building._claim

    def slow_claim(folder):
        claim(folder)
        shutil.copytree(finished, folder, dirs_exist_ok=True)

    monkeypatch.setattr(building, "_claim", slow_claim)
    monkeypatch.setattr(building, "_make", None)
    assert build(corpus(), tmp_path / "corpus", shard_rows=2048) == read_manifest(finished)
    assert content(tmp_path / "corpus") == content(finished)


@pytest.mark.parametrize("left", [[], ["lock"], [".plan.json.77.tmp", "lock"]])
def test_a_run_that_was_killed_before_it_had_a_plan_is_continued(tmp_path, finished, corpus, left):
    folder = tmp_path / "corpus"
    (folder / WORK).mkdir(parents=True)
    for name in left:
        (folder / WORK / name).touch()
    build(corpus(), folder, workers=1, shard_rows=2048)
    assert content(folder) == content(finished)


def test_a_run_that_was_killed_after_the_manifest_is_cleaned_up(tmp_path, finished, corpus):
    folder = tmp_path / "corpus"
    shutil.copytree(finished, folder)
    (folder / WORK).mkdir()
    (folder / WORK / "lock").touch()
    build(corpus(), folder)
    assert content(folder) == content(finished)


def test_half_written_files_of_killed_runs_are_removed(unfinished, finished, corpus):
    for name in ("data/.train-00001-of-00003.parquet.77.tmp", ".corpus.json.77.tmp", f"{WORK}/.x.json.77.tmp"):
        (unfinished / name).write_bytes(b"half")
    left = []
    build(corpus(), unfinished, 1, 2048, lambda *progress: left.extend(unfinished.rglob("*.77.tmp")))
    assert left == [], "and before anything is written, for the disk may be full of them"
    assert content(unfinished) == content(finished)


# --- damage ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: text[: len(text) // 2], r"corpus\.json is damaged at its start: .*; build into an empty folder"),
        (lambda text: "", r"damaged at its start"),
        (lambda text: "[]", r"damaged at its start"),
        (lambda text: text.replace('"format": 1', '"format": 2'), r"damaged at format: "),
        (lambda text: text.replace('"rows": 5000', '"rows": "many"'), r"damaged at splits\.train\.rows: "),
        (
            lambda text: text.replace('"rows_sha256": "', '"rows_sha256": "x'),
            r"damaged at splits\.train\.rows_sha256: ",
        ),
        (lambda text: text.replace("data/test-0", "../test-0"), r"damaged at splits\.test\.shards\.0\.file: "),
        (lambda text: text.replace('"license"', '"licence"'), r"damaged at (license|licence): "),
    ],
)
def test_a_damaged_manifest_is_refused(tmp_path, finished, corpus, damage, message):
    folder = tmp_path / "corpus"
    shutil.copytree(finished, folder)
    text = (folder / "corpus.json").read_text()
    assert damage(text) != text
    (folder / "corpus.json").write_text(damage(text))
    with pytest.raises(UserError, match=message):
        build(corpus(), folder)


def test_a_folder_without_a_manifest_says_what_it_is(tmp_path, unfinished):
    with pytest.raises(UserError, match=r"holds an unfinished build: run the same `hubkit build` again"):
        read_manifest(unfinished)
    (tmp_path / "data").mkdir()  # as a folder of somebody's own rows may have it too
    with pytest.raises(UserError, match=r"is not a build \(it has no corpus\.json\)"):
        read_manifest(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"is not a build"):
        read_manifest(tmp_path / "file")


def test_a_shard_of_a_finished_build_that_is_cut_short_or_gone_is_noticed(tmp_path, finished, corpus):
    folder = tmp_path / "corpus"
    shutil.copytree(finished, folder)
    shard = folder / "data" / "train-00001-of-00003.parquet"
    os.truncate(shard, shard.stat().st_size - 1)
    with pytest.raises(
        UserError, match=r"train-00001-of-00003\.parquet is missing or not as long as corpus\.json says"
    ):
        build(corpus(), folder)
    shard.unlink()
    with pytest.raises(UserError, match=r"train-00001-of-00003\.parquet is missing"):
        build(corpus(), folder)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda shard, record: flip(shard),
        lambda shard, record: os.truncate(shard, 100),
        lambda shard, record: shard.unlink(),
        lambda shard, record: record.write_text("{"),
        lambda shard, record: record.write_text("[]"),
        lambda shard, record: record.write_text("{}"),
        lambda shard, record: record.unlink(),
    ],
)
def test_a_finished_shard_that_was_damaged_is_made_again(unfinished, finished, corpus, damage):
    name = "train-00000-of-00003"
    damage(unfinished / "data" / f"{name}.parquet", unfinished / WORK / f"{name}.json")
    build(corpus(), unfinished, workers=1, shard_rows=2048)
    assert content(unfinished) == content(finished)


def test_finished_shards_are_not_made_again(unfinished, finished, corpus, monkeypatch):
    made = []
    block = type(corpus().builder).block
    wanted = corpus()
    monkeypatch.setattr(type(wanted.builder), "block", lambda *a: made.append(a[1:3]) or block(*a))
    seen = []
    build(wanted, unfinished, workers=1, shard_rows=2048, progress=lambda what, done, total: seen.append((done, total)))
    assert ("train", 0) not in made
    assert ("train", 2048) in made
    assert seen[0] == (2048, 6500), "progress begins with what is there"
    assert seen[-1] == (6500, 6500)
    assert content(unfinished) == content(finished)


# --- the builder's own code ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [1, 2])
def test_an_exception_in_a_builder_is_shown_and_finished_shards_stay(tmp_path, corpus, finished, monkeypatch, workers):
    monkeypatch.setenv("WALKS_FAIL_AT", "4999")
    folder = tmp_path / "corpus"
    with pytest.raises(
        RuntimeError, match=r"walks failed on rows 4096 to 4999 of train: Strange: walks: lost"
    ) as raised:
        build(corpus(), folder, workers=workers, shard_rows=2048)
    assert 'raise Strange("walks", "lost the way")' in "".join(traceback.format_exception(raised.value))
    stayed = {Path(name).stem for name in content(folder) if name.startswith("data/")}
    assert stayed & {"train-00000-of-00003", "train-00001-of-00003"}, "one was finished before the third was begun"
    assert not [name for name in content(folder) if name.endswith(".tmp")]
    assert not (folder / "corpus.json").exists()
    monkeypatch.delenv("WALKS_FAIL_AT")
    build(corpus(), folder, workers=workers, shard_rows=2048)
    assert content(folder) == content(finished)


class Odd(CorpusBuilder):
    name, version, spec_type = "odd", "1", CountedSpec
    schema = pa.schema({"x": pa.int64()})
    summary = ""

    def __init__(self, make):
        super().__init__(CountedSpec(builder="odd", splits={"train": 2000}))
        self.make = make

    def block(self, split, start, stop):
        return Block(self.make(start, stop), 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda start, stop: pa.record_batch({"x": range(stop - start - 1)}),
            r"block\('train', 0, 1024\) returned 1023 rows",
        ),
        (lambda start, stop: pa.record_batch({"x": range(stop - start + 1)}), r"returned 1025 rows"),
        (
            lambda start, stop: pa.record_batch({"y": range(stop - start)}),
            r"returned 1024 rows of \['y'\]; 1024 rows in its",
        ),
        (lambda start, stop: pa.record_batch({"x": [1.5] * (stop - start)}), r"1024 rows in its schema are needed"),
    ],
)
def test_blocks_of_another_shape_are_refused(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        build(Corpus(Odd(make), "odd"), tmp_path / "corpus", workers=1)
    assert list((tmp_path / "corpus" / "data").iterdir()) == []


def test_a_file_that_the_builder_can_not_read_is_not_taken_for_the_disk(tmp_path):
    def make(start, stop):
        return open("/no/such/source.txt")

    with pytest.raises(RuntimeError, match=r"odd failed on rows 0 to 1023 of train: FileNotFoundError: .*source\.txt"):
        build(Corpus(Odd(make), "odd"), tmp_path / "corpus", workers=1)


@pytest.mark.parametrize(
    ("type", "message"),
    [
        (
            pa.timestamp("s"),
            r"column x: Parquet gives timestamp\[s\] back as timestamp\[ms\]; declare it as timestamp\[ms\]",
        ),
        (pa.list_(pa.time32("s")), r"column x: Parquet gives list<.*> back as list<"),
        (pa.date64(), r"back as date32\[day\]"),
        (pa.month_day_nano_interval(), r"column x: Parquet has no month_day_nano_interval; declare another"),
        (pa.string_view(), r"column x: string_view can't be written to Parquet; declare it without _view"),
        (pa.list_(pa.struct({"view": pa.binary_view()})), r"column x: list<.*> can't be written"),
    ],
)
def test_a_schema_that_parquet_changes_is_refused(type, message):
    with pytest.raises(UserError, match=message):
        check_schema(pa.schema({"ok": pa.int8(), "x": type}))


def test_a_schema_that_parquet_keeps_is_taken():
    types = [pa.float16(), pa.timestamp("us", "UTC"), pa.decimal128(5, 2), pa.list_(pa.struct({"view": pa.int8()}), 2)]
    check_schema(pa.schema([(str(index), type) for index, type in enumerate(types)]))


def test_statistics_of_text_join_exactly_whatever_the_parts():
    texts = ["", "é", "𝄞𝄞", None, "abc", "x" * 999, None]
    schema = pa.schema({"a": pa.string(), "b": pa.dictionary(pa.int8(), pa.string()), "c": pa.int8(), "d": pa.string()})
    columns = [texts, texts, [1] * 7, [None] * 7]
    batch = pa.record_batch([pa.array(c, type=t) for c, t in zip(columns, schema.types, strict=True)], schema=schema)
    whole, joined = Statistics(schema), Statistics(schema)
    whole.add(batch)
    for start in range(7):
        part = Statistics(schema)
        part.add(batch.slice(start, 1))
        joined.join(json.loads(json.dumps(part.state())))
    assert whole.summary() == joined.summary()
    assert whole.summary()["a"].model_dump() == {
        "characters": {
            "min": 0, "mean": 201.0, "max": 999, "total": 1005, "histogram": {0: 1, 1: 1, 2: 1, 3: 1, 992: 1},
        },
        "items": None,
        "values": None,
    }  # fmt: skip
    assert set(whole.summary()) == {"a", "b", "c"}, "nothing is said of a column without any text"
    assert whole.summary()["c"].values == [(1, 7)]


# --- the disk --------------------------------------------------------------------------------------------------------


def test_a_full_disk_ends_in_one_line_and_nothing_half_written(tmp_path, corpus, finished, monkeypatch):
    synced = []

    def sync(descriptor):
        synced.append(descriptor)
        if len(synced) == 8:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, "fsync", sync)
    folder = tmp_path / "corpus"
    with pytest.raises(UserError, match=r"the disk of .*corpus is full; free some space and run the same command"):
        build(corpus(), folder, workers=1, shard_rows=2048)
    assert not [name for name in content(folder) if name.endswith(".tmp") or name == "corpus.json"]
    build(corpus(), folder, workers=1, shard_rows=2048)
    assert content(folder) == content(finished)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_disk_that_is_really_full(disk, command, walks, workers):
    folder = disk("size=64k")
    arguments = ("build", f"{walks}:walks-long", "-o", folder / "corpus", "--shard-rows", "1024", "--workers", workers)
    full = command(*arguments)
    assert full.finish() == 1
    assert re.fullmatch(r"hubkit: [^\n]+\n", full.stderr), full.stderr
    assert "is full; free some space and run the same command: finished shards are kept" in full.stderr
    assert full.stdout == ""
    left = content(folder / "corpus")
    assert not [name for name in left if name.endswith(".tmp") or name == "corpus.json"]
    assert [name for name in left if name.endswith(".parquet")] == ["data/train-00000-of-00003.parquet"] or workers == 2
    disk("size=10m")
    again = command(*arguments)
    assert again.finish() == 0, again.stderr
    paths = [folder / "corpus" / shard.file for shard in read_manifest(folder / "corpus").splits["train"].shards]
    assert len(paths) == 3
    assert rows_sha256_of_parquet(paths) == read_manifest(folder / "corpus").splits["train"].rows_sha256


def test_a_folder_that_may_not_be_written_to(disk, command, walks):
    folder = disk("ro")
    refused = command("build", walks, "-o", folder / "corpus")
    assert refused.finish() == 1
    assert refused.stderr == (
        f"hubkit: can't write to {folder}/corpus: Read-only file system; choose a folder that you may write to\n"
    )


def test_a_folder_of_somebody_else(tmp_path, corpus, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UserError, match=r"can't write to .*: Permission denied; choose a folder that you may write to"):
        build(corpus(), tmp_path / "corpus", workers=1)


def test_a_failed_writer_leaves_nothing(tmp_path, corpus, monkeypatch):
    """Arrow's writer finishes its file even when an error ends it early; that file must not stay."""
    monkeypatch.setenv("WALKS_FAIL_AT", "1500")
    builder = corpus().builder
    (shard, *_) = shard_plan(builder.spec.splits, 2048)
    with pytest.raises(RuntimeError):
        plan = planning.make_plan(corpus(), 2048, overlap=True, max_failures=0)
        shards.make_shard(builder, shard, tmp_path, planning.writer_of(plan, builder), plan, lambda rows: None)
    assert list(content(tmp_path)) == []


# --- small things ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [0, -1])
def test_no_workers_are_refused(tmp_path, corpus, workers):
    with pytest.raises(UserError, match=rf"workers: {workers} is less than one"):
        build(corpus(), tmp_path / "corpus", workers=workers)
    assert not (tmp_path / "corpus").exists()


def test_more_processes_are_started_only_for_more_than_a_little(tmp_path, corpus, monkeypatch):
    monkeypatch.setattr(building, "usable_cores", lambda: 7)
    asked = []
    monkeypatch.setattr(executors.Workers, "_start", lambda workers: asked.append(workers._workers) or 1 / 0)
    monkeypatch.setattr(job, "make_shard", lambda *arguments: asked.append(1) or 1 / 0)
    for number, (rows, workers) in enumerate([(30_000, None), (40_000, None), (30_000, 3)]):
        with pytest.raises(ZeroDivisionError):
            build(corpus(f"splits={{train: {rows}}}"), tmp_path / str(number), workers=workers, shard_rows=1024)
    assert asked == [1, 7, 3]


def test_cores_are_counted_where_processes_are_not_bound(monkeypatch):
    assert cores.usable_cores() >= 1
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert cores.usable_cores() == os.cpu_count()
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable_cores() == 1


def test_the_manifest_names_the_commit_of_the_code_and_not_that_of_a_hook(finished, monkeypatch):
    root = Path(__file__).parent.parent.parent
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    wanted = subprocess.run(["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    assert stages.code_version()["commit"] == wanted.strip()
