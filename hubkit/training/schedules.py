"""Learning rates over the steps, in closed form: the rate of a step hangs on its number alone, never on a state.

Each schedule is a factor of the base rate. With W steps of warm-up and N steps in all, at step t = 0, 1, …:

=======================  ===============================================================================================
warm-up, t < W           s + (1−s)·t/W, with s = `warmup_from`; for ``one_step`` (t+1)/W
``constant``             1
``linear``               r + (1−r)·(N−t)/(N−W), with r = `minimum`
``cosine``               r + ½(1−r)(1 + cos πp), p = (t−W)/(N−W)   (Loshchilov and Hutter, arXiv 1608.03983)
``cosine_restarts``      shrinkⁿ·(r + ½(1−r)(1 + cos πT/period)), with t−W = n·period + T   (the same, section 3)
``warmup_stable_decay``  1, then r + (1−r)·(N−t)/C over the last C steps   (Hu and others, arXiv 2404.06395)
=======================  ===============================================================================================

From step N on, the rate stays where the schedule ends, so that it never rises again. ``constant``, ``linear`` and
``cosine`` equal those of transformers to the bit.
"""

import math
from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator

from hubkit.errors import UserError
from hubkit.specs import Spec

if TYPE_CHECKING:
    import torch

_ONLY = {
    "minimum": ("linear", "cosine", "cosine_restarts", "warmup_stable_decay"),
    "period": ("cosine_restarts",),
    "shrink": ("cosine_restarts",),
    "cooldown": ("warmup_stable_decay",),
}
"""Fields that not every schedule looks at, with those that do."""


class ScheduleSpec(Spec):
    """The learning rate over the steps; warm-up goes with every schedule."""

    name: Literal["constant", "linear", "cosine", "cosine_restarts", "warmup_stable_decay"] = "linear"
    warmup_steps: Annotated[int, Field(ge=0)] = 0
    warmup_from: Annotated[float, Field(ge=0, le=1)] | Literal["one_step"] = 0.0
    """Share of the learning rate in the first step, from which it rises evenly and is whole in step `warmup_steps`.
    ``one_step`` is 1 / `warmup_steps`, and the rate is whole one step earlier: no step is made in vain."""
    minimum: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Share of the learning rate at the end; with restarts, at the end of the first period."""
    period: Annotated[int, Field(gt=0)] | None = None
    """Steps from one restart to the next."""
    shrink: Annotated[float, Field(gt=0, le=1)] = 1.0
    """What each restart multiplies the rates by."""
    cooldown: Annotated[int, Field(strict=True, gt=0)] | Annotated[float, Field(gt=0, lt=1)] = 0.15
    """Steps (3000) or share of all steps (0.15) over which the rate falls at the end."""

    @model_validator(mode="after")
    def _fields_fit_the_name(self) -> Self:
        for field, names in _ONLY.items():
            value = getattr(self, field)
            if self.name not in names and value != type(self).model_fields[field].default:
                raise ValueError(f"{field} {value} has no meaning for {self.name}; it belongs to {', '.join(names)}")
        if self.name == "cosine_restarts" and self.period is None:
            raise ValueError("period is missing; cosine_restarts needs the steps from one restart to the next")
        if self.warmup_from != 0 and self.warmup_steps == 0:
            raise ValueError(f"warmup_from {self.warmup_from} has no meaning without warm-up; set warmup_steps")
        return self

    @property
    def is_endless(self) -> bool:
        """Whether the rate of each step of a run is the same whatever its length."""
        return self.name in ("constant", "cosine_restarts")

    def check(self, steps: int) -> None:
        """Refuse a schedule that does not fit into a run.

        Args:
            steps: Optimizer steps of the whole run.

        Raises:
            UserError: The warm-up, or warm-up and cool-down together, take longer than the run.
        """
        if self.warmup_steps >= steps:
            raise UserError(
                f"schedule.warmup_steps {self.warmup_steps} is not less than steps {steps}; lower it, or raise steps"
            )
        if self.name == "warmup_stable_decay" and self.warmup_steps + self._cooldown_steps(steps) > steps:
            raise UserError(
                f"schedule.cooldown {self.cooldown} and warmup_steps {self.warmup_steps} together are more than "
                f"steps {steps}; lower one, or raise steps"
            )

    def factor(self, step: int, steps: int) -> float:
        """Return the share of the learning rate at a step.

        Args:
            step: Optimizer steps made before it; 0 is the first. From `steps` on, the end of the schedule.
            steps: Optimizer steps of the whole run, for which :meth:`check` finds nothing.
        """
        if step < self.warmup_steps:
            if self.warmup_from == "one_step":
                return (step + 1) / self.warmup_steps
            return self.warmup_from + (1 - self.warmup_from) * (step / self.warmup_steps)
        step = min(step, steps)
        if self.name == "constant":
            return 1.0
        if self.name == "cosine_restarts":
            return self._restarting(step - self.warmup_steps, ended=step == steps)
        falling = self._cooldown_steps(steps) if self.name == "warmup_stable_decay" else steps - self.warmup_steps
        if self.name == "cosine":
            return self._between(_cosine((step - self.warmup_steps) / falling))
        return self._between(min(1.0, (steps - step) / falling))

    def _restarting(self, step: int, ended: bool) -> float:
        assert self.period is not None  # the validator's doing
        cycle, within = divmod(step, self.period)
        if ended and within == 0 and cycle > 0:  # the restart that would come next does not
            cycle, within = cycle - 1, self.period
        return self.shrink**cycle * self._between(_cosine(within / self.period))

    def _between(self, share: float) -> float:
        """Return the factor that lies a share of the way from `minimum` up to 1."""
        return self.minimum + (1 - self.minimum) * share

    def _cooldown_steps(self, steps: int) -> int:
        if isinstance(self.cooldown, int):
            return self.cooldown
        return max(1, round(self.cooldown * steps))


def _cosine(progress: float) -> float:
    """Return half a wave of the cosine: 1 at 0, 0 at 1."""
    return 0.5 * (1 + math.cos(math.pi * progress))


def rate(spec: ScheduleSpec, step: int, steps: int, base: float) -> float:
    """Return the learning rate of a step.

    Args:
        spec: The schedule.
        step: Optimizer steps made before it; 0 is the first.
        steps: Optimizer steps of the whole run.
        base: The learning rate that the schedule varies.
    """
    return base * spec.factor(step, steps)


def make_scheduler(
    optimizer: "torch.optim.Optimizer", spec: ScheduleSpec, steps: int
) -> "torch.optim.lr_scheduler.LambdaLR":
    """Return a scheduler of torch; its `step()` belongs after each optimizer step.

    Its state is a count of steps: a checkpoint can be taken up by a run of other length, whose schedule then counts.

    Args:
        optimizer: Its groups' learning rates are what the schedule varies.
        spec: The schedule.
        steps: Optimizer steps of the whole run.

    Raises:
        UserError: The schedule does not fit into so many steps.
    """
    from torch.optim.lr_scheduler import LambdaLR

    spec.check(steps)
    return LambdaLR(optimizer, lambda step: spec.factor(step, steps))
