"""Measure dropout on a processor, hubkit's beside torch's: masks alone, and forward with backward.

    python scripts/bench/dropout.py [--share 0.1] [--repeats 20]

The shapes are hidden states and attention weights of a RoBERTa of base size: four rows of 512 tokens. On one thread.
"""

import argparse
import math

import torch
from torch import Tensor
from torch.nn import functional as F

from hubkit.training.dropout import _drawn, dropout
from machine import in_turns, print_machine

SHAPES = {"hidden states": (4, 512, 768), "attention weights": (4, 12, 512, 512)}


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure dropout on a processor.")
    parser.add_argument("--share", type=float, default=0.1)
    parser.add_argument("--repeats", type=int, default=20)
    told = parser.parse_args()
    torch.set_num_threads(1)
    print_machine("numba", "torch")
    print(f"\n{'ms':<44}{'torch':>10}{'hubkit':>10}{'ratio':>8}")
    for name, shape in SHAPES.items():
        values, below = torch.ones(shape, requires_grad=True), round(told.share * 65536)
        pairs = {
            "masks": (
                lambda v=values: torch.empty_like(v, dtype=torch.bool).bernoulli_(1 - told.share),
                lambda shape=shape, below=below: _drawn(math.prod(shape), below),
            ),
            "forward and backward": (
                lambda v=values: there_and_back(F.dropout(v, told.share), v),
                lambda v=values: there_and_back(dropout(v, told.share), v),
            ),
        }
        for what, pair in pairs.items():
            theirs, ours = in_turns(list(pair), told.repeats)
            print(f"{f'{name}: {what}':<44}{1000 * theirs:>10.2f}{1000 * ours:>10.2f}{theirs / ours:>8.1f}")


def there_and_back(dropped: Tensor, values: Tensor) -> Tensor:
    """Return the gradient of the sum."""
    return torch.autograd.grad(dropped.sum(), values)[0]


if __name__ == "__main__":
    main()
