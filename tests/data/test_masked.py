"""What is asked of a row: shares, labels, padding, focus."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hubkit.data.objectives.base import IGNORED
from hubkit.data.objectives.masked import FocusSpec, MaskedSpec, Masking
from hubkit.data.tokens import Sample
from hubkit.errors import UserError
from hubkit.randomness import Randoms
from hubkit.tokenizers.lorenz import VOCABULARY, lorenz_tokenizer

TOKENIZER = lorenz_tokenizer()
MASK, PAD, END = TOKENIZER.mask_token_id, TOKENIZER.pad_token_id, TOKENIZER.eos_token_id
ORDINARY = [id for id in range(len(VOCABULARY)) if id not in (MASK, PAD, END)]
PARAMS = VOCABULARY.index("'params':")

rows = st.lists(st.lists(st.sampled_from(ORDINARY), min_size=1, max_size=12), min_size=1, max_size=6)
probabilities = st.floats(0.01, 0.99)
shares = st.tuples(st.floats(0, 1), st.floats(0, 1)).filter(lambda pair: sum(pair) <= 1)


def batch(masking: Masking, lists: list[list[int]], seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    randoms = Randoms([(seed, row, 0) for row in range(len(lists))])
    made = masking.batch([Sample(np.array(row)) for row in lists], randoms)
    assert all(tensor.dtype == torch.int64 for tensor in made.values())
    attended = made.get("attention_mask", torch.ones_like(made["input_ids"]))
    assert "attention_mask" not in made or not attended.all(), "a mask that hides nothing is left out"
    return made["input_ids"].numpy(), attended.numpy(), made["labels"].numpy()


@given(rows=rows, probability=probabilities, shares=shares, seed=st.integers(0, 99))
@settings(max_examples=150, deadline=None)
def test_a_batch_holds_its_rows_and_asks_for_tokens_of_them_alone(rows, probability, shares, seed):
    masking = MaskedSpec(probability=probability, mask_share=shares[0], random_share=shares[1]).make(TOKENIZER)
    ids, present, labels = batch(masking, rows, seed)
    for number, row in enumerate(rows):
        there = present[number].astype(bool)
        assert there.sum() == len(row) and there[: len(row)].all()
        assert (ids[number, ~there] == PAD).all() and (labels[number, ~there] == IGNORED).all()
        asked = labels[number] != IGNORED
        assert asked.any()
        assert (labels[number, asked] == np.array(row)[asked[: len(row)]]).all()
        assert (ids[number, there & ~asked] == np.array(row)[~asked[: len(row)]]).all()
    assert not np.isin(ids[present.astype(bool)], [PAD, END]).any(), (
        "a padding token inside a row would shift positions"
    )


@given(rows=rows, seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_same_generators_ask_the_same_and_company_changes_nothing(rows, seed):
    masking = MaskedSpec(probability=0.4).make(TOKENIZER)
    together = batch(masking, rows, seed)
    assert all((a == b).all() for a, b in zip(together, batch(masking, rows, seed), strict=True))
    for number, row in enumerate(rows):
        alone = masking.batch([Sample(np.array(row))], Randoms([(seed, number, 0)]))
        for name, whole in (("input_ids", together[0]), ("labels", together[2])):
            assert (alone[name].numpy()[0] == whole[number, : len(row)]).all()


def test_other_generators_ask_something_else():
    masking, row = MaskedSpec(probability=0.5).make(TOKENIZER), [list(range(10)) * 4]
    assert (batch(masking, row, 0)[2] != batch(masking, row, 1)[2]).any()


def test_shares_are_met_on_many_tokens():
    masking = MaskedSpec(probability=0.2, mask_share=0.7, random_share=0.2).make(TOKENIZER)
    lists = np.random.default_rng(0).choice(ORDINARY, (200, 500)).tolist()
    ids, _, labels = batch(masking, lists)
    truth, asked = np.array(lists), labels != IGNORED
    # 100,000 tokens and 20,000 asked ones: four standard deviations are 0.005 and 0.013.
    assert abs(asked.mean() - 0.2) < 0.005
    masked = (ids == MASK)[asked]
    kept = (ids == truth)[asked]
    assert abs(masked.mean() - 0.7) < 0.013
    # A random token is the true one in 1 of 139 cases.
    assert abs(kept.mean() - (0.1 + 0.2 / len(ORDINARY))) < 0.013
    replaced = ids[asked & (ids != MASK) & (ids != truth)]
    assert set(replaced.tolist()) == set(ORDINARY), "any ordinary token may come, and no other"


def test_special_tokens_are_asked_for_only_where_a_row_has_no_others():
    masking = MaskedSpec(probability=0.99).make(TOKENIZER)
    _, _, labels = batch(masking, [[5, END, 6, MASK, 7], [END, END]])
    assert (labels[0, [1, 3]] == IGNORED).all()
    assert (labels[1] != IGNORED).sum() == 1


def test_focus_asks_where_it_says_and_not_elsewhere():
    focus = FocusSpec(after="'params':", skip=1, tokens=2, probability=1.0)
    masking = MaskedSpec(probability=1e-9, mask_share=1.0, random_share=0.0, focus=(focus,)).make(TOKENIZER)
    row = [10, PARAMS, 12, 8, 15, 40, 9, PARAMS, 12, 7]
    ids, _, labels = batch(masking, [row, row[:5]])
    assert np.flatnonzero(labels[0] != IGNORED).tolist() == [3, 4, 9], "also at the second key, up to the row's end"
    assert np.flatnonzero(labels[1] != IGNORED).tolist() == [3, 4]
    assert (ids[labels != IGNORED] == MASK).all()


def test_with_probability_0_only_the_focus_is_asked_for():
    focus = FocusSpec(after="'params':", tokens=2, probability=0.3)
    masking = MaskedSpec(probability=0, focus=(focus,)).make(TOKENIZER)
    _, _, labels = batch(masking, [[1, 2, PARAMS, 3, 4, 5]] * 500)
    asked = labels != IGNORED
    # Where chance asks for neither of the two, one of them is asked all the same.
    assert not asked[:, [0, 1, 2, 5]].any() and asked.any(axis=1).all()
    assert abs((asked.sum(axis=1) == 2).mean() - 0.3**2) < 4 * (0.09 * 0.91 / 500) ** 0.5
    _, _, without = batch(masking, [[*ORDINARY[:2], END]] * 50)
    assert (without[:, 2] == IGNORED).all() and ((without != IGNORED).sum(axis=1) == 1).all(), "the key is not in them"


def test_probability_0_without_a_focus_is_refused():
    with pytest.raises(ValidationError, match="probability: 0 asks for nothing where there is no focus; raise it, or"):
        MaskedSpec(probability=0)


def test_the_later_focus_counts_and_a_share_below_one_is_met():
    wide = FocusSpec(after="'params':", tokens=4, probability=1.0)
    narrow = FocusSpec(after="'params':", tokens=1, probability=0.5)
    masking = MaskedSpec(probability=1e-9, focus=(wide, narrow)).make(TOKENIZER)
    _, _, labels = batch(masking, [[PARAMS, 1, 2, 3, 4, 5]] * 2000)
    asked = (labels != IGNORED).mean(axis=0)
    assert (asked[[0, 5]] == 0).all() and (asked[2:5] == 1).all()
    assert abs(asked[1] - 0.5) < 4 * (0.25 / 2000) ** 0.5


def test_an_unknown_key_and_a_tokenizer_without_a_mask_are_refused():
    focus = FocusSpec(after="'sigma':", tokens=1, probability=0.5)
    with pytest.raises(UserError, match=r"objective\.focus\.after: \"'sigma':\" is not a token of the vocabulary"):
        MaskedSpec(focus=(focus,)).make(TOKENIZER)
    without = lorenz_tokenizer()
    without.mask_token = None
    with pytest.raises(UserError, match="needs a tokenizer with a mask token"):
        MaskedSpec().make(without)


def test_shares_that_sum_to_more_than_one_are_refused():
    with pytest.raises(ValidationError, match=r"mask_share 0\.9 and random_share 0\.2 sum to more than 1; lower one"):
        MaskedSpec(mask_share=0.9, random_share=0.2)
    for hundredths in range(101):
        MaskedSpec(mask_share=hundredths / 100, random_share=(100 - hundredths) / 100)
