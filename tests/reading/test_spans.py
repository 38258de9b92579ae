"""Spans of a file: put together they say what the whole file does."""

import gzip
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubkit.reading import Digest, Form, Span, documents, find_sources, spans_of

from .conftest import jsonl

ATOMS = [*jsonl("a", "é").splitlines(), *b"\n \r \r\n bad {} \xff".split(b" "), b"\n", b"\r\n", b" "]


def found(path, content):
    path.write_bytes(content)
    (source,) = find_sources([str(path)])
    return source


def read(source, form, spans):
    """All records of some spans, their lines and positions counted through the file."""
    records, lines = [], 0
    for span in spans:
        digest = Digest()
        for record in documents(source, form, digest, span):
            records.append(record._replace(position=len(records), line=lines + record.line))
        lines += digest.lines
    return records


@given(
    st.lists(st.sampled_from(ATOMS), max_size=12).map(b"".join),
    st.lists(st.integers(0, 80), max_size=4),
    st.sampled_from([1, 3, 2**20]),
    st.booleans(),
    st.sampled_from(["jsonl", "lines"]),
)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_spans_anywhere_give_the_same_records(tmp_path_factory, content, cuts, size, marked, format):
    content = b"\xef\xbb\xbf" * marked + content
    source = found(tmp_path_factory.getbasetemp() / "spans.jsonl", content)
    ends = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    spans = [Span(start, stop) for start, stop in pairwise(ends)]
    form = Form.build({"format": format})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("hubkit.reading.stored.CHUNK_BYTES", size)
        assert read(source, form, spans) == list(documents(source, form))


def test_a_big_file_is_cut_into_equal_spans(tmp_path, monkeypatch):
    monkeypatch.setattr("hubkit.reading.spans.SPAN_BYTES", 100)
    content = jsonl(*(f"document {number}" for number in range(100)))
    source = found(tmp_path / "x.jsonl", content)
    spans = spans_of(source, Form())
    assert [span.start for span in spans[1:]] == [span.stop for span in spans[:-1]]
    assert (spans[0].start, spans[-1].stop) == (0, len(content))
    assert {(span.stop - span.start) // 10 for span in spans} == {10}
    assert read(source, Form(), spans) == list(documents(source, Form()))
    monkeypatch.setattr("hubkit.reading.spans.MOST_SPANS", 3)
    assert len(spans_of(source, Form())) == 3


@pytest.mark.parametrize(
    ("content", "form"),
    [
        (jsonl("a"), {}),  # too small
        (gzip.compress(bytes(range(256)) * 10, 0), {}),
        (jsonl(*"abcdefghij" * 3).decode().encode("utf-16"), {}),
        (jsonl(*"abcdefghij" * 3), {"encoding": "latin-1"}),
        (b"[\n" + b",\n".join(jsonl(*"abcdefghij" * 3).splitlines()) + b"\n]", {}),
        (b"One paragraph.\n\nAnother.\n\n" * 20, {"format": "paragraphs"}),
        (b"plain text\n" * 30, {}),
        (b"%PDF-1.4\n" + b"x\n" * 200, {}),
    ],
)
def test_what_is_not_cut(tmp_path, monkeypatch, content, form):
    monkeypatch.setattr("hubkit.reading.spans.SPAN_BYTES", 100)
    assert spans_of(found(tmp_path / "x.txt", content), Form.build(form)) == []


def test_a_span_within_a_line_reads_no_further(tmp_path, monkeypatch):
    source = found(tmp_path / "x.jsonl", b'{"text": "' + b"x" * 5000 + b'"}\n' + jsonl("b"))
    chunks = []
    monkeypatch.setattr("hubkit.reading.stored.CHUNK_BYTES", 100)
    stored = "hubkit.reading.spans.stored"
    from hubkit.reading.stored import stored as real

    monkeypatch.setattr(stored, lambda *a, **k: (chunks.append(chunk) or chunk for chunk in real(*a, **k)))
    assert list(documents(source, Form(), None, Span(1000, 2000))) == []
    assert len(chunks) <= 11
