"""What is asked in the batches of every objective: these very tensors, for the same seed and for ever."""

import hashlib

import datasets
import numpy as np
import pytest

from hubkit.data.batches import Batches, HeldOut, Source
from hubkit.data.objectives import CausalSpec, MaskedSpec, NumericMaskedSpec
from hubkit.data.objectives.masked import FocusSpec
from hubkit.data.reading import ReadingSpec
from hubkit.data.tokens import TokenRows
from hubkit.tokenizers import make_tokenizer

LORENZ = make_tokenizer("lorenz")
LETTERS = make_tokenizer("characters:AB")
LETTERS.add_special_tokens({"additional_special_tokens": list(CausalSpec(direction="both").extra_tokens)})
NUMBERS = make_tokenizer("numeric-lorenz")

APART = ReadingSpec(form="windows", length=32, stride=20, isolate=True)
TOGETHER = ReadingSpec(form="windows", length=32)
KEY = LORENZ.convert_ids_to_tokens(25)

CASES = {
    "both-apart": (LETTERS, CausalSpec(direction="both"), APART),
    "both-together": (LETTERS, CausalSpec(direction="both"), TOGETHER),
    "both-rows": (LETTERS, CausalSpec(direction="both"), ReadingSpec()),
    "backward-apart": (LETTERS, CausalSpec(direction="backward"), APART),
    "masked": (LORENZ, MaskedSpec(), ReadingSpec()),
    "masked-windows": (LORENZ, MaskedSpec(probability=0.02), TOGETHER),
    "masked-numbers": (
        LORENZ,
        MaskedSpec(
            probability=0.05,
            whole_numbers=True,
            mask_share=0.4,
            random_share=0.4,
            focus=(FocusSpec(after=KEY, skip=1, tokens=4, probability=0.9),),
        ),
        ReadingSpec(),
    ),
    "numeric": (NUMBERS, NumericMaskedSpec(), ReadingSpec()),
}

EXPECTED = {
    "both-apart": "dcfe4dd383ac5a41",
    "both-together": "85bb8af9603a9516",
    "both-rows": "77c501236fe73512",
    "backward-apart": "aa844f1c0c43c7cb",
    "masked": "3cb310f148727d35",
    "masked-windows": "54b39d5867b6f51f",
    "masked-numbers": "45c8f43e826e03ce",
    "numeric": "8bc11a93ff300f53",
}


def token_rows(vocabulary: int, valued: bool) -> TokenRows:
    """Return two hundred rows of random ids, of one to sixty tokens."""
    random = np.random.default_rng(5)
    rows = [random.integers(0, vocabulary, length) for length in random.integers(1, 60, 200)]
    columns = {"input_ids": rows}
    if valued:
        columns["values"] = [random.normal(size=len(row)).astype(np.float32) for row in rows]
    return TokenRows(datasets.Dataset.from_dict(columns))


def digest(name: str) -> str:
    """Return the hash of the first twelve batches of training and of all of an evaluation."""
    tokenizer, spec, reading = CASES[name]
    asked = spec.make(tokenizer)
    sequences = reading.make(token_rows(len(tokenizer), name == "numeric"), asked.more, "rows")
    training = Batches([Source("rows", sequences)], asked, 16, 7, 3, micro_batch_size=8)
    held_out = HeldOut(sequences, 40, asked, 16, 7)
    batches = [batch for step in range(12) for batch in training[step]]
    batches += [held_out[number] for number in range(len(held_out))]
    found = hashlib.sha256()
    for batch in batches:
        for field, tensor in sorted(batch.items()):
            found.update(f"{field} {tensor.dtype} {list(tensor.shape)}".encode() + tensor.numpy().tobytes())
    return found.hexdigest()[:16]


@pytest.mark.parametrize("name", CASES)
def test_the_batches_are_these(name):
    assert digest(name) == EXPECTED[name]
