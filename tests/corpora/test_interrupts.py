"""Ctrl-C and lost workers: one line, nobody left behind, nothing half-written, and the same command finishes."""

import os
import re
import signal
import time
from contextlib import suppress

import pytest

from hubkit.corpora.layout import WORK

from .folders import content

INTERRUPTED = "hubkit: interrupted; the same command continues or starts over, nothing is lost\n"


def arguments(walks, workers=2) -> tuple[object, ...]:
    return "build", walks, "-o", "corpus", "--shard-rows", "2048", "--workers", workers


def test_an_interrupt_stops_the_workers_and_the_same_command_finishes(command, tmp_path, walks, finished):
    """Ctrl-C in a terminal reaches the whole group; `kill -INT` or a notebook only the command."""
    for shards, everyone in enumerate((True, False), start=1):
        run = command(*arguments(walks), WALKS_PAUSE="0.3")
        run.wait_until(lambda shards=shards: len(list(tmp_path.glob(f"corpus/{WORK}/t*.json"))) >= shards)
        run.signal(signal.SIGINT, everyone=everyone)
        assert run.finish() == 130
        run.all_gone()
        assert run.stderr == INTERRUPTED
        left = content(tmp_path / "corpus")
        assert "corpus.json" not in left
        assert not [name for name in left if name.endswith(".tmp")]
    again = command(*arguments(walks))
    assert again.finish() == 0, again.stderr
    assert content(tmp_path / "corpus") == content(finished)


@pytest.mark.parametrize("everyone", [True, False])
def test_sigterm_stops_the_workers_and_leaves_nothing_to_complain_of(command, tmp_path, walks, everyone):
    """A scheduler sends it to the whole group, `kill` to the command alone."""
    run = command(*arguments(walks), WALKS_PAUSE="0.3")
    run.wait_until(lambda: list(tmp_path.glob(f"corpus/{WORK}/t*.json")))
    run.signal(signal.SIGTERM, everyone=everyone)
    assert run.finish() == 128 + signal.SIGTERM
    run.all_gone()
    assert run.stderr == ""
    left = content(tmp_path / "corpus")
    assert not [name for name in left if name == "corpus.json" or name.endswith(".tmp")]


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_sigterm_while_the_workers_start_is_as_quiet(command, tmp_path, walks, processes):
    run = command(*arguments(walks, workers=3), WALKS_PAUSE="0.3")
    run.wait_until(lambda: len(run.alive()) >= processes)
    run.signal(signal.SIGTERM, everyone=False)
    assert run.finish() == 128 + signal.SIGTERM
    assert run.stderr == ""
    run.all_gone()


@pytest.mark.parametrize("processes", [2, 3, 4])
def test_an_interrupt_while_the_workers_start_is_as_quiet(command, tmp_path, walks, processes):
    first = command(*arguments(walks, workers=3), WALKS_PAUSE="0.3")
    first.wait_until(lambda: len(first.alive()) >= processes)
    first.signal(signal.SIGINT, everyone=True)
    assert first.finish() == 130
    assert first.stderr == INTERRUPTED
    first.all_gone()


def test_workers_leave_an_interrupt_to_their_parent_from_their_first_moment_on(command, tmp_path, walks):
    """Otherwise a Ctrl-C at the start shows a traceback of each."""
    run = command(*arguments(walks))
    sent = set()
    while run.process.poll() is None:
        for process in set(run.alive()) - {run.process.pid}:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGINT)
                sent.add(process)
        time.sleep(0.01)
    assert run.finish() == 0, run.stderr
    assert len(sent) >= 2
    assert "Traceback" not in run.stderr


def test_a_worker_that_is_killed_is_reported(command, tmp_path, walks, finished):
    first = command(*arguments(walks), WALKS_PAUSE="0.3")

    def others() -> set[int]:
        writing = {int(path.name.split(".")[-2]) for path in tmp_path.glob("corpus/data/.t*.tmp")}
        return writing - {first.process.pid}

    first.wait_until(others)
    os.kill(others().pop(), signal.SIGKILL)
    assert first.finish() == 1
    assert re.fullmatch(r"hubkit: [^\n]+\n", first.stderr), first.stderr
    assert "workers: one of 2 was killed, perhaps for want of memory; give fewer" in first.stderr
    first.all_gone()
    again = command(*arguments(walks))
    assert again.finish() == 0, again.stderr
    assert content(tmp_path / "corpus") == content(finished)
