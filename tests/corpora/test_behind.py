"""Calls in a thread behind: in order, bounded, and no error is lost."""

import threading

import pytest

from hubkit.corpora.behind import Behind


def test_calls_are_done_in_order_in_another_thread():
    done = []
    with Behind(lambda item: done.append((item, threading.current_thread()))) as call:
        for item in range(50):
            call(item)
    assert [item for item, _ in done] == list(range(50))
    assert {thread for _, thread in done}.isdisjoint({threading.current_thread()})
    assert len({thread for _, thread in done}) == 1


def test_no_more_calls_wait_than_may():
    go, asked = threading.Event(), []
    with Behind(lambda item: go.wait(10), waiting=2) as call:

        def ask():
            for item in range(5):
                call(item)
                asked.append(item)

        asking = threading.Thread(target=ask)
        asking.start()
        asking.join(0.2)
        assert asked == [0, 1, 2], "one under way and two that wait"
        go.set()
        asking.join()
    assert asked == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("calls", [1, 5])
def test_an_error_is_raised_by_a_later_call_or_at_the_end(calls):
    with pytest.raises(ZeroDivisionError), Behind(lambda item: 1 / item) as call:
        for _ in range(calls):
            call(0)


def test_an_error_of_the_asker_drops_what_waits():
    go, done = threading.Event(), []

    def work(item):
        go.wait(10)
        done.append(item)

    with pytest.raises(KeyError), Behind(work, waiting=9) as call:
        for item in range(9):
            call(item)
        threading.Timer(0.05, go.set).start()
        raise KeyError
    assert len(done) < 9
