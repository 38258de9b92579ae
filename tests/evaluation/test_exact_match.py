"""Questions, answers and their scores: with rules that are known, and against transformers' own generation."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from hubkit.data.objectives.causal import CausalSpec
from hubkit.errors import UserError
from hubkit.evaluation.answering import Question, answers, greedy, questions
from hubkit.evaluation.exact_match import Answered, _baseline, _failures
from hubkit.models.gpt_neox import GPTNeoXSpec
from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM

from .small_models import PAIRS, PLAIN, TOKENIZER, sequences_of, tiny, tokenizer_of

torch.set_num_threads(1)
STOP: Any = TOKENIZER.eos_token_id
AFTER = CausalSpec(learn_after=",")


def ids_of(text: str) -> np.ndarray:
    return np.array(TOKENIZER(text)["input_ids"])


class Rule:
    """A model that answers by a rule; as a real one it is fed a token at a time, or all where it has no cache."""

    device = torch.device("cpu")

    def __init__(self, rule: Any, cached: bool = True, block_size: int = 32):
        self.rule, self.cached, self.fed = rule, cached, []
        self.config = SimpleNamespace(block_size=block_size)

    def __call__(self, input_ids: torch.Tensor, past_key_values: Any, use_cache: bool, logits_to_keep: int) -> Any:
        self.fed.append(tuple(input_ids.shape))
        before = past_key_values if past_key_values is not None else input_ids[:, :0]
        read = torch.cat([before, input_ids], 1)
        logits = torch.zeros(len(read), 1, len(TOKENIZER))
        for row, text in enumerate(TOKENIZER.batch_decode(read.tolist())):
            given, _, written = text.removeprefix("{").partition(",")
            answer = f"{self.rule(given)}{'}' * 9}"
            logits[row, 0, ids_of(answer)[len(written)]] = 1.0
        return SimpleNamespace(logits=logits, past_key_values=read if self.cached else None)


def double_a(text: str) -> str:
    return text.replace("A", "AA")


def test_what_is_given_ends_with_the_separator_and_the_rest_is_asked_for(tmp_path):
    asked, skipped = questions(AFTER.make(TOKENIZER), sequences_of(PAIRS, AFTER, tmp_path))
    assert skipped == 0
    for question, text in zip(asked, PAIRS, strict=True):
        given, _, rest = text.partition(",")
        assert TOKENIZER.decode(question.prompt) == f"{given}," and TOKENIZER.decode(question.answer) == rest


def test_a_model_of_both_directions_is_asked_forward(tmp_path):
    spec = CausalSpec(direction="both", learn_after=",")
    tokenizer = tokenizer_of(spec)
    asked, skipped = questions(spec.make(tokenizer), sequences_of(PLAIN, spec, tmp_path))
    assert skipped == 0
    for question, text in zip(asked, PLAIN, strict=True):
        given, _, rest = text.partition(",")
        assert tokenizer.decode(question.prompt) == f"<|forward|>{given},"
        assert tokenizer.decode(question.answer) == f"{rest}<end>"


def test_of_marked_rows_those_with_one_piece_are_asked(tmp_path):
    spec = CausalSpec(learn="marked")
    rows, loss = ["{AB,AAB}"] * 4, [[], [4, 8], [2, 4], [1, 2, 5, 8]]
    asked, skipped = questions(spec.make(TOKENIZER), sequences_of(rows, spec, tmp_path, loss=loss))
    pieces = [(TOKENIZER.decode(question.prompt), TOKENIZER.decode(question.answer)) for question in asked]
    assert pieces == [("{AB,", "AAB}"), ("{A", "B,")] and skipped == 2


def test_a_limit_takes_the_first_rows(tmp_path):
    objective, sequences = AFTER.make(TOKENIZER), sequences_of(PAIRS, AFTER, tmp_path)
    asked, skipped = questions(objective, sequences, 3)
    assert len(asked) == 3 and skipped == 0


@pytest.mark.parametrize("batch_tokens", [1, 30, 10_000])
@pytest.mark.parametrize("cached", [True, False])
def test_who_knows_the_rule_answers_everything(cached, batch_tokens, tmp_path):
    asked, _ = questions(AFTER.make(TOKENIZER), sequences_of(PAIRS, AFTER, tmp_path))
    heard, model = [], Rule(double_a, cached)
    written = answers(model, asked, STOP, batch_tokens, lambda *told: heard.append(told))  # pyright: ignore
    assert [row.tolist() for row in written] == [question.answer.tolist() for question in asked]
    assert heard[-1] == ("evaluating", len(asked), len(asked))
    if batch_tokens == 10_000 and cached:
        # The prompts of one length go together; after them one token of each at a time, until all have stopped.
        assert model.fed[0] == (1, 5) and (3, 4) in model.fed and (3, 1) in model.fed


def test_an_answer_ends_at_its_first_stop_token_or_at_the_longest_right_answer():
    asked = [Question(ids_of("{A,"), ids_of("AA}")), Question(ids_of("{BBB,"), ids_of("BBB}"))]
    short, endless = Rule(lambda text: ""), Rule(lambda text: "A" * 50)
    assert [TOKENIZER.decode(row) for row in answers(short, asked, STOP)] == ["}", "}"]  # pyright: ignore
    assert [TOKENIZER.decode(row) for row in answers(endless, asked, STOP)] == ["AAAA", "AAAA"]  # pyright: ignore


def test_without_a_stop_token_an_answer_is_as_long_as_the_right_one():
    asked = [Question(ids_of("{A,"), ids_of("AA")), Question(ids_of("{BBB,"), ids_of("BBB"))]
    written = answers(Rule(double_a), asked, None)  # pyright: ignore
    assert [TOKENIZER.decode(row) for row in written] == ["AA", "BBB"]


def test_rows_beyond_the_context_are_refused_and_no_answer_goes_beyond_it():
    asked = [Question(ids_of("{A,"), ids_of("AA}")), Question(ids_of("{BBBB,"), ids_of("BB}"))]
    endless = lambda text: "A" * 50  # noqa: E731
    with pytest.raises(
        UserError, match=r"exact_match: a row of 8 tokens is longer than the model reads \(7\); evaluate"
    ):
        answers(Rule(endless, block_size=7), asked, STOP)  # pyright: ignore
    tight = [Question(ids_of("{A,"), ids_of("AABAA}")), asked[1]]
    written = answers(Rule(endless, block_size=8), tight, STOP)  # pyright: ignore
    assert [len(row) for row in written] == [6, 3], "the last token is written and not read"


MODELS = {
    "minigpt": lambda: tiny(),
    "gru": lambda: RecurrentForCausalLM(
        RecurrentConfig(vocab_size=6, hidden_size=16, num_hidden_layers=1, cell="gru", initializer_range=0.5)
    ),
    "gpt_neox": lambda: GPTNeoXSpec(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32, initializer_range=0.5
    ).make(TOKENIZER, 32),
}


@pytest.mark.parametrize("name", sorted(MODELS))
def test_greedy_writes_what_generate_writes(name):
    torch.manual_seed(1)
    model = MODELS[name]().eval()
    prompts = np.random.default_rng(0).integers(0, 2, (12, 5))
    found = greedy(model, prompts, 10, STOP)
    expected = model.generate(
        torch.from_numpy(prompts), attention_mask=torch.ones(prompts.shape, dtype=torch.long), max_new_tokens=10,
        do_sample=False, eos_token_id=STOP, pad_token_id=TOKENIZER.pad_token_id,
    )[:, 5:].numpy()  # fmt: skip
    assert found.shape[1] == expected.shape[1]
    different = set()
    for one, other in zip(found.tolist(), expected.tolist(), strict=True):
        end = one.index(STOP) + 1 if STOP in one else len(one)
        assert one[:end] == other[:end]
        different.add(tuple(one[:end]))
    assert len(different) > 1, "these models say more than one thing"


def test_a_token_at_a_time_is_what_the_whole_text_gives():
    model, prompts = tiny(seed=3), np.random.default_rng(1).integers(0, 2, (6, 4))
    found, ids = greedy(model, prompts, 8, None), torch.from_numpy(prompts)
    with torch.inference_mode():
        for _ in range(8):
            ids = torch.cat([ids, model(input_ids=ids).logits[:, -1].argmax(-1)[:, None]], 1)
    assert np.array_equal(found, ids[:, 4:].numpy())


def answered(*pairs: tuple[str, str, str]) -> list[Answered]:
    return [Answered(given, len(given), right, written) for given, right, written in pairs]


def test_the_baseline_is_the_better_of_copying_and_the_commonest_answer():
    copied = answered(("A", "A}", "B}"), ("B", "B}", "B}"), ("AB", "BA}", "B}"))
    assert _baseline(copied, "}") == ("copies the input", 2 / 3)
    common = answered(("A", "BB}", "B}"), ("B", "BB}", "B}"), ("AB", "AB}", "B}"))
    assert _baseline(common, "}") == ("always writes 'BB'", 2 / 3)


def test_failures_are_the_first_ten_different_ones_and_say_whether_they_end():
    rows = answered(("A", "AA}", "AA}"), ("B", "B}", "BBB"), ("B", "B}", "BBB"), ("AB", "AAB}", "AB}"))
    expected = [
        {"input": "B", "expected": "B", "got": "BBB", "ended": False},
        {"input": "AB", "expected": "AAB", "got": "AB", "ended": True},
    ]
    assert _failures(rows, "}") == expected
    many = answered(*((f"{number}", "x}", "y}") for number in range(30)))
    assert [failure["input"] for failure in _failures(many, "}")] == [str(number) for number in range(10)]
    # Of text that ends without a token, every answer has ended.
    assert _failures(answered(("a", "x", "y")), "")[0]["ended"]
