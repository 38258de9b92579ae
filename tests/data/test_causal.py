"""What a causal model reads and is asked for: by a slow definition, in every direction."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hubkit.data.encoding import Framing
from hubkit.data.objectives.base import IGNORED
from hubkit.data.objectives.causal import DIRECTION_TOKENS, CausalSpec
from hubkit.data.tokens import Sample
from hubkit.errors import UserError
from hubkit.tokenizers.characters import character_tokenizer

TOKENIZER = character_tokenizer("AB")
BOS, EOS, COMMA, PAD = (TOKENIZER.convert_tokens_to_ids(token) for token in ("{", "}", ",", "[PAD]"))
NO_BOS = character_tokenizer("AB")
NO_BOS.bos_token = None
BOTH = character_tokenizer("AB")
BOTH.add_special_tokens({"additional_special_tokens": list(DIRECTION_TOKENS.values())})
WAYS = [BOTH.convert_tokens_to_ids(token) for token in DIRECTION_TOKENS.values()]

directions = st.sampled_from(["forward", "backward"])
ids = st.integers(0, 4)


class Coins:
    """Say which way each sample is read."""

    def __init__(self, backward: list[bool]):
        self.backward = np.array(backward)

    def uniforms(self, counts: list[int]) -> np.ndarray:
        assert counts == [1] * len(self.backward)
        return np.where(self.backward, 0.25, 0.75)


def made(spec: CausalSpec, tokenizer, samples: list[Sample], coins=None) -> dict[str, list]:
    batch = spec.make(tokenizer).batch(samples, coins)  # pyright: ignore
    assert batch["labels"] is batch["shift_labels"]
    assert all(str(tensor.dtype) == "torch.int64" and tensor.is_contiguous() for tensor in batch.values())
    return {name: tensor.tolist() for name, tensor in batch.items()}


def slowly(sample: Sample, first: int | None, backward: bool) -> tuple[list[int], list[int], list[int]]:
    """Return inputs, labels and positions of a sample, token by token."""
    tokens = sample.ids.tolist()
    learnt = [1] * len(tokens) if sample.learnt is None else sample.learnt.tolist()
    breaks = [] if sample.breaks is None else sample.breaks.tolist()
    of = [sum(place <= token for place in breaks) for token in range(len(tokens))]
    read = list(zip(tokens, learnt, of, strict=True))
    if backward:
        read.reverse()
    if first is not None:
        read.insert(0, (first, 0, read[0][2]))
    inputs, labels, positions, before = [], [], [], None
    for (token, _, document), (following, asked, next_document) in pairwise(read):
        inputs.append(token)
        labels.append(following if asked and document == next_document else IGNORED)
        positions.append(positions[-1] + 1 if document == before else 0)
        before = document
    return inputs, labels, positions


@st.composite
def windows(draw, plain: bool = False):
    length, number = draw(st.integers(2, 12)), draw(st.integers(1, 4))
    isolate, mark = (False, False) if plain else draw(st.tuples(st.booleans(), st.booleans()))

    def column(values) -> list[int]:
        return draw(st.lists(values, min_size=length, max_size=length))

    return [
        Sample(
            np.array(column(ids), np.uint16),
            np.array(column(st.integers(0, 1)), np.uint8) if mark else None,
            breaks=np.flatnonzero([0, *column(st.integers(0, 1))[1:]]) if isolate else None,
        )
        for _ in range(number)
    ]


@given(windows(), directions, st.booleans())
@settings(max_examples=200, deadline=None)
def test_windows_are_asked_as_the_definition_says(samples, direction, begins):
    batch = made(CausalSpec(direction=direction), TOKENIZER if begins else NO_BOS, samples)
    for row, sample in enumerate(samples):
        inputs, labels, positions = slowly(sample, BOS if begins else None, direction == "backward")
        assert batch["input_ids"][row] == inputs and batch["labels"][row] == labels
        assert ("position_ids" in batch) == (sample.breaks is not None)
        if sample.breaks is not None:
            assert batch["position_ids"][row] == positions


@given(windows(), st.data())
@settings(max_examples=100, deadline=None)
def test_of_both_each_sample_goes_its_own_way_and_begins_with_it(samples, data):
    backward = data.draw(st.lists(st.booleans(), min_size=len(samples), max_size=len(samples)))
    batch = made(CausalSpec(direction="both"), BOTH, samples, Coins(backward))
    for row, (sample, turned) in enumerate(zip(samples, backward, strict=True)):
        inputs, labels, positions = slowly(sample, WAYS[turned], turned)
        assert batch["input_ids"][row] == inputs and batch["labels"][row] == labels
        assert sample.breaks is None or batch["position_ids"][row] == positions


@given(windows(plain=True), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_backward_model_is_asked_the_same_tokens_from_the_other_side(samples, begins):
    tokenizer = TOKENIZER if begins else NO_BOS
    mirrored = [Sample(sample.ids[::-1]) for sample in samples]
    forward = made(CausalSpec(direction="forward"), tokenizer, mirrored)
    assert made(CausalSpec(direction="backward"), tokenizer, samples) == forward


rows = st.lists(st.lists(ids, min_size=2, max_size=9), min_size=1, max_size=5)


@given(rows, directions, st.booleans(), st.booleans(), st.data())
@settings(max_examples=200, deadline=None)
def test_rows_are_padded_behind_and_padding_is_never_asked(lists, direction, begins, marked, data):
    samples = [
        Sample(
            np.array(row, np.uint16),
            np.array(data.draw(st.lists(st.integers(0, 1), min_size=len(row), max_size=len(row)))) if marked else None,
            whole=True,
        )
        for row in lists
    ]
    batch = made(CausalSpec(direction=direction), TOKENIZER if begins else NO_BOS, samples)
    longest = max(map(len, batch["input_ids"]))
    for row, sample in enumerate(samples):
        if begins and sample.ids[0] == BOS:  # it says itself that it begins
            sample = Sample(*(column if column is None else column[1:] for column in sample[:2]))
        inputs, labels, _ = slowly(sample, BOS if begins else None, direction == "backward")
        rest = longest - len(inputs)
        assert batch["input_ids"][row][: len(inputs)] == inputs
        assert batch["labels"][row] == labels + [IGNORED] * rest
        assert batch["input_ids"][row][len(inputs) + 1 :] == [PAD] * (rest - 1), "behind the last token"


def test_a_row_that_says_that_it_begins_begins_once_whichever_way_it_is_read():
    row = [Sample(np.array([BOS, 0, COMMA, 1, EOS]), whole=True)]
    forward, backward = (made(CausalSpec(direction=way), TOKENIZER, row) for way in ("forward", "backward"))
    assert (forward["input_ids"], forward["labels"]) == ([[BOS, 0, COMMA, 1]], [[0, COMMA, 1, EOS]])
    assert (backward["input_ids"], backward["labels"]) == ([[BOS, EOS, 1, COMMA]], [[EOS, 1, COMMA, 0]])
    both = made(CausalSpec(direction="both"), BOTH, row * 2, Coins([False, True]))
    assert both["input_ids"] == [[WAYS[0], 0, COMMA, 1], [WAYS[1], EOS, 1, COMMA]]
    assert both["labels"] == [[0, COMMA, 1, EOS], [EOS, 1, COMMA, 0]]


def test_an_empty_text_ends_at_once():
    batch = made(
        CausalSpec(), TOKENIZER, [Sample(np.array([BOS, EOS]), whole=True), Sample(np.array([EOS]), whole=True)]
    )
    assert batch["input_ids"] == [[BOS], [BOS]] and batch["labels"] == [[EOS], [EOS]]


def test_permuted_windows_are_read_in_one_order():
    samples = [Sample(np.array([0, 1, 4]), np.array([1, 0, 1])), Sample(np.array([1, 1, 0]), np.array([1, 1, 1]))]
    batch = made(CausalSpec(direction="permuted", permutation=(0, 2, 1)), TOKENIZER, samples)
    assert batch["input_ids"] == [[BOS, 0, 4], [BOS, 1, 0]]
    assert batch["labels"] == [[0, 4, IGNORED], [1, 0, 1]]


def test_a_permutation_that_does_not_fit_is_refused():
    spec = CausalSpec(direction="permuted", permutation=(0, 2, 1))
    with pytest.raises(UserError, match=r"objective\.permutation: it has 3 places, and a window has 4 tokens; give"):
        made(spec, TOKENIZER, [Sample(np.zeros(4, int))])
    with pytest.raises(UserError, match=r"reading\.form: a permutation is of the places of a window; set form to"):
        made(spec, TOKENIZER, [Sample(np.zeros(3, int), whole=True)])
    with pytest.raises(
        UserError, match=r"reading\.isolate: a permutation mixes the documents .*; set isolate to false"
    ):
        made(spec, TOKENIZER, [Sample(np.zeros(3, int), breaks=np.zeros(0, int))])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"direction": "permuted"}, "permutation goes with direction permuted, and only with it; give both, or leave"),
        ({"permutation": [0]}, "permutation goes with direction permuted"),
        ({"direction": "permuted", "permutation": [0, 2]}, "permutation: its 2 places are not 0 to 1, each once"),
        ({"direction": "permuted", "permutation": [1, 1]}, "are not 0 to 1, each once"),
        ({"learn": "marked", "learn_after": ","}, "learn_after: learn is marked, and only one of them can say what"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        CausalSpec.model_validate(values)


def test_a_token_that_the_vocabulary_lacks_is_refused():
    with pytest.raises(UserError, match=r"objective\.learn_after: ';' is not a token of the vocabulary"):
        CausalSpec(learn_after=";").make(TOKENIZER)


def test_what_is_framed_and_recorded_follows_the_tokenizer():
    marked = CausalSpec(learn="marked").make(TOKENIZER)
    assert marked.framing == Framing(end=EOS, marked=True) and marked.more == 0
    after = CausalSpec(learn_after=",").make(NO_BOS)
    assert after.framing == Framing(end=EOS, after=COMMA) and after.more == 1, "nothing says that a window begins"
    assert CausalSpec(direction="both").make(BOTH).more == 0
    assert CausalSpec(direction="backward").recorded(TOKENIZER) == {"direction": "backward"}
    ways = dict(zip(("forward", "backward"), WAYS, strict=True))
    assert CausalSpec(direction="both").recorded(BOTH) == {"direction": "both", "direction_tokens": ways}
    permuted = CausalSpec(direction="permuted", permutation=(1, 0))
    assert permuted.recorded(TOKENIZER) == {"direction": "permuted", "permutation": [1, 0]}
    assert CausalSpec(direction="both").extra_tokens == tuple(DIRECTION_TOKENS.values())
