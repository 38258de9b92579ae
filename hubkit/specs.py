"""The base of everything written down: frozen, validated, with one canonical JSON whose sha256 is its identity."""

import copy
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self, get_args

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


class _Loader(yaml.SafeLoader):
    """YAML without its two traps: ``1e-3`` is a number (YAML 1.1 wants ``1.0e-3``), and no key counts twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """Return a mapping; refuse one that names a key twice, of which YAML would silently keep the last."""
        names = [key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode) and key.value != "<<"]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise yaml.YAMLError(f"the key {twice!r} stands twice in one mapping (line {node.start_mark.line + 1})")
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
        UserError: The file can't be read, is not YAML, or is not a mapping.
    """
    try:
        value = read_yaml(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}") from None
    if not isinstance(value, dict):
        raise UserError(f"{path} holds a {type(value).__name__}; a mapping of fields to values is needed")
    return value


def apply_overrides(values: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of `values` with assignments such as ``training.steps=100`` applied.

    Raises:
        UserError: An assignment has no ``=``, or its path runs through something that is not a mapping.
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
    except ValueError:
        raise UserError(f"override {assignment!r}: the value is not valid YAML (quote it?)") from None


def _explain(error: ValidationError, spec: type[BaseModel], origin: str) -> str:
    """Turn pydantic's report into one line that names field, value and mend."""
    parts = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            known = ", ".join(sorted(_fields_at(spec, problem["loc"][:-1])))
            parts.append(f"{field} is not a field" + (f" (known: {known})" if known else ""))
        elif problem["type"] == "missing":
            parts.append(f"{field} is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            parts.append(f"{field}: {message}{_shown(problem['input'])}" if field else message)
    return f"{origin}: " + "; ".join(parts)


def _shown(value: Any) -> str:
    """Return a remark on what was given, unless it is a group of fields; the message names the one that matters."""
    if isinstance(value, dict | BaseModel):
        return ""
    text = repr(value)
    return f" (got {text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + '…'})"


def _fields_at(spec: type[BaseModel], path: tuple[int | str, ...]) -> set[str]:
    """Return the names of the fields that the group at `path` may have."""
    groups = {spec}
    for part in path:
        members = [group.model_fields[part] for group in groups if part in group.model_fields]
        if members:
            groups = {group for member in members for group in _groups(member.annotation)}
        else:  # a place in a list, a key of a mapping, or the name by which pydantic tells the members of a union apart
            groups = {group for group in groups if group.__name__ == part} or groups
    return {name for group in groups for name in group.model_fields}


def _groups(annotation: Any) -> set[type[BaseModel]]:
    """Return the models that a type mentions, however they are wrapped (optional, annotated, lists, mappings)."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return {annotation}
    return {group for argument in get_args(annotation) for group in _groups(argument)}
