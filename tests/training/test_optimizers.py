"""Weights in bfloat16 with fp32 masters: nothing small is lost, and a checkpoint keeps them."""

import copy

import pytest
import torch

from hubkit.training.optimizers import MasterAdamW, make_optimizer
from hubkit.training.recipe import TrainingSpec

from .small_run import measured, small_loop

SETTINGS = {"lr": 1e-3, "betas": (0.9, 0.99)}


def model(dtype: torch.dtype) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(8, 16), torch.nn.LayerNorm(16), torch.nn.Linear(16, 4)).to(dtype)


def steps(net: torch.nn.Module, optimizer: torch.optim.Optimizer, count: int) -> None:
    for number in range(count):
        torch.manual_seed(number)
        loss = net(torch.randn(32, 8, dtype=next(net.parameters()).dtype)).float().square().mean()
        loss.backward()
        if isinstance(optimizer, MasterAdamW):
            optimizer.take_gradients()
        optimizer.step()
        optimizer.zero_grad()


def test_masters_keep_what_bfloat16_would_round_away():
    net = model(torch.bfloat16)
    before = copy.deepcopy(net.state_dict())
    optimizer = MasterAdamW([{"params": list(net.parameters())}], lr=1e-6, betas=(0.9, 0.99), weight_decay=0.0)
    masters = [master.detach().clone() for master in optimizer.take_gradients()]
    steps(net, optimizer, 3)
    moved = [
        float((now.detach() - was).abs().max()) for now, was in zip(optimizer.take_gradients(), masters, strict=True)
    ]
    assert all(0 < distance < 1e-5 for distance in moved)
    gains = net.state_dict()["1.weight"]
    assert torch.equal(gains, before["1.weight"]), "near 1, three steps of a millionth are below the resolution"


def test_weights_are_the_rounded_masters_and_close_to_fp32_training():
    exact, net = model(torch.float32), model(torch.bfloat16)
    reference = torch.optim.AdamW(exact.parameters(), **SETTINGS)
    optimizer = MasterAdamW([{"params": list(net.parameters())}], **SETTINGS)
    steps(exact, reference, 50)
    steps(net, optimizer, 50)
    for weight, master, true in zip(net.parameters(), optimizer.take_gradients(), exact.parameters(), strict=True):
        assert torch.equal(weight, master.to(torch.bfloat16))
        assert torch.allclose(master, true, atol=2e-2)


def test_state_goes_on_to_the_bit():
    straight, broken = model(torch.bfloat16), model(torch.bfloat16)
    one = MasterAdamW([{"params": list(straight.parameters())}], **SETTINGS)
    two = MasterAdamW([{"params": list(broken.parameters())}], **SETTINGS)
    steps(straight, one, 5)
    steps(broken, two, 5)
    fresh = model(torch.bfloat16)
    three = MasterAdamW([{"params": list(fresh.parameters())}], **SETTINGS)
    three.load_state_dict(copy.deepcopy(two.state_dict()))
    for net, optimizer in ((straight, one), (fresh, three)):
        steps(net, optimizer, 5)
    assert all(torch.equal(a, b) for a, b in zip(straight.parameters(), fresh.parameters(), strict=True))


def test_only_matrices_are_decayed():
    spec = TrainingSpec(steps=1, batch_size=1, learning_rate=1e-3, weight_decay=0.1)
    decayed, left = make_optimizer(model(torch.float32), spec, torch.device("cpu")).param_groups
    assert [weight.dim() for weight in decayed["params"]] == [2, 2] and decayed["weight_decay"] == 0.1
    assert [weight.dim() for weight in left["params"]] == [1, 1, 1, 1] and left["weight_decay"] == 0.0


@pytest.mark.parametrize("precision", ["bf16", "bf16_weights"])
def test_a_run_in_bfloat16_has_the_losses_of_one_in_fp32_and_resumes_to_the_bit(tmp_path, precision):
    class Died(Exception):
        pass

    def die(what: str, done: int, total: int) -> None:
        if done == 8:
            raise Died

    exact = measured(small_loop(tmp_path / "exact", 12))
    straight = measured(small_loop(tmp_path / "straight", 12, precision=precision))
    assert straight["train"][1] == pytest.approx(exact["train"][1], rel=1e-2)
    assert straight["train"][1] != exact["train"][1]
    with pytest.raises(Died):
        small_loop(tmp_path / "broken", 12, die, precision=precision).run()
    assert measured(small_loop(tmp_path / "broken", 12, precision=precision)) == straight


def test_a_loss_in_chunks_lets_the_body_compute_in_bfloat16(tmp_path):
    loop, seen = small_loop(tmp_path, 5, case="gpt_neox forward", precision="bf16", loss_chunk=16), set()
    layer = loop.accelerator.unwrap_model(loop.model).base_model.layers[0].mlp.dense_h_to_4h
    layer.register_forward_hook(lambda module, given, result: seen.add(result.dtype))
    loop.run()
    assert seen == {torch.bfloat16}
