"""How commands speak: data on stdout, progress and remarks on stderr, and the next command to type at the end."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from hubkit.cores import calm_threads

LINE_SECONDS = 30.0
"""How often work that takes long says in a log how far it is."""


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


def set_up_libraries() -> None:
    """Have the libraries draw no progress bars where nobody watches, and their threads wait without spinning.

    To be called before they are imported, by whatever a command begins with.
    """
    import logging

    calm_threads()
    if not sys.stderr.isatty():
        for name in ("HF_HUB_DISABLE_PROGRESS_BARS", "HF_DATASETS_DISABLE_PROGRESS_BARS"):
            os.environ.setdefault(name, "1")
    # Tied weights are stored once; accelerate warns of it at every checkpoint.
    logging.getLogger("accelerate.utils.other").setLevel(logging.ERROR)
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        # Whoever says so needs no remark, for each repository, that the Hub could not be reached.
        logging.getLogger("huggingface_hub.hf_api").setLevel(logging.ERROR)


@contextmanager
def progress_bar(unit: str) -> Iterator[Callable[[str, int, int], None]]:
    """Give a function ``(what, done, total)`` that draws a progress bar on stderr, or now and then writes a line to it.

    Lines are for logs, where nobody watches: one every `LINE_SECONDS`, so that short work stays silent.
    """
    from rich import progress
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _progress_lines(unit)
        return
    columns = [
        progress.TextColumn("{task.description}"),
        progress.BarColumn(),
        progress.MofNCompleteColumn(),
        progress.TextColumn(unit),
        progress.TimeElapsedColumn(),
        progress.TimeRemainingColumn(),
    ]
    with progress.Progress(*columns, console=console, transient=True) as bars:
        task = bars.add_task("", total=None)

        def update(what: str, done: int, total: int) -> None:
            bars.update(task, description=what, completed=done, total=total)

        yield update


def _progress_lines(unit: str) -> Callable[[str, int, int], None]:
    said = time.monotonic()

    def update(what: str, done: int, total: int) -> None:
        nonlocal said
        if time.monotonic() - said >= LINE_SECONDS:
            said = time.monotonic()
            say(f"{what}: {done:,} of {total:,} {unit}")

    return update
