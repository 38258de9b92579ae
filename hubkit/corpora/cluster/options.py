"""What a user may say about how a build runs on a cluster."""

import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, field_validator

from hubkit.specs import Spec, apply_overrides

_OURS = {
    "array", "output", "error", "dependency", "requeue", "no-requeue", "open-mode", "parsable", "wrap", "export",
    "wait", "kill-on-invalid-dep", "ntasks", "nodes",
}  # fmt: skip
"""What a build says to sbatch itself."""


class SlurmOptions(Spec):
    """How the tasks of a build are submitted to Slurm."""

    retries: Annotated[int, Field(ge=0)] = 2
    """How often a task that failed, or whose machine did, is put back into the queue by itself."""
    max_array: Annotated[int, Field(gt=0)] | None = None
    """Jobs in one array; more tasks share jobs. None asks the cluster (its MaxArraySize)."""
    python: Path = Path(sys.executable)
    """The interpreter to use on the machines: of an environment on a disk that they see, with `hubkit[cluster]`."""
    sbatch: dict[str, str] = Field(default_factory=dict)
    """Options of sbatch by name, such as partition, time, mem-per-cpu, cpus-per-task, qos, account; an empty value is
    an option without one. What is not named is the cluster's default."""

    @field_validator("sbatch")
    @classmethod
    def _sbatch_is_free(cls, options: dict[str, str]) -> dict[str, str]:
        for name, value in options.items():
            if name in _OURS:
                raise ValueError(f"{name} is set by the build itself; leave it out")
            if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or "\n" in value:
                raise ValueError(f"{name}={value} is no option of sbatch; write name=value, such as time=02:00:00")
        return options

    @classmethod
    def parse(cls, assignments: Iterable[str]) -> Self:
        """Return options from assignments such as ``partition=main``; all that are not fields here are sbatch's.

        Raises:
            UserError: One has no value of its type, or is not to be set.
        """
        own: list[str] = []
        sbatch: dict[str, str] = {}
        for assignment in assignments:
            name, _, value = assignment.partition("=")
            if name.strip() in cls.model_fields:
                own.append(assignment)
            else:  # taken as it is: YAML 1.1 would read a time such as 1:30:00 as a number
                sbatch[name.strip().replace("_", "-")] = value.strip()
        return cls.build({"sbatch": sbatch}, own, origin="slurm")


class RayOptions(Spec):
    """How the tasks of a build run on Ray."""

    retries: Annotated[int, Field(ge=0)] = 2
    """How often tasks that failed are run again."""
    address: str | None = None
    """The cluster, such as ``auto`` or ``HOST:6379``; None is the one that RAY_ADDRESS names, or this machine."""
    cpus_per_task: Annotated[int, Field(gt=0)] = 1
    memory_gb: Annotated[float, Field(gt=0)] = 1.0
    """Memory that is set aside for each processor of a task."""

    @classmethod
    def parse(cls, assignments: Iterable[str]) -> Self:
        """Return options from assignments such as ``address=auto``.

        Raises:
            UserError: One is unknown or has no value of its type.
        """
        return cls.build(apply_overrides({}, assignments), origin="ray")
