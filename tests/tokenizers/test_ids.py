"""Tokenizers of ids: numbers in, the same ids out."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.tokenizers import make_tokenizer
from hubkit.tokenizers.encoding import Encoder
from hubkit.tokenizers.loading import load_tokenizer

TOKENIZER = make_tokenizer("ids:300")


@given(st.lists(st.integers(0, 299), min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_an_id_is_spelled_as_its_number(ids):
    text = TOKENIZER.decode(ids)
    assert text == " ".join(map(str, ids))
    assert TOKENIZER(text)["input_ids"] == Encoder("ids:300").encode_batch([text])[0].tolist() == ids


def test_what_begins_ends_and_pads_comes_behind():
    special = (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id, TOKENIZER.pad_token_id)
    assert special == (300, 301, 302) and len(TOKENIZER) == 303


def test_a_number_beyond_the_vocabulary_is_refused():
    with pytest.raises(UserError, match="can't be encoded"):
        Encoder("ids:300").encode_batch(["1 300"])


def test_it_loads_from_the_folder_it_was_saved_in(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again("7 11")["input_ids"] == [7, 11] and again.eos_token_id == 301


@pytest.mark.parametrize("count", ["", "many", "0", "-3", "1.5", str(1 << 21)])
def test_what_is_no_number_of_ids_is_refused(count):
    with pytest.raises(UserError, match=rf"tokenizer: ids:{count}: .* is no number from 1 to 1048576; write ids:1000"):
        make_tokenizer(f"ids:{count}")
