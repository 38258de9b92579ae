"""What datatrove runs. Importing this imports datatrove; its pickles name these classes, so machines need hubkit."""

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from datatrove.executor import SlurmPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.utils.stats import PipelineStats

from hubkit.corpora.cluster.rank import run_rank
from hubkit.errors import UserError

HOPELESS = 78
"""Exit status of a task that would fail the same again (the `EX_CONFIG` of sysexits.h)."""


class StageStep(PipelineStep):
    """A stage of a build as the only step of a pipeline; it reads and yields no documents."""

    name = "stage"
    type = "hubkit"

    def __init__(self, folder: Path, stage: str, apart: bool):
        """Prepare to be pickled.

        Args:
            folder: The corpus folder, absolute, on a disk that all machines see.
            stage: Which stage.
            apart: Whether each task runs in a process of its own. Where datatrove uses a pool of processes it waits
                for ever for one that is killed, and such a process does not survive being killed for want of memory.
        """
        super().__init__()
        self.folder, self.stage, self.apart = str(folder), stage, apart
        # A builder's file and the sources in its spec may be named relative to where the build was started.
        self.directory = os.getcwd()

    def run(self, data: Any = None, rank: int = 0, world_size: int = 1) -> Any:
        """Do one rank's share; returns nothing.

        Raises:
            RuntimeError: The task's process failed; why is in the folder.
            Exception: Whatever the task raised, where it runs in this process.
        """
        if not self.apart:
            os.chdir(self.directory)
            run_rank(Path(self.folder), self.stage, rank, world_size)
            return
        command = [sys.executable, "-m", "hubkit.corpora.cluster.rank", self.folder, self.stage, rank, world_size]
        with subprocess.Popen([str(part) for part in command], stdin=subprocess.PIPE, cwd=self.directory) as process:
            status = process.wait()
        if status:
            raise RuntimeError(f"task {rank} of {self.stage} ended with status {status}")


class SlurmStage(SlurmPipelineExecutor):
    """datatrove's Slurm executor, without the job that adds up statistics: a build has none."""

    def launch_merge_stats(self) -> None:
        """Launch nothing."""

    def get_sbatch_args(self, max_array: int = 1) -> dict[str, Any]:
        """Return sbatch's options by name, those left open taken out, so that the cluster's own defaults hold."""
        named = super().get_sbatch_args(max_array) | {"mem-per-cpu": None} | self._sbatch_args
        # In a name of a log % begins a pattern, as in the last part of this one; folders may have it in their names.
        logs, _, pattern = str(named["output"]).rpartition("/")
        named["output"] = named["error"] = f"{logs.replace('%', '%%')}/{pattern}"
        return {name: _quoted(str(value)) for name, value in named.items() if value is not None}

    def get_launch_file_contents(self, sbatch_args: dict[str, Any], run_script: str) -> str:
        """Return the batch script, which may lie in a folder with a space in its name."""
        program, _, pickled = run_script.partition(" ")
        return super().get_launch_file_contents(sbatch_args, f"{program} {shlex.quote(pickled)}")

    def _run_for_rank(self, rank: int, local_rank: int = 0, node_rank: int = -1) -> PipelineStats:
        try:
            return super()._run_for_rank(rank, local_rank, node_rank)
        except UserError as error:
            print(f"hubkit: {error}", file=sys.stderr)
            sys.exit(HOPELESS)


def _quoted(value: str) -> str:
    """Return a value as a line `#SBATCH --name=value` takes it."""
    return shlex.quote(value) if any(letter in value for letter in " \t'\"#") else value
