"""All layers together: the documents of a source."""

from collections.abc import Iterator

import numpy as np

from hubkit.errors import UserError
from hubkit.reading.chunks import headed
from hubkit.reading.compression import plain
from hubkit.reading.encoding import unix_lines, utf8
from hubkit.reading.form import Form
from hubkit.reading.layout import HEAD_BYTES, layout
from hubkit.reading.parsing import Bad, Parser, text_parser
from hubkit.reading.record import RAW_BYTES, Fault, Record
from hubkit.reading.sources import Found
from hubkit.reading.splitting import Page, pages
from hubkit.reading.stored import Digest, stored


def documents(
    source: Found, form: Form, wanted: np.ndarray | None = None, digest: Digest | None = None
) -> Iterator[Record]:
    """Yield the records of a source in order, good ones and bad ones, in constant memory.

    Args:
        source: Where to read, from :func:`hubkit.reading.sources.find_sources`.
        form: How to read it.
        wanted: Positions (int64, rising) of the records to yield; the others are skipped without being parsed, and
            reading stops after the last. None yields all.
        digest: Takes in the stored bytes as they are read; with it the source is read to its end, whatever happens.

    What makes the rest of a source unreadable (an archive cut short, an HTML page in place of data, an image) is the
    last record, with `whole` set; all that could be read comes before it.

    Raises:
        UserError: The source can't be opened or read, or ends before all the wanted records.
    """
    chunks = stored(source, digest)
    yield from _all(chunks, source, form) if wanted is None else _some(chunks, source, form, wanted)
    if digest:
        for _ in chunks:
            pass


def _all(chunks: Iterator[bytes], source: Found, form: Form) -> Iterator[Record]:
    position = 0
    for page, parse in _pages(chunks, source, form):
        broken = False  # a record that breaks off is told by the fault's; whole JSON shows that it is whole
        places = zip(page.starts.tolist(), page.stops.tolist(), page.lines.tolist(), strict=True)
        for start, stop, line in places:
            record = _record(page, start, stop, line, position, parse, form)
            broken = bool(page.fault and page.fault.cut and (record.reason or form.is_plain))
            if not broken:
                yield record
                position += 1
        if page.fault:
            yield _last(page, position, broken)


def _some(chunks: Iterator[bytes], source: Found, form: Form, wanted: np.ndarray) -> Iterator[Record]:
    assert (np.diff(wanted) > 0).all(), "wanted positions rise"
    base = done = 0
    why = ""
    for page, parse in _pages(chunks, source, form) if len(wanted) else ():
        stop = int(np.searchsorted(wanted, base + len(page.starts)))
        for position in wanted[done:stop].tolist():
            index = position - base
            bounds = int(page.starts[index]), int(page.stops[index])
            yield _record(page, *bounds, int(page.lines[index]), position, parse, form)
        base, done = base + len(page.starts), stop
        if done == len(wanted):
            return
        why = f" ({page.fault.reason})" if page.fault else ""
    if done < len(wanted):
        raise UserError(
            f"{source.name} holds {base} records{why}, and number {wanted[done]} is wanted; it is not what it was"
            " when its records were counted: build anew"
        )


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


def _record(page: Page, start: int, stop: int, line: int, position: int, parse: Parser, form: Form) -> Record:
    raw = page.data[start:stop]
    if page.too_long or len(raw) > form.max_document_bytes:
        reason = f"too long: more than {form.max_document_bytes} bytes; raise max_document_bytes if it is a document"
    else:
        try:
            text, meta, rest = parse(raw)
            return Record(position, line, text, meta, rest=rest)
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
