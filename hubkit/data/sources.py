"""Where rows come from: a dataset on the Hub at one commit, or data on this machine, as token ids."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

import numpy as np
from pydantic import Field, field_serializer, model_validator

from hubkit.data.encoding import LOSS, Framing, Share, held
from hubkit.data.flat_tokens import Part, load_flat
from hubkit.data.parquet import ParquetSplit
from hubkit.data.pools import Stream
from hubkit.data.reading import ReadingSpec
from hubkit.data.tokens import TokenRows, tokenise
from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.hub import Commit, load_rows, parquet_files, resolve
from hubkit.specs import Spec, canonical_json

if TYPE_CHECKING:
    import datasets
    from transformers import PreTrainedTokenizerFast

_BATCH = 1000

HELD_OUT = 0.01
"""What is held out of a file of tokens, which has no splits of its own."""


class Local(NamedTuple):
    """Data on this machine, pinned by what it holds."""

    path: str
    """Its name, without the folders above it."""
    revision: str
    """The sha256 of a file; of a corpus, of the hashes of its splits' rows."""


Pin = Commit | Local


def recorded(pin: Pin) -> dict[str, str | None]:
    """Return what a lineage says of data: where it can be found, and what it was."""
    if isinstance(pin, Local):
        return {"path": pin.path, "sha256": pin.revision}
    return {"repo": pin.repo, "revision": pin.revision, "release": pin.release}


class DatasetSpec(Spec):
    """A dataset: `repo` on the Hub, or `folder` or `tokens` on this machine."""

    repo: str | None = None
    """OWNER/NAME."""
    folder: Path | None = None
    """A corpus that `hubkit build` made."""
    tokens: Path | None = None
    """An HDF5 file with one long row of token ids, of which the last ones are held out."""
    revision: str | None = None
    """Of a repository: tag, branch or commit; None is the newest. The run records the commit that this resolved to."""
    config: str | None = None
    """Of a repository; of an HDF5 file, the dataset in it, where there are several."""
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    held_out: Annotated[float, Field(gt=0, lt=0.5)] | None = None
    """For data without splits for validation and test: this share of the rows of `train` is each of them, and training
    never reads it. Which rows is a hash of what they hold, so equal rows are in one split, in whatever order."""
    column: str = "text"
    """The text, or lists of token ids that were made before."""
    marked: bool = True
    """Where the objective learns what the column `loss` marks: whether this dataset has marks. Of one without, such as
    natural text in `also_evaluate`, every token is asked for."""
    ratio: Annotated[float, Field(gt=0)] = 1.0
    """Share of its sequences in a mixture, in proportion to the others' ratios."""
    streaming: bool = False
    """Of a repository of Parquet: training begins at once, and fetches `train` as it goes on. On disk there is nothing
    of it, in memory at most three pools. The other splits are fetched whole."""
    pool_rows: Annotated[int, Field(gt=0)] = 10_000
    """Of a stream, so many rows, or 256 MiB, are read and shuffled together: some row groups of its files, whole."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        given = [name for name in ("repo", "folder", "tokens") if getattr(self, name) is not None]
        if len(given) != 1:
            named = f"{' and '.join(given)} are given" if given else "none is given"
            raise ValueError(f"name one of repo, folder and tokens ({named})")
        for name in ("revision",) if self.tokens else ("revision", "config"):
            if self.repo is None and getattr(self, name) is not None:
                raise ValueError(f"{name}: this is for a repository, and {given[0]} is given; leave it out")
        if self.held_out and len({self.train, self.validation, self.test}) < 3:
            raise ValueError("held_out: what is held out needs names of its own; let train, validation and test differ")
        if self.streaming and self.repo is None:
            raise ValueError(f"streaming: this is for a repository, and {given[0]} is given; leave it out")
        if self.streaming and self.held_out:
            raise ValueError(
                "streaming: which rows are held_out is only known when all were read; name splits for validation and "
                "test instead, or leave streaming out"
            )
        return self

    @field_serializer("folder", "tokens", when_used="json")
    def _named(self, path: Path | None) -> str | None:
        # What is written down is also published, and the folders of this machine concern nobody.
        return None if path is None else path.name

    @property
    def splits(self) -> tuple[str, ...]:
        """The splits that the data must have."""
        return (self.train,) if self.held_out or self.tokens else (self.train, self.validation, self.test)

    @property
    def name(self) -> str:
        """What it is called, in messages and in what is counted."""
        path = self.folder or self.tokens
        named = path.name if path is not None else str(self.repo)
        return f"{named} {self.config}" if self.config else named

    def pin(self) -> Pin:
        """Return what the name means now: a commit, or the hash of what lies there.

        Raises:
            UserError: There is no such thing.
        """
        if self.repo is not None:
            return resolve(self.repo, self.revision)
        if self.folder is not None:
            from hubkit.corpora.manifest import read_manifest

            splits = read_manifest(self.folder.expanduser()).splits
            hashes = canonical_json({name: split.rows_sha256 for name, split in splits.items()})
            return Local(self.folder.name, hashlib.sha256(hashes.encode()).hexdigest())
        assert self.tokens is not None
        try:
            return Local(self.tokens.name, file_sha256(self.tokens.expanduser()))
        except OSError as error:
            raise UserError(f"dataset.tokens: can't read {self.tokens}: {error.strerror}; check the path") from None

    def load(
        self, revision: str, split: str, tokenizer: "PreTrainedTokenizerFast", spare: Path, framing: Framing
    ) -> TokenRows:
        """Return a split as token ids.

        Args:
            revision: Of the pin.
            split: One of `train`, `validation` and `test`, by the name that it has here.
            tokenizer: Of the text; that of the ids, if the dataset holds ids.
            spare: Folder for the ids where the cache can't be written to.
            framing: What is put around a row, and what of it is learnt.

        Raises:
            UserError: The dataset, split or column is not there, or can't be tokenised.
        """
        part = self._part(split)
        if self.tokens is not None:
            share = self.held_out or HELD_OUT
            return load_flat(self.tokens.expanduser(), self.config, revision, part, share, tokenizer, spare)
        framing = framing._replace(marked=framing.marked and self.marked)
        rows = self._rows(revision, split if self.held_out is None else self.train, self._columns(framing))
        return tokenise(rows, self.column, tokenizer, spare, framing, self._share(part))

    def stream(
        self, revision: str, tokenizer: "PreTrainedTokenizerFast", framing: Framing, reading: ReadingSpec, more: int
    ) -> Stream:
        """Return the sequences of `train`, none of which is fetched before it is wanted.

        Args:
            revision: Of the pin.
            tokenizer: As in :meth:`load`.
            framing: As in :meth:`load`.
            reading: What a sequence is; its length must be said.
            more: As :meth:`hubkit.data.reading.ReadingSpec.make` takes it.

        Raises:
            UserError: The dataset, split or column is not there; it is no Parquet; or it holds no text and no ids.
        """
        assert self.repo is not None
        framing = framing._replace(marked=framing.marked and self.marked)
        with self._splits_named(self.train):
            files = parquet_files(self.repo, revision, self.train, self.config)
        split = ParquetSplit(self.repo, files, self._columns(framing))
        name = f"{self.name} {self.train}"
        return Stream(name, split, self.column, tokenizer, framing, reading, more, self.pool_rows)

    def rows(self, revision: str, split: str, columns: Sequence[str]) -> "datasets.Dataset":
        """Return columns of a split as they are, its rows in the order of :meth:`load`.

        Args:
            revision: Of the pin.
            split: As in :meth:`load`.
            columns: Their names.

        Raises:
            UserError: The dataset, split or column is not there.
        """
        if self.tokens is not None:
            raise UserError(f"dataset.tokens: {self.name} has tokens alone, and no {', '.join(columns)}")
        share = self._share(self._part(split))
        if share is None:
            return self._rows(revision, split, columns)
        rows = self._rows(revision, self.train, tuple(dict.fromkeys((*columns, self.column))))
        contents: Any = rows.select_columns([self.column]).with_format("arrow")
        taken = [
            start + held(batch[self.column], range(start, start + batch.num_rows), share)
            for start, batch in zip(range(0, len(rows), _BATCH), contents.iter(_BATCH), strict=True)
        ]
        return rows.select(np.concatenate(taken)).select_columns(list(columns))

    def _columns(self, framing: Framing) -> tuple[str, ...]:
        return (self.column, LOSS) if framing.marked else (self.column,)

    def _part(self, split: str) -> Part:
        return "train" if split == self.train else "validation" if split == self.validation else "test"

    def _share(self, part: Part) -> Share | None:
        """Return which rows of the split that is read are a part; None is all."""
        if self.held_out is None:
            return None
        return {
            "test": Share(0, self.held_out),
            "validation": Share(self.held_out, 2 * self.held_out),
            "train": Share(2 * self.held_out, 1),
        }[part]

    def _rows(self, revision: str, split: str, columns: Sequence[str]) -> "datasets.Dataset":
        with self._splits_named(split):
            if self.repo is not None:
                return load_rows(self.repo, revision, split, self.config, tuple(columns), alone=self.streaming)
            assert self.folder is not None
            return _built_rows(self.folder.expanduser(), split, columns)

    @contextmanager
    def _splits_named(self, split: str) -> Iterator[None]:
        """Say by which field another split can be named, where there is none of this name."""
        try:
            yield
        except UserError as error:
            if "nknown split" not in str(error):
                raise
            field = next(name for name in ("train", "validation", "test") if getattr(self, name) == split)
            mend = f", or hold rows of {self.train} out by dataset.held_out={HELD_OUT}"
            mend = "" if field == "train" or self.streaming else mend
            raise UserError(f"{error} Name another by dataset.{field}{mend}") from None


def _built_rows(folder: Path, split: str, columns: Sequence[str]) -> "datasets.Dataset":
    """Return a split of a corpus that hubkit built on this machine."""
    import datasets

    from hubkit.corpora.tables import find_table

    table = find_table(str(folder))
    if split not in table.splits:
        raise UserError(f"dataset.folder: {folder.name} has an unknown split {split!r}")
    table.schema(columns, "dataset.column")
    files = [part.path for part in table.splits[split]]
    rows: Any = datasets.load_dataset("parquet", data_files={split: files}, split=split)
    return rows.select_columns(list(columns))
