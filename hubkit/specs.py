"""The base of everything written down: frozen, validated, with one canonical JSON whose sha256 is its identity."""

import copy
import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from hubkit.errors import UserError


class Spec(BaseModel):
    """A frozen description that determines a corpus or a run; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True, allow_inf_nan=False)

    @classmethod
    def build(cls, values: Mapping[str, Any], overrides: Iterable[str] = (), origin: str = "spec") -> Self:
        """Validate `values` with `key.path=value` overrides applied.

        Args:
            values: Nested fields, as YAML or JSON gives them.
            overrides: Assignments; each right-hand side is read as YAML, so ``3``, ``true`` and ``[1, 2]`` are typed.
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


def read_mapping(path: Path) -> dict[str, Any]:
    """Read a YAML or JSON file that holds one mapping.

    Raises:
        UserError: The file can't be read, is not YAML, or is not a mapping.
    """
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
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
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise UserError(f"override {assignment!r}: the value is not valid YAML (quote it?)") from None


def _explain(error: ValidationError, spec: type[BaseModel], origin: str) -> str:
    """Turn pydantic's report into one line that names field, value and mend."""
    parts = []
    for problem in error.errors():
        field = ".".join(str(part) for part in problem["loc"]) or spec.__name__
        if problem["type"] == "extra_forbidden":
            known = ", ".join(sorted(_fields_at(spec, problem["loc"][:-1])))
            parts.append(f"{field} is not a field" + (f" (known: {known})" if known else ""))
        elif problem["type"] == "missing":
            parts.append(f"{field} is missing")
        else:
            message = problem["msg"].removeprefix("Value error, ")
            given = problem["input"]
            shown = "" if isinstance(given, dict) else f" (got {given!r})"
            parts.append(f"{field}: {message}{shown}" if problem["loc"] else message)
    return f"{origin}: " + "; ".join(parts)


def _fields_at(spec: type[BaseModel], path: tuple[int | str, ...]) -> Iterable[str]:
    """Return the field names of the sub-model at `path`, or nothing where the path leaves the models."""
    for part in path:
        field = spec.model_fields.get(str(part))
        annotation = getattr(field, "annotation", None)
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        models = [c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel)]
        if not models:
            return ()
        spec = models[0]
    return spec.model_fields
