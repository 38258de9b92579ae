"""Whole evaluations of model folders on disk: what is read, reported and refused."""

import json
import math
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

from hubkit.cli.models import evaluate
from hubkit.errors import UserError
from hubkit.evaluation.run import (
    add_evaluation,
    check_evaluations,
    evaluate_model,
    read_evaluation,
    write_evaluation,
)
from hubkit.hub import Commit
from hubkit.models.loading import load_model

from .small_models import PAIRS, PLAIN, write_corpus, write_model

torch.set_num_threads(1)
TRAIN = ["{A,AA}", "{B,B}", "{AB,AAB}", "{BB,BB}"]


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return what writes a model and its corpus, and returns the model's folder."""
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", tmp_path / "cache")

    def folder(test: Any = PAIRS, train: Any = TRAIN, loss: Any = (), **settings: Any) -> Path:
        write_corpus(tmp_path / "corpus", {"train": train, "test": test}, loss)
        write_model(tmp_path / "model", tmp_path / "corpus", **settings)
        return tmp_path / "model"

    return folder


def values(entry: dict[str, Any], what: str = "value") -> dict[str, float]:
    return {metric["name"]: metric[what] for metric in entry["metrics"] if what in metric}


def test_both_evaluations_of_a_recipe(make):
    folder = make(objective={"learn_after": ","}, evaluations=["perplexity", "exact_match"])
    perplexity, match = evaluate_model(folder)["results"]
    assert (perplexity["task"]["name"], match["task"]["name"]) == ("Perplexity", "Exact match")
    for entry in (perplexity, match):
        assert (entry["rows"], entry["skipped"]) == (len(PAIRS), 0)
        assert entry["dataset"]["revision"] == "a" * 40 and entry["dataset"]["split"] == "test"
    tokens = sum(len(text.partition(",")[2]) for text in PAIRS)
    assert perplexity["tokens"] == tokens and "bits a byte" not in values(perplexity), "not all of a text is asked for"
    known = Counter("".join(text.partition(",")[2] for text in TRAIN))
    asked = Counter("".join(text.partition(",")[2] for text in PAIRS))
    total = known.total() + 6
    baseline = -sum(count * math.log((known[token] + 1) / total) for token, count in asked.items()) / tokens
    assert values(perplexity, "baseline")["nats a token"] == round(baseline, 4)
    assert values(match)["exact match"] + values(match)["error rate"] == pytest.approx(1)
    assert match["baseline"] in ("copies the input", "always writes 'B'") and values(match, "baseline")
    assert len(match["failures"]) == len(set(PAIRS)) and match["failures"][0]["expected"] == "AAB"
    assert [line["from"] for line in match["by_length"]] == [1, 2, 3]


def test_whole_texts_also_give_bits_a_byte(make):
    (entry,) = evaluate_model(make(objective={}, evaluations=["perplexity"]))["results"]
    found, tokens, text_bytes = values(entry), sum(len(text) - 1 for text in PAIRS), sum(map(len, PAIRS))
    assert entry["tokens"] == tokens
    assert found["perplexity"] == pytest.approx(math.exp(found["nats a token"]), rel=1e-3)
    assert found["bits a byte"] == pytest.approx(found["nats a token"] * tokens / math.log(2) / text_bytes, abs=1e-3)


@pytest.mark.parametrize("reading", [{}, {"form": "windows", "length": 8}], ids=["rows", "windows"])
def test_rows_that_were_held_out_also_give_bits_a_byte(make, reading):
    texts = ["{" + "A" * (number % 20) + "," + "B" * (number // 20) + "}" for number in range(60)]
    folder = make(
        train=texts, dataset={"held_out": 0.3}, objective={}, reading=reading, evaluations=["perplexity"]
    )  # fmt: skip
    (entry,) = evaluate_model(folder)["results"]
    found = values(entry)
    assert 5 < entry["rows"] < 40, "some of the training split, and none of the six rows of the test split"
    ratio = found["bits a byte"] * math.log(2) / found["nats a token"]
    if reading:
        assert ratio == pytest.approx(1, abs=1e-3), "a byte a token"
    else:
        assert ratio == pytest.approx(entry["tokens"] / (entry["tokens"] + entry["rows"]), rel=1e-3)


def test_windows_count_their_rows_and_share_out_the_bytes(make):
    settings = {"objective": {}, "reading": {"form": "windows", "length": 8}, "evaluations": ["perplexity"]}
    folder = make(**settings)
    (entry,) = evaluate_model(folder)["results"]
    total = sum(map(len, PAIRS))
    assert (entry["sequences"], entry["tokens"], entry["rows"]) == (total // 8, total // 8 * 8, len(PAIRS))
    found = values(entry)
    assert found["bits a byte"] == pytest.approx(found["nats a token"] / math.log(2), abs=1e-3), "a byte a token"
    (first,) = evaluate_model(folder, limit=1)["results"]
    assert (first["sequences"], first["tokens"], first["rows"]) == (1, 8, 1)


def test_a_model_of_both_directions_has_two_perplexities_and_answers_forward(make):
    both = {"direction": "both", "learn_after": ","}
    folder = make(test=PLAIN, train=PLAIN, objective=both, evaluations=["perplexity", "exact_match"])
    results = evaluate_model(folder)["results"]
    assert [entry["task"]["name"] for entry in results] == [
        "Perplexity, forward",
        "Perplexity, backward",
        "Exact match",
    ]
    assert values(results[0])["perplexity"] != values(results[1])["perplexity"]
    inputs = [failure["input"] for failure in results[2]["failures"]]
    assert inputs[0] == "AB", "without what begins a sequence, and without the separator"


def test_another_dataset_is_measured_against_the_split_that_the_model_knows(make, tmp_path, monkeypatch):
    folder = make(objective={}, evaluations=["perplexity"])
    write_corpus(tmp_path / "other", {"test": ["{AB,AB}"] * 3})
    found = Commit(str(tmp_path / "other"), "b" * 40, None)
    monkeypatch.setattr("hubkit.evaluation.subject.resolve", lambda repo, revision: found)
    (entry,) = evaluate_model(folder, str(tmp_path / "other"))["results"]
    assert entry["dataset"]["revision"] == "b" * 40 and entry["rows"] == 3
    assert values(entry, "baseline"), "of the training split, which the other dataset lacks"


def test_the_same_evaluation_twice_gives_the_same(make):
    folder = make(objective={"learn_after": ","}, evaluations=["perplexity", "exact_match"])
    assert evaluate_model(folder) == evaluate_model(folder)


MASKED = {"objective": {"name": "masked"}}
NUMERIC = {"objective": {"name": "numeric_masked"}}
BACKWARD = {"objective": {"direction": "backward", "learn_after": ","}}
WINDOWS = {"objective": {"learn_after": ","}, "reading": {"form": "windows", "length": 8}}
UNASKED = {"objective": {"learn": "marked"}, "test": ["{AB}"], "train": ["{AB}"], "loss": [[]]}


IMPOSSIBLE = [
    (MASKED, "perplexity", "small was trained to fill masks (objective masked); a text has no probability to it"),
    (MASKED, "exact_match", "small was trained to fill masks (objective masked); it continues no text; evaluate"),
    (BACKWARD, "exact_match", "the model was trained backward, and the answer stands behind what is given"),
    ({"objective": {}}, "exact_match", "the recipe asks for whole texts, so no row says where an answer begins"),
    (WINDOWS, "exact_match", "the recipe reads windows, which begin anywhere; evaluate perplexity, or train with"),
    (MASKED, "number_recovery", "small was trained by objective masked; evaluate mask_filling"),
    (NUMERIC, "mask_filling", "small was trained by objective numeric_masked; evaluate number_recovery"),
    (
        {"objective": {}},
        "mask_filling",
        "small was trained to continue text and fills no masks; evaluate perplexity",
    ),
    (
        {"objective": {}},
        "number_recovery",
        "small was trained to continue text and fills no masks; evaluate perple",
    ),
]
"""What no model of the recipe could ever answer."""


@pytest.mark.parametrize(
    ("settings", "name", "message"),
    [
        *IMPOSSIBLE,
        (UNASKED, "perplexity", "has anything that the training asks for"),
        (UNASKED, "exact_match", "has one piece to be written"),
    ],
)
def test_what_can_not_be_asked_is_refused(make, settings, name, message):
    with pytest.raises(UserError) as refused:
        evaluate_model(make(**settings), names=[name])
    assert str(refused.value).startswith(f"evaluation {name}: ") and message in str(refused.value)


@pytest.mark.parametrize(("settings", "name", "message"), IMPOSSIBLE)
def test_a_recipe_that_can_not_be_asked_is_refused_before_its_training(make, settings, name, message):
    recipe = json.loads((make(**settings) / "run.json").read_bytes())["recipe"] | {"name": "small"}
    check_evaluations(recipe | {"evaluations": []})
    with pytest.raises(UserError) as refused:
        check_evaluations(recipe | {"evaluations": [name]})
    assert str(refused.value).startswith(f"evaluation {name}: ") and message in str(refused.value)


def test_a_model_that_says_nan_is_refused(make):
    folder = make(objective={}, evaluations=["perplexity"])
    model = load_model(folder)
    model.lm_head.weight.data[:] = math.nan
    model.save_pretrained(folder)
    with pytest.raises(UserError, match=r"the model gives sequence 0 of .* no probability but NaN or none at all"):
        evaluate_model(folder)


def test_of_marked_rows_those_that_ask_nothing_are_skipped(make):
    rows, loss = ["{AB,AAB}", "{B,B}", "{A,AA}"], [[4, 8], [], [1, 2, 4, 5]]
    folder = make(test=rows, train=rows, loss=loss, objective={"learn": "marked"})
    perplexity, match = evaluate_model(folder, names=["perplexity", "exact_match"])["results"]
    assert (perplexity["rows"], perplexity["skipped"], perplexity["tokens"]) == (2, 1, 6)
    assert (match["rows"], match["skipped"]) == (1, 2), "of several pieces none is the answer"


def test_data_that_no_repository_holds_has_to_be_named(make, tmp_path):
    folder = make(objective={}, evaluations=["perplexity"])
    run = json.loads((folder / "run.json").read_text())
    run["recipe"]["dataset"] = {"folder": "corpus"}
    run["datasets"] = [{"path": "corpus", "sha256": "c" * 64}]
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(UserError, match="small was trained on corpus, which is no repository; publish it, and name it"):
        evaluate_model(folder)


def test_evaluations_go_by_name(make):
    folder = make(objective={})
    with pytest.raises(UserError, match=r"--metric: there is no evaluation bleu \(of this model: perplexity\)"):
        evaluate_model(folder, names=["bleu"])
    run = json.loads((folder / "run.json").read_text())
    run["recipe"]["evaluations"] = ["bleu"]
    (folder / "run.json").write_text(json.dumps(run))
    with pytest.raises(UserError, match="small: this version of hubkit has no evaluation bleu; upgrade it"):
        evaluate_model(folder)


@pytest.mark.parametrize(
    ("settings", "fitting"),
    [
        ({"objective": {}}, "perplexity"),
        ({"objective": {"learn_after": ","}}, "perplexity, exact_match"),
        (MASKED, "mask_filling"),
        (NUMERIC, "number_recovery"),
    ],
    ids=["whole texts", "answers", "masked", "numeric"],
)
def test_of_a_recipe_without_evaluations_those_that_fit_are_named(make, settings, fitting):
    with pytest.raises(UserError) as refused:
        evaluate_model(make(**settings))
    assert str(refused.value) == (
        f"small: its recipe names no evaluations; say which by --metric NAME (of this model: {fitting})"
    )


@pytest.mark.parametrize("content", [None, "{", "[]", '{"name": "x", "recipe": {"dataset": {}}}'])
def test_a_folder_without_lineage_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "run.json").write_text(content)
    with pytest.raises(UserError, match=r"has no readable run\.json, so it is not a model that hubkit trained"):
        evaluate_model(tmp_path)


def test_results_join_those_that_are_there(tmp_path):
    def entry(name: str, value: int) -> dict[str, Any]:
        return {"task": {"name": name}, "dataset": {"repo": "lab/pairs", "split": "test"}, "value": value}

    add_evaluation(tmp_path, {"format": 1, "results": [entry("a", 1)]})
    add_evaluation(tmp_path, {"format": 1, "results": [entry("b", 2), entry("a", 3)]})
    assert read_evaluation(tmp_path) == {"format": 1, "results": [entry("a", 3), entry("b", 2)]}
    write_evaluation(tmp_path, {"format": 1, "results": [entry("c", 4)]})
    assert read_evaluation(tmp_path)["results"] == [entry("c", 4)]


def test_the_command_keeps_what_is_whole_beside_the_model(make, capsys):
    folder = make(objective={"learn_after": ","}, evaluations=["perplexity"])
    evaluate(str(folder), limit=2)
    shown = capsys.readouterr()
    assert shown.out.startswith(" ") and "2 rows, 6 tokens of" in shown.out and "kept" not in shown.err
    assert not (folder / "evaluation.json").exists(), "a part of the split is no result of the model"
    evaluate(str(folder))
    evaluate(str(folder), metric=["exact_match"], as_json=True)
    shown = capsys.readouterr().out
    names = [entry["task"]["name"] for entry in read_evaluation(folder)["results"]]
    assert names == ["Perplexity", "Exact match"]
    match = json.loads(shown[shown.index("{") :])["results"]
    assert match == read_evaluation(folder)["results"][1:]
    evaluate(str(folder))
    assert len(read_evaluation(folder)["results"]) == 1, "what the recipe names replaces everything"


def test_the_command_publishes_no_folder(make):
    with pytest.raises(UserError, match=r"--push: .* is a folder; publish it with hubkit publish"):
        evaluate(str(make(objective={})), push=True)
