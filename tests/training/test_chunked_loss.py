"""The loss in chunks: the numbers of the plain one, in the loss and in every gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, RobertaConfig, RobertaForMaskedLM

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM
from hubkit.training.chunked_loss import chunk_loss, chunked_cross_entropy


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def head(seed=0, count=23, width=8, vocabulary=37, bias=True, dtype=torch.float64):
    random = torch.Generator().manual_seed(seed)
    shapes = [(count, width), (vocabulary, width), (vocabulary,)]
    parts = [torch.randn(shape, generator=random, dtype=dtype).requires_grad_() for shape in shapes]
    targets = torch.randint(0, vocabulary, (count,), generator=random)
    targets[torch.rand(count, generator=random) < 0.3] = -100
    targets[0] = 1
    return parts if bias else [*parts[:2], None], targets


def plain(hidden, weight, bias, targets):
    return F.cross_entropy(F.linear(hidden, weight, bias).float(), targets)


def gradients(loss, parts):
    return torch.autograd.grad(3 * loss, [part for part in parts if part is not None])


@given(st.integers(0, 99), st.integers(1, 40), st.integers(1, 30), st.booleans())
@settings(max_examples=40, deadline=None)
def test_any_chunk_is_as_plain(seed, chunk, count, bias):
    parts, targets = head(seed, count=count, bias=bias, dtype=torch.float32)
    expected, found = plain(*parts, targets), chunked_cross_entropy(*parts, targets, chunk)
    assert found.dtype == torch.float32 and torch.allclose(found, expected, rtol=1e-5)
    for a, b in zip(gradients(found, parts), gradients(expected, parts), strict=True):
        assert a.dtype == b.dtype and torch.allclose(a, b, atol=1e-5)


def test_a_gradient_by_differences():
    """No formula: the loss moves as the gradients say."""
    parts, targets = head(count=5, vocabulary=6)
    found = gradients(chunked_cross_entropy(*parts, targets, 2), parts)
    for part, gradient in zip(parts, found, strict=True):
        direction = torch.randn_like(part)
        with torch.no_grad():
            moved = [
                chunked_cross_entropy(*(p + step * direction if p is part else p for p in parts), targets, 2).item()
                for step in (-1e-2, 1e-2)
            ]
        assert 3 * (moved[1] - moved[0]) / 2e-2 == pytest.approx((gradient * direction).sum().item(), abs=2e-2)


def test_autocast_multiplies_in_bf16_and_keeps_fp32_gradients():
    parts, targets = head(count=200, width=32, dtype=torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found, expected = chunked_cross_entropy(*parts, targets, 64), plain(*parts, targets)
    exact = plain(*parts, targets)
    assert found.item() != exact.item()
    assert found.item() == pytest.approx(exact.item(), rel=5e-3)
    for a, b, true in zip(*(gradients(loss, parts) for loss in (found, expected, exact)), strict=True):
        assert a.dtype == torch.float32
        assert (a - true).norm() <= 1.2 * (b - true).norm() + 1e-4, "worse than plain autocast"


def test_weights_in_bf16_get_gradients_in_bf16():
    parts, targets = head(count=50, dtype=torch.bfloat16)
    loss = chunked_cross_entropy(*parts, targets, 16)
    assert loss.dtype == torch.float32
    assert [gradient.dtype for gradient in gradients(loss, parts)] == [torch.bfloat16] * 3


def test_nothing_asked_is_nan_as_torch_has_it():
    parts, targets = head()
    nothing = torch.full_like(targets, -100)
    assert chunked_cross_entropy(*parts, nothing, 4).isnan() and plain(*parts, nothing).isnan()


def test_no_tensor_is_larger_than_a_chunk_of_logits():
    """The reason for all of this, watched: what torch allocates in a step."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Largest(TorchDispatchMode):
        elements = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            for tensor in result if isinstance(result, tuple | list) else [result]:
                if isinstance(tensor, torch.Tensor):
                    Largest.elements = max(Largest.elements, tensor.numel())
            return result

    parts, targets = head(count=512, vocabulary=300, dtype=torch.float32)
    with Largest():
        chunked_cross_entropy(*parts, targets, 32).backward()
    assert 32 * 300 <= Largest.elements < 64 * 300


def minigpt(**fields):
    return MiniGPTForCausalLM(MiniGPTConfig(vocab_size=40, n_layer=1, n_head=2, n_embd=16, block_size=16, **fields))


def gpt_neox():
    shape = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    return GPTNeoXForCausalLM(GPTNeoXConfig(vocab_size=40, **shape))


def recurrent():
    return RecurrentForCausalLM(RecurrentConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, dropout=0.0))


MODELS = {
    "minigpt": minigpt,
    "tied": lambda: minigpt(tie_embeddings=True),
    "bias": lambda: minigpt(head_bias=True),
    "gpt_neox": gpt_neox,
    "recurrent": recurrent,
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_in_chunks_trains_as_without(name):
    ids = torch.randint(0, 40, (3, 12), generator=torch.Generator().manual_seed(1))
    targets = F.pad(ids[:, 1:], (0, 1), value=-100)
    losses, gradients = [], []
    for chunk in (None, 5):
        torch.manual_seed(0)
        net = MODELS[name]().train()
        if chunk:
            chunk_loss(net, chunk)
        out = net(input_ids=ids, labels=ids, shift_labels=targets)
        assert (out.logits is None) == bool(chunk)
        out.loss.backward()
        losses.append(out.loss)
        gradients.append([weight.grad for weight in net.parameters()])
        with torch.no_grad():  # without targets it is what it was
            assert net(input_ids=ids).logits.shape == (3, 12, 40)
            assert torch.allclose(net.eval()(input_ids=ids, labels=ids, shift_labels=targets).loss, out.loss)
    assert torch.allclose(*losses)
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*gradients, strict=True))


def test_a_head_of_several_maps_is_left_alone():
    net = RobertaForMaskedLM(RobertaConfig(vocab_size=40, hidden_size=16, num_hidden_layers=1, num_attention_heads=2))
    before = net.forward
    chunk_loss(net, 5)
    assert net.forward == before
