"""The arithmetic of the metrics against slow definitions, and their modules where there is no hubkit."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hubkit.evaluation.metrics
from hubkit.evaluation.metrics.exact_match import scores as exact_match
from hubkit.evaluation.metrics.mask_filling import scores as mask_filling
from hubkit.evaluation.metrics.perplexity import scores as perplexity

METRICS = Path(hubkit.evaluation.metrics.__file__).parent


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.floats(0, 9)), min_size=2, max_size=30))
def test_perplexity_is_that_of_a_computation_token_by_token(sequences):
    tokens = [nats for length, nats in sequences for _ in range(length)]
    found = perplexity.score(
        [length * nats for length, nats in sequences], [length for length, _ in sequences], text_bytes=7, baseline=2.0
    )
    mean = sum(tokens) / len(tokens)
    assert found["nll"] == pytest.approx(mean)
    assert found["perplexity"] == pytest.approx(math.prod(math.exp(nats / len(tokens)) for nats in tokens))
    assert found["bits_per_byte"] == pytest.approx(sum(nats / math.log(2) for nats in tokens) / 7)
    assert (found["sequences"], found["tokens"]) == (len(sequences), len(tokens))
    assert found["baseline_nll"] == 2.0 and found["baseline_perplexity"] == pytest.approx(math.exp(2))
    assert found["baseline_bits_per_byte"] == pytest.approx(2 * len(tokens) / math.log(2) / 7)
    for name in ("nll", "perplexity", "bits_per_byte"):
        assert found[f"{name}_low"] <= found[name] * (1 + 1e-12) and found[name] <= found[f"{name}_high"] * (1 + 1e-12)


def test_equal_sequences_leave_no_doubt_and_one_sequence_tells_none():
    equal = perplexity.score([3.0, 3.0, 3.0], [2, 2, 2])
    assert equal["nll_low"] == equal["nll"] == equal["nll_high"] == 1.5
    assert perplexity.score([3.0], [2]).keys() == {"sequences", "tokens", "nll", "perplexity"}


def test_the_interval_is_that_of_a_computation_by_hand():
    # nats 1, 4 of 1, 3 tokens: 1.25 a token; what is left is -.25 and .25, so the error is √(2/1 · .125) / 4 = .125.
    found = perplexity.score([1.0, 4.0], [1, 3])
    assert (found["nll_low"], found["nll_high"]) == pytest.approx((1.25 - 1.96 * 0.125, 1.25 + 1.96 * 0.125), abs=1e-5)


def test_the_interval_holds_the_truth_about_nineteen_times_of_twenty():
    random, hits = np.random.default_rng(0), 0
    for _ in range(600):
        tokens = random.integers(1, 30, 80)
        # Sequences differ, and long ones are easier: the mean over all tokens is 2 + 10 / (the mean length).
        nats = tokens * random.gamma(4, 0.5, 80) + 10
        found = perplexity.score(nats, tokens)
        hits += found["nll_low"] <= 2 + 10 / 15 <= found["nll_high"]
    assert 0.92 < hits / 600 < 0.975


@pytest.mark.parametrize(
    ("nats", "tokens", "message"),
    [
        ([], [], "there is no sequence, or one without a token"),
        ([1.0, 0.0], [2, 0], "there is no sequence, or one without a token"),
        ([1.0, math.nan], [2, 1], "nan is no log-likelihood; look for NaN in the model"),
        ([math.inf], [1], "inf is no log-likelihood"),
    ],
)
def test_what_is_no_likelihood_is_refused(nats, tokens, message):
    with pytest.raises(ValueError, match=message):
        perplexity.score(nats, tokens)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("ab"), st.integers(0, 40)), min_size=1, max_size=60))
def test_exact_match_counts_what_is_equal(rows):
    answers, rights, lengths = zip(*rows, strict=True)
    found = exact_match.score(answers, rights)
    hits = [answer == right for answer, right, _ in rows]
    assert found["exact_match"] == pytest.approx(np.mean(hits))
    assert found["exact_match"] + found["error_rate"] == pytest.approx(1)
    assert 0 <= found["exact_match_low"] <= found["exact_match"] <= found["exact_match_high"] <= 1
    assert found["error_rate_low"] == pytest.approx(1 - found["exact_match_high"])
    # Wilson's bounds p are those with (p̂ - p)² = z² p (1 - p) / n.
    for bound in (found["exact_match_low"], found["exact_match_high"]):
        left, right = (found["exact_match"] - bound) ** 2, exact_match.Z**2 * bound * (1 - bound) / len(rows)
        assert left == pytest.approx(right, abs=1e-12) or bound in (0.0, 1.0)
    table = exact_match.by_length(answers, rights, lengths)
    assert len(table) <= exact_match.MOST_LENGTHS and sum(line["rows"] for line in table) == len(rows)
    for line in table:
        inside = [hit for hit, length in zip(hits, lengths, strict=True) if line["from"] <= length <= line["to"]]
        assert line["rows"] == len(inside) and line["exact_match"] == pytest.approx(np.mean(inside))
    if len(set(lengths)) <= exact_match.MOST_LENGTHS:
        assert [line["from"] for line in table] == [line["to"] for line in table] == sorted(set(lengths))


def test_answers_are_compared_to_the_last_character():
    assert exact_match.score(["a ", "A", "a"], ["a", "a", "a"])["exact_match"] == 1 / 3


def test_as_many_answers_as_questions_are_needed():
    with pytest.raises(ValueError, match="1 answers to 2 questions; give one to each"):
        exact_match.score(["a"], ["a", "b"])
    with pytest.raises(ValueError, match="0 answers to 0 questions"):
        exact_match.score([], [])
    with pytest.raises(ValueError, match="1 of 2 questions; give one for each"):
        exact_match.by_length(["a", "b"], ["a", "b"], [1])


WITHOUT_HUBKIT = """
import json, sys
sys.modules["hubkit"] = None
import evaluate
folder, given = sys.argv[1], json.load(sys.stdin)
found = {}
for name, (inputs, further) in given.items():
    metric = evaluate.load(f"{folder}/{name}", keep_in_memory=True)
    found[name] = metric.compute(**inputs, **further)
    metric.add_batch(**{column: values[:2] for column, values in inputs.items()})
    for prediction, reference in zip(inputs["predictions"][2:], inputs["references"][2:]):
        metric.add(prediction=prediction, reference=reference)
    assert metric.compute(**further) == found[name], name
both = evaluate.combine([evaluate.load(f"{folder}/exact_match", keep_in_memory=True)])
found["combined"] = both.compute(**given["exact_match"][0])
print(json.dumps(found))
"""


def test_the_modules_load_by_path_without_hubkit_and_give_the_same_scores(tmp_path):
    given = {
        "perplexity": ({"predictions": [1.5, 2.5, 9.0], "references": [1, 2, 4]}, {"text_bytes": 9, "baseline": 2.0}),
        "exact_match": ({"predictions": ["a", "b", "c"], "references": ["a", "b", "d"]}, {"lengths": [1, 2, 2]}),
        "mask_filling": (
            {"predictions": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], "references": [1.0, 4.0, 7.0]},
            {"baseline": [4.0, 7.0], "baseline_guess": 5.0},
        ),
    }
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_HUBKIT, str(METRICS)], input=json.dumps(given), capture_output=True, text=True,
        cwd=tmp_path, timeout=200, env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    inputs, further = given["perplexity"]
    assert found["perplexity"] == pytest.approx(perplexity.score(*inputs.values(), **further))
    inputs, further = given["mask_filling"]
    assert found["mask_filling"] == pytest.approx(mask_filling.score(*inputs.values(), **further))
    (answers, rights), further = given["exact_match"][0].values(), given["exact_match"][1]
    expected = exact_match.score(answers, rights)
    assert found["combined"] == pytest.approx(expected)
    assert found["exact_match"] == expected | {"by_length": exact_match.by_length(answers, rights, **further)}
