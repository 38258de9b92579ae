"""Families of specs for an ablation: one spec, and how its fields vary.

A variation is data, in YAML or JSON, and gives several changes of a spec, each with a name::

    {op: mul, field: domains.0.length.max, by: [1, 2, 4]}           also add, sub, div: of a number, or of both ends
    {op: set, field: order, to: [mixed, by_domain]}
    {op: insert, field: domains, at: 0, items: [identity, ngram]}   each item makes a spec of its own
    {op: remove, field: domains, at: [0, 1]}                        each place does
    {op: shuffle, field: domains, times: 3, seed: 0}
    {op: zip, of: [variation, variation]}                           the first of each together, the second of each, …
    {op: product, of: [variation, variation]}                       each with each, the last running fastest

A field is a path: ``splits.train``, ``rule.markov.0``; places in a list are numbers. :func:`expand` applies the changes
to a spec of any kind and gives validated specs by name. The names, such as ``length.max-mul-2,order=mixed``, are good
names of files too, and need no quotes in a shell.
"""

import copy
import hashlib
import json
import math
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from itertools import product
from typing import Annotated, Any, Literal, TypeVar, Union

from pydantic import Field

from hubkit.errors import UserError
from hubkit.randomness import generator, stream_key
from hubkit.specs import Spec

MOST_SPECS = 100_000
"""The largest family: more is a slip in a product."""
LONGEST_NAME = 160
"""Characters of the longest name: a file system takes 255 bytes, and what is made of a spec is called after it."""

Change = tuple[str, Callable[[Any], Any]]
"""The name of a change, and what makes it: plain values in, changed plain values out."""
AnySpec = TypeVar("AnySpec", bound=Spec)
FieldPath = Annotated[str, Field(min_length=1)]
"""Where a field is: names and places in lists, with dots between them."""

_ARITHMETIC = {"mul": operator.mul, "add": operator.add, "sub": operator.sub, "div": operator.truediv}
_SHORT = re.compile(r"[A-Za-z0-9+-][A-Za-z0-9._+-]{0,39}")
_UNSAFE = re.compile(r"[^A-Za-z0-9._+-]")

# --- variations ------------------------------------------------------------------------------------------------------


class Arithmetic(Spec):
    """A number of the spec, or every number in a group such as a range, changed by each of some operands."""

    op: Literal["mul", "add", "sub", "div"]
    field: FieldPath
    by: Annotated[tuple[int | float, ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change an operand."""
        return [(f"{_stem(self.field)}-{self.op}-{by}", self._change(by)) for by in self.by]

    def _change(self, by: float) -> Callable[[Any], Any]:
        def changed(value: Any) -> Any:
            if isinstance(value, Mapping):
                return {name: changed(part) for name, part in value.items()}
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{self.field}: {value!r} is not a number, so {self.op} can't change it")
            try:
                result = _ARITHMETIC[self.op](value, by)
            except ArithmeticError:
                raise UserError(f"{self.field}: {value} {self.op} {by} is no number; give another operand") from None
            whole = isinstance(value, int) and math.isfinite(result) and result == int(result)
            return int(result) if whole else result

        return lambda values: _at(values, self.field, changed)


class Assignment(Spec):
    """A field set to each of some values; it may be new in a mapping whose keys are free, such as splits."""

    op: Literal["set"] = "set"
    field: FieldPath
    to: Annotated[tuple[Any, ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change a value."""
        return [
            (f"{_stem(self.field)}={_told(value, place)}", self._change(value)) for place, value in enumerate(self.to)
        ]

    def _change(self, value: Any) -> Callable[[Any], Any]:
        return lambda values: _at(values, self.field, lambda old: value, new=True)


class Insertion(Spec):
    """A list with each of some items put in at a place."""

    op: Literal["insert"] = "insert"
    field: FieldPath
    at: Annotated[int, Field(ge=0)] = 0
    items: Annotated[tuple[Any, ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change an item."""
        return [
            (f"{_stem(self.field)}-insert-{_told(item, place)}", self._change(item))
            for place, item in enumerate(self.items)
        ]

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
    field: FieldPath
    at: Annotated[tuple[Annotated[int, Field(ge=0)], ...], Field(min_length=1)]

    def changes(self) -> list[Change]:
        """Return a change a place."""
        return [(f"{_stem(self.field)}-remove-{place}", self._change(place)) for place in self.at]

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
    field: FieldPath
    times: Annotated[int, Field(ge=1, le=MOST_SPECS)] = 1
    seed: Annotated[int, Field(ge=0)] = 0

    def changes(self) -> list[Change]:
        """Return a change an order."""
        return [(f"{_stem(self.field)}-shuffle-{time}", self._change(time)) for time in range(self.times)]

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


class _Varied(Spec):
    variation: Variation


# --- their use -------------------------------------------------------------------------------------------------------


def read_variation(values: Any, origin: str = "family") -> Spec:
    """Return a variation from plain data.

    Args:
        values: One of the variations above.
        origin: What it came from, for messages.

    Raises:
        UserError: It is none, or an impossible one (names field and mend).
    """
    return _Varied.build({"variation": values}, origin=origin).variation


def expand(base: AnySpec, variation: Mapping[str, Any] | Spec) -> dict[str, AnySpec]:
    """Return the family of specs that a variation makes of one, by their names, in order.

    Args:
        base: The spec; it is in the family where a change leaves it as it is, such as ``mul`` by 1.
        variation: One of the variations above, as data or as an object.

    Raises:
        UserError: The variation or a spec that it makes is impossible (names field and mend), or two have one name.
    """
    made: Any = variation if isinstance(variation, Spec) else read_variation(variation)
    changes = [(_cut(name), change) for name, change in made.changes()]
    seen: set[str] = set()
    for name, _ in changes:
        if name in seen:
            raise UserError(f"variation: two of its specs are called {name!r}; leave one of them out")
        seen.add(name)
    plain = base.model_dump(mode="json")
    return {name: type(base).build(change(plain), origin=name) for name, change in changes}


def differences(base: Any, other: Any, path: str = "") -> dict[str, Any]:
    """Return, by its path, each value in which plain data differs from other such data.

    Args:
        base: Nested mappings and lists, such as `Spec.model_dump(mode="json")` gives.
        other: The data whose values are returned; a key that it lacks has None.
        path: Where in a whole these two are.
    """
    if isinstance(base, dict) and isinstance(other, dict):
        pairs = {name: (base.get(name), other.get(name)) for name in [*other, *(base.keys() - other.keys())]}
    elif isinstance(base, list) and isinstance(other, list) and len(base) == len(other):
        pairs = dict(enumerate(zip(base, other, strict=True)))
    else:
        return {} if base == other and type(base) is type(other) else {path: other}
    return {
        where: value
        for name, (old, new) in pairs.items()
        for where, value in differences(old, new, f"{path}.{name}" if path else str(name)).items()
    }


def _together(changes: Iterable[Change]) -> Change:
    """Return several changes as one, made one after the other."""
    changes = list(changes)

    def change(values: Any) -> Any:
        for _, make in changes:
            values = make(values)
        return values

    return ",".join(name for name, _ in changes), change


def _at(values: Any, field: str, change: Callable[[Any], Any], new: bool = False) -> Any:
    """Return a copy of plain values in which the field at a path is changed; `new` lets a mapping lack it so far."""
    result = copy.deepcopy(values)
    *path, last = field.split(".")
    place = result
    for part in path:
        place = place[_key(place, part, field)]
    if new and isinstance(place, dict):
        place.setdefault(last)
    key = _key(place, last, field)
    place[key] = change(place[key])
    return result


def _key(place: Any, part: str, field: str) -> str | int:
    """Return by which key or index a group or list has a part of the path to `field`."""
    if isinstance(place, dict) and part in place:
        return part
    if isinstance(place, list) and part.isdecimal() and int(part) < len(place):
        return int(part)
    known = list(place) if isinstance(place, dict) else range(len(place)) if isinstance(place, list) else ()
    told = f"known: {', '.join(map(str, known))}" if known else "there is nothing to choose from"
    raise UserError(f"field: the spec has no {field}: {part} is not there ({told})")


def _list(field: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise UserError(f"{field}: {value!r} is not a list; name the path of one")
    return value


# --- names -----------------------------------------------------------------------------------------------------------


def _told(value: Any, place: int) -> str:
    """Return a value as a part of a name; one that is long, or needs quotes, goes by its place among the others."""
    text = json.dumps(value) if value is None or isinstance(value, bool) else str(value)
    return text if _SHORT.fullmatch(text) else f"item{place}"


def _stem(field: str) -> str:
    return _UNSAFE.sub("_", field)


def _cut(name: str) -> str:
    """Return a name that is not too long, with a hash of what was cut off."""
    if len(name) <= LONGEST_NAME:
        return name
    return f"{name[: LONGEST_NAME - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
