"""Compiled loops: kept for the next process, and compiled again when any file that they draw on has changed.

Numba's own cache looks at the time of the file that a function is in and at nothing that it calls elsewhere, so a loop
would keep an old version of its helpers. Here the stamp of a cached loop is the content of its file and of every file
whose compiled functions that one imports. (Constants must come from the same files, or as arguments.)

Never fast-math: each operation is rounded on its own and in the written order, so that rows are the same everywhere.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from numba import njit
from numba.core.registry import CPUDispatcher


def kernel(loop: Callable[..., Any]) -> Any:
    """Compile a loop that Python calls, and keep the result; what it calls itself needs only Numba's `njit`."""
    try:
        compiled: Any = njit(cache=True)(loop)
    except RuntimeError:  # the installation and the user's cache are both read-only
        return njit(loop)
    cache: Any = getattr(compiled, "_cache", None)  # none with NUMBA_DISABLE_JIT: it is Python
    if cache is not None:
        cache._cache_file._source_stamp = _stamp(loop)
        cache.save_overload = _tolerant(cache.save_overload)
    return compiled


def _tolerant(save: Callable[..., None]) -> Callable[..., None]:
    """Have a loop that can't be kept, because the cache's disk or a quota is full, compiled each time instead."""

    def saved(*arguments: Any) -> None:
        with suppress(OSError):
            save(*arguments)

    return saved


def _stamp(loop: Callable[..., Any]) -> str:
    """Return the hash of the files that a loop's file draws on, itself included."""
    digest = hashlib.sha256()
    for path in sorted(_files(loop.__code__.co_filename, loop.__globals__, set())):
        digest.update(Path(path).read_bytes() + b"\0")
    return digest.hexdigest()


def _files(path: str, names: Mapping[str, Any], seen: set[str]) -> set[str]:
    """Return `path` and the files of all compiled functions that can be reached from the names in it."""
    if path in seen:
        return seen
    seen.add(path)
    for function in _compiled(names):
        _files(function.py_func.__code__.co_filename, function.py_func.__globals__, seen)
    return seen


def _compiled(names: Mapping[str, Any]) -> Iterator[CPUDispatcher]:
    """Yield the compiled functions among names, and those of the modules among them."""
    for value in names.values():
        if isinstance(value, CPUDispatcher):
            yield value
        elif isinstance(value, ModuleType):
            yield from (inner for inner in vars(value).values() if isinstance(inner, CPUDispatcher))
