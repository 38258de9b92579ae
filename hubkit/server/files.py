"""Writing to disk so that a crash leaves either the old or the new state, and locks that hold across processes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hubkit.server.errors import ApiError

LOCK_TIMEOUT_S = 60.0


def fsync_folder(folder: Path) -> None:
    """Makes a rename inside the folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fsync_tree(folder: Path) -> None:
    """Syncs every file and folder below (and including) a folder that is about to be renamed into place."""
    for parent, _, names in os.walk(folder):
        for name in names:
            descriptor = os.open(os.path.join(parent, name), os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        fsync_folder(Path(parent))


def write_atomic(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replaces a file by new content: written beside it, synced, renamed."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    fsync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Replaces a JSON file atomically; only its owner may read it."""
    write_atomic(path, json.dumps(value, indent=2, sort_keys=True).encode() + b"\n")


def empty_folder(folder: Path) -> None:
    """Removes what an interrupted run left in a folder of temporary files."""
    folder.mkdir(parents=True, exist_ok=True)
    for entry in folder.iterdir():
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)


class Locks:
    """Exclusive locks by name, among the threads of this process and among processes.

    The lock files lie apart from what they guard and are never removed: a guarded folder can be moved or deleted while
    others wait for it.

    Args:
        folder: Where the lock files lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._guard = threading.Lock()
        self._threads: dict[str, threading.Lock] = {}

    @contextlib.contextmanager
    def hold(self, name: str, timeout: float = LOCK_TIMEOUT_S) -> Iterator[None]:
        """Holds one lock.

        Raises:
            ApiError: 409 when somebody else holds it for longer than the timeout.
        """
        from filelock import FileLock, Timeout

        busy = ApiError(409, "Another operation on this repository is in progress: try again in a moment")
        with self._guard:
            local = self._threads.setdefault(name, threading.Lock())
        # Threads of this process queue here, without polling the file.
        if not local.acquire(timeout=timeout):
            raise busy
        try:
            with FileLock(self._folder / f"{name}.lock", timeout=timeout, poll_interval=0.01):
                yield
        except Timeout:
            raise busy from None
        finally:
            local.release()
