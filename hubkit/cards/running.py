"""Runs the snippets of a card as a reader would: a new process, no token, an empty cache.

This is no sandbox. The code of the card runs with the rights of whoever asked for it.
"""

import os
import re
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_SECRET = re.compile(r"TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIAL|API_?KEY|ACCESS_KEY|^AWS_|_AUTH$|COOKIE", re.I)
_PLACE = re.compile(r'File "[^"]*snippet\.py", line (\d+)')
_NAME_ERROR = re.compile(r"^NameError:", re.MULTILINE)


@dataclass(frozen=True)
class Failure:
    """Why a snippet did not run."""

    line: int | None
    """Line of the snippet, from 1, if it is known."""
    reason: str
    is_name: bool = False
    """Whether it lacked a name, which an earlier snippet may define."""


def run_snippet(code: str, home: Path, seconds: float) -> Failure | None:
    """Run Python code in a process of its own.

    Args:
        code: The program.
        home: A folder that is its home, its cache and its working directory; snippets of one card share it.
        seconds: It is killed after that, with all that it started.

    Returns:
        None where it ended with status 0.
    """
    script = home / "snippet.py"
    script.write_text(code, encoding="utf-8")
    work = home / "work"
    work.mkdir(exist_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-I", script],
        cwd=work,
        env=environment(home),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _, errors = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return Failure(None, f"it had not ended after {seconds:g} s")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    return _failure(process.returncode, errors.decode("utf-8", "replace")) if process.returncode else None


def environment(home: Path) -> dict[str, str]:
    """Return the environment of a stranger: this one's, without secrets, and with a home of its own."""
    kept = {name: value for name, value in os.environ.items() if not _SECRET.search(name)}
    own = {
        "HOME": str(home),
        "HF_HOME": str(home / "huggingface"),
        "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "XDG_CACHE_HOME": str(home / "cache"),
        "MPLBACKEND": "Agg",
    }
    moved = {"HF_HUB_CACHE", "HF_DATASETS_CACHE", "HF_ASSETS_CACHE", "HF_XET_CACHE", "HF_MODULES_CACHE"}
    return {name: value for name, value in kept.items() if name not in moved} | own


def _failure(status: int, errors: str) -> Failure:
    """Return what the last lines of a traceback say."""
    from hubkit.hub_errors import redact

    lines = [line for line in errors.splitlines() if line.strip()]
    places = _PLACE.findall(errors)
    said = next((line for line in reversed(lines) if re.match(r"[\w.]+(Error|Exception|Interrupt|Exit)\b", line)), "")
    said = said or (lines[-1] if lines else f"it ended with status {status}")
    if status < 0:
        said = f"it was killed by signal {-status}"
    return Failure(int(places[-1]) if places else None, redact(said)[:300], bool(_NAME_ERROR.search(errors)))
