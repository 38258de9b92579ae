"""Early stop, time limit and signals."""

import json
import math
import os
import signal
import subprocess
import sys
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.training.stopping import EX_TEMPFAIL, EarlyStop, EarlyStopSpec, Interruption, TimeLimit


def stopped_at(losses, **values) -> int | None:
    """Return after which evaluation, counted from 1, a run stops."""
    stop = EarlyStop(EarlyStopSpec.build(values))
    return next((number for number, loss in enumerate(losses, 1) if stop.update(loss)), None)


# --- early stop ------------------------------------------------------------------------------------------------------


def test_patience_counts_evaluations_in_a_row_without_a_better_loss():
    losses = [3.0, 2.0, 2.1, 2.2, 1.9, 1.9, 2.0, 1.95, 1.0]
    assert stopped_at(losses, patience=3) == 8
    assert stopped_at(losses, patience=4) is None
    assert stopped_at([3.0, 3.0], patience=1) == 2
    assert stopped_at([3.0], patience=1) is None


def test_min_delta_asks_for_a_step_below_the_best():
    falling = [3.0 - 0.01 * n for n in range(20)]
    assert stopped_at(falling, patience=3) is None
    assert stopped_at(falling, patience=3, min_delta=0.5) == 4
    assert stopped_at(falling, patience=3, min_delta=0.015) is None  # every second one is 0.02 below the best


def test_target_is_reached_from_above_and_exactly():
    assert stopped_at([3.0, 2.0, 1.0], target_loss=2.0) == 2
    assert stopped_at([3.0, 2.01], target_loss=2.0) is None
    assert stopped_at([3.0, 3.0, 1.0], target_loss=2.0, patience=1) == 2


def test_a_loss_that_is_not_finite_is_no_better():
    assert stopped_at([3.0, math.nan, math.inf, 2.0], patience=2) == 3
    assert stopped_at([math.nan, 2.0, math.nan], patience=2) is None


def test_the_reason_says_which():
    stop = EarlyStop(EarlyStopSpec(patience=2, target_loss=0.5))
    assert stop.reason is None
    for loss in (1.0, 1.5, 1.25):
        stop.update(loss)
    assert stop.reason == "no better validation loss than 1.0000 in 2 evaluations"
    stop = EarlyStop(EarlyStopSpec(target_loss=0.5))
    assert stop.update(0.25)
    assert stop.reason == "validation loss 0.2500 has reached target_loss 0.5"


@given(
    st.lists(st.floats(-5, 5) | st.just(math.nan), max_size=30),
    st.integers(0, 30),
    st.integers(1, 5),
    st.floats(0, 1),
    st.none() | st.floats(-5, 0),
)
def test_a_resumed_run_stops_where_the_whole_one_does(losses, cut, patience, delta, target):
    spec = EarlyStopSpec(patience=patience, min_delta=delta, target_loss=target)
    whole = EarlyStop(spec)
    decisions = [whole.update(loss) for loss in losses]
    first, second = EarlyStop(spec), EarlyStop(spec)
    begun = [first.update(loss) for loss in losses[:cut]]
    second.load_state_dict(json.loads(json.dumps(first.state_dict(), allow_nan=False)))
    assert begun + [second.update(loss) for loss in losses[cut:]] == decisions
    assert second.reason == whole.reason


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "neither patience nor target_loss is set; set one, or leave early_stop out"),
        ({"target_loss": 1, "min_delta": 0.1}, "min_delta 0.1 has no meaning without patience; set patience"),
        ({"patience": 0}, r"patience: Input should be greater than 0 \(got 0\)"),
        ({"patience": 1, "min_delta": -1}, "min_delta: Input should be greater than or equal to 0"),
        ({"target": 1}, r"target is not a field \(known: min_delta, patience, target_loss\)"),
    ],
)
def test_refusals_name_the_field(values, message):
    with pytest.raises(UserError, match=message):
        EarlyStopSpec.build(values)


# --- time ------------------------------------------------------------------------------------------------------------


def test_the_time_before_a_resume_counts():
    now = [1000.0]
    limit = TimeLimit(2, before=50, clock=lambda: now[0])
    assert (limit.seconds, limit.over) == (50, False)
    now[0] += 69
    assert not limit.over
    now[0] += 1
    assert (limit.seconds, limit.over) == (120, True)


def test_no_limit_is_never_over():
    now = [0.0]
    limit = TimeLimit(None, clock=lambda: now[0])
    now[0] = 1e12
    assert not limit.over


# --- signals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", Interruption.SIGNALS, ids=lambda number: number.name)
def test_a_signal_becomes_a_flag_and_the_handlers_come_back(number):
    heard = []
    before = signal.signal(number, lambda *_: heard.append("before"))
    try:
        with Interruption() as interruption:
            assert interruption.received is None
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)  # a launcher hands on what the whole group has got already
            assert interruption.received is number
        assert heard == []
        os.kill(os.getpid(), number)
        assert heard == ["before"]
        assert interruption.received is number
    finally:
        signal.signal(number, before)


def test_handlers_come_back_after_an_error_too():
    before = [signal.getsignal(number) for number in Interruption.SIGNALS]
    with pytest.raises(RuntimeError), Interruption():
        assert [signal.getsignal(number) for number in Interruption.SIGNALS] != before
        raise RuntimeError
    assert [signal.getsignal(number) for number in Interruption.SIGNALS] == before


def test_in_another_thread_nothing_is_set():
    before = [signal.getsignal(number) for number in Interruption.SIGNALS]
    seen = []

    def work():
        with Interruption() as interruption:
            seen.append([signal.getsignal(number) for number in Interruption.SIGNALS] == before)
            seen.append(interruption.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [True, None]


def test_a_process_that_is_told_to_end_finishes_its_step_and_asks_to_be_continued():
    code = (
        "import sys, time\n"
        "from hubkit.training.stopping import EX_TEMPFAIL, Interruption\n"
        "with Interruption() as interruption:\n"
        "    print('ready', flush=True)\n"
        "    while interruption.received is None: time.sleep(0.01)\n"
        "    print('saved', interruption.received.name, flush=True)\n"
        "sys.exit(EX_TEMPFAIL)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.read() == "saved SIGTERM\n"
    assert process.wait(30) == EX_TEMPFAIL == os.EX_TEMPFAIL
