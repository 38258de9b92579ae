"""Why a task failed, written down by the task itself for whoever started it."""

import json
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from hubkit.corpora.layout import WORK
from hubkit.errors import UserError
from hubkit.files import write_atomic


class TaskFailure(NamedTuple):
    """The last failure of one task."""

    hopeless: bool
    """Whether doing the same again would fail the same."""
    message: str


@contextmanager
def failure_noted(folder: Path, stage: str, rank: int) -> Iterator[None]:
    """Write down what the block raises, and forget an earlier failure when it ends well."""
    path = _path(folder, stage, rank)
    try:
        yield
    except Exception as error:
        # A message may not have the whole story: code of a builder's own is blamed by a cause.
        told = str(error) if isinstance(error, UserError) else "".join(traceback.format_exception(error)).strip()
        write_atomic(path, json.dumps(TaskFailure(isinstance(error, UserError), told)._asdict()))
        raise
    path.unlink(missing_ok=True)


def failure_of(folder: Path, stage: str, rank: int) -> TaskFailure | None:
    """Return why a task failed, if it lived to say so."""
    try:
        return TaskFailure(**json.loads(_path(folder, stage, rank).read_bytes()))
    except (OSError, ValueError, TypeError):
        return None


def forget_failures(folder: Path, stage: str) -> None:
    """Forget why tasks of a stage failed, before they run again."""
    for path in _path(folder, stage, 0).parent.glob(f"{stage}-*.json"):
        path.unlink(missing_ok=True)


def _path(folder: Path, stage: str, rank: int) -> Path:
    return folder / WORK / "cluster" / "failures" / f"{stage}-{rank:05d}.json"
