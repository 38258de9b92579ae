"""Dropout on a processor: which numbers are dropped, by how much the rest grows, and that models train with it."""

from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, RobertaConfig, RobertaForMaskedLM

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.models.numeric_roberta import NumericRobertaConfig, NumericRobertaForMaskedLM
from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM
from hubkit.training import dropout as module
from hubkit.training import loop
from hubkit.training.dropout import attention, dropout, fitting_dropout, philox

from .small_run import small_loop

CPU = torch.device("cpu")
STOCK: dict[str, Any] = {
    "vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32
}  # fmt: skip
MODELS = {
    "roberta": (lambda: RobertaForMaskedLM(RobertaConfig(**STOCK)), 7),
    "numeric_roberta": (lambda: NumericRobertaForMaskedLM(NumericRobertaConfig(**STOCK, number_token_id=5)), 7),
    "gpt_neox": (
        lambda: GPTNeoXForCausalLM(GPTNeoXConfig(**STOCK, hidden_dropout=0.2, attention_dropout=0.2, use_cache=False)),
        7,
    ),
    "minigpt": (lambda: MiniGPTForCausalLM(minigpt(0.2)), 7),
    "gru": (lambda: RecurrentForCausalLM(RecurrentConfig(vocab_size=30, hidden_size=16, dropout=0.2)), 1),
}
"""Each with two layers, if it has attention: after the embedding, and of each layer's attention, its output and MLP."""
IDS = torch.randint(6, 30, (2, 12), generator=torch.Generator().manual_seed(0))
NEARLY_NOTHING = 1e-7
"""A share that goes the way of dropout and drops nothing."""


def minigpt(share: float) -> MiniGPTConfig:
    return MiniGPTConfig(vocab_size=30, n_layer=2, n_head=2, n_embd=16, block_size=16, dropout=share, use_cache=False)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def drawn_seed() -> int:
    return int(torch.empty((), dtype=torch.int64).random_())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([0] * 6, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
        ([0xFFFFFFFF] * 6, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
        (
            [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344, 0xA4093822, 0x299F31D0],
            [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1],
        ),
    ],
    ids=["zeros", "ones", "pi"],
)
def test_philox_gives_the_words_of_its_authors(given, expected):
    """The known answers of Random123 (`kat_vectors`, BSD licence)."""
    assert [int(word) for word in philox(*map(np.uint64, given))] == expected


@given(st.integers(0, 60), st.floats(1e-3, 1), st.integers(0, 2**32))
@settings(max_examples=60, deadline=None)
def test_each_number_goes_by_its_own_half_word_of_the_stream_that_one_seed_names(count, share, state):
    torch.manual_seed(state)
    values = torch.arange(1.0, count + 1)
    found = dropout(values, share)
    after = torch.get_rng_state()
    torch.manual_seed(state)
    seed, blocks = drawn_seed(), -(-count // 8)
    assert torch.equal(torch.get_rng_state(), after), "the generator is asked for the seed alone"
    words = [
        [int(word) for word in philox(*map(np.uint64, (i, 0, 0, 0, seed % 2**32, seed >> 32)))] for i in range(blocks)
    ]
    halves = [block[word] >> shift & 0xFFFF for word in range(4) for shift in (0, 16) for block in words]
    below = round(share * 65536)
    kept = torch.tensor([half >= below for half in halves[:count]], dtype=torch.bool)
    scale = 65536 / (65536 - below) if below < 65536 else 0.0
    assert torch.equal(found, torch.where(kept, values * scale, 0.0))


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9])
def test_the_share_is_dropped_and_the_mean_stays(share):
    torch.manual_seed(0)
    count = 1 << 20
    found = dropout(torch.ones(count), share)
    gone = (found == 0).double()
    deviation = (share * (1 - share) / count) ** 0.5
    assert abs(gone.mean() - share) < 4 * deviation
    assert abs(found.double().mean() - 1) < 4 * deviation / (1 - share)
    assert len(found.unique()) == 2
    for apart in (1, 2, 128, count // 8, count // 2):
        together = (gone[apart:] * gone[:-apart]).mean()
        assert abs(together - share**2) < 5 * share / (count - apart) ** 0.5, f"{apart} apart they know of each other"


def test_calls_differ_and_the_same_seed_gives_the_same_with_any_number_of_threads():
    values, found = torch.randn(4, 333, 7), []
    for threads in (1, 2):
        torch.set_num_threads(threads)
        torch.manual_seed(3)
        found.append([dropout(values, 0.3), dropout(values, 0.3)])
    assert torch.equal(found[0][0], found[1][0]) and torch.equal(found[0][1], found[1][1])
    assert not torch.equal(found[0][0], found[0][1])


def test_it_goes_on_where_a_checkpoint_of_the_generator_was_made():
    dropout(torch.ones(50), 0.5)
    state = torch.get_rng_state()
    expected = [dropout(torch.ones(50), 0.5) for _ in range(3)]
    torch.set_rng_state(state)
    assert all(torch.equal(dropout(torch.ones(50), 0.5), one) for one in expected)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.999999, 1.0])
def test_the_gradient_is_the_mask_times_the_scale(share):
    values = torch.randn(3, 5, 4).transpose(0, 1).requires_grad_()
    dropped = dropout(values, share)
    assert dropped.shape == values.shape
    incoming = torch.randn(5, 4, 3).transpose(1, 2)
    (found,) = torch.autograd.grad(dropped, values, incoming)
    scale = 65536 / (65536 - round(share * 65536)) if share < 0.9999 else 0.0
    assert torch.equal(found, torch.where(dropped != 0, incoming * torch.tensor(scale), 0.0))
    assert (share > 0.9999) == (not found.any())


def test_what_drops_nothing_is_the_tensor_itself_or_its_equal():
    values = torch.ones(1 << 20)
    assert torch.equal(dropout(values, NEARLY_NOTHING), values)
    assert torch.equal(dropout(values, 0.0), values)
    assert dropout(values, 0.5, training=False) is values


@pytest.mark.parametrize(
    ("values", "options"),
    [(torch.ones(99).bfloat16(), {}), (torch.ones(99), {"inplace": True})],
    ids=["bf16", "inplace"],
)
def test_what_it_does_not_suit_is_torchs(values, options):
    torch.manual_seed(0)
    found = dropout(values.clone(), 0.5, **options)
    torch.manual_seed(0)
    assert torch.equal(found, F.dropout(values.clone(), 0.5))
    with pytest.raises(ValueError, match=r"dropout probability has to be between 0 and 1, but got 1\.5"):
        dropout(values, 1.5)


def heads(seed: int = 0) -> list[torch.Tensor]:
    """Return queries, keys and values: (2, 3, 6, 4) each, as models have them, heads and tokens interchanged."""
    drawn = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 6, 3, 4, generator=drawn).transpose(1, 2).requires_grad_() for _ in range(3)]


PADDED = torch.ones(2, 1, 1, 6, dtype=torch.bool)
PADDED[1, ..., 4:] = False
BLIND = torch.ones(2, 1, 6, 6, dtype=torch.bool).tril()
BLIND[1, :, 2] = False
NUMBERS = torch.randn(6, 6, generator=torch.Generator().manual_seed(9))
CASES: dict[str, dict[str, Any]] = {
    "all": {}, "scale": {"scale": 0.3}, "causal": {"is_causal": True}, "padded": {"attn_mask": PADDED},
    "a row without keys": {"attn_mask": BLIND}, "a mask of numbers": {"attn_mask": NUMBERS},
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_attention_that_drops_nothing_is_torchs(case):
    query, key, value = heads()
    outcomes = []
    for attend, share in ((attention, NEARLY_NOTHING), (F.scaled_dot_product_attention, 0.0)):
        attended = attend(query, key, value, dropout_p=share, **CASES[case])
        incoming = heads(5)[0].detach()
        outcomes.append([attended, *torch.autograd.grad(attended, (query, key, value), incoming)])
    for found, expected in zip(*outcomes, strict=True):
        assert torch.allclose(found, expected, atol=1e-6)


def test_keys_that_several_heads_share_are_torchs():
    query, key, value = heads()
    found = []
    for attend in (attention, F.scaled_dot_product_attention):
        torch.manual_seed(2)
        found.append(attend(torch.cat([query, query], 1), key, value, dropout_p=0.3, enable_gqa=True))
    assert torch.equal(*found)


def test_attention_drops_weights(monkeypatch):
    query, key, value = heads()
    torch.manual_seed(1)
    found = attention(query, key, value, dropout_p=0.4, is_causal=True)
    torch.manual_seed(1)
    hidden = torch.ones(6, 6, dtype=torch.bool).triu(1)
    weights = (query @ key.transpose(-1, -2) / 2).masked_fill(hidden, -torch.inf).softmax(-1)
    assert torch.allclose(found, dropout(weights, 0.4) @ value, atol=1e-6)
    monkeypatch.setattr(module, "dropout", None)
    assert torch.equal(
        attention(query, key, value, is_causal=True), F.scaled_dot_product_attention(query, key, value, is_causal=True)
    )


@pytest.mark.parametrize("name", MODELS)
def test_every_dropout_of_a_model_in_training_is_this_one(name):
    """The generator is then asked for one seed a call; torch's asks it for each number."""
    make, calls = MODELS[name]
    torch.manual_seed(0)
    model = make().train()
    torch.manual_seed(1)
    with fitting_dropout(CPU):
        model(input_ids=IDS, labels=IDS).loss.backward()
    after = torch.get_rng_state()
    torch.manual_seed(1)
    for _ in range(calls):
        drawn_seed()
    assert torch.equal(torch.get_rng_state(), after)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_that_is_evaluated_is_as_it_was(name):
    model = MODELS[name][0]().eval()
    before = torch.get_rng_state()
    with torch.no_grad():
        expected = model(input_ids=IDS).logits
        with fitting_dropout(CPU):
            assert torch.equal(model(input_ids=IDS).logits, expected)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("reentrant", [False, True])
def test_gradient_checkpoints_draw_the_same_again(reentrant):
    gradients = []
    for checkpoints in (False, True):
        torch.manual_seed(0)
        model = MODELS["roberta"][0]().train()
        if checkpoints:
            model.activation_checkpointing_enable({"use_reentrant": reentrant})
        torch.manual_seed(1)
        with fitting_dropout(CPU):
            model(input_ids=IDS, labels=IDS).loss.backward()
        gradients.append({name: weight.grad for name, weight in model.named_parameters()})
    assert all(torch.equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


def test_it_ends_where_its_context_does_even_after_an_error():
    usual = F.dropout, F.scaled_dot_product_attention
    assert usual[0] is not dropout and usual[1] is not attention
    with pytest.raises(RuntimeError), fitting_dropout(CPU):
        assert (F.dropout, F.scaled_dot_product_attention) == (dropout, attention)
        raise RuntimeError
    assert (F.dropout, F.scaled_dot_product_attention) == usual


@pytest.mark.parametrize("told", [(torch.device("cuda"),), (CPU, True)], ids=["on a GPU", "compiled"])
def test_elsewhere_nothing_happens(told):
    usual = F.dropout, F.scaled_dot_product_attention
    with fitting_dropout(*told):
        assert (F.dropout, F.scaled_dot_product_attention) == usual


def test_the_loop_says_where_it_trains_and_whether_it_is_compiled(tmp_path, monkeypatch):
    told = []

    @contextmanager
    def heard(*arguments):
        told.append(arguments)
        yield

    monkeypatch.setattr(loop, "fitting_dropout", heard)
    monkeypatch.setattr(loop, "compile_whole", lambda *_: None)
    for compiled in (False, True):
        small_loop(tmp_path / str(compiled), 5, case="minigpt forward", compile=compiled).run()
    assert told == [(CPU, False)] * 5 + [(CPU, True)] * 5
