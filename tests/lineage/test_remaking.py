"""The commands of a reproduction, what stands against it, and how what came out is judged; without a Hub."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.lineage.comparing import agrees, compare
from hubkit.lineage.graph import Node
from hubkit.lineage.original import Data, Original
from hubkit.lineage.remaking import MODEL, Remaking, remaking
from hubkit.lineage.reporting import as_data, script, table, verdict
from hubkit.lineage.running import STATE, run
from hubkit.publishing.hub import RemoteFile
from hubkit.training.recipe import read_recipe

A, B, C = (letter * 40 for letter in "abc")
CODE = {"hubkit": "0.1.0", "commit": B, "modified": False}
HERE = {
    "code": CODE,
    "python": "3.11.7",
    "platform": "Linux-x86_64",
    "device": "cpu",
    "libraries": {"torch": "2.13.0+cpu"},
}
CORPUS = {"origin": "generated", "spec": {"builder": "rewriting"}, "generator_version": "1", "splits": {}}
WEIGHTS = b"weights"


def result(value: float, name: str = "exact match", **more: Any) -> dict[str, Any]:
    return {
        "task": {"name": "Exact match"},
        "dataset": {"repo": "lab/double-a", "revision": A, "split": "test"},
        "metrics": [{"type": "exact_match", "name": name, "value": value, **more}],
    }


def original(results: tuple[dict[str, Any], ...] = (), data: tuple[Data, ...] | None = None, **run: Any) -> Original:
    """Return a model of double-a, with other fields of `run.json` if need be."""
    recipe = read_recipe("rewriting-double-a").published()
    lineage = {
        "name": "double-a-minigpt",
        "recipe": recipe,
        "datasets": [{"repo": "lab/double-a", "revision": A, "release": "v1.0.0"}],
        "tokenizer": {"name": "characters:AB", "sha256": "d" * 64},
        "init_from": None,
        "code": CODE,
        "environment": {name: HERE[name] for name in ("python", "platform", "device", "libraries")} | {"processes": 1},
        "training": {"steps": 20, "final_train_loss": 0.5, "final_validation_loss": math.nan},
        **run,
    }
    if data is None:
        data = (Data("lab/double-a", A, Node("dataset", "lab/double-a", A, "v1.0.0"), CORPUS),)
    weights = {"model.safetensors": RemoteFile("model.safetensors", len(WEIGHTS), "", _sha256(WEIGHTS))}
    files = frozenset({"tokenizer.json", *weights})
    return Original("lab/m", C, "v1.0.0", lineage, recipe, results, weights, files, data, ())


def _sha256(data: bytes) -> str:
    import hashlib

    return hashlib.sha256(data).hexdigest()


def commands(made: Remaking) -> list[str]:
    return [str(step) for step in made.steps]


# --- commands --------------------------------------------------------------------------------------------------------


def test_the_commands_rebuild_corpus_and_model_at_their_commits():
    made = remaking(original(), HERE)
    place = f"corpora/lab--double-a-{A[:12]}"
    assert commands(made) == [
        "pip install hubkit==0.1.0 torch==2.13.0",
        f"hf download --quiet lab/m --revision {C} --local-dir published --exclude '*.safetensors' --exclude 'runs/*'",
        f"hubkit prefetch published/recipe.json --set dataset.revision={A}",
        f"hf download --quiet lab/double-a corpus.json --repo-type dataset --revision {A} --local-dir {place}",
        f"hubkit build {place}/corpus.json -o {place}/built",
        f"hubkit verify lab/double-a --revision {A}",
        f"hubkit train published/recipe.json output=run dataset.revision={A} publish_to=null",
        "hubkit evaluate run/model",
    ]
    assert made.obstacles == () and made.remarks == () and made.same


def test_a_recipe_that_is_pinned_needs_no_changes():
    known = original()
    assert known.recipe is not None
    pinned = {**known.recipe, "dataset": {**known.recipe["dataset"], "revision": A}}
    del pinned["publish_to"]
    made = remaking(replace(known, recipe=pinned), HERE)
    assert "hubkit train published/recipe.json output=run" in commands(made)
    assert "hubkit prefetch published/recipe.json" in commands(made)


def test_what_losses_were_noted_on_beside_is_pinned_verified_and_must_be_there():
    pin = {"repo": "lab/prose", "revision": B, "release": None}
    given = {"repo": "lab/prose", "revision": "main"}
    known = original(also_evaluate={"prose": pin, "mine": {"path": "mine", "sha256": "e" * 64}})
    recipe = {**(known.recipe or {}), "also_evaluate": {"prose": given}}
    prose = Data("lab/prose", B, Node("dataset", "lab/prose", B), {"origin": "files"})
    made = remaking(replace(known, recipe=recipe, evaluated=(prose, *known.data)), HERE)
    assert f'\'also_evaluate.prose={{"repo": "lab/prose", "revision": "{B}"}}\'' in commands(made)[-2]
    verified = [line for line in commands(made) if line.startswith("hubkit verify")]
    assert verified == [f"hubkit verify lab/double-a --revision {A}", f"hubkit verify lab/prose --revision {B}"]
    assert len(made.rebuilt) == 1 and made.obstacles == ()
    gone = replace(prose, node=replace(prose.node, unreachable="the Hub has no such thing"), corpus=None)
    made = remaking(replace(known, recipe=recipe, evaluated=(gone,)), HERE)
    assert made.obstacles == (f"dataset lab/prose at {B[:12]}: the Hub has no such thing",)


def test_a_tokenizer_of_the_authors_machine_is_the_one_in_the_repository():
    known = original(tokenizer={"name": "bpe", "sha256": "d" * 64})
    assert known.recipe is not None
    made = remaking(replace(known, recipe=known.recipe | {"tokenizer": "bpe"}), HERE)
    assert "tokenizer=published/tokenizer.json" in commands(made)[-2] and made.obstacles == ()
    made = remaking(replace(known, recipe=known.recipe | {"tokenizer": "./tokenizer.json"}), HERE)
    assert "tokenizer=" not in commands(made)[-2]


def test_mixtures_and_first_weights_are_pinned_too():
    known = original(
        datasets=[{"repo": "lab/double-a", "revision": A}, {"repo": "lab/double-a", "revision": B}],
        init_from={"repo": "lab/base", "revision": B},
        tokenizer={"name": "lab/bpe", "revision": B},
    )
    assert known.recipe is not None
    mixed = known.recipe | {"mix": [dict(known.recipe["dataset"])], "init_from": "lab/base", "tokenizer": "lab/bpe"}
    command = next(step for step in remaking(replace(known, recipe=mixed), HERE).steps if step.what == "train").command
    changes = dict(part.split("=", 1) for part in command[3:])
    assert (changes["dataset.revision"], changes["init_from"]) == (A, f"lab/base@{B}")
    assert changes["tokenizer"] == f"lab/bpe@{B}"
    assert json.loads(changes["mix"])[0]["revision"] == B


@pytest.mark.parametrize(
    ("corpus", "why"),
    [
        (None, "was not made by hubkit: its commit alone says what the rows are"),
        (
            CORPUS | {"origin": "found"},
            "holds rows from outside, which are verified by their hashes and not made again",
        ),
        (
            CORPUS | {"spec": {"builder": "mine"}},
            "its builder 'mine' is not installed here, so the rows are not made again",
        ),
        (CORPUS | {"spec": 3}, "its builder 'of no name' is not installed here"),
        (CORPUS | {"generator_version": "0"}, "version 0 of rewriting made it, and here is 1"),
    ],
)
def test_a_corpus_that_is_not_made_again_is_named(corpus, why):
    data = Data("lab/double-a", A, Node("dataset", "lab/double-a", A), corpus)
    made = remaking(original(data=(data,)), HERE)
    assert why in made.remarks[0] and made.rebuilt == {}
    verifies = any(line.startswith("hubkit verify") for line in commands(made))
    assert verifies is (corpus is not None) and not any("build" in line for line in commands(made))


@pytest.mark.parametrize(
    ("fields", "obstacle"),
    [
        (
            {"datasets": [{"path": "mine", "sha256": "e" * 64}]},
            "it was trained on mine (sha256 eeeeeeeeeeee), which is",
        ),
        (
            {"init_from": {"path": "old", "sha256": "e" * 64}},
            "it began with the weights old (sha256 eeeeeeeeeeee), which",
        ),
    ],
)
def test_what_lies_on_somebodys_machine_stands_against_it(tmp_path, fields, obstacle):
    made = remaking(original(**fields), HERE)
    assert made.obstacles[0].startswith(obstacle)
    assert f"# it can't be made again: {obstacle}" in script(made, Path("again"))
    with pytest.raises(UserError, match=r"lab/m v1\.0\.0 can't be made again: it "):
        run(made, tmp_path / "again", say=lambda text: None)
    assert not (tmp_path / "again").exists()


def test_a_dataset_that_is_gone_and_a_recipe_of_the_future_stand_against_it():
    gone = Data("lab/double-a", A, Node("dataset", "lab/double-a", A, unreachable="the Hub has no such thing"), None)
    known = original(data=(gone,))
    assert known.recipe is not None
    made = remaking(replace(known, recipe=known.recipe | {"mood": "good"}), HERE)
    assert made.obstacles[0] == f"dataset lab/double-a at {A[:12]}: the Hub has no such thing"
    assert "this version of hubkit can't read it: its recipe: mood is not a field" in made.obstacles[1]


def test_every_difference_of_the_surroundings_is_said():
    there = {
        "python": "3.12.1", "platform": "Linux-aarch64", "device": "NVIDIA H100", "processes": 2,
        "libraries": {"torch": "2.11.0", "gone": "1.0"},
    }  # fmt: skip
    known = original(environment=there, code=CODE | {"commit": A, "modified": True})
    made = remaking(known, HERE)
    assert made.remarks == (
        "device: it was made with NVIDIA H100, and here is cpu",
        "platform: it was made with Linux-aarch64, and here is Linux-x86_64",
        "python: it was made with 3.12.1, and here is 3.11.7",
        "torch: it was made with 2.11.0, and here is 2.13.0+cpu",
        "gone: it was made with 1.0, and here is none",
        "processes: 2 trained it together; as many give the same order of rows",
        f"hubkit: it was made at commit {A[:12]}, and here is {B[:12]}",
        "hubkit: it was made by code that was changed and not committed, which nobody else has",
        "training.deterministic: it is off, and a GPU then gives other last bits each time",
    )
    assert not made.same


def test_the_script_is_one_for_a_shell(tmp_path):
    text = script(remaking(original(), HERE), tmp_path / "with space")
    assert "set -e\nmkdir -p '" in text and text.startswith("# lab/m v1.0.0 at cccc")
    assert json.loads(json.dumps(as_data(remaking(original(), HERE))))["commands"][-1] == ["hubkit", "evaluate", MODEL]


# --- what came out ---------------------------------------------------------------------------------------------------


def make(folder: Path, value: float = 1.0, weights: bytes = WEIGHTS, **training: Any) -> Path:
    """Write what a training leaves."""
    made = folder / MODEL
    made.mkdir(parents=True)
    outcome = {"steps": 20, "final_train_loss": 0.5, "final_validation_loss": math.nan} | training
    (made / "run.json").write_text(json.dumps({"training": outcome}))
    (made / "evaluation.json").write_text(json.dumps({"results": [result(value)]}))
    (made / "model.safetensors").write_bytes(weights)
    return folder


def judged(folder: Path, *results: dict[str, Any], tolerance: float = 0.02) -> tuple[bool, dict[str, str], str]:
    known = remaking(original(results, data=()), HERE)
    compared = compare(known, folder, tolerance)
    return agrees(compared), {entry.what: entry.verdict for entry in compared}, verdict(known, compared)


def test_what_is_equal_to_the_bit_agrees(tmp_path):
    good, verdicts, said = judged(make(tmp_path), result(1.0))
    assert good and set(verdicts.values()) == {"equal"}
    assert said == "lab/m v1.0.0 was reproduced, equal to the bit, on the same device, versions and code"


def test_of_equal_weights_every_number_must_be_equal(tmp_path):
    good, verdicts, said = judged(make(tmp_path), result(0.995))
    assert not good and verdicts["Exact match: exact match"] == "differs"
    assert said == "lab/m v1.0.0 was not reproduced: Exact match: exact match"
    good, verdicts, _ = judged(make(tmp_path / "rounded", 0.9999), result(1.0))
    assert good and verdicts["Exact match: exact match"] == "close"


def test_of_other_weights_numbers_may_differ_within_tolerance_or_interval(tmp_path):
    make(tmp_path, 0.95, weights=b"others!", final_train_loss=0.509)
    good, verdicts, said = judged(tmp_path, result(0.96))
    assert good and verdicts == {
        "model.safetensors": "other bits", "steps": "equal", "final training loss": "close",
        "final validation loss": "equal", "Exact match: exact match": "close",
    }  # fmt: skip
    assert "within the tolerance" in said
    assert judged(tmp_path, result(0.90))[0] is False
    assert judged(tmp_path, result(0.90, low=0.85, high=0.97))[0] is True
    assert judged(tmp_path, result(0.96), tolerance=0.01)[1]["final training loss"] == "differs"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"steps": 19}, "steps"),
        ({"final_train_loss": None}, "final training loss"),
        ({"final_train_loss": 9.0}, "final"),
    ],
)
def test_another_training_does_not_agree(tmp_path, change, what):
    good, _, said = judged(make(tmp_path, **change), result(1.0))
    assert not good and what in said


def test_weights_that_are_missing_do_not_agree(tmp_path):
    (make(tmp_path) / MODEL / "model.safetensors").unlink()
    assert judged(tmp_path, result(1.0))[1]["model.safetensors"] == "missing"


def test_what_was_published_and_not_made_again_is_counted(tmp_path):
    other = result(1.0) | {"task": {"name": "By hand"}}
    good, verdicts, said = judged(make(tmp_path), result(1.0), other)
    assert good and verdicts["By hand: exact match (lab/double-a)"] == "not made again"
    assert said.endswith("; 1 published numbers were not made again")
    assert judged(tmp_path, result(1.0), result(1.0, "half"))[1]["Exact match: half"] == "missing"


def test_the_table_shows_both_sides(tmp_path):
    known = remaking(original((result(0.5),), data=()), HERE)
    lines = table(compare(known, make(tmp_path))).splitlines()
    assert lines[1].split() == [
        "model.safetensors",
        _sha256(WEIGHTS)[:12],
        file_sha256(tmp_path / MODEL / "model.safetensors")[:12],
        "equal",
    ]
    assert lines[-1].split() == ["Exact", "match:", "exact", "match", "0.5", "1", "differs"]


def test_nothing_to_compare_is_no_agreement():
    assert not agrees([])


# --- folders ---------------------------------------------------------------------------------------------------------


def test_the_folder_of_another_reproduction_is_refused(tmp_path):
    (tmp_path / STATE).write_text(json.dumps({"model": "lab/other", "commit": A, "done": []}))
    with pytest.raises(
        UserError, match=r"holds the reproduction of lab/other at aaaaaaaaaaaa: name another folder by -o"
    ):
        run(remaking(original(), HERE), tmp_path, say=lambda text: None)
    (tmp_path / STATE).write_text("{")
    with pytest.raises(UserError, match=r"is damaged: name an empty folder by -o"):
        run(remaking(original(), HERE), tmp_path, say=lambda text: None)


def test_a_folder_without_a_model_can_not_be_compared(tmp_path):
    with pytest.raises(UserError, match=r"holds no finished model: the same command with --run makes it"):
        compare(remaking(original(), HERE), tmp_path)
