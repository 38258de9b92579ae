"""How fast a run goes: tokens a second, the share of the device's peak that this is, and how long the rest takes.

Model FLOPs utilisation as PaLM defines it (Chowdhery and others, arXiv 2204.02311, appendix B) and nanoGPT counts it:
what the model needs, whatever was computed twice to save memory, over what the device could have done.
"""

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel

# Dense 16-bit products with 32-bit sums, FLOP/s a device, from NVIDIA's data sheets, which print twice as much ("with
# sparsity") from Ampere on. The first name that the device's own contains counts: variants stand before their family.
PEAKS = {
    "B200": 2250e12,
    "H200 NVL": 835e12,
    "H200": 989e12,
    "GH200": 989e12,
    "H100 NVL": 835e12,
    "H100 PCIe": 756e12,
    "H100": 989e12,
    "A100": 312e12,
    "L40S": 362e12,
    "L40": 181e12,
    "L4": 121e12,
    "A10": 125e12,
    "V100 PCIE": 112e12,
    "V100": 125e12,
    "T4": 65e12,
}


def peak_flops(device: str) -> float | None:
    """Return what a device can do at most, in FLOP/s, or None where that is unknown, as for a CPU or a slice of a GPU.

    It is the 16-bit peak, whatever the precision of a run: one in fp32 uses less of what the card could do.

    Args:
        device: Its name, as from ``torch.cuda.get_device_name()``.
    """
    words = set(device.replace("-", " ").split())
    if "MIG" in words:
        return None
    return next((peak for name, peak in PEAKS.items() if words >= set(name.split())), None)


def flops_per_token(model: "PreTrainedModel", length: float) -> float:
    """Return the FLOPs that one token costs in training, forward and backward: 6·N + 12·L·H·Q·T.

    N are the parameters that a token is multiplied by: all but the tables that are only looked up (embeddings of tokens
    and positions; a table that is also the head counts). L·H·Q is layers × heads × size of a head, T the length; the
    second term is the attention's products, counted in full for a causal model too, as published figures are. A
    recurrent model has no second term. Each weight of a recurrent cell multiplies each token once, so 6·N holds there.

    Args:
        model: Its weights and, for the attention, its config.
        length: Tokens that attend to each other: of a row, the mean where they differ.
    """
    import torch

    head = model.get_output_embeddings()
    head_weight = None if head is None else head.weight
    looked_up = {
        id(module.weight): module.weight.numel()
        for module in model.modules()
        if isinstance(module, torch.nn.Embedding) and module.weight is not head_weight
    }
    multiplied = sum(p.numel() for p in model.parameters()) - sum(looked_up.values())
    return 6 * multiplied + 12 * _attention_width(model.config) * length


def _attention_width(config: object) -> int:
    """Return layers × heads × size of a head; 0 for a model without attention."""
    heads = getattr(config, "num_attention_heads", None)
    if not heads:
        return 0
    size = getattr(config, "head_dim", None) or config.hidden_size // heads  # pyright: ignore[reportAttributeAccessIssue]
    return config.num_hidden_layers * heads * size  # pyright: ignore[reportAttributeAccessIssue]


class _Note(NamedTuple):
    step: int
    tokens: int
    wall: float
    """Seconds of the clock."""
    aside: float
    """Seconds so far that were not training."""
    waited: float
    """Seconds so far that training waited for data."""


class Throughput:
    """The speed of a run over its latest notes.

    Make a note where the device has finished what it was given (after a loss was fetched, say): between two such
    moments, the clock tells the truth about a GPU too.
    """

    def __init__(
        self,
        steps: int,
        flops: float | None = None,
        peak: float | None = None,
        devices: int = 1,
        window: int = 10,
        clock: Callable[[], float] = time.perf_counter,
    ):
        """Begin; the first note says where.

        Args:
            steps: Optimizer steps of the whole run.
            flops: FLOPs a token, from :func:`flops_per_token`.
            peak: FLOP/s of one device, from :func:`peak_flops`; None where it is unknown.
            devices: How many work on the run.
            window: Over how many notes the speed is taken.
            clock: Seconds from any beginning.
        """
        self.steps, self._flops, self._clock = steps, flops, clock
        self._peak = None if peak is None else peak * devices
        self._notes: deque[_Note] = deque(maxlen=window + 1)
        self._aside = self._waited = 0.0

    def note(self, step: int, tokens: int) -> None:
        """Note how far the run is.

        Args:
            step: Optimizer steps made.
            tokens: Tokens read by all processes so far; since when does not matter.
        """
        self._notes.append(_Note(step, tokens, self._clock(), self._aside, self._waited))

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Leave what is done inside (an evaluation, a checkpoint) out of the speed; the rest of the run keeps it."""
        began = self._clock()
        try:
            yield
        finally:
            self._aside += self._clock() - began

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count the time inside as waiting for the next batch."""
        began = self._clock()
        try:
            yield
        finally:
            self._waited += self._clock() - began

    @property
    def tokens_per_second(self) -> float | None:
        """Tokens a second of training, over the latest notes; None before there are two."""
        if (seconds := self._training_seconds()) is None:
            return None
        return (self._notes[-1].tokens - self._notes[0].tokens) / seconds

    @property
    def mfu(self) -> float | None:
        """Model FLOPs utilisation, 0 to 1; None before there are two notes, or where a figure is unknown."""
        speed = self.tokens_per_second
        if speed is None or self._flops is None or self._peak is None:
            return None
        return speed * self._flops / self._peak

    @property
    def waiting_share(self) -> float | None:
        """Share of training that waited for data, 0 to 1.

        A GPU works through its queue meanwhile, so this is the most that it can have stood still.
        """
        if (seconds := self._training_seconds()) is None:
            return None
        return (self._notes[-1].waited - self._notes[0].waited) / seconds

    @property
    def seconds_left(self) -> float | None:
        """Seconds to the last step, evaluations and checkpoints at the rate of late; None before a step is timed."""
        if len(self._notes) < 2 or self._notes[-1].step == self._notes[0].step:
            return None
        first, last = self._notes[0], self._notes[-1]
        return (self.steps - last.step) * (last.wall - first.wall) / (last.step - first.step)

    def __str__(self) -> str:
        """Return what a progress line shows, such as ``480,746 tokens/s, MFU 41.6 %, 3 h 12 min left``."""
        speed, mfu, left = self.tokens_per_second, self.mfu, self.seconds_left
        parts = [] if speed is None else [f"{speed:,.0f} tokens/s"]
        parts += [] if mfu is None else [f"MFU {mfu:.1%}".replace("%", " %")]
        parts += [] if left is None else [f"{duration(left)} left"]
        return ", ".join(parts)

    def _training_seconds(self) -> float | None:
        if len(self._notes) < 2:
            return None
        first, last = self._notes[0], self._notes[-1]
        seconds = (last.wall - first.wall) - (last.aside - first.aside)
        return seconds if seconds > 0 else None


def duration(seconds: float) -> str:
    """Return a length of time in its two largest units, such as ``3 h 12 min`` or ``12 s``."""
    whole = round(seconds)
    units = (("d", whole // 86400), ("h", whole // 3600 % 24), ("min", whole // 60 % 60), ("s", whole % 60))
    first = next((place for place, (_, count) in enumerate(units) if count), len(units) - 1)
    shown = [f"{count} {unit}" for unit, count in units[first : first + 2] if count or unit == units[first][0]]
    return " ".join(shown)


def throughput_of(steps: int, model: "PreTrainedModel", length: float, accelerator: "Accelerator") -> Throughput:
    """Return the throughput of a run that is about to begin.

    Args:
        steps: Its last step.
        model: What it trains.
        length: Tokens of a sequence, on average.
        accelerator: Its devices.
    """
    import torch

    device = accelerator.device
    peak = peak_flops(torch.cuda.get_device_name(device)) if device.type == "cuda" else None
    return Throughput(steps, flops_per_token(model, length), peak, accelerator.num_processes)
