"""What the loop refuses and keeps."""

import math
from pathlib import Path

import pytest
import torch

from hubkit.errors import UserError
from hubkit.tokenizers import make_tokenizer
from hubkit.training.checkpoints import checkpoints
from hubkit.training.data import HeldOut
from hubkit.training.loop import Loop
from hubkit.training.objectives import MaskedSpec

from .small_run import small_loop


def names(folder: Path) -> list[str]:
    return [path.name for path in checkpoints(folder / "checkpoints")]


def test_a_checkpoint_of_another_recipe_is_refused(tmp_path):
    small_loop(tmp_path, 6).run()
    other = small_loop(tmp_path, 6)
    other.identity = "another recipe"
    with pytest.raises(UserError, match=r"step-00000006 belongs to another recipe.*resume=false"):
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

    loop = small_loop(folder, 20, progress, **changes)
    return loop


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("weights", r"the loss is nan at step 9; lower training\.learning_rate"),
        ("gradients", "norm of the gradient is"),
    ],
)
# Logging seldom must not let a spoiled checkpoint replace the good one.
@pytest.mark.parametrize("log_every", [1, 100])
def test_what_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, what, message, log_every):
    with pytest.raises(UserError, match=message):
        spoiled(tmp_path, 8, what, log_every=log_every).run()
    assert names(tmp_path) == ["step-00000006"]


def test_validation_loss_does_not_depend_on_the_batch_size(tmp_path):
    loop = small_loop(tmp_path, 6)
    tokenizer, losses = make_tokenizer("lorenz"), []
    for size in (1, 5, 16):
        loop.validation = HeldOut(loop.validation.rows, 16, MaskedSpec(), tokenizer, size, seed=0)
        losses.append(loop.validation_loss())
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)


def test_validation_loss_is_the_mean_over_all_asked_tokens(tmp_path):
    loop = small_loop(tmp_path, 6)
    loop.model.eval()
    total, count = 0.0, 0
    for batch in (loop.validation[index] for index in range(len(loop.validation))):
        with torch.no_grad():
            logits = loop.model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        asked = batch["labels"] >= 0
        shares = logits[asked].double().log_softmax(-1)
        total -= float(shares.gather(1, batch["labels"][asked][:, None]).sum())
        count += int(asked.sum())
    assert loop.validation_loss() == pytest.approx(total / count, rel=1e-6)


def test_evaluation_leaves_the_model_in_training_and_the_random_numbers_alone(tmp_path):
    loop = small_loop(tmp_path, 6)
    loop.model.train()
    before = torch.get_rng_state()
    assert loop.validation_loss() == loop.validation_loss(), "no dropout while evaluating"
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
