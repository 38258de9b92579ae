"""Another project's configuration: its text, and its fields, each taken out by one of its names until none is left."""

import ast
import difflib
from collections.abc import Collection, Mapping
from typing import Any

from hubkit.errors import UserError


def parse(text: str) -> Any:
    """Return the value of JSON with comments or of Python that is one dict; None for anything else.

    Raises:
        UserError: A dict names a key twice.
    """
    from hubkit.sequences.config_files import read_json  # brings Numba along, which recipes of ours need not wait for

    try:
        return read_json(text)
    except (ValueError, RecursionError):
        pass
    try:
        body = ast.parse(text.strip()).body
        if len(body) != 1 or not isinstance(body[0], ast.Expr | ast.Assign):
            return None
        return _literal(body[0].value)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError) as error:
        if isinstance(error, UserError):
            raise
        return None


def _literal(value: ast.expr) -> Any:
    """Return the value of a literal, or of ``dict(lr=…)``.

    Raises:
        UserError: A dict names a key twice, of which Python would silently keep the last.
        ValueError: It is neither.
    """
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and value.func.id == "dict" and not value.args:
        return {str(keyword.arg): _literal(keyword.value) for keyword in value.keywords}
    if isinstance(value, ast.Dict):
        names = [key.value for key in value.keys if isinstance(key, ast.Constant)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise UserError(f"the key {twice!r} stands twice in one dict (line {value.lineno}); remove one")
    return ast.literal_eval(value)


class Group:
    """The fields of one group, taken out by name until none is left over."""

    def __init__(self, values: Any, where: str):
        """Begin with all fields.

        Args:
            values: The group as the file has it; it is not changed.
            where: Its name, for messages; empty for the top level.

        Raises:
            UserError: It is no group of fields.
        """
        if not isinstance(values, Mapping):
            raise UserError(f"{where}: {values!r} is not a group of fields; write an object")
        self._values, self._prefix = dict(values), f"{where}." if where else ""
        self._known: list[str] = []

    def take(self, *names: str, default: Any = None) -> Any:
        """Return the value of a field that goes by any of these names, or `default` where it is left out or null.

        Raises:
            UserError: It is given twice.
        """
        self._known += names
        given = [name for name in names if name in self._values]
        if len(given) > 1:
            raise UserError(f"{self._prefix}{given[1]}: {given[0]} is given too, and means the same; leave one out")
        value = self._values.pop(given[0]) if given else None
        return default if value is None else value

    def number(self, *names: str, default: float | None = None) -> Any:
        """Return the value of a field that is a number.

        Raises:
            UserError: It is none; it is given twice.
        """
        shown = self._shown(names)
        value = self.take(*names, default=default)
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            return value
        mend = "write one value (a sweep tries several)" if isinstance(value, list | tuple) else "write a number"
        raise UserError(f"{shown}: {value!r} is not a number; {mend}")

    def choice(self, *names: str, known: Collection[str], default: str | None = None) -> str | None:
        """Return the value, in small letters, of a field that is one of a few words.

        Raises:
            UserError: It is none of them; it is given twice.
        """
        shown = self._shown(names)
        value = self.take(*names, default=default)
        word = value if value is None else str(value).lower()
        if word is None or word in known:
            return word
        raise UserError(f"{shown}: {value!r} is unknown (known: {', '.join(known)})")

    def flag(self, *names: str) -> bool | None:
        """Return the value of a field that is true or false.

        Raises:
            UserError: It is neither; it is given twice.
        """
        shown = self._shown(names)
        value = self.take(*names)
        if value is None or isinstance(value, bool):
            return value
        raise UserError(f"{shown}: {value!r} is neither true nor false; write one of them")

    def _shown(self, names: Collection[str]) -> str:
        """Return the name by which the file calls a field."""
        return self._prefix + next((name for name in names if name in self._values), "")

    def finish(self) -> None:
        """Refuse what nobody took.

        Raises:
            UserError: Names the first such field, and the name that is meant or those that are known.
        """
        for name in self._values:
            close = difflib.get_close_matches(str(name), self._known, 1)
            mend = f"did you mean {close[0]}?" if close else f"known: {', '.join(self._known)}"
            raise UserError(f"{self._prefix}{name} is not a field that can be taken over ({mend}); mend or remove it")
