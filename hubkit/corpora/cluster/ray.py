"""A build on Ray: a stage after the other, each task in a process of its own, failed ones again."""

import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from hubkit.corpora.cluster.failures import failure_of, forget_failures
from hubkit.corpora.cluster.options import RayOptions
from hubkit.corpora.cluster.queue import check_no_jobs
from hubkit.corpora.cluster.shares import Share, cluster_folder, progress_of, settle_marks, shares
from hubkit.corpora.job import Job
from hubkit.corpora.layout import LOCK
from hubkit.corpora.manifest import MANIFEST
from hubkit.corpora.plan import read_plan
from hubkit.errors import UserError

Progress = Callable[[str, int, int], None]


def run_ray(
    folder: Path,
    tasks: int | None = None,
    at_once: int | None = None,
    options: RayOptions | None = None,
    progress: Progress = lambda what, done, total: None,
) -> None:
    """Do what is left of a build that :func:`hubkit.corpora.build.begin` has begun, manifest and all.

    Args:
        folder: The corpus folder, on a disk that all machines see.
        tasks: Into how many tasks to divide a stage; None is one a shard, up to 100.
        at_once: How many of them may run at a time; None is as many as there is room for.
        options: Which cluster, what to set aside for a task, how often to try.
        progress: Hears of pieces and rows as they are made.

    Raises:
        UserError: Ray or datatrove is missing, the cluster has no room for a task, or a task failed for good.
    """
    options = options or RayOptions()
    folder = folder.absolute()
    if (folder / MANIFEST).exists():
        return
    job = Job(folder, read_plan(folder))
    cluster_folder(job).mkdir(exist_ok=True)
    try:
        with FileLock(job.work / LOCK, timeout=0):
            check_no_jobs(folder)
            with _cluster(options):
                while left := shares(job, tasks):
                    _run(job, left[0], tasks, at_once, options, progress)
    except Timeout:
        raise UserError(f"{folder} is being built by another process; wait for it") from None


def _run(
    job: Job, share: Share, tasks: int | None, at_once: int | None, options: RayOptions, progress: Progress
) -> None:
    """Run one stage until nothing of it is left."""
    forget_failures(job.folder, share.stage)
    for _ in range(1 + options.retries):
        settle_marks(job, share)
        with _watched(job, share.stage, progress):
            _executor(job, share, at_once, options).run()
        again = next(iter(shares(job, tasks)), None)
        if again is None or again.stage != share.stage:
            return
        share = again
        failure = failure_of(job.folder, share.stage, share.left[0])
        if failure and failure.hopeless:
            break
    else:
        failure = failure_of(job.folder, share.stage, share.left[0])
    why = failure.message if failure else "its process was killed, perhaps for want of memory"
    log = share.folder(job) / "logs" / f"task_{share.left[0]:05d}.log"
    raise UserError(
        f"{share.stage}: task {share.left[0]} of {share.tasks} failed: {why}\nlog: {log}\n"
        "Mend that; the same command runs what is missing"
    )


def _executor(job: Job, share: Share, at_once: int | None, options: RayOptions) -> Any:
    from datatrove.executor import RayPipelineExecutor
    from loguru import logger

    from hubkit.corpora.cluster.steps import StageStep

    logger.disable("datatrove")  # here; the tasks keep logs
    return RayPipelineExecutor(
        [StageStep(job.folder, share.stage, apart=True)],
        tasks=share.tasks,
        workers=at_once or -1,
        cpus_per_task=options.cpus_per_task,
        mem_per_cpu_gb=options.memory_gb,
        logging_dir=str(share.folder(job)),
    )


@contextmanager
def _cluster(options: RayOptions) -> Iterator[None]:
    """Be connected to a cluster that has room for a task; one that was connected before stays so."""
    # Ray would otherwise run every worker through `uv run`, or count what it does for its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import datatrove.executor.ray  # noqa: F401

        ray: Any = import_module("ray")
    except ImportError as error:
        raise UserError(f"executor: ray needs {error.name}, which is not installed; pip install hubkit[ray]") from None
    ours = not ray.is_initialized()
    if ours:
        try:
            ray.init(address=options.address, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"address: can't reach Ray ({error}); give --ray address=HOST:PORT, or leave it out to use this machine"
            ) from None
    try:
        _check_room(ray.cluster_resources(), options)
        yield
    finally:
        if ours:
            ray.shutdown()


def _check_room(here: Mapping[str, float], options: RayOptions) -> None:
    """Refuse tasks that no cluster of this size could ever start: datatrove would wait for ever."""
    cpus, memory = here.get("CPU", 0), here.get("memory", 0) / (1 << 30)
    if options.cpus_per_task > cpus:
        raise UserError(
            f"cpus_per_task: {options.cpus_per_task} is more than the {cpus:g} of the whole cluster; lower it"
        )
    if options.memory_gb * options.cpus_per_task > memory:
        raise UserError(
            f"memory_gb: {options.memory_gb:g} a processor is more than the {memory:.1f} of the whole cluster; lower it"
        )


@contextmanager
def _watched(job: Job, stage: str, progress: Progress, seconds: float = 1.0) -> Iterator[None]:
    """Tell how far a stage is while the block runs it."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(seconds):
            with suppress(OSError):
                progress(stage, *progress_of(job, stage))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    try:
        yield
    finally:
        over.set()
        watcher.join()
