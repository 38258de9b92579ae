"""What only a GPU shows: the kernel of the loss and the attention by segments have torch's numbers, and a deterministic
run resumes to the bit.
"""

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


def small_model(name: str) -> "tuple[torch.nn.Module, dict[str, torch.Tensor]]":
    """Return a model without dropout, and a batch: padded for a masked model, packed for a causal one."""
    from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, RobertaConfig, RobertaForMaskedLM

    from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM

    torch.manual_seed(0)
    ids = torch.randint(3, 30, (4, 200))
    shape = {"vocab_size": 30, "hidden_size": 80, "num_hidden_layers": 2, "num_attention_heads": 2}
    if name == "roberta":
        off = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0, "max_position_embeddings": 210}
        model: torch.nn.Module = RobertaForMaskedLM(RobertaConfig(**shape, **off))  # pyright: ignore[reportArgumentType]
        mask = (torch.arange(200) < torch.tensor([200, 131, 64, 1])[:, None]).long()
        return model, {"input_ids": ids, "attention_mask": mask, "labels": torch.where(mask == 1, ids, -100)}
    if name == "gpt_neox":
        model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape))  # pyright: ignore[reportArgumentType]
    else:
        model = MiniGPTForCausalLM(MiniGPTConfig(vocab_size=30, n_layer=2, n_head=2, n_embd=80, block_size=200))
    positions = torch.stack([torch.arange(200) % length for length in (200, 71, 8, 1)])
    return model, {"input_ids": ids, "position_ids": positions, "labels": ids, "shift_labels": ids}


@pytest.mark.parametrize("compiled", [False, True], ids=["plain", "compiled"])
@pytest.mark.parametrize("name", ["roberta", "gpt_neox", "minigpt"])
def test_attention_by_segments_has_the_masks_numbers(name, compiled):
    from hubkit.training.attention import Attention

    model, batch = small_model(name)
    model.cuda().train()

    def loss_and_gradient(attention: Attention, found: set[str]) -> tuple[torch.Tensor, torch.Tensor]:
        model.zero_grad()
        with attention.fitting(batch) as read, torch.autocast("cuda", torch.bfloat16):
            found |= read.keys() - batch.keys()
            loss = model(**{key: tensor.cuda() for key, tensor in read.items()}).loss
        loss.backward()
        return loss, torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])

    device, told = torch.device("cuda"), set[str]()
    expected, gradient = loss_and_gradient(Attention(model, device), told)  # pyright: ignore[reportArgumentType]
    assert not told
    if compiled:
        model.compile(dynamic=True)
    found, other = loss_and_gradient(Attention(model, device, narrow=True), told)  # pyright: ignore[reportArgumentType]
    assert told == {"cu_seq_lens_q"}
    assert found.item() == pytest.approx(expected.item(), rel=1e-3)
    assert (gradient - other).norm() <= 2e-2 * gradient.norm()


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
