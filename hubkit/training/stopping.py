"""Reasons to end a run before its last step: it learns no more, its time is over, or a scheduler wants the machine."""

import math
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from hubkit.specs import Spec

EX_TEMPFAIL = 75
"""Exit status of a run that stopped to be continued: "temporary failure, try again" in sysexits.h.

A scheduler tells it from success (0), an error (1) and a kill (128 + signal), none of which asks for another start:
``RequeueExit=75`` in slurm.conf, or ``[ $? -eq 75 ] && scontrol requeue $SLURM_JOB_ID`` at the end of a batch script.
"""


class EarlyStopSpec(Spec):
    """When the validation loss ends a run: at a target, or when it has ceased to fall."""

    patience: Annotated[int, Field(gt=0)] | None = None
    """Evaluations in a row without a better loss, after which the run stops."""
    min_delta: Annotated[float, Field(ge=0)] = 0.0
    """How much lower than the best a loss must be to count as better, in nats a token."""
    target_loss: float | None = None
    """The run stops once the loss is this or lower, in nats a token."""

    @model_validator(mode="after")
    def _says_when(self) -> Self:
        if self.patience is None and self.target_loss is None:
            raise ValueError("neither patience nor target_loss is set; set one, or leave early_stop out")
        if self.patience is None and self.min_delta > 0:
            raise ValueError(f"min_delta {self.min_delta} has no meaning without patience; set patience")
        return self


class EarlyStop:
    """Decides after each evaluation; its state belongs into the checkpoint."""

    def __init__(self, spec: EarlyStopSpec):
        self._spec, self._best, self._worse = spec, math.inf, 0
        self.reason: str | None = None
        """Why the run is over, for people; None while it is not."""

    def update(self, loss: float) -> bool:
        """Take the loss of an evaluation, in nats a token, and return whether the run is over.

        One that is not finite is no better than any.
        """
        patience, target = self._spec.patience, self._spec.target_loss
        # The first loss is better than none, whatever min_delta is.
        if loss < self._best - self._spec.min_delta:
            self._best, self._worse = loss, 0
        else:
            self._worse += 1
        if target is not None and loss <= target:
            self.reason = f"validation loss {loss:.4f} has reached target_loss {target:g}"
        elif patience is not None and self._worse >= patience:
            self.reason = f"no better validation loss than {self._best:.4f} in {self._worse} evaluations"
        return self.reason is not None

    def state_dict(self) -> dict[str, Any]:
        """Return what :meth:`load_state_dict` takes: plain values, for JSON or a checkpoint."""
        best = self._best if math.isfinite(self._best) else None
        return {"best": best, "worse": self._worse, "reason": self.reason}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where another left off."""
        self._best = math.inf if state["best"] is None else state["best"]
        self._worse, self.reason = state["worse"], state["reason"]


class TimeLimit:
    """So many minutes of wall-clock time, those before a resume included."""

    def __init__(self, minutes: float | None, before: float = 0.0, clock: Callable[[], float] = time.monotonic):
        """Start the clock.

        Args:
            minutes: The limit; None is none.
            before: Seconds that the run has trained before it was resumed.
            clock: Seconds from any beginning.
        """
        self._seconds = math.inf if minutes is None else minutes * 60
        self._clock, self._began = clock, clock() - before

    def begin(self, before: float = 0.0) -> None:
        """Start the clock again, with so many seconds on it."""
        self._began = self._clock() - before

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run so far."""
        return self._clock() - self._began

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return self.seconds >= self._seconds


class Interruption:
    """Inside ``with``, a signal to end becomes a flag, so that the step is finished and a checkpoint written.

    SIGTERM is what schedulers send before they kill, SIGUSR1 what Slurm's ``--signal=USR1@120`` sends some time before
    that. A second signal changes nothing: one to a whole process group comes twice, because a launcher hands its own
    on to its processes. Python sets handlers in the main thread only; in another one nothing is ever received.
    """

    SIGNALS = (signal.SIGTERM, signal.SIGUSR1)

    def __init__(self, hear: Callable[[int, Any], None] | None = None) -> None:
        """Prepare.

        Args:
            hear: A handler of signals to call instead.
        """
        self.received: signal.Signals | None = None
        """The signal that came; None while none has."""
        self._hear = hear or self._receive
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._hear) for number in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None is a handler that was not set from Python, which can't be set from there again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    @classmethod
    def ignore(cls, *_: object) -> None:
        """Be deaf to signals to end, Ctrl-C included: for helpers of a process that ends them itself."""
        for number in (*cls.SIGNALS, signal.SIGINT):
            signal.signal(number, signal.SIG_IGN)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        self.received = signal.Signals(number)
