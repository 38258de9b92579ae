"""Spools: any rows come back as they were written, in memory of their own."""

from unittest.mock import patch

import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubkit.corpora.documents.spool import SCHEMA, SpoolWriter, read_rows, texts_of

TEXTS = st.lists(st.none() | st.text(max_size=5), max_size=20)


@given(TEXTS, st.sampled_from([pa.string(), pa.large_string()]))
@settings(max_examples=100, deadline=None)
def test_texts_are_an_array(texts, type):
    array = texts_of([None if text is None else text.encode() for text in texts], type)
    array.validate(full=True)
    assert array.equals(pa.array(texts, type))


@given(st.lists(st.integers(1, 5), min_size=1, max_size=6), st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_rows_come_back(tmp_path_factory, sizes, data):
    folder, total = tmp_path_factory.mktemp("spool"), sum(sizes)
    rows = [{"text": f"é{n}", "meta": None if n % 3 else str(n), "extra": None, "domain": "d"} for n in range(total)]
    table = pa.Table.from_pylist(rows, SCHEMA)
    spool, start = SpoolWriter(folder), 0
    for size in sizes:
        spool.write(table.slice(start, size).combine_chunks().to_batches()[0].columns)
        start += size
    spool.close()
    chosen = sorted(data.draw(st.sets(st.integers(0, total - 1), min_size=1)))
    got = pa.Table.from_batches(read_rows(folder, np.array(chosen)))
    assert got.to_pylist() == [rows[row] for row in chosen]


def test_only_the_batches_that_hold_the_rows_are_opened(tmp_path):
    spool = SpoolWriter(tmp_path)
    for number in range(10):
        spool.write([texts_of([str(number).encode()] * 3, field.type) for field in SCHEMA])
    spool.close()
    opened = []
    open_file = pa.ipc.open_file
    with patch.object(pa.ipc, "open_file", lambda file: opened.append(1) or open_file(file)):
        batches = read_rows(tmp_path, np.array([2, 3, 29]))
    assert [batch["text"].to_pylist() for batch in batches] == [["0"], ["1"], ["9"]]
    assert len(opened) == 3
