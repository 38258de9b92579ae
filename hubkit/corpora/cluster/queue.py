"""Questions to Slurm."""

import getpass
import json
import re
import subprocess
import time
from collections.abc import Collection
from pathlib import Path

from hubkit.corpora.layout import WORK
from hubkit.errors import UserError

JOBS = "cluster/jobs.json"
"""Where in the working folder the jobs of the last submission are written down."""

PATIENCE_SECONDS = 300.0
"""How long Slurm may fail to answer before waiting for its jobs is given up; it does when it is restarted."""


def ask(*command: str) -> str:
    """Return what one of Slurm's commands prints.

    Raises:
        UserError: There is no such command here, or it fails; the message has its own.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise UserError(
            f"executor: there is no {command[0]} here; run this where jobs are submitted to Slurm from, or give "
            "--executor local"
        ) from None
    if done.returncode:
        raise UserError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def queued(jobs: Collection[str]) -> dict[str, list[str]]:
    """Return the states of those tasks of jobs that have not ended, by job.

    Raises:
        UserError: Slurm does not answer for a long time.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        try:
            lines = ask("squeue", "--noheader", "--array", f"--user={getpass.getuser()}", "--format=%F %T").splitlines()
        except UserError as error:
            if time.monotonic() > deadline or "there is no" in str(error):
                raise UserError(f"{error}; the jobs {', '.join(jobs)} go on: the same command waits again") from None
            time.sleep(5)
            continue
        found: dict[str, list[str]] = {}
        for line in lines:
            job, state = line.split()
            if job in jobs:
                found.setdefault(job, []).append(state)
        return found


def submitted(folder: Path) -> dict[str, str]:
    """Return the jobs of the last submission of the build in a folder, by stage; they may be over."""
    try:
        return json.loads((folder / WORK / JOBS).read_bytes())
    except (OSError, ValueError):
        return {}


def check_no_jobs(folder: Path) -> None:
    """Refuse to build here what Slurm's jobs are building: they and this process would sweep away each other's files.

    Raises:
        UserError: Names the jobs, or says that they can't be asked for here.
    """
    jobs = submitted(folder)
    if not jobs:
        return
    try:
        busy = [job for job in jobs.values() if job in queued(jobs.values())]
    except UserError as error:
        raise UserError(
            f"{folder} is being built by Slurm's jobs {', '.join(jobs.values())}, and whether they are over can't be "
            f"seen here ({error}); build where Slurm is, or delete {folder / WORK / JOBS} if you know that they are"
        ) from None
    if busy:
        raise UserError(
            f"{folder} is being built by Slurm's jobs {', '.join(busy)}: the same command with --executor slurm waits "
            f"for them, and scancel {' '.join(busy)} ends them"
        )


def states(job: str) -> dict[int, str]:
    """Return the state of each task of an array job that Slurm still remembers (for some minutes after its end)."""
    try:
        lines = ask("scontrol", "--oneliner", "show", "job", job).splitlines()
    except UserError:
        return {}
    found = {}
    for line in lines:
        fields = dict(re.findall(r"(\w+)=(\S*)", line))
        if fields.get("ArrayTaskId", "").isdigit():
            found[int(fields["ArrayTaskId"])] = fields["JobState"]
    return found
