"""Builds on a real Slurm and a real Ray: the same rows as on one machine, whatever dies on the way."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from filelock import FileLock

from hubkit.cli.cluster import Executor, build_on_cluster
from hubkit.corpora.build import begin, build
from hubkit.corpora.cluster.failures import failure_noted, failure_of
from hubkit.corpora.cluster.options import RayOptions, SlurmOptions
from hubkit.corpora.cluster.queue import JOBS, submitted
from hubkit.corpora.cluster.ray import run_ray
from hubkit.corpora.cluster.shares import DEFAULT_TASKS, Share, progress_of, settle_marks, shares
from hubkit.corpora.cluster.slurm import _preamble, submit, wait
from hubkit.corpora.job import Job
from hubkit.corpora.layout import WORK
from hubkit.corpora.plan import read_plan
from hubkit.corpora.registry import Corpus, find
from hubkit.corpora.shards import finished_record, record_path
from hubkit.corpora.stages import run_stage
from hubkit.errors import UserError

from .folders import content
from .slurm import clear_queue, slurm

__all__ = ["slurm"]

MORTAL = Path(__file__).parent / "data" / "mortal.py"
SHARD_ROWS = 2048
"""Five shards of the training split, of which the third holds its middle, and one of the test split."""


@pytest.fixture(scope="module")
def mortal() -> Corpus:
    return find(str(MORTAL))


@pytest.fixture(scope="module")
def local(tmp_path_factory, mortal) -> Path:
    folder = tmp_path_factory.mktemp("local") / "corpus"
    build(mortal, folder, workers=1, shard_rows=SHARD_ROWS)
    return folder


@pytest.fixture(scope="module")
def fates(tmp_path_factory) -> Iterator[Path]:
    """The folder of :func:`fate`, which processes that are started later also know of."""
    folder = tmp_path_factory.mktemp("fate")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MORTAL_DIES", str(folder / "dies"))
        patch.setenv("MORTAL_FAILS", str(folder / "fails"))
        yield folder


@pytest.fixture
def fate(fates) -> Iterator[Path]:
    """A folder; a file `dies` or `fails` in it is what the builder dies or fails of, on any machine."""
    yield fates
    for file in fates.iterdir():
        file.unlink()


@pytest.fixture
def begun(tmp_path, mortal) -> Job:
    begin(mortal, tmp_path / "corpus", SHARD_ROWS)
    return Job(tmp_path / "corpus", read_plan(tmp_path / "corpus"))


def prepared(job: Job) -> Job:
    for stage in ("pieces", "join"):
        run_stage(job.folder, stage)
    return job


@pytest.fixture(autouse=True)
def quiet(request) -> Iterator[None]:
    """No test finds another's jobs in the queue, failed as that one may have."""
    yield
    if "slurm" in request.fixturenames:
        clear_queue()


def of_slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


# --- what is left ----------------------------------------------------------------------------------------------------


def test_a_new_build_has_everything_left(begun):
    assert shares(begun, 2) == [
        ("pieces", 2, [0, 1]), ("join", 1, [0]), ("shards", 2, [0, 1]), ("manifest", 1, [0]),
    ]  # fmt: skip
    assert [share.tasks for share in shares(begun, None)] == [2, 1, DEFAULT_TASKS, 1]
    assert progress_of(begun, "pieces") == (0, 2)
    assert progress_of(begun, "shards") == (0, 1)


def test_of_a_build_under_way_only_what_is_missing_is_left(begun):
    run_stage(begun.folder, "pieces", rank=0, world=3)
    assert shares(begun, 3)[0] == ("pieces", 2, [1])
    prepared(begun)
    run_stage(begun.folder, "shards", rank=1, world=4)
    assert shares(begun, 4) == [("shards", 4, [0, 2, 3]), ("manifest", 1, [0])]
    assert shares(begun, 99)[0] == ("shards", 6, [0, 2, 3, 4])
    assert progress_of(begun, "shards") == (2048 + 100, 9100)
    for stage in ("shards", "manifest"):
        run_stage(begun.folder, stage)
    assert shares(begun, 4) == []


def test_a_shard_that_was_lost_unmarks_its_task(begun):
    run_stage(prepared(begun).folder, "shards")
    record_path(begun.folder, begun.shards[1]).unlink()
    share = shares(begun, 3)[0]
    assert share == ("shards", 3, [1])
    marks = share.folder(begun) / "completions"
    marks.mkdir(parents=True)
    for rank in range(3):
        (marks / f"{rank:05d}").touch()
    settle_marks(begun, share)
    assert sorted(mark.name for mark in marks.iterdir()) == ["00000", "00002"]


def test_tasks_must_be_some(begun):
    with pytest.raises(UserError, match="tasks: 0 is less than one"):
        shares(begun, 0)


def test_failures_are_noted_and_forgotten(tmp_path):
    with pytest.raises(UserError), failure_noted(tmp_path, "shards", 3):
        raise UserError("rows: too many; take fewer")
    assert failure_of(tmp_path, "shards", 3) == (True, "rows: too many; take fewer")
    with pytest.raises(ZeroDivisionError), failure_noted(tmp_path, "shards", 3):
        _ = 1 / 0
    failure = failure_of(tmp_path, "shards", 3)
    assert failure is not None and not failure.hopeless and "in test_failures_are_noted" in failure.message
    with failure_noted(tmp_path, "shards", 3):
        pass
    assert failure_of(tmp_path, "shards", 3) is None


# --- what a user may say ---------------------------------------------------------------------------------------------


def test_options_that_are_not_ours_are_those_of_sbatch():
    options = SlurmOptions.parse(["partition=main", "time=1:30:00", "mem_per_cpu=4G", "retries=5", "exclusive"])
    assert options.retries == 5
    assert options.sbatch == {"partition": "main", "time": "1:30:00", "mem-per-cpu": "4G", "exclusive": ""}


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("array=0-3", "array is set by the build itself; leave it out"),
        ("retries=-1", "retries"),
        ("time=1\n#SBATCH --wrap=x", "is no option of sbatch"),
        ("=3", "is no option of sbatch"),
    ],
)
def test_impossible_options_are_refused(assignment, message):
    with pytest.raises(UserError, match=message):
        SlurmOptions.parse([assignment])


def test_unknown_options_of_ray_are_refused():
    assert RayOptions.parse(["cpus_per_task=2", "memory_gb=0.5"]) == RayOptions(cpus_per_task=2, memory_gb=0.5)
    with pytest.raises(UserError, match=r"partition is not a field .*known: .*address"):
        RayOptions.parse(["partition=main"])


@pytest.mark.parametrize(
    ("executor", "tasks", "slurm_options", "ray_options", "waits", "message"),
    [
        (Executor.local, 3, [], [], True, "--tasks: .*a local build has --workers"),
        (Executor.local, None, ["partition=x"], [], True, "--slurm partition=x: an option of --executor slurm"),
        (Executor.slurm, None, [], ["address=x"], True, "--ray address=x: an option of --executor ray"),
        (Executor.ray, None, [], [], False, "--no-wait: an option of --executor slurm"),
        (Executor.slurm, 0, [], [], True, "tasks: 0 is less than one"),
    ],
)
def test_options_without_effect_are_refused(
    tmp_path, mortal, executor, tasks, slurm_options, ray_options, waits, message
):
    with pytest.raises(UserError, match=message):
        build_on_cluster(mortal, tmp_path / "c", executor, tasks, None, slurm_options, ray_options, waits)
    assert not (tmp_path / "c").exists()


def test_no_tasks_at_a_time_are_refused(tmp_path, mortal):
    with pytest.raises(UserError, match="workers: 0 is less than one"):
        build_on_cluster(mortal, tmp_path / "c", Executor.slurm, None, 0, [], [], True)
    assert not (tmp_path / "c").exists()


def test_where_there_is_no_slurm_the_message_says_so(begun, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match=r"there is no scontrol here; .*--executor local"):
        submit(begun.folder)


def test_where_datatrove_is_missing_the_message_names_the_extra(begun, monkeypatch):
    monkeypatch.setitem(sys.modules, "datatrove.executor", None)
    monkeypatch.delitem(sys.modules, "hubkit.corpora.cluster.steps", raising=False)
    with pytest.raises(UserError, match=r"slurm needs datatrove .*pip install hubkit\[cluster\]"):
        submit(begun.folder, options=SlurmOptions(max_array=9))
    with pytest.raises(UserError, match=r"ray needs datatrove.*pip install hubkit\[ray\]"):
        run_ray(begun.folder)


# --- a real Slurm ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_slurm_makes_what_one_machine_does_though_a_task_is_killed(slurm, tmp_path, mortal, local, fate):
    folder = tmp_path / "a 9%u %A corpus"  # the shell sees the spaces, and sbatch the signs for a user and a job
    begin(mortal, folder, SHARD_ROWS)
    (fate / "dies").touch()
    jobs = submit(folder, tasks=3)
    assert list(jobs) == ["pieces", "join", "shards", "manifest"]
    with pytest.raises(KeyboardInterrupt):
        wait(folder, jobs, interrupt)
    assert submit(folder, tasks=2) == submitted(folder) == jobs  # they are still there, so these are waited for
    seen = []
    wait(folder, jobs, lambda what, done, total: seen.append((what.split()[0], done, total)))
    assert not (fate / "dies").exists()
    restarts = re.findall(
        r"ArrayTaskId=(\d+) .*?Restarts=(\d)", of_slurm("scontrol", "-o", "show", "job", jobs["shards"])
    )
    assert sorted(restarts) == [("0", "0"), ("1", "0"), ("2", "1")]  # the third shard's task, and no other
    assert ("shards", 9100) in {(stage, total) for stage, _, total in seen}
    assert content(folder) == content(local)
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert submit(folder) == {}
    wait(folder, {})


def interrupt(what: str, done: int, total: int) -> None:
    raise KeyboardInterrupt


@pytest.mark.slow
def test_what_fails_on_slurm_is_told_and_only_that_is_submitted_again(slurm, begun, mortal, local, fate):
    prepared(begun)
    (fate / "fails").write_text("user")
    jobs = submit(begun.folder, tasks=3, at_once=2)
    assert list(jobs) == ["shards", "manifest"]
    with pytest.raises(UserError, match="the middle is not to be had; ask for another") as caught:
        wait(begun.folder, jobs)
    assert re.search(rf"shards: task 2 failed \(job {jobs['shards']}_2, FAILED\), 1 of its jobs did", str(caught.value))
    log = Path(re.search("^log: (.*)$", str(caught.value), re.MULTILINE)[1])
    assert "hubkit: rows: the middle is not to be had" in log.read_text()
    assert "Restarts=1" not in of_slurm("scontrol", "-o", "show", "job", jobs["shards"])  # it would fail the same
    (fate / "fails").unlink()
    done = shares(begun, 3)
    assert done == [("shards", 3, [2]), ("manifest", 1, [0])]
    manifest = build_on_cluster(mortal, begun.folder, Executor.slurm, 3, None, [], [], True, shard_rows=SHARD_ROWS)
    assert manifest is not None and content(begun.folder) == content(local)


@pytest.mark.slow
def test_a_submission_that_slurm_refuses_leaves_nothing_behind(slurm, begun, capfd):
    with pytest.raises(UserError, match=r"sbatch refused the pieces job .* change the --slurm options"):
        submit(begun.folder, options=SlurmOptions.parse(["partition=nowhere"]))
    assert "invalid partition" in capfd.readouterr().err
    assert submitted(begun.folder) == {}
    assert of_slurm("squeue", "--noheader") == ""


@pytest.mark.slow
def test_jobs_that_nobody_waits_for_are_named_and_missed_when_they_vanish(slurm, begun, mortal, capsys):
    later = ["begin=now+1hour"]
    made = build_on_cluster(mortal, begun.folder, Executor.slurm, 1, None, later, [], False, shard_rows=SHARD_ROWS)
    assert made is None
    jobs = json.loads(capsys.readouterr().out)
    assert list(jobs) == ["pieces", "join", "shards", "manifest"] and jobs == submitted(begun.folder)
    assert set(of_slurm("squeue", "--noheader", "--format=%F").split()) == set(jobs.values())
    for here in (lambda: build(mortal, begun.folder, shard_rows=SHARD_ROWS), lambda: run_ray(begun.folder)):
        with pytest.raises(UserError, match=rf"is being built by Slurm's jobs {', '.join(jobs.values())}: the same"):
            here()
    of_slurm("scancel", *jobs.values())
    with pytest.raises(UserError, match=r"pieces: task 0 failed \(job \d+_0, CANCELLED: it was cancelled\)"):
        wait(begun.folder, jobs)


@pytest.mark.slow
def test_half_a_chain_of_a_submission_that_was_killed_makes_way(slurm, begun):
    half = submit(begun.folder, tasks=1, options=SlurmOptions.parse(["begin=now+1hour"]))
    of_slurm("scancel", half.pop("manifest"))
    (begun.work / JOBS).write_text(json.dumps(half))
    whole = submit(begun.folder, tasks=1, options=SlurmOptions.parse(["begin=now+1hour"]))
    assert set(of_slurm("squeue", "--noheader", "--format=%F").split()) == set(whole.values())
    assert not set(whole.values()) & set(half.values())


def test_where_slurm_can_not_be_asked_its_jobs_are_not_disturbed(begun, mortal, monkeypatch):
    monkeypatch.setenv("PATH", "")
    (begun.folder / WORK / "cluster").mkdir()
    (begun.folder / WORK / JOBS).write_text('{"pieces": "17"}')
    with pytest.raises(UserError, match=r"by Slurm's jobs 17, and whether they are over .* or delete .*jobs\.json"):
        build(mortal, begun.folder, shard_rows=SHARD_ROWS)


def test_a_build_that_a_process_is_making_is_not_submitted(begun):
    with (
        FileLock(begun.work / "lock"),
        pytest.raises(UserError, match="is being built or submitted by another process"),
    ):
        submit(begun.folder)
    with FileLock(begun.work / "lock"), pytest.raises(UserError, match="is being built by another process"):
        run_ray(begun.folder)


@pytest.mark.parametrize("ends", ["by itself", "by a signal"])
def test_a_last_job_that_is_stopped_removes_nothing(begun, tmp_path, monkeypatch, ends):
    """A shell that is ended by a signal runs its last words with status 0."""
    share = Share("manifest", 1, [0])
    (tmp_path / "scontrol").write_text("#!/bin/sh\ntouch requeued\n")
    (tmp_path / "scontrol").chmod(0o755)
    options = SlurmOptions(python=tmp_path / "python", retries=9)
    work = "sleep 600 & wait" if ends == "by a signal" else "exit 0"
    script = f"{_preamble(begun, share, options)}\ntouch {tmp_path}/started\n{work}\n"
    with subprocess.Popen(["bash", "-c", script], cwd=tmp_path, start_new_session=True) as shell:
        while shell.poll() is None and not (tmp_path / "started").exists():
            time.sleep(0.01)
        if ends == "by a signal":
            os.killpg(shell.pid, signal.SIGTERM)
    assert shell.returncode == (143 if ends == "by a signal" else 0)
    assert (begun.work / "plan.json").exists()
    assert not (tmp_path / "requeued").exists()


@pytest.mark.soak
def test_what_slurm_stops_at_its_time_limit_the_same_command_goes_on_with(slurm, begun, mortal, local, monkeypatch):
    """Slurm looks at its clock twice a minute."""
    monkeypatch.setenv("MORTAL_PAUSE", "6")  # a minute for all
    jobs = submit(prepared(begun).folder, tasks=1, options=SlurmOptions.parse(["time=1"]))
    while not finished_record(begun.folder, begun.shards[0]):
        time.sleep(0.1)
    of_slurm("scontrol", "update", f"JobId={jobs['shards']}", "EndTime=now+1")
    with pytest.raises(UserError, match=r"task 0 failed .*TIMEOUT: its time was up: the same command goes on"):
        wait(begun.folder, jobs)
    monkeypatch.delenv("MORTAL_PAUSE")
    build_on_cluster(mortal, begun.folder, Executor.slurm, 1, None, ["time=1"], [], True, shard_rows=SHARD_ROWS)
    assert content(begun.folder) == content(local)


# --- a real Ray ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ray(fates) -> Iterator[None]:
    """A Ray of this machine with two processors to give, whatever it has."""
    ray = pytest.importorskip("ray", reason="Ray is not installed")
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    yield
    ray.shutdown()


# datatrove speaks to Ray in an older way.
of_ray = pytest.mark.filterwarnings("ignore:.*parameter is deprecated:DeprecationWarning")


@of_ray
@pytest.mark.slow
def test_ray_makes_what_one_machine_does_though_a_task_is_killed(ray, begun, mortal, local, fate):
    prepared(begun)
    (fate / "dies").touch()
    seen = []
    run_ray(begun.folder, 2, None, RayOptions(memory_gb=0.2), lambda *progress: seen.append(progress))
    assert not (fate / "dies").exists()
    assert {stage for stage, _, _ in seen} >= {"shards"}
    build(mortal, begun.folder, shard_rows=SHARD_ROWS)
    assert content(begun.folder) == content(local)


@of_ray
@pytest.mark.slow
def test_what_fails_on_ray_is_told_with_its_traceback(ray, begun, fate):
    prepared(begun)
    (fate / "fails").write_text("bug")
    with pytest.raises(UserError, match=r"shards: task 0 of 2 failed: (.|\n)*the middle is nothing"):
        run_ray(begun.folder, 2, None, RayOptions(memory_gb=0.2, retries=0))
    (fate / "fails").unlink()
    assert shares(begun, 2)[0] == ("shards", 2, [0])
    assert shares(begun, 6)[0] == ("shards", 6, [2, 4])  # the first was made before, and the other task's


@pytest.mark.slow
def test_a_task_larger_than_the_cluster_is_refused(ray, begun):
    with pytest.raises(UserError, match=r"cpus_per_task: 64 is more than the 2 of the whole cluster; lower it"):
        run_ray(begun.folder, 2, options=RayOptions(cpus_per_task=64))
    with pytest.raises(UserError, match=r"memory_gb: 1e.* is more than"):
        run_ray(begun.folder, 2, options=RayOptions(memory_gb=1e6))
