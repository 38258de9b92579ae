"""The base of everything written down: frozen, validated, with one canonical JSON whose sha256 is its identity."""

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, Self, Union, get_args, get_origin

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from hubkit.errors import UserError

_LONGEST_SHOWN = 80  # characters of a refused value that a message repeats


class Spec(BaseModel):
    """A frozen description that determines a corpus or a run; unknown fields are refused."""

    # "constants": NaN in a field of any type must reach canonical_json, which refuses it, and not turn into null.
    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False, ser_json_inf_nan="constants"
    )

    @classmethod
    def build(cls, values: Mapping[str, Any], overrides: Iterable[str] = (), origin: str = "spec") -> Self:
        """Validate `values` with `key.path=value` overrides applied.

        Args:
            values: Nested fields, as YAML or JSON gives them.
            overrides: Assignments; each right-hand side is read as YAML, so ``3``, ``1e-3``, ``true`` and ``[1, 2]``
                are typed, and nothing at all is null.
            origin: What the values came from, for messages.

        Raises:
            UserError: Names the field, the value and what is allowed.
        """
        merged = apply_overrides(values, overrides)
        try:
            return cls.model_validate(merged)
        except ValidationError as error:
            raise UserError(_explain(error, cls, origin)) from None

    def canonical_json(self) -> str:
        """Return the one JSON text of this spec: sorted keys, no white space, every field present."""
        return canonical_json(self.model_dump(mode="json"))

    @property
    def sha256(self) -> str:
        """The identity of this spec: the sha256 of its canonical JSON, in hex."""
        return hashlib.sha256(self.canonical_json().encode()).hexdigest()


def canonical_json(value: Any) -> str:
    """Return the canonical JSON of plain data; refuses NaN and infinities, which have no canonical form."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


class _StandsTwice(ValueError):
    """A mapping names a key twice."""

    def __init__(self, key: str, line: int):
        super().__init__(f"the key {key!r} stands twice in one mapping (line {line})")
        self.key = key


class _Loader(yaml.SafeLoader):
    """YAML without its two traps: ``1e-3`` is a number (YAML 1.1 wants ``1.0e-3``), and no key counts twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; refuse one that names a key twice, of which YAML would silently keep the last."""
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value != "<<":
                if key.value in seen:
                    raise _StandsTwice(key.value, key.start_mark.line + 1)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?[0-9][0-9_]*(\.[0-9_]*)?[eE][-+]?[0-9]+$"), list("-+0123456789")
)


def read_yaml(text: str) -> Any:
    """Return the value that a YAML (or JSON) text holds.

    Raises:
        ValueError: It is not YAML, or says something twice.
    """
    try:
        return yaml.load(text, _Loader)  # noqa: S506 (it is a safe one)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from None


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file that holds one mapping.

    Raises:
        UserError: The file can't be read, is not YAML, names a key twice, or is not a mapping.
    """
    try:
        value = read_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except _StandsTwice as error:
        raise UserError(f"{path}: {error}; leave one of them out") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}; a mapping of fields to values is needed")
    return value


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `values` with assignments such as ``training.steps=100`` applied.

    Raises:
        UserError: An assignment has no ``=``, its path runs through something that is not a mapping, or its value is
            not valid YAML or names a key twice.
    """
    result = copy.deepcopy(dict(values))
    for assignment in overrides:
        path, separator, text = assignment.partition("=")
        keys = path.strip().split(".")
        if not separator or not all(keys):
            raise UserError(f"override {assignment!r} is not of the form key=value (or key.subkey=value)")
        place = result
        for key in keys[:-1]:
            if place.get(key) is None:
                place[key] = {}
            place = place[key]
            if not isinstance(place, dict):
                raise UserError(f"override {assignment!r}: {key!r} is a value, not a group of fields")
        place[keys[-1]] = _parse(assignment, text)
    return result


def _parse(assignment: str, text: str) -> Any:
    try:
        return read_yaml(text)
    except _StandsTwice as error:
        raise UserError(f"override {assignment!r}: the key {error.key!r} stands twice; leave one of them out") from None
    except ValueError:
        raise UserError(f"override {assignment!r}: the value is not valid YAML (quote it?)") from None


# --- refusals --------------------------------------------------------------------------------------------------------


class _Problem(NamedTuple):
    path: tuple[str, ...]
    """The field, without pydantic's names for the members of a union."""
    weight: int
    """Of two problems with one field, the one with the higher weight says more."""
    text: str
    known: str = ""
    """What there is instead, which is told once."""


def _explain(error: ValidationError, spec: type[BaseModel], origin: str) -> str:
    """Turn pydantic's report into one line that names field, value and mend."""
    problems = [_problem(detail, spec) for detail in error.errors()]
    told = [problem for problem in problems if not any(_says_more(other, problem) for other in problems)]
    first = {problem.known: problem.text for problem in reversed(told)}
    texts = (each.text + (each.known if first[each.known] == each.text else "") for each in told)
    return f"{origin}: " + "; ".join(dict.fromkeys(texts))


def _says_more(one: _Problem, other: _Problem) -> bool:
    """Whether `other` is only what follows from `one`, such as that a list is too short without its bad item."""
    return one.weight > other.weight and one.path[: len(other.path)] == other.path


def _problem(detail: Mapping[str, Any], spec: type[BaseModel]) -> _Problem:
    kind, given = detail["type"], detail["input"]
    if kind == "extra_forbidden":
        above, kinds = _place(spec, detail["loc"][:-1])
        path = (*above, str(detail["loc"][-1]))
        return _Problem(path, 2, f"{'.'.join(path)} is not a field", _known(_fields(kinds)))
    path, kinds = _place(spec, detail["loc"])
    field = ".".join(path)
    if kind == "missing":
        return _Problem(path, 2, f"{field} is missing")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        discriminator = detail["ctx"]["discriminator"].strip("'")
        where = ".".join((*path, discriminator))
        fault = "is missing" if kind == "union_tag_not_found" else f"{given[discriminator]!r} is unknown"
        names = [name for model in kinds for name in _tags(model)]
        return _Problem(path, 2, f"{where}{' ' if kind == 'union_tag_not_found' else ': '}{fault}{_known(names)}")
    if kind == "model_type":
        text = f"a group of fields is needed{_known(_fields(kinds))}"
    elif kind in ("list_type", "tuple_type"):
        text = "a list is needed, such as [a, b]"
    else:
        text = detail["msg"].removeprefix("Value error, ")
    weight = 0 if kind.endswith("_type") else 1 if kind in ("too_short", "too_long") else 2
    return _Problem(path, weight, f"{field}: {text}{_shown(given)}" if field else text)


def _known(names: Iterable[str]) -> str:
    shown = ", ".join(names)
    return f" (known: {shown})" if shown else ""


def _shown(value: Any) -> str:
    """Return a remark on what was given, unless it is a group of fields; the message names the one that matters."""
    if isinstance(value, dict | BaseModel):
        return ""
    text = repr(value)
    return f" (got {text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '…'})"


# --- where in a spec a problem is ------------------------------------------------------------------------------------


def _place(spec: type[BaseModel], steps: Iterable[int | str]) -> tuple[tuple[str, ...], list[Any]]:
    """Return the path that a user would write for pydantic's, and the types that a value may have there."""
    path, kinds = [], [spec]
    chosen = False
    for step in steps:
        if len(kinds) > 1 and not chosen:  # this is the name by which pydantic tells the members of a union apart
            kinds = [kind for kind in kinds if step in _tags(kind)] or kinds
            chosen = True
        elif step != "[key]":  # a key of a mapping is wrong itself, and was the step before
            path.append(str(step))
            kinds = [inner for kind in kinds for inner in _inside(kind, step)]
            chosen = False
    return tuple(path), kinds


def _inside(kind: Any, step: int | str) -> list[Any]:
    """Return the types that a value may have one step down: in a field, at a place in a list, or by a key."""
    if _is_model(kind):
        return _members(kind.model_fields[step].annotation) if step in kind.model_fields else []
    inner = get_args(kind)
    if not inner or get_origin(kind) is Literal:
        return []
    if get_origin(kind) is tuple and isinstance(step, int) and inner[-1] is not Ellipsis:
        return _members(inner[step]) if step < len(inner) else []
    return _members(inner[-1] if isinstance(step, str) else inner[0])


def _members(annotation: Any) -> list[Any]:
    """Return the types that an annotation allows, None aside."""
    if get_origin(annotation) is Annotated:
        return _members(get_args(annotation)[0])
    if get_origin(annotation) in (Union, UnionType):
        return [kind for argument in get_args(annotation) for kind in _members(argument)]
    return [] if annotation is NoneType else [annotation]


def _tags(kind: Any) -> list[str]:
    """Return the names by which a model says which it is: the fixed values of a field, best of one that has but one."""
    if not _is_model(kind):
        return []
    annotations = (field.annotation for field in kind.model_fields.values())
    fixed = [get_args(annotation) for annotation in annotations if get_origin(annotation) is Literal]
    return [str(value) for value in min(fixed, key=lambda values: len(values) > 1, default=())]


def _fields(kinds: Iterable[Any]) -> list[str]:
    """Return the names of the fields that models have."""
    return sorted({name for kind in kinds if _is_model(kind) for name in kind.model_fields})


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
