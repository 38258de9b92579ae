"""The character tokenizer: one id a symbol, nothing dropped, and at home in stock transformers."""

import json
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.tokenizers import save_tokenizer
from hubkit.tokenizers.characters import character_tokenizer, check_symbols, symbol_fault

SYMBOLS = st.characters(exclude_categories=["C", "Z"]).filter(lambda symbol: symbol_fault(symbol) is None)
ALPHABETS = (
    st.lists(SYMBOLS, min_size=1, max_size=20, unique=True).map("".join).filter(lambda s: not set("[PAD]") <= set(s))
)


@pytest.fixture(scope="module")
def tokenizer():
    return character_tokenizer("BA")


def test_the_ids_are_these(tokenizer):
    ids = {"A": 0, "B": 1, "{": 2, "}": 3, ",": 4, "[PAD]": 5}
    assert tokenizer.get_vocab() == ids
    assert len(tokenizer) == 6, "no token is added to the vocabulary"
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == ("{", "}", "[PAD]")
    assert (tokenizer.unk_token, tokenizer.mask_token, tokenizer.cls_token, tokenizer.sep_token) == (None,) * 4
    assert tokenizer("{AB,AAB}")["input_ids"] == [2, 0, 1, 4, 0, 0, 1, 3], "and nothing is put around it"
    assert tokenizer("")["input_ids"] == []


def test_rows_are_padded_with_the_filler(tokenizer):
    padded = tokenizer(["{A,A}", "{,}"], padding=True)
    assert padded["input_ids"] == [[2, 0, 4, 0, 3], [2, 4, 3, 5, 5]]
    assert padded["attention_mask"] == [[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]]


@settings(deadline=None, max_examples=60)
@given(ALPHABETS, st.data())
def test_any_row_comes_back(alphabet, data):
    tokenizer = character_tokenizer(alphabet)
    strings = st.text(alphabet, max_size=30)
    text = f"{{{data.draw(strings)},{data.draw(strings)}}}"
    ids = tokenizer(text)["input_ids"]
    vocabulary = [*sorted(alphabet), "{", "}", ","]
    assert ids == [vocabulary.index(symbol) for symbol in text]
    assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("text", ["C", "{AB, AAB}", "{A\n", "a", "é", " ", "[PAD", "{A,B}\u0301"])
def test_what_has_no_token_is_refused(tokenizer, text):
    with pytest.raises(Exception, match="WordLevel error"):
        tokenizer(text)


@pytest.mark.parametrize(
    ("symbols", "words"),
    [
        ("", "no symbol"),
        ("AA", "stands twice"),
        ("A{", "'{' marks"),
        ("}", "'}' marks"),
        ("A,B", "',' marks"),
        ("A B", "white space"),
        ("A\n", "white space"),
        ("\x00", "can't be printed"),
        ("\ud800", "can't be printed"),
        ("[PAD]", "spell"),
    ],
)
def test_symbols_that_rows_can_not_have(symbols, words):
    with pytest.raises(ValueError, match=words):
        check_symbols(symbols)
    with pytest.raises(UserError, match=words):
        character_tokenizer(symbols)


def test_the_limit_is_recorded_where_there_is_one():
    assert character_tokenizer("AB", model_max_length=32).model_max_length == 32
    assert character_tokenizer("AB").model_max_length > 10**9


def test_what_is_saved_loads_without_hubkit(tmp_path, tokenizer):
    save_tokenizer(tokenizer, tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
    script = (
        "import sys, transformers\n"
        "loaded = transformers.AutoTokenizer.from_pretrained(sys.argv[1])\n"
        "assert not any(name.startswith('hubkit') for name in sys.modules)\n"
        "print(loaded('{AB,AAB}')['input_ids'], loaded.decode([2, 0, 1, 4, 0, 0, 1, 3]), loaded.pad_token_id)\n"
    )
    quiet = os.environ | {"HF_HUB_OFFLINE": "1"}
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, env=quiet, cwd=tmp_path
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[2, 0, 1, 4, 0, 0, 1, 3] {AB,AAB} 5"
