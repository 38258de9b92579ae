"""`hubkit space run` by real processes and signals: the app never outlives whoever serves it."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from hubkit.demo import RunningSpace, running
from hubkit.errors import UserError

HUBKIT = Path(sys.executable).parent / "hubkit"
PATIENCE = 20.0

SERVE = """
import os, sys
from http.server import HTTPServer, SimpleHTTPRequestHandler
import beside
print("app", os.getpid(), __name__, sys.argv, os.path.basename(__file__), "hubkit" in sys.modules, flush=True)
HTTPServer(("127.0.0.1", int(os.environ["GRADIO_SERVER_PORT"])), SimpleHTTPRequestHandler).serve_forever()
"""


def space(folder, before=""):
    """Write a Space that is quick to start; `before` runs first."""
    (folder / "app.py").write_text(before + SERVE)
    (folder / "beside.py").write_text("")
    return folder


@contextmanager
def served(folder: Path, log: Path, *prefix: object) -> Iterator[tuple[subprocess.Popen, int]]:
    """Run `hubkit space run`; gives its process, and the id of the app's."""
    command = [*map(str, prefix), str(HUBKIT), "space", "run", str(folder)]
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        wait_until(lambda: "Ctrl-C stops it" in log.read_text() or process.poll() is not None)
        app = re.search(r"^app (\d+)", log.read_text(), re.MULTILINE)
        assert app, log.read_text()
        yield process, int(app[1])
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def wait_until(condition) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it did not come to be so"
        time.sleep(0.02)


def alive(number: int) -> bool:
    """Tell whether a process runs; a dead one that nobody has waited for does not."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks at processes under /proc")


@linux
@pytest.mark.parametrize(
    ("number", "status"),
    [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 0), (signal.SIGKILL, -9)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_app_ends_with_whoever_serves_it(number, status, tmp_path):
    with served(space(tmp_path), tmp_path / "log") as (process, app):
        process.send_signal(number)
        assert process.wait(PATIENCE) == status
        if number == signal.SIGKILL:
            wait_until(lambda: not alive(app))
        assert not alive(app), "it is waited for, so that its port is free"
        assert "Traceback" not in (tmp_path / "log").read_text()


@linux
def test_an_app_that_is_deaf_to_signals_is_made_to_end(tmp_path, monkeypatch):
    monkeypatch.setattr(running, "_PATIENCE", 0.2)
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    with RunningSpace(space(tmp_path, deaf), log=tmp_path / "log") as served:
        assert alive(served.process.pid)
    assert not alive(served.process.pid)
    assert served.wait() == 137


def test_the_app_finds_what_it_would_by_itself(tmp_path):
    with RunningSpace(space(tmp_path), log=tmp_path / "log"):
        said = (tmp_path / "log").read_text().splitlines()[0]
    assert said.partition(" ")[2].partition(" ")[2] == "__main__ ['app.py'] app.py False"


@pytest.mark.parametrize(
    ("last", "why"),
    [
        ("import sys; sys.exit('space.json: no model')", "status 1: space.json: no model"),
        ("import os; os.kill(os.getpid(), 9)", "status 137"),
    ],
    ids=["refused", "killed"],
)
def test_an_app_that_ends_by_itself_is_told_with_its_status(last, why, tmp_path):
    (tmp_path / "app.py").write_text(last)
    with pytest.raises(UserError, match=rf"^the Space ended by itself with {re.escape(why)}$"):
        RunningSpace(tmp_path, log=tmp_path / "log")


def test_the_command_ends_with_the_status_of_an_app_that_was_killed(tmp_path):
    with served(space(tmp_path), tmp_path / "log") as (process, app):
        os.kill(app, signal.SIGKILL)
        assert process.wait(PATIENCE) == 137
