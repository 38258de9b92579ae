"""Ends a process in order when it is told to: by a scheduler, a supervisor, or a terminal that closes."""

import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

ENDS = tuple(signal.Signals[name] for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that by default end a process on the spot; Windows has no SIGHUP."""

_HEARD, _PATIENCE = 5.0, 60.0
"""Seconds that a command has to end: one that Ctrl-C has probably reached too, and one that was told."""


@contextmanager
def orderly_end() -> Iterator[None]:
    """Have SIGTERM and SIGHUP raise `SystemExit` with 128 + the signal's number inside ``with``.

    By default they end this process on the spot: what it started goes on, and its temporary folders stay. Only the
    first one raises, for what it has begun to tidy must not be cut off by another. A signal that somebody handles
    already, or has ignored as `nohup` does, stays theirs. Python sets handlers in the main thread only; in another one
    nothing changes.
    """
    told = False

    def end(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if not told:
            told = True
            raise SystemExit(128 + number)

    main = threading.current_thread() is threading.main_thread()
    ours = [number for number in ENDS if main and signal.getsignal(number) == signal.SIG_DFL]
    for number in ours:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def call(command: Sequence[str], **options: Any) -> int:
    """Run a command and return its exit status as a shell would; when this process has to end, that one ends first.

    Args:
        command: The program and its arguments.
        options: Those of :class:`subprocess.Popen`.
    """
    process = subprocess.Popen(command, **options)
    try:
        return exit_status(process.wait())
    except KeyboardInterrupt:
        _end(process, signal.SIGINT, _HEARD)
        raise
    except BaseException:
        _end(process, signal.SIGTERM, 0)
        raise


def _end(process: subprocess.Popen[Any], number: signal.Signals, seconds: float) -> None:
    """Give a command some seconds to end by itself; then tell it by a signal, and at last kill it."""
    for patience, tell in ((seconds, number), (_PATIENCE, signal.SIGKILL)):
        with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):
            process.wait(patience)
            return
        process.send_signal(tell)
    process.wait()


def exit_status(returncode: int) -> int:
    """Return what a shell would say of a process that ended: of one that died of a signal, 128 + its number.

    Args:
        returncode: As :class:`subprocess.Popen` has it, where such a death is negative.
    """
    return returncode if returncode >= 0 else 128 - returncode
