"""Bytes of any encoding to UTF-8 with plain line ends, which is all that the layers above know."""

import codecs
from collections.abc import Iterator

import numpy as np

from hubkit.reading.chunks import headed
from hubkit.reading.record import Fault

_BOMS = (  # the longer ones first: that of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_ZEROS = {  # where the zeros lie in two characters below U+0100; JSON always begins so, and most text does
    "0001": "utf-32-be",
    "1000": "utf-32-le",
    "0101": "utf-16-be",
    "1010": "utf-16-le",
}
_ILL_FORMED = "\udfff"


def _mark(error: UnicodeError) -> tuple[str, int]:
    """Put something that no valid text holds in place of bytes that can't be decoded, so that their record is bad."""
    assert isinstance(error, UnicodeDecodeError)
    return _ILL_FORMED, error.end


codecs.register_error("hubkit.reading.mark", _mark)


def utf8(chunks: Iterator[bytes], encoding: str) -> tuple[str, Iterator[bytes]]:
    """Return the encoding, which may be asked for as `auto`, and the same text in UTF-8 without byte-order mark.

    UTF-8 itself is passed on as it is, valid or not. What isn't valid in another encoding becomes invalid UTF-8.
    """
    head, chunks = headed(chunks, 4)
    if encoding == "auto":
        encoding = _detected(head)
    if encoding not in ("utf-8", "utf-8-sig"):
        chunks = _transcoded(chunks, encoding)
    return encoding.removesuffix("-sig"), _without_bom(chunks)


def _detected(head: bytes) -> str:
    marked = next((name for bom, name in _BOMS if head.startswith(bom)), None)
    return marked or _ZEROS.get("".join("01"[byte > 0] for byte in head[:4]), "utf-8")


def _transcoded(chunks: Iterator[bytes], encoding: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(encoding)("hubkit.reading.mark")
    try:
        for chunk in chunks:
            yield decoder.decode(chunk).encode("utf-8", "surrogatepass")
    except Fault:
        yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")
        raise
    yield decoder.decode(b"", final=True).encode("utf-8", "surrogatepass")


def _without_bom(chunks: Iterator[bytes]) -> Iterator[bytes]:
    head, chunks = headed(chunks, 3)
    if head.startswith(codecs.BOM_UTF8):
        head = next(chunks)
        yield head[3:]
    yield from chunks


def unix_lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the same text with LF in place of CR LF and of lone CR, none of the chunks empty."""
    held = b""
    try:
        for chunk in chunks:
            text = held + chunk if held else chunk
            held = b""
            if b"\r" in text:
                if text.endswith(b"\r"):  # an LF that belongs to it may follow
                    text, held = text[:-1], b"\r"
                text = _without_cr(text)
            if text:
                yield text
    except Fault:
        if held:
            yield b"\n"
        raise
    if held:
        yield b"\n"


def _without_cr(text: bytes) -> bytes:
    """Return a text, after which no LF comes, with LF alone. To look for pairs of bytes is slow, for one byte fast."""
    view = np.frombuffer(text, np.uint8)
    if not text.endswith(b"\r") and (view[np.flatnonzero(view == ord("\r")) + 1] == ord("\n")).all():
        return text.replace(b"\r", b"")
    return text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
