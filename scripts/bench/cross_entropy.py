"""Measure the loss of one chunk and its gradient on a GPU: hubkit's kernel, torch's compiler, and what a copy takes.

    python scripts/bench/cross_entropy.py [--rows 16384] [--vocabulary 50304] [--repeats 20]

The logits are bf16. A copy reads and writes each once, which is the least that anything can do that turns them into
their gradients. torch's compiler is given the same formulas, in place too.
"""

import argparse

import torch
from torch import Tensor

from hubkit.data.objectives.base import IGNORED
from hubkit.training.cross_entropy_kernel import cross_entropy_
from machine import in_turns, print_machine


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the loss of one chunk and its gradient on a GPU.")
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--vocabulary", type=int, default=50304)
    parser.add_argument("--repeats", type=int, default=20)
    told = parser.parse_args()
    print_machine("torch", "triton")
    print(torch.cuda.get_device_name())
    logits = torch.randn(told.rows, told.vocabulary, device="cuda", dtype=torch.bfloat16)
    targets = torch.randint(told.vocabulary, (told.rows,), device="cuda")
    other, compiled = torch.empty_like(logits), torch.compile(formulas)
    ways = {
        "a copy": lambda: other.copy_(logits),
        "hubkit's kernel": lambda: cross_entropy_(logits, None, targets, IGNORED, True),
        "torch's compiler": lambda: compiled(logits, targets),
    }
    taken = in_turns([lambda way=way: finished(way) for way in ways.values()], told.repeats)
    print(f"\n{told.rows:,} rows of {told.vocabulary:,}{'ms':>20}{'GB/s':>10}")
    moved = 2 * logits.numel() * logits.element_size()
    for name, seconds in zip(ways, taken, strict=True):
        print(f"{name:<30}{1000 * seconds:>13.2f}{moved / seconds / 1e9:>10,.0f}")


def finished(way) -> None:
    """Run one, and wait for the device."""
    way()
    torch.cuda.synchronize()


def formulas(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the losses of rows, and put the gradients of their sum where the logits were."""
    wide = logits.float()
    log_total = wide.logsumexp(-1, keepdim=True)
    losses = log_total[:, 0] - wide.gather(1, targets[:, None])[:, 0]
    chosen = torch.arange(logits.shape[1], device=logits.device) == targets[:, None]
    logits.copy_((wide - log_total).exp() - chosen.float())
    return losses


if __name__ == "__main__":
    main()
