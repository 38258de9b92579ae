"""What is left of a build, as numbered tasks, and how far it is."""

import os
from pathlib import Path
from typing import NamedTuple

from hubkit.corpora.job import Job
from hubkit.corpora.manifest import MANIFEST
from hubkit.corpora.shards import record_path
from hubkit.errors import UserError

DEFAULT_TASKS = 100
"""Tasks of a stage that has as much to do, where the user names no number."""


class Share(NamedTuple):
    """A stage that has something left to do."""

    stage: str
    tasks: int
    """How many tasks the whole stage is divided into."""
    left: list[int]
    """Those that have not done all of their share."""

    def folder(self, job: Job) -> Path:
        """Where datatrove keeps this stage's marks and logs; other numbers of tasks divide the work otherwise."""
        return cluster_folder(job) / f"{self.stage}-{self.tasks}"


def cluster_folder(job: Job) -> Path:
    """Return where everything lies that concerns running a build on a cluster."""
    return job.work / "cluster"


def shares(job: Job, tasks: int | None) -> list[Share]:
    """Return the stages that have something left, in order.

    Args:
        job: The build, whose folder is the only source of what is done.
        tasks: Into how many tasks to divide pieces and shards; None means one a piece or shard, up to `DEFAULT_TASKS`.

    Raises:
        UserError: `tasks` is less than one, or the build has no rows.
    """
    if tasks is not None and tasks < 1:
        raise UserError(f"tasks: {tasks} is less than one")
    if (job.folder / MANIFEST).exists():
        return []
    wanted, found = tasks or DEFAULT_TASKS, []
    if not _joined(job):
        count = min(wanted, len(job.pieces))
        missing = sorted({piece.index % count for piece in job.missing_pieces()})
        found += [Share("pieces", count, missing)] if missing else []
        # How many shards there will be is not known before the pieces are joined; a task without any just ends.
        found += [Share("join", 1, [0]), Share("shards", wanted, list(range(wanted)))]
    else:
        count = min(wanted, len(job.shards))
        missing = [rank for rank in range(count) if job.missing_shards(rank, count, thorough=False)]
        found += [Share("shards", count, missing)] if missing else []
    return [*found, Share("manifest", 1, [0])]


def settle_marks(job: Job, share: Share) -> None:
    """Make datatrove's marks say what the folder says: files may have been lost since a task was marked as done."""
    marks = share.folder(job) / "completions"
    for rank in share.left:
        (marks / f"{rank:05d}").unlink(missing_ok=True)


def progress_of(job: Job, stage: str) -> tuple[int, int]:
    """Return how much of a stage is done, and how much there is in all: pieces, rows, or the stage itself.

    Reads the names in one folder, so that it may be asked often.
    """
    if stage == "pieces":
        return len(job.pieces) - len(job.missing_pieces()), len(job.pieces)
    if stage == "shards" and _joined(job):
        here = set(os.listdir(job.work))
        done = sum(shard.stop - shard.start for shard in job.shards if record_path(job.folder, shard).name in here)
        return done, sum(job.rows.values())
    return 0, 1


def _joined(job: Job) -> bool:
    return not job.plan.pieces or (job.work / "prepared").is_dir()
