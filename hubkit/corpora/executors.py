"""Runs a build's shards on this machine's cores."""

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.layout import Shard
from hubkit.corpora.registry import restore
from hubkit.corpora.shards import make_shard
from hubkit.errors import UserError

_progress: Any = None


def run_local(
    builder: CorpusBuilder,
    reference: str,
    shards: Iterable[Shard],
    folder: Path,
    writer: dict[str, Any],
    workers: int,
    advance: Callable[[int], None],
) -> None:
    """Make shards, in this process or in `workers` others, until all are done or one fails.

    Args:
        builder: Whose rows.
        reference: How a worker finds the builder (see :mod:`hubkit.corpora.registry`).
        shards: What to make.
        folder: The corpus folder.
        writer: Options of the Parquet writer.
        workers: Processes; 1 stays in this one.
        advance: Called with numbers of rows as they are made.

    Raises:
        UserError: A worker was killed from outside.
        Exception: Whatever a shard raised; shards under way are stopped, finished ones stay.
    """
    todo = list(shards)
    if min(workers, len(todo)) <= 1:
        for shard in todo:
            make_shard(builder, shard, folder, writer, advance)
        return
    # Spawned, not forked: Arrow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    rows = context.Queue()
    pool = ProcessPoolExecutor(min(workers, len(todo)), context, initializer=_start_worker, initargs=(rows,))
    spec = builder.spec.model_dump()
    try:
        with _interrupts_held():
            futures = {pool.submit(_work, reference, spec, shard, folder, writer) for shard in todo}
        _follow(futures, rows, advance)
        pool.shutdown()
    except BaseException as error:
        _stop(pool)
        if isinstance(error, BrokenProcessPool):
            raise UserError(
                f"workers: one of {workers} was killed, perhaps for want of memory; give fewer and run the same "
                "command: finished shards are kept"
            ) from None
        raise


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep a Ctrl-C for later; the processes started meanwhile never see one, for it is the parent's to handle.

    They inherit that this thread blocks it. That alone does not keep it from this process, where another thread, such
    as one of Arrow's, may take it; and a process half started because of it complains.
    """
    came: list[int] = []
    handler = signal.getsignal(signal.SIGINT)
    ours = threading.current_thread() is threading.main_thread() and callable(handler)
    if ours:
        signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        if ours:
            signal.signal(signal.SIGINT, handler)
    if came and callable(handler):
        handler(signal.SIGINT, None)


def _follow(futures: set[Future[None]], rows: Any, advance: Callable[[int], None]) -> None:
    """Wait for all shards and pass on what the workers report; raise what the first to fail raised."""
    while futures:
        done, futures = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
        _drain(rows, advance)
        for future in done:
            future.result()


def _drain(rows: Any, advance: Callable[[int], None]) -> None:
    while True:
        try:
            advance(rows.get_nowait())
        except queue.Empty:
            return


def _stop(pool: ProcessPoolExecutor) -> None:
    """End the workers at once; what they were writing has no final name yet."""
    processes = list((pool._processes or {}).values())  # shutdown forgets them, and has no way to stop a running call
    pool.shutdown(wait=False, cancel_futures=True)
    for process in processes:
        process.kill()
    for process in processes:
        process.join()


def _start_worker(rows: Any) -> None:
    """Prepare a worker: report rows to the parent, and never outlive it."""
    global _progress  # noqa: PLW0603
    _progress = rows
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(reference: str, spec: dict[str, Any], shard: Shard, folder: Path, writer: dict[str, Any]) -> None:
    make_shard(restore(reference, spec), shard, folder, writer, _progress.put)
