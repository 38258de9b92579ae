"""A spec and its variations make a family of validated specs with names."""

import copy
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from hubkit.errors import UserError
from hubkit.specs import Spec
from hubkit.variations import LONGEST_NAME, differences, expand, read_variation


class Range(Spec):
    """A group of numbers."""

    min: int
    max: int


class Basket(Spec):
    """A spec with a list, a group, a mapping with free keys, and a field that may be null."""

    things: tuple[str, ...] = ("a", "b", "c")
    number: int = 6
    share: float = 0.5
    length: Range = Range(min=10, max=20)
    counts: dict[str, int] = Field(default={"train": 8})
    note: str | bool | None = None


BASE = Basket()
ONE = {"op": "mul", "field": "number", "by": [1]}


@pytest.mark.parametrize(
    ("op", "by", "lengths"),
    [
        ("mul", [1, 2, 1.5], [(10, 20), (20, 40), (15, 30)]),
        ("add", [5, -9], [(15, 25), (1, 11)]),
        ("sub", [9], [(1, 11)]),
        ("div", [2, 1], [(5, 10), (10, 20)]),
    ],
)
def test_arithmetic(op, by, lengths):
    family = expand(BASE, {"op": op, "field": "length", "by": by})
    assert [(spec.length.min, spec.length.max) for spec in family.values()] == lengths
    ends = expand(BASE, {"op": op, "field": "length.max", "by": by})
    assert [spec.length.max for spec in ends.values()] == [high for _, high in lengths]


def test_names_and_the_order_of_a_product():
    variation = {
        "op": "product",
        "of": [
            {"op": "mul", "field": "length.max", "by": [1, 2]},
            {"op": "set", "field": "share", "to": [0.1, 0.2, 0.3]},
        ],
    }
    family = expand(BASE, variation)
    assert list(family)[:2] == ["length.max-mul-1,share=0.1", "length.max-mul-1,share=0.2"]
    assert [(spec.length.max, spec.share) for spec in family.values()] == list(product([20, 40], [0.1, 0.2, 0.3]))
    assert family == expand(BASE, read_variation(variation))


def test_zip_goes_side_by_side_and_changes_follow_one_another():
    parts = [{"op": "mul", "field": "number", "by": [2, 3]}, {"op": "add", "field": "number", "by": [1, 10]}]
    family = expand(BASE, {"op": "zip", "of": parts})
    assert {name: spec.number for name, spec in family.items()} == {
        "number-mul-2,number-add-1": 13,
        "number-mul-3,number-add-10": 28,
    }


def test_lists():
    inserted = expand(BASE, {"op": "insert", "field": "things", "at": 1, "items": ["x", "y z"]})
    assert {name: spec.things for name, spec in inserted.items()} == {
        "things-insert-x": ("a", "x", "b", "c"),
        "things-insert-item1": ("a", "y z", "b", "c"),
    }
    removed = expand(BASE, {"op": "remove", "field": "things", "at": [0, 2]})
    assert [spec.things for spec in removed.values()] == [("b", "c"), ("a", "b")]
    shuffled = expand(BASE, {"op": "shuffle", "field": "things", "times": 20})
    assert all(sorted(spec.things) == ["a", "b", "c"] for spec in shuffled.values())
    assert len({spec.things for spec in shuffled.values()}) == 6
    assert shuffled == expand(BASE, {"op": "shuffle", "field": "things", "times": 20})
    assert shuffled != expand(BASE, {"op": "shuffle", "field": "things", "times": 20, "seed": 1})


def test_an_item_of_a_list_and_a_new_key_of_a_mapping_are_set():
    assert expand(BASE, {"op": "set", "field": "things.1", "to": ["x"]})["things.1=x"].things == ("a", "x", "c")
    family = expand(BASE, {"op": "set", "field": "counts.test", "to": [1, 2]})
    assert [spec.counts for spec in family.values()] == [{"train": 8, "test": 1}, {"train": 8, "test": 2}]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (True, "note=true"),
        (None, "note=null"),
        ("x-1.5+", "note=x-1.5+"),
        (".x", "note=item0"),
        ("a/b", "note=item0"),
        ("*", "note=item0"),
        ("ä", "note=item0"),
        ("x" * 41, "note=item0"),
        ("", "note=item0"),
    ],
)
def test_a_name_is_one_of_a_file_and_needs_no_quotes(value, name):
    assert list(expand(BASE, {"op": "set", "field": "note", "to": [value]})) == [name]


def test_a_long_name_is_cut_and_stays_different():
    parts = [{"op": "set", "field": "note", "to": ["x" * 40]}] * 5 + [{"op": "mul", "field": "number", "by": [1, 2]}]
    names = list(expand(BASE, {"op": "product", "of": parts}))
    assert [len(name) for name in names] == [LONGEST_NAME] * 2
    assert len(set(names)) == 2


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), lambda inner: st.lists(inner, max_size=3)
                    | st.dictionaries(st.text("ab", min_size=1), inner, max_size=3)))  # fmt: skip
def test_data_differs_from_itself_nowhere(value):
    assert differences(value, copy.deepcopy(value)) == {}


def test_differences_name_the_paths_of_what_changed():
    new = BASE.model_copy(update={"things": ("a", "x", "c"), "length": Range(min=10, max=21), "counts": {"test": 1}})
    plain, other = BASE.model_dump(mode="json"), new.model_dump(mode="json")
    expected = {"things.1": "x", "length.max": 21, "counts.test": 1, "counts.train": None}
    assert differences(plain, other) == expected
    shorter: dict[str, Any] = {**plain, "things": ["a"], "number": 6.0}
    assert differences(plain, shorter) == {"things": ["a"], "number": 6.0}


def test_the_base_is_left_as_it_was():
    before = BASE.sha256
    expand(BASE, {"op": "set", "field": "counts.test", "to": [2]})
    assert BASE.sha256 == before


@pytest.mark.parametrize(
    ("variation", "message"),
    [
        ({"op": "pow"}, r"^family: variation\.op: 'pow' is unknown \(known: mul, .*product\)$"),
        ({"field": "number", "by": [2]}, r"^family: variation\.op is missing \(known: mul, "),
        (ONE | {"bye": [2]}, r"variation\.bye is not a field \(known: by, field, op\)"),
        (ONE | {"by": [1e308, float("inf")]}, r"variation\.by\.1"),
        (ONE | {"field": ""}, r"variation\.field: String should have at least 1 character"),
        ({"op": "zip", "of": [ONE, ONE | {"by": "x"}]}, r"variation\.of\.1\.by: a list is needed"),
        (["mul"], "^family: variation"),
        (ONE | {"field": "nmber"}, r"^field: the spec has no nmber: nmber is not there \(known: things, number, "),
        (ONE | {"field": "number.x"}, r"has no number\.x: x is not there \(there is nothing to choose from\)"),
        (ONE | {"field": "things.3"}, r"has no things\.3: 3 is not there \(known: 0, 1, 2\)"),
        ({"op": "set", "field": "things.-1", "to": [2]}, r"has no things\.-1"),
        ({"op": "set", "field": "things.²", "to": [2]}, r"has no things\.²"),
        ({"op": "set", "field": "nmber", "to": [2]}, r"^nmber=2: nmber is not a field \(known: counts, "),
        (ONE | {"field": "things"}, "things: .* is not a number, so mul can't change it"),
        (ONE | {"field": "note"}, "note: None is not a number"),
        (ONE | {"op": "div", "by": [0]}, "number: 6 div 0 is no number; give another operand"),
        (ONE | {"field": "share", "by": [10**400]}, "give another operand"),
        (ONE | {"op": "div", "by": [4]}, r"^number-div-4: number: Input should be a valid integer.*1\.5"),
        (ONE | {"by": [2, 2]}, "two of its specs are called 'number-mul-2'; leave one of them out"),
        ({"op": "insert", "field": "number", "items": ["x"]}, "number: 6 is not a list"),
        ({"op": "insert", "field": "things", "at": 4, "items": ["x"]}, "beyond the end; it has 3 items"),
        ({"op": "remove", "field": "things", "at": [3]}, "there is no item 3"),
        ({"op": "zip", "of": [ONE, {"op": "remove", "field": "things", "at": [0, 1]}]}, "give each as many"),
        ({"op": "product", "of": [{"op": "shuffle", "field": "things", "times": 1000}] * 2}, "more than 100000"),
    ],
)
def test_impossible_variations(variation, message):
    with pytest.raises(UserError, match=message):
        expand(BASE, variation)
