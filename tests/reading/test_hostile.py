"""Every way in which people's files are known to be broken."""

import json
from pathlib import Path

import pytest
import zstandard

from hubkit.files import file_sha256
from hubkit.reading import Digest, Form, documents, find_sources

DATA = Path(__file__).parent / "data"
GOOD = json.loads((DATA / "hostile.json").read_text())


@pytest.mark.parametrize("file", GOOD)
def test_hostile(file):
    (source,) = find_sources([str(DATA / "hostile" / file)])
    digest = Digest()
    records = list(documents(source, Form(), digest=digest))
    good = [record for record in records if record.reason is None]
    assert len(good) == GOOD[file]
    assert [record.position for record in records] == list(range(len(records)))
    assert digest.sha256 == file_sha256(DATA / "hostile" / file)
    assert all(record.text for record in good)
    assert all(record.text is None and record.raw for record in records if record.reason)


def hostile(file, **form):
    (source,) = find_sources([str(DATA / "hostile" / file)])
    return list(documents(source, Form.build(form)))


@pytest.mark.parametrize(
    ("file", "reason"),
    [
        ("09_truncated_last_line.jsonl", "not JSON: Expecting property name enclosed in double quotes at character 25"),
        ("10_truncated_mid_utf8.jsonl", "not UTF-8: it ends within a character, cut short perhaps"),
        ("11_latin1_bytes.jsonl", "not UTF-8: byte 0xef at offset 12; set encoding (latin-1, cp1252, …)"),
        ("14_swapped_surrogates.jsonl", "half a surrogate pair"),
        ("17_raw_control_chars.jsonl", "not JSON: Invalid control character at character 13"),
        ("20_text_missing.jsonl", "no text: no field 'text' among meta; set text_field"),
        ("21_text_not_string.jsonl", "text not a string: null"),
        ("22_text_blank.jsonl", "blank text"),
        ("34_scalars.jsonl", "not an object: a string"),
        ("36_html_error.jsonl", "not text: it is an HTML page"),
        ("44_gzip_trailing_garbage.jsonl.gz", "trailing bytes: something else follows the gzip data"),
    ],
)
def test_the_reason_is_told(file, reason):
    record = next(record for record in hostile(file) if record.reason)
    assert record.reason is not None
    assert record.reason.startswith(reason)
    assert record.kind == reason.partition(":")[0]


def test_content_survives():
    assert hostile("15_escaped_nul.jsonl")[0].text == "before\0after"
    assert hostile("25_duplicate_keys.jsonl")[0].text == "second"
    assert hostile("27_big_numbers.jsonl")[0].rest == {"id": 2**70, "x": float("inf")}
    metas = [record.meta for record in hostile("23_meta_variants.jsonl")]
    assert metas[:5] == [None, None, {}, '{"pile_set_name": "Pile-CC"}', "{'pile_set_name': 'Pile-CC'}"]
    assert metas[9] == [{"pile_set_name": "Pile-CC"}]
    assert [record.meta["id"] for record in hostile("24_schema_drift.jsonl")] == [1, 1, 1, "x-1", {"v": 1}]
    assert hostile("23_meta_variants.jsonl")[5].rest == {"pile_set_name": "Pile-CC"}


def test_lines_are_counted_as_an_editor_does():
    assert [(record.position, record.line) for record in hostile("29_array_file.json")] == [(0, 2), (1, 3)]
    blank = hostile("06_blank_lines.jsonl")
    lines = (DATA / "hostile" / "06_blank_lines.jsonl").read_text().split("\n")
    assert [record.line for record in blank] == [number for number, line in enumerate(lines, 1) if line.strip()]


def test_a_line_of_50_mb(tmp_path):
    text = "a" * 50_000_000
    path = tmp_path / "x.jsonl.zst"
    path.write_bytes(zstandard.compress(json.dumps({"text": text}).encode() + b'\n{"text": "b"}\n'))
    (source,) = find_sources([str(path)])
    assert [record.text for record in documents(source, Form())] == [text, "b"]
    first, second = documents(source, Form(max_document_bytes=10_000_000))
    assert (first.reason, len(first.raw or b""), second.text, second.line) == (
        "too long: more than 10000000 bytes; raise max_document_bytes if it is a document",
        1000,
        "b",
        2,
    )
