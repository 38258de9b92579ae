"""How the records of a text lie in it, told by its beginning where the form leaves that open."""

import json
import re

import orjson

from hubkit.reading.form import Form
from hubkit.reading.parsing import Parser, json_parser, text_parser
from hubkit.reading.record import Fault
from hubkit.reading.splitting import Lines, Paragraphs, Values

HEAD_BYTES = 2**20
"""So much of the text is looked at."""

_JSON_NAME = re.compile(r"\.(?:jsonl?|ndjson)(?:\.|$)", re.IGNORECASE)
_SLACK = 12
"""A JSON text that breaks off within an escape or a word is reported so many characters before its end."""


def layout(head: bytes, name: str, form: Form, encoding: str) -> tuple[Lines, Parser]:
    """Return what finds the records of a text, and what parses them.

    Args:
        head: The first `HEAD_BYTES` of the text, or all of it.
        name: The source's name, asked only whether it says JSON where the content doesn't.
        form: Whose `format` may leave it open.
        encoding: For messages.

    Raises:
        Fault: It isn't JSON, and the form says nothing of plain text.
    """
    if form.format == "lines":
        return Lines(), text_parser(encoding)
    if form.format == "paragraphs":
        return Paragraphs(), text_parser(encoding)
    parse = json_parser(form, encoding)
    start = head.lstrip()
    if form.format == "jsonl" or not start:
        return Lines(), parse
    if start[:1] not in (b"{", b"["):
        if b"\0" in head:
            raise Fault("not text: binary data, or an encoding to be set by encoding=utf-16-le or the like", raw=head)
        if not _JSON_NAME.search(name):
            raise Fault("not JSON: it looks like plain text; set format=lines or format=paragraphs", raw=head)
    if _spans_lines(start, len(head) < HEAD_BYTES):
        return Values(in_list=start.startswith(b"[")), parse
    return Lines(), parse


def _spans_lines(text: bytes, complete: bool) -> bool:
    """Return whether a text begins with a JSON value over several lines, or with a list that is all of it."""
    line, _, rest = text.partition(b"\n")
    rest = rest.strip()
    if _is_json(line):
        return line.startswith(b"[") and not rest and complete
    decoded = text.decode(errors="replace")
    try:
        json.JSONDecoder().raw_decode(decoded)
    except json.JSONDecodeError as error:
        breaks_off = error.pos >= len(decoded) - _SLACK or error.msg.startswith("Unterminated string")
        # One line that breaks off is a long or damaged record; only a list may well be one line and long.
        return breaks_off and bool(rest or re.match(rb"\[\s*\{", text))
    except (ValueError, RecursionError):
        return False
    return bool(rest)


def _is_json(line: bytes) -> bool:
    try:
        orjson.loads(line)
    except orjson.JSONDecodeError:
        return False
    return True
