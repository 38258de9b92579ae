"""Records: where they begin and end, how many bytes are held."""

import gzip
import json
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.reading import Digest, Form, documents, find_sources
from hubkit.reading.chunks import sliced
from hubkit.reading.splitting import Lines, Paragraphs, Values, pages

from .conftest import jsonl, texts


def records_of(text: bytes, splitter, size: int, longest: int = 10**6) -> list[tuple[bytes, int]]:
    return [
        (page.data[start:stop], line)
        for page in pages(sliced(iter([text]), size), splitter, longest)
        for start, stop, line in zip(page.starts, page.stops, page.lines.tolist(), strict=True)
    ]


@given(st.text(alphabet="ab \t\n").map(str.encode), st.integers(1, 10))
@settings(deadline=None)
def test_lines(text, size):
    slowly = [(line, number) for number, line in enumerate(text.split(b"\n"), 1) if line.strip()]
    assert records_of(text, Lines(), size) == slowly


@given(st.text(alphabet="ab \t\n").map(str.encode), st.integers(1, 10))
@settings(deadline=None)
def test_paragraphs(text, size):
    slowly, begun = [], 0
    for number, line in enumerate(text.split(b"\n"), 1):
        if not line.strip():
            begun = 0
        elif begun:
            slowly[-1] = (slowly[-1][0] + b"\n" + line, begun)
        else:
            begun = number
            slowly.append((line, begun))
    assert records_of(text, Paragraphs(), size) == [(paragraph.rstrip(), line) for paragraph, line in slowly]


VALUES = st.lists(
    st.dictionaries(st.text(), st.recursive(st.text() | st.integers(), st.lists, max_leaves=5), max_size=3), max_size=5
)


@given(VALUES, st.integers(1, 10), st.sampled_from([None, 0, 2]), st.booleans())
@settings(max_examples=80, deadline=None)
def test_values(values, size, indent, in_list):
    if in_list:
        text = json.dumps(values, indent=indent)
    else:
        text = " \n".join(json.dumps(value, indent=indent) for value in values)
    found = records_of(text.encode(), Values(in_list), size)
    assert [json.loads(record) for record, _ in found] == values
    for record, line in found:
        assert record.split(b"\n")[0].strip() in text.encode().split(b"\n")[line - 1]


@given(st.lists(st.integers(0, 40), max_size=20), st.integers(1, 10), st.integers(1, 20))
@settings(deadline=None)
def test_long_records_are_held_in_part(lengths, size, longest):
    text = b"".join(b"x" * length + b"\n" for length in lengths)
    found, too_long = [], []
    for page in pages(sliced(iter([text]), size), Lines(), longest):
        assert len(page.data) <= max(1000, longest + size)
        found += (page.stops - page.starts).tolist()
        too_long += [page.too_long] * len(page.starts)
    assert len(found) == sum(length > 0 for length in lengths)


@pytest.mark.parametrize("format", ["jsonl", "lines", "paragraphs"])
def test_many_records(read, format):
    words = [f"word {number}\nmore" if format != "lines" else f"word {number}" for number in range(60_000)]
    content = jsonl(*words) if format == "jsonl" else "\n\n".join(words).encode()
    assert texts(read(content, format=format)) == words


def test_bad_and_blank_lines_between(read):
    content = b'\n{"text": "a"}\n \nbad\n\n{"text": "b"}\n'
    assert [(record.position, record.line, record.text) for record in read(content)] == [
        (0, 2, "a"),
        (1, 4, None),
        (2, 6, "b"),
    ]
    digest = Digest()
    read(content, digest=digest)
    assert digest.bytes == len(content)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'[{"text": "a"}, {"text": "b"}]', ["a", "b"]),
        (b'[\n  {"text": "a]"},\n  {"text": "b}"}\n]\n', ["a]", "b}"]),
        (b"[]", []),
        (b' [ {"text": "a"},\n]', ["a"]),
        (b'[{"text": "a"},\n7,\n{"text": "b"}]', ["a", None]),
        (b'[{"text": "a"}]\n{"text": "b"}', [None, "b"]),
        (b'["a"]\n{"text": "b"}', [None, "b"]),
        (b'[{"text": "a"},\n{"text": "b"', ["a", None]),
        (b'[{"text": "a"},\n{"text": "b"}\n] more {"text": "c"}', ["a", "b", None]),
        (b'[{"text": "a"},\n{"text": "b"}\n] {"text": "c"}', ["a", "b", "c"]),
        (b'[{"text": "a"},\n{"text": "b"}]\n[{"text": "c"}, {"text": "d"}]', ["a", "b", "c", "d"]),
        (b'{\n"text": "a"\n}\n{\n"text": "b"\n}', ["a", "b"]),
        (b'{\n"text": "a"\n}\n{\n"text": "b', ["a", None]),
        (b'{"text": "a"\n{"text": "b"}\n', [None, "b"]),
        (b'{"text": "a",\n{"text": "b"}\n', [None, "b"]),
        (b'{"text": "a\n{"text": "b"}\n', [None, "b"]),
        (b'{"text": "a\\u12\n{"text": "b"}\n', [None, "b"]),
        (b'{"text": "a"', [None]),
        (b'{"data": [\n{"text": "a"}\n]}', [None]),
    ],
)
def test_json_in_other_shapes(read, content, expected):
    assert texts(read(content)) == expected


@pytest.mark.parametrize("indent", [None, 1])
def test_long_lists_and_long_objects(read, indent):
    values = [{"text": str(number) + "é" * 1000} for number in range(2000)]
    expected = [value["text"] for value in values]
    assert texts(read(json.dumps(values, indent=indent).encode())) == expected
    long = json.dumps({"meta": [1, 2] * 300_000, "text": "a"}, indent=indent).encode()
    assert texts(read(long + b"\n" + jsonl("b"))) == ["a", "b"]


def test_plain_text_is_never_guessed(read):
    (record,) = read(b"Call me Ishmael.\nSome years ago", "x.txt")
    assert (record.whole, record.reason) == (
        True,
        "not JSON: it looks like plain text; set format=lines or format=paragraphs",
    )
    records = read(b"Call me Ishmael.\n" + jsonl("a"), "x.jsonl")
    assert [record.kind for record in records] == ["not JSON", None]
    assert texts(read(b'{"text": "a"}', "x.txt", format="lines")) == ['{"text": "a"}']


def test_paragraphs_keep_their_lines(read):
    content = b"\n\n  one\ntwo \n \t\nthree\r\n\r\n\r\nfour"
    records = read(content, "x.txt", format="paragraphs")
    assert [(record.text, record.line) for record in records] == [("  one\ntwo", 3), ("three", 6), ("four", 9)]


def test_fields_have_any_name(read):
    (record,) = read(b'{"body": "a", "about": 7, "text": null}', text_field="body", meta_field="about")
    assert (record.text, record.meta, record.rest) == ("a", 7, {"text": None})


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 2**64, 10**30, 2**63 - 1, 1.5, -0.0])
def test_numbers_are_exact(read, number):
    (record,) = read(json.dumps({"text": "a", "meta": {"n": [number]}}).encode())
    assert record.meta == {"n": [number]}
    assert type(record.meta["n"][0]) is type(number)


@pytest.mark.parametrize("name", ["meta", "other"])
@pytest.mark.parametrize("number", [1, 1e300, float("nan")])
def test_depth_is_bounded_however_it_is_read(read, name, number):
    def nested(depth: int) -> bytes:
        value = number
        for _ in range(depth):
            value = [value]
        return json.dumps({"text": "a", name: value, "quotes": '\\"[[['}).encode() + b"\n"

    good, bad = read(nested(199) + nested(200))
    assert good.text == "a"
    assert bad.reason == "nested too deep: more than 200 lists and objects in each other"


@pytest.mark.parametrize("text", ["\u200b\ufeff", "\0", " \u3000", "\n"])
def test_invisible_text_is_blank(read, text):
    assert read(json.dumps({"text": text}).encode())[0].reason == "blank text"


@pytest.mark.parametrize("text", ["\ue000", "\uffff", "\u0301", " a", "\u200b!"])
def test_odd_text_is_not_blank(read, text):
    assert texts(read(json.dumps({"text": text}).encode())) == [text]


ATOMS = [
    b'{"text": "a"}',
    b'{"text":\n "b"\n}',
    b"[",
    b"]",
    b",",
    b"\n",
    b"\r\n",
    b"\r",
    b'"',
    b"\\",
    b" ",
    b"\xff",
    b"\0",
]


@given(st.lists(st.sampled_from(ATOMS), max_size=12).map(b"".join), st.sampled_from([1, 2, 5]), st.booleans())
@settings(max_examples=100, deadline=None)
def test_any_bytes_in_chunks_of_any_size(tmp_path_factory, content, size, cut):
    content = gzip.compress(content)[: -8 if cut else None]
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    path.write_bytes(content)
    (source,) = find_sources([str(path)])
    for format in ("auto", "jsonl", "lines", "paragraphs"):
        form, digest = Form.build({"format": format}), Digest()
        records = list(documents(source, form, digest=digest))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("hubkit.reading.stored.CHUNK_BYTES", size)
            patch.setattr("hubkit.reading.compression.CHUNK_BYTES", size)
            assert list(documents(source, form)) == records
        assert digest.bytes == len(content)
        assert [record.position for record in records] == list(range(len(records)))


PEAK = """
import sys
from hubkit.reading import Form, documents, find_sources
def peak():  # in kB; not by getrusage, which begins with the peak of the process that this one was forked from
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
list(documents(find_sources([sys.argv[1]])[0], Form()))
before = peak()
records = list(documents(find_sources([sys.argv[2]])[0], Form(max_document_bytes=10_000_000)))
print((peak() - before) * 1024, [record.kind for record in records])
"""


def test_a_file_without_line_ends_is_never_held(tmp_path):
    (tmp_path / "small.jsonl").write_bytes(jsonl("a"))
    with open(tmp_path / "large.jsonl", "wb") as file:
        file.write(b'{"text": "')
        file.truncate(400_000_000)  # a hole: it reads as zeros, and takes no room
    command = [sys.executable, "-c", PEAK, *(str(tmp_path / name) for name in ("small.jsonl", "large.jsonl"))]
    peak, kinds = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split(maxsplit=1)
    assert kinds.strip() == "['too long']"
    assert int(peak) < 60_000_000
