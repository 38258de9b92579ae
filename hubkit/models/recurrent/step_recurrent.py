"""One token through GRU or LSTM cells, for generation on a CPU. It stands alone: it is published with the weights.

torch's `nn.LSTM` has oneDNN lay all weights out anew in each call there, which for one token takes six to ten times as
long as reading them; `nn.GRU` reads them at half of the memory's speed. The formulas are those that torch documents.
"""

import torch
from torch import Tensor, nn

from .linear_recurrent import product


def can_step(cells: nn.Module, embedded: Tensor) -> bool:
    """Return whether `step` reads this, and as quickly: a token a row, on a CPU, no gradient, one type, not compiled.

    torch's GRU is quicker on weights that a cache holds, and as quick for many rows.
    """
    return (
        embedded.shape[1] == 1
        and isinstance(cells, nn.RNNBase)  # a quantized one in its place has no weights to read
        and (cells.mode == "LSTM" or (len(embedded) <= 4 and cells.hidden_size >= 512))
        and embedded.device.type == "cpu"
        and not (torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or torch.compiler.is_compiling())
    )


def step(cells: nn.RNNBase, embedded: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return what `cells` does with one token a row, up to rounding.

    Args:
        cells: A GRU or an LSTM with biases, in one direction and without projections.
        embedded: (batch, 1, width).
        state: The hidden state (layers, batch, width), and for an LSTM the cell state, which stay as they are.

    Returns:
        The top cell's output, (batch, 1, width), and the new state.
    """
    follow = _lstm if cells.mode == "LSTM" else _gru
    hidden, after = embedded[:, 0], []
    for weights, *before in zip(cells.all_weights, *state, strict=True):
        new = follow(hidden, *before, *weights)
        hidden = new[0]
        after.append(new)
    return hidden[:, None], tuple(torch.stack(tensors) for tensors in zip(*after, strict=True))


def _gru(
    inputs: Tensor, hidden: Tensor, inner: Tensor, outer: Tensor, inner_bias: Tensor, outer_bias: Tensor
) -> tuple[Tensor]:
    """Return the new hidden state, (batch, width)."""
    width = hidden.shape[1]
    added, kept = product(inputs, inner, inner_bias), product(hidden, outer, outer_bias)
    reset, update = (added[:, : 2 * width] + kept[:, : 2 * width]).sigmoid_().chunk(2, 1)
    candidate = torch.addcmul(added[:, 2 * width :], reset, kept[:, 2 * width :]).tanh_()
    return (torch.lerp(candidate, hidden, update),)


def _lstm(
    inputs: Tensor,
    hidden: Tensor,
    memory: Tensor,
    inner: Tensor,
    outer: Tensor,
    inner_bias: Tensor,
    outer_bias: Tensor,
) -> tuple[Tensor, Tensor]:
    """Return the new hidden state and the new cell state, (batch, width) each."""
    gates = product(inputs, inner, inner_bias).add_(product(hidden, outer, outer_bias))
    candidate = gates.chunk(4, 1)[2].tanh()
    enter, forget, _, leave = gates.sigmoid_().chunk(4, 1)
    memory = torch.addcmul(forget * memory, enter, candidate)
    return leave * memory.tanh(), memory
