"""A spec and its variations make a family of validated specs with names."""

from itertools import product

import pytest

from hubkit.errors import UserError
from hubkit.sequences.algebra import expand
from hubkit.sequences.shortening import Deduplicate
from hubkit.specs import Spec

BASE = Deduplicate.build({"vocabulary": 200, "length": {"min": 10, "max": 20}, "repeat_token_ratio": 0.5})


ONE = {"op": "mul", "field": "number", "by": [1]}


class Basket(Spec):
    """A spec with a list."""

    things: tuple[str, ...] = ("a", "b", "c")
    number: int = 6


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
            {"op": "set", "field": "repeat_token_ratio", "to": [0.1, 0.2, 0.3]},
        ],
    }
    family = expand(BASE, variation)
    assert list(family)[:2] == ["length.max*1,repeat_token_ratio=0.1", "length.max*1,repeat_token_ratio=0.2"]
    assert [(spec.length.max, spec.repeat_token_ratio) for spec in family.values()] == list(
        product([20, 40], [0.1, 0.2, 0.3])
    )
    assert family == expand(BASE, variation)


def test_zip_goes_side_by_side_and_changes_follow_one_another():
    parts = [{"op": "mul", "field": "number", "by": [2, 3]}, {"op": "add", "field": "number", "by": [1, 10]}]
    family = expand(Basket(), {"op": "zip", "of": parts})
    assert {name: spec.number for name, spec in family.items()} == {"number*2,number+1": 13, "number*3,number+10": 28}


def test_lists():
    inserted = expand(Basket(), {"op": "insert", "field": "things", "at": 1, "items": ["x", "y"]})
    assert [spec.things for spec in inserted.values()] == [("a", "x", "b", "c"), ("a", "y", "b", "c")]
    removed = expand(Basket(), {"op": "remove", "field": "things", "at": [0, 2]})
    assert [spec.things for spec in removed.values()] == [("b", "c"), ("a", "b")]
    shuffled = expand(Basket(), {"op": "shuffle", "field": "things", "times": 20})
    assert all(sorted(spec.things) == ["a", "b", "c"] for spec in shuffled.values())
    assert len({spec.things for spec in shuffled.values()}) == 6
    assert shuffled == expand(Basket(), {"op": "shuffle", "field": "things", "times": 20})
    assert shuffled != expand(Basket(), {"op": "shuffle", "field": "things", "times": 20, "seed": 1})


def test_the_base_is_left_as_it_was():
    before = BASE.sha256
    expand(BASE, {"op": "mul", "field": "length", "by": [2]})
    assert BASE.sha256 == before


@pytest.mark.parametrize(
    ("variation", "message"),
    [
        ({"op": "pow", "field": "number", "by": [2]}, "variation"),
        ({"op": "mul", "field": "nmber", "by": [2]}, "the spec has no nmber"),
        ({"op": "mul", "field": "number.x", "by": [2]}, "the spec has no number.x"),
        ({"op": "mul", "field": "things", "by": [2]}, "is not a number"),
        ({"op": "div", "field": "number", "by": [0]}, "div by 0"),
        ({"op": "div", "field": "number", "by": [4]}, "number÷4: number"),
        ({"op": "insert", "field": "number", "items": ["x"]}, "is not a list"),
        ({"op": "insert", "field": "things", "at": 4, "items": ["x"]}, "beyond the end"),
        ({"op": "remove", "field": "things", "at": [3]}, "there is no item 3"),
        ({"op": "mul", "field": "number", "by": [2, 2]}, "called 'number\\*2'"),
        ({"op": "zip", "of": [ONE, {"op": "remove", "field": "things", "at": [0, 1]}]}, "give each as many"),
        ({"op": "product", "of": [{"op": "shuffle", "field": "things", "times": 1000}] * 2}, "more than 100000"),
    ],
)  # fmt: skip
def test_impossible_variations(variation, message):
    with pytest.raises(UserError, match=message):
        expand(Basket(), variation)


def test_an_impossible_spec_of_the_family_is_named():
    with pytest.raises(UserError, match=r"length\.max\*100.*unique_token_ratio"):
        expand(BASE, {"op": "mul", "field": "length.max", "by": [1, 100]})
