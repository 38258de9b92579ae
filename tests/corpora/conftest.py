"""What tests of builds share: a third party's builder, and the command line as a process that can be hit."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hubkit.corpora.build import build
from hubkit.corpora.registry import Corpus, find

HUBKIT = Path(sys.executable).parent / "hubkit"
WALKS = Path(__file__).parent / "data" / "walks.py"
PATIENCE = 60
"""Seconds after which something that should happen is taken not to."""


@pytest.fixture(scope="session")
def walks() -> Path:
    """The builder file."""
    return WALKS


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Path:
    """A finished build in one process, shards of two blocks; to be looked at, not touched."""
    folder = tmp_path_factory.mktemp("finished") / "corpus"
    build(find(str(WALKS)), folder, workers=1, shard_rows=2048)
    return folder


@pytest.fixture
def corpus() -> Callable[..., Corpus]:
    """Make a corpus of walks; the first config, with these overrides."""

    def corpus(*overrides: str, limit: int | None = None) -> Corpus:
        return find(str(WALKS), overrides, limit)

    return corpus


class Command:
    """`hubkit` in a process group of its own, as a shell would start it."""

    def __init__(self, *arguments: object, cwd: Path, **environment: str):
        self.process = subprocess.Popen(
            [str(HUBKIT), *(str(argument) for argument in arguments)],
            cwd=cwd,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.stdout, self.stderr = "", ""

    def signal(self, number: signal.Signals, *, everyone: bool) -> None:
        """Send a signal to the whole group, as a terminal does, or to the command alone."""
        (os.killpg if everyone else os.kill)(self.process.pid, number)

    def finish(self) -> int:
        """Wait for the end; return the exit status."""
        self.stdout, self.stderr = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode

    def alive(self) -> list[int]:
        """Return the processes of the group that still run (a zombie that nobody has buried doesn't)."""
        group = []
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                # The name, in parentheses, may hold anything; after it come state, parent and group.
                state, _, leader = stat.read_text().rpartition(")")[2].split()[:3]
            except OSError:
                continue
            if int(leader) == self.process.pid and state != "Z":
                group.append(int(stat.parent.name))
        return group

    def wait_until(self, condition: Callable[[], object]) -> None:
        """Wait for a condition; fail if the command ends first or it takes for ever."""
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.005)

    def all_gone(self) -> None:
        """Wait until no process of the group is left."""
        self.wait_until(lambda: not self.alive())


@pytest.fixture
def command(tmp_path) -> Iterator[Callable[..., Command]]:
    """Start commands in `tmp_path`; whatever is left of them ends with the test."""
    started: list[Command] = []

    def start(*arguments: object, **environment: str) -> Command:
        started.append(Command(*arguments, cwd=tmp_path, **environment))
        return started[-1]

    yield start
    for command in started:
        if command.alive():
            os.killpg(command.process.pid, signal.SIGKILL)
        command.process.communicate()
