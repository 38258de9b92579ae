"""Fetches a Space and serves it on this machine."""

import importlib.util
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from hubkit.ending import exit_status
from hubkit.errors import UserError
from hubkit.hub import resolve
from hubkit.hub_errors import explained
from hubkit.ports import free_port

DEFAULT_PORT = 7860
_ATTENDED = Path(__file__).with_name("attended.py")
_PATIENCE = 10.0
"""Seconds that an app which is told to end has for it."""


def fetch_space(repo: str, folder: Path, revision: str | None = None) -> Path:
    """Download a Space into a folder of its own and return the folder.

    Not from the cache: its files are links, and Python looks for an app's modules beside the file behind the link.

    Raises:
        UserError: The Hub is down, or has no such Space.
    """
    from huggingface_hub import snapshot_download

    commit = resolve(repo, revision, "space")
    with explained(repo):
        return Path(snapshot_download(repo, repo_type="space", revision=commit.revision, local_dir=folder))


class RunningSpace:
    """A Space served by a process of its own; as a context manager it stops at the end.

    That process ends with this one even if this one is killed.
    """

    def __init__(self, folder: Path, port: int | None = None, log: Path | None = None):
        """Start the Space and wait until it answers.

        Args:
            folder: With `app.py`.
            port: None takes 7860 or, where that is taken, a free one.
            log: Where its output goes; None is stderr.

        Raises:
            UserError: gradio is not installed, the port is taken, or the app ended by itself.
        """
        if importlib.util.find_spec("gradio") is None:
            raise UserError("a Space needs gradio: pip install 'hubkit[space]'")
        if not (folder / "app.py").is_file():
            raise UserError(f"{folder} is not a Space: it has no app.py")
        free = free_port(DEFAULT_PORT, 0) if port is None else free_port(port)
        if free is None:
            raise UserError(f"port: {port} is in use on 127.0.0.1; choose another with --port")
        self.url = f"http://127.0.0.1:{free}"
        settings = {
            "GRADIO_SERVER_PORT": str(free),
            "GRADIO_SERVER_NAME": "127.0.0.1",
            "GRADIO_ANALYTICS_ENABLED": "False",
            "PYTHONUNBUFFERED": "1",
        }
        output = log.open("wb") if log else sys.stderr
        self.process = subprocess.Popen(
            [sys.executable, _ATTENDED], cwd=folder, env=os.environ | settings,
            stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        if log:
            output.close()
        try:
            self._wait(log)
        except BaseException:
            self.stop()
            raise

    def _wait(self, log: Path | None, seconds: float = 120.0) -> None:
        """Wait until the page answers."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                said = log.read_text(errors="replace").strip() if log else ""
                last = f": {said.splitlines()[-1]}" if said else ""
                raise UserError(f"the Space ended by itself with status {exit_status(self.process.returncode)}{last}")
            try:
                with urllib.request.urlopen(self.url, timeout=5) as answer:  # noqa: S310
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise UserError(f"the Space did not answer at {self.url} within {seconds:.0f} seconds")

    def wait(self) -> int:
        """Wait until the app ends by itself, and return its exit status, which for a signal is 128 + its number."""
        return exit_status(self.process.wait())

    def stop(self) -> None:
        """Stop the process, gently first."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        assert self.process.stdin is not None
        self.process.stdin.close()

    def __enter__(self) -> "RunningSpace":
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()
