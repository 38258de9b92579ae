"""A signal to end stops a command together with what it started."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from hubkit.server import process

HUBKIT = Path(sys.executable).with_name("hubkit")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_a_quickstart_takes_its_hub_along(number, tmp_path):
    command = [HUBKIT, "quickstart", "--root", tmp_path / "hub", "--folder", tmp_path / "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as quickstart:
        assert quickstart.stderr is not None
        assert quickstart.stderr.readline().startswith("Hub       http://127.0.0.1:")
        assert process.status(tmp_path / "hub") is not None
        quickstart.send_signal(number)
        assert quickstart.wait(30) == 128 + number
        assert "Traceback" not in quickstart.stderr.read()
    assert process.status(tmp_path / "hub") is None


@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 0), (signal.SIGHUP, 129), (signal.SIGINT, 0)],
    ids=["SIGTERM", "SIGHUP", "SIGINT"],
)
def test_a_hub_in_the_foreground_leaves_no_record_of_itself(number, status, tmp_path):
    command = [HUBKIT, "hub", "serve", "--root", tmp_path / "hub", "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as hub:
        assert hub.stderr is not None
        assert hub.stderr.readline().startswith("serving ")
        hub.send_signal(number)
        assert hub.wait(30) == status
        assert hub.stderr.read() == ""
    assert not (tmp_path / "hub" / "server.json").exists()
