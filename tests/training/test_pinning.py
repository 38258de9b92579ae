"""The recipe in a model repository: whoever trains by it gets the same model."""

import json

import pytest

from hubkit.data.sources import Local
from hubkit.hub import Commit
from hubkit.tokenizers import make_tokenizer, save_tokenizer, tokenizer_sha256
from hubkit.training.loading import Pins
from hubkit.training.pinning import pinned
from hubkit.training.recipe import read_recipe
from hubkit.training.starting import tokenizer_of

A, B = "a" * 40, "b" * 40


def pins(*datasets, tokenizer=None, init_from=None, evaluated=None) -> Pins:
    return Pins(list(datasets), evaluated or {}, tokenizer, init_from)


def test_every_revision_is_the_commit_that_was_read():
    other = "{repo: lab/other, revision: v2.0.0, train: all}"
    recipe = read_recipe(
        "rewriting-double-a",
        ["dataset.revision=v1.0.0", f"mix=[{other}]", f"also_evaluate={{other: {other}}}", "tokenizer=lab/bpe",
         "init_from=lab/base@main"],
    )  # fmt: skip
    data, more = Commit("lab/double-a", A, "v1.0.0"), Commit("lab/other", B, None)
    shown = pinned(
        recipe,
        pins(data, more, tokenizer=Commit("lab/bpe", A, None), init_from=Commit("lab/base", B, None),
             evaluated={"other": more}),
    )  # fmt: skip
    assert (shown["dataset"]["revision"], shown["mix"][0]["revision"]) == (A, B)
    assert shown["also_evaluate"]["other"]["revision"] == B
    assert (shown["tokenizer"], shown["init_from"]) == (f"lab/bpe@{A}", f"lab/base@{B}")
    assert "publish_to" not in shown


def test_it_is_a_recipe_again(tmp_path):
    recipe = read_recipe("lorenz-tiny", ["publish_to=lab/mine", "output=/somewhere/else"])
    (tmp_path / "recipe.json").write_text(json.dumps(pinned(recipe, pins(Commit("lab/lorenz-tiny", A, None)))))
    again = read_recipe(str(tmp_path / "recipe.json"))
    assert again.publish_to is None and again.output is None and again.dataset.revision == A
    assert again.identity({"dataset": A}) == recipe.identity({"dataset": A})


@pytest.mark.parametrize("beside", ["here", "elsewhere"])
def test_a_tokenizer_of_this_machine_is_the_one_beside_the_file(tmp_path, monkeypatch, beside):
    home, model = tmp_path / "bpe", tmp_path / "model"
    for folder in (home, model):
        folder.mkdir()
    save_tokenizer(make_tokenizer("characters:AB"), home)
    recipe = read_recipe("rewriting-double-a", [f"tokenizer={home}", "extra_tokens=[<x>]"])
    tokenizer = tokenizer_of(recipe, None)
    save_tokenizer(tokenizer, model)
    (model / "recipe.json").write_text(json.dumps(pinned(recipe, pins(Commit("lab/double-a", A, None)))))
    monkeypatch.chdir(model if beside == "here" else tmp_path)
    again = read_recipe("recipe.json" if beside == "here" else "model/recipe.json")
    assert again.tokenizer.endswith("tokenizer.json")
    assert tokenizer_sha256(tokenizer_of(again, None)) == tokenizer_sha256(tokenizer)
    assert len(tokenizer_of(again, None)) == len(tokenizer)


def test_data_of_this_machine_keeps_its_name():
    recipe = read_recipe("rewriting-double-a", ["dataset={folder: /data/built}", "evaluations=[]", "publish_to="])
    shown = pinned(recipe, pins(Local("built", "e" * 64)))
    assert (shown["dataset"]["folder"], shown["dataset"]["revision"]) == ("built", None)
