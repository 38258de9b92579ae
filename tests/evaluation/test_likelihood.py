"""Likelihoods against a slow definition: every prefix goes through the model by itself."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.reading import ReadingSpec
from hubkit.data.tokens import tokenise
from hubkit.errors import UserError
from hubkit.evaluation import likelihood
from hubkit.evaluation.batching import by_length
from hubkit.evaluation.likelihood import count_tokens, measure, unigram_nats
from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM

from .small_models import PAIRS, PLAIN, TOKENIZER, sequences_of, tiny, tokenizer_of

torch.set_num_threads(1)
FIRST: Any = TOKENIZER.bos_token_id


def nats_of(model: Any, fed: list[int], first_asked: int = 1) -> float:
    """Return what the tokens from `first_asked` on cost, each predicted from its prefix alone."""
    total = 0.0
    for place in range(first_asked, len(fed)):
        logits = model(input_ids=torch.tensor([fed[:place]])).logits[0, -1].double()
        total -= float(logits.log_softmax(-1)[fed[place]])
    return total


def ids_of(text: str) -> list[int]:
    return TOKENIZER(text)["input_ids"]


@torch.no_grad()
@pytest.mark.parametrize("learn_after", [None, ","])
@pytest.mark.parametrize("direction", ["forward", "backward", "both"])
def test_it_is_the_sum_over_what_training_asks_for_in_its_order(direction, learn_after, tmp_path):
    spec = CausalSpec(direction=direction, learn_after=learn_after)
    tokenizer, rows = tokenizer_of(spec), PLAIN if direction == "both" else PAIRS
    vocabulary = tokenizer.get_vocab()
    model, objective, sequences = tiny(tokenizer), spec.make(tokenizer), sequences_of(rows, spec, tmp_path)
    for way in ("forward", "backward") if direction == "both" else (direction,):
        first = vocabulary[f"<|{way}|>"] if direction == "both" else vocabulary["{"]
        found = measure(model, objective, sequences, len(tokenizer), way=way)
        for row, text in enumerate(PLAIN):
            ids, after = [*tokenizer(text)["input_ids"], tokenizer.eos_token_id], text.index(",")
            asked = [learn_after is None or place > after for place in range(len(ids))]
            if way == "backward":
                ids, asked = ids[::-1], asked[::-1]
            fed, expected = [first, *ids], 0.0
            for place, is_asked in enumerate(asked, 1):
                expected += nats_of(model, fed[: place + 1], place) if is_asked else 0.0
            assert found.nats[row] == pytest.approx(expected, abs=1e-4)
            assert found.tokens[row] == sum(asked)
        assert found.asked.sum() == found.tokens.sum() and found.asked[first] == 0


@torch.no_grad()
def test_windows_that_keep_documents_apart_ask_for_each_by_itself(tmp_path):
    spec, reading = CausalSpec(), ReadingSpec(form="windows", length=9, isolate=True)
    model, objective = tiny(), spec.make(TOKENIZER)
    sequences = sequences_of(PAIRS, spec, tmp_path, reading)
    found = measure(model, objective, sequences, len(TOKENIZER))
    stream = [id for text in PAIRS for id in ids_of(text)]
    begin = {0, *np.cumsum([len(ids_of(text)) for text in PAIRS]).tolist()}
    for window in range(len(found.nats)):
        span = range(window * 9, window * 9 + 9)
        # A window begins with the token that begins texts; the first token of another document is not asked for.
        pieces: list[list[int]] = [[TOKENIZER.bos_token_id]]
        for place in span:
            if place in begin and place != span[0]:
                pieces.append([])
            pieces[-1].append(stream[place])
        assert found.nats[window] == pytest.approx(sum(nats_of(model, piece) for piece in pieces), abs=1e-4)
        assert found.tokens[window] == sum(len(piece) - 1 for piece in pieces)


@pytest.mark.parametrize("batch_tokens", [1, 20, 10_000])
@pytest.mark.parametrize("cell", ["minigpt", "gru"])
def test_batches_of_any_size_give_the_same(cell, batch_tokens, tmp_path):
    spec = CausalSpec(learn_after=",")
    torch.manual_seed(0)
    gru = RecurrentForCausalLM(RecurrentConfig(vocab_size=6, hidden_size=8, num_hidden_layers=1, cell="gru")).eval()
    model = tiny() if cell == "minigpt" else gru
    objective, sequences, heard = spec.make(TOKENIZER), sequences_of(PAIRS, spec, tmp_path), []
    alone = measure(model, objective, sequences, 6, batch_tokens=8)
    found = measure(
        model, objective, sequences, 6, batch_tokens=batch_tokens, progress=lambda *told: heard.append(told)
    )  # fmt: skip
    assert found.nats == pytest.approx(alone.nats, abs=1e-5)
    assert np.array_equal(found.tokens, alone.tokens) and np.array_equal(found.asked, alone.asked)
    assert heard[-1] == ("evaluating", len(PAIRS), len(PAIRS))
    again = measure(model, objective, sequences, 6, batch_tokens=batch_tokens)
    assert np.array_equal(again.nats, found.nats), "the same to the bit"


def test_a_limit_takes_the_first_sequences(tmp_path):
    spec = CausalSpec()
    model, objective, sequences = tiny(), spec.make(TOKENIZER), sequences_of(PAIRS, spec, tmp_path)
    whole, part = (measure(model, objective, sequences, 6, limit) for limit in (None, 3))
    assert part.nats == pytest.approx(whole.nats[:3], abs=1e-5) and len(part.nats) == 3


def test_a_large_vocabulary_makes_batches_small(tmp_path, monkeypatch):
    monkeypatch.setattr(likelihood, "BATCH_LOGITS", 6 * 20)
    spec, sizes = CausalSpec(), []
    model = tiny()
    model.register_forward_pre_hook(
        lambda module, args, kwargs: sizes.append(kwargs["input_ids"].shape), with_kwargs=True
    )
    measure(model, spec.make(TOKENIZER), sequences_of(PAIRS, spec, tmp_path), 6)
    assert len(sizes) > 1 and all(rows * length <= 20 for rows, length in sizes)


def test_a_sequence_beyond_the_context_is_refused(tmp_path):
    spec = CausalSpec()
    with pytest.raises(UserError, match=r"a sequence of 9 tokens is longer than the model reads \(6\); evaluate it on"):
        measure(tiny(block_size=6), spec.make(TOKENIZER), sequences_of(PAIRS, spec, tmp_path), 6)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 200))
def test_every_sequence_is_in_one_batch_that_is_not_too_large(lengths, batch_tokens):
    batches = list(by_length(np.array(lengths, np.int64), batch_tokens))
    assert sorted(number for batch in batches for number in batch.tolist()) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * max(lengths[number] for number in batch) <= batch_tokens
    ordered = [lengths[number] for batch in batches for number in batch]
    assert ordered == sorted(lengths, reverse=True)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from(["{A,AA}", "{B,B}", "{AB,AAB}", "{,}"]), min_size=1, max_size=12), st.integers(1, 9))
def test_the_baseline_counts_what_is_to_be_predicted(rows, chunk):
    folder = Path("unused")
    original, likelihood._CHUNK = likelihood._CHUNK, chunk
    try:
        for learn_after in (None, ","):
            framing = CausalSpec(learn_after=learn_after).make(TOKENIZER).framing
            split = tokenise(datasets.Dataset.from_dict({"text": rows}), "text", TOKENIZER, folder, framing)
            counts = count_tokens(split, 6, FIRST)
            asked = [text.partition(",")[2] if learn_after else text[1:] for text in rows]
            letters = Counter("".join(asked))
            assert {token: counts[id] for token, id in TOKENIZER.get_vocab().items() if counts[id]} == letters
        assert count_tokens(split, 6).sum() <= sum(map(len, rows))
    finally:
        likelihood._CHUNK = original


def test_the_baseline_is_that_of_a_computation_by_hand():
    counts, asked = np.array([3, 0, 1]), np.array([2, 1, 1])  # of 4 + 3 smoothed ones: 4/7, 1/7, 2/7
    expected = -(2 * math.log(4 / 7) + math.log(1 / 7) + math.log(2 / 7)) / 4
    assert unigram_nats(asked, counts) == pytest.approx(expected)
