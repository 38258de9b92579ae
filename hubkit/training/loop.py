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
from hubkit.training.data import Batches
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
    """Tokens read by this process group since the first step, padding left out."""
    seconds: float
    """Wall-clock time of training since the first step, without what lies between a kill and its resume."""
    final_train_loss: float
    final_validation_loss: float


class Loop:
    """One run of one model; make it, then call :meth:`run`."""

    def __init__(  # noqa: PLR0913
        self,
        spec: TrainingSpec,
        model: PreTrainedModel,
        training: Batches,
        validation: Batches,
        accelerator: Accelerator,
        folder: Path,
        identity: str,
        progress: Progress,
    ):
        """Prepare model, optimizer and schedule.

        Args:
            spec: How long and how fast.
            model: With fresh or loaded weights.
            training: Batches by step.
            validation: Batches in order, the same rows at each evaluation.
            accelerator: Device, precision, processes and trackers.
            folder: The run's folder; checkpoints go below it.
            identity: The recipe's sha256; a checkpoint of another one is refused.
            progress: Hears (what, step, steps).
        """
        self.spec, self.folder, self.identity, self.progress = spec, folder, identity, progress
        self.accelerator, self.training, self.validation = accelerator, training, validation
        groups = _groups(model, spec.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=spec.learning_rate, betas=spec.adam_betas)
        # The schedule is stepped by hand, once an optimizer step, whatever the number of processes.
        self.schedule = get_scheduler(
            spec.schedule.name, optimizer, num_warmup_steps=spec.schedule.warmup_steps, num_training_steps=spec.steps
        )
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        accelerator.register_for_checkpointing(self.schedule)
        self.history, self.step, self.tokens, self.seconds = History(), 0, 0, 0.0

    def run(self, resume: bool = True) -> Outcome:
        """Train to the last step, from the newest checkpoint if there is one.

        Raises:
            UserError: The loss is not finite, or a checkpoint can't be used.
        """
        if resume:
            self._restore()
        steps = range(self.step, self.spec.steps)
        loader = DataLoader(self.training, batch_size=None, sampler=steps, num_workers=self.spec.loader_workers)
        began = time.perf_counter() - self.seconds
        waiting: list[torch.Tensor] = []
        for batch in loader:
            waiting.append(self._train(batch))
            self.step += 1
            self.seconds = time.perf_counter() - began
            last = self.step == self.spec.steps
            if last or self.step % self.spec.log_every == 0:
                self._log(waiting)
                waiting = []
            if last or self.step % self.spec.evaluate_every == 0:
                self._evaluate()
            if last or self.step % self.spec.checkpoint_every == 0:
                self._save()
            self.progress("training", self.step, self.spec.steps)
        return Outcome(
            self.history,
            self.step,
            self.tokens,
            self.seconds,
            self.history.series("train_loss")[1][-1],
            self.history.series("validation_loss")[1][-1],
        )

    def _train(self, batch: dict[str, torch.Tensor]) -> torch.Tensor:
        """Make one optimizer step; return the loss, on the device."""
        batch = {name: tensor.to(self.accelerator.device) for name, tensor in batch.items()}
        self.tokens += int(batch["attention_mask"].sum()) * self.accelerator.num_processes
        self.model.train()
        loss = self.model(**batch).loss
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.spec.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        return loss.detach()

    def _log(self, losses: list[torch.Tensor]) -> None:
        """Note the mean training loss of the steps since the last log."""
        mean = self.accelerator.reduce(torch.stack(losses).mean(), reduction="mean").item()
        if not math.isfinite(mean):
            raise UserError(
                f"the loss is {mean} at step {self.step}; lower training.learning_rate, lengthen "
                "training.schedule.warmup_steps or use training.precision=fp32; the last checkpoint is kept"
            )
        rate = self.schedule.get_last_lr()[0]
        self.history.add(self.step, train_loss=mean, learning_rate=rate)
        self.accelerator.log({"loss/train": mean, "learning_rate": rate}, step=self.step)
        self.accelerator.log({"tokens_per_second": self.tokens / self.seconds}, step=self.step)

    def _evaluate(self) -> None:
        """Note the mean loss a masked token over the validation rows."""
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
        summed, asked = self.accelerator.reduce(total, reduction="sum").tolist()
        return summed / asked

    def _save(self) -> None:
        state = {
            "recipe_sha256": self.identity,
            "history": self.history.records,
            "tokens": self.tokens,
            "seconds": self.seconds,
        }
        save_checkpoint(self.accelerator, self.folder / "checkpoints", self.step, state, self.spec.keep_checkpoints)

    def _restore(self) -> None:
        state: dict[str, Any] | None = load_checkpoint(self.accelerator, self.folder / "checkpoints", self.identity)
        if state is not None:
            self.step, self.tokens, self.seconds = state["step"], state["tokens"], state["seconds"]
            self.history = History(state["history"])


def _groups(model: torch.nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Decay matrices and embeddings; leave gains and biases alone."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
