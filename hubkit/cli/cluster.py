"""What `hubkit build` does with `--executor slurm` and `--executor ray`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.cli.output import next_step, progress_bar, say, show_json
from hubkit.errors import UserError

if TYPE_CHECKING:
    from hubkit.corpora.manifest import Manifest
    from hubkit.corpora.registry import Corpus


class Executor(StrEnum):
    """Where a build runs."""

    local = "local"
    slurm = "slurm"
    ray = "ray"


def build_on_cluster(
    corpus: "Corpus",
    out: Path,
    executor: Executor,
    tasks: int | None,
    at_once: int | None,
    slurm: list[str],
    ray: list[str],
    wait: bool,
    **how: Any,
) -> "Manifest | None":
    """Build a corpus on a cluster.

    Args:
        corpus: What to make.
        out: Where; on a disk that all machines see.
        executor: Which kind of cluster.
        tasks: Into how many tasks to divide the work.
        at_once: How many of them run at a time.
        slurm: Assignments (see :class:`hubkit.corpora.cluster.options.SlurmOptions`).
        ray: Assignments (see :class:`hubkit.corpora.cluster.options.RayOptions`).
        wait: Wait for Slurm's jobs; or else print their ids.
        how: What :func:`hubkit.corpora.build.begin` takes.

    Returns:
        The manifest; nothing if the jobs are left to themselves.

    Raises:
        UserError: Whatever stops the build, and options of the other executor.
    """
    from hubkit.corpora.build import begin, build
    from hubkit.corpora.cluster.options import RayOptions, SlurmOptions

    check_options(executor, tasks, at_once, slurm, ray, wait)
    slurm_options, ray_options = SlurmOptions.parse(slurm), RayOptions.parse(ray)
    begin(corpus, out, **how)
    if executor == Executor.ray:
        from hubkit.corpora.cluster.ray import run_ray

        with progress_bar("done") as progress:
            run_ray(out, tasks, at_once, ray_options, progress)
    elif not _on_slurm(out, tasks, at_once, slurm_options, wait):
        return None
    return build(corpus, out, **how)  # nothing is left to do but to check the folder and to sweep it


def check_options(
    executor: Executor, tasks: int | None, at_once: int | None, slurm: list[str], ray: list[str], wait: bool
) -> None:
    """Refuse options of `hubkit build` that would have no effect, or an impossible one.

    Raises:
        UserError: Names the option and the executor that it belongs to.
    """
    for option, given, owner in (("--slurm", slurm, Executor.slurm), ("--ray", ray, Executor.ray)):
        if given and executor != owner:
            raise UserError(f"{option} {given[0]}: an option of --executor {owner}, and this is {executor}")
    if not wait and executor != Executor.slurm:
        raise UserError(f"--no-wait: an option of --executor slurm, and this is {executor}")
    if tasks is not None and executor == Executor.local:
        raise UserError("--tasks: an option of --executor slurm and ray; a local build has --workers")
    if tasks is not None and tasks < 1:
        raise UserError(f"tasks: {tasks} is less than one")
    if at_once is not None and at_once < 1:
        raise UserError(f"workers: {at_once} is less than one")


def _on_slurm(out: Path, tasks: int | None, at_once: int | None, options: Any, wait: bool) -> bool:
    """Submit, and wait if told to; tell whether the build is finished."""
    from hubkit.corpora.cluster.slurm import submit
    from hubkit.corpora.cluster.slurm import wait as wait_for

    jobs = submit(out, tasks, at_once, options)
    if jobs:
        say(f"jobs: {', '.join(f'{stage} {number}' for stage, number in jobs.items())}")
    if jobs and not wait:
        show_json(jobs)
        next_step(f"squeue --jobs={','.join(jobs.values())}; the same command without --no-wait waits for the end")
        return False
    try:
        with progress_bar("done") as progress:
            wait_for(out, jobs, progress)
    except KeyboardInterrupt:
        say(
            f"the jobs go on without this command: see them with squeue --jobs={','.join(jobs.values())}, end them "
            f"with scancel {' '.join(jobs.values())}"
        )
        raise
    return True
