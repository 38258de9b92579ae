"""Corpora that are there already, as something to make others of: Parquet files of a folder or of a Hub repository.

What hubkit built is found by its manifest, anybody else's files by their names (``train-00000-of-00004.parquet``,
``train/part.parquet``). :class:`RowReader` reads rows by their position, consecutive ones cheaply, in constant memory.
"""

import dataclasses
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.corpora.layout import WORK
from hubkit.corpora.manifest import MANIFEST, read_manifest
from hubkit.errors import UserError

_REPOSITORY = re.compile(r"\w[\w.-]*/\w[\w.-]*")
_SPLIT = re.compile(r"(?P<split>[a-z][a-z0-9_]*?)(?:[-_.]\d+(?:-of-\d+)?)?\.parquet")
_USUAL = {"train", "validation", "valid", "val", "dev", "test"}


class Part(NamedTuple):
    """One Parquet file of a split."""

    path: str
    """Where it lies on this machine."""
    name: str
    """What it is called in its corpus."""
    rows: int
    bytes: int
    sha256: str | None
    """What the corpus's manifest says that it must be."""


@dataclass(frozen=True)
class Table:
    """A corpus of Parquet files."""

    name: str
    """The folder, the file or ``owner/name@commit``."""
    splits: Mapping[str, Sequence[Part]]
    """The files of each split, in order."""
    license: str = "unknown"
    origin: Literal["generated", "found"] = "found"
    rows_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The hash of each split's rows, where there is a manifest."""

    def rows(self, split: str) -> int:
        """Return how many rows a split has."""
        return sum(part.rows for part in self.splits[split])

    def chosen(self, splits: Sequence[str] | None) -> dict[str, Sequence[Part]]:
        """Return some splits, in the corpus's own order; None means all of them.

        Raises:
            UserError: There is no such split.
        """
        for split in splits or ():
            if split not in self.splits:
                raise UserError(f"splits: {self.name} has no {split!r} (it has {', '.join(self.splits)})")
        return {split: parts for split, parts in self.splits.items() if splits is None or split in splits}

    def schema(self, columns: Sequence[str], field: str = "column") -> pa.Schema:
        """Return the types of some columns, as the first file has them; `field` is who asks, for messages.

        Raises:
            UserError: A column is not there.
        """
        first = next(iter(self.splits.values()))[0]
        schema = _opened(first).schema_arrow
        for column in columns:
            if column not in schema.names:
                raise UserError(f"{field}: {self.name} has no {column!r} (it has {', '.join(schema.names)})")
        return pa.schema([(column, _plain(schema.field(column).type)) for column in columns])


def find_table(where: str, revision: str | None = None) -> Table:
    """Return the corpus of a folder, of one Parquet file, or of a Hub repository, which is fetched.

    Args:
        where: The path, or ``owner/name``.
        revision: Branch, tag or commit of a repository; None is the newest.

    Raises:
        UserError: It is not there, not finished, or holds no Parquet.
    """
    path = Path(where).expanduser()
    if path.is_dir() or path.is_file():
        if revision is not None:
            raise UserError(f"revision: {where} is on this machine and has none; leave it out")
        return _folder(path, where) if path.is_dir() else _file(path, where)
    check_repository(where)
    return _repository(where, revision)


def check_repository(where: str) -> None:
    """Refuse what is not on this machine and can't be the name of a Hub repository.

    Raises:
        UserError: It can't.
    """
    if not _REPOSITORY.fullmatch(where):
        raise UserError(f"corpus: {where!r} is no folder, no file and no repository OWNER/NAME; check the path")


def _file(path: Path, name: str) -> Table:
    if path.suffix != ".parquet":
        raise UserError(f"corpus: {name} is not Parquet; make a corpus of it first (hubkit build text --set files=…)")
    return Table(name, {"train": [_part(path, path.name)]})


def _folder(path: Path, name: str) -> Table:
    if (path / MANIFEST).is_file():
        return _built(path, name)
    if (path / WORK).exists():
        raise UserError(f"corpus: {name} is an unfinished build: run the same `hubkit build` again")
    files: dict[str, list[Part]] = {}
    for file in sorted(path.rglob("*.parquet")):
        inside = file.relative_to(path)
        if not any(part.startswith(".") for part in inside.parts):
            files.setdefault(_split_of(inside), []).append(_part(file, inside.as_posix()))
    if not files:
        raise UserError(f"corpus: {name} holds no Parquet; make a corpus of it first (hubkit build text --set files=…)")
    license = _license(path / "README.md") or "unknown"
    return Table(name, dict(sorted(files.items(), key=lambda item: (item[0] != "train", item[0]))), license)


def _built(path: Path, name: str) -> Table:
    """Return a corpus that hubkit made."""
    manifest = read_manifest(path)
    text = next((s.file for split in manifest.splits.values() for s in split.shards if ".json" in s.file), None)
    if text:
        raise UserError(f"corpus: {name} holds {text}; make a corpus of it first (hubkit build text --set files=…)")
    splits = {
        split: [Part(str(path / s.file), s.file, s.rows, s.bytes, s.file_sha256) for s in record.shards]
        for split, record in manifest.splits.items()
    }
    hashes = {split: record.rows_sha256 for split, record in manifest.splits.items()}
    return Table(name, splits, manifest.license, "generated" if manifest.origin == "generated" else "found", hashes)


def _repository(repo: str, revision: str | None) -> Table:
    """Fetch the Parquet files of a dataset repository at a commit; what the cache holds is not fetched again."""
    from huggingface_hub import snapshot_download

    from hubkit.hub import resolve
    from hubkit.hub_errors import explained

    commit = resolve(repo, revision).revision
    with explained(repo):
        folder = snapshot_download(
            repo, repo_type="dataset", revision=commit, allow_patterns=["*.parquet", MANIFEST, "README.md"]
        )
    return _folder(Path(folder), f"{repo}@{commit}")


def _license(card: Path) -> str | None:
    from huggingface_hub import DatasetCard

    if not card.is_file():
        return None
    try:
        license = DatasetCard.load(card).data.to_dict().get("license")
    except ValueError:  # what stands in front of the text is no YAML
        return None
    return license if isinstance(license, str) else None


def _split_of(inside: Path) -> str:
    """Return the split that a file's name or folder tells; one file of any other name is of ``train``."""
    for folder in reversed(inside.parts[:-1]):
        if folder in _USUAL:
            return folder
    match = _SPLIT.fullmatch(inside.name)
    numbered = match is not None and "-of-" in inside.name
    return match["split"] if match and (numbered or match["split"] in _USUAL) else "train"


def _plain(type: pa.DataType) -> pa.DataType:
    """Return the type of the values, whether or not each is stored once."""
    return type.value_type if pa.types.is_dictionary(type) else type


def _part(path: Path, name: str) -> Part:
    unread = Part(str(path), name, 0, path.stat().st_size, None)
    return unread._replace(rows=_opened(unread).metadata.num_rows)


def _opened(part: Part) -> pq.ParquetFile:
    """Open a file.

    Raises:
        UserError: It is gone, has another length than it had, or is not Parquet.
    """
    try:
        if Path(part.path).stat().st_size != part.bytes:
            raise UserError(f"corpus: {part.path} is not the file that it was; build into an empty folder")
        return pq.ParquetFile(part.path)
    except pa.ArrowInvalid as error:
        raise UserError(f"corpus: {part.path} is not Parquet ({error}); replace it") from None
    except OSError as error:
        if error.errno is None:  # Arrow's word for a footer that makes no sense
            raise UserError(f"corpus: {part.path} is damaged ({str(error).strip()}); replace it") from None
        raise UserError(f"corpus: can't read {part.path}: {error.strerror}; check the path") from None


class RowReader:
    """The rows of a split by position. Reading goes on where the last call ended, else begins at a row group."""

    def __init__(self, parts: Sequence[Part], columns: Sequence[str]):
        """Take the files of a split, in order, and the columns to read."""
        self._parts, self._columns = parts, list(columns)
        self._at, self._batches, self._left = -1, iter(()), None

    def read(self, start: int, stop: int) -> pa.Table:
        """Return rows `start` to `stop` (exclusive), which the split must have.

        Raises:
            UserError: A file can't be read.
        """
        if start != self._at:
            self._batches, self._left = self._from(start), None
        self._at = -1  # until all is read
        wanted, pieces = stop - start, []
        while wanted:
            batch = self._left if self._left is not None else next(self._batches)
            pieces.append(batch.slice(0, wanted))
            self._left = batch.slice(wanted) if batch.num_rows > wanted else None
            wanted -= pieces[-1].num_rows
        self._at = stop
        return pa.Table.from_batches(pieces).select(self._columns)

    def _from(self, start: int) -> Iterator[pa.RecordBatch]:
        """Yield the rows from a position on, in batches of any size."""
        for part in self._parts:
            if start >= part.rows:
                start -= part.rows
                continue
            file = _opened(part)
            if file.metadata.num_rows != part.rows:
                raise UserError(
                    f"corpus: {part.path} has {file.metadata.num_rows:,} rows, not {part.rows:,}; replace it"
                )
            group = 0
            while start >= (rows := file.metadata.row_group(group).num_rows):
                start, group = start - rows, group + 1
            for batch in _batches(file, part, group, self._columns):
                skipped = min(start, batch.num_rows)
                start -= skipped
                if skipped < batch.num_rows:
                    yield batch.slice(skipped)


def _batches(file: pq.ParquetFile, part: Part, group: int, columns: list[str]) -> Iterator[pa.RecordBatch]:
    try:
        with file:
            groups = range(group, file.metadata.num_row_groups)
            yield from file.iter_batches(BLOCK_ROWS, row_groups=groups, columns=columns)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"corpus: can't read {part.path}: {error}; replace it") from None
