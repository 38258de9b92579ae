"""Streams: the rows of the dataset, in an order that the recipe decides, wherever reading begins."""

import json
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hubkit.data.batches import Batches, Source
from hubkit.data.objectives.base import IGNORED
from hubkit.data.pools import Stream
from hubkit.data.reading import ReadingSpec
from hubkit.data.sources import DatasetSpec
from hubkit.errors import UserError

from .rows import Rows
from .streams import OBJECTIVE, ROWS, TOKENIZER, WINDOWS, batches, local_stream, stream, texts, write

COUNTS = [40, 7, 63, 30]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("streams") / "small", COUNTS)


def ids(made: Batches, step: int) -> list[tuple[int, ...]]:
    """Return the sequences of a step without their padding: each is what the model has to write."""
    return [tuple(row[row != IGNORED].tolist()) for batch in made[step] for row in batch["labels"]]


def same(one: Batches, other: Batches, step: int) -> bool:
    pairs = list(zip(one[step], other[step], strict=True))
    return all(a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a) for a, b in pairs)


@given(
    counts=st.lists(st.integers(1, 30), min_size=1, max_size=3),
    group_rows=st.integers(1, 15),
    pool_rows=st.integers(1, 60),
    length_pool=st.integers(1, 3),
    size=st.integers(1, 9),
)
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_each_epoch_has_each_row_once(tmp_path_factory, counts, group_rows, pool_rows, length_pool, size):
    folder = write(tmp_path_factory.mktemp("drawn"), counts, group_rows)
    rows = sum(counts)
    made = batches(local_stream(folder, ROWS, pool_rows), size=1)
    wanted = sorted((*TOKENIZER(text)["input_ids"], OBJECTIVE.framing.end) for text in texts(rows))
    orders = [[ids(made, step)[0] for step in range(epoch * rows, (epoch + 1) * rows)] for epoch in range(2)]
    assert all(sorted(order) == wanted for order in orders)
    # In batches of any size and however sorted, the rows are the same, and none is left out at the end of a pool.
    made = batches(local_stream(folder, ROWS, pool_rows), size=size, length_pool=length_pool)
    found = [row for step in range(2 * rows) for row in ids(made, step)]
    assert all(sorted(found[start : start + rows]) == wanted for start in range(0, len(found), rows))


def test_the_rows_are_those_of_the_dataset_that_is_not_streamed(folder, tmp_path):
    data = DatasetSpec(repo=str(folder))
    whole = data.load("", "train", TOKENIZER, tmp_path, OBJECTIVE.framing)
    read = stream(folder, ROWS, 1000).read(next(iter(stream(folder).pools(np.random.default_rng(0)))))
    numbers = [read.rows.number(row) for row in range(len(read))]
    assert len(set(numbers)) == len(read) < len(whole)
    for row, number in enumerate(numbers):
        assert read.rows[row].ids.tolist() == whole[number].ids.tolist()
        assert read.rows[row].ids.dtype == whole[number].ids.dtype and read.rows[row].whole


def test_epochs_and_seeds_have_orders_of_their_own(folder):
    rows = sum(COUNTS)

    def order(seed: int, epoch: int) -> list[tuple[int, ...]]:
        made = batches(stream(folder, ROWS), size=10, seed=seed)
        return [row for step in range(epoch * rows // 10, (epoch + 1) * rows // 10) for row in ids(made, step)]

    orders = [order(0, 0), order(0, 1), order(1, 0)]
    assert len({tuple(one) for one in orders}) == 3 and all(sorted(one) == sorted(orders[0]) for one in orders)
    assert orders[0] == order(0, 0)


@pytest.mark.parametrize("reading", [ROWS, WINDOWS, ReadingSpec(form="windows", length=16, stride=5, isolate=True)])
@pytest.mark.parametrize("length_pool", [1, 2])
def test_from_a_mark_the_same_batches_come_as_from_the_beginning(folder, reading, length_pool):
    straight = batches(stream(folder, reading), length_pool=length_pool)
    steps = 120
    expected = [ids(straight, step) for step in range(steps)]
    again = batches(stream(folder, reading), length_pool=length_pool)
    for step in (0, 1, 17, 18, 19, 44, 90, 119):
        list(map(again.tokens, range(step)))
        marks = json.loads(json.dumps(again.marks(step)))
        assert len(json.dumps(marks)) < 60
        resumed = batches(stream(folder, reading), length_pool=length_pool)
        resumed.go_to(marks)
        assert [ids(resumed, at) for at in range(step, min(step + 25, steps))] == expected[step : step + 25]
        assert resumed.epochs(step) == pytest.approx(again.epochs(step))


def test_what_lies_before_a_mark_is_still_found(folder):
    made, other = (batches(stream(folder)) for _ in range(2))
    list(map(made.tokens, range(60)))
    other.go_to(made.marks(60))
    assert same(other, made, 60) and same(other, made, 3) and same(other, made, 60)


def test_a_run_that_goes_on_fetches_the_pool_it_was_in_and_those_after_it(folder, monkeypatch):
    made = batches(stream(folder))
    list(map(made.tokens, range(35)))
    marks = made.marks(35)
    assert marks[0].epoch == 1 and marks[0].place == 1, "the case is one in the midst of the second epoch"
    resumed = batches(stream(folder))
    read = []
    plain = Stream.read
    monkeypatch.setattr(Stream, "read", lambda self, pool: read.append(pool) or plain(self, pool))
    resumed.go_to(marks)
    resumed[35]
    settled()
    source: Any = resumed.sources[0]
    pools = source._plan(marks[0].epoch)
    assert read == pools[marks[0].place : marks[0].place + 2], "it, and the next meanwhile"


def settled() -> None:
    """Wait for the threads that read ahead."""
    for thread in threading.enumerate():
        if thread.name == "next pool":
            thread.join(20)


@pytest.mark.parametrize("reading", [ROWS, WINDOWS])
def test_the_processes_share_the_batch_of_one(folder, reading):
    together = batches(stream(folder, reading))
    parts = [batches(stream(folder, reading), rank=rank, processes=2) for rank in range(2)]
    for step in range(40):
        whole = ids(together, step)
        assert [ids(part, step) for part in parts] == [whole[rank::2] for rank in range(2)]
        assert {part.tokens(step) for part in parts} == {together.tokens(step)}
    assert parts[0].marks(40) == parts[1].marks(40) == together.marks(40)


def test_a_mixture_has_streams_and_others_and_goes_on_from_its_marks(folder):
    def mixed() -> Batches:
        sources = [
            Source("rows", Rows([16] * 50, first=3, span=2), 2.0),
            Source("stream", stream(folder)),
            Source("stream again", stream(folder, pool_rows=20), 0.5),
        ]
        return batches(*sources, size=7)

    straight, resumed = mixed(), mixed()
    expected = [ids(straight, step) for step in range(60)]
    assert list(straight.counts(60).values()) == [240, 120, 60]
    marks = json.loads(json.dumps(straight.marks(41)))
    assert marks[0] is None and len(marks) == 3
    resumed.go_to(straight.marks(60))
    resumed.go_to(marks)
    assert [ids(resumed, step) for step in range(41, 60)] == expected[41:]
    first, second = (next(source.between(0, 9))[1] for source in straight.sources[1:])
    assert first.tolist() != second.tolist(), "each in an order of its own"


def test_windows_are_cut_inside_a_pool_and_know_their_documents(folder):
    isolated = ReadingSpec(form="windows", length=16, isolate=True)
    for pool in stream(folder).pools(np.random.default_rng(3)):
        plain, apart = (stream(folder, reading).read(pool) for reading in (WINDOWS, isolated))
        assert len(plain) == plain.rows.starts[-1] // 16
        assert plain.sequences is not None and apart.sequences is not None
        assert np.array_equal(plain.sequences[1].ids, apart.sequences[1].ids)
        assert plain.sequences[1].breaks is None and apart.sequences[1].breaks is not None


def test_pools_are_full_by_rows_or_by_bytes(folder, monkeypatch):
    made = stream(folder, pool_rows=45)
    pools = made.pools(np.random.default_rng(0))
    sizes = [sum(group.rows for group in pool) for pool in pools]
    assert sum(sizes) == sum(COUNTS) and all(45 <= size < 55 for size in sizes[:-1])
    monkeypatch.setattr("hubkit.data.pools._POOL_BYTES", 1)
    assert {len(pool) for pool in made.pools(np.random.default_rng(0))} == {1}


def test_the_number_of_steps_of_an_epoch_is_known_for_rows(folder):
    rows = sum(COUNTS)
    made = batches(stream(folder, ROWS), size=7)
    assert len(made) == -(-rows // 7) and made.epochs(len(made)) == pytest.approx(len(made) * 7 / rows)
    windows = batches(stream(folder))
    per_epoch = next(begin for begin in range(10**6) if windows.epochs(begin) >= 1) * 8
    tokens = sum(len(text) + 1 for text in texts(rows))
    assert tokens / 16 - 20 < per_epoch <= tokens / 16, "a few tokens of each pool fill no window"


def test_pools_behind_are_forgotten(folder):
    made = batches(stream(folder))
    source: Any = made.sources[0]
    for step in range(60):
        made[step]
        assert len(source._pools) <= 3 and len(source._orders) <= 2
    assert source._marks[-1].number > 7, "the case is one of many pools"


def test_the_next_pool_is_read_while_one_is_used(folder):
    made = batches(stream(folder))
    made[0]
    settled()
    source: Any = made.sources[0]
    assert list(source._pools) == [0, 1] and source._pools[1].done()


def test_a_batch_tells_people_which_rows_it_has(folder, tmp_path):
    made = batches(stream(folder, ROWS))
    whole = DatasetSpec(repo=str(folder)).load("", "train", TOKENIZER, tmp_path, OBJECTIVE.framing)
    told = made.described(4)
    assert told.endswith(f" of {folder} train") and told.startswith("row ")
    named = [int(part.removeprefix("row ")) for part in told.removesuffix(f" of {folder} train").split(", ")]
    assert [tuple(whole[row].ids.tolist()) for row in named] == ids(made, 4)
    windows = batches(stream(folder))
    first = int(windows.described(0).split(",")[0].removeprefix("row "))
    begun = whole[first].ids.tolist()
    window = list(ids(windows, 0)[0])
    assert any(begun[start : start + 16] == window[: len(begun) - start] for start in range(len(begun)))


# --- what can't be ---------------------------------------------------------------------------------------------------


def one_file(folder: Path, table: pa.Table, **options) -> Path:
    folder.mkdir()
    pq.write_table(table, folder / "train.parquet", **options)
    return folder


@pytest.mark.parametrize(
    ("rows", "reading", "message"),
    [
        (["AB", None, "A"], ROWS, r"dataset\.column: row 1 of 'text' is null; leave such rows out"),
        (["AB", "A", ""], WINDOWS, r"dataset\.column: row 2 of 'text' is empty; leave such rows out"),
        (["AB", "A", "AXB"], ROWS, r"dataset\.column: 'text': text 2 .*X"),
        (["A" * 9, "A" * 40], ROWS, r"reading\.length: row 1 of .* train has 41 tokens, more than 32; raise it"),
        (["AB"] * 3, WINDOWS, r"no pool of .* train has the 16 tokens of a window; lower it, or raise dataset\.pool"),
    ],
    ids=["null", "empty", "unknown", "long", "few"],
)
def test_rows_that_can_not_be_are_named_by_their_number_in_the_split(tmp_path, rows, reading, message):
    made = one_file(tmp_path / "bad", pa.table({"text": rows}), row_group_size=1)
    with pytest.raises(UserError, match=message):
        for step in range(9):
            batches(stream(made, reading), size=1)[step]


def test_an_epoch_whose_last_pool_is_too_small_for_a_window_goes_on(tmp_path):
    made = one_file(tmp_path / "tail", pa.table({"text": ["AB" * 20] * 3 + ["A"]}), row_group_size=1)
    straight = batches(stream(made, pool_rows=1), size=1)
    found = [ids(straight, step) for step in range(20)]
    for step in range(20):
        resumed = batches(stream(made, pool_rows=1), size=1)
        straight.tokens(step)
        resumed.go_to(straight.marks(step))
        assert ids(resumed, step) == found[step]


def test_a_dataset_that_can_not_be_streamed_is_named_with_the_mend(tmp_path, folder):
    table = pa.table({"text": ["A"], "number": [1], "kind": pa.array(["a"]).dictionary_encode()})
    made = one_file(tmp_path / "made", table)
    with pytest.raises(UserError, match=r"has no column 'words' \(it has text, number, kind\)"):
        stream(made, column="words")
    with pytest.raises(UserError, match=r"dataset\.column: 'number' holds .*; a column of text, or of lists of ids"):
        stream(made, column="number")
    with pytest.raises(
        UserError, match=r"unknown split 'dev' \(it has train, validation, test\)\. .* by dataset\.train"
    ):
        stream(folder, train="dev")
    with pytest.raises(UserError, match=r"the split that train\.parquet of .* belongs to has no rows"):
        stream(one_file(tmp_path / "none", table.slice(0, 0)))
    (tmp_path / "lines").mkdir()
    (tmp_path / "lines" / "train.jsonl").write_text('{"text": "A"}\n')
    with pytest.raises(
        UserError, match=r"dataset\.streaming: .* no Parquet but json; leave streaming out, or .*convert"
    ):
        stream(tmp_path / "lines")
    bad = write(tmp_path / "bad", [5])
    (bad / "train-00000-of-00001.parquet").write_bytes(b"PAR1 this is none PAR1")
    with pytest.raises(UserError, match=r"train-00000-of-00001\.parquet of .* can't be read as Parquet .* mended"):
        stream(bad)


def test_only_whole_splits_of_a_repository_are_streamed():
    with pytest.raises(ValidationError, match="streaming: this is for a repository, and folder is given; leave it out"):
        DatasetSpec.model_validate({"folder": "x", "streaming": True})
    with pytest.raises(ValidationError, match="streaming: which rows are held_out is only known when all were read"):
        DatasetSpec.model_validate({"repo": "a/b", "streaming": True, "held_out": 0.1})


def test_what_failed_ahead_of_time_is_asked_once_more_when_it_is_wanted(folder, monkeypatch):
    made = batches(stream(folder))
    plain = Stream.read
    fails = iter([False, True, False])

    def read(self, pool):
        if next(fails, False):
            raise UserError("away")
        return plain(self, pool)

    monkeypatch.setattr(Stream, "read", read)
    made[0]
    settled()
    source: Any = made.sources[0]
    assert isinstance(source._pools[1].exception(), UserError)
    whole = batches(stream(folder))
    assert all(same(made, whole, step) for step in range(20))


def test_a_program_that_ends_does_not_wait_for_the_next_pool(folder, monkeypatch):
    began = time.monotonic()
    monkeypatch.setattr(threading.main_thread(), "is_alive", lambda: False)
    with pytest.raises(InterruptedError):
        stream(folder).read(stream(folder).pools(np.random.default_rng(0))[0])
    assert time.monotonic() - began < 10
