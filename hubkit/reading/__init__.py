"""Text from anywhere: files near and far, compressed or not, in whatever shape people left them.

:func:`find_sources` turns patterns into sources, a :class:`Form` says how to read them, and :func:`documents` yields
what one of them holds, a :class:`Record` each: a document, or the reason why there is none. Between lie layers of
iterators over bytes, each of which knows one thing only: stored bytes (`stored`), compression (`compression`,
`zstd`), encoding and line ends (`encoding`), where a record ends (`layout`, `splitting`), what it says (`parsing`).
Several processes share a big plain file by its spans (`spans`).
"""

from hubkit.reading.form import Form
from hubkit.reading.reader import documents
from hubkit.reading.record import Record
from hubkit.reading.sources import Found, find_sources
from hubkit.reading.spans import Span, spans_of
from hubkit.reading.stored import Digest

__all__ = ["Digest", "Form", "Found", "Record", "Span", "documents", "find_sources", "spans_of"]
