"""A linear map that is quick for the few tokens that generation feeds. It stands alone: it is published with weights.

On a CPU the time of a generated token goes into reading each weight once, so what counts is how close a product comes
to the memory's speed. The file is the same in each architecture that writes, for none may import another's.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_PIECES = 8
"""Of a weight, where a single token is multiplied with it."""
_FEW = 4
"""Tokens at most for which the product turned on its side is the quicker one."""


class Linear(nn.Linear):
    """torch's linear map, up to rounding, that is quick for a few tokens too."""

    def forward(self, hidden: Tensor) -> Tensor:
        """Return (…, in) as (…, out)."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return super().forward(hidden)
        return product(hidden, self.weight, self.bias)


def product(hidden: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Return `F.linear` of (…, in), (out, in) and (out,) or None, up to rounding: (…, out), new memory.

    Only for where no gradient is asked for: the bias is added in place.
    """
    out, width = weight.shape
    tokens = hidden.numel() // width
    plain = weight.dtype == torch.float32 and weight.device.type == "cpu" and not torch.is_autocast_enabled("cpu")
    if plain and tokens == 1:
        found = _of_one(hidden, weight)
    elif plain and 1 < tokens <= _FEW and _turns(out, width):
        found = torch.mm(weight, hidden.reshape(tokens, width).t()).t().contiguous()
    else:
        return F.linear(hidden, weight, bias)
    return (found if bias is None else found.add_(bias)).view(*hidden.shape[:-1], out)


def _of_one(hidden: Tensor, weight: Tensor) -> Tensor:
    """Return the product (out,) of a single token, (…, in) with in elements, and a weight (out, in).

    torch has MKL do that by a product of a matrix and a vector, row by row, at half of the memory's speed; a batch of
    products, pieces of the weight with the same vector, takes another way that comes close to all of it, and has a
    piece for each of a few threads.
    """
    out, width = weight.shape
    rows = out // _PIECES
    # As a transposed row the vector is passed on as it is; as a column MKL would take it for a matrix, and be slow.
    vector = hidden.reshape(1, 1, width).expand(_PIECES, 1, width).transpose(1, 2)
    found = torch.bmm(weight[: rows * _PIECES].view(_PIECES, rows, width), vector).view(-1)
    if rows * _PIECES < out:
        found = torch.cat((found, weight[rows * _PIECES :].mv(hidden.reshape(width))))
    return found


def _turns(out: int, width: int) -> bool:
    """Return whether the weight times a few columns is quicker than a few rows times the weight.

    It is for MKL, by a factor of up to five, where the weight is read from memory; from a cache it is the slower way,
    and so it is for narrow ones and for those that are wider than high.
    """
    return width <= out and (width >= 512 or out * width >= 2**22)
