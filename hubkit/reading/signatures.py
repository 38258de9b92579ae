"""What a file is, told by its first bytes; names lie too often."""

import re

HEAD_BYTES = 512
"""So many of the first bytes tell; a tar says what it is only at 257."""

_COMPRESSIONS = {
    "gzip": re.compile(rb"\x1f\x8b\x08"),
    "zstd": re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18", re.DOTALL),
    "xz": re.compile(rb"\xfd7zXZ\x00"),
    "bzip2": re.compile(rb"BZh[1-9](?:1AY&SY|\x17rE8P\x90)"),
}

_UNPACK = "unpack it and name the files that it holds"
_CONVERT = "convert it to JSON Lines"
_AGAIN = "compress it with gzip, zstd, xz or bzip2, or not at all"
_NO_TEXT = "leave it out"

_OTHERS = (
    (rb"PK(?:\x03\x04|\x05\x06)", "a zip archive", _UNPACK),
    (rb".{257}ustar", "a tar archive", _UNPACK),
    (rb"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (rb"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (rb"PAR1[\x00-\x1f]", "a Parquet file", _CONVERT),
    (rb"ARROW1|\xff\xff\xff\xff.{3}\x00", "an Arrow file", _CONVERT),
    (rb"Obj\x01", "an Avro file", _CONVERT),
    (rb"\x89HDF\r\n\x1a\n", "an HDF5 file", _CONVERT),
    (rb"SQLite format 3\x00", "an SQLite database", _CONVERT),
    (rb"\x93NUMPY", "a NumPy array", _CONVERT),
    (rb"\x80[\x02-\x05]", "a Python pickle", _CONVERT),
    (rb"%PDF-", "a PDF", "extract its text"),
    (rb"\x89PNG\r\n\x1a\n|\xff\xd8\xff|GIF8[79]a", "an image", _NO_TEXT),
    (rb"\x7fELF", "a program", _NO_TEXT),
    (rb"\x04\x22\x4d\x18", "compressed with lz4", _AGAIN),
    (rb"\xff\x06\x00\x00sNaPpY", "compressed with snappy", _AGAIN),
    (rb"\x1f[\x9d\xa0]", "compressed with compress", _AGAIN),
    (rb"LZIP\x01", "compressed with lzip", _AGAIN),
    (rb"version https://git-lfs\.github\.com/spec/", "a pointer of Git LFS, not the file", "run git lfs pull"),
    (rb"(?i:\s*(?:<\?xml[^>]*>\s*)?<(?:!doctype\s+html|html)\b)", "an HTML page, perhaps an error's", "fetch it again"),
)
_REFUSED = [(re.compile(pattern, re.DOTALL), what, mend) for pattern, what, mend in _OTHERS]


def compression_of(head: bytes) -> str | None:
    """Return the name of the compression that first bytes announce, if any."""
    return next((name for name, pattern in _COMPRESSIONS.items() if pattern.match(head)), None)


def refusal(head: bytes) -> str | None:
    """Return why something that begins like this holds no records, and the mend; None if it may."""
    for pattern, what, mend in _REFUSED:
        if pattern.match(head):
            return f"not text: it is {what}; {mend}"
    return None
