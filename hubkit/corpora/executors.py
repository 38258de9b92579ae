"""Runs items of work, such as a build's shards, on this machine's cores."""

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
from typing import Any

from hubkit.errors import UserError

Task = Callable[[Any, Callable[[int], None]], Any]
"""Does one item of work and tells how far it is; picklable, and kept by a worker from one item to the next."""


class WorkerLost(UserError):
    """A worker was killed from outside; what was finished is kept."""


_task: Task | None = None
_progress: Any = None


def run_local(
    task: Task, items: Iterable[Any], workers: int, advance: Callable[[int], None], keep: Callable[[Any], object] = id
) -> None:
    """Do items of work, in this process or in `workers` others, until all are done or one fails.

    Args:
        task: Does one item.
        items: What to do, each picklable.
        workers: Processes; 1 stays in this one.
        advance: Called with what the task reports, in this process.
        keep: Called with what the task returns, in this process and in any order.

    Raises:
        WorkerLost: A worker was killed from outside.
        Exception: Whatever an item raised; items under way are stopped.
    """
    todo = list(items)
    if min(workers, len(todo)) <= 1:
        for item in todo:
            keep(task(item, advance))
        return
    # Spawned, not forked: Arrow's threads do not survive a fork.
    context = multiprocessing.get_context("spawn")
    rows = context.Queue()
    pool = ProcessPoolExecutor(min(workers, len(todo)), context, initializer=_start_worker, initargs=(rows, task))
    try:
        with _interrupts_held():
            futures = {pool.submit(_work, item) for item in todo}
        _follow(futures, rows, advance, keep)
        pool.shutdown()
    except BaseException as error:
        _stop(pool)
        if isinstance(error, BrokenProcessPool):
            raise WorkerLost(
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


def _follow(
    futures: set[Future[Any]], rows: Any, advance: Callable[[int], None], keep: Callable[[Any], object]
) -> None:
    """Wait for all items and pass on what the workers report; raise what the first to fail raised."""
    while futures:
        done, futures = wait(futures, timeout=0.2, return_when=FIRST_COMPLETED)
        _drain(rows, advance)
        for future in done:
            keep(future.result())


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


def _start_worker(rows: Any, task: Task) -> None:
    """Prepare a worker: report to the parent, and never outlive it."""
    global _progress, _task
    _progress, _task = rows, task
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _work(item: Any) -> Any:
    assert _task is not None
    return _task(item, _progress.put)
