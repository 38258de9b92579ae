"""Which mask and which implementation a model attends by, watched at torch's own function."""

import pytest
import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, RobertaConfig, RobertaForMaskedLM

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.training.attention import fitting_attention

CPU = torch.device("cpu")
SHAPE = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
MODELS = {
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**SHAPE)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SHAPE)),
    "minigpt": lambda: MiniGPTForCausalLM(MiniGPTConfig(vocab_size=30, n_layer=1, n_head=2, n_embd=16, block_size=16)),
}
IDS = torch.randint(3, 30, (2, 8), generator=torch.Generator().manual_seed(0))
PADDED = torch.tensor([[1] * 8, [1] * 5 + [0] * 3])


@pytest.fixture
def calls(monkeypatch):
    """What the attention is told: its mask, and whether it is causal."""
    seen, plain = [], torch.nn.functional.scaled_dot_product_attention

    def watched(*args, **kwargs):
        seen.append((kwargs["attn_mask"], kwargs["is_causal"]))
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_model_writes_no_mask_where_nothing_is_padded(name, calls):
    model = MODELS[name]().eval()
    expected = model(input_ids=IDS, use_cache=False).logits if name != "roberta" else model(input_ids=IDS).logits
    calls.clear()
    compiled = torch.compile(model, backend="eager")
    with fitting_attention(model, {"input_ids": IDS}, CPU):
        extra = {} if name == "roberta" else {"use_cache": False}
        found = compiled(input_ids=IDS, **extra).logits
    assert calls == [(None, name != "roberta")]
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_padding_keeps_its_mask(name, calls):
    model = MODELS[name]().eval()
    expected = model(input_ids=IDS, attention_mask=PADDED).logits
    with fitting_attention(model, {"input_ids": IDS, "attention_mask": PADDED}, CPU):
        assert torch.equal(model(input_ids=IDS, attention_mask=PADDED).logits, expected)
    assert all(mask is not None for mask, _ in calls)


def test_what_a_model_was_is_restored_even_after_an_error():
    model = MODELS["roberta"]()
    with pytest.raises(RuntimeError), fitting_attention(model, {}, CPU):
        assert model.config._attn_implementation != "sdpa"
        raise RuntimeError
    assert model.config._attn_implementation == "sdpa"


def test_another_implementation_stays():
    model = MODELS["roberta"]()
    model.set_attn_implementation("eager")
    with fitting_attention(model, {}, CPU):
        assert model.config._attn_implementation == "eager"
