"""All layers together: the documents of a source."""

from collections.abc import Iterator

from hubkit.reading.chunks import headed
from hubkit.reading.compression import plain
from hubkit.reading.encoding import unix_lines, utf8
from hubkit.reading.form import Form
from hubkit.reading.layout import HEAD_BYTES, layout
from hubkit.reading.parsing import Bad, Parser, json_parser, text_parser
from hubkit.reading.record import RAW_BYTES, Fault, Record
from hubkit.reading.sources import Found
from hubkit.reading.spans import Span, lines_within
from hubkit.reading.splitting import Lines, Page, pages
from hubkit.reading.stored import Digest, stored


def documents(source: Found, form: Form, digest: Digest | None = None, span: Span | None = None) -> Iterator[Record]:
    """Yield the records of a source in order, good ones and bad ones, in constant memory.

    Args:
        source: Where to read, from :func:`hubkit.reading.sources.find_sources`.
        form: How to read it.
        digest: Takes in the stored bytes as they are read; with it the source is read to its end, whatever happens.
        span: One of :func:`hubkit.reading.spans.spans_of`, to yield the records that begin there; positions and lines
            count from its start, and the digest takes in nothing but the number of lines.

    What makes the rest of a source unreadable (an archive cut short, an HTML page in place of data, an image) is the
    last record, with `whole` set; all that could be read comes before it.

    Raises:
        UserError: The source can't be opened or read.
    """
    if span:
        yield from _all(_pages_within(source, form, span, digest or Digest()), form)
        return
    chunks = stored(source, digest)
    yield from _all(_pages(chunks, source, form), form)
    if digest:
        for _ in chunks:
            pass


def _all(pages: Iterator[tuple[Page, Parser]], form: Form) -> Iterator[Record]:
    position = 0
    for page, parse in pages:
        broken = False  # a record that breaks off is told by the fault's; whole JSON shows that it is whole
        places = zip(page.starts.tolist(), page.stops.tolist(), page.lines.tolist(), strict=True)
        for start, stop, line in places:
            record = _record(page, start, stop, line, position, parse, form.max_document_bytes)
            broken = bool(page.fault and page.fault.cut and (record.reason or form.is_plain))
            if not broken:
                yield record
                position += 1
        if page.fault:
            yield _last(page, position, broken)


def _pages(chunks: Iterator[bytes], source: Found, form: Form) -> Iterator[tuple[Page, Parser]]:
    """Yield the pages of a source, each with what parses its records."""
    encoding, text = utf8(plain(chunks), form.encoding)
    head, text = headed(unix_lines(text), HEAD_BYTES)
    try:
        splitter, parse = layout(head[:HEAD_BYTES], source.name, form, encoding)
    except Fault as fault:
        yield Page.of_fault(fault), text_parser(encoding)
        return
    for page in pages(text, splitter, form.max_document_bytes):
        yield page, parse


def _pages_within(source: Found, form: Form, span: Span, digest: Digest) -> Iterator[tuple[Page, Parser]]:
    """Yield the pages of a span of lines of UTF-8."""
    chunks = lines_within(source, span)
    if span.start == 0:
        _, chunks = utf8(chunks, "utf-8")  # a byte-order mark may stand there
    parse = text_parser("utf-8") if form.is_plain else json_parser(form, "utf-8")
    for page in pages(unix_lines(chunks), Lines(), form.max_document_bytes):
        digest.lines = page.next_line - 1
        yield page, parse


def _record(page: Page, start: int, stop: int, line: int, position: int, parse: Parser, longest: int) -> Record:
    raw = page.data[start:stop]
    if page.too_long or len(raw) > longest:
        reason = f"too long: more than {longest} bytes; raise max_document_bytes if it is a document"
    else:
        try:
            return Record(position, line, *parse(raw))
        except Bad as bad:
            reason = str(bad)
    return Record(position, line, reason=reason, raw=raw[:RAW_BYTES])


def _last(page: Page, position: int, broken: bool) -> Record:
    """Return the record that stands for all that can't be read."""
    fault = page.fault
    assert fault is not None
    if broken:
        line, raw = int(page.lines[0]), page.data[int(page.starts[0]) :]
    else:
        line, raw = page.next_line, fault.raw
    return Record(position, line, reason=fault.reason, raw=raw[:RAW_BYTES], whole=True)
