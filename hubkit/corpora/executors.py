"""Runs items of work, such as a build's shards, on this machine's cores."""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.connection import wait as wait_for
from multiprocessing.pool import ExceptionWithTraceback  # pyright: ignore[reportAttributeAccessIssue]
from queue import SimpleQueue
from typing import Any, Literal, Self

from hubkit.ending import ENDS, orderly_end
from hubkit.errors import UserError

Task = Callable[[Any, Callable[[int], None]], Any]
"""Does one item of work and tells how far it is; picklable, and kept by a worker from one item to the next."""

Message = tuple[Literal["advanced", "done", "failed", "idle"], Any]
"""What is heard of another process: how far it got, what an item gave, why one failed, that no item is left for it."""


SMALL_BYTES = 32 << 20
"""Rows of fewer bytes than this are made by one process sooner than others have started."""


class WorkerLost(UserError):
    """A worker was killed from outside; what was finished is kept."""


class Workers:
    """Processes that do items of work: this one, and others, which start with the first items worth it and then stay.

    This one has imported everything already and so begins at once; while it is at an item, it hears of the others
    whenever that item tells how far it is. A context: when it ends, or an item fails, or a signal to end comes, the
    others end at once, whatever they are doing.
    """

    def __init__(self, task: Task, workers: int):
        """Say what is to be done, and by how many.

        Args:
            task: Does one item.
            workers: Processes, at most; with 1 this one does all.
        """
        self._task, self._workers = task, workers
        self._others: list[_Other] = []
        # Else Python's resource tracker complains of the locks that are left.
        self._orderly = orderly_end()

    def run(
        self,
        items: Iterable[Any],
        advance: Callable[[int], None],
        keep: Callable[[Any], object] = id,
        worth_starting: bool = True,
    ) -> None:
        """Do items of work until all are done or one fails.

        Args:
            items: What to do, each picklable.
            advance: Called with what the task reports, in this process.
            keep: Called with what the task returns, in this process and in any order.
            worth_starting: Whether the items are so much work that processes should start for them if none run yet.

        Raises:
            WorkerLost: A worker was killed from outside.
            Exception: Whatever an item raised; items under way are stopped.
        """
        todo = deque(items)
        told: SimpleQueue[Message] = SimpleQueue()
        busy = 0

        def hear() -> None:
            nonlocal busy
            kind, value = told.get()
            if kind == "advanced":
                advance(value)
            elif kind == "done":
                keep(value)
            elif kind == "failed":
                raise _Failed(value)
            else:
                busy -= 1

        def heard(done: int) -> None:
            advance(done)
            while not told.empty():
                hear()

        try:
            if len(todo) > 1 and (worth_starting or self._others):
                busy = self._share(todo, told)
            for item in _taken(todo):
                keep(self._task(item, heard))
            while busy:
                hear()
        except BaseException as error:
            todo.clear()
            self._stop()
            if isinstance(error, _Failed):
                raise error.why from error.why.__cause__
            raise

    def _share(self, todo: deque[Any], told: SimpleQueue[Message]) -> int:
        """Have other processes take items too, and return how many do."""
        wanted = min(self._workers, len(todo)) - 1
        resource_tracker.ensure_running()  # or the first process to start would, and unblock what is held now
        with _interrupts_held():
            while len(self._others) < wanted:
                self._others.append(self._start())
            for other in self._others[:wanted]:
                threading.Thread(target=other.attend, args=(todo, told), daemon=True).start()
        return wanted

    def _start(self) -> "_Other":
        return _Other(self._task, f"one of {self._workers}")

    def _stop(self) -> None:
        """End the processes at once; what they were writing has no final name yet."""
        others, self._others = self._others, []
        for other in others:
            other.process.kill()
        for other in others:
            other.process.join()

    def __enter__(self) -> Self:
        self._orderly.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._stop()
        self._orderly.__exit__(*error)


class _Failed(BaseException):
    """What stops this process's own item when one of another's failed; nobody on the way takes it for that item's."""

    def __init__(self, why: Exception):
        super().__init__(why)
        self.why = why


class _Other:
    """Another process that does items, and the way to it."""

    def __init__(self, task: Task, name: str):
        # Spawned, not forked: Arrow's threads do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self._name = name
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, task))
        self.process.start()
        theirs.close()  # so that the pipe ends with the process

    def attend(self, todo: deque[Any], told: SimpleQueue[Message]) -> None:
        """Give it one item after the other, and pass on what it says; this is for a thread of its own."""
        try:
            for item in _taken(todo):
                self._pipe.send(item)
                told.put(message := self._pipe.recv())
                while message[0] == "advanced":
                    told.put(message := self._pipe.recv())
                if message[0] == "failed":
                    break
            else:
                return
        except (EOFError, OSError):
            why = f"workers: {self._name} was killed, perhaps for want of memory; give fewer and run the same command"
            told.put(("failed", WorkerLost(f"{why}: finished shards are kept")))
        except Exception as error:  # what it raised, or returned, can be sent but not read
            told.put(("failed", error))
        finally:
            told.put(("idle", None))
        todo.clear()  # nobody begins another one


def _taken(todo: deque[Any]) -> Iterator[Any]:
    """Yield the items that are left, which others take as well."""
    try:
        while True:
            yield todo.popleft()
    except IndexError:
        return


def _serve(pipe: Connection, task: Task) -> None:
    """Do the items that come by a pipe, in a process that never outlives its parent."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait_for([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
    with suppress(EOFError, OSError):  # of the pipe: the parent is gone
        while True:
            item = pipe.recv()
            try:
                pipe.send(("done", task(item, lambda done: pipe.send(("advanced", done)))))
            except BaseException as error:
                pipe.send(("failed", ExceptionWithTraceback(error, error.__traceback__)))


def run_local(
    task: Task, items: Iterable[Any], workers: int, advance: Callable[[int], None], keep: Callable[[Any], object] = id
) -> None:
    """Do items of work, in this process or in `workers` others, until all are done or one fails.

    Args and exceptions are those of :class:`Workers` and its :meth:`~Workers.run`.
    """
    with Workers(task, workers) as pool:
        pool.run(items, advance, keep)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Keep Ctrl-C and signals to end for later: a process that is half started because of them complains.

    The processes started meanwhile never see a Ctrl-C, for it is the parent's to handle: they inherit that this thread
    blocks it. That alone does not keep it from this process, where another thread, such as one of Arrow's, may take it.
    """
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, *ENDS)}
    if threading.current_thread() is not threading.main_thread():
        handlers.clear()
    held = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in held:
        signal.signal(number, lambda number, frame: came.append(number))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
        for number, handler in held.items():
            signal.signal(number, handler)
    for number in came[:1]:
        held[signal.Signals(number)](number, None)
