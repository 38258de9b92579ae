"""Recovering σ by the head for numbers, with models whose answers are known."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from hubkit.corpora.registry import find
from hubkit.errors import UserError
from hubkit.evaluation.guesses import guesses_from
from hubkit.evaluation.numeric import answer, find_sigma, recover_numbers
from hubkit.models.numeric_roberta import NumericRobertaSpec
from hubkit.models.numeric_roberta.numbers_numeric_roberta import Numbers
from hubkit.tokenizers.lorenz import lorenz_tokenizer
from hubkit.tokenizers.numeric import VOCABULARY, numeric_lorenz_tokenizer

TOKENIZER = numeric_lorenz_tokenizer()
NUMBERS = Numbers(TOKENIZER)
PAD, MASK = VOCABULARY.index("[PAD]"), VOCABULARY.index("?")
GUESSES = guesses_from([7.0, 9.0], [4, 4])


def world(sigma: str, data: str = "[1.5, -2.25]") -> str:
    return f"{{'description': {{'sys0': {{'params': [{sigma}, 2.66, 25.0]}}}}, 'data': [{data}]}}"


class Fake:
    """Answers at each mask what a function of the world's last number says."""

    device = torch.device("cpu")

    def __init__(self, rule, longest: int = 200):
        self.rule, self.shapes = rule, []
        self.config = SimpleNamespace(pad_token_id=PAD, max_position_embeddings=longest + PAD + 1)

    def __call__(self, input_ids, values, attention_mask):
        assert torch.equal(attention_mask.bool(), input_ids != PAD)
        assert (values[input_ids != NUMBERS.token_id] == 1).all()
        self.shapes.append(tuple(input_ids.shape))
        numbers = torch.full(input_ids.shape, math.nan)
        for row, ids in enumerate(input_ids):
            assert (ids == MASK).sum() == 1, "one number is hidden, and nothing else"
            last = values[row][ids == NUMBERS.token_id][-1]
            numbers[row, ids == MASK] = self.rule(float(last))
        return SimpleNamespace(numbers=numbers)


def test_sigma_is_hidden_where_it_stands():
    question = find_sigma(world("12.135"), NUMBERS)
    assert question is not None and question.sigma == 12.135
    assert NUMBERS.decode(question.ids.tolist(), question.values.tolist()) == world("?").replace(" ", "").replace(
        "25.0", "25"
    )
    assert question.ids[question.place] == MASK and question.values[question.place] == 1


@pytest.mark.parametrize("text", ["{'data': [1.5]}", "{'params': []}", "{'params':", "{'params': [", world("?")])
def test_rows_that_pose_no_question_are_passed_over(text):
    assert find_sigma(text, NUMBERS) is None


def test_it_is_the_first_system_that_is_asked_about():
    question = find_sigma("{'sys0': {'params': [9.5, 1]}, 'sys1': {'params': [3.1, 1]}}", NUMBERS)
    assert question is not None and question.sigma == 9.5


def test_an_oracle_scores_perfectly_and_rows_without_a_question_are_counted():
    texts = [world(str(sigma), f"[1.5, {sigma}]") for sigma in (8.5, 7.25, 12.125)] + ["{'data': [1]}"]
    scores = recover_numbers(Fake(lambda last: last), TOKENIZER, texts, GUESSES)  # pyright: ignore
    assert scores["number"]["rmse"] == 0.0 and (scores["rows"], scores["skipped"]) == (3, 1)
    assert scores["number"]["baseline_rmse"] == pytest.approx(math.sqrt((0.5**2 + 0.75**2 + 4.125**2) / 3))


def test_who_answers_the_mean_scores_like_the_baseline():
    texts = [world(str(sigma)) for sigma in (8.5, 7.25, 12.125)]
    number = recover_numbers(Fake(lambda last: 8.0), TOKENIZER, texts, GUESSES)["number"]  # pyright: ignore
    assert set(number) == {"rmse", "baseline_rmse"} and number["rmse"] == number["baseline_rmse"]


def test_worlds_of_similar_length_are_read_together():
    texts = [world("8.5", ", ".join(["[1.5]"] * (1 + 3 * (row % 2)))) for row in range(6)]
    fake, heard = Fake(lambda last: 8.0), []
    recover_numbers(fake, TOKENIZER, texts, GUESSES, batch_tokens=80, progress=lambda *news: heard.append(news))  # pyright: ignore
    assert sum(rows for rows, _ in fake.shapes) == 6
    assert [length for _, length in fake.shapes] == [35, 35, 23] and {len(NUMBERS.encode(t)[0]) for t in texts} == {
        23,
        35,
    }
    assert all(rows * length <= 80 for rows, length in fake.shapes) and max(fake.shapes)[0] > 1
    assert heard == [("evaluating", 6, 6)]


def test_a_real_model_answers_in_the_units_of_the_text():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = NumericRobertaSpec(hidden_size=16, intermediate_size=16, num_hidden_layers=1, num_attention_heads=2)
    model = shape.make(TOKENIZER, longest=140).eval()
    texts = find("lorenz-tiny").builder.block("test", 0, 5).rows["text"].to_pylist()
    questions = [question for text in texts if (question := find_sigma(text, NUMBERS))]
    together = answer(model, questions)
    with torch.inference_mode():
        for number, question in zip(together, questions, strict=True):
            batch = NUMBERS.batch([NUMBERS.decode(question.ids.tolist(), question.values.tolist())])
            assert model(**batch).numbers[0, question.place].item() == pytest.approx(number, rel=1e-4, abs=1e-6)
    last = model.number_head[-1]
    assert isinstance(last, torch.nn.Linear)
    last.bias.data.fill_(math.log1p(8.5))
    last.weight.data.zero_()
    assert answer(model, questions) == pytest.approx(np.full(5, 8.5), rel=1e-5)


def test_what_cannot_be_evaluated_is_refused():
    with pytest.raises(UserError, match="number_recovery: no row of the test split holds a Lorenz world with σ in it"):
        recover_numbers(Fake(lambda last: 0.0), TOKENIZER, ["{'data': [1]}"], GUESSES)  # pyright: ignore
    with pytest.raises(UserError, match=r"number_recovery: the model's tokenizer is not .* tokenizer=numeric-lorenz"):
        recover_numbers(Fake(lambda last: 0.0), lorenz_tokenizer(), [world("8.5")], GUESSES)  # pyright: ignore
    with pytest.raises(UserError, match=r"number_recovery: text: 'ab' is not in the vocabulary"):
        recover_numbers(Fake(lambda last: 0.0), TOKENIZER, ["ab"], GUESSES)  # pyright: ignore
    with pytest.raises(UserError, match=r"a world of \d+ tokens is longer than the model reads \(10\); evaluate it on"):
        recover_numbers(Fake(lambda last: 0.0, longest=10), TOKENIZER, [world("8.5")], GUESSES)  # pyright: ignore
