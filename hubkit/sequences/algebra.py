"""Families of specs for an ablation: one spec, and how its fields vary.

A variation is data, and gives several changes of a spec, each with a name::

    {op: mul, field: domains.0.length.max, by: [1, 2, 4]}           also add, sub, div: of a number, or of both ends
    {op: set, field: order, to: [mixed, by_domain]}
    {op: insert, field: domains, at: 0, items: [identity, ngram]}   each item makes a spec of its own
    {op: remove, field: domains, at: [0, 1]}                        each place does
    {op: shuffle, field: domains, times: 3, seed: 0}
    {op: zip, of: [variation, variation]}                           the first of each together, the second of each, …
    {op: product, of: [variation, variation]}                       each with each, the last running fastest

:func:`expand` applies them to a spec and gives validated specs by name.
"""

import copy
import math
import operator
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import Field, TypeAdapter, ValidationError

from hubkit.errors import UserError
from hubkit.randomness import generator, stream_key
from hubkit.specs import Spec

MOST_SPECS = 100_000
"""The largest family: more is a slip in a product."""

Change = tuple[str, Callable[[Any], Any]]
"""The name of a change, and what makes it: plain values in, changed plain values out."""
Values = dict[str, Any]
AnySpec = TypeVar("AnySpec", bound=Spec)

_ARITHMETIC = {"mul": operator.mul, "add": operator.add, "sub": operator.sub, "div": operator.truediv}
_SIGNS = {"mul": "*", "add": "+", "sub": "-", "div": "÷"}  # a slash would make folders

# --- variations ------------------------------------------------------------------------------------------------------


class Arithmetic(Spec):
    """A number of the spec, or every number in a group such as a range, changed by each of some operands."""

    op: Literal["mul", "add", "sub", "div"]
    field: str
    """The path of the field; places in a list are numbers."""
    by: Annotated[tuple[int | float, ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change an operand."""
        return [(f"{self.field}{_SIGNS[self.op]}{by}", self._change(by)) for by in self.by]

    def _change(self, by: float) -> Callable[[Any], Any]:
        def changed(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: changed(part) for name, part in value.items()}
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{self.field}: {value!r} is not a number, so {self.op} can't change it")
            if self.op == "div" and by == 0:
                raise UserError(f"{self.field}: div by 0; give another operand")
            result = _ARITHMETIC[self.op](value, by)
            whole = isinstance(value, int) and math.isfinite(result) and result == int(result)
            return int(result) if whole else result

        return lambda values: _at(values, self.field, changed)


class Assignment(Spec):
    """A field set to each of some values."""

    op: Literal["set"] = "set"
    field: str
    to: Annotated[tuple[Any, ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change a value; one that is a group of fields or a list is named by its place."""
        return [
            (f"{self.field}={place if isinstance(value, dict | list) else value}", self._change(value))
            for place, value in enumerate(self.to)
        ]

    def _change(self, value: Any) -> Callable[[Any], Any]:
        return lambda values: _at(values, self.field, lambda old: value)


class Insertion(Spec):
    """A list with each of some items put in at a place."""

    op: Literal["insert"] = "insert"
    field: str
    at: Annotated[int, Field(ge=0)] = 0
    items: Annotated[tuple[Any, ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change an item, named by its place among them."""
        return [(f"{self.field}+item{place}", self._change(item)) for place, item in enumerate(self.items)]

    def _change(self, item: Any) -> Callable[[Any], Any]:
        def inserted(old: Any) -> Any:
            items = _list(self.field, old)
            if self.at > len(items):
                raise UserError(f"{self.field}: at: {self.at} is beyond the end; it has {len(items)} items")
            return [*items[: self.at], item, *items[self.at :]]

        return lambda values: _at(values, self.field, inserted)


class Removal(Spec):
    """A list without one of its items, in turn."""

    op: Literal["remove"] = "remove"
    field: str
    at: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change a place."""
        return [(f"{self.field}-item{place}", self._change(place)) for place in self.at]

    def _change(self, place: int) -> Callable[[Any], Any]:
        def removed(old: Any) -> Any:
            items = _list(self.field, old)
            if place >= len(items):
                raise UserError(f"{self.field}: at: there is no item {place}; it has {len(items)} items, from 0 on")
            return [*items[:place], *items[place + 1 :]]

        return lambda values: _at(values, self.field, removed)


class Shuffle(Spec):
    """A list in some random orders."""

    op: Literal["shuffle"] = "shuffle"
    field: str
    times: Annotated[int, Field(ge=1, le=MOST_SPECS)] = 1
    seed: Annotated[int, Field(ge=0)] = 0

    def changes(self) -> list[Change]:
        """Return a change an order."""
        return [(f"{self.field}~{time}", self._change(time)) for time in range(self.times)]

    def _change(self, time: int) -> Callable[[Any], Any]:
        def shuffled(old: Any) -> Any:
            items = _list(self.field, old)
            words = generator(stream_key(self.seed, "shuffle", self.field), time).bit_generator.random_raw(len(items))
            return [items[place] for place in words.argsort(kind="stable")]

        return lambda values: _at(values, self.field, shuffled)


class Zip(Spec):
    """Variations of one length, applied side by side."""

    op: Literal["zip"] = "zip"
    of: Annotated[tuple["Variation", ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return as many changes as each of them has."""
        each = [variation.changes() for variation in self.of]
        lengths = [len(changes) for changes in each]
        if len(set(lengths)) > 1:
            raise UserError(f"zip: its variations have {lengths} changes; give each as many")
        return [_together(changes) for changes in zip(*each, strict=True)]


class Product(Spec):
    """Variations applied in all combinations."""

    op: Literal["product"] = "product"
    of: Annotated[tuple["Variation", ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change a combination."""
        each = [variation.changes() for variation in self.of]
        if math.prod(len(changes) for changes in each) > MOST_SPECS:
            raise UserError(f"product: more than {MOST_SPECS} combinations; vary less at once")
        return [_together(changes) for changes in product(*each)]


Variation = Annotated[
    Union[Arithmetic, Assignment, Insertion, Removal, Shuffle, Zip, Product],  # noqa: UP007 (refers to itself)
    Field(discriminator="op"),
]
Zip.model_rebuild()
Product.model_rebuild()
_VARIATION: TypeAdapter[Any] = TypeAdapter(Variation)

# --- their use -------------------------------------------------------------------------------------------------------


def expand(base: AnySpec, variation: Mapping[str, Any] | Spec) -> dict[str, AnySpec]:
    """Return the family of specs that a variation makes of one, by their names, in order.

    Args:
        base: The spec; it is in the family where a change leaves it as it is, such as ``mul`` by 1.
        variation: One of the variations above, as data or as an object.

    Raises:
        UserError: The variation or a spec that it makes is impossible (names field and mend), or two have one name.
    """
    try:
        changes = _VARIATION.validate_python(variation).changes()
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"variation: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    names = [name for name, _ in changes]
    twice = next((name for name in names if names.count(name) > 1), None) if len(set(names)) < len(names) else None
    if twice:
        raise UserError(f"variation: two of its specs are called {twice!r}; leave one of them out")
    plain = base.model_dump(mode="json")
    return {name: type(base).build(change(plain), origin=name) for name, change in changes}


def _together(changes: Iterable[Change]) -> Change:
    """Return several changes as one, made one after the other."""
    changes = list(changes)

    def change(values: Any) -> Any:
        for _, make in changes:
            values = make(values)
        return values

    return ",".join(name for name, _ in changes), change


def _at(values: Any, field: str, change: Callable[[Any], Any]) -> Any:
    """Return a copy of plain values in which the field at a path is changed."""
    result = copy.deepcopy(values)
    *path, last = [int(part) if part.isdigit() else part for part in field.split(".")]
    place = result
    try:
        for part in path:
            place = place[part]
        place[last] = change(place[last])
    except (KeyError, IndexError, TypeError):
        raise UserError(f"field: the spec has no {field}; give the path of one (such as domains.0.ratio)") from None
    return result


def _list(field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{field}: {value!r} is not a list; name the path of one")
    return value
