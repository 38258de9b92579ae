"""What one record says: its text and what is known about it, or why there is none."""

import codecs
import json
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import orjson

from hubkit.reading.boundaries import deepest
from hubkit.reading.form import Form

_INVISIBLE = {"Cc", "Cf", "Zl", "Zp", "Zs"}
_NAMES = {bool: "a truth value", int: "a number", float: "a number", list: "a list", dict: "an object", str: "a string"}
_EXACT = 2.0**63
"""From here on orjson makes floats of integers."""
_SHOWN_FIELDS = 8
MAX_DEPTH = 200
"""Lists and objects are nested no deeper, so that whoever writes them needs no care: orjson writes 254, and how many
Python itself reads hangs on how deep its stack is already."""
_TOO_DEEP = f"nested too deep: more than {MAX_DEPTH} lists and objects in each other"


class Parsed(NamedTuple):
    """A document."""

    text: str
    meta: Any = None
    rest: dict[str, Any] | None = None


class Bad(Exception):
    """The reason why a record is no document."""


Parser = Callable[[bytes], Parsed]
"""Makes a document of a record's bytes, or raises Bad."""


def json_parser(form: Form, encoding: str) -> Parser:
    """Return what parses one JSON object; `encoding` is what the file was in before it became UTF-8."""
    text_field, meta_field = form.text_field, form.meta_field

    def parse(raw: bytes) -> Parsed:
        try:
            value = orjson.loads(raw)
            is_exact = False
        except orjson.JSONDecodeError:
            value = _with_care(raw, encoding)
            is_exact = True
        if type(value) is not dict:
            raise Bad(f"not an object: {_name(value)}")
        text = value.get(text_field)
        if type(text) is not str:
            raise Bad(_no_text(value, text_field))
        if not _is_visible(text):
            raise Bad("blank text")
        if len(value) > 1 and _has_huge(value) and not is_exact:
            value = json.loads(raw)
        del value[text_field]
        return Parsed(text, value.pop(meta_field, None), value or None)

    return parse


def text_parser(encoding: str) -> Parser:
    """Return what takes a record of plain text as the document."""

    def parse(raw: bytes) -> Parsed:
        if b"\0" in raw:
            raise Bad("not text: it holds a zero byte")
        text = _decoded(raw.removeprefix(codecs.BOM_UTF8), encoding)
        if not _is_visible(text):
            raise Bad("blank text")
        return Parsed(text)

    return parse


def _with_care(raw: bytes, encoding: str) -> Any:
    """Return the value of a JSON text that orjson refuses and Python takes: one with huge numbers, NaN, or a BOM.

    Raises:
        Bad: Python doesn't take it either, or there is half a surrogate pair in it.
    """
    text = _decoded(raw.removeprefix(codecs.BOM_UTF8), encoding)
    if deepest(np.frombuffer(raw, np.uint8)) > MAX_DEPTH:
        raise Bad(_TOO_DEEP)
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        raise Bad(f"not JSON: {error.msg.removesuffix(' at')} at character {error.pos}") from None
    except ValueError as error:  # a number of thousands of digits
        raise Bad(f"not JSON: {error}") from None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise Bad("half a surrogate pair: no valid Unicode") from None
    return value


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise Bad(f"not {encoding}: bytes at offset {error.start} of the record in UTF-8") from None
        if error.reason == "unexpected end of data":
            raise Bad("not UTF-8: it ends within a character, cut short perhaps") from None
        where = f"byte 0x{raw[error.start]:02x} at offset {error.start}"
        raise Bad(f"not UTF-8: {where}; set encoding (latin-1, cp1252, …) if the file is in another") from None


def _is_visible(text: str) -> bool:
    """Return whether any character can be seen: neither space nor control nor format."""
    return bool(text) and (text[0].isalnum() or any(unicodedata.category(sign) not in _INVISIBLE for sign in text))


def _no_text(value: Mapping[str, Any], field: str) -> str:
    if field in value:
        return f"text not a string: {_name(value[field])}"
    names = sorted(value)[:_SHOWN_FIELDS]
    return f"no text: no field {field!r} among {', '.join(names) or 'none'}; set text_field if another holds it"


def _name(value: Any) -> str:
    return "null" if value is None else _NAMES[type(value)]


def _has_huge(value: dict[str, Any]) -> bool:
    """Return whether there is a number that may have been an integer too big for orjson.

    Raises:
        Bad: Lists and objects are nested deeper than `MAX_DEPTH`.
    """
    huge = False
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        below = []
        for group in level:
            for item in group.values() if type(group) is dict else group:
                kind = type(item)
                if kind is str or kind is int:  # most are
                    continue
                if kind is float:
                    huge = huge or abs(item) >= _EXACT
                elif kind is dict or kind is list:
                    below.append(item)
        if not below:
            return huge
        level = below
    raise Bad(_TOO_DEEP)
