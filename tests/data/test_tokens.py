"""Rows as token ids: those of the tokenizer, kept on disk, framed and marked."""

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
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.data.encoding import Framing, Share
from hubkit.data.tokens import TokenRows, tokenise
from hubkit.errors import UserError
from hubkit.tokenizers.characters import character_tokenizer
from hubkit.tokenizers.lorenz import lorenz_tokenizer
from hubkit.tokenizers.numeric import numeric_lorenz_tokenizer

TOKENIZER = lorenz_tokenizer()
LETTERS = character_tokenizer("AB")
BEGIN, END, SEPARATOR = (LETTERS.convert_tokens_to_ids(token) for token in "{},")


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


def test_tokens_are_those_of_the_tokenizer(tmp_path):
    written = texts(40)
    rows = token_rows(written, tmp_path)
    assert [rows[i].ids.tolist() for i in range(len(rows))] == TOKENIZER(written)["input_ids"]
    assert rows.lengths.tolist() == [len(row) for row in TOKENIZER(written)["input_ids"]]
    assert rows[0].ids.dtype == np.uint16, "two bytes a token on disk, and no copy in memory"
    assert not rows[0].ids.flags.owndata and not rows[0].ids.flags.writeable


def test_many_chunks_are_read_like_one(tmp_path):
    written = texts(2500)  # datasets writes a thousand rows a chunk
    rows = token_rows(written, tmp_path)
    assert len(rows._chunk_starts) > 2
    expected = TOKENIZER(written)["input_ids"]
    assert all(rows[i].ids.tolist() == expected[i] for i in (0, 999, 1000, 1001, 1999, 2000, 2499))


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
    assert first[0].ids.tolist() == TOKENIZER(rows["text"][0])["input_ids"]
    assert second[0].ids.tolist() == other(rows["text"][0])["input_ids"] != first[0].ids.tolist()
    TOKENIZER("{}", truncation=True, max_length=1)  # leaves a trace in the tokenizer, which is none of its rules
    TOKENIZER("{}")
    monkeypatch.setattr("hubkit.data.tokens.encode_rows", None)  # a second tokenising would fail
    assert tokenise(rows, "text", TOKENIZER, tmp_path / "spare")[5].ids.tolist() == first[5].ids.tolist()
    assert not (tmp_path / "spare").exists()


READ_ONLY = """
import sys
from pathlib import Path
import datasets
from hubkit.tokenizers.lorenz import lorenz_tokenizer
from hubkit.data.tokens import tokenise
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
            r"dataset\.column: 'text': text 2 \(\"\{'sigma': 1\}\"\) can't be encoded: .*; leave such texts out",
        ),
        (["{}", "", "{}"], r"dataset\.column: row 1 of 'text' is empty; leave such rows out"),
        (["{}", None], r"dataset\.column: row 1 of 'text' is null; leave such rows out"),
        ([], r"dataset: the split None has no rows"),
        ([0.5], r"dataset\.column: 'text' holds .*; a column of text, or of lists of ids, is needed"),
        ([[0.5]], r"dataset\.column: 'text' holds .*; a column of text, or of lists of ids, is needed"),
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
    assert [again[i].ids.tolist() for i in range(20)] == [rows[i].ids.tolist() for i in range(20)]


# --- ids, frames and marks -------------------------------------------------------------------------------------------


def framed(columns: dict, framing: Framing = Framing(), share: Share | None = None) -> list[dict]:  # noqa: B008
    """Return ids and marks of rows of ids; the marks of all tokens are left out."""
    rows = tokenise(datasets.Dataset.from_dict(columns), "ids", LETTERS, Path("unused"), framing, share)
    samples = [rows[number] for number in range(len(rows))]
    assert all(sample.whole for sample in samples)
    return [{"ids": s.ids.tolist()} | ({} if s.learnt is None else {"learnt": s.learnt.tolist()}) for s in samples]


@pytest.mark.parametrize("kind", ["int64", "int32", "uint16", "uint8"])
def test_ids_that_were_made_before_are_taken_as_they_are(tmp_path, kind):
    ids = [[2, 0, 1, 3], [2, 3], [0] * 40]
    features = datasets.Features({"ids": datasets.List(datasets.Value(kind))})
    rows = datasets.Dataset.from_dict({"ids": ids}, features=features)
    made = tokenise(rows.select(range(1, 3)), "ids", LETTERS, tmp_path)
    assert [made[number].ids.tolist() for number in range(2)] == ids[1:] and made[0].ids.dtype == np.uint16
    even = datasets.Features({"ids": datasets.List(datasets.Value(kind), length=4)})
    of_one_length = datasets.Dataset.from_dict({"ids": [[2, 0, 1, 3], [3, 1, 0, 2]]}, features=even)
    assert tokenise(of_one_length, "ids", LETTERS, tmp_path)[1].ids.tolist() == [3, 1, 0, 2]


def test_a_row_that_does_not_end_gets_an_end():
    rows = {"ids": [[0, 1], [1, END], [END], [END, 0]]}
    assert framed(rows, Framing(end=END)) == [
        {"ids": [0, 1, END]}, {"ids": [1, END]}, {"ids": [END]}, {"ids": [END, 0, END]}
    ]  # fmt: skip


def test_what_follows_the_separator_is_learnt_and_the_end_that_was_put_there():
    rows = {"ids": [[0, SEPARATOR, 1, SEPARATOR, 0], [SEPARATOR], [1, SEPARATOR, END]]}
    assert framed(rows, Framing(end=END, after=SEPARATOR)) == [
        {"ids": [0, SEPARATOR, 1, SEPARATOR, 0, END], "learnt": [0, 0, 1, 1, 1, 1]},
        {"ids": [SEPARATOR, END], "learnt": [0, 1]},
        {"ids": [1, SEPARATOR, END], "learnt": [0, 0, 1]},
    ]
    with pytest.raises(UserError, match=r"objective\.learn_after: row 1 has no such token, .*; name a token that each"):
        framed({"ids": [[SEPARATOR, 0], [0, 1], [SEPARATOR]]}, Framing(after=SEPARATOR))


@st.composite
def marked_rows(draw):
    """Return rows of ids with ranges, some empty, some that touch or overlap."""
    lengths = draw(st.lists(st.integers(1, 9), min_size=1, max_size=6))
    pairs = [
        draw(st.lists(st.tuples(st.integers(0, length), st.integers(0, length)).map(sorted), max_size=4))
        for length in lengths
    ]
    return [[0] * length for length in lengths], pairs


@given(marked_rows())
@settings(max_examples=60, deadline=None)
def test_the_ranges_of_a_row_are_what_is_learnt(rows):
    ids, pairs = rows
    flat = [[edge for pair in row for edge in pair] for row in pairs]
    features = datasets.Features({name: datasets.List(datasets.Value("int32")) for name in ("ids", "loss")})
    made = tokenise(
        datasets.Dataset.from_dict({"ids": ids, "loss": flat}, features=features), "ids", LETTERS, Path("unused"),
        Framing(marked=True),
    )  # fmt: skip
    for number, row in enumerate(ids):
        slowly = [any(start <= place < stop for start, stop in pairs[number]) for place in range(len(row))]
        marks = made[number].learnt
        assert marks is not None and marks.astype(bool).tolist() == slowly


@pytest.mark.parametrize("wrong", [[0], [0, 3], [-1, 1], [2, 1], [0, 1, 2]], ids=str)
def test_ranges_that_are_none_are_refused(wrong):
    rows = {"ids": [[0, 1], [1, 1], [0]], "loss": [[0, 2], wrong, [0, 0]]}
    with pytest.raises(UserError, match=r"objective\.learn: row 1 has loss .*, which are no .* in its 2 tokens; mend"):
        framed(rows, Framing(marked=True))


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (
            [[0], [1, 6]],
            r"row 1 has the id 6, and the tokenizer has the ids 0 to 5; name the tokenizer that made these",
        ),
        ([[0, -1]], r"row 0 has the id -1, and"),
        ([[0], [0, None]], r"row 1 holds a null among its numbers; leave such rows out"),
        ([[0], []], r"row 1 of 'ids' is empty; leave such rows out"),
        ([[0], None], r"row 1 of 'ids' is null; leave such rows out"),
    ],
    ids=str,
)
def test_ids_that_are_none_are_refused(ids, message):
    with pytest.raises(UserError, match=message):
        framed({"ids": ids})


# --- values ----------------------------------------------------------------------------------------------------------


def test_numbers_become_one_token_and_their_value(tmp_path):
    tokenizer = numeric_lorenz_tokenizer()
    end = tokenizer.eos_token_id
    rows = datasets.Dataset.from_dict({"text": ["{'params': [1.5, -2]}", "{'data': [7]}"], "ids": [[1], [2]]})
    framing = Framing(end=end, valued=True)
    made = tokenise(rows, "text", tokenizer, tmp_path, framing)
    for number, values in enumerate([[1, 1, 1, 1.5, 1, -2, 1, 1, 1], [1, 1, 1, 7, 1, 1, 1]]):
        sample = made[number]
        assert sample.ids.tolist() == [*tokenizer(rows["text"][number])["input_ids"], end]
        assert sample.values is not None and sample.values.dtype == np.float32 and sample.values.tolist() == values
    assert tokenise(rows, "text", tokenizer, tmp_path)[0].values is None, "where nobody asks"
    with pytest.raises(
        UserError, match=r"dataset\.column: 'ids' holds ids, which have no values; name a column of text"
    ):
        tokenise(rows, "ids", tokenizer, tmp_path, framing)
    bad = datasets.Dataset.from_dict({"text": ["{}", "{'params': [1e99]}"]})
    with pytest.raises(
        UserError, match=r"dataset\.column: 'text': text 1: number: 1e\+99 is beyond float32; scale the"
    ):
        tokenise(bad, "text", tokenizer, tmp_path, framing)


# --- shares ----------------------------------------------------------------------------------------------------------


def test_shares_divide_the_rows_by_what_they_hold_in_any_order(tmp_path):
    rows = texts(400)
    shares = [Share(0, 0.1), Share(0.1, 0.2), Share(0.2, 1)]

    def parts(written: list[str]) -> list[set[str]]:
        made = [
            tokenise(datasets.Dataset.from_dict({"text": written}), "text", TOKENIZER, tmp_path, share=share)
            for share in shares
        ]
        return [{TOKENIZER.decode(part[number].ids) for number in range(len(part))} for part in made]

    first, again = parts(rows), parts([*reversed(rows), *rows[:50]])
    assert first == again, "neither the order nor what else is there matters"
    everything = {TOKENIZER.decode(ids) for ids in TOKENIZER(rows)["input_ids"]}
    assert set.union(*first) == everything and sum(map(len, first)) == len(everything), "and nothing is in two"
    assert 20 < len(first[0]) < 64 and 20 < len(first[1]) < 64, "four standard deviations"


def test_ids_are_held_out_alike_whatever_their_type():
    ids = np.random.default_rng(0).integers(0, 2, (200, 12)).tolist()

    def held_out(kind: str) -> list[list[int]]:
        features = datasets.Features({"ids": datasets.List(datasets.Value(kind))})
        rows = tokenise(
            datasets.Dataset.from_dict({"ids": ids}, features=features), "ids", LETTERS, Path("unused"),
            share=Share(0, 0.2),
        )  # fmt: skip
        return [rows[number].ids.tolist() for number in range(len(rows))]

    kept = held_out("int64")
    assert kept == held_out("uint16") == [row for row in ids if row in kept] != []


def test_a_row_keeps_its_number_where_others_are_left_out(tmp_path):
    rows = [*texts(300), "{'sigma': 1}"]
    bad = next(share for share in (Share(0, 0.5), Share(0.5, 1)) if share.holds(rows[-1].encode()))
    with pytest.raises(UserError, match=r"text 300 \(\"\{'sigma': 1\}\"\)"):
        tokenise(datasets.Dataset.from_dict({"text": rows}), "text", TOKENIZER, tmp_path, share=bad)


def test_a_share_without_rows_is_refused(tmp_path):
    rows = datasets.Dataset.from_dict({"text": texts(5)})
    with pytest.raises(UserError, match=r"dataset\.held_out: too small a share for 5 rows, it holds none .*; raise it"):
        tokenise(rows, "text", TOKENIZER, tmp_path, share=Share(0, 1e-9))


def test_a_share_has_a_file_of_its_own(tmp_path):
    rows = stored(tmp_path / "rows", texts(2500))
    parts = [tokenise(rows, "text", TOKENIZER, tmp_path, share=share) for share in (Share(0, 0.3), Share(0.3, 1))]
    assert sum(map(len, parts)) == len(tokenise(rows, "text", TOKENIZER, tmp_path)) == 2500


# --- chunks ----------------------------------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_span_is_a_slice_of_all_tokens(data):
    ids = data.draw(st.lists(st.lists(st.integers(0, 4), min_size=1, max_size=5), min_size=1, max_size=12))
    cut = data.draw(st.integers(1, len(ids)))
    parts = [datasets.Dataset.from_dict({"input_ids": part}) for part in (ids[:cut], ids[cut:]) if part]
    rows = TokenRows(datasets.concatenate_datasets(parts))
    everything = [id for row in ids for id in row]
    begin = data.draw(st.integers(0, len(everything) - 1))
    end = data.draw(st.integers(begin + 1, len(everything)))
    assert rows.span(begin, end).ids.tolist() == everything[begin:end]
    assert [rows[number].ids.tolist() for number in range(len(ids))] == ids
