"""Files to read, written on the fly."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from hubkit.reading import Form, Record, documents, find_sources

Read = Callable[..., list[Record]]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Write bytes to a file of some name, and read it."""

    def through(content: bytes, name: str = "x.jsonl", digest=None, **form) -> list[Record]:
        path = tmp_path / name
        path.write_bytes(content)
        (source,) = find_sources([str(path)])
        return list(documents(source, Form.build(form), digest))

    return through


def jsonl(*texts: str) -> bytes:
    return b"".join(json.dumps({"text": text}, ensure_ascii=False).encode() + b"\n" for text in texts)


def texts(records: list[Record]) -> list[str | None]:
    return [record.text for record in records]
