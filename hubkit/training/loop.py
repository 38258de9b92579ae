"""The loop: forward, backward, step; log, evaluate, checkpoint. Knows no objective, architecture or dataset by name."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader
from transformers import PreTrainedModel, get_scheduler

from hubkit.errors import UserError
from hubkit.training.checkpoints import load_checkpoint, save_checkpoint
from hubkit.training.data import Batches, HeldOut
from hubkit.training.history import History
from hubkit.training.objectives import IGNORED
from hubkit.training.recipe import TrainingSpec

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Outcome:
    """What a finished loop has to say."""

    history: History
    steps: int
    tokens: int
    """Tokens read by all processes since the first step, padding left out."""
    seconds: float
    """Wall-clock time of training since the first step, without what lies between a kill and its resume."""
    final_train_loss: float
    final_validation_loss: float


class Loop:
    """One run of one model; make it, then call :meth:`run`."""

    def __init__(
        self,
        spec: TrainingSpec,
        model: PreTrainedModel,
        training: Batches,
        validation: HeldOut,
        accelerator: Accelerator,
        folder: Path,
        identity: str,
        progress: Progress,
    ):
        """Prepare model, optimizer and schedule.

        Args:
            spec: How long and how fast.
            model: With fresh or loaded weights.
            training: This process's batches by step.
            validation: Batches in order, the same at each evaluation.
            accelerator: Device, precision, processes and trackers.
            folder: The run's folder; checkpoints go below it.
            identity: The recipe's sha256; a checkpoint of another one is refused.
            progress: Hears (what, step, steps).
        """
        self.spec, self.checkpoints, self.identity, self.progress = spec, folder / "checkpoints", identity, progress
        self.accelerator, self.training, self.validation = accelerator, training, validation
        groups = _groups(model, spec.weight_decay)
        # Fused, one kernel updates all weights: of a small model's step the separate ones take a twentieth.
        fused = accelerator.device.type in ("cpu", "cuda")
        optimizer = torch.optim.AdamW(groups, lr=spec.learning_rate, betas=spec.adam_betas, fused=fused)
        # The schedule is stepped by hand, once an optimizer step, whatever the number of processes.
        self.schedule = get_scheduler(
            spec.schedule.name, optimizer, num_warmup_steps=spec.schedule.warmup_steps, num_training_steps=spec.steps
        )
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        accelerator.register_for_checkpointing(self.schedule)
        self.history, self.step, self.tokens, self.seconds = History(), 0, 0, 0.0
        self._unlogged: list[float] = []
        """Losses of the steps since the last log, as far as they have been fetched from the device."""
        self._waiting: list[torch.Tensor] = []
        """Of the steps after those: loss and norm of the gradient, float32 of shape (2,), on the device."""

    def run(self, resume: bool = True) -> Outcome:
        """Train to the last step, from the newest checkpoint if there is one.

        Raises:
            UserError: The loss or the gradient is not finite, or a checkpoint can't be used.
        """
        if resume:
            self._restore()
        self.model.train()
        began = time.perf_counter() - self.seconds
        for batch in self._loader():
            self._train(batch)
            self.seconds = time.perf_counter() - began
            last = self.step == self.spec.steps
            if last or self.step % self.spec.log_every == 0:
                self._log()
            if last or self.step % self.spec.evaluate_every == 0:
                self._evaluate()
            if last or self.step % self.spec.checkpoint_every == 0:
                self._save()
            self.progress("training", self.step, self.spec.steps)
        train_losses, validation_losses = (self.history.series(f"{name}_loss")[1] for name in ("train", "validation"))
        return Outcome(self.history, self.step, self.tokens, self.seconds, train_losses[-1], validation_losses[-1])

    def _loader(self) -> DataLoader:
        """Return the batches from the next step on."""
        return DataLoader(
            self.training,
            batch_size=None,
            sampler=range(self.step, self.spec.steps),
            num_workers=self.spec.loader_workers,
            pin_memory=self.accelerator.device.type == "cuda",
            # Else it draws a seed from the generator that dropout draws from, once more for each resume.
            generator=torch.Generator(),
        )

    def _train(self, batch: dict[str, torch.Tensor]) -> None:
        """Make one optimizer step."""
        batch = {name: tensor.to(self.accelerator.device, non_blocking=True) for name, tensor in batch.items()}
        # The model's loss is the mean over the tokens that are asked of this process, and the processes' gradients are
        # averaged; weighted by its share of all asked tokens, the average is what one process would have.
        asked = (batch["labels"] != IGNORED).sum().float()
        share = asked * self.accelerator.num_processes / self._reduced(asked, "sum")
        loss = self.model(**batch).loss * share
        self.accelerator.backward(loss)
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.spec.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.tokens += self.training.tokens(self.step)
        self.step += 1
        self._waiting.append(torch.stack([loss.detach().float(), torch.as_tensor(norm).to(loss.device).float()]))

    def _fetch(self) -> None:
        """Take losses from the device, as means over the processes; seldom, because the device must finish first.

        Raises:
            UserError: One is not finite. So it is found before the next checkpoint, and the last one is good.
        """
        if not self._waiting:
            return
        rows = self._reduced(torch.stack(self._waiting), "mean").tolist()
        first = self.step - len(rows) + 1
        for step, (loss, norm) in enumerate(rows, start=first):
            if not math.isfinite(loss):
                raise self._diverged("loss", loss, step)
            # In fp16 a gradient overflows now and then: accelerate leaves that step out and lowers its scale.
            if not math.isfinite(norm) and self.spec.precision != "fp16":
                raise self._diverged("norm of the gradient", norm, step)
            self._unlogged.append(loss)
        self._waiting = []

    def _diverged(self, what: str, value: float, step: int) -> UserError:
        return UserError(
            f"the {what} is {value} at step {step}; lower training.learning_rate, lengthen "
            "training.schedule.warmup_steps or use training.precision=fp32; the last checkpoint is kept"
        )

    def _log(self) -> None:
        """Note the mean training loss of the steps since the last log."""
        self._fetch()
        mean = math.fsum(self._unlogged) / len(self._unlogged)
        self._unlogged = []
        rate = float(self.schedule.get_last_lr()[0])
        self.history.add(self.step, train_loss=mean, learning_rate=rate)
        measured = {"loss/train": mean, "learning_rate": rate, "tokens_per_second": self.tokens / self.seconds}
        self.accelerator.log(measured, step=self.step)

    def _evaluate(self) -> None:
        """Note the mean loss an asked token over the validation rows."""
        loss = self.validation_loss()
        self.history.add(self.step, validation_loss=loss)
        self.accelerator.log({"loss/validation": loss}, step=self.step)

    @torch.no_grad()
    def validation_loss(self) -> float:
        """Return the mean loss over all asked tokens of the validation rows, whatever the batches and processes."""
        # Unwrapped, because processes may have different numbers of batches and must not wait for each other.
        model = self.accelerator.unwrap_model(self.model)
        model.eval()
        device = self.accelerator.device
        total = torch.zeros(2, device=device, dtype=torch.float64)
        for index in range(self.accelerator.process_index, len(self.validation), self.accelerator.num_processes):
            batch = {name: tensor.to(device) for name, tensor in self.validation[index].items()}
            asked = (batch["labels"] != IGNORED).sum()
            total += torch.stack([model(**batch).loss.double() * asked, asked.double()])
        model.train()
        summed, asked = self._reduced(total, "sum").tolist()
        return summed / asked

    def _reduced(self, values: torch.Tensor, reduction: str) -> torch.Tensor:
        """Return the sum or mean of tensors over the processes."""
        reduced = self.accelerator.reduce(values, reduction=reduction)
        assert isinstance(reduced, torch.Tensor)
        return reduced

    def _save(self) -> None:
        self._fetch()
        state = {
            "recipe_sha256": self.identity,
            "history": self.history.records,
            "unlogged": self._unlogged,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        save_checkpoint(self.accelerator, self.checkpoints, self.step, state, self.spec.keep_checkpoints)

    def _restore(self) -> None:
        state: dict[str, Any] | None = load_checkpoint(self.accelerator, self.checkpoints, self.identity)
        if state is not None:
            self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
            self.history, self._unlogged = History(state["history"]), state["unlogged"]


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and embeddings; leave gains and biases alone."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
