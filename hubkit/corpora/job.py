"""A build under way, as every process that takes part in it sees it.

First come the pieces of the preparation, in any order and in any process; then they are joined; then come the shards,
in any order again; last the manifest (:mod:`hubkit.corpora.stages`). All state is on disk under `FOLDER/.hubkit-build`
and each item is atomic, so any of them can be killed, repeated, or done on another machine that sees the folder.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from hubkit.corpora.builder import CorpusBuilder, blamed
from hubkit.corpora.layout import WORK, Shard, shard_plan
from hubkit.corpora.plan import Plan, check_environment, make_plan, writer_of
from hubkit.corpora.registry import Corpus, restore
from hubkit.corpora.shards import finished_record, make_shard
from hubkit.errors import UserError
from hubkit.files import atomic_folder
from hubkit.provenance import library_versions

Advance = Callable[[int], None]


class Piece(NamedTuple):
    """One piece of the preparation."""

    index: int
    name: str

    @property
    def path(self) -> str:
        """Where it leaves what it found, below the working folder."""
        return f"pieces/{self.index:05d}"


@dataclass
class Job:
    """The build in a folder; another process gets it by its folder alone."""

    folder: Path
    plan: Plan
    given: CorpusBuilder | None = None
    """The builder of this process, if it has one; others find it by the plan's reference."""

    def __getstate__(self) -> dict[str, Any]:
        return {"folder": self.folder, "plan": self.plan, "given": None}

    @property
    def work(self) -> Path:
        """The folder of unfinished business."""
        return self.folder / WORK

    @cached_property
    def builder(self) -> CorpusBuilder:
        """The builder, kept as long as the process works on this build: it may hold an open source.

        Raises:
            UserError: Where this process runs, the builder's code, libraries or numerics are not those that the build
                was begun with.
        """
        builder = self.given or restore(self.plan.reference, self.plan.spec)
        builder.prepared, builder.max_failures = self.work / "prepared", self.plan.max_failures
        if self.given is None:
            libraries = library_versions(builder.libraries)
            check_environment(self.folder, self.plan, self.plan.reference, libraries, builder.numerics())
        return builder

    @cached_property
    def writer(self) -> dict[str, Any]:
        """Options of the Parquet writer."""
        return writer_of(self.plan, self.builder)

    @property
    def pieces(self) -> list[Piece]:
        """The pieces of the preparation."""
        return [Piece(index, name) for index, name in enumerate(self.plan.pieces)]

    @cached_property
    def rows(self) -> dict[str, int]:
        """Rows of each split that has any, once the preparation is joined.

        Raises:
            UserError: None has any.
        """
        rows = {split: count for split, count in self.builder.rows.items() if count}
        if not rows:
            raise UserError(f"{self.builder.name}: this spec and its sources give no rows at all")
        return rows

    @cached_property
    def shards(self) -> list[Shard]:
        """The shards, once the preparation is joined."""
        return shard_plan(self.rows, self.writer["shard_rows"])

    def missing_pieces(self) -> list[Piece]:
        """Return the pieces that no earlier run has finished."""
        return [piece for piece in self.pieces if not (self.work / piece.path).is_dir()]

    def missing_shards(self, rank: int = 0, world: int = 1, thorough: bool = True) -> list[Shard]:
        """Return the shards, of those that are a rank's work, that no earlier run has finished."""
        return [shard for shard in self.shards[rank::world] if finished_record(self.folder, shard, thorough) is None]

    def __call__(self, item: Piece | Shard, advance: Advance) -> None:
        """Do one item of work.

        Raises:
            OSError: The disk is full or not writable.
            UserError: The builder says that its spec can't be met, or what it reads can't be.
            RuntimeError: The builder's code failed.
        """
        if isinstance(item, Shard):
            make_shard(self.builder, item, self.folder, self.writer, self.plan, advance)
            return
        with atomic_folder(self.work / item.path) as temporary, blamed(self.builder, f"on piece {item.name}"):
            self.builder.prepare(item.name, temporary)
        advance(1)

    def join(self) -> None:
        """Put the pieces of the preparation together; each must be there."""
        if not self.plan.pieces or (self.work / "prepared").is_dir():
            return
        missing = self.missing_pieces()
        if missing:
            raise UserError(f"{self.folder}: the preparation of {missing[0].name} is missing; run the build again")
        with atomic_folder(self.work / "prepared") as temporary, blamed(self.builder, "as it joined its pieces"):
            self.builder.join([self.work / piece.path for piece in self.pieces], temporary)


def prepare(builder: CorpusBuilder, folder: Path, advance: Advance = lambda done: None) -> None:
    """Prepare a builder outside a build, in an empty folder of the caller's, and leave it ready to give rows.

    Raises:
        UserError: What it reads can't be read.
        RuntimeError: The builder's code failed.
    """
    job = Job(folder, make_plan(Corpus(builder, builder.name), None, False, 0), builder)
    for piece in job.missing_pieces():
        job(piece, advance)
    job.join()
    builder.prepared = job.work / "prepared"
