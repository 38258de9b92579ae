"""How plain data differs: which fields, by dotted path, were added, removed or changed."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class FieldChange:
    """One field that differs."""

    path: str
    """Dotted: ``spec.splits.train``."""
    old: Any
    """None where the field is new (or was null)."""
    new: Any
    """None where the field is gone (or is null)."""


def changed_fields(old: Any, new: Any) -> list[FieldChange]:
    """Return the fields that differ between two values; lists count as one value.

    Args:
        old: Plain data.
        new: Plain data.
    """
    return list(_walk(old, new, ()))


def _walk(old: Any, new: Any, path: tuple[str, ...]) -> Iterator[FieldChange]:
    if isinstance(old, Mapping) or isinstance(new, Mapping):
        was, now = (value if isinstance(value, Mapping) else {} for value in (old, new))
        for key in dict.fromkeys([*was, *now]):
            yield from _walk(was.get(key), now.get(key), (*path, str(key)))
    elif old != new:
        yield FieldChange(".".join(path), old, new)
