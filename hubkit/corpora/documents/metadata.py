"""What the fields beside a text say: its domain, its licence, its split; and those fields as one JSON text."""

import ast
import json
import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from hubkit.reading import Record

DOMAIN_FIELDS = ("pile_set_name", "redpajama_set_name", "red_pajama_subset")
"""Where The Pile, SlimPajama and RedPajama say which part a document is of; in meta, or beside it."""
LICENCE_FIELDS = ("licence", "license")
UNKNOWN = "unknown"
"""The domain of a document that has not the field that was named."""

_LONGEST_REPR = 10_000
_LONGEST_NAME = 200


class Description(NamedTuple):
    """What a document is counted under."""

    domain: str
    licence: str | None
    split: Any
    """Whatever the split's field holds."""


class Describer:
    """Reads descriptions from records."""

    def __init__(self, meta_field: str, domain_field: str | None, split_field: str | None, default: str):
        """Say where to look.

        Args:
            meta_field: Name of the field that records hold as `meta`; a path that begins with it goes there.
            domain_field: Path of the domain, such as ``meta.source``; None for the usual fields of big collections.
            split_field: Path of the split, if there is one.
            default: The domain of a document that has none of the usual fields.
        """
        self._meta_field = meta_field
        self._domain = domain_field.split(".") if domain_field else None
        self._split = split_field.split(".") if split_field else None
        self._default = default

    def __call__(self, record: Record) -> Description:
        """Describe a good record."""
        meta, rest = mapping_of(record.meta), record.rest or {}
        if self._domain:
            domain = _name(self._at(self._domain, meta, rest)) or UNKNOWN
        else:
            domain = next(filter(None, map(_name, _present(DOMAIN_FIELDS, meta, rest))), self._default)
        stated = _present(LICENCE_FIELDS, meta, rest)
        licence = _name(stated[0]) if stated else None
        return Description(domain, licence, self._at(self._split, meta, rest) if self._split else None)

    def _at(self, path: list[str], meta: dict[str, Any], rest: dict[str, Any]) -> Any:
        """Return what stands at a path, or None."""
        value: Any = rest | {self._meta_field: meta}
        for part in path:
            value = value.get(part) if isinstance(value, dict) else None
        return value


def mapping_of(meta: Any) -> dict[str, Any]:
    """Return meta as a mapping; what people stored as the text of one, in JSON or Python, is read."""
    if isinstance(meta, dict):
        return meta
    if not isinstance(meta, str) or not meta.lstrip().startswith("{"):
        return {}
    try:
        value = orjson.loads(meta)
    except ValueError:
        if len(meta) > _LONGEST_REPR:
            return {}
        try:
            value = ast.literal_eval(meta.strip())
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            return {}
    return value if isinstance(value, dict) else {}


def canonical_text(value: Any) -> str | None:
    """Return any JSON value as one JSON text with sorted keys; None (JSON's null) stays None.

    Infinities and NaN, which strict JSON doesn't know, become null; integers of any size stay. Reading lets no value
    pass that is nested deeper than either writer goes.
    """
    if value is None:
        return None
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # an integer beyond 64 bits, or half a surrogate pair
        return json.dumps(_finite(value), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _finite(value: Any) -> Any:
    """Return a value with null for every infinity and NaN."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _present(fields: Sequence[str], meta: dict[str, Any], rest: dict[str, Any]) -> list[Any]:
    """Return what stands in those fields that are there, in meta or beside it, in the order of the fields."""
    found = []
    for field in fields:
        if field in meta:
            found.append(meta[field])
        if field in rest:
            found.append(rest[field])
    return found


def _name(value: Any) -> str | None:
    """Return a field's value as a name, if it can be one."""
    if isinstance(value, str):
        return _clean(value[:_LONGEST_NAME])
    return str(value)[:_LONGEST_NAME] if isinstance(value, int) else None


@lru_cache(1024)
def _clean(name: str) -> str | None:
    """Return a name without half surrogate pairs; a corpus has few names, and each of its documents one."""
    return name.encode(errors="replace").decode().strip() or None
