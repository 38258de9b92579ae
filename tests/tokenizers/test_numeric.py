"""The tokenizer that makes one token of each number: its ids, what a number is, and that stock classes load it."""

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora.registry import find
from hubkit.tokenizers import save_tokenizer
from hubkit.tokenizers.numeric import NUMBER, NUMBER_PATTERN, VOCABULARY, numeric_lorenz_tokenizer

TOKENIZER = numeric_lorenz_tokenizer()

# Written out, because published models hang on them.
IDS: dict[str, int] = {
    "#": 0, "{": 1, "}": 2, "[": 3, "]": 4, ",": 5, "[END]": 6, "?": 7, "[PAD]": 8,
    "'sys0':": 9, "'sys1':": 10, "'sys2':": 11, "'sys3':": 12, "'sys4':": 13, "'num_sys':": 14, "'params':": 15,
    "'data':": 16, "'description':": 17, "'step_size':": 18, "'init_point':": 19, "'step_multip':": 20, "'name':": 21,
    "'lorenz'": 22, "'normalization':": 23, "'embedding':": 24,
}  # fmt: skip


def tokens(text: str) -> list[str]:
    return [VOCABULARY[id] for id in TOKENIZER(text)["input_ids"]]


def test_the_ids_are_these():
    assert TOKENIZER.get_vocab() == IDS and list(VOCABULARY) == list(IDS) and len(TOKENIZER) == 25
    assert (TOKENIZER.mask_token_id, TOKENIZER.pad_token_id, TOKENIZER.eos_token_id) == (7, 8, 6)
    assert (TOKENIZER.bos_token, TOKENIZER.unk_token, TOKENIZER.cls_token, TOKENIZER.sep_token) == (None,) * 4


@pytest.mark.parametrize(
    "number",
    ["0", "7", "700", "-3", "+4", "3.428", "-0.0", "5.", ".5", "-.5", "1e-05", "6.104e-05", "1E+03", "1e3", "007"],
)
def test_one_number_is_one_token(number):
    assert tokens(number) == ["#"]
    assert tokens(f"'params': [{number}, {number}]") == ["'params':", "[", "#", ",", "#", "]"]
    assert re.fullmatch(NUMBER_PATTERN, number)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("'sys0': {'num_sys': 2}", "'sys0': { 'num_sys': # }"),
        ("[[], [1.5]]", "[ [ ] , [ # ] ]"),
        ("[?, 2.66]", "[ ? , # ]"),
        ("1 2", "# #"),
        ("\t[ 1 ,\n2 ]", "[ # , # ]"),
        ("1[END][PAD][PAD]", "# [END] [PAD] [PAD]"),
        ("", ""),
    ],
)
def test_keys_brackets_and_commas_stay_tokens(text, expected):
    assert tokens(text) == expected.split()


@pytest.mark.parametrize("text", ["1.2.3", "1e", "1x", "x1", "--1", "1-", "'params'", "[1; 2]", "nan", "1_000", "٣"])
def test_what_the_vocabulary_cannot_spell_is_refused(text):
    with pytest.raises(Exception, match="UNK"):
        TOKENIZER(text)


def test_a_world_has_as_many_number_tokens_as_numbers():
    for text in find("lorenz-tiny").builder.block("train", 0, 50).rows["text"].to_pylist():
        world = json.loads(text.replace("'", '"'))["description"]["sys0"]
        found = tokens(text)
        assert found.count(NUMBER) == 1 + 3 + 3 + 1 + 1 + 30 and len(found) == 136
        assert found[found.index("'params':") + 2] == NUMBER and len(world["params"]) == 3


@given(st.lists(st.sampled_from([*VOCABULARY[1:6], *VOCABULARY[9:]]), max_size=30))
@settings(max_examples=60, deadline=None)
def test_tokens_decode_to_what_they_are(pieces):
    assert TOKENIZER.decode(TOKENIZER("".join(pieces))["input_ids"]) == "".join(pieces)


def test_stock_transformers_loads_it_without_hubkit(tmp_path):
    save_tokenizer(TOKENIZER, tmp_path)
    code = (
        "import sys; sys.modules['hubkit'] = None\n"
        "from transformers import AutoTokenizer\n"
        f"tokenizer = AutoTokenizer.from_pretrained({str(tmp_path)!r})\n"
        "print(type(tokenizer).__mro__[1].__name__, tokenizer(\"{'sys0': [-1.5e-05, ?]}\")['input_ids'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.partition(" ")[2].strip() == "[1, 9, 3, 0, 5, 7, 4, 2]"
