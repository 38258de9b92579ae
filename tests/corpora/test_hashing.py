"""The hash of rows: what they say, whatever carries them; and nothing that they say goes unnoticed."""

import hashlib
import io
import math
import struct
from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from hubkit.corpora import hashing
from hubkit.corpora.hashing import block_digest, blocks, rows_sha256, rows_sha256_of_parquet, type_name
from hubkit.errors import UserError

BLOCK = 16
"""Rows a block in these tests, so that a few rows already fill several."""

COMMON = settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(hashing, "BLOCK_ROWS", BLOCK)


# --- tables to hash --------------------------------------------------------------------------------------------------

INTEGERS = {
    getattr(pa, f"{sign}int{bits}")(): st.integers(-(1 << bits - 1) if not sign else 0, (1 << bits - (not sign)) - 1)
    for sign in ("", "u")
    for bits in (8, 16, 32, 64)
}
FLOATS = {
    pa.float16(): st.floats(width=16),
    pa.float32(): st.floats(width=32),
    pa.float64(): st.floats() | st.sampled_from([-0.0, 0.0, math.nan]),
}
TEXTS = {kind: st.text(max_size=6) for kind in (pa.string(), pa.large_string())}
BYTES = {kind: st.binary(max_size=6) for kind in (pa.binary(), pa.large_binary())}
OTHERS = {
    pa.null(): st.none(),
    pa.bool_(): st.booleans(),
    pa.binary(3): st.binary(min_size=3, max_size=3),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.timestamp("ms", "UTC"): st.integers(0, 2**40),
    pa.time64("us"): st.times(),
    pa.duration("us"): st.timedeltas(timedelta(-999), timedelta(999)),
    pa.decimal128(9, 2): st.decimals(-9999, 9999, places=2),
}
DICTIONARIES = {pa.dictionary(pa.int32(), pa.string()): st.sampled_from(["a", "b", "ccc"])}
LEAVES = INTEGERS | FLOATS | TEXTS | BYTES | OTHERS


def wrapped(leaf: tuple[pa.DataType, st.SearchStrategy]) -> st.SearchStrategy[tuple[pa.DataType, st.SearchStrategy]]:
    """A type and its values, one level deeper: in lists or in a struct."""
    kind, values = leaf
    values = values | st.none()
    pairs = st.fixed_dictionaries({"x": values, "y": st.integers(0, 9) | st.none()})
    return st.sampled_from(
        [
            (pa.list_(kind), st.lists(values, max_size=3)),
            (pa.large_list(kind), st.lists(values, max_size=3)),
            (pa.list_(kind, 2), st.lists(values, min_size=2, max_size=2)),
            (pa.struct({"x": kind, "y": pa.int8()}), pairs),
        ]
    )


LEAF = st.sampled_from(list(LEAVES.items()))
NESTED = LEAF.flatmap(wrapped)
# Arrow can't write a dictionary in a list to Parquet, nor slices of text views at all; they have tests of their own.
COLUMN = LEAF | st.sampled_from(list(DICTIONARIES.items())) | NESTED | NESTED.flatmap(wrapped)


@st.composite
def tables(draw, max_rows: int = 3 * BLOCK + 5) -> pa.RecordBatch:
    """Some columns of any types and depth, with nulls."""
    rows = draw(st.integers(1, max_rows))
    columns = draw(st.lists(COLUMN, min_size=1, max_size=3))
    arrays = []
    for kind, values in columns:
        # A few drawn values, dealt out: as good as drawing every cell, and much faster.
        few = draw(st.lists(values | st.none(), min_size=1, max_size=6))
        deal = np.random.default_rng(draw(st.integers(0, 99))).integers(0, len(few), rows)
        arrays.append(pa.array([few[i] for i in deal], type=kind))
    return pa.record_batch(arrays, names=[f"column{i}" for i in range(len(arrays))])


def sha(batches) -> str:
    return rows_sha256(block_digest(block) for block in blocks(batches))


def cut(batch: pa.RecordBatch, ends: list[int]) -> Iterator[pa.RecordBatch]:
    """Cut rows into batches at some places."""
    for start, stop in pairwise([0, *sorted({min(end, batch.num_rows) for end in ends}), batch.num_rows]):
        yield batch.slice(start, stop - start)


# --- what the hash does not see --------------------------------------------------------------------------------------


@COMMON
@given(tables(), st.lists(st.integers(0, 60), max_size=5))
def test_batches_do_not_matter(batch, ends):
    assert sha(cut(batch, ends)) == sha([batch])


@COMMON
@given(tables())
def test_slices_do_not_matter(batch):
    """Rows in the middle of a longer array hash as the same rows in an array of their own."""
    assume(batch.num_rows > 2)
    middle = batch.slice(1, batch.num_rows - 2)
    copy = pa.RecordBatch.from_pylist(middle.to_pylist(), schema=middle.schema)
    assert sha([middle]) == sha([copy])
    assert sha([middle.slice(0, 1)]) == sha([copy.slice(0, 1)])


@COMMON
@given(tables(), st.sampled_from(["none", "zstd"]), st.integers(1, 40), st.booleans())
def test_parquet_gives_the_same_rows_back(tmp_path, batch, compression, group, chunking):
    path = tmp_path / "rows.parquet"
    table = pa.Table.from_batches([batch])
    pq.write_table(table, path, compression=compression, row_group_size=group, use_content_defined_chunking=chunking)
    assert rows_sha256_of_parquet([path]) == sha([batch])


@COMMON
@given(tables(), st.integers(1, 60))
def test_the_first_rows_of_more_are_the_same_rows(tmp_path, batch, first):
    first = min(first, batch.num_rows)
    assert rows_sha256(block_digest(b) for b in blocks([batch], limit=first)) == sha([batch.slice(0, first)])
    path, rest = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(pa.Table.from_batches([batch.slice(0, first)]), path)
    pq.write_table(pa.Table.from_batches([batch.slice(first)]), rest)
    assert rows_sha256_of_parquet([path, rest], limit=first) == sha([batch.slice(0, first)])
    assert rows_sha256_of_parquet([path, rest]) == sha([batch])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.string(), pa.large_string()),
        (pa.string(), pa.string_view()),
        (pa.string(), pa.dictionary(pa.int8(), pa.string())),
        (pa.binary(), pa.large_binary()),
        (pa.binary(), pa.binary_view()),
        (pa.list_(pa.string()), pa.large_list(pa.large_string())),
        (pa.list_(pa.string()), pa.list_(pa.string(), 2)),
        (pa.list_(pa.string()), pa.list_(pa.string_view())),
        (pa.list_(pa.string()), pa.list_(pa.dictionary(pa.int8(), pa.string()))),
    ],
)
def test_how_a_type_is_stored_does_not_matter(one, other):
    values = [["a", None], None, ["ccc", "d"]] if pa.types.is_list(one) else ["a", None, "", "ccc", "a"]
    values = [value.encode() for value in values if value is not None] if type_name(one) == "binary" else values
    batches = [pa.record_batch([pa.array(values, type=kind)], names=["x"]) for kind in (one, other)]
    assert type_name(one) == type_name(other)
    assert sha([batches[0]]) == sha([batches[1]])


def test_a_null_in_the_dictionary_is_a_null():
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None]))
    plain = pa.array(["a", None, "a"])
    assert sha([pa.record_batch([column], names=["x"])]) == sha([pa.record_batch([plain], names=["x"])])


def test_batches_with_different_dictionaries_can_share_a_block():
    parts = [pa.record_batch([pa.array(values).dictionary_encode()], names=["x"]) for values in (["a", "b"], ["c"])]
    assert sha(parts) == sha([pa.record_batch([pa.array(["a", "b", "c"])], names=["x"])])


def test_every_nan_is_one_nan():
    patterns = np.array([0x7FF8000000000000, 0xFFF8000000000001, 0x7FF0000000000001], np.uint64).view(np.float64)
    hashes = {sha([pa.record_batch([pa.array([value])], names=["x"])]) for value in patterns}
    assert len(hashes) == 1
    assert hashes != {sha([pa.record_batch([pa.array([None], pa.float64())], names=["x"])])}, "and no null"


# --- what it does see ------------------------------------------------------------------------------------------------


@COMMON
@given(COLUMN, st.integers(1, 2 * BLOCK + 3), st.data())
def test_any_changed_cell_changes_the_hash(column, rows, data):
    kind, values = column
    old, new = (pa.array([data.draw(values | st.none())], type=kind).to_pylist()[0] for _ in range(2))
    assume(repr(old) != repr(new))
    row = data.draw(st.integers(0, rows - 1))
    cells = [old] * rows
    changed = [*cells[:row], new, *cells[row + 1 :]]
    first, second = (pa.record_batch([pa.array(some, type=kind)], names=["x"]) for some in (cells, changed))
    assert sha([first]) != sha([second])


@pytest.mark.parametrize(
    ("kind", "one", "other"),
    [
        (pa.float64(), 0.0, -0.0),
        (pa.float64(), 1.0, math.nextafter(1.0, 2.0)),
        (pa.float32(), math.nan, None),
        (pa.string(), "", None),
        (pa.string(), "é", "e\u0301"),
        (pa.list_(pa.int8()), [], None),
        (pa.list_(pa.int8()), [], [None]),
        (pa.list_(pa.string()), ["ab"], ["a", "b"]),
        (pa.list_(pa.list_(pa.int8())), [[1], []], [[], [1]]),
        (pa.list_(pa.list_(pa.int8())), [[]], []),
        (pa.struct({"a": pa.int8()}), {"a": None}, None),
        (pa.struct({"a": pa.string(), "b": pa.string()}), {"a": "xy", "b": ""}, {"a": "x", "b": "y"}),
        (pa.bool_(), False, None),
        (pa.date32(), date(2024, 1, 1), date(2024, 1, 2)),
        (pa.time64("us"), time(1), time(2)),
        (pa.timestamp("us"), datetime(2024, 1, 1), datetime(2024, 1, 1, microsecond=1)),
        (pa.decimal128(5, 2), Decimal("1.00"), Decimal("1.01")),
    ],
)
def test_small_differences_are_differences(kind, one, other):
    first, second = (pa.record_batch([pa.array([value], type=kind)], names=["x"]) for value in (one, other))
    assert sha([first]) != sha([second])


def test_where_a_cell_ends_matters():
    def of(*texts):
        return sha([pa.record_batch([pa.array(texts)], names=["x"])])

    assert len({of("ab", "c"), of("a", "bc"), of("abc", ""), of("", "abc"), of("abc")}) == 5


def test_names_types_order_and_number_of_rows_matter():
    numbers, others = pa.array([1, 2], pa.int32()), pa.array([3, 4], pa.int32())
    base = pa.record_batch([numbers, others], names=["a", "b"])
    different = [
        pa.record_batch([numbers, others], names=["a", "c"]),
        pa.record_batch([others, numbers], names=["a", "b"]),
        pa.record_batch([others, numbers], names=["b", "a"]),
        pa.record_batch([numbers.cast(pa.int64()), others], names=["a", "b"]),
        pa.record_batch([numbers.cast(pa.uint32()), others], names=["a", "b"]),
        base.slice(0, 1),
        base.slice(1, 1),
        pa.record_batch([numbers], names=["a"]),
    ]
    assert len({sha([batch]) for batch in [base, *different]}) == len(different) + 1


def test_the_encoding_is_this_for_ever():
    """Written out by hand from the module's first lines; a change here invalidates every published hash."""
    rows = pa.record_batch(
        [
            pa.array(["ab", None, ""]),
            pa.array([1, -1, 2], pa.int16()),
            pa.array([[1.5], [], [math.nan, None]], pa.list_(pa.float32())),
            pa.array([True, None, False]),
            pa.array([{"x": 7}, {"x": 8}, None], pa.struct({"x": pa.uint8()})),
        ],
        names=["text", "n", "list", "flag", "pair"],
    )
    wanted = (
        b"text:string:3;" b"\x01\x01\x00\x01" + struct.pack("<2q", 2, 0) + b"ab"
        b"n:int16:3;" b"\x00" + struct.pack("<3h", 1, -1, 2)
        + b"list:list<float>:3;" b"\x00" + struct.pack("<3q", 1, 0, 2)
        + b"\x01\x01\x01\x00" + struct.pack("<f", 1.5) + b"\x00\x00\xc0\x7f"
        b"flag:bool:3;" b"\x01\x01\x00\x01" b"\x01\x00"
        b"pair:struct<x:uint8>:3;" b"\x01\x01\x01\x00" b"\x01\x01\x01\x00\x07\x08"
    )  # fmt: skip
    assert block_digest(rows) == hashlib.sha256(wanted).digest()
    assert sha([rows]) == hashlib.sha256(hashlib.sha256(wanted).digest()).hexdigest()


# --- blocks and refusals ---------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 40), max_size=8), st.none() | st.integers(0, 200))
def test_blocks_are_full_but_the_last(sizes, limit):
    numbers = iter(range(1000))
    batches = [
        pa.record_batch([pa.array([next(numbers) for _ in range(size)], pa.int64())], names=["x"]) for size in sizes
    ]
    rows = sum(sizes) if limit is None else min(limit, sum(sizes))
    lengths = []
    seen = []
    for block in blocks(batches, limit):
        lengths.append(block.num_rows)
        seen += block.column(0).to_pylist()
    assert lengths == [BLOCK] * (rows // BLOCK) + [rows % BLOCK] * (rows % BLOCK > 0)
    assert seen == list(range(rows))


def test_blocks_read_no_further_than_the_limit():
    def batches():
        yield pa.record_batch([pa.array(range(BLOCK))], names=["x"])
        raise AssertionError("read on")

    assert sum(block.num_rows for block in blocks(batches(), limit=BLOCK)) == BLOCK


@pytest.mark.parametrize(
    "kind", [pa.map_(pa.string(), pa.int8()), pa.list_view(pa.int8()), pa.list_(pa.map_(pa.string(), pa.int8()))]
)
def test_a_type_without_an_encoding_is_refused(kind):
    with pytest.raises(UserError, match=r"column type .* has no canonical encoding; cast it"):
        block_digest(pa.record_batch([pa.array([None, None], type=kind)], names=["x"]))


def test_a_file_without_rows_has_the_hash_of_nothing():
    sink = io.BytesIO()
    pq.write_table(pa.table({"x": pa.array([], pa.int8())}), sink)
    assert rows_sha256_of_parquet([sink]) == hashlib.sha256(b"").hexdigest()  # pyright: ignore[reportArgumentType]
