"""What fields beside the text are read as, whatever shape they have."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora.documents.metadata import Describer, canonical_text
from hubkit.reading import Form, Record
from hubkit.reading.parsing import json_parser

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def described(meta=None, rest=None, domain_field=None, split_field=None):
    return Describer("meta", domain_field, split_field, "file")(Record(0, 1, "text", meta, rest=rest))


@pytest.mark.parametrize(
    ("meta", "rest", "domain"),
    [
        ({"pile_set_name": "Pile-CC"}, None, "Pile-CC"),
        ('{"pile_set_name": "Pile-CC"}', None, "Pile-CC"),
        ("{'pile_set_name': 'Pile-CC', 'x': None}", None, "Pile-CC"),
        (None, {"pile_set_name": "Pile-CC"}, "Pile-CC"),
        ({"redpajama_set_name": "RedPajamaC4"}, None, "RedPajamaC4"),
        ({"source": "cc"}, {"red_pajama_subset": "common_crawl"}, "common_crawl"),
        ({"pile_set_name": ""}, {"pile_set_name": "b"}, "b"),
        ({"pile_set_name": ["x"]}, None, "file"),
        ([{"pile_set_name": "Pile-CC"}], None, "file"),
        ("{'a': __import__('os')}", None, "file"),
        ("{" * 5000, None, "file"),
        ("{" + "-" * 9000 + "1}", None, "file"),
        ("not a mapping", None, "file"),
        (3, None, "file"),
    ],
)
def test_domain(meta, rest, domain):
    assert described(meta, rest).domain == domain


def test_fields_by_path():
    meta, rest = {"a": {"b": "deep"}, "year": 1999}, {"lang": "en", "meta": "shadowed"}
    assert described(meta, rest, "meta.a.b").domain == "deep"
    assert described(meta, rest, "meta.year").domain == "1999"
    assert described(meta, rest, "lang").domain == "en"
    assert described(meta, rest, "meta.nothing.there").domain == "unknown"
    assert described(meta, rest, split_field="meta.a.b").split == "deep"
    assert described({"licence": "CC0"}).licence == described({"license": "CC0"}).licence == "CC0"
    assert described({"licence": {}}).licence is None


def test_long_and_broken_names():
    assert described({"pile_set_name": "x" * 1000}).domain == "x" * 200
    assert described({"pile_set_name": "x\ud800"}).domain == "x?"


@given(VALUES)
@settings(max_examples=200, deadline=None)
def test_canonical_text_says_the_same(value):
    text = canonical_text(value)
    assert (text is None) == (value is None)
    if text is not None:
        text.encode()
        assert json.loads(text) == value


def test_canonical_text_has_one_form():
    assert canonical_text({"b": 1, "a": [True, None, "é"]}) == '{"a":[true,null,"é"],"b":1}'
    assert canonical_text({"n": 2**70, "b": float("inf"), "a": float("nan")}) == (
        '{"a":null,"b":null,"n":1180591620717411303424}'
    )


@pytest.mark.parametrize("leaf", [1, 2**70])
def test_the_deepest_that_is_read_can_be_written(leaf):
    line = b'{"text": "a", "meta": ' + b"[" * 198 + str(leaf).encode() + b"]" * 198 + b"}"
    text, meta, _ = json_parser(Form(), "utf-8")(line)
    assert text == "a"
    assert canonical_text(meta) == "[" * 198 + str(leaf) + "]" * 198


@given(st.one_of(VALUES, st.text(st.characters(exclude_categories=()), max_size=250)), st.booleans())
@settings(deadline=None)
def test_a_name_is_the_visible_beginning_of_a_valid_text(value, beside):
    field = {"pile_set_name": value}
    name = str(value) if isinstance(value, int) else value
    wanted = name.encode(errors="replace").decode()[:200].strip() if isinstance(name, str) else ""
    assert described(None if beside else field, field if beside else None).domain == (wanted or "file")


def test_the_first_licence_that_is_there_counts_and_any_domain_that_is_a_name():
    both = {"license": "mit", "licence": ["odd"], "red_pajama_subset": "book"}
    found = described(both, {"licence": "cc0-1.0", "pile_set_name": [], "red_pajama_subset": "other"})
    assert (found.licence, found.domain) == (None, "book")
