"""The head where it is asked: the numbers of the plain one, in the loss and in every gradient."""

import torch
from transformers import RobertaConfig, RobertaForMaskedLM

from hubkit.models.numeric_roberta import NumericRobertaConfig, NumericRobertaForMaskedLM
from hubkit.training.masked_loss import head_where_asked

SHAPE = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32, "vocab_size": 30}


def roberta() -> RobertaForMaskedLM:
    torch.manual_seed(0)
    return RobertaForMaskedLM(RobertaConfig(**SHAPE, max_position_embeddings=32)).eval()


def test_loss_and_gradients_are_those_of_the_whole_head():
    torch.set_num_threads(1)
    ids = torch.randint(3, 30, (3, 12), generator=torch.Generator().manual_seed(1))
    labels = torch.where(torch.rand(3, 12, generator=torch.Generator().manual_seed(2)) < 0.2, ids, -100)
    mask = torch.ones_like(ids)
    mask[1, 9:] = 0
    plain, asked = roberta(), roberta()
    head_where_asked(asked)
    read = []
    asked.lm_head.register_forward_pre_hook(lambda head, given: read.append(given[0].shape))
    losses = [model(input_ids=ids, attention_mask=mask, labels=labels).loss for model in (plain, asked)]
    assert torch.allclose(*losses) and read == [((labels != -100).sum(), 16)]
    for loss in losses:
        loss.backward()
    for (name, one), other in zip(plain.named_parameters(), asked.parameters(), strict=True):
        assert one.grad is not None and torch.allclose(one.grad, other.grad, atol=1e-7), name
    with torch.no_grad():
        assert torch.equal(plain(input_ids=ids).logits, asked(input_ids=ids).logits)


def test_another_model_is_left_alone():
    model = NumericRobertaForMaskedLM(NumericRobertaConfig(**SHAPE, number_token_id=5))
    head_where_asked(model)
    assert "forward" not in vars(model)
