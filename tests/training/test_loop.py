"""What the loop refuses and keeps."""

import math
from pathlib import Path

import pytest
import torch

from hubkit.errors import UserError
from hubkit.resources import load_module
from hubkit.training.checkpoints import checkpoints
from hubkit.training.data import HeldOut

small_loop = load_module(Path(__file__).with_name("small_run.py"), "hubkit_tests_small_run").small_loop


def test_checkpoint_of_another_recipe_is_refused(tmp_path):
    small_loop(tmp_path, 6).run()
    other = small_loop(tmp_path, 6)
    other.identity = "another recipe"
    with pytest.raises(UserError, match=r"belongs to another recipe.*resume=false"):
        other.run()


def test_only_the_newest_checkpoints_are_kept(tmp_path):
    small_loop(tmp_path, 24, keep_checkpoints=2).run()
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000018", "step-00000024"]


def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    def spoil(what: str, done: int, total: int) -> None:
        if done == 8:
            with torch.no_grad():
                next(loop.model.parameters()).fill_(math.nan)

    loop = small_loop(tmp_path, 20, spoil)
    with pytest.raises(UserError, match=r"nan at step 9; lower training\.learning_rate"):
        loop.run()
    assert [path.name for path in checkpoints(tmp_path / "checkpoints")] == ["step-00000006"]


def test_validation_loss_does_not_depend_on_the_batch_size(tmp_path):
    loop = small_loop(tmp_path, 6)
    one_by_one, held_out = loop.validation, loop.validation
    losses = []
    for size in (1, 5, 16):
        loop.validation = HeldOut(held_out.rows, 16, _objective(), _tokenizer(), size, seed=0)
        losses.append(loop.validation_loss())
    assert losses == pytest.approx([losses[0]] * 3, rel=1e-6)
    assert one_by_one is held_out


def test_evaluation_leaves_the_model_in_training(tmp_path):
    loop = small_loop(tmp_path, 6)
    loop.model.train()
    loop.validation_loss()
    assert loop.model.training


def test_history_has_every_logged_step_and_every_evaluation(tmp_path):
    outcome = small_loop(tmp_path, 12).run()
    assert outcome.history.series("train_loss")[0] == list(range(1, 13))
    assert outcome.history.series("validation_loss")[0] == [6, 12]
    rates = outcome.history.series("learning_rate")[1]
    assert rates[3] == max(rates) == pytest.approx(3e-3) and rates[-1] == 0


def _objective():
    from hubkit.training.objectives import MaskedSpec

    return MaskedSpec()


def _tokenizer():
    from hubkit.tokenizers import make_tokenizer

    return make_tokenizer("lorenz")
