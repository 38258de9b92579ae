"""Starts the processes of a run: as many as `accelerate launch` would, and with what it would tell them.

Its own launcher dies of a signal and leaves the processes behind, or turns each of their exit statuses into 1. Here
signals are passed on, and the status says what happened: 0, 75 (a scheduler wants the machine and shall start the same
command again: see :data:`hubkit.training.stopping.EX_TEMPFAIL`), or that of the first process that failed.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hubkit.ending import exit_status
from hubkit.errors import UserError
from hubkit.training.stopping import EX_TEMPFAIL

PASSED_ON = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)
_PATIENCE, _LONG_PATIENCE, _MERCY = 5.0, 60.0, 10.0
"""Seconds that the others get to end by themselves once a process has failed, and once one has heard a signal; and
after they are told to."""

Main = Callable[[Sequence[str]], int]


def launch(module: str, main: Main, arguments: Sequence[str]) -> int:
    """Run a module in as many processes as accelerate's configuration, or else the number of GPUs, says.

    Args:
        module: Its name, for processes of their own.
        main: What it runs, for a single one, which is this: it gets every signal, and nobody changes its status.
        arguments: Of the command line.

    Returns:
        The exit status.

    Raises:
        UserError: accelerate's configuration can't be used.
    """
    told = _configured(module, arguments)
    several = told.use_deepspeed or told.use_fsdp or told.multi_gpu
    if several and not told.cpu:
        return _run([sys.executable, "-m", module, *arguments], _environments(told))
    from accelerate.utils.launch import prepare_simple_launcher_cmd_env

    os.environ.update(prepare_simple_launcher_cmd_env(told)[1])
    return main(arguments)


def _configured(module: str, arguments: Sequence[str]) -> Namespace:
    """Return what `accelerate launch` would go by."""
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    # What it assumes where nothing is configured is right, and worth no remark.
    logging.getLogger("accelerate.commands.launch").setLevel(logging.ERROR)
    try:
        told, defaults, _ = _validate_launch_command(launch_command_parser().parse_args(["-m", module, *arguments]))
    except ValueError as error:
        raise UserError(f"accelerate's configuration: {error}; run `accelerate config`") from None
    if told.tpu or told.use_megatron_lm or (defaults and defaults.compute_environment == "AMAZON_SAGEMAKER"):
        raise UserError(
            f"accelerate's configuration is for a machine of another kind; run `accelerate launch -m {module}`"
        )
    fields = getattr(defaults, "deepspeed_config", None) or ()
    told.deepspeed_fields_from_accelerate_config = ",".join(fields)
    return told


def _environments(told: Namespace) -> list[dict[str, str]]:
    """Return the environment of each process on this machine, as torch.distributed reads it.

    Raises:
        UserError: DeepSpeed is asked for and not installed, or the processes can't be shared out over the machines.
    """
    from accelerate.utils import is_deepspeed_available
    from accelerate.utils.launch import prepare_deepspeed_cmd_env, prepare_multi_gpu_env
    from accelerate.utils.other import get_free_port

    machines, machine = told.num_machines or 1, int(told.machine_rank or 0)
    if told.num_processes % machines:
        raise UserError(f"num_processes: {told.num_processes} is not a multiple of the {machines} machines; change one")
    if told.use_deepspeed and not is_deepspeed_available():
        raise UserError("accelerate's configuration asks for DeepSpeed, which is not installed; pip install deepspeed")
    here = told.num_processes // machines
    if machines == 1 and not told.main_process_port:
        told.main_process_port = get_free_port()
    told.deepspeed_multinode_launcher = "standard"  # each machine starts its own
    common = prepare_deepspeed_cmd_env(told)[1] if told.use_deepspeed else prepare_multi_gpu_env(told)
    common |= {
        "MASTER_ADDR": "127.0.0.1" if machines == 1 else str(told.main_process_ip),
        "MASTER_PORT": str(told.main_process_port),
        "WORLD_SIZE": str(told.num_processes),
        "LOCAL_WORLD_SIZE": str(here),
    }
    return [common | {"RANK": str(machine * here + local), "LOCAL_RANK": str(local)} for local in range(here)]


def _run(command: Sequence[str], environments: Sequence[dict[str, str]]) -> int:
    """Run a command in several environments, pass signals on to its processes, and return the status of the whole."""
    processes: list[subprocess.Popen[Any]] = []
    try:
        with _passing_on(processes) as passed:
            for environment in environments:
                # In a group of its own each: so a signal to ours comes to each just once.
                processes.append(subprocess.Popen(command, env=environment, process_group=0))
                for number in tuple(passed):  # before this one was there
                    processes[-1].send_signal(number)
            while any(process.poll() is None for process in processes) and not _is_over(processes, passed):
                time.sleep(0.05)
            failed = _failed(processes, passed)
            # Without one of them, the others may wait for it for ever.
            _end(processes, _PATIENCE if failed is not None else _LONG_PATIENCE)
    finally:  # where a signal ends this process that is not passed on, such as a terminal's that closes
        _end(processes, 0)
    if failed is None:
        failed = _failed(processes, passed | {signal.SIGTERM, signal.SIGKILL})
    if failed is not None:
        return exit_status(failed)
    return 0 if all(process.returncode == 0 for process in processes) else EX_TEMPFAIL


def _is_over(processes: Sequence[subprocess.Popen[Any]], passed: set[int]) -> bool:
    """Tell whether one has ended from which it follows that the others should."""
    ended = {process.returncode for process in processes} - {None}
    return bool(ended) if passed else not ended <= {0, EX_TEMPFAIL}


def _failed(processes: Sequence[subprocess.Popen[Any]], told: set[int]) -> int | None:
    """Return the status of a process that failed, if one did.

    One that died of a signal that it was told is no failure: it had not yet learnt to hear it, and nothing is lost.
    """
    fine = {None, 0, EX_TEMPFAIL, *(-number for number in told if number != signal.SIGINT)}
    # Of several, a death by a signal (a negative status) is the cause of the others' broken connections.
    return min((process.returncode for process in processes if process.returncode not in fine), default=None)


@contextmanager
def _passing_on(processes: Sequence[subprocess.Popen[Any]]) -> Iterator[set[int]]:
    """Pass signals on inside ``with``; gives the set of those that came."""
    passed: set[int] = set()

    def pass_on(number: int, _: object) -> None:
        passed.add(number)
        for process in processes:
            if process.poll() is None:
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in PASSED_ON}
    try:
        yield passed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end(processes: Sequence[subprocess.Popen[Any]], patience: float) -> None:
    """Wait some seconds for processes to end by themselves; those that don't are told to, then made to."""
    for seconds, tell in ((patience, subprocess.Popen.terminate), (_MERCY, subprocess.Popen.kill)):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and any(process.poll() is None for process in processes):
            time.sleep(0.05)
        for process in processes:
            if process.poll() is None:
                tell(process)
    for process in processes:
        process.wait()
