"""A Slurm of one machine for tests: its daemons, its state and its ports are its own, and go with the test."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hubkit.ports import free_port

PATIENCE = 30
"""Seconds in which the daemons must come up, or come to rest."""

CONF = """\
ClusterName=test
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SlurmdParameters=config_overrides
SchedulerParameters=sched_interval=1,bf_interval=1
EnforcePartLimits=ALL
ReturnToService=2
KillWait=5
NodeName=localhost NodeAddr=127.0.0.1 NodeHostname={host} CPUs=4 RealMemory=16000
PartitionName=main Nodes=localhost Default=YES
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A running Slurm, which `sbatch` of this process and of its children finds; its folder."""
    missing = [name for name in ("slurmctld", "slurmd", "sbatch") if not shutil.which(name)]
    if missing or getpass.getuser() != "root":
        pytest.skip(f"no {missing[0]} here" if missing else "Slurm's daemons want to be root")
    folder = tmp_path_factory.mktemp("slurm")
    for name in ("state", "spool"):
        (folder / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    conf = CONF.format(folder=folder, controller=free_port(0), node=free_port(0), host=host)
    (folder / "slurm.conf").write_text(conf)
    patch = pytest.MonkeyPatch()
    patch.setenv("SLURM_CONF", str(folder / "slurm.conf"))
    daemons = []
    try:
        for name in ("slurmctld", "slurmd"):
            with (folder / f"{name}.out").open("w") as log:
                daemons.append(subprocess.Popen([name, "-D", "-c"], stdout=log, stderr=log, env=dict(os.environ)))
        _until(lambda: _said("sinfo", "-h", "-o", "%T") == "idle", "Slurm came up")
        yield folder
        clear_queue()  # daemons that are stopped before their jobs leave them running
    finally:
        for daemon in daemons:
            daemon.terminate()
        for daemon in daemons:
            daemon.wait(PATIENCE)
        patch.undo()


def clear_queue() -> None:
    """Cancel what is in the queue, and wait until it has gone."""
    _said("scancel", "--user", getpass.getuser())
    _until(lambda: not _said("squeue", "--noheader"), "the jobs ended")


def _said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True).stdout.strip()


def _until(condition, what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)
