"""Reads the configuration files of two other projects as recipes: BackPerplexity's JSON, Microcosm's dict.

A field may have any of several names; one that is not in these tables is refused by name. A field that is left out has
the value of the original.

BackPerplexity (three groups: how the model is made, how it is trained, how it is optimised):

=================  =====================================================================================================
`model_params`
model              `model`, `model_type`, `type`: gpt, gru or lstm; `size`, or all of the next line
layers and width   `n_layers`, `n_layer`, `num_layers` · `n_heads`, `n_head`, `num_heads` · `embed_dim`, `n_embd`,
                   `hidden_size`, `d_model` · `mlp_ratio`
context            `attn_length`, `context_length`, `context`, `block_size`, `seq_len` (256)
dropout            `dropout`, `embd_pdrop`, `attn_pdrop`, `resid_pdrop`: all the same (0.1)
`vocab_size`       not used: the tokenizer says it
`training_params`
dataset            `dataset`, `dataset_path`, `dataset_folder`, `data`: a repository, or an `.h5` file of tokens
`language`         the dataset's config
tokenizer          `tokenizer`, `tokenizer_path`, `tokenizer_name`
direction          `direction`: forward, backward, both, permuted; or `backward`, `backwards`, `reverse`: true, false
length             `steps`, `steps_to_train`, `num_steps`, or `epochs`, `num_epochs` (1 epoch)
batches            `batch_size` (180), of which `aggregate` (1) make one optimizer step; `stride` between windows
intervals          `step_log` · `valid_every`, `valid_steps` · `save_every` · `backup_every`; where `valid_every` stands
                   beside it, `valid_steps` is how many batches an evaluation reads
others             `name`, `run_name` · `output`, `save_dir` · `seed` · `compile` · `num_workers` · `precision`
`optim_params`
rate               `lr`, `learning_rate` (1e-4) · `min_lr`, `lr_min`, `eta_min` · `optimizer`: AdamW
warm-up            `warmup_steps`, `warmup` · its first rate: `lr_init`, `warmup_lr`, `init_lr`
restarts           `T_i`, `T_0`, `period`, `oscil_steps` · `shrink`, `lr_shrink`
cool-down          `cooldown`, `cooldown_steps`: steps or a share; 0.15 of the steps, if there are no restarts
others             `weight_decay`, `wd` · `betas` · `clip`, `grad_clip`, `max_grad_norm` (1)
=================  =====================================================================================================

Microcosm (one group, JSON or a Python dict):

=================  =====================================================================================================
model              `hidden_size`, `intermediate_size`, `num_hidden_layers`, `num_attention_heads`, `hidden_act`,
                   `hidden_dropout_prob`, `attention_probs_dropout_prob`
not used           `vocab_size`, `max_position_embeddings`, `type_vocab_size`: tokenizer and data say them
masking            `mask_probability`, `mask_prob`, `mlm_probability` (0.2)
rate               `lr`, `learning_rate` · `warmup_steps`, `warmup` (2000) · `lr_scheduler_type` (linear)
length             `epochs`, `num_train_epochs` (2), or `steps`, `max_steps`
batches            `batch_size`, `per_device_train_batch_size` · `gradient_accumulation_steps` (1)
optimizer          `wd`, `weight_decay` (0) · `max_grad_norm` · `fp16`, `bf16`: true or false
intervals          `eval_steps` (5000) · `logging_steps` · `save_steps` · `save_total_limit`
early stop         `patience`, `early_stopping_patience` (3 evaluations)
others             `name`, `run_name` · `output_dir` · `dataset`, `dataset_name` · `seed`
=================  =====================================================================================================
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hubkit.errors import UserError
from hubkit.training.foreign_fields import Group, parse

_GROUPS = ("model_params", "training_params", "optim_params")
_CELLS = {"gpt": None, "gpt2": None, "transformer": None, "gru": "gru", "lstm": "lstm"}
_DIRECTIONS = ("forward", "backward", "both", "permuted")
_TOKEN_FILES = (".h5", ".hdf5")


def read_foreign(path: Path) -> dict[str, Any] | None:
    """Return the fields of a recipe from a file of another project, or None where it is none.

    Args:
        path: JSON with comments, or Python that is one dict, with or without a name before it. YAML is never one.

    Raises:
        UserError: It is such a file, and a field of it has no meaning; names field and mend.
    """
    if path.suffix in (".yaml", ".yml"):
        return None
    try:
        values = parse(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        return None  # whoever reads it as a recipe says what is wrong
    return foreign_recipe(values, name=path.stem) if isinstance(values, Mapping) else None


def foreign_recipe(values: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Return the fields of a recipe from those of another project, or None where they are none.

    The result is not checked as a recipe; what the file does not say and the recipe needs (a tokenizer, say) lacks.

    Args:
        values: What the file holds.
        name: The run's name where the file gives none.

    Raises:
        UserError: A field has no meaning; names field and mend.
    """
    if "model_params" in values:
        return _backperplexity(values, name)
    if "hidden_size" in values and {"lr", "learning_rate"} & values.keys():
        return _microcosm(values, name)
    return None


# --- BackPerplexity --------------------------------------------------------------------------------------------------


def _backperplexity(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    unknown = sorted(values.keys() - set(_GROUPS))
    if unknown:
        raise UserError(f"{unknown[0]} is not a group that can be taken over (known: {', '.join(_GROUPS)}); remove it")
    model, training, optim = (Group(values.get(group, {}), group) for group in _GROUPS)
    length = model.number("attn_length", "context_length", "context", "block_size", "seq_len", default=256)
    recipe = {
        "name": _run_name(training.take("name", "run_name", default=name)),
        "dataset": _dataset(training),
        "tokenizer": training.take("tokenizer", "tokenizer_path", "tokenizer_name"),
        "model": _causal_model(model),
        "objective": {"name": "causal", "direction": _direction(training)},
        "reading": {"form": "windows", "length": length, "stride": training.number("stride")},
        "training": _windows_training(training) | _optimisation(optim),
        "output": training.take("output", "save_dir"),
    }
    training.finish()
    optim.finish()
    return _given(recipe)


def _causal_model(group: Group) -> dict[str, Any]:
    cell = _CELLS[group.choice("model", "model_type", "type", known=_CELLS, default="gpt") or "gpt"]
    group.take("vocab_size")
    size = group.take("size")
    shape = {
        "n_layer": group.number("n_layers", "n_layer", "num_layers"),
        "n_embd": group.number("embed_dim", "n_embd", "hidden_size", "d_model"),
    }
    if cell is None:
        shape["n_head"] = group.number("n_heads", "n_head", "num_heads")
    ratio = group.number("mlp_ratio", default=4) if cell is None else 4
    common = {"size": size if size is None else str(size).lower(), "dropout": _same_dropout(group)}
    group.finish()  # first, because a misspelt field is missing too
    absent = [name for name, value in shape.items() if value is None]
    if size is None and absent:
        raise UserError(f"model_params.{absent[0]}: is missing, and no size says it; write one of them")
    if cell is not None:
        widths = {"hidden_size": shape["n_embd"], "num_hidden_layers": shape["n_layer"]}
        return {"architecture": "recurrent", "cell": cell, **common, **widths}
    if ratio != 4:
        if shape["n_embd"] is None:
            raise UserError(f"model_params.mlp_ratio: {ratio} needs the width beside it; write embed_dim")
        shape["mlp_hidden"] = round(ratio * shape["n_embd"])
    return {"architecture": "minigpt", "mlp": "gelu_exact", **common, **shape}


def _same_dropout(group: Group) -> float:
    """Return the one dropout; the original's models have several fields for it, ours one."""
    names = ("dropout", "embd_pdrop", "attn_pdrop", "resid_pdrop")
    given = {name: value for name in names if (value := group.number(name)) is not None}
    if len(set(given.values())) > 1:
        raise UserError(f"model_params: {given} differ, and a model has one dropout; write the same value")
    return next(iter(given.values()), 0.1)


def _dataset(group: Group) -> dict[str, Any]:
    source = group.take("dataset", "dataset_path", "dataset_folder", "data")
    if str(source).endswith(_TOKEN_FILES):
        return {"tokens": source}
    return {"repo": source, "config": group.take("language")}


def _direction(group: Group) -> str:
    backward = group.flag("backward", "backwards", "reverse")
    direction = group.choice("direction", known=_DIRECTIONS)
    if backward is not None and direction is not None:
        raise UserError(f"training_params.direction: {direction} stands beside backward: {backward}; leave one out")
    return direction or ("backward" if backward else "forward")


def _windows_training(group: Group) -> dict[str, Any]:
    steps = group.number("steps", "steps_to_train", "num_steps")
    epochs = group.number("epochs", "num_epochs")
    rows, parts = group.number("batch_size", default=180), group.number("aggregate", default=1)
    every, batches = group.number("valid_every"), group.number("valid_steps")
    if every is None:
        every, batches = batches, None
    return {
        "steps": steps,
        "epochs": 1 if steps is None and epochs is None else epochs,
        "batch_size": rows * parts,
        "micro_batch_size": rows if parts != 1 else None,
        "log_every": group.number("step_log"),
        "evaluate_every": every,
        "evaluation_rows": None if batches is None else batches * rows,
        "checkpoint_every": group.number("save_every"),
        "backup_every": group.number("backup_every"),
        "seed": group.number("seed"),
        "compile": group.flag("compile"),
        "loader_workers": group.number("num_workers"),
        "precision": group.choice("precision", known=("fp32", "bf16", "fp16")),
    }


def _optimisation(group: Group) -> dict[str, Any]:
    group.choice("optimizer", known=("adamw",))
    rate = group.number("lr", "learning_rate", default=1e-4)
    if rate <= 0:
        raise UserError(f"optim_params.lr: {rate} is no learning rate; write a number above 0")
    first, last = group.number("lr_init", "warmup_lr", "init_lr"), group.number("min_lr", "lr_min", "eta_min")
    period = group.number("T_i", "T_0", "period", "oscil_steps")
    schedule = {
        "name": "warmup_stable_decay" if period is None else "cosine_restarts",
        "warmup_steps": group.number("warmup_steps", "warmup"),
        "warmup_from": None if first is None else first / rate,
        "minimum": None if last is None else last / rate,
        "period": period,
        "shrink": group.number("shrink", "lr_shrink"),
        "cooldown": group.number("cooldown", "cooldown_steps"),
    }
    return {
        "learning_rate": rate,
        "schedule": schedule,
        "weight_decay": group.number("weight_decay", "wd"),
        "adam_betas": group.take("betas"),
        "max_grad_norm": group.number("clip", "grad_clip", "max_grad_norm", default=1.0),
    }


# --- Microcosm -------------------------------------------------------------------------------------------------------

_SHAPE = (
    *("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads"),
    *("hidden_act", "hidden_dropout_prob", "attention_probs_dropout_prob"),
)


def _microcosm(values: Mapping[str, Any], name: str) -> dict[str, Any]:
    group = Group(values, "")
    for derived in ("vocab_size", "max_position_embeddings", "type_vocab_size"):
        group.take(derived)
    probability = group.number("mask_probability", "mask_prob", "mlm_probability", default=0.2)
    shape = {field: group.take(field) if field == "hidden_act" else group.number(field) for field in _SHAPE}
    recipe = {
        "name": _run_name(group.take("name", "run_name", default=name)),
        "dataset": {"repo": group.take("dataset", "dataset_name")},
        "tokenizer": "lorenz",
        "model": {"architecture": "roberta", **shape},
        "objective": {"name": "masked", "probability": probability},
        "training": _rows_training(group),
        "output": group.take("output_dir"),
    }
    group.finish()
    return _given(recipe)


def _rows_training(group: Group) -> dict[str, Any]:
    steps, epochs = group.number("steps", "max_steps"), group.number("epochs", "num_train_epochs")
    rows = group.number("batch_size", "per_device_train_batch_size")
    parts = group.number("gradient_accumulation_steps", default=1)
    schedule = group.choice("lr_scheduler_type", known=("linear", "cosine", "constant"), default="linear")
    halves = [half for half in ("fp16", "bf16") if group.flag(half)]
    if len(halves) > 1:
        raise UserError("bf16: fp16 is true too; set one of them to false")
    return {
        "steps": steps,
        "epochs": 2 if steps is None and epochs is None else epochs,
        "batch_size": None if rows is None else rows * parts,
        "micro_batch_size": rows if parts != 1 else None,
        "learning_rate": group.number("lr", "learning_rate"),
        "schedule": {"name": schedule, "warmup_steps": group.number("warmup_steps", "warmup", default=2000)},
        "weight_decay": group.number("wd", "weight_decay", default=0.0),
        "max_grad_norm": group.number("max_grad_norm"),
        "precision": next(iter(halves), "fp32"),
        "seed": group.number("seed"),
        "log_every": group.number("logging_steps"),
        "evaluate_every": group.number("eval_steps", default=5000),
        "checkpoint_every": group.number("save_steps"),
        "keep_checkpoints": group.number("save_total_limit"),
        "early_stop": {"patience": group.number("patience", "early_stopping_patience", default=3)},
    }


# --- both ------------------------------------------------------------------------------------------------------------


def _run_name(name: object) -> str:
    """Return a name as recipes have it: no spaces or slashes, and a letter or digit first."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", str(name)).strip("-._") or "run"


def _given(values: dict[str, Any]) -> dict[str, Any]:
    """Return nested fields without those that are None, and without groups that this empties."""
    inner = {name: _given(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in inner.items() if value is not None and value != {}}
