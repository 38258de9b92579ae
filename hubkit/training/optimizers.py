"""AdamW, in the precision of the run: over the weights themselves, or over fp32 masters of weights in bfloat16.

A weight of bfloat16 has 8 bits: what is less than 1/256 of it is lost when it is added. Its master has 24 bits, and the
model reads it rounded. That is what autocast makes of fp32 weights too, but without a cast in each pass, and with
residual streams of half the bytes (Micikevicius et al., "Mixed Precision Training", arXiv 1710.03740, section 3.1).
"""

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import torch

from hubkit.training.recipe import TrainingSpec

if TYPE_CHECKING:
    from accelerate import Accelerator
    from transformers import PreTrainedModel


def narrow(model: "PreTrainedModel", precision: str, accelerator: "Accelerator") -> None:
    """Have a model compute in the precision of the run, where accelerate does not see to it.

    Args:
        model: Changed in place; on the accelerator's device afterwards, if its weights change.
        precision: That of :class:`TrainingSpec`.
        accelerator: Its mixed precision is "no" where it leaves that to us.
    """
    if precision == "bf16_weights":
        model.to(accelerator.device, torch.bfloat16)
    if precision in ("bf16", "bf16_weights") and accelerator.mixed_precision == "no":
        # With narrow weights too: norms, softmax and the loss are computed in fp32.
        model.forward = torch.autocast(accelerator.device.type, torch.bfloat16)(model.forward)


def make_optimizer(model: torch.nn.Module, spec: TrainingSpec, device: torch.device) -> torch.optim.AdamW:
    """Return AdamW over a model's weights: matrices and embeddings are decayed, gains and biases left alone."""
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    groups = [
        {"params": [weight for weight in weights if weight.dim() >= 2], "weight_decay": spec.weight_decay},
        {"params": [weight for weight in weights if weight.dim() < 2], "weight_decay": 0.0},
    ]
    kind = MasterAdamW if spec.precision == "bf16_weights" else torch.optim.AdamW
    # Fused, one kernel updates all weights: of a small model's step the separate ones take a twentieth.
    return kind(groups, lr=spec.learning_rate, betas=spec.adam_betas, fused=device.type in ("cpu", "cuda"))


class MasterAdamW(torch.optim.AdamW):
    """AdamW over fp32 masters; its state, masters included, is what a checkpoint keeps."""

    def __init__(self, groups: Iterable[dict[str, Any]], **settings: Any):
        """Make the masters.

        Args:
            groups: As for `torch.optim.AdamW`, with `params` of any floating type, on their device.
            settings: Likewise.
        """
        groups = list(groups)
        self._weights = [weight for group in groups for weight in group["params"]]
        self._masters = [weight.detach().float().clone().requires_grad_() for weight in self._weights]
        masters = iter(self._masters)
        super().__init__([group | {"params": [next(masters) for _ in group["params"]]} for group in groups], **settings)

    def take_gradients(self) -> list[torch.Tensor]:
        """Move the gradients of the weights to the masters, in fp32, and return the masters: for clipping."""
        for weight, master in zip(self._weights, self._masters, strict=True):
            master.grad = None if weight.grad is None else weight.grad.float()
            weight.grad = None
        return self._masters

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Step the masters by the gradients that :meth:`take_gradients` took, and round them into the weights."""
        loss = super().step(closure)
        self._round()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """Return the state of AdamW, and the masters."""
        return super().state_dict() | {"masters": [master.detach() for master in self._masters]}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on where another left off; the weights are the rounded masters."""
        super().load_state_dict({name: value for name, value in state_dict.items() if name != "masters"})
        for master, given in zip(self._masters, state_dict["masters"], strict=True):
            master.copy_(given)
        self._round()

    def _round(self) -> None:
        torch._foreach_copy_(self._weights, self._masters)  # pyright: ignore[reportPrivateImportUsage]
