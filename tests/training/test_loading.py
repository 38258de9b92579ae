"""All that a run reads, from recipes of data on this machine."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from hubkit.corpora.build import build
from hubkit.corpora.manifest import read_manifest
from hubkit.corpora.registry import find
from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.tokens import Sample
from hubkit.errors import UserError
from hubkit.randomness import Randoms
from hubkit.tokenizers.bpe import train_bpe
from hubkit.training.loading import Data, find_pins, load_data
from hubkit.training.recipe import Recipe

TOKENIZER = train_bpe([f"w{number}" for number in range(60)], 300)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Return a folder with a corpus in `built` and tokens in `flat.h5`."""
    folder = tmp_path_factory.mktemp("data")
    lines = (json.dumps({"text": f"w{number} w{number} here"}) for number in range(60))
    (folder / "texts.jsonl").write_text("".join(f"{line}\n" for line in lines))
    build(find("text", [f"files={folder / 'texts.jsonl'}"]), folder / "built", workers=1, overlap=False)
    with h5py.File(folder / "flat.h5", "w") as file:
        file["tokens"] = np.arange(5000) % 256
    return folder


def recipe(folder: Path, *overrides: str) -> Recipe:
    values = {
        "name": "small",
        "tokenizer": "lorenz",  # the tests hand their own over
        "dataset": {"folder": str(folder / "built"), "held_out": 0.1},
        "model": {"architecture": "minigpt"},
        "objective": {"name": "causal"},
        "reading": {"form": "windows", "length": 8},
        "training": {"steps": 5, "batch_size": 4, "learning_rate": 1e-3},
    }
    return Recipe.build(values, [f"output={folder / 'run'}", *overrides])


def loaded(made: Recipe) -> Data:
    return load_data(made, TOKENIZER, find_pins(made))


def test_the_parts_of_a_corpus_are_read_and_counted(folder):
    made = recipe(folder)
    pins, data = find_pins(made), loaded(made)
    assert len(pins.revisions) == 1 and len(pins.revisions["dataset"]) == 64
    (rows,), written = data.rows, read_manifest(folder / "built").splits["train"].rows
    assert list(rows) == ["train", "validation", "test"] and sum(rows.values()) == written
    assert 0 < rows["validation"] < 20 and 0 < rows["test"] < 20
    assert data.longest == 8 and [source.name for source in data.training] == ["built train"]
    assert list(data.validation) == ["validation"]


def test_a_mixture_has_the_training_rows_of_each_and_other_validation_sets_have_names(folder):
    tokens = f"{{tokens: {folder / 'flat.h5'}, ratio: 3}}"
    data = loaded(recipe(folder, f"mix=[{tokens}]", f"also_evaluate={{flat: {tokens}}}"))
    assert [(source.name, source.ratio) for source in data.training] == [("built train", 1.0), ("flat.h5 train", 3.0)]
    assert data.rows[1] == {"train": 1}
    assert list(data.validation) == ["validation", "flat"]
    assert len(data.training[1].sequences) == 4900 // 8 and len(data.validation["flat"]) == 50 // 8
    assert data.validation["flat"][0].ids.tolist() == [place % 256 for place in range(4900, 4908)]


def test_rows_are_as_long_as_the_longest_of_any_split(folder):
    data = loaded(recipe(folder, "reading={form: rows}"))
    lengths = [len(ids) + 1 for ids in TOKENIZER([f"w{n} w{n} here" for n in range(60)])["input_ids"]]
    assert data.longest == max(lengths), "the end of the text, which each row got, included"


def test_a_file_of_tokens_has_no_rows(folder):
    with pytest.raises(UserError, match=r"reading\.form: a file of tokens is one long row; set form to windows"):
        loaded(recipe(folder, f"dataset={{tokens: {folder / 'flat.h5'}}}", "reading={form: rows}"))


def test_the_identity_of_a_run_hangs_on_what_is_read_and_not_on_where_it_lies(folder, tmp_path):
    made = recipe(folder)
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "built"
    moved.symlink_to(folder / "built")
    other = recipe(folder, f"dataset.folder={moved}")
    assert made.identity(find_pins(made).revisions) == other.identity(find_pins(other).revisions)
    assert recipe(folder, "dataset.held_out=0.2").identity({}) != made.identity({})
    assert made.published()["dataset"]["folder"] == "built"
    assert made.published()["dataset"]["held_out"] == 0.1, "the recipe says what was kept from training"


def test_of_a_dataset_without_marks_every_token_is_asked_for(folder):
    marks = "objective={name: causal, learn: marked}"
    with pytest.raises(UserError, match="'loss'"):
        loaded(recipe(folder, marks))
    data = loaded(recipe(folder, marks, "dataset.marked=false"))
    assert data.training[0].sequences[0].learnt is None


def test_a_mixture_of_marked_and_unmarked_windows_keeps_the_marks():
    samples = [Sample(np.arange(5)), Sample(np.arange(5), np.array([1, 0, 0, 1, 1], np.uint8))]
    objective = CausalSpec(learn="marked").make(TOKENIZER)
    labels = objective.batch(samples, Randoms([(1, 0, 0), (1, 1, 0)]))["labels"].tolist()
    begin = [] if objective.more else [0]
    assert labels == [[*begin, 1, 2, 3, 4], [*begin, -100, -100, 3, 4]]
