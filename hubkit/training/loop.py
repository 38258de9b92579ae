"""The loop: forward, backward, step; log, evaluate, checkpoint. Knows no objective, architecture or dataset by name."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader
from transformers import PreTrainedModel

from hubkit.data.batches import Batches, HeldOut
from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.training.attention import Attention
from hubkit.training.checkpoints import best_weights, checkpoints, load_checkpoint, save_best, save_checkpoint
from hubkit.training.chunked_loss import chunk_loss
from hubkit.training.dropout import fitting_dropout
from hubkit.training.history import History
from hubkit.training.losses import add_gradients, mean_loss, reduced
from hubkit.training.masked_loss import head_where_asked
from hubkit.training.optimizers import MasterAdamW, make_optimizer, narrow
from hubkit.training.parallel import compile_whole, tell_deepspeed
from hubkit.training.recipe import TrainingSpec
from hubkit.training.schedules import make_scheduler
from hubkit.training.step_losses import StepLosses
from hubkit.training.stopping import EarlyStop, Interruption, TimeLimit
from hubkit.training.throughput import throughput_of

Progress = Callable[[str, int, int], None]

_AGREE_EVERY = 10
"""Several processes ask each other so often, in steps, whether to stop."""


class Requeued(Exception):
    """A scheduler wants the machine: the checkpoint is written, and the same command goes on from it."""


@dataclass(frozen=True)
class Outcome:
    """What a finished loop has to say."""

    history: History
    steps: int
    kept_step: int
    """Step of the weights that the run keeps: the last, or that of the best evaluation."""
    tokens: int
    """Tokens read by all processes since the first step, padding left out."""
    seconds: float
    """Wall-clock time of training since the first step, without what lies between a kill and its resume."""
    final_train_loss: float
    final_validation_loss: float
    stopped: str | None
    """Why the run ended before its last step; None if it did not."""


class Loop:
    """One run of one model; make it, then call :meth:`run`."""

    def __init__(
        self,
        spec: TrainingSpec,
        model: PreTrainedModel,
        training: Batches,
        validation: Mapping[str, HeldOut],
        accelerator: Accelerator,
        folder: Path,
        recipe: Mapping[str, Any],
        progress: Progress = lambda what, done, total: None,
        say: Callable[[str], None] = lambda text: None,
        snippets: Callable[[Any, int], str] | None = None,
    ):
        """Prepare model, optimizer and schedule.

        Args:
            spec: How long and how fast.
            model: With fresh or loaded weights.
            training: This process's batches by step.
            validation: Batches in order, the same at each evaluation, by name; the first is the one that decides.
            accelerator: Device, precision, processes and trackers.
            folder: The run's folder; checkpoints go below it.
            recipe: All that decides the losses, as :meth:`hubkit.training.recipe.Recipe.decisive` gives it; a
                checkpoint of another one is refused.
            progress: Hears (what, step, steps).
            say: Hears remarks for people.
            snippets: Given the model and the step, returns some text that the model writes.
        """
        self.spec, self.folder, self.recipe, self.progress, self.say = spec, folder, recipe, progress, say
        self.accelerator, self.training, self.validation, self.snippets = accelerator, training, validation, snippets
        self.steps = spec.steps or max(1, round((spec.epochs or 0) * len(training)))
        if spec.loss_chunk:
            chunk_loss(model, spec.loss_chunk)
        if accelerator.device.type == "cpu" and not spec.compile:
            head_where_asked(model)
        narrow(model, spec.precision, accelerator)
        optimizer = make_optimizer(model, spec, accelerator.device)
        # The schedule is stepped by hand, once an optimizer step, whatever the number of processes.
        self.schedule = make_scheduler(optimizer, spec.schedule, self.steps)
        # A stream's lengths are not known yet; those of the validation sequences are alike.
        lengths = next(iter(validation.values())).sequences.lengths
        steady = bool((lengths == lengths[0]).all())
        self.attention = Attention(model, accelerator.device, narrow=spec.precision != "fp32", steady=steady)
        if spec.compile:
            compile_whole(model, steady)
        self.throughput = throughput_of(self.steps, model, float(lengths.mean()), accelerator)
        tell_deepspeed(accelerator, training.micro_batch_size, spec.max_grad_norm)
        self.model, self.optimizer = accelerator.prepare(model, optimizer)
        accelerator.register_for_checkpointing(self.schedule)
        self.history, self.step, self.tokens = History(), 0, 0
        self.early_stop = EarlyStop(spec.early_stop) if spec.early_stop else None
        self.clock = TimeLimit(spec.max_minutes)
        self.best: dict[str, Any] = {"step": 0, "loss": None}
        self.written: list[tuple[int, str]] = []
        """The snippets: step and text of each."""
        self.losses = StepLosses(accelerator, training, spec.precision == "fp16", self._left)

    def run(self, resume: bool = True, further: int | None = None) -> Outcome:
        """Train to the last step, from the newest checkpoint if there is one.

        Args:
            resume: Whether a checkpoint counts.
            further: Train so many steps from the checkpoint instead. One that was written on the way there does not
                count anew, so that the same call goes on with what is left.

        Raises:
            UserError: The loss or the gradient is not finite, the memory is too small, or a checkpoint can't be used.
            Requeued: SIGTERM or SIGUSR1 came; the checkpoint of the last step is written.
        """
        self.clock.begin()
        state = self._restore() if resume else None
        if further is not None:
            self.steps = self._end_of_further(state, further)
        self.throughput.steps = self.steps
        self.model.train()
        if self.step == 0 and self.spec.evaluate_at_start:
            self._evaluate()
        self.throughput.note(self.step, self.tokens)
        stopped = self._stopped_before()
        with Interruption() as interruption:
            batches = iter(self._loader())
            while self.step < self.steps and stopped is None:
                with self.throughput.waiting():
                    batch = next(batches)
                with self._memory(f"step {self.step + 1}"):
                    self._train(batch)
                stopped = self._after_step(interruption)
                self._report()
        if self.losses:
            self._log()
        return self._outcome(stopped)

    def weights(self) -> dict[str, torch.Tensor]:
        """Return the weights that the run keeps; every process calls it, and the first one gets them whole."""
        if self._keeps_best:
            return best_weights(self.folder / "checkpoints", self.best["step"])
        weights: dict[str, Any] = self.accelerator.get_state_dict(self.model)
        return weights

    @property
    def _keeps_best(self) -> bool:
        return self.spec.keep == "best" and self.best["loss"] is not None

    def _after_step(self, interruption: Interruption) -> str | None:
        """Log, evaluate and checkpoint where it is time; return why the run stops here, if it does."""
        spec, last = self.spec, self.step == self.steps
        interrupted, timed_out = self._agreed(interruption.received is not None, self.clock.over)
        stopped = self._time_is_over if timed_out and not last else None
        ends = last or stopped is not None
        if ends or self.step % spec.log_every == 0:
            self._log()
        with self.throughput.aside():
            if ends or self.step % spec.evaluate_every == 0:
                self._evaluate()
                stopped = stopped or (self._stopped_early() if not last else None)
            if self.snippets and spec.snippet_every and (ends or self.step % spec.snippet_every == 0):
                self._write_snippets()
            kept = any(every and self.step % every == 0 for every in (spec.checkpoint_every, spec.backup_every))
            if ends or stopped or interrupted or kept:
                self._save()
        if interrupted:
            # At the last step too: what follows may take longer than the scheduler waits.
            raise Requeued(f"a checkpoint is written at step {self.step}; the same command goes on from there")
        return stopped

    def _stopped_before(self) -> str | None:
        """Return why the run that is resumed had ended before its last step, if it had."""
        if not 0 < self.step < self.steps:
            return None
        (timed_out,) = self._agreed(self.clock.over, at_once=True)
        return self._stopped_early() or (self._time_is_over if timed_out else None)

    @property
    def _time_is_over(self) -> str:
        return f"max_minutes {self.spec.max_minutes:g} are over"

    def _report(self) -> None:
        shown = {"loss": self.history.latest("train_loss"), "validation": self.history.latest("validation_loss")}
        parts = [f"{name} {loss:.3f}" for name, loss in shown.items() if loss is not None]
        parts += [speed] if (speed := str(self.throughput)) else []
        self.progress(f"training ({', '.join(parts)})" if parts else "training", self.step, self.steps)

    def _outcome(self, stopped: str | None) -> Outcome:
        kept = self.best["step"] if self._keeps_best else self.step
        train_losses, losses = (self.history.series(f"{name}_loss")[1] for name in ("train", "validation"))
        seconds = self.clock.seconds
        return Outcome(self.history, self.step, kept, self.tokens, seconds, train_losses[-1], losses[-1], stopped)

    def _loader(self) -> DataLoader:
        """Return the batches from the next step on."""
        return DataLoader(
            self.training,
            batch_size=None,
            sampler=range(self.step, self.steps),
            num_workers=self.spec.loader_workers,
            pin_memory=self.accelerator.device.type == "cuda",
            # Else it draws a seed from the generator that dropout draws from, once more for each resume.
            generator=torch.Generator(),
            # One to the whole group of processes would kill them, and an error would end the run before it can save.
            worker_init_fn=Interruption.ignore,
        )

    def _train(self, batches: list[dict[str, torch.Tensor]]) -> None:
        """Make one optimizer step, of one or several batches."""
        with fitting_dropout(self.accelerator.device, self.spec.compile):
            loss_and_asked = add_gradients(self.accelerator, self.model, self.attention, batches)
        own = self.optimizer.optimizer
        weights = own.take_gradients() if isinstance(own, MasterAdamW) else self.model.parameters()
        norm = self.accelerator.clip_grad_norm_(weights, self.spec.max_grad_norm)
        self.optimizer.step()
        self.schedule.step()
        self.optimizer.zero_grad()
        self.tokens += self.training.tokens(self.step)
        self.step += 1
        self.losses.add(loss_and_asked, norm)

    @contextmanager
    def _memory(self, what: str) -> Iterator[None]:
        """Say which knob to turn where a device has too little memory."""
        try:
            yield
        except RuntimeError as error:
            # Of a processor's memory torch has no error of its own.
            if not isinstance(error, torch.OutOfMemoryError) and "DefaultCPUAllocator: " not in str(error):
                raise
            said = str(error).rpartition("DefaultCPUAllocator: ")[2].split(". ")[0]
            now = self.training.micro_batch_size
            mend = f"lower training.micro_batch_size (now {now})" if now > 1 else "shorten the sequences"
            raise UserError(
                f"{what} needs more memory than {self.accelerator.device} has ({said}): {mend}, or use "
                f"training.precision=bf16; {self._left()}"
            ) from None

    def _agreed(self, *flags: bool, at_once: bool = False) -> tuple[bool, ...]:
        """Return for each flag whether any process has it up; all processes get the same answer at the same step."""
        if self.accelerator.num_processes == 1:
            return flags
        if self.step % _AGREE_EVERY and self.step != self.steps and not at_once:
            return (False,) * len(flags)
        mine = torch.tensor([float(flag) for flag in flags], device=self.accelerator.device)
        return tuple(value > 0 for value in reduced(self.accelerator, mine, "sum").tolist())

    def _left(self) -> str:
        """What there is to go on from, for messages."""
        found = checkpoints(self.folder / "checkpoints")
        return f"the checkpoint {found[-1].name} is kept" if found else "no checkpoint was written yet"

    def _log(self) -> None:
        """Note the mean training loss of the steps since the last log."""
        self.losses.fetch(self.step)
        self.throughput.note(self.step, self.tokens)
        mean = self.losses.take_mean()
        rate = float(self.schedule.get_last_lr()[0])
        self.history.add(self.step, train_loss=mean, learning_rate=rate)
        measured = {"loss/train": mean, "learning_rate": rate}
        speeds = ("tokens_per_second", "mfu", "waiting_share")
        measured |= {name: value for name in speeds if (value := getattr(self.throughput, name)) is not None}
        self.accelerator.log(measured, step=self.step)

    def _evaluate(self) -> None:
        """Note the mean loss an asked token over each set of validation sequences."""
        self.losses.fetch(self.step)
        with self._memory(f"the evaluation at step {self.step}"):
            losses = {
                name: mean_loss(self.accelerator, self.model, self.attention, held_out, name)
                for name, held_out in self.validation.items()
            }
        main = next(iter(losses))
        noted = {
            "validation_loss" if name == main else f"validation_loss_{name}": loss for name, loss in losses.items()
        }
        self.history.add(self.step, **noted)
        self.accelerator.log({f"loss/{name}": loss for name, loss in losses.items()}, step=self.step)
        if self.early_stop:
            self.early_stop.update(losses[main])
        if self.spec.keep == "best" and (self.best["loss"] is None or losses[main] < self.best["loss"]):
            self.best = {"step": self.step, "loss": losses[main]}
            save_best(self.accelerator, self.model, self.folder / "checkpoints", self.step)

    def _stopped_early(self) -> str | None:
        return self.early_stop.reason if self.early_stop else None

    def _write_snippets(self) -> None:
        """Add what the model writes now to `snippets.md`."""
        assert self.snippets is not None
        # Every process writes them: where weights are sharded, all gather them at once.
        model = self.accelerator.unwrap_model(self.model)
        model.eval()
        with torch.compiler.set_stance("force_eager"):  # else it would be compiled again as the text grows
            self.written.append((self.step, self.snippets(model, self.step)))
        model.train()
        if self.accelerator.is_main_process:
            sections = (f"## Step {step}\n\n{text}\n" for step, text in self.written)
            write_atomic(self.folder / "snippets.md", "\n".join(sections))

    def _save(self) -> None:
        self.losses.fetch(self.step)
        state = {
            "recipe": self.recipe,
            "history": self.history.records,
            "unlogged": self.losses.fetched,
            "tokens": self.tokens,
            "data": self.training.marks(self.step),
            "seconds": self.clock.seconds,
            "until": self.steps,
            "best": self.best,
            "snippets": self.written,
            "early_stop": self.early_stop.state_dict() if self.early_stop else None,
        }
        keep, backup = self.spec.keep_checkpoints, self.spec.backup_every
        save_checkpoint(self.accelerator, self.folder / "checkpoints", self.step, state, keep, backup)

    def _restore(self) -> dict[str, Any] | None:
        """Take up the newest checkpoint, and return what lies in it; None where there is none."""
        state = load_checkpoint(self.accelerator, self.folder / "checkpoints", self.recipe)
        if state is None:
            return None
        self.step, self.tokens = state["step"], state["tokens"]
        self.training.go_to(state["data"])
        self.clock.begin(state["seconds"])
        self.history, self.losses.fetched, self.best = History(state["history"]), state["unlogged"], state["best"]
        self.written = [(step, text) for step, text in state["snippets"]]
        if self.early_stop and state["early_stop"]:
            self.early_stop.load_state_dict(state["early_stop"])
        # A shorter run with the same schedule may have left off at the rate of its end.
        rate = self.spec.learning_rate * self.spec.schedule.factor(self.step, self.steps)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if state["processes"] != self.accelerator.num_processes:
            self.say(
                f"the checkpoint is of {state['processes']} processes and these are {self.accelerator.num_processes}: "
                "the data goes on exactly, the losses to rounding, and dropout with other random numbers"
            )
        return state

    def _end_of_further(self, state: dict[str, Any] | None, further: int) -> int:
        """Return the step at which a run ends that trains some steps beyond its checkpoint."""
        if state is not None and state["until"] > max(state["step"], self.steps):
            return state["until"]
        end = self.step + further
        if end > self.steps and self.spec.schedule.factor(end, self.steps) == 0:
            raise UserError(
                f"further: the schedule has ended at the rate 0, so {further} more steps would change nothing; set "
                "training.schedule.minimum, or begin another run with init_from"
            )
        return end
