"""What only a GPU shows: the kernel of the loss has torch's numbers, and a deterministic run resumes to the bit."""

import os

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.nn import functional as F

from .small_run import EVERY, measured, small_loop

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["fp32", "bf16"])
@pytest.mark.parametrize("biased", [False, True], ids=["unbiased", "biased"])
@pytest.mark.parametrize("vocabulary", [37, 50257])
def test_the_kernel_has_torchs_loss_and_gradients(vocabulary, biased, dtype, compiled):
    from hubkit.training.chunked_loss import chunked_cross_entropy

    random = torch.Generator("cuda").manual_seed(0)

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=random, device="cuda", dtype=dtype).requires_grad_()

    hidden, weight, bias = draw(300, 64), draw(vocabulary, 64), draw(vocabulary) if biased else None
    targets = torch.randint(0, vocabulary, (300,), generator=random, device="cuda")
    targets[::7] = -100
    parts = [part for part in (hidden, weight, bias) if part is not None]
    loss = torch.compile(chunked_cross_entropy) if compiled else chunked_cross_entropy
    found = loss(hidden, weight, bias, targets, 128)
    wide = [None if part is None else part.float() for part in (hidden, weight, bias)]
    expected = F.cross_entropy(F.linear(*wide), targets)  # pyright: ignore[reportArgumentType]
    close = 1e-5 if dtype == torch.float32 else 2e-2
    assert found.item() == pytest.approx(expected.item(), rel=close)
    for a, b in zip(torch.autograd.grad(found, parts), torch.autograd.grad(expected, parts), strict=True):
        assert (a.float() - b.float()).norm() <= close * b.float().norm()


@pytest.fixture
def deterministic(monkeypatch):
    """Set what `training.deterministic` sets."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", os.environ.get("CUBLAS_WORKSPACE_CONFIG", ":4096:8"))
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("precision", ["fp32", "bf16", "bf16_weights"])
@pytest.mark.parametrize("case", ["minigpt forward", "roberta masked", "gru forward"])
def test_a_run_that_is_cut_in_two_ends_with_the_same_bits(deterministic, tmp_path, case, precision):
    def run(name: str, steps: int, **options: object) -> dict[str, object]:
        AcceleratorState._reset_state(reset_partial_state=True)
        loop = small_loop(
            tmp_path / name, steps, case=case, accelerator=Accelerator(), precision=precision, loss_chunk=32,
            schedule={"name": "constant", "warmup_steps": 4},
        )  # fmt: skip
        return measured(loop, **options)

    whole = run("whole", 2 * EVERY)
    run("cut", EVERY)
    assert run("cut", 2 * EVERY) == whole
