"""A masked model's head where it is asked, instead of at every token: most tokens of a batch are there to be read."""

from types import MethodType
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.nn import functional as F

from hubkit.data.objectives.base import IGNORED

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def head_where_asked(model: "PreTrainedModel") -> None:
    """Let a RoBERTa's head read only what `labels` ask for; without labels it is as it was, and so is any other model.

    For processors: how many tokens are asked differs from batch to batch, for which a GPU would have to be waited and a
    compiled model be compiled again.

    Args:
        model: Its `forward` is replaced.
    """
    from transformers import RobertaForMaskedLM
    from transformers.modeling_outputs import MaskedLMOutput

    if type(model) is not RobertaForMaskedLM:
        return
    plain = model.forward

    def forward(self: RobertaForMaskedLM, *read: Any, labels: Tensor | None = None, **inputs: Any) -> Any:
        if labels is None:
            return plain(*read, **inputs)
        hidden = self.roberta(*read, **inputs, return_dict=True).last_hidden_state
        places = (labels != IGNORED).flatten().nonzero()[:, 0]
        logits = self.lm_head(hidden.flatten(0, 1).index_select(0, places))
        return MaskedLMOutput(loss=F.cross_entropy(logits, labels.flatten()[places]))  # pyright: ignore[reportArgumentType]

    model.forward = MethodType(forward, model)
