"""Encodings, byte-order marks and line ends."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.reading import Form
from hubkit.reading.chunks import sliced
from hubkit.reading.encoding import unix_lines, utf8

from .conftest import jsonl, texts

TEXT = "Ænglisc, 日本語 und 🙂"


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]
)
def test_unicode_is_told_by_its_bytes(read, encoding):
    assert texts(read(jsonl(TEXT, "b").decode().encode(encoding))) == [TEXT, "b"]


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "shift_jis", "utf-7", "koi8-r", "utf-16"])
def test_others_are_named(read, encoding):
    text = {"shift_jis": "日本語", "koi8-r": "Москва"}.get(encoding, "café")
    assert texts(read(jsonl(text, "b").decode().encode(encoding), encoding=encoding)) == [text, "b"]


def test_a_file_of_several_encodings(read):
    content = (
        jsonl("a") + jsonl("café").decode().encode("latin-1") + jsonl("b") + jsonl("c").decode().encode("utf-16-le")
    )
    records = read(content)
    assert texts(records)[:3] == ["a", None, "b"]
    assert records[1].reason.startswith("not UTF-8: byte 0xe9 at offset 13;")
    assert not any(text == "c" for text in texts(records))


def test_latin1_throughout_is_told_line_by_line_with_the_mend(read):
    records = read(jsonl("é", "à").decode().encode("latin-1"))
    assert ["encoding (latin-1" in record.reason for record in records] == [True, True]


@pytest.mark.parametrize("bad", [b"\x00\xd8", b"\x00\xdc\x00\xd8"])
def test_ill_formed_utf16_spoils_its_record_alone(read, bad):
    first, second, third = (jsonl(text).decode().encode("utf-16-le") for text in "abc")
    content = b"\xff\xfe" + first + second.replace(b"b\0", bad) + third
    records = read(content)
    assert texts(records) == ["a", None, "c"]
    assert records[1].kind == "not utf-16-le"


def test_utf16_cut_within_a_character(read):
    *good, bad = read(jsonl("a", "b").decode().encode("utf-16")[:-5])
    assert (texts(good), bad.kind) == (["a"], "not utf-16-le")


def test_marks_amid_files_that_were_concatenated(read):
    mark = b"\xef\xbb\xbf"
    assert texts(read((mark + jsonl("a")) * 2)) == ["a", "a"]
    assert texts(read((mark + b"a\n") * 2, format="lines")) == ["a", "a"]


def test_carriage_returns(read):
    assert texts(read(b'{"text": "a\\rb"}\r{"text":\t"c"}\r\n\r\n{"text": "d"}\n\r')) == ["a\rb", "c", "d"]
    records = read(b'{"text": "a\rb"}\n{"text": "c"}\n')
    assert [record.text for record in records if record.text] == ["c"]


def test_zero_bytes_in_plain_text(read):
    records = read(b"good\nb\0a\0d\0\ngood\n", format="lines")
    assert [record.kind for record in records] == [None, "not text", None]


@given(st.text(alphabet="a\r\n"), st.integers(1, 5))
def test_line_ends_are_pythons(text, size):
    chunks = list(unix_lines(sliced(iter([text.encode()]), size)))
    assert b"".join(chunks).decode() == "\n".join(text.replace("\r\n", "\n").split("\r"))
    assert all(chunks)


@given(st.text(), st.sampled_from(["utf-16", "utf-32", "utf-8-sig", "utf-8"]), st.integers(1, 9))
@settings(max_examples=100)
def test_chunks_of_any_size(text, encoding, size):
    _, chunks = utf8(sliced(iter([text.encode(encoding)]), size), encoding)
    assert b"".join(chunks).decode() == text.removeprefix("\ufeff")


@pytest.mark.parametrize("name", ["no-such", "hex", "rot13", "", "\0"])
def test_unknown_encodings_are_refused(name):
    with pytest.raises(UserError, match="encoding: no such encoding; name one that Python knows"):
        Form.build({"encoding": name})
