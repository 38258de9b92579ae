"""Configuration files of BackPerplexity and Microcosm, read as recipes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.models.roberta import RobertaSpec
from hubkit.specs import apply_overrides
from hubkit.training.foreign import foreign_recipe, read_foreign
from hubkit.training.schedules import ScheduleSpec
from hubkit.training.stopping import EarlyStopSpec

ARROWS = """
{ # English, backward
  "model_params": {"model": "GPT2", "n_layers": 24, "n_heads": 16, "embed_dim": 1024, "mlp_ratio": 4,
                   "embd_pdrop": 0.1, "attn_pdrop": 0.1, "attn_length": 256, "vocab_size": 50257},
  "training_params": {
    "dataset": "data/en.h5",  # made beforehand
    "tokenizer": "lab/en-bpe", "backward": true, "stride": 127,
    "batch_size": 180, "aggregate": 2, "epochs": 1,
    "save_every": 5000, "backup_every": 20000, "step_log": 100, "valid_steps": 1000,
  },
  "optim_params": {"lr": 1e-4, "warmup_steps": 4000, "lr_init": 1e-7, "T_i": 250000, "shrink": 0.85, "clip": 1}
}
"""

WORLDS = """
# the best of the sweep
hyperparameters = {
    'lr': 1e-4, 'hidden_size': 720, 'intermediate_size': 2880, 'num_hidden_layers': 12, 'num_attention_heads': 6,
    'hidden_act': 'gelu', 'hidden_dropout_prob': 0.1, 'attention_probs_dropout_prob': 0.1,
    'mask_probability': 0.2, 'epochs': 2, 'warmup_steps': 2000, 'wd': 0, 'fp16': True, 'batch_size': 32,
    'max_position_embeddings': 3000,  # more than any world has
}
"""

CALLED = """dict(lr=1e-4, hidden_size=720, intermediate_size=2880, num_hidden_layers=12, num_attention_heads=6,
hidden_act='gelu', hidden_dropout_prob=0.1, attention_probs_dropout_prob=0.1,  # those of the paper
mask_prob=0.2, epochs=2, warmup=2000, weight_decay=0, fp16=True, bf16=False, batch_size=32, vocab_size=142)"""


def read(tmp_path, text: str, name: str = "run.json") -> dict | None:
    path = tmp_path / name
    path.write_text(text)
    return read_foreign(path)


def arrows(**groups) -> dict:
    """Return the recipe of a file that says only this."""
    recipe = foreign_recipe({"model_params": {"size": "XL"}} | groups, "x")
    assert recipe is not None
    return recipe


# --- BackPerplexity --------------------------------------------------------------------------------------------------


def test_a_file_of_the_arrows_of_time(tmp_path):
    assert read(tmp_path, ARROWS, "en medium (backward).json") == {
        "name": "en-medium-backward",
        "dataset": {"tokens": "data/en.h5"},
        "tokenizer": "lab/en-bpe",
        "model": {
            "architecture": "minigpt",
            "mlp": "gelu_exact",
            "dropout": 0.1,
            "n_layer": 24,
            "n_head": 16,
            "n_embd": 1024,
        },
        "objective": {"name": "causal", "direction": "backward"},
        "reading": {"form": "windows", "length": 256, "stride": 127},
        "training": {
            "epochs": 1,
            "batch_size": 360,
            "micro_batch_size": 180,
            "log_every": 100,
            "evaluate_every": 1000,
            "checkpoint_every": 5000,
            "backup_every": 20000,
            "learning_rate": 1e-4,
            "schedule": {
                "name": "cosine_restarts",
                "warmup_steps": 4000,
                "warmup_from": 1e-7 / 1e-4,
                "period": 250000,
                "shrink": 0.85,
            },
            "max_grad_norm": 1,
        },
    }


def test_what_is_left_out_is_that_of_the_original():
    assert arrows() == {
        "name": "x",
        "model": {"architecture": "minigpt", "mlp": "gelu_exact", "size": "xl", "dropout": 0.1},
        "objective": {"name": "causal", "direction": "forward"},
        "reading": {"form": "windows", "length": 256},
        "training": {
            "epochs": 1,
            "batch_size": 180,
            "learning_rate": 1e-4,
            "schedule": {"name": "warmup_stable_decay"},
            "max_grad_norm": 1.0,
        },
    }


@pytest.mark.parametrize("cell", ["GRU", "lstm"])
def test_recurrent_models(cell):
    model = arrows(model_params={"model_type": cell, "hidden_size": 768, "num_layers": 5, "dropout": 0})["model"]
    shape = {"hidden_size": 768, "num_hidden_layers": 5}
    assert model == {"architecture": "recurrent", "cell": cell.lower(), "dropout": 0, **shape}


def test_another_ratio_is_a_hidden_width():
    assert (
        arrows(model_params={"n_layer": 3, "n_head": 3, "n_embd": 48, "mlp_ratio": 2.5})["model"]["mlp_hidden"] == 120
    )
    with pytest.raises(UserError, match=r"model_params.mlp_ratio: 2 needs the width beside it; write embed_dim"):
        arrows(model_params={"size": "nano", "mlp_ratio": 2})


def test_lengths_intervals_and_precision():
    training = {"steps_to_train": 7, "valid_every": 50, "valid_steps": 4, "batch_size": 10, "num_workers": 2}
    taken = arrows(training_params=training | {"seed": 3, "compile": True, "precision": "BF16"})["training"]
    assert "epochs" not in taken
    assert {name: taken[name] for name in ("steps", "evaluate_every", "evaluation_rows", "loader_workers")} == {
        "steps": 7, "evaluate_every": 50, "evaluation_rows": 40, "loader_workers": 2,
    }  # fmt: skip
    assert (taken["seed"], taken["compile"], taken["precision"]) == (3, True, "bf16")


@pytest.mark.parametrize(
    ("training", "dataset"),
    [
        ({"dataset": "lab/cc100", "language": "fr"}, {"repo": "lab/cc100", "config": "fr"}),
        ({"data": "fr.hdf5"}, {"tokens": "fr.hdf5"}),
    ],
)
def test_datasets(training, dataset):
    assert arrows(training_params=training)["dataset"] == dataset


@pytest.mark.parametrize(
    ("training", "direction"),
    [
        ({}, "forward"), ({"backwards": False}, "forward"), ({"reverse": True}, "backward"),
        ({"direction": "Both"}, "both"), ({"direction": "permuted"}, "permuted"),
    ],
)  # fmt: skip
def test_directions(training, direction):
    assert arrows(training_params=training)["objective"]["direction"] == direction


@pytest.mark.parametrize(
    "optim",
    [
        {"lr": 1e-4, "warmup": 4000, "lr_init": 1e-7, "T_0": 200_000, "lr_shrink": 0.85, "eta_min": 1e-6},
        {"lr": 3e-4, "warmup_steps": 10, "cooldown": 0.2},
        {"cooldown_steps": 300, "min_lr": 1e-5},
        {"optimizer": "AdamW", "betas": [0.9, 0.95], "wd": 0.1},
    ],
    ids=["restarts", "share", "steps", "optimizer"],
)
def test_schedules_are_valid(optim):
    schedule = ScheduleSpec.build(arrows(optim_params=optim)["training"]["schedule"])
    assert schedule.minimum == pytest.approx(optim.get("min_lr", optim.get("eta_min", 0)) / optim.get("lr", 1e-4))
    assert (schedule.name == "cosine_restarts") == ("T_0" in optim)


# --- Microcosm -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        WORLDS,
        WORLDS.partition("=")[2],
        WORLDS.partition("=")[2].replace("'", '"').replace("True", "true"),
        CALLED,
    ],
    ids=["assigned", "bare", "json", "call"],
)  # fmt: skip
def test_the_dict_of_microcosm(tmp_path, text):
    recipe = read(tmp_path, text, "best.py")
    assert recipe == {
        "name": "best",
        "tokenizer": "lorenz",
        "model": {
            "architecture": "roberta",
            "hidden_size": 720,
            "intermediate_size": 2880,
            "num_hidden_layers": 12,
            "num_attention_heads": 6,
            "hidden_act": "gelu",
            "hidden_dropout_prob": 0.1,
            "attention_probs_dropout_prob": 0.1,
        },
        "objective": {"name": "masked", "probability": 0.2},
        "training": {
            "epochs": 2,
            "batch_size": 32,
            "learning_rate": 1e-4,
            "schedule": {"name": "linear", "warmup_steps": 2000},
            "weight_decay": 0,
            "precision": "fp16",
            "evaluate_every": 5000,
            "early_stop": {"patience": 3},
        },
    }
    assert RobertaSpec.build(recipe["model"]) == RobertaSpec()
    EarlyStopSpec.build(recipe["training"]["early_stop"])


def test_what_microcosm_leaves_out_is_that_of_its_readme():
    recipe = foreign_recipe({"lr": 3e-4, "hidden_size": 120}, "x")
    assert recipe is not None
    assert recipe["objective"]["probability"] == 0.2
    training = recipe["training"]
    assert (training["epochs"], training["schedule"]["warmup_steps"], training["weight_decay"]) == (2, 2000, 0)
    assert training["precision"] == "fp32"


def test_accumulated_batches():
    values = {"lr": 1e-4, "hidden_size": 8, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 8}
    training = (foreign_recipe(values, "x") or {})["training"]
    assert (training["batch_size"], training["micro_batch_size"]) == (32, 4)


# --- what is something else, and what is wrong -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "", "name: mine\nmodel: {architecture: roberta}\n", '{"name": "mine", "training": {"steps": 3}}', "[1, 2]", "7",
        "import os\nos.abort()\n", "x = print('run')", "{" * 5000, "dict(**{'lr': 1})", "\x00", '{"hidden_size": 3}',
        "dict([('lr', 1), ('hidden_size', 2)])", "dict(lr=1, hidden_size=abs(2))",
    ],
    ids=range(13),
)  # fmt: skip
def test_other_files_are_left_to_others(tmp_path, text):
    assert read(tmp_path, text) is None


def test_files_that_cannot_be_read_are_left_to_others(tmp_path):
    assert read_foreign(tmp_path / "none.json") is None
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    assert read_foreign(tmp_path / "binary") is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"model_params": {"n_layerz": 3}}, r"model_params.n_layerz is not a field that .*did you mean n_layer"),
        ({"optim_params": {"momentum_xyz": 3}}, r"optim_params.momentum_xyz is not a field .*known: optimizer, lr, "),
        ({"model_params": {"model": "gru", "n_heads": 3}}, "model_params.n_heads is not a field that can"),
        ({"logging": {}}, r"logging is not a group that can be taken over \(known: model_params, training_params, "),
        ({"training_params": 3}, "training_params: 3 is not a group of fields; write an object"),
        ({"model_params": {"model": "mamba"}}, r"model_params.model: 'mamba' is unknown \(known: gpt, gpt2, "),
        ({"model_params": {"n_layer": 2, "n_layers": 2}}, "n_layer: n_layers is given too, and means the same"),
        ({"model_params": {"n_embd": "48"}}, "model_params.n_embd: '48' is not a number; write a number"),
        ({"model_params": {"size": "xl", "attn_pdrop": 0.1, "dropout": 0}}, "'attn_pdrop': 0.1} differ, and a"),
        ({"model_params": {"n_embd": 8, "n_layer": 2}}, "model_params.n_head: is missing, and no size says it; write"),
        ({"optim_params": {"lr": [1e-4, 2e-4]}}, r"optim_params.lr: \[.*\] is not a number; write one value \(a sweep"),
        ({"optim_params": {"lr": 0}}, "optim_params.lr: 0 is no learning rate; write a number above 0"),
        ({"optim_params": {"optimizer": "sgd"}}, r"optim_params.optimizer: 'sgd' is unknown \(known: adamw\)"),
        ({"training_params": {"backward": 1}}, "training_params.backward: 1 is neither true nor false; write"),
        ({"training_params": {"backward": True, "direction": "forward"}}, "forward stands beside backward: True"),
        ({"training_params": {"aggregate": True}}, "aggregate: True is not a number"),
        ({"training_params": {"batchsize": None}}, r"batchsize is not a field .*did you mean batch_size"),
    ],
)  # fmt: skip
def test_refusals_of_the_groups(groups, message):
    with pytest.raises(UserError, match=message):
        arrows(**groups)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"mask_probabilty": 0.2}, r"^mask_probabilty is not a field .*mean mask_probability\?\); mend or remove"),
        ({"fp16": True, "bf16": True}, "bf16: fp16 is true too; set one of them to false"),
        ({"lr": [1e-5, 1.5e-5]}, "lr: .* is not a number; write one value"),
        ({"lr_scheduler_type": "polynomial"}, r"lr_scheduler_type: 'polynomial' is unknown \(known: linear, "),
    ],
)  # fmt: skip
def test_refusals_of_the_dict(fields, message):
    with pytest.raises(UserError, match=message):
        foreign_recipe({"lr": 1e-4, "hidden_size": 720} | fields, "x")


@pytest.mark.parametrize("text", ["{'lr': 1, 'hidden_size': 2, 'lr': 3}", '{"lr": 1, "hidden_size": 2, "lr": 3}'])
def test_a_field_that_stands_twice_is_refused(tmp_path, text):
    with pytest.raises(UserError, match=r"the key 'lr' stands twice in one dict \(line 1\); remove one"):
        read(tmp_path, text)


@given(st.dictionaries(st.text(max_size=6), st.none() | st.integers() | st.text(max_size=3), max_size=3))
def test_nothing_is_dropped_in_silence(extra):
    """Every field is taken, or refused by its name."""
    known = {"fp16", "bf16", "lr", "wd", "epochs", "steps", "seed", "name", "warmup"}
    extra = {name: value for name, value in extra.items() if name not in known}
    values = {"lr": 1e-4, "hidden_size": 8}
    if not extra:
        assert foreign_recipe(values, "x")
        return
    with pytest.raises(UserError) as refusal:
        foreign_recipe(values | extra, "x")
    assert any(name in str(refusal.value) for name in extra)


def test_overrides_apply_to_the_mapping(tmp_path):
    recipe = apply_overrides(read(tmp_path, ARROWS) or {}, ["training.epochs=", "training.steps=10", "tokenizer=lab/x"])
    assert (recipe["training"]["steps"], recipe["training"]["epochs"], recipe["tokenizer"]) == (10, None, "lab/x")
    json.dumps(recipe)
