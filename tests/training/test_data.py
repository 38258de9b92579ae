"""Tokens and batches: what is read, in which order, by which process."""

import os
import pickle
import random
import shutil
import subprocess
import sys
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from hubkit.errors import UserError
from hubkit.tokenizers.lorenz import lorenz_tokenizer
from hubkit.training.data import Batches, HeldOut
from hubkit.training.objectives import FocusSpec, MaskedSpec
from hubkit.training.tokens import TokenRows, tokenise

TOKENIZER = lorenz_tokenizer()
ASK_ALL = MaskedSpec(probability=1 - 1e-12, mask_share=0.0, random_share=0.0)
"""Asks for every token and hides none: labels show which rows a batch has."""


FIRST = 20
"""The first of a hundred ids that are no special tokens."""


def texts(rows: int) -> list[str]:
    """Return rows of different lengths that the Lorenz tokenizer can spell."""
    draw = random.Random(0)
    made = []
    for _ in range(rows):
        data = ", ".join(f"{draw.uniform(0, 9):.2f}" for _ in range(draw.randint(1, 9)))
        made.append(f"{{'params': [{draw.randint(1, 16)}.{draw.randint(10, 99)}], 'data': [{data}]}}")
    return made


def token_rows(rows: list[str], folder: Path) -> TokenRows:
    return tokenise(datasets.Dataset.from_dict({"text": rows}), "text", TOKENIZER, folder / "tokens")


class Rows:
    """Rows in memory: row *i* is the id `FIRST` + i, written as many times as its length says."""

    def __init__(self, lengths: list[int]):
        self.lengths = np.array(lengths)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, row: int) -> np.ndarray:
        return np.full(self.lengths[row], FIRST + row % 100)


def batches(lengths, size=4, seed=0, objective=ASK_ALL, pool=3, rank=0, processes=1) -> Batches:
    return Batches(Rows(lengths), objective, TOKENIZER, size, seed, pool, rank, processes)  # pyright: ignore


def rows_of(batch: dict[str, torch.Tensor]) -> list[int]:
    return (batch["labels"][:, 0] - FIRST).tolist()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def padding(made: Batches) -> int:
    return sum(int((made[step]["attention_mask"] == 0).sum()) for step in range(len(made)))


lengths = st.lists(st.integers(1, 9), min_size=4, max_size=60)


@given(lengths=lengths, size=st.integers(1, 4), seed=st.integers(0, 2**40), pool=st.integers(1, 5))
@settings(max_examples=80, deadline=None)
def test_each_epoch_is_a_permutation_without_repeats(lengths, size, seed, pool):
    made = batches(lengths, size, seed, pool=pool)
    for epoch in range(3):
        steps = range(epoch * len(made), (epoch + 1) * len(made))
        seen = [row for step in steps for row in rows_of(made[step])]
        assert len(seen) == len(set(seen)) == len(lengths) // size * size
        assert sum(made.tokens(step) for step in steps) == sum(lengths[row] for row in seen)


def test_epochs_and_seeds_have_orders_of_their_own():
    def order(seed: int, start: int) -> list[int]:
        made = batches([5] * 60, seed=seed)
        return [row for step in range(start, start + 15) for row in rows_of(made[step])]

    orders = [list(range(60)), order(0, 0), order(0, 15), order(1, 0)]
    assert all(sorted(one) == orders[0] for one in orders)
    assert len({tuple(one) for one in orders}) == 4


@given(lengths=lengths, steps=st.lists(st.integers(0, 40), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None)
def test_a_batch_is_a_function_of_seed_and_step_in_any_order_of_reading(lengths, steps):
    objective = MaskedSpec(probability=0.3)
    made = batches(lengths, objective=objective)
    read = {step: made[step] for step in steps}
    for step in sorted(steps, reverse=True):
        assert same(batches(lengths, objective=objective)[step], read[step])


def test_loader_workers_give_the_same_batches(tmp_path):
    rows = token_rows(texts(40), tmp_path)
    made = Batches(rows, MaskedSpec(), TOKENIZER, 4, 0)
    steps = range(3, 17)
    with_workers = DataLoader(made, batch_size=None, sampler=steps, num_workers=2)
    for step, batch in zip(steps, with_workers, strict=True):
        assert same(batch, made[step])


@given(lengths=lengths, processes=st.sampled_from([1, 2, 4]), step=st.integers(0, 40))
@settings(max_examples=60, deadline=None)
def test_the_processes_share_the_batch_of_one(lengths, processes, step):
    objective = MaskedSpec(probability=0.3)
    whole = batches(lengths, objective=objective)[step]
    for rank in range(processes):
        part = batches(lengths, objective=objective, rank=rank, processes=processes)[step]
        longest = part["labels"].shape[1]
        for name, tensor in part.items():
            assert torch.equal(tensor, whole[name][rank::processes, :longest])
        assert (whole["attention_mask"][rank::processes, longest:] == 0).all()


def test_sorting_by_length_saves_padding():
    lengths = np.random.default_rng(0).integers(1, 60, 400).tolist()
    unsorted, pooled = (padding(batches(lengths, 8, pool=pool)) for pool in (1, 16))
    assert pooled < unsorted / 4


def test_batches_that_can_not_be_are_refused():
    with pytest.raises(UserError, match=r"training\.batch_size: 4 is more than the 3 rows .*; lower it"):
        batches([1, 1, 1])
    with pytest.raises(UserError, match=r"training\.batch_size: 4 is not a multiple of the 3 processes; raise it to 6"):
        batches([1] * 9, processes=3)
    focus = MaskedSpec(focus=(FocusSpec(after="'x':", tokens=1, probability=0.5),))
    with pytest.raises(UserError, match=r"objective\.focus\.after"):
        batches([1] * 9, objective=focus)


def test_held_out_rows_come_in_order_and_are_asked_the_same_in_batches_of_any_size():
    lengths = [3, 1, 4, 1, 5, 9, 2, 6]
    labels = {}
    for size in (1, 3, 8, 50):
        made = HeldOut(Rows(lengths), 7, MaskedSpec(), TOKENIZER, size, 0)  # pyright: ignore
        read = [made[index] for index in range(len(made))]
        assert [row.tolist() for batch in read for row in batch["attention_mask"].sum(1)] == lengths[:7]
        labels[size] = [
            row[:length].tolist()
            for row, length in zip((row for batch in read for row in batch["labels"]), lengths, strict=False)
        ]
    assert all(found == labels[1] for found in labels.values())


def test_tokens_are_those_of_the_tokenizer(tmp_path):
    written = texts(40)
    rows = token_rows(written, tmp_path)
    assert [rows[i].tolist() for i in range(len(rows))] == TOKENIZER(written)["input_ids"]
    assert rows.lengths.tolist() == [len(row) for row in TOKENIZER(written)["input_ids"]]
    assert rows[0].dtype == np.uint16, "two bytes a token on disk, and no copy in memory"
    assert not rows[0].flags.owndata and not rows[0].flags.writeable


def test_many_chunks_are_read_like_one(tmp_path):
    written = texts(2500)  # datasets writes a thousand rows a chunk
    rows = token_rows(written, tmp_path)
    assert len(rows._values) > 1
    expected = TOKENIZER(written)["input_ids"]
    assert all(rows[i].tolist() == expected[i] for i in (0, 999, 1000, 1001, 1999, 2000, 2499))


def stored(folder: Path, written: list[str]) -> datasets.Dataset:
    """Return rows that lie in a file, as those from a Hub do."""
    datasets.Dataset.from_dict({"text": written}).save_to_disk(folder)
    return datasets.load_from_disk(folder)  # pyright: ignore


def test_two_tokenizers_never_meet_and_the_second_run_reads_the_file(tmp_path, monkeypatch):
    rows = stored(tmp_path / "rows", texts(20))
    first = tokenise(rows, "text", TOKENIZER, tmp_path / "spare")
    # The same class and settings, one rule less: `00` is no token of its own any more.
    other = lorenz_tokenizer()
    from tokenizers import Regex, pre_tokenizers

    other.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Split(Regex(r"'[a-z0-9_]+':|[0-9]|[{}\[\],.?-]"), behavior="isolated"),
        ]
    )
    second = tokenise(rows, "text", other, tmp_path / "spare")
    assert first[0].tolist() == TOKENIZER(rows["text"][0])["input_ids"]
    assert second[0].tolist() == other(rows["text"][0])["input_ids"] != first[0].tolist()
    TOKENIZER("{}", truncation=True, max_length=1)  # leaves a trace in the tokenizer, which is none of its rules
    TOKENIZER("{}")
    monkeypatch.setattr("hubkit.training.tokens._encode", None)  # a second tokenising would fail
    assert tokenise(rows, "text", TOKENIZER, tmp_path / "spare")[5].tolist() == first[5].tolist()
    assert not (tmp_path / "spare").exists()


READ_ONLY = """
import sys
from pathlib import Path
import datasets
from hubkit.tokenizers.lorenz import lorenz_tokenizer
from hubkit.training.tokens import TokenRows, tokenise
folder = Path(sys.argv[1])
rows = tokenise(datasets.load_from_disk(folder / "rows"), "text", lorenz_tokenizer(), folder / "run" / "tokens")
print(len(rows), len(list((folder / "run" / "tokens").glob("*.arrow"))))
"""


def test_a_cache_that_can_not_be_written_to_is_left_alone(tmp_path):
    stored(tmp_path / "rows", texts(20))
    (tmp_path / "rows").chmod(0o555)
    command = [sys.executable, "-c", READ_ONLY, str(tmp_path)]
    if os.geteuid() == 0:  # permissions bind everybody but the superuser, unless he gives that up
        if shutil.which("setpriv") is None:
            pytest.skip("needs setpriv, or another user than root")
        command = ["setpriv", "--bounding-set=-dac_override", *command]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=100)
    finally:
        (tmp_path / "rows").chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["20", "1"]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (
            ["{}", "{'params': [8.1]}", "{'sigma': 1}"],
            r"row 2 of 'text' \(\"\{'sigma': 1\}\"\) holds text that the tok",
        ),
        (["{}", "", "{}"], r"dataset\.column: row 1 of 'text' is empty; leave such rows out"),
        (["{}", None], r"dataset\.column: row 1 of 'text' is null; leave such rows out"),
        ([], r"dataset: the split None has no rows"),
        ([[1, 2]], r"dataset\.column: 'text' holds .*; a column of text is needed"),
    ],
)
def test_rows_that_can_not_be_trained_on_are_refused_in_one_line(tmp_path, written, message):
    features = None if written else datasets.Features({"text": datasets.Value("string")})
    rows = datasets.Dataset.from_dict({"text": written}, features=features)
    with pytest.raises(UserError, match=message) as refused:
        tokenise(rows, "text", TOKENIZER, tmp_path)
    assert "\n" not in str(refused.value)


def test_a_worker_that_is_not_forked_gets_the_file_and_no_copy(tmp_path):
    rows = tokenise(stored(tmp_path / "rows", texts(2000)), "text", TOKENIZER, tmp_path)
    sent = pickle.dumps(rows)
    assert len(sent) < rows.lengths.sum() * 2 / 10
    again = pickle.loads(sent)
    assert [again[i].tolist() for i in range(20)] == [rows[i].tolist() for i in range(20)]
