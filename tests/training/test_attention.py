"""Which mask and which implementation a model attends by, watched at torch's own function; and segments."""

import pytest
import torch
from torch.nn import functional as F
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, RobertaConfig, RobertaForMaskedLM

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM
from hubkit.training import attention
from hubkit.training.attention import Attention

from .segments import flash

CPU = torch.device("cpu")
SHAPE = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
MODELS = {
    "roberta": lambda: RobertaForMaskedLM(RobertaConfig(**SHAPE)),
    "gpt_neox": lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**SHAPE)),
    "minigpt": lambda: MiniGPTForCausalLM(MiniGPTConfig(vocab_size=30, n_layer=1, n_head=2, n_embd=16, block_size=16)),
}
IDS = torch.randint(3, 30, (3, 8), generator=torch.Generator().manual_seed(0))
PADDED = torch.tensor([[1] * 8, [1] * 5 + [0] * 3, [1] + [0] * 7])
PACKED = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 0, 1, 2, 3, 4], [0, 0, 1, 2, 0, 1, 0, 1]])


@pytest.fixture
def calls(monkeypatch):
    """What the attention is told: its mask, and whether it is causal."""
    seen, plain = [], F.scaled_dot_product_attention

    def watched(*args, **kwargs):
        seen.append((kwargs["attn_mask"], kwargs["is_causal"]))
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    return seen


@pytest.fixture
def told(monkeypatch):
    """Flash attention on processors too, segment by segment; what it is told: where they begin, and whether causal."""
    told = []

    def heard(query, key, value, begins, longest, dropout, causal, scaling):
        told.append((begins.tolist(), causal))
        return flash(query, key, value, begins, longest, dropout, causal, scaling)

    monkeypatch.setattr(attention, "_flash_attends", lambda config, device: True)
    monkeypatch.setattr(attention, "_flash", heard)
    return told


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_a_compiled_model_writes_no_mask_where_nothing_is_padded(name, calls):
    model = MODELS[name]().eval()
    expected = model(input_ids=IDS, use_cache=False).logits if name != "roberta" else model(input_ids=IDS).logits
    calls.clear()
    compiled = torch.compile(model, backend="eager")
    with Attention(model, CPU).fitting({"input_ids": IDS}) as read:
        extra = {} if name == "roberta" else {"use_cache": False}
        found = compiled(**read, **extra).logits
    assert calls == [(None, name != "roberta")]
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_padding_keeps_its_mask_on_a_processor(name, calls):
    model = MODELS[name]().eval()
    expected = model(input_ids=IDS, attention_mask=PADDED).logits
    with Attention(model, CPU, narrow=True).fitting({"input_ids": IDS, "attention_mask": PADDED}) as read:
        assert torch.equal(model(**read).logits, expected)
    assert all(mask is not None for mask, _ in calls)


@pytest.mark.parametrize("name", MODELS)
def test_padded_rows_are_two_segments_each(name, told):
    model = MODELS[name]().eval()
    batch = {"input_ids": IDS, "attention_mask": PADDED}
    # Positions as they are without a mask; else minigpt would count the padding's otherwise.
    expected = model(**batch, **({} if name == "roberta" else {"position_ids": torch.arange(8)[None]})).logits
    with Attention(model, CPU, narrow=True).fitting(batch) as read:
        found = model(**read).logits
    assert told == [([0, 8, 8, 13, 16, 17, 24], name != "roberta")]
    assert torch.allclose(found[PADDED == 1], expected[PADDED == 1], atol=1e-6)
    assert set(batch) == {"input_ids", "attention_mask"}, "what was given is left as it was"


@pytest.mark.parametrize("name", ["gpt_neox", "minigpt"])
def test_documents_are_segments(name, told):
    model = MODELS[name]().eval()
    batch = {"input_ids": IDS, "position_ids": PACKED}
    expected = model(**batch, use_cache=False).logits
    with Attention(model, CPU, narrow=True).fitting(batch) as read:
        found = model(**read).logits
    assert told == [([0, 8, 11, 16, 17, 20, 22, 24], True)]
    assert torch.allclose(found, expected, atol=1e-6)


@pytest.mark.parametrize("name", ["gpt_neox", "minigpt"])
def test_documents_are_apart_by_a_mask_too(name):
    model = MODELS[name]()  # in training: a GPT-NeoX makes a cache there, and lets them see each other then
    expected = model(input_ids=IDS, position_ids=PACKED, use_cache=False).logits
    with Attention(model, CPU).fitting({"input_ids": IDS, "position_ids": PACKED}) as read:
        assert torch.equal(model(**read).logits, expected)
    assert not torch.allclose(model(input_ids=IDS).logits, expected, atol=1e-3)


@pytest.mark.parametrize("name", MODELS)
def test_gradients_by_segments_are_those_of_a_mask(name, told):
    model = MODELS[name]().eval()
    model.config.use_cache = False
    key, rows = ("attention_mask", PADDED) if name == "roberta" else ("position_ids", PACKED)
    labels = torch.where(rows == 1, IDS, -100)

    def gradient(batch):
        model.zero_grad()
        model(**batch).loss.backward()
        return torch.cat([weight.grad.flatten() for weight in model.parameters() if weight.grad is not None])

    expected = gradient({"input_ids": IDS, key: rows, "labels": labels})
    with Attention(model, CPU, narrow=True).fitting({"input_ids": IDS, key: rows, "labels": labels}) as read:
        assert torch.allclose(gradient(read), expected, atol=1e-6)
    assert told


@pytest.mark.parametrize("name", MODELS)
def test_sixteen_bits_reach_the_kernel(name, told):
    model = MODELS[name]().eval()
    key, rows = ("attention_mask", PADDED) if name == "roberta" else ("position_ids", PACKED)
    with torch.autocast("cpu", torch.bfloat16):
        expected = model(input_ids=IDS, use_cache=False, **{key: rows}).logits
        with Attention(model, CPU, narrow=True).fitting({"input_ids": IDS, key: rows}) as read:
            found = model(**read).logits
    assert told
    assert torch.allclose(found[rows == 1], expected[rows == 1], atol=2e-2)


@pytest.mark.parametrize("narrow", [False, True])
def test_only_sixteen_bits_go_by_segments(narrow, told):
    model = MODELS["roberta"]().eval()
    with Attention(model, CPU, narrow).fitting({"input_ids": IDS, "attention_mask": PADDED}) as read:
        model(**read)
    assert bool(told) is narrow


def test_a_recurrent_model_knows_no_segments(told):
    config = RecurrentConfig(vocab_size=30, cell="gru", hidden_size=16, num_hidden_layers=1)
    model = RecurrentForCausalLM(config).eval()
    batch = {"input_ids": IDS, "position_ids": PACKED}
    with Attention(model, CPU, narrow=True).fitting(batch) as read:
        assert read is batch
        model(**read)


def test_what_a_model_was_is_restored_even_after_an_error():
    model = MODELS["roberta"]()
    with pytest.raises(RuntimeError), Attention(model, CPU).fitting({}):
        assert model.config._attn_implementation != "sdpa"
        raise RuntimeError
    assert model.config._attn_implementation == "sdpa" and model.config.use_cache


def test_another_implementation_stays():
    model = MODELS["roberta"]()
    model.set_attn_implementation("eager")
    with Attention(model, CPU).fitting({}):
        assert model.config._attn_implementation == "eager"


def test_the_kernel_is_told_of_dropout_and_of_the_scale(monkeypatch):
    told = []

    def heard(query, key, value, begins, longest, dropout, causal, scaling):
        told.append((dropout, causal, scaling))
        return query

    monkeypatch.setattr(attention, "_flash", heard)
    heads = torch.ones(2, 3, 4, 8)
    module = torch.nn.Module()
    module.is_causal = True
    begins = {attention._BEGINNINGS: torch.tensor([0, 4, 8])}
    attention._attend_by_segments(module, heads, heads, heads, None, dropout=0.3, scaling=0.7, **begins)
    assert told == [(0.3, True, 0.7)]


def test_documents_in_padded_rows_keep_their_mask(told):
    model = MODELS["minigpt"]().eval()
    batch = {"input_ids": IDS, "attention_mask": PADDED, "position_ids": PACKED}
    with Attention(model, CPU, narrow=True).fitting(batch) as read:
        assert read is batch
        model(**read)
    assert not told


@pytest.mark.parametrize(
    ("size", "capability", "attends"),
    [
        (64, (8, 0), True),
        (256, (9, 0), True),
        (12, (9, 0), False),
        (264, (9, 0), False),
        (64, (7, 5), False),
        (192, (8, 6), True),
        (200, (8, 9), False),
    ],
)
def test_where_flash_attends(monkeypatch, size, capability, attends):
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: capability)
    monkeypatch.setattr(torch.backends.cuda, "is_flash_attention_available", lambda: True)
    config = GPTNeoXConfig(hidden_size=2 * size, num_attention_heads=2)
    assert attention._flash_attends(config, torch.device("cuda")) is attends
    assert not attention._flash_attends(config, CPU)


@pytest.mark.parametrize("steady", [False, True])
def test_cudnn_comes_first_where_batches_are_alike(steady):
    from torch.nn.attention import SDPBackend, _cur_sdpa_kernel_backends

    with Attention(MODELS["roberta"](), torch.device("cuda"), steady=steady).fitting({}):
        first = _cur_sdpa_kernel_backends(with_priority=True)[0]
    assert (first == SDPBackend.CUDNN_ATTENTION) is steady
