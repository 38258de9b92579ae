"""Losses as means over the tokens that are asked, however these are shared out over batches and processes."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from hubkit.data.objectives.base import IGNORED
from hubkit.errors import UserError
from hubkit.training.attention import Attention

if TYPE_CHECKING:
    from accelerate import Accelerator

    from hubkit.data.batches import HeldOut

Batch = Mapping[str, torch.Tensor]

_TARGETS = {"labels", "shift_labels"}


def add_gradients(
    accelerator: "Accelerator", model: Any, attention: Attention, batches: Sequence[Batch]
) -> torch.Tensor:
    """Add the gradients of one optimizer step, which all processes together make as one batch in one process would.

    A model's loss is the mean over the tokens that are asked of a batch, and the processes' gradients are averaged: so
    each loss is weighted by its share of all asked tokens.

    Args:
        accelerator: Of the run.
        model: Prepared, in training.
        attention: How it attends.
        batches: This process's share of the step; every process has as many.

    Returns:
        float32 (2,) on the device: this process's part of the loss (the mean over the processes is that of the step),
        and how many tokens all processes asked.
    """
    asked = [_asked(batch) for batch in batches]
    # Filled on the device: a copy from the host would wait until the device has finished the step before.
    total = reduced(accelerator, torch.full((), float(sum(asked)), device=accelerator.device), "sum")
    share = total.clamp(min=1) / accelerator.num_processes
    losses = []
    for number, (batch, count) in enumerate(zip(batches, asked, strict=True), start=1):
        # Gradients are exchanged once a step. DeepSpeed, which knows no `no_sync`, goes by the flag.
        accelerator.sync_gradients = last = number == len(batches)
        # The attention lasts to the end of the backward pass, in which gradient checkpoints go forward again.
        with nullcontext() if last else accelerator.no_sync(model), attention.fitting(batch) as read:
            loss = _loss(accelerator, model, read, count) * (count / share)
            accelerator.backward(loss)
        losses.append(loss.detach().float())
    return torch.stack([torch.stack(losses).sum(), total])


@torch.no_grad()
def mean_loss(
    accelerator: "Accelerator", model: Any, attention: Attention, held_out: "HeldOut", name: str = "validation"
) -> float:
    """Return the mean loss over all asked tokens of some sequences, in nats, whatever the batches and processes.

    Args:
        accelerator: Of the run.
        model: Prepared; without dropout meanwhile, and in training afterwards.
        attention: How it attends.
        held_out: The sequences.
        name: What they are called, for messages.

    Raises:
        UserError: Nothing is asked of any of them.
    """
    model.eval()
    total, counted = torch.zeros((), device=accelerator.device, dtype=torch.float64), 0
    # All processes go through the model equally often: sharded weights are gathered by all of them at once.
    for first in range(0, len(held_out), accelerator.num_processes):
        index = first + accelerator.process_index
        batch = held_out[min(index, len(held_out) - 1)]
        asked = _asked(batch) if index < len(held_out) else 0
        with attention.fitting(batch) as read:
            total += _loss(accelerator, model, read, asked).double() * asked
        counted += asked
    model.train()
    summed, count = reduced(accelerator, torch.stack([total, total.new_tensor(counted)]), "sum").tolist()
    if not count:
        raise UserError(
            f"the set {name} asks for no token, so it has no loss; what should be learnt is not in its rows"
        )
    return summed / count


def reduced(accelerator: "Accelerator", values: torch.Tensor, reduction: str) -> torch.Tensor:
    """Return the sum or mean of a tensor over the processes."""
    result = accelerator.reduce(values, reduction=reduction)
    assert isinstance(result, torch.Tensor)
    return result


def _asked(batch: Batch) -> int:
    # By numpy: torch would wake its threads for it, and where the machine is busy the GPU waits for the last of them.
    return int(np.count_nonzero(batch["labels"].numpy() != IGNORED))


def _loss(accelerator: "Accelerator", model: Any, batch: Batch, asked: int) -> torch.Tensor:
    """Return the model's loss; of a batch that asks for nothing, some number.

    The mean of nothing is no number. Such a batch has the weight 0, and goes through the model for the sake of the
    other processes, so anything may be asked of it.
    """
    moved = {name: tensor.to(accelerator.device, non_blocking=True) for name, tensor in batch.items()}
    if asked == 0:
        for name in _TARGETS & moved.keys():
            moved[name] = torch.zeros_like(moved[name])
    return model(**moved).loss
