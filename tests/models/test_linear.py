"""Linear maps of a few tokens: the quick ways give what torch's own gives."""

from pathlib import Path

import pytest
import torch
from torch.nn import functional

import hubkit.models
from hubkit.models.minigpt.linear_minigpt import Linear

CLOSE = {"atol": 1e-5, "rtol": 1e-4}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("out", [1, 7, 8, 24, 50257])
def test_a_single_token_is_multiplied_as_many_are(out, bias):
    torch.manual_seed(0)
    layer = Linear(48, out, bias=bias)
    token = torch.randn(1, 3, 48)[:, 1:2]
    for hidden in (token, token[0], token[0, 0]):
        with torch.no_grad():
            found, expected = layer(hidden), functional.linear(hidden, layer.weight, layer.bias)
        assert found.shape == expected.shape and found.is_contiguous()
        assert torch.allclose(found, expected, atol=1e-6)
    assert layer(token).requires_grad


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("out", "width"), [(520, 512), (33000, 128), (48, 16), (16, 600)], ids=["wide", "large", "small", "flat"]
)
@pytest.mark.parametrize("shape", [(0,), (2, 1), (1, 3), (2, 2), (5,)], ids=["none", "2x1", "1x3", "2x2", "5"])
def test_a_few_tokens_are_multiplied_as_many_are(shape, out, width, bias):
    torch.manual_seed(0)
    layer, hidden = Linear(width, out, bias=bias), torch.randn(*shape, 2, width)[..., 0, :]
    with torch.no_grad():
        before = None if layer.bias is None else layer.bias.clone()
        found, expected = layer(hidden), functional.linear(hidden, layer.weight, layer.bias)
    assert found.shape == expected.shape and found.is_contiguous()
    assert torch.allclose(found, expected, **CLOSE)
    assert before is None or torch.equal(layer.bias, before)


def test_a_few_tokens_of_other_types_are_left_to_torch():
    layer, hidden = Linear(512, 520), torch.randn(2, 512)
    with torch.no_grad():
        half = layer.bfloat16()(hidden.bfloat16())
        with torch.autocast("cpu", torch.bfloat16):
            automatic = layer.float()(hidden)
    assert half.dtype == automatic.dtype == torch.bfloat16


def test_every_architecture_that_writes_has_the_same_file():
    """Published files stand alone, so each has a copy of its own."""
    found = {path.read_text() for path in Path(hubkit.models.__file__).parent.glob("*/linear_*.py")}
    assert len(found) == 1
