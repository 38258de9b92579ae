"""How commands speak: data on stdout, progress and remarks on stderr, and the next command to type at the end."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


def say(text: str = "") -> None:
    """Print a remark to people, on stderr."""
    print(text, file=sys.stderr, flush=True)


def show(text: str) -> None:
    """Print a result, on stdout."""
    print(text, flush=True)


def show_json(value: Any) -> None:
    """Print a result for a script, on stdout."""
    show(json.dumps(value, indent=1, ensure_ascii=False))


def next_step(command: str) -> None:
    """End a command by naming the one that naturally follows; a command inside another leaves that to it."""
    if "HUBKIT_NESTED" not in os.environ:
        say(f"next: {command}")


def quiet_libraries() -> None:
    """Have the libraries draw no progress bars where nobody watches; to be called before they are imported."""
    import logging

    if not sys.stderr.isatty():
        for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")
    # Tied weights are stored once; accelerate warns of it at every checkpoint.
    logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function ``(what, done, total)`` that draws a progress bar on stderr; silent where nobody watches."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        task = bars.add_task("", total=None)

        def update(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total)

        yield update
