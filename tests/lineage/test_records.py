"""What records and cards say was used, of whatever form they are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.lineage.records import Use, facts, measured, uses

A, B = "a" * 40, "b" * 40
RUN = {
    "architecture": "minigpt",
    "datasets": [{"repo": "lab/letters", "revision": A, "release": "v1.0.0"}, {"path": "mine", "sha256": "c" * 64}],
    "also_evaluate": {
        "prose": {"repo": "lab/prose", "revision": B, "release": None},
        "mine": {"path": "ours", "sha256": "c" * 64},
    },
    "tokenizer": {"name": "lab/bpe", "revision": B, "sha256": "d" * 64},
    "init_from": {"repo": "lab/base", "revision": B},
    "code": {"hubkit": "0.1.0", "commit": A, "modified": True},
    "training": {"steps": 1500},
}

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(["lab/x", A]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
NAMES = (
    "datasets", "also_evaluate", "repo", "revision", "path", "sha256", "tokenizer", "name", "init_from", "facts",
    "corpus", "sources", "models", "base_model", "source_datasets", "preload_from_hub", "model-index", "results",
    "metrics", "dataset", "task", "value", "training", "steps", "code", "hubkit", "splits", "rows",
    "architecture", "type",
)  # fmt: skip
SHAPED = st.recursive(
    JSON, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner | st.lists(inner, max_size=2)), max_leaves=12
)


def test_a_model_names_its_data_its_tokenizer_and_its_first_weights():
    assert uses("model", {"datasets": ["lab/letters", "lab/more"], "base_model": "lab/base"}, {"run.json": RUN}) == (
        Use("trained on", "dataset", "lab/letters", A),
        Use("trained on", "files", "mine", "c" * 64),
        Use("evaluated on", "dataset", "lab/prose", B),
        Use("evaluated on", "files", "ours", "c" * 64),
        Use("tokenised by", "model", "lab/bpe", B),
        Use("initialised from", "model", "lab/base", B),
        Use("trained on", "dataset", "lab/more"),
    )
    assert facts("model", {"run.json": RUN}) == (
        "minigpt",
        "1,500 steps",
        "hubkit 0.1.0 at aaaaaaaaaaaa, modified since",
    )


@pytest.mark.parametrize(
    ("relation", "said"),
    [("adapter", "adapter of"), ("quantized", "quantised from"), ("merge", "merged from"), (None, "based on")],
)
def test_a_card_alone_names_repositories_without_commits(relation, said):
    card = {"datasets": "lab/letters", "base_model": ["lab/base"], "base_model_relation": relation}
    assert uses("model", card, {}) == (
        Use("trained on", "dataset", "lab/letters"),
        Use(said, "model", "lab/base"),
    )


def test_a_tag_names_a_tokenizer_without_a_commit():
    tags = ["mine", "tokenizer", "tokenizer:lab/bpe", "tokenizer:bpe", 7]
    for kind in ("model", "dataset"):
        assert uses(kind, {"tags": tags}, {}) == (Use("tokenised by", "model", "lab/bpe"),)
    pinned = Use("tokenised by", "model", "lab/bpe", B)
    assert pinned in uses("model", {"tags": tags}, {"run.json": RUN})
    assert Use("tokenised by", "model", "lab/bpe") not in uses("model", {"tags": tags}, {"run.json": RUN})


def test_a_dataset_names_another_at_its_commit_or_the_files_it_was_read_from():
    tokens = {"facts": {"corpus": f"lab/letters@{A}", "tokenizer": f"lab/bpe@{B}"}, "sources": [{"name": "corpus/x"}]}
    assert uses("dataset", {"source_datasets": ["original", "lab/older"]}, {"corpus.json": tokens}) == (
        Use("made from", "dataset", "lab/letters", A),
        Use("tokenised by", "model", "lab/bpe", B),
        Use("made from", "dataset", "lab/older"),
    )
    read = {"facts": {}, "tokenizer": "lorenz", "sources": [{"name": "a.jsonl", "sha256": "e" * 64}]}
    assert uses("dataset", {}, {"corpus.json": read}) == (Use("read from", "files", "a.jsonl", "e" * 64),)
    many = {"sources": [{"name": str(number)} for number in range(1200)]}
    assert uses("dataset", {}, {"corpus.json": many}) == (Use("read from", "files", "1,200 files"),)


def test_a_space_is_pinned_by_its_record_or_by_what_it_preloads():
    space = {"models": [{"repo": "lab/m", "revision": A}], "datasets": []}
    card = {"models": ["lab/m", "lab/other"], "preload_from_hub": [f"lab/other config.json {B}", "lab/m"]}
    assert uses("space", card, {"space.json": space}) == (
        Use("shows", "model", "lab/m", A),
        Use("shows", "model", "lab/other", B),
    )


def test_evaluations_come_from_their_file_or_else_from_the_card():
    index = [{"name": "m", "results": [{
        "task": {"type": "fill-mask"}, "dataset": {"type": "lab/letters", "revision": A, "split": "test"},
        "metrics": [{"type": "accuracy", "value": 0.5}, {"type": "words", "value": "many"}],
    }]}]  # fmt: skip
    (one,) = measured({"model-index": index}, {})
    assert (one.repo, one.revision, one.metrics) == ("lab/letters", A, ("fill-mask: accuracy 0.5",))
    assert one.name == f"on lab/letters@{A[:12]} test"
    data = {"repo": "lab/more", "split": "train"}
    file = {"results": [{"task": {"name": "Guess"}, "dataset": data, "metrics": [{"name": "hits", "value": 3}]}] * 2}
    (other,) = measured({"model-index": index}, {"evaluation.json": file})
    assert (other.repo, other.metrics) == ("lab/more", ("Guess: hits 3", "Guess: hits 3"))


@settings(deadline=None)
@given(kind=st.sampled_from(["model", "dataset", "space"]), card=SHAPED, record=SHAPED)
def test_nothing_that_somebody_wrote_breaks_it(kind, card, record):
    records = dict.fromkeys(("run.json", "corpus.json", "space.json", "evaluation.json"), record)
    for use in uses(kind, card, records):
        assert use.name and isinstance(use.revision, str | None)
        assert not use.is_repository or use.name.count("/") == 1
    assert all(isinstance(text, str) for text in facts(kind, records))
    assert all(one.repo for one in measured(card, records))
