"""The losses of steps, which stay on the device until somebody asks for them: a copy makes the host wait for it."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch.distributed.tensor import DTensor

from hubkit.errors import UserError
from hubkit.training.losses import reduced

if TYPE_CHECKING:
    from accelerate import Accelerator

    from hubkit.data.batches import Batches


class StepLosses:
    """Losses of the steps since the last log."""

    def __init__(self, accelerator: "Accelerator", training: "Batches", fp16: bool, left: Callable[[], str]):
        """Begin with none.

        Args:
            accelerator: Of the run.
            training: What the steps read, for messages.
            fp16: Whether gradients are scaled.
            left: Returns what there is to go on from, for messages.
        """
        self._accelerator, self._training, self._fp16, self._left = accelerator, training, fp16, left
        self.fetched: list[float] = []
        """Of the first of these steps, as far as they have been taken from the device."""
        self._waiting: list[torch.Tensor] = []
        """Of the steps after those: loss, asked tokens and norm of the gradient, float32 (3,) on the device."""

    def __bool__(self) -> bool:
        return bool(self.fetched or self._waiting)

    def add(self, loss_and_asked: torch.Tensor, norm: Any) -> None:
        """Note a step.

        Args:
            loss_and_asked: float32 (2,), from :func:`hubkit.training.losses.add_gradients`.
            norm: Of the gradient, before it was clipped: a number or a tensor of one.
        """
        norm = norm.full_tensor() if isinstance(norm, DTensor) else torch.as_tensor(norm)
        norm = norm.to(loss_and_asked.device).float()
        self._waiting.append(torch.cat([loss_and_asked, norm.reshape(1)]))

    def fetch(self, step: int) -> None:
        """Take losses from the device, as means over the processes; seldom, because the device must finish first.

        Args:
            step: Steps done.

        Raises:
            UserError: One is not finite, or nothing was asked in a step. So it is found before the next checkpoint,
                and the last one is good.
        """
        if not self._waiting:
            return
        rows = reduced(self._accelerator, torch.stack(self._waiting), "mean").tolist()
        for number, (loss, asked, norm) in enumerate(rows, start=step - len(rows) + 1):
            if not asked:
                raise UserError(
                    f"step {number} asks for no token ({self._read(number)}): what should be learnt is not in them; "
                    "look at objective and dataset, or raise training.batch_size"
                )
            if not math.isfinite(loss):
                raise self._diverged("loss", loss, number)
            # In fp16 a gradient overflows now and then: accelerate leaves that step out and lowers its scale.
            if not math.isfinite(norm) and not self._fp16:
                raise self._diverged("norm of the gradient", norm, number)
            self.fetched.append(loss)
        self._waiting = []

    def take_mean(self) -> float:
        """Return the mean of what was fetched, and begin anew."""
        mean = math.fsum(self.fetched) / len(self.fetched)
        self.fetched = []
        return mean

    def _read(self, step: int) -> str:
        return f"sequences {self._training.described(step - 1)}"

    def _diverged(self, what: str, value: float, step: int) -> UserError:
        return UserError(
            f"the {what} is {value} at step {step} ({self._read(step)}); lower training.learning_rate, lengthen "
            f"training.schedule.warmup_steps or use training.precision=fp32; {self._left()}"
        )
