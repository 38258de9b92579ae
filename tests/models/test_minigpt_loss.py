"""The loss in chunks: the numbers of the plain one, in the loss and in every gradient."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.models.minigpt.loss_minigpt import chunked_cross_entropy, cross_entropy_of_logits, shifted


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


def plain(hidden, weight, bias, targets, count=None):
    logits = F.linear(hidden, weight, bias).float()
    loss = F.cross_entropy(logits, targets, reduction="sum")
    return loss / ((targets != -100).sum() if count is None else count)


def gradients(loss, parts):
    return torch.autograd.grad(3 * loss, [part for part in parts if part is not None])


@given(
    st.integers(0, 99), st.integers(1, 40), st.integers(1, 30), st.booleans(), st.sampled_from([None, 7])
)  # fmt: skip
@settings(max_examples=40, deadline=None)
def test_any_chunk_is_as_plain(seed, chunk, count, bias, divisor):
    parts, targets = head(seed, count=count, bias=bias, dtype=torch.float32)
    expected, found = plain(*parts, targets, divisor), chunked_cross_entropy(*parts, targets, chunk, divisor)
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
    assert cross_entropy_of_logits(torch.randn(23, 37), nothing, 4).isnan()


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


def model(**fields):
    torch.manual_seed(0)
    return MiniGPTForCausalLM(MiniGPTConfig(vocab_size=40, n_layer=1, n_head=2, n_embd=16, block_size=16, **fields))


@pytest.mark.parametrize("fields", [{}, {"tie_embeddings": True}, {"head_bias": True}], ids=["plain", "tied", "bias"])
def test_a_model_in_chunks_trains_as_without(fields):
    ids = torch.randint(0, 40, (3, 12), generator=torch.Generator().manual_seed(1))
    one, other = model(**fields).train(), model(loss_chunk=5, **fields).train()
    for net in (one, other):
        net(ids, labels=ids).loss.backward()
    out = other(ids, labels=ids)
    assert out.logits is None and torch.allclose(out.loss, one(ids, labels=ids).loss)
    for a, b in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(a.grad, b.grad, atol=1e-6)


def test_an_evaluation_in_chunks_has_its_logits():
    ids = torch.randint(0, 40, (3, 12))
    one, other = model().eval(), model(loss_chunk=5).eval()
    a, b = one(ids, labels=ids), other(ids, labels=ids)
    assert torch.equal(a.logits, b.logits) and torch.allclose(a.loss, b.loss)


@pytest.mark.parametrize("chunk", [None, 5])
@pytest.mark.parametrize("training", [False, True])
def test_labels_are_shifted_once(chunk, training):
    net = model(loss_chunk=chunk).train(training)
    ids = torch.randint(0, 40, (2, 9), generator=torch.Generator().manual_seed(2))
    targets = shifted(ids)
    assert targets.tolist() == [[*row[1:], -100] for row in ids.tolist()]
    by_labels, by_targets = net(ids, labels=ids).loss, net(ids, labels=ids, shift_labels=targets).loss
    assert torch.equal(by_labels, by_targets) and torch.equal(by_targets, net(ids, shift_labels=targets).loss)
    logits = model().eval()(ids).logits
    assert torch.allclose(by_labels, F.cross_entropy(logits[:, :-1].flatten(0, 1), ids[:, 1:].flatten()))
    halved = net(ids, shift_labels=targets, num_items_in_batch=32).loss
    assert torch.allclose(halved, by_labels / 2)
