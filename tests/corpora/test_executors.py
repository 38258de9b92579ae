"""Workers: here or in other processes, which stay from one set of items to the next and never outlast their context."""

import importlib
import multiprocessing
import os
from pathlib import Path

import pytest

from hubkit.corpora.executors import WorkerLost, Workers, run_local


@pytest.fixture
def chores(monkeypatch):
    """The items' functions in a module that other processes find too."""
    monkeypatch.syspath_prepend(Path(__file__).parent / "data")
    return importlib.import_module("chores")


def test_processes_stay_from_one_set_of_items_to_the_next(chores):
    with Workers(chores.where, 2) as workers:
        first, then, advanced = list[int](), list[int](), list[int]()
        workers.run([0.2] * 4, advanced.append, first.append)
        workers.run([0.2] * 4, advanced.append, then.append)
        running = {process.pid for process in multiprocessing.active_children()}
    assert len(first) == len(then) == 4
    assert len(running) == 1
    assert set(then) <= set(first) == {os.getpid(), *running}
    assert not multiprocessing.active_children()
    assert sum(advanced) <= 8


def test_no_process_starts_for_what_is_not_worth_it(chores):
    done = list[int]()
    with Workers(chores.where, 2) as workers:
        workers.run([0], done.append, done.append)
        workers.run([0, 0, 0], done.append, done.append, worth_starting=False)
        run_local(chores.where, [0, 0], 1, done.append, done.append)
        assert not multiprocessing.active_children()
    assert done == [1, os.getpid()] * 6


@pytest.mark.parametrize(
    ("item", "error", "said"),
    [
        ("fail here", ZeroDivisionError, "division"),
        ("fail there", ZeroDivisionError, "division"),
        ("die there", WorkerLost, "one of 2 was killed"),
    ],
)
def test_whatever_ends_them_nobody_stays(chores, item, error, said):
    """Where it happens elsewhere, this process hears of it in the middle of an item of its own."""
    with pytest.raises(error, match=said), Workers(chores.end, 2) as workers:
        try:
            workers.run([item, item], lambda done: None)
        finally:
            assert not multiprocessing.active_children(), "stopped before anybody cleans up behind them"


def test_an_error_between_two_sets_of_items_stops_them(chores):
    with pytest.raises(KeyboardInterrupt), Workers(chores.where, 2) as workers:
        workers.run([0, 0], lambda done: None)
        raise KeyboardInterrupt
    assert not multiprocessing.active_children()
