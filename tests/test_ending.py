"""A signal to end unwinds a process, once, and only where nobody else handles it."""

import os
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from hubkit.ending import ENDS, call, exit_status, orderly_end


@contextmanager
def handled(number, handler):
    """Have a signal handled in some way inside ``with``."""
    before = signal.signal(number, handler)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", ENDS, ids=lambda number: number.name)
def test_a_signal_unwinds_and_its_status_is_a_shells(number):
    with handled(number, signal.SIG_DFL):
        with pytest.raises(SystemExit) as ended, orderly_end():
            os.kill(os.getpid(), number)
        assert ended.value.code == 128 + number
        assert signal.getsignal(number) == signal.SIG_DFL


def test_a_second_signal_does_not_cut_the_tidying_off():
    tidied = False
    default = handled(signal.SIGTERM, signal.SIG_DFL), handled(signal.SIGHUP, signal.SIG_DFL)
    with default[0], default[1], pytest.raises(SystemExit) as ended, orderly_end():
        try:
            os.kill(os.getpid(), signal.SIGHUP)
        finally:
            os.kill(os.getpid(), signal.SIGTERM)
            os.kill(os.getpid(), signal.SIGHUP)
            tidied = True
    assert tidied
    assert ended.value.code == 128 + signal.SIGHUP


def test_what_nohup_ignores_stays_ignored():
    with handled(signal.SIGHUP, signal.SIG_IGN), orderly_end():
        os.kill(os.getpid(), signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


def test_a_handler_of_somebody_else_stays():
    came = []
    with handled(signal.SIGTERM, lambda number, frame: came.append(number)), orderly_end():
        os.kill(os.getpid(), signal.SIGTERM)
    assert came == [signal.SIGTERM]


def test_in_another_thread_nothing_changes():
    seen = []

    def work():
        with orderly_end():
            seen.append(signal.getsignal(signal.SIGTERM))

    before = signal.getsignal(signal.SIGTERM)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize(("code", "status"), [("raise SystemExit(3)", 3), ("import os; os.kill(os.getpid(), 9)", 137)])
def test_the_status_of_a_process_is_a_shells(code, status):
    assert exit_status(subprocess.run([sys.executable, "-S", "-c", code]).returncode) == status


COMMAND = """
import os, signal, sys, time
def end(number, frame):
    # Past Python's buffer: the signal may come while "ready" is being flushed, which lets nobody else print.
    os.write(1, f"told by {{signal.Signals(number).name}}\\n".encode())
    sys.exit(0)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, {handler})
print("ready", flush=True)
time.sleep(60)
print("not told")
"""
CALL = """
import sys
from hubkit import ending
ending._HEARD, ending._PATIENCE = 0.2, float(sys.argv[2])
with ending.orderly_end():
    ending.call([sys.executable, "-S", "-c", sys.argv[1]])
"""


@pytest.mark.parametrize(
    ("number", "status", "heard"),
    [
        (signal.SIGTERM, 143, "SIGTERM"),
        (signal.SIGHUP, 129, "SIGTERM"),
        (signal.SIGINT, -signal.SIGINT, "SIGINT"),
    ],
    ids=["SIGTERM", "SIGHUP", "SIGINT"],
)
def test_a_command_that_is_called_ends_before_its_caller(number, status, heard):
    command = [sys.executable, "-c", CALL, COMMAND.format(handler="end"), "60"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as caller:
        assert caller.stdout is not None and caller.stdout.readline() == "ready\n"
        caller.send_signal(number)
        assert caller.stdout.read() == f"told by {heard}\n"
    assert caller.returncode == status


def test_a_command_that_is_deaf_is_killed():
    command = [sys.executable, "-c", CALL, COMMAND.format(handler="signal.SIG_IGN"), "0.2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as caller:
        assert caller.stdout is not None and caller.stdout.readline() == "ready\n"
        caller.terminate()
        assert caller.stdout.read() == ""  # which ends with the last process that could write
    assert caller.returncode == 143


def test_a_call_returns_the_status():
    assert call([sys.executable, "-S", "-c", "raise SystemExit(3)"]) == 3
    assert call(["sh", "-c", "kill -9 $$"]) == 137
