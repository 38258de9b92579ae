"""The Parquet files of a split, on the Hub or in a folder, of which only what is asked for is fetched."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, NamedTuple

from hubkit.errors import UserError
from hubkit.hub_patience import patiently

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa
    import pyarrow.parquet as pq

_AT_ONCE = 16
"""So many footers are fetched at once; each is little and takes a round trip or two."""

_KEPT_BYTES = 64 << 20
"""Footers are kept up to so many bytes together; those of other files are fetched with each of their row groups."""


class RowGroup(NamedTuple):
    """Rows that Parquet stores together: the least that can be fetched."""

    file: int
    """Which of the files, from 0."""
    group: int
    """Which of its row groups, from 0."""
    first: int
    """Number of the first row, counted through the files in order, as `datasets` counts."""
    rows: int
    bytes: int
    """Of the columns that are read, before compression."""


class ParquetSplit:
    """The row groups of a split; what they hold is fetched when it is asked for, by requests for ranges of bytes."""

    def __init__(self, repo: str, files: Sequence[str], columns: Sequence[str]):
        """Fetch the footers, which say what lies where.

        Args:
            repo: Whose files they are, for messages.
            files: Addresses that fsspec knows, in the order of the rows.
            columns: The columns that are read.

        Raises:
            UserError: The Hub is down, a file is no Parquet or lacks a column, or there are no rows at all.
        """
        import fsspec

        self._repo, self._files, self._columns = repo, files, list(columns)
        self._system: Any = fsspec.url_to_fs(files[0])[0]
        self._footers: dict[int, pq.FileMetaData] = {}
        self._left = _KEPT_BYTES
        with ThreadPoolExecutor(_AT_ONCE) as executor:
            sizes = list(executor.map(self._sizes, range(len(files))))
        self.groups: list[RowGroup] = []
        """All that have rows, in order."""
        self.rows = 0
        """Rows of the split."""
        for file, groups in enumerate(sizes):
            for group, (rows, size) in enumerate(groups):
                if rows:
                    self.groups.append(RowGroup(file, group, self.rows, rows, size))
                    self.rows += rows
        if not self.rows:
            raise UserError(f"dataset: the split that {self._name(0)} of {repo} belongs to has no rows")

    def features(self) -> "datasets.Features":
        """Return what the columns hold, as `datasets` would say."""
        import datasets

        schema = self._fetch(0, lambda parquet: parquet.schema_arrow)
        return datasets.Features.from_arrow_schema(schema.empty_table().select(self._columns).schema)

    def read(self, groups: Sequence[RowGroup]) -> "Iterator[pa.Table]":
        """Yield the columns of row groups in their order; several are fetched at once.

        Raises:
            UserError: The Hub is down for longer than a while, or a file is damaged.
        """

        def fetched(group: RowGroup) -> "pa.Table":
            return self._fetch(group.file, lambda parquet: parquet.read_row_group(group.group, self._columns))

        with ThreadPoolExecutor(_AT_ONCE) as executor:
            yield from executor.map(fetched, groups)

    def _sizes(self, file: int) -> list[tuple[int, int]]:
        """Return rows and bytes of each row group of a file."""
        footer: pq.FileMetaData = self._fetch(file, lambda parquet: parquet.metadata)
        names = footer.schema.to_arrow_schema().names
        for column in self._columns:
            if column not in names:
                raise UserError(f"dataset: {self._repo} has no column {column!r} (it has {', '.join(names)})")
        if footer.serialized_size <= self._left:
            self._left -= footer.serialized_size
            self._footers[file] = footer
        groups = (footer.row_group(number) for number in range(footer.num_row_groups))
        return [(group.num_rows, self._bytes(group)) for group in groups]

    def _bytes(self, group: "pq.RowGroupMetaData") -> int:
        chunks = (group.column(number) for number in range(group.num_columns))
        return sum(c.total_uncompressed_size for c in chunks if c.path_in_schema.split(".")[0] in self._columns)

    def _fetch(self, file: int, take: Any) -> Any:
        """Return what `take` takes from a file."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        def ask() -> Any:
            # Without a cache: Arrow knows which ranges it needs, and joins those that lie together.
            with self._system.open(self._files[file], "rb", cache_type="none") as opened:
                try:
                    return take(pq.ParquetFile(opened, metadata=self._footers.get(file), pre_buffer=True))
                except pa.ArrowException as error:
                    raise self._damaged(file, error) from None
                except OSError as error:
                    # Those of the network are of kinds of their own; the plain one is what Arrow says of bad bytes.
                    raise self._damaged(file, error) if type(error) is OSError else error from None

        return patiently(self._repo, ask)

    def _damaged(self, file: int, error: Exception) -> UserError:
        said = " ".join(str(error).split())
        return UserError(
            f"dataset: {self._name(file)} of {self._repo} can't be read as Parquet ({said}); have it mended, or name "
            "another revision by dataset.revision"
        )

    def _name(self, file: int) -> str:
        return self._files[file].rsplit("/", 1)[-1]
