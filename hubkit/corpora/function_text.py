"""The text of a function, with what it uses from around it: what a reader needs to see how rows were made."""

import ast
import inspect
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from types import CodeType, FunctionType, ModuleType
from typing import Any

_KINDS = ("import", "constant", "definition")


def function_text(function: Any) -> str | None:
    """Return the source of a function, below that of all it uses of its own module, as the text of a file.

    Constants stand as assignments, modules as imports, functions and classes of the same module with their own source;
    of anything else there is a comment with its name. Functions of notebooks and closures are functions as any other.

    Returns:
        The text; None where Python can't say it (typed at a prompt, compiled, or no function at all).
    """
    if not isinstance(function, FunctionType):
        return None
    try:
        own = _source(function)
    except (OSError, TypeError):
        return None
    found = [_binding(name, value, function.__module__) for name, value in _used(function, {function})]
    imports, constants, definitions = ([text for kind, text in found if kind == wanted] for wanted in _KINDS)
    parts = ["\n".join(sorted(imports)), "\n".join(constants), *definitions, own]
    return "\n\n\n".join(part for part in parts if part) + "\n"


def _source(thing: Any) -> str:
    return textwrap.dedent(inspect.getsource(thing)).rstrip()


def _used(function: FunctionType, seen: set[Any]) -> Iterator[tuple[str, Any]]:
    """Yield the names that a function finds outside itself, each with its value; those that its helpers use first."""
    values = {}
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        with suppress(ValueError):  # nothing has been assigned to it yet
            values[name] = cell.cell_contents
    names = [name for name in _names(function.__code__) if name in function.__globals__ and name not in values]
    values |= {name: function.__globals__[name] for name in names}
    for name, value in values.items():
        mark = name if getattr(value, "__hash__", None) is None else value if callable(value) else name
        if mark in seen:
            continue
        seen.add(mark)
        if isinstance(value, FunctionType) and value.__module__ == function.__module__:
            yield from _used(value, seen)
        yield name, value


def _names(code: CodeType) -> Iterator[str]:
    """Yield the names that code looks up, also in the functions inside it."""
    yield from dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names(constant)


def _binding(name: str, value: Any, module: str) -> tuple[str, str]:
    """Return code that gives a name its value, or a comment where there is none, and which of `_KINDS` it is."""
    if isinstance(value, ModuleType):
        whole = value.__name__
        return "import", f"import {whole}" if whole == name else f"import {whole} as {name}"
    origin = getattr(value, "__module__", None)
    if (inspect.isclass(value) or inspect.isroutine(value)) and origin:
        if origin != module and getattr(value, "__name__", None):
            known_as = f" as {name}" if value.__name__ != name else ""
            return "import", f"from {origin} import {value.__name__}{known_as}"
        with suppress(OSError, TypeError):
            return "definition", _source(value)
    with suppress(ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        if ast.literal_eval(repr(value)) == value:
            return "constant", f"{name} = {value!r}"
    return "constant", f"# {name}: a {type(value).__name__}, which is not written down here"
