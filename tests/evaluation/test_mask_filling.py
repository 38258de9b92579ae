"""The questions, the baselines and the scores, with models whose answers are known."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hubkit.errors import UserError
from hubkit.evaluation.guesses import guesses_from
from hubkit.evaluation.mask_filling import ask, ask_about_worlds
from hubkit.evaluation.metrics.mask_filling.scores import score
from hubkit.evaluation.worlds import DECIMALS, INTEGERS, MASK_ID, find_world
from hubkit.tokenizers.lorenz import VOCABULARY, lorenz_tokenizer

TOKENIZER = lorenz_tokenizer()
PAD = TOKENIZER.pad_token_id
TRAIN_SIGMAS = [8.13, 8.5, 7.25, 12.13, 8.13, 3.5]
TRAIN_MULTIPS = [4, 4, 1, 2, 1, 4]
GUESSES = guesses_from(TRAIN_SIGMAS, TRAIN_MULTIPS)


def world(sigma: str, multip: object = 4, data: str = "[1.5, -2.25]") -> str:
    return (
        f"{{'description': {{'num_sys': 1, 'sys0': {{'params': [{sigma}, 2.66, 25.0], 'init_point': [1.5, -2.25, 0.1], "
        f"'step_size': 700, 'name': 'lorenz', 'step_multip': {multip}}}}}, 'data': [{data}]}}"
    )


def ids(text: str) -> np.ndarray:
    return np.array(TOKENIZER(text)["input_ids"])


def spelled(row: np.ndarray) -> str:
    return "".join(VOCABULARY[id] for id in row)


class Fake:
    """A masked language model whose logits are given by a function of the row and of the number of the mask in it."""

    device = torch.device("cpu")

    def __init__(self, answers: Any, longest: int = 200):
        self.answers, self.read = answers, []
        self.config = SimpleNamespace(pad_token_id=PAD, max_position_embeddings=longest + PAD + 1)

    def __call__(self, tokens: torch.Tensor, attention_mask: torch.Tensor) -> SimpleNamespace:
        assert torch.equal(attention_mask.bool(), tokens != PAD)
        logits = torch.full((*tokens.shape, len(VOCABULARY)), -50.0)
        for number, row in enumerate(tokens.numpy()):
            self.read.append(spelled(row[row != PAD]))
            for mask, place in enumerate(np.flatnonzero(row == MASK_ID)):
                for id, logit in self.answers(row, place, mask).items():
                    logits[number, place, id] = logit
        return SimpleNamespace(logits=logits)


def oracle(texts: list[str]) -> Fake:
    """Return a model that knows the worlds by their data."""
    truths = {}
    for text in texts:
        found = find_world(ids(text))
        assert found
        truths[spelled(found.ids).partition("'data':")[2]] = found

    def answers(row: np.ndarray, place: int, mask: int) -> dict[int, float]:
        found = truths[spelled(row[row != PAD]).partition("'data':")[2]]
        if place == found.place + 2:
            return {VOCABULARY.index(found.truth.decimals): 9.0}
        return {int(found.ids[place]) if place != found.place else VOCABULARY.index(str(found.truth.integer)): 9.0}

    return Fake(answers)


def constant(integer: str, decimals: str, multip: str) -> Fake:
    """Return a model that always answers the same, and the same second best."""

    def answers(row: np.ndarray, place: int, mask: int) -> dict[int, float]:
        if VOCABULARY[row[place - 1]] == "'step_multip':":
            return {VOCABULARY.index(multip): 9.0}
        return {VOCABULARY.index(decimals if mask else integer): 9.0, VOCABULARY.index("7"): 5.0}

    return Fake(answers)


def test_sigma_and_step_multip_are_found_where_they_stand():
    found = find_world(ids(world("8.135", multip=16)))
    assert found is not None
    assert (found.truth.sigma, found.truth.integer, found.truth.decimals, found.truth.multip) == (8.135, 8, "135", 16)
    assert VOCABULARY[found.ids[found.place]] == "8" and VOCABULARY[found.ids[found.multip_place]] == "16"
    assert [VOCABULARY[id] for id in found.ids[found.place : found.end]] == ["8", ".", "13", "5"]


def test_it_is_the_first_system_that_is_asked_about():
    first, second = ("'params': [9.5, 1.0], 'step_multip': 2", "'params': [3.1, 1.0], 'step_multip': 8")
    found = find_world(ids(f"{{'description': {{'sys0': {{{first}}}, 'sys1': {{{second}}}}}}}"))
    assert found is not None and (found.truth.sigma, found.truth.multip) == (9.5, 2)


def test_the_questions_hide_what_they_ask_for():
    found = find_world(ids(world("12.135", multip=16)))
    assert found is not None
    assert "'params':[?.135,2.66,25.0]" in spelled(found.integer_masked())
    assert "'params':[?.?,2.66,25.0]" in spelled(found.number_masked())
    assert "12.135" in spelled(found.multip_masked()) and "'step_multip':?}" in spelled(found.multip_masked())
    for asked in (found.integer_masked(), found.multip_masked()):
        assert (asked == MASK_ID).sum() == 1 and len(asked) == len(found.ids)
    assert (found.number_masked() == MASK_ID).sum() == 2
    assert "12.135" in spelled(found.ids), "the world itself stays as it is"


@pytest.mark.parametrize(
    "text",
    ["{'data': [1.5]}", world("6e-05"), world("-8.1"), world("8"), world("100.5"), world("8.1", multip="-1"),
     "{'params': [8.1", "{'params':", "{'params': [8.1, 2.0], 'step_multip':", world("8.?"), world("?.13")],
)  # fmt: skip
def test_rows_that_pose_no_question_are_passed_over(text):
    assert find_world(ids(text)) is None


def test_an_oracle_scores_perfectly():
    texts = [
        world("8.13", 4, "[1.5]"),
        world("12.5", 1, "[2.5]"),
        world("3.25", 2, "[3.5, 0.5]"),
        world("0.75", 32, "[4.5]"),
    ]
    scores = ask_about_worlds(oracle(texts), TOKENIZER, texts, GUESSES)  # pyright: ignore
    for question in ("integer", "multip"):
        assert (scores[question]["top_1"], scores[question]["top_2"]) == (1.0, 1.0)
    assert scores["integer"]["rmse"] == scores["number"]["rmse"] == 0.0
    assert scores["integer"]["expected_rmse"] == pytest.approx(0, abs=1e-9)
    assert scores["number"]["expected_rmse"] == pytest.approx(0, abs=1e-9)
    assert (scores["rows"], scores["skipped"]) == (4, 0)


def test_a_model_that_answers_what_the_baseline_guesses_scores_like_it():
    sigmas = [8.5, 7.0, 9.25, 12.5, 8.0]
    texts = [world(str(sigma), multip) for sigma, multip in zip(sigmas, (4, 1, 4, 2, 8), strict=True)]
    guesses = guesses_from([7.9], [4])
    assert (guesses.mean, guesses.integers, guesses.multips) == (7.9, [7, 8], [4, 4])
    scores = ask_about_worlds(constant("7", "9", "4"), TOKENIZER, texts, guesses)  # pyright: ignore
    integer, number, multip = scores["integer"], scores["number"], scores["multip"]
    assert integer["top_1"] == integer["baseline_top_1"] == 1 / 5
    assert number["rmse"] == number["baseline_rmse"] == pytest.approx(math.sqrt(np.mean((np.array(sigmas) - 7.9) ** 2)))
    assert multip["top_1"] == multip["baseline_top_1"] == 2 / 5
    # The constant with the least RMSE is the mean of the integer parts, which here is 7.
    assert integer["rmse"] == integer["baseline_rmse"] == pytest.approx(math.sqrt((1 + 0 + 4 + 25 + 1) / 5))
    assert integer["expected_rmse"] == pytest.approx(integer["rmse"], abs=0.01)


def test_scores_are_those_of_a_computation_by_hand():
    def half(row, place, mask):
        return {VOCABULARY.index("4"): 1.0, VOCABULARY.index("2"): 1.0 + math.log(3)}

    texts = [world("4.2", 2), world("2.4", 4), world("9.5", 1)]
    scores = ask_about_worlds(Fake(half), TOKENIZER, texts, GUESSES)  # pyright: ignore
    # 2 with probability 3/4 and 4 with 1/4: the best answer is 2, the expected one 2.5; of whole numbers 2.2 and 2.75.
    assert scores["integer"]["top_1"] == 1 / 3 and scores["integer"]["top_2"] == 2 / 3
    assert scores["integer"]["rmse"] == pytest.approx(math.sqrt((4 + 0 + 49) / 3))
    assert scores["integer"]["expected_rmse"] == pytest.approx(math.sqrt((1.5**2 + 0.5**2 + 6.5**2) / 3))
    assert scores["number"]["rmse"] == pytest.approx(math.sqrt((2.0**2 + 0.2**2 + 7.3**2) / 3))
    assert scores["number"]["expected_rmse"] == pytest.approx(math.sqrt((1.45**2 + 0.35**2 + 6.75**2) / 3))
    assert scores["multip"]["top_1"] == 1 / 3 and scores["multip"]["top_2"] == 2 / 3


def test_the_baselines_know_the_training_split_alone():
    mean = sum(TRAIN_SIGMAS) / 6
    assert GUESSES.mean == pytest.approx(mean) and 7.9 < mean < 8
    assert GUESSES.integers == [7, 8], "the mean's integer, and the next nearest to the mean"
    assert GUESSES.integer_mean == pytest.approx((8 + 8 + 7 + 12 + 8 + 3) / 6)
    assert GUESSES.multips == [4, 1]
    assert guesses_from([8.2], [1]).integers == [8, 7]


def test_the_strong_baseline_looks_up_the_decimals():
    """`.13` was 8, 12 and 8; `.5` was 8 and 3, of which 8 is the more frequent overall; `.99` was never there."""
    assert GUESSES.given("13").best == [8, 12]
    assert 8 < GUESSES.given("13").mean < 28 / 3
    assert GUESSES.given("5").best == [8, 3]
    assert GUESSES.given("99").best == GUESSES.integers and GUESSES.given("99").mean == GUESSES.integer_mean
    texts = [world("12.13"), world("8.5"), world("3.5"), world("5.99")]
    integer = ask_about_worlds(constant("1", "1", "1"), TOKENIZER, texts, GUESSES)["integer"]  # pyright: ignore
    assert (integer["strong_baseline_top_1"], integer["strong_baseline_top_2"]) == (1 / 4, 3 / 4)
    assert integer["strong_baseline_rmse"] == pytest.approx(math.sqrt((16 + 0 + 25 + 4) / 4))


def test_rows_without_a_question_are_counted_and_a_split_without_any_is_refused():
    texts = [world("8.13", data="[1.5]"), "{'data': [1.5]}", world("6e-05")]
    scores = ask_about_worlds(oracle(texts[:1]), TOKENIZER, texts, GUESSES)  # pyright: ignore
    assert (scores["rows"], scores["skipped"]) == (1, 2)
    with pytest.raises(UserError, match="no row of the test split holds a Lorenz world"):
        ask_about_worlds(oracle(texts[:1]), TOKENIZER, texts[1:], GUESSES)  # pyright: ignore


def test_rows_that_the_model_can_not_read_are_refused():
    text = world("8.13")
    length = len(ids(text))
    ask_about_worlds(Fake(oracle([text]).answers, length), TOKENIZER, [text], GUESSES)  # pyright: ignore
    with pytest.raises(
        UserError, match=f"a world of {length} tokens is longer than the model reads \\({length - 1}\\)"
    ):
        ask_about_worlds(Fake(oracle([text]).answers, length - 1), TOKENIZER, [text], GUESSES)  # pyright: ignore


def test_another_tokenizer_is_refused():
    other = lorenz_tokenizer()
    other.add_tokens(["x"])
    with pytest.raises(UserError, match="not the Lorenz tokenizer"):
        ask_about_worlds(constant("1", "1", "1"), other, [world("8.1")], GUESSES)  # pyright: ignore


@pytest.mark.parametrize("batch_tokens", [1, 150, 100_000])
def test_batches_of_any_size_give_the_same_scores(batch_tokens):
    texts = [world(f"{n % 17}.{n}", 2, ", ".join(["[0.5]"] * (n % 7 + 1))) for n in range(1, 30)]
    models = [constant("7", "5", "2") for _ in range(2)]
    whole = ask_about_worlds(models[0], TOKENIZER, texts, GUESSES)  # pyright: ignore
    parts = ask_about_worlds(models[1], TOKENIZER, texts, GUESSES, batch_tokens)  # pyright: ignore
    for question in ("integer", "number", "multip"):
        assert parts[question] == pytest.approx(whole[question])
    assert sorted(models[1].read) == sorted(models[0].read) and len(models[1].read) == 3 * len(texts)


def test_progress_ends_at_the_number_of_rows():
    heard = []
    texts = [world(f"{n}.5", data="[1.5]") for n in range(5)]
    ask_about_worlds(
        constant("1", "1", "1"), TOKENIZER, texts, GUESSES, progress=lambda *told: heard.append(told)  # pyright: ignore
    )  # fmt: skip
    assert heard[-1] == ("evaluating", 5, 5)


def test_only_numbers_may_answer_and_their_probabilities_sum_to_one():
    comma = VOCABULARY.index(",")
    model = Fake(lambda row, place, mask: {comma: 99.0, VOCABULARY.index("05"): 3.0, VOCABULARY.index("5"): 2.0})
    found = find_world(ids(world("8.13")))
    assert found is not None
    whole, decimals = ask(model, [found.number_masked()], [INTEGERS, DECIMALS])  # pyright: ignore
    assert whole.sum() == decimals.sum() == pytest.approx(1)
    assert VOCABULARY[INTEGERS[whole[0].argmax()]] == "5", "an integer has no leading zero"
    assert VOCABULARY[DECIMALS[decimals[0].argmax()]] == "05", "decimals may"


def test_the_metric_counts_right():
    random = np.random.default_rng(0)
    guesses, truth = random.integers(0, 6, (50, 3)).tolist(), random.integers(0, 6, 50).tolist()
    pairs = list(zip(guesses, truth, strict=True))
    expected = {
        "top_1": sum(guess[0] == right for guess, right in pairs) / 50,
        "top_2": sum(right in guess[:2] for guess, right in pairs) / 50,
        "rmse": math.sqrt(sum((guess[0] - right) ** 2 for guess, right in pairs) / 50),
        "baseline_top_1": truth.count(2) / 50,
        "baseline_top_2": (truth.count(2) + truth.count(3)) / 50,
        "baseline_rmse": math.sqrt(sum((2.5 - right) ** 2 for right in truth) / 50),
    }
    assert score(guesses, truth, [2, 3], 2.5) == pytest.approx(expected)
