"""A build as a chain of Slurm job arrays: each stage waits for the one before, and the last writes the manifest.

The chain needs nobody to watch it. A task that fails puts itself back into the queue, alone, a few times; machines that
break down do the same for their tasks. What is over is over for good: the same submission again takes what is left.
"""

import json
import shlex
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hubkit.corpora.cluster.failures import failure_of, forget_failures
from hubkit.corpora.cluster.options import SlurmOptions
from hubkit.corpora.cluster.queue import JOBS, ask, queued, states, submitted
from hubkit.corpora.cluster.shares import Share, cluster_folder, progress_of, settle_marks, shares
from hubkit.corpora.job import Job
from hubkit.corpora.layout import LOCK
from hubkit.corpora.manifest import MANIFEST
from hubkit.corpora.plan import read_plan
from hubkit.corpora.stages import STAGES
from hubkit.errors import UserError
from hubkit.files import write_atomic

Progress = Callable[[str, int, int], None]

GRACE_SECONDS = 60.0
"""How long a file that another machine has written may take to be seen here."""

_MENDS = {
    "TIMEOUT": "its time was up: the same command goes on from here, best with more time (--slurm time=…) or tasks",
    "OUT_OF_MEMORY": "its memory was too small: give more (--slurm mem_per_cpu=…)",
    "CANCELLED": "it was cancelled",
    "NODE_FAIL": "its machine broke down",
}


def submit(
    folder: Path, tasks: int | None = None, at_once: int | None = None, options: SlurmOptions | None = None
) -> dict[str, str]:
    """Submit what is left of a build that :func:`hubkit.corpora.build.begin` has begun.

    Args:
        folder: The corpus folder, on a disk that all machines see.
        tasks: Into how many tasks to divide a stage; None is one a shard, up to 100.
        at_once: How many of them may run at a time; None leaves it to Slurm.
        options: Retries, interpreter, and what sbatch is told.

    Returns:
        The job id of each stage that is in the queue, in order; of an earlier submission, if that is still there.
        Nothing at all if the build is finished.

    Raises:
        UserError: There is no Slurm or no datatrove here, Slurm refuses the jobs, or somebody else is submitting.
    """
    options = options or SlurmOptions()
    folder = folder.absolute()
    if (folder / MANIFEST).exists():
        return {}
    job = Job(folder, read_plan(folder))
    cluster_folder(job).mkdir(exist_ok=True)
    try:
        with FileLock(job.work / LOCK, timeout=0):
            jobs = submitted(folder)
            waiting = queued(jobs.values()) if jobs else {}
            if waiting and STAGES[-1] in jobs:
                return jobs
            if waiting:  # half a chain: who submitted it was killed
                ask("scancel", *waiting)
            return _launch(job, shares(job, tasks), at_once, options)
    except Timeout:
        raise UserError(f"{folder} is being built or submitted by another process; wait for it") from None


def wait(folder: Path, jobs: Mapping[str, str], progress: Progress = lambda what, done, total: None) -> None:
    """Wait until jobs have left the queue, and make sure that they finished the build. Jobs survive an interrupt.

    Args:
        folder: The corpus folder.
        jobs: From :func:`submit`.
        progress: Hears of pieces and rows as they are made.

    Raises:
        UserError: A task failed for good; the message says which and why, and where its log is. Or Slurm is gone.
    """
    folder = folder.absolute()
    if (folder / MANIFEST).exists():
        return
    job, began = Job(folder, read_plan(folder)), time.monotonic()
    while waiting := queued(jobs.values()):
        stage = next(stage for stage, number in jobs.items() if number in waiting)
        tasks = waiting[jobs[stage]]
        running = sum(state in ("RUNNING", "COMPLETING") for state in tasks)
        with suppress(OSError):  # the last job removes what tells how far the build is
            progress(f"{stage} ({running} running, {len(tasks) - running} queued)", *progress_of(job, stage))
        # Often at first, for short jobs; then seldom, for the sake of everybody else's Slurm.
        time.sleep(min(10.0, 0.5 + (time.monotonic() - began) / 30))
    _make_sure(job, jobs)


def _make_sure(job: Job, jobs: Mapping[str, str]) -> None:
    """Check that jobs which are over have finished the build."""
    deadline = time.monotonic() + GRACE_SECONDS
    while not (job.folder / MANIFEST).exists():
        failed = _failed(job, jobs)
        if failed is not None:
            raise failed
        if time.monotonic() > deadline:
            raise UserError(
                f"{job.folder} has no {MANIFEST}, and none of the jobs {', '.join(jobs.values())} says that it failed; "
                f"do their machines see the same disk? Their logs are in {cluster_folder(job)}"
            )
        time.sleep(1)


def _launch(job: Job, left: list[Share], at_once: int | None, options: SlurmOptions) -> dict[str, str]:
    """Submit each stage after the one before."""
    jobs: dict[str, str] = {}
    most, share = options.max_array or _max_array(), left[0]
    try:
        for share in left:
            settle_marks(job, share)
            forget_failures(job.folder, share.stage)
            executor = _executor(job, share, at_once, options, most, next(reversed(jobs.values()), None))
            executor.launch_job()
            jobs[share.stage] = str(executor.job_id)
            write_atomic(job.work / JOBS, json.dumps(jobs))
    except BaseException as error:
        if jobs:  # half a chain would make a second one run beside it
            ask("scancel", *jobs.values())
        if not isinstance(error, subprocess.CalledProcessError):
            raise
        raise UserError(
            f"sbatch refused the {share.stage} job (status {error.returncode}; it has said why): change the --slurm "
            "options it complains of; nothing is left in the queue"
        ) from None
    return jobs


def _executor(job: Job, share: Share, at_once: int | None, options: SlurmOptions, most: int, after: str | None) -> Any:
    """Return datatrove's executor of one stage."""
    try:
        from loguru import logger

        from hubkit.corpora.cluster.steps import SlurmStage, StageStep
    except ImportError as error:
        raise UserError(
            f"executor: slurm needs datatrove ({error.name} is missing); pip install hubkit[cluster]"
        ) from None
    logger.disable("datatrove")  # here; the tasks keep logs
    defaults: Any = dict.fromkeys(("partition", "time", "qos"), None)
    return SlurmStage(
        [StageStep(job.folder, share.stage, apart=False)],
        tasks=share.tasks,
        workers=at_once or -1,
        job_name=f"hubkit-{share.stage}",
        env_command=_preamble(job, share, options),
        sbatch_args={"open-mode": "append", "kill-on-invalid-dep": "yes"} | options.sbatch,
        max_array_size=most,
        tasks_per_job=-(-len(share.left) // most),
        depends_job_id=after,
        logging_dir=str(share.folder(job)),
        with_srun=False,
        requeue_signals=None,  # datatrove's handler would put back the whole array
        **defaults,
    )


def _preamble(job: Job, share: Share, options: SlurmOptions) -> str:
    """Return what the batch script does first: choose the environment, and say what happens at the end."""
    # A task puts back itself by its place in the array: the job id of one of them is also the name of the whole array.
    # A shell that a signal ends, because the time is up or somebody cancels the job, calls that status 0: it must
    # neither clean up what is not finished, nor put back what was cancelled.
    manifest, work = shlex.quote(str(job.folder / MANIFEST)), shlex.quote(str(job.work))
    well = f"[ ! -e {manifest} ] || rm -rf {work}" if share.stage == STAGES[-1] else ":"
    return f"""export PATH={shlex.quote(str(options.python.absolute().parent))}:"$PATH"
finish() {{
  status=$?
  set +x
  if [ $status -eq 0 ]; then
    {well}
  elif [ $status -ne 78 ] && [ "${{SLURM_RESTART_COUNT:-0}}" -lt {options.retries} ]; then
    echo "hubkit: ended with status $status; queued again"
    scontrol requeue "${{SLURM_ARRAY_JOB_ID}}_$SLURM_ARRAY_TASK_ID"
  fi
}}
trap finish EXIT
trap 'trap - EXIT; exit 143' TERM"""


def _max_array() -> int:
    """Return how many jobs an array may have here."""
    lines = ask("scontrol", "show", "config").splitlines()
    sizes = [line.partition("=")[2] for line in lines if line.startswith("MaxArraySize")]
    return int(sizes[0]) if sizes else 1001


def _failed(job: Job, jobs: Mapping[str, str]) -> UserError | None:
    """Return what to say of the first task that failed; nothing if none did."""
    for stage, number in jobs.items():
        bad = {index: state for index, state in states(number).items() if state != "COMPLETED"}
        if not bad:
            continue
        index, state = next(iter(sorted(bad.items())))
        share, rank = _task(job, stage, index)
        log = share / "slurm_logs" / f"{number}_{index}.out"
        noted = failure_of(job.folder, stage, rank)
        why = noted.message if noted else _last_lines(log)
        mend = _MENDS.get(state.split("+")[0], "")
        return UserError(
            f"{stage}: task {rank} failed (job {number}_{index}, {state}{f': {mend}' if mend else ''}), {len(bad)} of "
            f"its jobs did: {why}\nlog: {log}\nMend that; the same command submits what is missing"
        )
    return None


def _task(job: Job, stage: str, index: int) -> tuple[Path, int]:
    """Return the folder of a stage's last submission, and the first of the ranks that its array's job had to do."""
    found = cluster_folder(job).glob(f"{stage}-*/ranks_to_run.json")
    newest = max(found, key=lambda path: path.stat().st_mtime_ns)
    ranks = json.loads(newest.read_bytes())
    executor = json.loads((newest.parent / "executor.json").read_bytes())
    mine = ranks[index * executor["tasks_per_job"] : (index + 1) * executor["tasks_per_job"]]
    noted = [rank for rank in mine if failure_of(job.folder, stage, rank)]
    return newest.parent, (noted or mine)[0]


def _last_lines(log: Path, count: int = 3) -> str:
    """Return the end of a log, without what the shell says it does."""
    try:
        lines = log.read_text(errors="replace").splitlines()
    except OSError:
        return "it left no log"
    return " / ".join([line for line in lines if line.strip() and not line.startswith("+")][-count:])
