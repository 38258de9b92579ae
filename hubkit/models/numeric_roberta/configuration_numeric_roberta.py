"""The configuration of a RoBERTa that reads numbers as numbers. Published with the weights; needs transformers."""

from huggingface_hub.dataclasses import strict
from transformers import RobertaConfig


@strict
class NumericRobertaConfig(RobertaConfig):
    """RoBERTa's configuration, and what concerns numbers.

    Args:
        number_token_id: The token that stands for any number; its embedding is multiplied by the number's value.
        value_scale: Below it (in the units of the text) the model sees numbers linearly, above it by their logarithm:
            a number `v` enters as ``sign(v) · log(1 + |v| / value_scale)``.
        number_loss_weight: Of the squared error of an asked number, beside the cross-entropy of its token.
        unattended_token_ids: Tokens that no other token attends to, such as brackets and commas; None or empty is
            RoBERTa's attention.
    """

    model_type = "numeric_roberta"

    number_token_id: int | None = None
    value_scale: float | int = 1.0
    number_loss_weight: float | int = 1.0
    unattended_token_ids: list[int] | None = None

    def validate_numbers(self) -> None:
        """Refuse scales and weights that are not positive."""
        for name in ("value_scale", "number_loss_weight"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive; set it to 1.0")


NumericRobertaConfig.register_for_auto_class()
