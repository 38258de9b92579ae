"""A quickstart, run as a user would, whose Hub the tests then look at with unmodified clients."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
HUBKIT = BIN / "hubkit"


@dataclass(frozen=True)
class Chain:
    """What the quickstart left, and the environment of a client."""

    command: list[str]
    stdout: str
    stderr: str
    folder: Path
    root: Path
    environment: dict[str, str]

    @property
    def bin(self) -> Path:
        """Folder of the installed commands."""
        return BIN

    def hubkit(self, *arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run(HUBKIT, *arguments, **options)

    def run(self, *command: object, **options: object) -> subprocess.CompletedProcess[str]:
        """Run a command as a client of the chain's Hub."""
        settings = {"cwd": self.folder, "env": self.environment, "capture_output": True, "text": True, "timeout": 280}
        return subprocess.run([str(part) for part in command], **(settings | options))

    def python(self, code: str) -> str:
        """Run Python code in a process that can't import hubkit; return what it printed."""
        blocked = "import sys; sys.modules['hubkit'] = None\n"
        done = self.run(sys.executable, "-c", blocked + code)
        assert done.returncode == 0, done.stderr
        return done.stdout


def clean_environment(home: Path) -> dict[str, str]:
    """Return this process's environment without a Hub in it, and with an empty home."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUBKIT_"))}
    return kept | {"HOME": str(home), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture(scope="module", params=["brief", pytest.param("complete", marks=pytest.mark.soak)])
def chain(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp("quickstart")
    environment = clean_environment(folder) | {"HUBKIT_HUB": str(folder / "hub")}
    command = [str(HUBKIT), "quickstart", "--folder", "run", *(["--brief"] if request.param == "brief" else [])]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert subprocess.run([HUBKIT, "hub", "status"], env=environment, capture_output=True).returncode == 3
    started = subprocess.run([HUBKIT, "hub", "start", "--port", "0"], env=environment, capture_output=True, text=True)
    assert started.returncode == 0, started.stderr
    lines = subprocess.run([HUBKIT, "hub", "env"], env=environment, capture_output=True, text=True).stdout.splitlines()
    exported = dict(line.removeprefix("export ").split("=", 1) for line in lines)
    yield Chain(command, done.stdout, done.stderr, folder, folder / "hub", environment | exported)
    subprocess.run([HUBKIT, "hub", "stop"], env=environment, check=True, capture_output=True)
