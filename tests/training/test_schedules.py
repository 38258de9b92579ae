"""Schedules: closed forms of the references, agreement with transformers, and a rate that never rises past the end."""

import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import get_scheduler

from hubkit.errors import UserError
from hubkit.training.schedules import ScheduleSpec, make_scheduler, rate

NAMES = ("constant", "linear", "cosine", "cosine_restarts", "warmup_stable_decay")


def optimizer(lr: float = 3e-4) -> torch.optim.Optimizer:
    return torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)


def walked(scheduler, steps: int) -> list[float]:
    """Return the learning rates of so many steps, as a loop would use them."""
    rates = []
    for _ in range(steps):
        rates.append(scheduler.optimizer.param_groups[0]["lr"])
        scheduler.optimizer.step()
        scheduler.step()
    return rates


def spec(**values) -> ScheduleSpec:
    if values.get("name") == "cosine_restarts":
        values = {"period": 30} | values
    return ScheduleSpec.build(values)


@st.composite
def schedules(draw) -> tuple[ScheduleSpec, int]:
    """Any schedule with a run that it fits into."""
    steps, name = draw(st.integers(2, 400)), draw(st.sampled_from(NAMES))
    values: dict = {"name": name, "warmup_steps": draw(st.integers(0, steps // 2))}
    if values["warmup_steps"]:
        values["warmup_from"] = draw(st.floats(0, 1) | st.just("one_step"))
    if name != "constant":
        values["minimum"] = draw(st.floats(0, 1))
    if name == "cosine_restarts":
        values |= {"period": draw(st.integers(1, 500)), "shrink": draw(st.floats(0.1, 1))}
    if name == "warmup_stable_decay":
        values["cooldown"] = draw(st.integers(1, steps // 2) | st.floats(0.01, 0.5))
    return ScheduleSpec.build(values), steps


# --- against transformers --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("warmup", [0, 1, 7])
@pytest.mark.parametrize(
    ("name", "theirs"), [("constant", "constant_with_warmup"), ("linear", "linear"), ("cosine", "cosine")]
)
def test_equals_transformers_to_the_bit(name, theirs, warmup):
    ours = make_scheduler(optimizer(), spec(name=name, warmup_steps=warmup), 41)
    other = get_scheduler(theirs, optimizer(), num_warmup_steps=warmup, num_training_steps=41)
    assert walked(ours, 42) == walked(other, 42)  # past step 41 their cosine rises again


@pytest.mark.parametrize("warmup", [0, 9])
def test_cool_down_is_that_of_transformers(warmup):
    ours = make_scheduler(optimizer(), spec(name="warmup_stable_decay", warmup_steps=warmup, cooldown=12), 60)
    other = get_scheduler(
        "warmup_stable_decay",
        optimizer(),
        num_warmup_steps=warmup,
        num_training_steps=60,
        scheduler_specific_kwargs={"num_decay_steps": 12, "decay_type": "linear"},
    )
    assert walked(ours, 60) == pytest.approx(walked(other, 60), rel=1e-12, abs=0)


def test_minimum_is_that_of_transformers():
    ours = make_scheduler(optimizer(), spec(name="cosine", warmup_steps=5, minimum=0.1), 40)
    other = get_scheduler("cosine_with_min_lr", optimizer(), 5, 40, scheduler_specific_kwargs={"min_lr_rate": 0.1})
    assert walked(ours, 40) == pytest.approx(walked(other, 40), rel=1e-12, abs=0)


# --- against the references' formulae --------------------------------------------------------------------------------


def test_cosine_of_the_ablation():
    least, schedule = 1e-4, spec(name="cosine", minimum=1e-4)
    for step in range(101):
        expected = 3e-4 * (least + 0.5 * (1 - least) * (1 + math.cos(math.pi * step / 100)))
        assert rate(schedule, step, 100, 3e-4) == pytest.approx(expected, rel=1e-12)


def test_warm_up_of_the_ablation_is_whole_in_its_last_step():
    schedule = spec(name="constant", warmup_steps=8, warmup_from="one_step")
    assert [rate(schedule, step, 20, 3e-4) for step in range(8)] == [3e-4 * (step + 1) / 8 for step in range(8)]
    assert {rate(schedule, step, 20, 3e-4) for step in range(7, 25)} == {3e-4}


def test_restarts_of_the_arrows_of_time():
    """shrinkⁿ·(η_min + ½(lr−η_min)(1+cos πT/T_i)) after a warm-up from 1e-7 to 1e-4 over 4,000 steps."""
    lr, low, period, shrink = 1e-4, 1e-6, 250_000, 0.85
    schedule = spec(
        name="cosine_restarts", warmup_steps=4000, warmup_from=1e-7 / lr, minimum=low / lr, period=period, shrink=shrink
    )
    steps = 2_000_000
    for step in (0, 1, 2000, 3999):
        assert rate(schedule, step, steps, lr) == pytest.approx(1e-7 + (lr - 1e-7) * step / 4000, rel=1e-12)
    for step in (4000, 4001, 129_000, 253_999, 254_000, 254_001, 1_999_999):
        cycle, within = divmod(step - 4000, period)
        expected = shrink**cycle * (low + 0.5 * (lr - low) * (1 + math.cos(math.pi * within / period)))
        assert rate(schedule, step, steps, lr) == pytest.approx(expected, rel=1e-12)


def test_restarts_of_torch():
    own = optimizer(lr=2.0)
    theirs = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(own, T_0=10, eta_min=0.5)
    schedule = spec(name="cosine_restarts", period=10, minimum=0.25)
    assert walked(theirs, 35) == pytest.approx([rate(schedule, step, 35, 2.0) for step in range(35)], rel=1e-12)


def test_a_run_that_ends_with_a_period_does_not_restart():
    schedule = spec(name="cosine_restarts", period=10, minimum=0.1, shrink=0.5)
    assert schedule.factor(19, 20) > schedule.factor(20, 20) == pytest.approx(0.05)
    assert schedule.factor(20, 21) == 0.25  # a longer run does


def test_cool_down_over_the_last_share():
    schedule = spec(name="warmup_stable_decay", warmup_steps=10)
    factors = [schedule.factor(step, 100) for step in range(101)]
    assert set(factors[10:86]) == {1.0}  # 15 % of 100 steps fall
    assert factors[86:] == pytest.approx([1 - n / 15 for n in range(1, 16)], abs=1e-12)


# --- properties ------------------------------------------------------------------------------------------------------


@given(schedules(), st.data())
def test_never_rises_past_the_end_nor_above_the_base(drawn, data):
    schedule, steps = drawn
    schedule.check(steps)
    last, end = schedule.factor(steps - 1, steps), schedule.factor(steps, steps)
    assert end <= last or steps - 1 < schedule.warmup_steps
    assert schedule.factor(data.draw(st.integers(steps, 10**9)), steps) == end
    assert 0 <= schedule.factor(data.draw(st.integers(0, steps)), steps) <= 1


@given(schedules())
def test_warm_up_is_independent_of_the_schedule(drawn):
    """The warm-up rises to the whole, and what follows is the same schedule of the steps that are left."""
    schedule, steps = drawn
    warmup = schedule.warmup_steps
    rising = [schedule.factor(step, steps) for step in range(warmup)]
    assert rising == sorted(rising)
    assert schedule.factor(warmup, steps) == 1
    if schedule.name != "warmup_stable_decay":  # there the share is one of all steps
        bare = schedule.model_copy(update={"warmup_steps": 0, "warmup_from": 0.0})
        after = [schedule.factor(step, steps) for step in range(warmup, steps + 1)]
        assert after == [bare.factor(step, steps - warmup) for step in range(steps - warmup + 1)]


@given(schedules())
def test_a_spec_survives_its_own_dump(drawn):
    schedule, _ = drawn
    assert ScheduleSpec.model_validate(schedule.model_dump(mode="json")) == schedule


def test_scheduler_goes_on_from_its_state_and_keeps_groups_apart():
    schedule = spec(name="cosine_restarts", warmup_steps=3, period=7, shrink=0.5)
    whole = walked(make_scheduler(optimizer(), schedule, 30), 30)
    first = make_scheduler(optimizer(), schedule, 30)
    begun = walked(first, 11)
    second = make_scheduler(optimizer(), schedule, 30)
    second.load_state_dict(first.state_dict())
    second.optimizer.load_state_dict(first.optimizer.state_dict())
    assert begun + walked(second, 19) == whole
    weights = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (1.0, 0.1)]
    both = make_scheduler(torch.optim.SGD(weights), spec(warmup_steps=2), 10)
    both.optimizer.step()
    both.step()
    assert both.get_last_lr() == [0.5, 0.05]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"name": "cosinus"}, "name: Input should be 'constant', 'linear', 'cosine'"),
        ({"period": 3}, "period 3 has no meaning for linear; it belongs to cosine_restarts"),
        ({"name": "constant", "minimum": 0.1}, "minimum 0.1 has no meaning for constant; it belongs to linear, cosine"),
        ({"name": "cosine", "cooldown": 3}, "cooldown 3 has no meaning for cosine; it belongs to warmup_stable_decay"),
        ({"name": "cosine_restarts"}, "period is missing; cosine_restarts needs the steps from one restart"),
        ({"warmup_from": 0.5}, "warmup_from 0.5 has no meaning without warm-up; set warmup_steps"),
        ({"warmup_steps": 3, "warmup_from": 2}, r"warmup_from: Input should be less than or equal to 1 \(got 2\)"),
        ({"name": "warmup_stable_decay", "cooldown": 1.0}, r"cooldown: Input should be less than 1 \(got 1.0\)"),
        ({"name": "warmup_stable_decay", "cooldown": 0}, r"cooldown: Input should be greater than 0 \(got 0\)"),
        ({"warmup": 3}, "warmup is not a field"),
    ],
)
def test_refusals_name_the_field(values, message):
    with pytest.raises(UserError, match=message):
        ScheduleSpec.build(values)


def test_a_schedule_longer_than_the_run_is_refused():
    with pytest.raises(UserError, match=r"warmup_steps 9 is not less than steps 9; lower it, or raise steps"):
        make_scheduler(optimizer(), spec(warmup_steps=9), 9)
    with pytest.raises(UserError, match=r"cooldown 6 and warmup_steps 5 together are more than steps 10; lower one"):
        spec(name="warmup_stable_decay", warmup_steps=5, cooldown=6).check(10)
    spec(name="warmup_stable_decay", warmup_steps=5, cooldown=5).check(10)


def test_the_spec_comes_without_torch():
    code = "import sys, hubkit.training.schedules, hubkit.training.stopping; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
