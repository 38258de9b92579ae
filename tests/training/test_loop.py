"""What the loop refuses and keeps, when it ends, and what it writes on its way."""

import json
import math
import os
import socket
from pathlib import Path

import pytest
import torch

from hubkit.data.batches import HeldOut
from hubkit.data.objectives.causal import CausalSpec
from hubkit.errors import UserError
from hubkit.training.checkpoints import checkpoints
from hubkit.training.loop import Loop
from hubkit.training.losses import mean_loss
from hubkit.training.snippets import Snippets
from hubkit.training.stopping import TimeLimit

from .small_run import Parts, begun, make_parts, measured, small_loop

CASE = "minigpt forward"
STILL = "still prefix"
"""Without dropout, so that losses hang on the numbers alone."""


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints(folder / "checkpoints")]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    small_loop(tmp_path, 6).run()
    other = small_loop(tmp_path, 6)
    other.recipe = {"name": "another"}
    with pytest.raises(UserError, match=r"step-00000006 belongs to another recipe: name: the .* recipe, the .*false"):
        other.run()


@pytest.mark.parametrize(
    "file", ["model.safetensors", "optimizer.bin", "random_states_0.pkl", "custom_checkpoint_0.pkl", "state.json"]
)
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_damaged_checkpoint_is_refused_and_never_a_fresh_start(finished, tmp_path, file, damage):
    (tmp_path / "run").symlink_to(finished)
    path = finished / "checkpoints" / "step-00000006" / file
    whole = path.read_bytes()
    try:
        path.unlink() if damage == "missing" else path.write_bytes(whole[: len(whole) // 2])
        with pytest.raises(UserError, match=r"can't read the checkpoint .*; delete it to start over") as refused:
            small_loop(tmp_path / "run", 6).run()
        assert "\n" not in str(refused.value)
    finally:
        path.write_bytes(whole)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    small_loop(folder, 6).run()
    return folder


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    small_loop(tmp_path, 24, keep_checkpoints=2).run()
    assert names(tmp_path) == ["step-00000018", "step-00000024"]


def test_a_full_disk_leaves_the_checkpoints_before_and_says_so(tmp_path, monkeypatch):
    loop = small_loop(tmp_path, 12)
    write = loop.accelerator.save_state

    def save_state(folder: str) -> None:
        write(folder)
        if "12" in folder:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(loop.accelerator, "save_state", save_state)
    with pytest.raises(UserError, match=r"can't write the checkpoint .*step-00000012: .*No space left on device"):
        loop.run()
    assert names(tmp_path) == ["step-00000006"]


def spoiled(folder: Path, spoil_after: int, what: str, **changes: object) -> Loop:
    """Return a loop whose weights, or gradients, are no numbers after some steps."""

    def progress(_: str, done: int, total: int) -> None:
        if done == spoil_after:
            first = next(loop.model.parameters())
            if what == "weights":
                with torch.no_grad():
                    first.fill_(math.nan)
            else:
                first.register_hook(lambda gradient: gradient * math.inf)

    loop = small_loop(folder, 20, progress, case=CASE, **changes)
    return loop


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("weights", r"the loss is nan at step 9 \(sequences \d+(, \d+)* of rows\); lower training\.learning_rate"),
        ("gradients", "norm of the gradient is"),
    ],
)
# Logging seldom must not let a spoiled checkpoint replace the good one.
@pytest.mark.parametrize("log_every", [1, 100])
def test_what_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, what, message, log_every):
    with pytest.raises(UserError, match=message):
        spoiled(tmp_path, 8, what, log_every=log_every).run()
    assert names(tmp_path) == ["step-00000006"]


def validation_loss(loop: Loop) -> float:
    return mean_loss(loop.accelerator, loop.model, loop.attention, loop.validation["validation"])


def test_validation_loss_does_not_depend_on_the_batch_size(tmp_path):
    parts, losses = make_parts(tmp_path, "roberta masked"), []
    loop = small_loop(tmp_path, 6, parts=parts)
    for size in (1, 5, 16):
        loop.validation = {"validation": HeldOut(parts.sequences, 16, parts.objective, size, seed=0)}
        losses.append(validation_loss(loop))
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_validation_loss_is_the_mean_over_all_asked_tokens(tmp_path):
    loop = small_loop(tmp_path, 6)
    loop.model.eval()
    total, count, held_out = 0.0, 0, loop.validation["validation"]
    for batch in (held_out[index] for index in range(len(held_out))):
        with torch.no_grad():
            logits = loop.model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        asked = batch["labels"] >= 0
        shares = logits[asked].double().log_softmax(-1)
        total -= float(shares.gather(1, batch["labels"][asked][:, None]).sum())
        count += int(asked.sum())
    assert validation_loss(loop) == pytest.approx(total / count, rel=1e-6)


def test_evaluation_leaves_the_model_in_training_and_the_random_numbers_alone(tmp_path):
    loop = small_loop(tmp_path, 6)
    loop.model.train()
    before = torch.get_rng_state()
    assert validation_loss(loop) == validation_loss(loop), "no dropout while evaluating"
    assert all(module.training for module in loop.model.modules())
    assert torch.equal(torch.get_rng_state(), before)


def test_how_often_is_evaluated_changes_no_training_loss(tmp_path):
    seldom, often = (
        small_loop(tmp_path / str(every), 6, evaluate_every=every).run().history.series("train_loss")
        for every in (6, 1)
    )
    assert seldom == often


def test_history_has_every_logged_step_and_every_evaluation(tmp_path):
    outcome = small_loop(tmp_path, 12).run()
    assert outcome.history.series("train_loss")[0] == list(range(1, 13))
    assert outcome.history.series("validation_loss")[0] == [6, 12]
    rates = outcome.history.series("learning_rate")[1]
    assert rates[3] == max(rates) == pytest.approx(3e-3) and rates[-1] == 0
    assert outcome.tokens == pytest.approx(12 * 8 * 252, rel=0.05) and outcome.steps == 12


def test_several_sets_are_evaluated_and_the_first_decides(tmp_path):
    loop = small_loop(tmp_path, 6, case=CASE, more_sets={"few": 3, "all": 96}, evaluate_at_start=True)
    outcome = loop.run()
    assert list(outcome.history.records[0]) == [
        "step", "validation_loss", "validation_loss_few", "validation_loss_all"
    ]  # fmt: skip
    assert outcome.history.series("validation_loss_few")[0] == [0, 6], "before the first step too"
    assert outcome.final_validation_loss == outcome.history.series("validation_loss")[1][-1]
    outcome.history.write(tmp_path, "x")
    header, first, *_ = (tmp_path / "curve.csv").read_text().splitlines()
    assert header == "step,train_loss,validation_loss,learning_rate,validation_loss_all,validation_loss_few"
    assert first.startswith("0,,") and first.count(",") == 5


# --- many batches a step, many processes -----------------------------------------------------------------------------


def weights(loop: Loop) -> torch.Tensor:
    return torch.cat([tensor.flatten() for tensor in loop.accelerator.unwrap_model(loop.model).state_dict().values()])


class Forgetful:
    """An objective that asks nothing of some sequences: those that begin with B."""

    def __init__(self, parts: Parts):
        self._objective, self._silent = parts.objective, parts.tokenizer.convert_tokens_to_ids("B")

    def batch(self, samples, randoms):
        made = self._objective.batch(samples, randoms)
        asked = made["labels"].clone()
        asked[[sample.ids[1] == self._silent for sample in samples]] = -100
        return made | {"labels": asked, "shift_labels": asked.clone()}


@pytest.mark.parametrize("forgetful", [False, True], ids=["all asked", "some batches ask nothing"])
@pytest.mark.parametrize("size", [1, 3])
def test_accumulated_gradients_are_those_of_one_batch(tmp_path, forgetful, size):
    loops = []
    for folder, micro_batch_size in (("whole", None), ("parts", size)):
        parts = make_parts(tmp_path / folder, STILL)
        if forgetful:
            parts = parts._replace(objective=Forgetful(parts))
        loops.append(small_loop(tmp_path / folder, 6, parts=parts, micro_batch_size=micro_batch_size))
    whole, accumulated = (loop.run().history.series("train_loss")[1] for loop in loops)
    assert accumulated == pytest.approx(whole, rel=1e-6)
    torch.testing.assert_close(weights(loops[1]), weights(loops[0]), rtol=0, atol=1e-5)


def test_a_step_that_asks_nothing_is_named(tmp_path):
    parts = make_parts(tmp_path, STILL)

    class Silent:
        def batch(self, samples, randoms):
            made = parts.objective.batch(samples, randoms)
            return made | {"labels": made["labels"] * 0 - 100, "shift_labels": made["labels"] * 0 - 100}

    loop = small_loop(tmp_path, 6, parts=parts._replace(objective=Silent()))
    with pytest.raises(UserError, match=r"step 1 asks for no token \(sequences .* of rows\): what should be learnt"):
        loop.run()
    with pytest.raises(UserError, match="the set validation asks for no token, so it has no loss"):
        validation_loss(loop)


def one_of_two(folder: Path, rank: int, port: int, steps: int, changes: dict) -> None:
    """What one of two processes does: a run, whose losses and weights the first of them writes down."""
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true",
    }  # fmt: skip
    loop = small_loop(folder, steps, case=STILL, **changes)
    loop.say = lambda text: None
    outcome = loop.run()
    if rank == 0:
        torch.save(weights(loop), folder / "weights.pt")
        (folder / "found.json").write_text(json.dumps([outcome.history.records, outcome.tokens]))
    loop.accelerator.end_training()


def in_two_processes(folder: Path, steps: int, **changes: object) -> tuple[list[dict], int, torch.Tensor]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder.mkdir(exist_ok=True)
    make_parts(folder, STILL)  # the tokens, which one process makes first
    both = [begun(one_of_two, folder, rank, port, steps, changes) for rank in (0, 1)]
    for process in both:
        process.join(120)
        assert process.exitcode == 0
    records, tokens = json.loads((folder / "found.json").read_text())
    return records, tokens, torch.load(folder / "weights.pt")


@pytest.mark.parametrize("size", [None, 2], ids=["one batch", "accumulated"])
def test_two_processes_are_one(tmp_path, size):
    records, tokens, found = in_two_processes(tmp_path / "two", 6, micro_batch_size=size)
    loop = small_loop(tmp_path, 6, case=STILL)
    outcome = loop.run()
    assert tokens == outcome.tokens
    for column in ("train_loss", "validation_loss"):
        ours = [record[column] for record in records if column in record]
        assert ours == pytest.approx(outcome.history.series(column)[1], rel=1e-6)
    torch.testing.assert_close(found, weights(loop), rtol=0, atol=1e-5)


def test_a_run_of_two_processes_goes_on_in_one_and_says_so(tmp_path):
    in_two_processes(tmp_path / "two", 6)
    said = []
    loop = small_loop(tmp_path / "two", 6, case=STILL)
    loop.steps, loop.say = 12, said.append
    assert loop.run().steps == 12
    (remark,) = said
    assert remark.startswith("the checkpoint is of 2 processes and these are 1: the data goes on exactly")


# --- when a run ends -------------------------------------------------------------------------------------------------


def stubborn(loop: Loop, losses: list[float], monkeypatch) -> None:
    """Have evaluations give these losses, one after the other."""
    given = iter(losses)
    monkeypatch.setattr("hubkit.training.loop.mean_loss", lambda *_: next(given))


def test_a_target_ends_the_run_with_a_checkpoint(tmp_path, monkeypatch):
    loop = small_loop(tmp_path, 24, case=CASE, evaluate_every=2, early_stop={"target_loss": 0.5})
    stubborn(loop, [0.9, 0.6, 0.4], monkeypatch)
    outcome = loop.run()
    assert (outcome.steps, outcome.stopped) == (6, "validation loss 0.4000 has reached target_loss 0.5")
    assert names(tmp_path) == ["step-00000006"]


def test_patience_ends_the_run_and_lasts_over_a_resume(tmp_path, monkeypatch):
    changes = {"case": CASE, "evaluate_every": 2, "checkpoint_every": 4, "early_stop": {"patience": 2}}

    def stop_at_four(what: str, done: int, total: int) -> None:
        if done == 4:
            raise InterruptedError

    loop = small_loop(tmp_path, 24, stop_at_four, **changes)
    stubborn(loop, [0.5, 0.6], monkeypatch)
    with pytest.raises(InterruptedError):
        loop.run()
    resumed = small_loop(tmp_path, 24, **changes)
    stubborn(resumed, [0.55], monkeypatch)
    reason = "no better validation loss than 0.5000 in 2 evaluations"
    assert (resumed.run().stopped, resumed.step) == (reason, 6)
    again = small_loop(tmp_path, 24, **changes)
    assert (again.run().stopped, again.step) == (reason, 6), "the same command trains no further"


def test_the_best_weights_are_kept(tmp_path, monkeypatch):
    loop = small_loop(tmp_path, 12, case=CASE, evaluate_every=3, keep="best")
    stubborn(loop, [0.9, 0.5, 0.7, 0.6], monkeypatch)
    seen = {}

    def progress(what: str, done: int, total: int) -> None:
        seen[done] = weights(loop).clone()

    loop.progress = progress
    assert loop.run().kept_step == 6
    kept = loop.weights()
    assert torch.equal(torch.cat([kept[name].flatten() for name in loop.model.state_dict()]), seen[6])
    files = [path.name for path in (tmp_path / "checkpoints").glob("best-*")]
    assert files == ["best-00000006.safetensors"], "only what a checkpoint names stays"
    (tmp_path / "checkpoints" / files[0]).write_bytes(b"half")
    with pytest.raises(UserError, match=r"training\.keep: can't read the best weights .*; set training\.keep=last"):
        loop.weights()


def test_the_last_weights_are_kept_by_default(tmp_path):
    loop = small_loop(tmp_path, 6, case=CASE)
    assert loop.run().kept_step == 6
    assert all(torch.equal(tensor, loop.model.state_dict()[name]) for name, tensor in loop.weights().items())


def test_a_run_ends_when_its_minutes_are_over_those_before_a_resume_included(tmp_path):
    now = [0.0]

    def second(what: str, done: int, total: int) -> None:
        now[0] += 10.0

    def timed(minutes: float) -> Loop:
        loop = small_loop(tmp_path, 20, second, case=CASE, max_minutes=minutes)
        loop.clock = TimeLimit(minutes, clock=lambda: now[0])
        return loop

    outcome = timed(1).run()
    assert (outcome.steps, outcome.stopped, outcome.seconds) == (7, "max_minutes 1 are over", 70.0)
    assert outcome.history.series("validation_loss")[0] == [6, 7] and names(tmp_path)[-1] == "step-00000007"
    now[0] = 5000.0
    again = timed(1).run()
    assert (again.steps, again.stopped) == (7, "max_minutes 1 are over")
    assert timed(1.5).run().steps == 11, "a minute had gone when the checkpoint was written"


def test_backups_stay(tmp_path):
    small_loop(tmp_path, 14, case=CASE, checkpoint_every=2, keep_checkpoints=1, backup_every=5).run()
    assert names(tmp_path) == ["step-00000005", "step-00000010", "step-00000014"]


def test_further_at_the_rate_0_is_refused(tmp_path):
    small_loop(tmp_path, 6, case=CASE).run()
    with pytest.raises(UserError, match=r"further: the schedule has ended at the rate 0, so 4 more steps would change"):
        small_loop(tmp_path, 6, case=CASE).run(further=4)


@pytest.mark.parametrize(
    ("micro_batch_size", "mend"),
    [(4, r"lower training\.micro_batch_size \(now 4\)"), (1, "shorten the sequences")],
)
def test_too_little_memory_names_the_knob(tmp_path, monkeypatch, micro_batch_size, mend):
    loop = small_loop(tmp_path, 6, case=CASE, micro_batch_size=micro_batch_size)

    def forward(**batch):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB")

    monkeypatch.setattr(loop.model, "forward", forward)
    message = rf"step 1 needs more memory than cpu has \(CUDA out of memory\): {mend}, or use training\.precision=bf16"
    with pytest.raises(UserError, match=message):
        loop.run()


def test_too_little_memory_of_a_processor_is_told_too(tmp_path, monkeypatch):
    loop = small_loop(tmp_path, 6, case=CASE, evaluate_at_start=True)
    monkeypatch.setattr(loop.model, "forward", lambda **batch: torch.empty(2**50, dtype=torch.uint8))
    message = r"the evaluation at step 0 needs more memory than cpu has \(can't allocate memory: you tried to"
    with pytest.raises(UserError, match=message):
        loop.run()
    monkeypatch.setattr(loop.model, "forward", lambda **batch: torch.ones(2) @ torch.ones(3))
    with pytest.raises(RuntimeError, match="inconsistent tensor size"):
        loop.run()


# --- what it writes --------------------------------------------------------------------------------------------------


def test_snippets_are_in_reading_order_and_follow_a_resume(tmp_path):
    """A backward model is given the end of a text, and what it writes stands before that."""
    changes = {"case": "minigpt backward", "snippet_every": 4, "checkpoint_every": 6}

    def made(progress=lambda *_: None, steps=12) -> Loop:
        loop = small_loop(tmp_path, steps, progress, **changes)
        parts = make_parts(tmp_path, "minigpt backward")
        loop.snippets = Snippets(parts.tokenizer, parts.sequences, CausalSpec(direction="backward"))
        return loop

    def stop_at_nine(what: str, done: int, total: int) -> None:
        if done == 9:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        made(stop_at_nine).run()
    assert made().run().steps == 12
    text = (tmp_path / "snippets.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("#")] == ["## Step 4", "## Step 8", "## Step 12"]
    parts = make_parts(tmp_path, "minigpt backward")
    end = parts.tokenizer.decode(parts.sequences[0].ids[-8:])
    lines = [line for line in text.splitlines() if line.endswith(f"(given: {end!r})")]
    assert len(lines) == 3
    for line in lines:
        written = line.removeprefix("- '").rpartition("' (given: ")[0]
        assert written.endswith(end) and len(written) > len(end)


@pytest.mark.parametrize(("case", "steady"), [("roberta masked", False), ("minigpt forward", True)])
def test_rows_are_compiled_for_any_length_and_attend_in_sixteen_bits_if_asked(tmp_path, monkeypatch, case, steady):
    compiled, attention = [], []
    monkeypatch.setattr(torch.nn.Module, "compile", lambda model, **told: compiled.append(told))
    monkeypatch.setattr(
        "hubkit.training.loop.Attention", lambda model, device, **told: attention.append((device, told))
    )
    for precision in ("fp32", "bf16"):
        small_loop(tmp_path, 8, case=case, compile=True, precision=precision)
    assert compiled == [{"dynamic": None if steady else True}] * 2
    cpu = torch.device("cpu")
    assert attention == [(cpu, {"narrow": narrow, "steady": steady}) for narrow in (False, True)]


@pytest.mark.slow
def test_compiled_losses_are_the_same(tmp_path):
    plain, compiled = (
        measured(small_loop(tmp_path / str(flag), 8, case=STILL, compile=flag)) for flag in (False, True)
    )
    for name in ("train", "validation"):
        assert compiled[name][1] == pytest.approx(plain[name][1], rel=1e-4)
