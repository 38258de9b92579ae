"""The texts of a corpus, one after the other, wherever it lies: to look at all of them once."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.corpora.tables import RowReader, Table, check_repository, find_table
from hubkit.errors import UserError
from hubkit.files import file_sha256


@dataclass
class Texts:
    """One column of one split, to iterate over once; texts that are null are left out and counted."""

    source: dict[str, Any]
    """What it is (plain data): name, and by which hashes or which commit to find the same again."""
    total: int | None
    """How many rows there are, if that is known beforehand."""
    stream: Iterator[str | None]
    limit: int | None = None
    rows: int = 0
    """How many texts have been read."""
    absent: int = 0
    """How many rows had none."""

    def __iter__(self) -> Iterator[str]:
        """Yield the texts, at most `limit`."""
        for text in self.stream:
            if self.rows == self.limit:
                return
            if text is None:
                self.absent += 1
            else:
                self.rows += 1
                yield text


def corpus_texts(
    where: str, column: str = "text", split: str = "train", limit: int | None = None, revision: str | None = None
) -> Texts:
    """Return the texts of a corpus, to be read in constant memory.

    Args:
        where: A folder of Parquet, a ``.parquet`` file, a file of JSON lines (also compressed), or a dataset
            ``owner/name`` on the Hub, which is streamed.
        column: The column or field that holds the text.
        split: The split; a file has only ``train``.
        limit: Read only so many.
        revision: Branch, tag or commit of a dataset; None is the newest.

    Raises:
        UserError: There is no such corpus, split or column, or the column holds no text.
    """
    if limit is not None and limit < 1:
        raise UserError(f"limit: {limit} rows is less than one; raise it or leave it out")
    path = Path(where).expanduser()
    if path.is_file() and path.suffix != ".parquet":
        found = _of_lines(path, where, column, split)
    elif path.exists():
        found = _of_table(find_table(where, revision), column, split)
    else:
        check_repository(where)
        found = _of_repository(where, revision, column, split)
    if limit is not None:
        found.limit, found.total = limit, min(limit, found.total) if found.total is not None else limit
    return found


def _of_table(table: Table, column: str, split: str) -> Texts:
    parts = table.chosen([split])[split]
    type = table.schema([column]).field(column).type
    check_text_type(type, column, table.name)
    reader, rows = RowReader(parts, [column]), table.rows(split)

    def stream() -> Iterator[str | None]:
        for start in range(0, rows, BLOCK_ROWS):
            yield from reader.read(start, min(start + BLOCK_ROWS, rows))[column].to_pylist()

    source: dict[str, Any] = {"corpus": table.name, "split": split, "column": column}
    if split in table.rows_sha256:
        source["rows_sha256"] = table.rows_sha256[split]
    else:
        source["files"] = {part.name: file_sha256(Path(part.path)) for part in parts}
    return Texts(source, rows, stream())


def _of_lines(path: Path, where: str, column: str, split: str) -> Texts:
    from hubkit.reading import Form, documents, find_sources

    if split != "train":
        raise UserError(f"split: {where} is one file and has no {split!r}; leave split out")
    form = Form(text_field=column)
    texts = (record.text for source in find_sources([str(path)]) for record in documents(source, form))
    return Texts({"corpus": where, "column": column, "files": {path.name: file_sha256(path)}}, None, texts)


def _of_repository(repo: str, revision: str | None, column: str, split: str) -> Texts:
    import datasets
    from datasets.exceptions import DatasetsError

    from hubkit.hub import resolve
    from hubkit.hub_errors import explained

    commit = resolve(repo, revision).revision
    with explained(repo):
        try:
            rows = datasets.load_dataset(repo, split=split, revision=commit, streaming=True)
        except (DatasetsError, ValueError) as error:  # ValueError: no such split
            raise UserError(f"split: can't load {split!r} of {repo}: {' '.join(str(error).split())}") from None
    features = rows.features or {}
    if features and column not in features:
        raise UserError(f"column: {repo} has no {column!r} (it has {', '.join(features)})")
    source = {"corpus": repo, "revision": commit, "split": split, "column": column}
    return Texts(source, getattr(rows.info.splits.get(split), "num_examples", None) if rows.info.splits else None,
                 (row[column] for row in rows))  # fmt: skip


def check_text_type(type: pa.DataType, column: str, name: str) -> None:
    """Refuse a column that holds no text.

    Raises:
        UserError: It doesn't.
    """
    if not (pa.types.is_string(type) or pa.types.is_large_string(type) or pa.types.is_string_view(type)):
        raise UserError(f"column: {column!r} of {name} holds {type}; name a column of text")
