"""A run that attends by segments has the losses of one that attends by a mask, with gradient checkpoints too."""

import pytest

from hubkit.training import attention

from .segments import flash
from .small_run import small_loop


@pytest.mark.parametrize("reentrant", [None, False, True])
def test_a_run_by_segments_has_the_masks_losses(tmp_path, monkeypatch, reentrant):
    calls = []
    monkeypatch.setattr(attention, "_flash", lambda *told: calls.append(told) or flash(*told))

    def losses(segments):
        monkeypatch.setattr(attention, "_flash_attends", lambda config, device: segments)
        loop = small_loop(tmp_path / str(segments), 8, case="roberta masked", precision="bf16")
        for module in loop.model.modules():
            module.p = module.dropout_prob = 0.0
        if reentrant is not None:
            loop.model.activation_checkpointing_enable({"use_reentrant": reentrant})
        return [r["train_loss"] for r in loop.run().history.records if "train_loss" in r]

    expected = losses(False)
    assert not calls
    assert losses(True) == pytest.approx(expected, rel=1e-5)
    assert calls
