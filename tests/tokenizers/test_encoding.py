"""Encoding: the ids of `tokenizers` to the last one, special tokens in a text as ordinary text, honest fallbacks."""

import json
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

from hubkit.errors import UserError
from hubkit.tokenizers import make_tokenizer, save_tokenizer, tokenizer_sha256
from hubkit.tokenizers.bpe import train_bpe
from hubkit.tokenizers.encoding import BATTERY, Encoder
from hubkit.tokenizers.loading import find_files, load_rules
from hubkit.tokenizers.merging import Characters, Merger, Unproven, byte_letters

LINES = [
    "the cat sat on the mat, the cats' mats aren't there; I'll say 'tis theirs",
    "def there(x):\n    return {'the': 123, 'cat': 4567}\n\n\n\t\tpass  # the theatre",
    "naïve café über straße, где кошка сидит, 猫は座った。 ½ Ⅷ ٣٤٥ 🙂🙂 \u00a0\u2003x",
    "aaaaaaaaaaaaaaaaaaaaaaaa 1111111111 ======== \r\n \r\n", "abcabcabc bcabca cabcab babab abab ababab",
]  # fmt: skip
TEXT = (
    st.text()
    | st.text("ab c\n\t'strevdlm1 9é中!?.\u00a0", max_size=80)
    | st.lists(st.sampled_from(LINES), max_size=3).map("".join)
)


@pytest.fixture(scope="module")
def bpe():
    return train_bpe(LINES * 3, 400, ["<|endoftext|>", "<|pad|>"]).backend_tokenizer


@pytest.fixture(scope="module")
def encoder(bpe):
    return Encoder(bpe)


@pytest.fixture(scope="module")
def runs_of_blanks(bpe):
    """Return a tokenizer such as Pythia's: normalised, and runs of blanks are tokens that are not special."""
    backend = Tokenizer.from_str(bpe.to_str())
    backend.normalizer = normalizers.NFC()
    backend.add_tokens([AddedToken(" " * width, normalized=True) for width in (2, 3, 5)])
    return backend


def expected(backend: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Return what `tokenizers` gives when nobody told it of special tokens."""
    rules = json.loads(backend.to_str())
    rules["added_tokens"] = [token for token in rules["added_tokens"] if not token["special"]]
    plain = Tokenizer.from_str(json.dumps(rules))
    return [plain.encode(text, add_special_tokens=False).ids for text in texts]


def encoded(encoder: Encoder, texts: list[str]) -> list[list[int]]:
    ids, offsets = encoder.encode_batch(texts)
    assert (ids.dtype, offsets.dtype, len(offsets)) == (np.uint32, np.int64, len(texts) + 1)
    assert (offsets[0], offsets[-1]) == (0, len(ids))
    return [ids[start:stop].tolist() for start, stop in pairwise(offsets)]


# --- the same ids ----------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=150)
@given(st.lists(TEXT, max_size=4))
def test_any_text_has_the_ids_of_tokenizers(encoder, bpe, texts):
    assert encoder.engine == "tiktoken"
    assert encoded(encoder, texts) == expected(bpe, texts)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(["  ", "   ", "     ", " ", "a", "e\u0301", "é", "\n", "<|pad|>"]), max_size=12))
def test_runs_of_blanks_and_normal_forms_too(runs_of_blanks, parts):
    encoder = Encoder(runs_of_blanks)
    assert encoder.engine == "tiktoken"
    assert encoded(encoder, ["".join(parts)]) == expected(runs_of_blanks, ["".join(parts)])


def test_the_battery_is_encoded_fast_but_for_what_differs(encoder, bpe):
    assert encoded(encoder, list(BATTERY)) == expected(bpe, list(BATTERY))
    merger = Merger(bpe)
    assert [text for text in BATTERY if merger.encode(text) is None] == []


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 40)), min_size=1, max_size=30), st.text("abcd ", max_size=60)
)
def test_merges_that_no_training_would_make(pairs, text):
    # Tokens that can be made in several ways or in none, and merges in an order that hides others.
    tokens, merges = list(byte_letters()), []
    for left, right in pairs:
        pool = [*"abcd", *tokens[256:]]
        merge = pool[left % len(pool)], pool[right % len(pool)]
        if merge not in merges and len("".join(merge)) < 12:
            merges.append(merge)
            if "".join(merge) not in tokens:
                tokens.append("".join(merge))
    backend = Tokenizer(models.BPE({token: id for id, token in enumerate(tokens)}, merges))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    merger = Merger(backend)
    ids = merger.encode(text)
    assert ids is not None
    assert ids.tolist() == backend.encode(text).ids


def test_long_runs_end_and_have_the_same_ids(encoder, bpe):
    # Two million letters of one word take a second; a million blanks are too much for tiktoken's expressions.
    state, letters = 1, []
    for _ in range(300_000):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        letters.append("abcdefgh"[state >> 16 & 7])
    texts = ["a" * 500_000, "".join(letters), " " * 1_000_000 + "x"]
    assert Merger(bpe).encode(texts[2]) is None
    assert encoded(encoder, texts) == expected(bpe, texts)


# --- special tokens --------------------------------------------------------------------------------------------------


def test_special_tokens_in_a_text_are_ordinary_text(bpe, encoder, runs_of_blanks):
    texts = ["a <|endoftext|> b", "<|endoftext|><|pad|>", "<|endoftext|"]
    for fast in (True, False):
        ids = encoded(Encoder(bpe, fast=fast), texts)
        assert ids == expected(bpe, texts)
        assert not {0, 1} & {id for row in ids for id in row}
        assert [bpe.decode(row, skip_special_tokens=False) for row in ids] == texts
    assert bpe.encode(texts[0]).ids.count(0) == 1, "and a tokenizer left to itself would make it one"
    assert encoded(Encoder(runs_of_blanks), texts) == expected(runs_of_blanks, texts)


def test_what_only_a_special_token_can_spell_is_refused():
    encoder = Encoder("lorenz")
    with pytest.raises(
        UserError, match=r"text 7 \('\[\?\]'\) holds '\?', which .* special token only; leave such texts"
    ):
        encoder.encode_batch(["[1]", "[?]"], first=6)


# --- other engines ---------------------------------------------------------------------------------------------------


def test_the_lorenz_tokenizer_is_compiled():
    texts = ["{'data': [[1.0, 2.25], [-3e-05, 10.0]]}", "", "[0.001]\u2003"]
    encoder, tokenizer = Encoder("lorenz"), make_tokenizer("lorenz")
    assert (encoder.engine, encoder.reason, encoder.vocabulary, encoder.bos, encoder.eos) == (
        "lorenz", None, 142, None, "[END]"
    )  # fmt: skip
    assert encoded(encoder, texts) == tokenizer(texts)["input_ids"]
    with pytest.raises(UserError, match=r"text 1 \('abc'\) can't be encoded: .*; leave such texts out"):
        encoder.encode_batch(["[1]", "abc"])


def other(change) -> Tokenizer:
    backend = train_bpe(LINES, 300).backend_tokenizer
    change(backend)
    return backend


def set_normalizer(backend):
    backend.normalizer = normalizers.NFKC()


def set_prefix(backend):
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)


def set_words(backend):
    backend.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\d|\D+"), "isolated"), pre_tokenizers.ByteLevel(False, use_regex=False)]
    )


def set_dropout(backend):
    backend.model.dropout = 0.5


def set_stripped(backend):
    backend.add_tokens([AddedToken("zz", lstrip=True)])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (set_normalizer, "its normalizer is NFKC"),
        (set_prefix, "its words are cut in another way than GPT-2's"),
        (set_words, "a BPE model on Sequence is no byte-level BPE"),
        (set_dropout, "its model sets dropout"),
        (set_stripped, "its added token 'zz' is not matched literally"),
    ],
)
def test_what_can_t_be_proven_is_left_to_tokenizers(change, reason):
    backend = other(change)
    encoder = Encoder(backend)
    assert (encoder.engine, encoder.reason) == ("tokenizers", reason)
    if change is not set_dropout:
        assert encoded(encoder, LINES) == expected(backend, LINES)


def test_without_tiktoken_tokenizers_does_it(bpe, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    encoder = Encoder(bpe)
    assert encoder.engine == "tokenizers"
    assert "pip install 'hubkit[tiktoken]'" in str(encoder.reason)
    assert encoded(encoder, LINES) == expected(bpe, LINES)


def test_a_difference_that_shows_ends_the_fast_path(bpe, monkeypatch):
    encoder = Encoder(bpe)
    assert encoder.check(LINES)
    assert encoder.engine == "tiktoken"
    monkeypatch.setattr(Merger, "encode", lambda self, text: np.zeros(1, np.uint32))
    assert not encoder.check(["the cat"])
    assert (encoder.engine, encoder.reason) == ("tokenizers", "tiktoken differs on 'the cat'")
    assert encoded(encoder, ["the cat"]) == expected(bpe, ["the cat"])


def test_characters_that_the_libraries_take_for_different_kinds_are_left_to_tokenizers(bpe, monkeypatch):
    monkeypatch.setattr(Characters, "known", Characters)  # one of its own, to be spoilt
    merger = Merger(bpe)
    assert merger.encode("für 中") is not None
    probe = merger._characters._tokenizers

    class Spoilt:
        """A library that takes ü for no letter."""

        def encode(self, text):
            return probe.encode(text.replace("üa", "ü a"))

    merger._characters._tokenizers = Spoilt()
    merger._characters._state[:] = 0
    assert merger.encode("für") is None
    assert merger.encode("fér 中") is not None


def test_every_character_that_both_know_is_known_to_be_the_same():
    characters = Characters.known()
    assert characters.agree("".join(map(chr, range(0x0, 0x3100))))


def test_a_vocabulary_that_lacks_a_byte_is_not_proven():
    rules = json.loads(train_bpe(LINES, 300).backend_tokenizer.to_str())
    del rules["model"]["vocab"]["~"]
    with pytest.raises(Unproven, match="lacks 1 of the bytes"):
        Merger(Tokenizer.from_str(json.dumps(rules)))


# --- finding tokenizers ----------------------------------------------------------------------------------------------


def test_a_tokenizer_is_found_by_folder_file_name_or_in_memory(tmp_path, encoder):
    tokenizer = train_bpe(LINES * 3, 400, ["<|endoftext|>", "<|pad|>"])
    save_tokenizer(tokenizer, tmp_path)
    for way in (tmp_path, str(tmp_path), tmp_path / "tokenizer.json", tokenizer):
        found = Encoder(way, fast=False)
        assert found.sha256 == encoder.sha256 == tokenizer_sha256(tokenizer)
        assert (found.bos, found.eos, found.vocabulary) == ("<|endoftext|>", "<|endoftext|>", 400)
    assert encoder.token_id("<|pad|>") == 1
    assert encoder.token_id("nothing") is None


def test_a_config_may_write_tokens_as_objects(tmp_path):
    save_tokenizer(train_bpe(LINES, 300), tmp_path)
    (tmp_path / "tokenizer_config.json").write_text('{"bos_token": {"content": "<|endoftext|>"}, "eos_token": null}')
    rules = load_rules(tmp_path)
    assert (rules.bos, rules.eos) == ("<|endoftext|>", None)


def test_what_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer: 'nothing' is no folder, no file and no repository .*: .*lorenz"):
        find_files("nothing")
    with pytest.raises(UserError, match=r"tokenizer: .* has no tokenizer.json; save a fast tokenizer there"):
        find_files(str(tmp_path))
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match=r"tokenizer: .*tokenizer.json is no tokenizer: .*; save it again"):
        load_rules(tmp_path)
    save_tokenizer(train_bpe(LINES, 300), tmp_path)
    (tmp_path / "tokenizer_config.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer: .*tokenizer_config.json is not valid JSON .*; save it again"):
        load_rules(tmp_path)


@pytest.mark.parametrize("fast", [True, False])
def test_text_that_is_no_unicode_is_refused(bpe, fast):
    with pytest.raises(UserError, match="text 4 holds half a surrogate pair, which is no Unicode text; replace it"):
        Encoder(bpe, fast=fast).encode_batch(["fine", "\ud800"], first=3)


def test_a_decoder_gives_the_text_back(encoder, bpe):
    bpe.decoder = decoders.ByteLevel()
    assert [bpe.decode(ids) for ids in encoded(encoder, LINES)] == LINES
