"""Batches: which sequences are read, in which order, by which process."""

import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from hubkit.data.batches import Batches, HeldOut, Source
from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.objectives.masked import MaskedSpec
from hubkit.errors import UserError
from hubkit.tokenizers.lorenz import lorenz_tokenizer

from .rows import ASK_ALL, FIRST, TOKENIZER, Rows, whole

ASK_SOME = MaskedSpec(probability=0.3).make(TOKENIZER)


def batches(lengths, size=4, seed=0, objective=ASK_ALL, pool=3, rank=0, processes=1, micro=None) -> Batches:
    return Batches([Source("rows", Rows(lengths))], objective, size, seed, pool, rank, processes, micro)


def rows_of(batch: dict[str, torch.Tensor]) -> list[int]:
    return (batch["labels"][:, 0] - FIRST).tolist()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def attended(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return where tokens are; a batch without padding does not say."""
    return batch.get("attention_mask", torch.ones_like(batch["input_ids"]))


def padding(made: Batches) -> int:
    return sum(int((attended(whole(made, step)) == 0).sum()) for step in range(len(made)))


lengths = st.lists(st.integers(1, 9), min_size=4, max_size=60)


@given(lengths=lengths, size=st.integers(1, 4), seed=st.integers(0, 2**40), pool=st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_each_epoch_is_a_permutation_without_repeats(lengths, size, seed, pool):
    made = batches(lengths, size, seed, pool=pool)
    for epoch in range(3):
        steps = range(epoch * len(made), (epoch + 1) * len(made))
        seen = [row for step in steps for row in rows_of(whole(made, step))]
        assert len(seen) == len(set(seen)) == len(lengths) // size * size
        assert sum(made.tokens(step) for step in steps) == sum(lengths[row] for row in seen)


def test_epochs_and_seeds_have_orders_of_their_own():
    def order(seed: int, start: int) -> list[int]:
        made = batches([5] * 60, seed=seed)
        return [row for step in range(start, start + 15) for row in rows_of(whole(made, step))]

    orders = [list(range(60)), order(0, 0), order(0, 15), order(1, 0)]
    assert all(sorted(one) == orders[0] for one in orders)
    assert len({tuple(one) for one in orders}) == 4


def test_the_order_is_this_one():
    made = batches([1, 2, 3, 4, 5, 6, 7, 8], 2, seed=7, pool=2)
    assert [rows_of(whole(made, step)) for step in range(6)] == [[3, 4], [2, 7], [0, 1], [5, 6], [3, 7], [0, 1]]


@given(lengths=lengths, steps=st.lists(st.integers(0, 40), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_a_function_of_seed_and_step_in_any_order_of_reading(lengths, steps):
    made = batches(lengths, objective=ASK_SOME)
    read = {step: whole(made, step) for step in steps}
    for step in sorted(steps, reverse=True):
        assert same(whole(batches(lengths, objective=ASK_SOME), step), read[step])


def test_loader_workers_give_the_same_batches():
    made = batches([3, 1, 4, 1, 5, 9, 2, 6] * 5, objective=ASK_SOME)
    steps = range(3, 17)
    with_workers = DataLoader(made, batch_size=None, sampler=steps, num_workers=2)
    for step, (batch,) in zip(steps, with_workers, strict=True):
        assert same(batch, whole(made, step))


@pytest.mark.parametrize(
    "objective", [ASK_SOME, CausalSpec(direction="backward").make(TOKENIZER)], ids=["masked", "causal"]
)
def test_a_worker_that_is_not_forked_gives_the_same_batches(objective):
    made = batches([3, 2, 4, 2, 5, 9, 2, 6] * 5, objective=objective)
    sent = pickle.loads(pickle.dumps(made))
    assert all(same(whole(sent, step), whole(made, step)) for step in (0, 7, 23))


@given(lengths=lengths, processes=st.sampled_from([1, 2, 4]), step=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_the_processes_share_the_batch_of_one(lengths, processes, step):
    together = whole(batches(lengths, objective=ASK_SOME), step)
    for rank in range(processes):
        part = whole(batches(lengths, objective=ASK_SOME, rank=rank, processes=processes), step)
        longest = part["labels"].shape[1]
        for name in ("input_ids", "labels"):
            assert torch.equal(part[name], together[name][rank::processes, :longest])
        assert torch.equal(attended(part), attended(together)[rank::processes, :longest])
        assert (attended(together)[rank::processes, longest:] == 0).all()


@pytest.mark.parametrize("micro", [1, 2, 3, 5, 12, 99])
def test_micro_batches_make_up_the_batch(micro):
    lengths = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8] * 2
    together = whole(batches(lengths, 12, objective=ASK_SOME), 1)
    parts = batches(lengths, 12, objective=ASK_SOME, micro=micro)[1]
    assert [len(part["labels"]) for part in parts] == [min(micro, 12 - start) for start in range(0, 12, micro)]
    start = 0
    for part in parts:
        rows, longest = part["labels"].shape
        for name in ("input_ids", "labels"):
            assert torch.equal(part[name], together[name][start : start + rows, :longest])
        start += rows


def test_sorting_by_length_saves_padding():
    lengths = np.random.default_rng(0).integers(1, 60, 400).tolist()
    unsorted, pooled = (padding(batches(lengths, 8, pool=pool)) for pool in (1, 16))
    assert pooled < unsorted / 4


def test_batches_that_can_not_be_are_refused():
    with pytest.raises(UserError, match=r"training\.batch_size: 4 is more than the 3 sequences of rows; lower it"):
        batches([1, 1, 1])
    with pytest.raises(UserError, match=r"training\.batch_size: 4 is not a multiple of the 3 processes; raise it to 6"):
        batches([1] * 9, processes=3)


def test_a_batch_tells_people_which_sequences_it_has():
    told = batches([1] * 12, 12).described(0)
    assert told.endswith(" and 4 more of rows") and told.count(",") == 7


def test_held_out_rows_come_in_order_and_are_asked_the_same_in_batches_of_any_size():
    lengths = [3, 1, 4, 1, 5, 9, 2, 6]
    labels = {}
    for size in (1, 3, 8, 50):
        made = HeldOut(Rows(lengths), 7, MaskedSpec().make(TOKENIZER), size, 0)
        read = [made[index] for index in range(len(made))]
        assert [row.tolist() for batch in read for row in attended(batch).sum(1)] == lengths[:7]
        labels[size] = [
            row[:length].tolist()
            for row, length in zip((row for batch in read for row in batch["labels"]), lengths, strict=False)
        ]
    assert all(found == labels[1] for found in labels.values())


def test_a_direction_is_drawn_for_a_sequence_and_an_epoch():
    tokenizer = lorenz_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|forward|>", "<|backward|>"]})
    objective = CausalSpec(direction="both").make(tokenizer)
    names = {tokenizer.convert_tokens_to_ids(f"<|{way}|>"): way for way in ("forward", "backward")}

    def ways(rank: int = 0, processes: int = 1, seed: int = 0) -> dict[tuple[int, int], str]:
        made = batches([2] * 100, 20, seed, objective, rank=rank, processes=processes)
        return {
            (step // 5, int(row[-1])): names[int(row[0])]
            for step in range(10)
            for row in whole(made, step)["input_ids"]
        }

    alone = ways()
    assert len(alone) == 200
    assert 70 < sum(way == "backward" for way in alone.values()) < 130, "four standard deviations"
    assert alone == ways(0, 2) | ways(1, 2), "whoever reads it"
    ids = range(FIRST, FIRST + 100)
    assert [alone[0, id] for id in ids] != [alone[1, id] for id in ids], "anew in each epoch"
    assert alone != ways(seed=1)
