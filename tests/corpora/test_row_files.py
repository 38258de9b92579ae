"""Rows of files that anybody made: one hash whatever the files, and messages that name file and line."""

import gzip
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora import json_rows
from hubkit.corpora.hashing import rows_sha256, rows_sha256_of_parquet
from hubkit.corpora.row_files import RowFile, SplitRows, digest_of, read_splits
from hubkit.errors import UserError

TABLE = pa.table({"text": [f"row {i}" for i in range(5000)], "x": [i / 3 for i in range(5000)]})


def parquet(folder: Path, *cuts: int, table: pa.Table = TABLE) -> list[RowFile]:
    """Write a table as files that end at the given rows."""
    files = []
    for index, (start, stop) in enumerate(zip((0, *cuts), (*cuts, table.num_rows), strict=True)):
        files.append(RowFile(folder / f"{index}-{len(cuts)}.parquet", f"{index}-{len(cuts)}.parquet"))
        pq.write_table(table.slice(start, stop - start), files[-1].path)
    return files


def lines(folder: Path, *texts: str | bytes, name: str = "{}.jsonl") -> list[RowFile]:
    files = []
    for index, text in enumerate(texts):
        files.append(RowFile(folder / name.format(index), name.format(index)))
        files[-1].path.write_bytes(text.encode() if isinstance(text, str) else text)
    return files


def read(files: list[RowFile]) -> tuple[pa.Schema, SplitRows]:
    schema, splits, _ = read_splits({"train": files})
    return schema, splits["train"]


def refused(files: list[RowFile]) -> str:
    with pytest.raises(UserError) as error:
        read(files)
    return str(error.value)


@pytest.mark.parametrize("cuts", [(), (1024,), (1,), (1000, 1024, 3072), (1500, 1500, 4999)])
def test_the_hash_of_a_split_does_not_depend_on_its_files(tmp_path, cuts):
    whole = parquet(tmp_path)[0].path
    files = parquet(tmp_path, *cuts)
    _, found = read(files)
    assert rows_sha256(found.digests) == rows_sha256_of_parquet([whole])
    assert [file.rows for file in found.files] == np.diff([0, *cuts, 5000]).tolist()
    for file, rows in zip(files, found.files, strict=True):
        assert rows_sha256(rows.digests) == rows_sha256_of_parquet([file.path])


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 5000), cut=st.integers(0, 5000))
def test_the_first_rows_hash_as_if_there_were_no_more(tmp_path_factory, rows, cut):
    folder = tmp_path_factory.mktemp("rows")
    files = parquet(folder, cut)
    schema, found = read(files)
    short = parquet(folder / ".", table=TABLE.slice(0, rows))
    assert digest_of(found, files, schema, rows) == rows_sha256_of_parquet([short[0].path])


def test_how_columns_are_stored_and_in_which_order_makes_no_difference(tmp_path):
    plain, other = tmp_path / "a.parquet", tmp_path / "b.parquet"
    pq.write_table(TABLE, plain)
    stored = pa.schema([("text", pa.large_string()), ("x", pa.float64())])
    pq.write_table(TABLE.cast(stored).select(["x", "text"]), other)
    _, found = read([RowFile(plain, "a.parquet"), RowFile(other, "b.parquet")])
    pq.write_table(pa.concat_tables([TABLE, TABLE]), tmp_path / "both.parquet")
    assert rows_sha256(found.digests) == rows_sha256_of_parquet([tmp_path / "both.parquet"])


def test_a_column_of_nothing_but_nulls_takes_the_type_that_it_has_elsewhere(tmp_path):
    first, second = pa.table({"a": pa.nulls(3), "b": [[], [], []]}), pa.table({"a": ["x"], "b": [["y"]]})
    files = [RowFile(tmp_path / f"{i}.parquet", f"{i}.parquet") for i in range(2)]
    for file, table in zip(files, (first, second), strict=True):
        pq.write_table(table, file.path)
    schema, found = read(files)
    assert (str(schema.field("a").type), schema.field("b").type.value_type) == ("string", pa.string())
    assert found.rows == 4


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"text": [1], "x": [1.0]}, r"1\.parquet: column 'text' is int64, and string before \(in 0\.parquet\)"),
        ({"text": ["a"]}, r"1\.parquet: the columns differ \(x in one alone\)"),
        ({"text": ["a"], "x": [1]}, "column 'x' is int64, and double before"),
    ],
)
def test_files_of_other_columns_are_refused_by_name(tmp_path, other, said):
    pq.write_table(TABLE, tmp_path / "0.parquet")
    pq.write_table(pa.table(other), tmp_path / "1.parquet")
    with pytest.raises(UserError, match=said):
        read([RowFile(tmp_path / name, name) for name in ("0.parquet", "1.parquet")])


def test_parquet_that_is_none_is_named(tmp_path):
    files = lines(tmp_path, b"", b"PAR1 not really", name="{}.parquet")
    assert refused(files[:1]).startswith("0.parquet is damaged or no Parquet")
    assert refused(files[1:]).startswith("1.parquet is damaged or no Parquet")
    pq.write_table(pa.table({"m": pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64()))}), tmp_path / "m.parquet")
    assert "m.parquet: column 'm': column type map<" in refused([RowFile(tmp_path / "m.parquet", "m.parquet")])
    pq.write_table(TABLE.slice(0, 0), tmp_path / "e.parquet")
    assert "train: its files (e.parquet…) hold no rows" in refused([RowFile(tmp_path / "e.parquet", "e.parquet")])


def test_everything_that_people_store_has_a_hash(tmp_path):
    table = pa.table(
        {
            "image": pa.array([{"bytes": b"\x89PNG", "path": None}, None]),
            "when": pa.array([1, None], pa.timestamp("us", "UTC")),
            "nested": pa.array([[{"a": [1.0, float("nan")]}], []]),
            "word": pa.array(["a", "b"]).dictionary_encode(),
            "fixed": pa.array([[1, 2], [3, 4]], pa.list_(pa.int8(), 2)),
        }
    )
    [file] = parquet(tmp_path, table=table)
    schema, found = read([file])
    assert schema.names == table.schema.names
    assert rows_sha256(found.digests) == rows_sha256_of_parquet([file.path])


# --- JSON Lines


@pytest.mark.parametrize(
    ("texts", "types"),
    [
        (['{"a": 1}\n{"a": 2.5}\n'], ["double"]),
        (['{"a": 1}\n', '{"a": 2.5}\n'], ["double"]),
        (['{"a": null}\n', '{"a": "x"}'], ["string"]),
        (['{"a": "2024-01-01"}\n', '{"a": "soon"}\n'], ["string"]),
        (['{"a": {"b": 1}}\n', '{"a": {"b": 2.5, "c": "x"}}\n'], ["struct<b: double, c: string>"]),
        (['{"a": []}\n', '{"a": [1]}\n', '{"b": true}'], ["list<item: int64>", "bool"]),
    ],
)
def test_types_grow_as_later_lines_need_them(tmp_path, texts, types):
    schema, found = read(lines(tmp_path, *texts))
    assert [str(field.type) for field in schema] == types
    joined = lines(tmp_path, "".join(text.rstrip("\n") + "\n" for text in texts), name="joined-{}.jsonl")
    assert read(joined)[1].digests == found.digests


def test_text_that_looked_like_a_date_stays_what_it_was(tmp_path):
    files = lines(tmp_path, '{"a": "2024-01-01"}\n', '{"a": "soon"}\n')
    [strings] = parquet(tmp_path, table=pa.table({"a": ["2024-01-01", "soon"]}))
    assert read(files)[1].digests == read([strings])[1].digests


def test_blocks_of_lines_join_to_the_same_rows(tmp_path, monkeypatch):
    rows = [{"text": "x" * (i % 90), "n": i, **({"late": 0.5} if i == 2900 else {})} for i in range(3000)]
    files = lines(tmp_path, "".join(json.dumps(row) + "\n" for row in rows))
    whole = read(files)
    monkeypatch.setattr(json_rows, "BLOCK_BYTES", 1000)
    parts = read(files)
    assert (parts[0], parts[1].digests) == (whole[0], whole[1].digests)
    assert whole[0].names == ["text", "n", "late"]


def test_splits_are_compared_anew_where_lines_are_read_a_second_time(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "BLOCK_BYTES", 200)
    rows = [json.dumps({"text": f"row {i}", "n": 0.5 if i == 29 else i}) + "\n" for i in range(30)]
    files = lines(tmp_path, "".join(rows), "".join(rows[20:25] + rows[20:21]), json.dumps({"text": "none", "n": 1}))
    _, found, overlap = read_splits(dict(zip(("train", "test", "other"), ([file] for file in files), strict=True)))
    assert found["train"].rows == 30
    assert overlap is not None
    counts = {(pair.split, pair.other): pair.rows for pair in overlap.pairs if pair.rows}
    assert counts == {("train", "test"): 5, ("test", "train"): 6}
    assert overlap.repeats == {"train": 0, "test": 1, "other": 0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1}\n{"a": \n', "0.jsonl:2: not JSON (unexpected end of data)"),
        ('{"a": 1}\n\n\n[1]\n', "0.jsonl:4: not a JSON object"),
        ('{"a": 1}\n{"a": "x"}\n', "0.jsonl:2: column 'a' is string, and int64 before"),
        ('{"a": {"b": 1}}\n{"a": 3}\n', "0.jsonl:2: column 'a' is int64, and struct<b:int64> before"),
        ('{"a": [1, "x"]}\n', "0.jsonl:1: column 'a/[]' changed from number to string"),
        ('{"a": 1, "a": 2}\n', "0.jsonl:1: Column(/a) was specified twice"),
        ('{"a": NaN}\n{"a": 1}\n{"a": "x"}\n', "0.jsonl:3: column 'a' is string, and double before"),
        (b'{"a": 1}\n{"a": "\xe9"}\n', "0.jsonl:2: not UTF-8 (byte 0xe9)"),
        ('{"a": 1}\n'.encode("utf-16"), "0.jsonl is in utf-16-le: save it as UTF-8"),
        ("", "hold no rows"),
        (gzip.compress(b'{"a": 1}\n', mtime=0), "0.jsonl is gzip, which its name does not say: end its name in .gz"),
        ("<!doctype html><html>", "0.jsonl:1: not text: it is an HTML page"),
    ],
)
def test_a_line_that_is_wrong_is_named(tmp_path, text, said):
    assert said in refused(lines(tmp_path, text))


def test_compressed_lines_are_read_and_damage_is_told(tmp_path):
    packed = gzip.compress(b'{"a": 1}\n{"a": 2}\n' * 1000)
    files = lines(tmp_path, packed, packed[:-20], b'{"a": 1}\n', name="{}.jsonl.gz")
    assert read(files[:1])[1].rows == 2000
    assert "1.jsonl.gz:" in refused(files[1:2])
    assert "cut short" in refused(files[1:2])
    assert "2.jsonl.gz is not compressed, which its name does not say: take .gz off its name" in refused(files[2:])


def test_a_line_that_is_too_long_is_refused_before_it_fills_the_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "BLOCK_BYTES", 100)
    monkeypatch.setattr(json_rows, "LONGEST_LINE", 3 << 20)
    files = lines(tmp_path, '{"a": "x"}\n' * 100 + '{"a": "' + "x" * (5 << 20) + '"}\n')
    assert "0.jsonl:101: the line is longer than" in refused(files)


def test_rows_are_those_that_datasets_reads(tmp_path):
    rows = [{"text": f"é {i}", "n": [i, None], "m": {"k": i / 7}} for i in range(40)]
    text = "\r\n".join(json.dumps(row, ensure_ascii=i % 2 == 0) for i, row in enumerate(rows))
    [file] = lines(tmp_path, b"\xef\xbb\xbf" + text.encode())
    loaded = datasets.load_dataset("json", data_files=str(file.path), split="train", cache_dir=str(tmp_path / "cache"))
    loaded.to_parquet(tmp_path / "loaded.parquet")
    assert rows_sha256(read([file])[1].digests) == rows_sha256_of_parquet([tmp_path / "loaded.parquet"])
