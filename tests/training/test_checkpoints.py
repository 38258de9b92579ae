"""Checkpoints of another recipe: what a refusal says of them."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.errors import UserError
from hubkit.training.checkpoints import _difference, load_checkpoint
from hubkit.training.recipe import Recipe
from hubkit.training.run import make_accelerator, train

FIELDS: dict[str, Any] = {
    "dataset": {"repo": "lab/pairs", "config": None},
    "mix": [{"repo": "lab/more", "ratio": 1.0}],
    "model": {"hidden_size": 32, "architecture": "roberta"},
    "training": {"learning_rate": 0.001, "schedule": {"name": "linear", "minimum": 0.0}, "early_stop": None},
    "revisions": {"dataset": "a" * 40, "mix.0": "b" * 40, "init_from": "c" * 40},
}


def refusal(folder: Path, kept: Any, **groups: Any) -> str:
    """Return why a checkpoint that kept some fields is refused by a recipe in which groups have other values."""
    checkpoint = folder / "checkpoints" / "step-00000007"
    checkpoint.mkdir(parents=True)
    state = {"step": 7, "processes": 1, "recipe": kept}
    (checkpoint / "state.json").write_text(json.dumps(state))
    ours = FIELDS | {name: FIELDS[name] | value if isinstance(value, dict) else value for name, value in groups.items()}
    with pytest.raises(UserError) as refused:
        load_checkpoint(Accelerator(cpu=True), checkpoint.parent, ours)
    return str(refused.value).removeprefix(f"{checkpoint} belongs to ")


@pytest.mark.parametrize(
    ("groups", "difference"),
    [
        ({"training": {"learning_rate": 0.003}}, "training.learning_rate: the checkpoint has 0.001, the recipe 0.003"),
        ({"dataset": {"config": "small"}}, "dataset.config: the checkpoint has null, the recipe small"),
        (
            {"training": {"schedule": {"name": "cosine", "minimum": 0.1}}},
            "training.schedule.name: the checkpoint has linear, the recipe cosine",
        ),
        (
            {"training": {"early_stop": {"patience": 3}}},
            'training.early_stop: the checkpoint has null, the recipe {"patience": 3}',
        ),
        (
            {"model": {"hidden_size": 64, "architecture": "gpt_neox"}},
            "model.architecture: the checkpoint has roberta, the recipe gpt_neox",
        ),
        ({"mix": [{"repo": "lab/more", "ratio": 2.0}]}, "mix.0.ratio: the checkpoint has 1.0, the recipe 2.0"),
        ({"mix": []}, 'mix: the checkpoint has [{"repo": "lab/more", "ratio": 1.0}], the recipe []'),
        (
            {"revisions": {"init_from": "d" * 40}},
            f"the revision of init_from: the checkpoint has {'c' * 40}, the recipe {'d' * 40}",
        ),
        (
            {"revisions": {"mix.0": "d" * 40, "init_from": "d" * 40}},
            f"the revision of mix.0: the checkpoint has {'b' * 40}, the recipe {'d' * 40}",
        ),
        (
            {"revisions": {"dataset": "d" * 40}, "training": {"learning_rate": 1}},
            "training.learning_rate: the checkpoint has 0.001, the recipe 1",
        ),
    ],
)
def test_the_first_field_that_differs_is_named_with_both_values(tmp_path, groups, difference):
    said = refusal(tmp_path, FIELDS, **groups)
    mend = "give the same, another output=FOLDER, or resume=false to start over"
    assert said == f"another recipe: {difference}; {mend}"


def test_long_values_are_cut(tmp_path):
    said = refusal(tmp_path, FIELDS, mix=[{"repo": "lab/" + "x" * 500}] * 2)
    assert len(said) < 400 and "x…; give" in said


def test_a_field_that_only_one_of_them_knows_counts_as_null():
    assert _difference({"training": {"new": None, "steps": 3}}, {"training": {"steps": 3}}) is None
    assert _difference(None, FIELDS).startswith("recipe: the checkpoint has null, the recipe {")


def corpus(folder: Path, rows: int) -> None:
    texts = ("".join("AB"[int(bit)] for bit in f"{number:08b}") for number in range(rows))
    (folder / "texts.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    build(find("text", [f"files={folder / 'texts.jsonl'}"]), folder / "built", workers=1, overlap=False)


def trained(folder: Path, *overrides: str) -> None:
    values = {
        "name": "small",
        "tokenizer": "characters:AB",
        "dataset": {"folder": str(folder / "built"), "held_out": 0.2},
        "model": {"architecture": "minigpt", "n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 8},
        "objective": {"name": "causal"},
        "reading": {"form": "windows", "length": 8},
        "training": {"steps": 1, "batch_size": 4, "learning_rate": 1e-3, "trackers": []},
    }
    recipe = Recipe.build(values, [f"output={folder / 'run'}", *overrides])
    train(recipe, make_accelerator(recipe), lambda what, done, total: None)


def test_a_run_in_the_folder_of_another_says_what_differs(tmp_path):
    corpus(tmp_path, 60)
    begun = f"init_from={tmp_path / 'base' / 'model'}"
    trained(tmp_path, f"output={tmp_path / 'base'}")
    trained(tmp_path, begun)
    with pytest.raises(UserError, match=r"training\.learning_rate: the checkpoint has 0\.001, the recipe 0\.003; give"):
        trained(tmp_path, begun, "training.learning_rate=3e-3")
    with pytest.raises(UserError, match=r"init_from: the checkpoint has .*/base/model, the recipe null; give"):
        trained(tmp_path)
    trained(tmp_path, f"output={tmp_path / 'base'}", "training.seed=1", "resume=false")
    with pytest.raises(UserError, match=r"the revision of init_from: the checkpoint has [0-9a-f]{64}, the recipe "):
        trained(tmp_path, begun)
    shutil.rmtree(tmp_path / "built")
    corpus(tmp_path, 61)
    with pytest.raises(UserError, match=r"the revision of dataset: the checkpoint has [0-9a-f]{64}, the recipe "):
        trained(tmp_path, begun)


def test_a_lineage_knows_weights_of_this_machine_by_the_end_of_their_path(tmp_path):
    corpus(tmp_path, 60)
    trained(tmp_path, f"output={tmp_path / 'base'}")
    trained(tmp_path, f"init_from={tmp_path / 'base' / 'model'}")
    run = json.loads((tmp_path / "run" / "model" / "run.json").read_text())
    end = f"{tmp_path.name}/base/model"
    assert run["init_from"]["path"] == end and run["recipe"]["init_from"] == f"./{end}"
