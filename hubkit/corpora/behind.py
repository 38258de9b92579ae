"""One thread that works behind another, for what lets Python go meanwhile: hashing, compressing, writing to a disk."""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self


class Behind:
    """Does calls in a thread of its own, one after the other and in order, while whoever asked for them goes on.

    A context. When it ends well, all calls are done; after an exception those that have not begun are dropped. What a
    call raised is raised by one of the next, or when the context ends.
    """

    def __init__(self, call: Callable[..., object], waiting: int = 0):
        """Say what is to be called.

        Args:
            call: The function.
            waiting: How many calls may wait while one is under way; it bounds what their arguments hold in memory.
        """
        self._call, self._most = call, waiting + 1
        self._thread = ThreadPoolExecutor(1)
        self._calls: deque[Future[object]] = deque()

    def __call__(self, *arguments: Any) -> None:
        """Have the function called with these arguments; wait first, if too many calls wait."""
        while len(self._calls) >= self._most:
            self._calls.popleft().result()
        self._calls.append(self._thread.submit(self._call, *arguments))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._thread.shutdown(cancel_futures=kind is not None)
        if kind is None:
            for call in self._calls:
                call.result()
