"""What became of each row: against a plain reference, and row keys against equality."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.publishing.diff_files import Part, parts_of_files
from hubkit.publishing.diff_readers import open_rows
from hubkit.publishing.diff_rows import Side, _Keys, compare_split, match
from hubkit.publishing.hub import RemoteFile
from hubkit.publishing.row_keys import keys_of_batch, keys_of_objects

ROWS = st.lists(st.integers(0, 5), max_size=12)


def keys(values: list[int]) -> _Keys:
    return _Keys(np.arange(len(values)), np.array(values, np.uint64))


@given(ROWS, ROWS)
def test_every_row_is_accounted_for_once(old: list[int], new: list[int]) -> None:
    found = match(keys(old), keys(new), len(old), len(new))
    assert found.same == sum(a == b for a, b in zip(old, new, strict=False))
    assert found.same + len(found.moved) + len(found.changed) + len(found.removed) == len(old)
    assert found.same + len(found.moved) + len(found.changed) + len(found.added) == len(new)
    assert all(a != b and old[a] == new[b] for a, b in found.moved)
    assert all(old[at] != new[at] for at in found.changed)
    # What could have been matched as moved was.
    left_old = [old[at] for at in [*found.removed, *found.changed]]
    left_new = [new[at] for at in [*found.added, *found.changed]]
    assert not set(left_old) & set(left_new)


def test_a_row_that_was_put_in_front_moves_the_others() -> None:
    found = match(keys([1, 2, 3]), keys([9, 1, 2, 3]), 3, 4)
    assert (found.moved.tolist(), found.added.tolist()) == ([[0, 1], [1, 2], [2, 3]], [0])
    assert (len(found.changed), len(found.removed), found.same) == (0, 0, 0)


def test_indices_mean_nothing_where_most_rows_moved() -> None:
    found = match(keys([1, 2, 3, 4]), keys([9, 1, 2, 3, 8]), 4, 5)
    assert (found.removed.tolist(), found.added.tolist(), found.changed.tolist()) == ([3], [0, 4], [])
    found = match(keys([1, 2, 3, 4]), keys([1, 2, 9, 4, 8]), 4, 5)
    assert (found.removed.tolist(), found.added.tolist(), found.changed.tolist()) == ([], [4], [2])


VALUES = st.one_of(st.none(), st.text(max_size=3), st.integers(-2, 2))


@given(st.lists(st.tuples(st.one_of(st.none(), st.text(max_size=3)), st.one_of(st.none(), st.integers(-2, 2))),
                min_size=1, max_size=20))  # fmt: skip
def test_rows_of_parquet_share_a_key_where_they_are_equal(rows: list[tuple[str | None, int | None]]) -> None:
    texts, numbers = [row[0] for row in rows], [row[1] for row in rows]
    nested = [{"a": [number, number]} for number in numbers]
    table = pa.table({"t": texts, "n": pa.array(numbers, pa.int64()), "s": nested}, schema=SCHEMA)
    found = keys_of_batch(table.to_batches()[0], ["t", "n", "s"])
    assert [[a == b for b in found] for a in found] == [[a == b for b in rows] for a in rows]
    # How a column is stored is no part of it.
    stored = table.set_column(0, "t", table["t"].cast(pa.large_string()).dictionary_encode())
    assert (keys_of_batch(stored.to_batches()[0], ["t", "n", "s"]) == found).all()


SCHEMA = pa.schema({"t": pa.string(), "n": pa.int64(), "s": pa.struct({"a": pa.list_(pa.int64())})})


def test_numbers_in_text_formats_are_compared_by_value_and_lengths_by_themselves() -> None:
    same = keys_of_objects([{"a": 1, "b": "x"}, {"b": "x", "a": 1.0}])
    assert same[0] == same[1]
    assert len(set(keys_of_objects([{"a": 1.5}, {"a": 1}, {"a": "1"}, {"a": None}, {"a": True}]))) == 5
    batch = pa.RecordBatch.from_pydict({"a": ["x", "xy"], "b": ["yz", "z"]})
    assert len(set(keys_of_batch(batch, ["a", "b"]))) == 2
    nans = pa.array([float("nan"), -float("nan"), 0.0, -0.0])
    found = keys_of_batch(pa.RecordBatch.from_arrays([nans], ["x"]), ["x"])
    assert found[0] == found[1] and found[2] != found[3]


def side(folder: Path, **files: str) -> Side:
    folder.mkdir()
    parts = []
    for name, text in files.items():
        path = folder / name.replace("_", ".")
        path.write_text(text)
        parts.append(Part(path.name, None, text))
    return Side(parts, lambda part: open_rows(folder / part.path, part.path))


def test_json_lines_and_csv_are_read_too(tmp_path: Path) -> None:
    old = side(tmp_path / "old", a_jsonl='{"x": 1, "y": "p"}\n\n{"x": 2, "y": "q"}\n')
    new = side(tmp_path / "new", a_json='[{"x": 1, "y": "p"},\n {"x": 2.5, "y": "q"}]', b_jsonl='{"x": 3, "y": "r"}')
    found = compare_split("train", old, new, 2)
    assert (found.old_rows, found.new_rows, found.same) == (2, 3, 1)
    assert found.counts == {"added": 1, "removed": 0, "changed": 1, "moved": 0}
    [changed] = found.examples["changed"]
    assert (changed.old_index, changed.old, changed.new) == (1, {"x": 2}, {"x": 2.5})
    assert found.examples["added"][0].new == {"x": 3, "y": "r"}
    text = side(tmp_path / "csv", a_csv="x,y\n1,p\n2,q\n")
    assert compare_split("train", text, text, 2).same == 2


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    old, new = side(tmp_path / "old", a_jsonl='{"x": 1}\n'), side(tmp_path / "new", a_jsonl='{"x": \n')
    with pytest.raises(UserError, match=r"a\.jsonl can't be read, so its rows can't be compared"):
        compare_split("train", old, new, 2)


def test_files_find_their_split_by_card_or_name() -> None:
    files = {name: RemoteFile(name, 1, name, None) for name in
             ("data/train-0.parquet", "data/val.jsonl.gz", "test/a.csv", "README.md", "extra/x.parquet")}  # fmt: skip
    found = parts_of_files(files, {})
    assert {split: [part.path for part in parts] for split, parts in found.items()} == {
        "train": ["data/train-0.parquet", "extra/x.parquet"],
        "validation": ["data/val.jsonl.gz"],
        "test": ["test/a.csv"],
    }
    configs = [
        {"config_name": "default", "data_files": [{"split": "train", "path": "data/train-*"}]},
        {"config_name": "extra", "data_files": "extra/*"},
    ]
    found = parts_of_files(files, {"configs": configs})
    assert list(found) == ["default/train", "extra/train"]
