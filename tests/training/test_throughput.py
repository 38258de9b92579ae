"""Speed: FLOPs by formula, the peaks of devices, rates over a window, and times for people."""

import pytest
import torch
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    RobertaConfig,
    RobertaForMaskedLM,
)

from hubkit.training.throughput import PEAKS, Throughput, duration, flops_per_token, peak_flops


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Recurrent(PreTrainedModel):
    """The smallest recurrent language model."""

    config_class = PreTrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.embedding, self.head = torch.nn.Embedding(50, 8), torch.nn.Linear(8, 50, bias=False)
        self.rnn = torch.nn.GRU(8, 8)

    def get_output_embeddings(self):
        return self.head


# --- FLOPs -----------------------------------------------------------------------------------------------------------


def test_gpt2_has_the_published_figure():
    """480,746 tokens/s of GPT-2 124M at T = 1024 on an H100 are .415 of its peak."""
    with torch.device("meta"):
        model = GPT2LMHeadModel(GPT2Config())
    flops = flops_per_token(model, 1024)
    parameters = 124_439_808 - 1024 * 768  # all but the positions; the tied head counts
    assert flops == 6 * parameters + 12 * 12 * 768 * 1024
    peak = peak_flops("NVIDIA H100 80GB HBM3")
    assert peak is not None
    assert 480_746 * flops / peak == pytest.approx(0.415, abs=1e-3)


def test_an_untied_table_is_looked_up_and_a_head_multiplies():
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**shape, vocab_size=100, max_position_embeddings=32))
    multiplied = sum(p.numel() for p in model.parameters()) - 100 * 16
    assert flops_per_token(model, 32) == 6 * multiplied + 12 * 2 * 16 * 32
    tied = GPTNeoXForCausalLM(
        GPTNeoXConfig(**shape, vocab_size=100, max_position_embeddings=32, tie_word_embeddings=True)
    )
    assert flops_per_token(tied, 32) == flops_per_token(model, 32)


def test_a_masked_model_looks_up_positions_and_types():
    config = RobertaConfig(
        vocab_size=60, hidden_size=12, num_hidden_layers=3, num_attention_heads=2, intermediate_size=24,
        max_position_embeddings=40, type_vocab_size=1,
    )  # fmt: skip
    model = RobertaForMaskedLM(config)
    multiplied = sum(p.numel() for p in model.parameters()) - (40 + 1) * 12
    assert flops_per_token(model, 20.5) == 6 * multiplied + 12 * 3 * 12 * 20.5


def test_a_recurrent_model_has_no_attention():
    model = Recurrent(PreTrainedConfig())
    weights = 3 * 8 * (8 + 8) + 2 * 3 * 8 + 50 * 8  # gates, their biases, head
    assert flops_per_token(model, 7) == flops_per_token(model, 7000) == 6 * weights


# --- peaks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device", "tera"),
    [
        ("NVIDIA H100 80GB HBM3", 989),
        ("NVIDIA H100 PCIe", 756),
        ("NVIDIA H100 NVL", 835),
        ("NVIDIA H200", 989),
        ("NVIDIA GH200 480GB", 989),
        ("NVIDIA A100-SXM4-80GB", 312),
        ("NVIDIA A100 80GB PCIe", 312),
        ("NVIDIA L4", 121),
        ("NVIDIA L40S", 362),
        ("NVIDIA A10", 125),
        ("Tesla V100-PCIE-16GB", 112),
        ("Tesla V100-SXM2-16GB", 125),
        ("Tesla T4", 65),
        ("NVIDIA A1000", None),
        ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", None),
        ("cpu", None),
        ("", None),
    ],
)
def test_peaks_go_by_the_name_of_the_device(device, tera):
    assert peak_flops(device) == (None if tera is None else tera * 1e12)


def test_no_name_in_the_table_hides_another():
    assert {name: peak_flops(f"NVIDIA {name}") for name in PEAKS} == PEAKS


# --- the window ------------------------------------------------------------------------------------------------------


def test_speed_is_that_of_the_latest_notes():
    clock = Clock()
    speed = Throughput(steps=1000, flops=10.0, peak=1000.0, devices=2, window=3, clock=clock)
    assert (speed.tokens_per_second, speed.mfu, speed.seconds_left, speed.waiting_share) == (None,) * 4
    assert str(speed) == ""
    speed.note(0, 500)  # a resumed run does not begin at 0 tokens
    assert speed.tokens_per_second is None
    clock.now += 50  # the first steps are slow: a model is compiled
    speed.note(10, 600)
    assert speed.tokens_per_second == 2
    for step in (20, 30, 40):
        clock.now += 2
        speed.note(step, 600 + 10 * step)
    assert speed.tokens_per_second == pytest.approx((1000 - 600) / 6)
    assert speed.mfu == pytest.approx((1000 - 600) / 6 * 10 / 2000)
    assert speed.seconds_left == pytest.approx(960 * 6 / 30)
    assert str(speed) == "67 tokens/s, MFU 33.3 %, 3 min 12 s left"


def test_an_evaluation_takes_time_but_no_speed():
    clock = Clock()
    speed = Throughput(steps=100, clock=clock)
    speed.note(0, 0)
    clock.now += 10
    with speed.aside():
        clock.now += 30
    speed.note(20, 1000)
    assert speed.tokens_per_second == 100
    assert speed.seconds_left == 160  # the other steps will be evaluated as well
    assert speed.mfu is None
    assert str(speed) == "100 tokens/s, 2 min 40 s left"


def test_waiting_is_a_share_of_training_and_survives_an_error():
    clock = Clock()
    speed = Throughput(steps=100, clock=clock)
    speed.note(0, 0)
    with pytest.raises(StopIteration), speed.waiting():
        clock.now += 1
        raise StopIteration
    clock.now += 3
    with speed.aside():
        clock.now += 100
    speed.note(1, 10)
    assert speed.waiting_share == 0.25


def test_two_notes_at_once_give_no_speed():
    clock = Clock()
    speed = Throughput(steps=10, clock=clock)
    speed.note(3, 5)
    speed.note(3, 5)
    assert (speed.tokens_per_second, speed.seconds_left) == (None, None)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"), (0.4, "0 s"), (12.3, "12 s"), (59.6, "1 min"), (260, "4 min 20 s"), (3600, "1 h"),
        (3605, "1 h"), (11520, "3 h 12 min"), (86400 * 2 + 3 * 3600 + 59, "2 d 3 h"), (86400 + 60, "1 d"),
    ],
)  # fmt: skip
def test_durations_have_two_units(seconds, text):
    assert duration(seconds) == text
