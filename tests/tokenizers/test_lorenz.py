"""The Lorenz tokenizer: 142 ids as they were published, nothing dropped, and at home in stock transformers."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.resources import load_module, resource
from hubkit.tokenizers import TOKENIZERS, make_tokenizer, save_tokenizer, tokenizer_sha256
from hubkit.tokenizers.lorenz import END, MASK, PAD, VOCABULARY, check_text, encode_batch, lorenz_tokenizer

lorenz = load_module(resource("dataset_builders", "lorenz.py"), "hubkit.dataset_builders.lorenz")

# Written out from the table of the published model, not from the code.
IDS: dict[str, int] = {
    "0": 0, "1": 1, "2": 2, "3": 3, "4": 4, "5": 5, "6": 6, "7": 7, "8": 8, "9": 9,
    "{": 10, "}": 11, "[": 12, "]": 13, ",": 14, ".": 15, "-": 16, "[END]": 17, "?": 18, "[PAD]": 19,
    "00": 20, "01": 21, "02": 22, "03": 23, "04": 24, "05": 25, "06": 26, "07": 27, "08": 28, "09": 29,
    "10": 30, "11": 31, "12": 32, "13": 33, "14": 34, "15": 35, "16": 36, "17": 37, "18": 38, "19": 39,
    "20": 40, "21": 41, "22": 42, "23": 43, "24": 44, "25": 45, "26": 46, "27": 47, "28": 48, "29": 49,
    "30": 50, "31": 51, "32": 52, "33": 53, "34": 54, "35": 55, "36": 56, "37": 57, "38": 58, "39": 59,
    "40": 60, "41": 61, "42": 62, "43": 63, "44": 64, "45": 65, "46": 66, "47": 67, "48": 68, "49": 69,
    "50": 70, "51": 71, "52": 72, "53": 73, "54": 74, "55": 75, "56": 76, "57": 77, "58": 78, "59": 79,
    "60": 80, "61": 81, "62": 82, "63": 83, "64": 84, "65": 85, "66": 86, "67": 87, "68": 88, "69": 89,
    "70": 90, "71": 91, "72": 92, "73": 93, "74": 94, "75": 95, "76": 96, "77": 97, "78": 98, "79": 99,
    "80": 100, "81": 101, "82": 102, "83": 103, "84": 104, "85": 105, "86": 106, "87": 107, "88": 108, "89": 109,
    "90": 110, "91": 111, "92": 112, "93": 113, "94": 114, "95": 115, "96": 116, "97": 117, "98": 118, "99": 119,
    "'sys0':": 120, "'sys1':": 121, "'sys2':": 122, "'sys3':": 123, "'sys4':": 124,
    "'num_sys':": 125, "'params':": 126, "'data':": 127, "'description':": 128, "'step_size':": 129,
    "'init_point':": 130, "'step_multip':": 131, "'name':": 132, "'lorenz'": 133, "'normalization':": 134,
    "'embedding':": 135, "000": 136, "0000": 137, "e-05": 138, "e-06": 139, "e-07": 140, "e-08": 141,
}  # fmt: skip


@pytest.fixture(scope="module")
def tokenizer():
    return lorenz_tokenizer()


def squeezed(text: str) -> str:
    return re.sub(r"\s", "", text)


def test_the_ids_are_these(tokenizer):
    assert len(IDS) == 142
    assert tokenizer.get_vocab() == IDS
    assert list(VOCABULARY) == list(IDS)
    assert len(tokenizer) == 142, "no token is added to the vocabulary"
    assert (tokenizer.eos_token_id, tokenizer.mask_token_id, tokenizer.pad_token_id) == (17, 18, 19)
    assert (tokenizer.bos_token, tokenizer.unk_token, tokenizer.cls_token, tokenizer.sep_token) == (None,) * 4
    assert (END, MASK, PAD) == ("[END]", "?", "[PAD]")


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("3.428", "3 . 42 8"),
        ("-0.0", "- 0 . 0"),
        ("65500.0", "65 50 0 . 0"),
        ("1000.0", "10 00 . 0"),
        ("0.0001", "0 . 000 1"),
        ("0.00001", "0 . 0000 1"),
        ("0.0123", "0 . 01 23"),
        ("6.104e-05", "6 . 10 4 e-05"),
        ("6e-08", "6 e-08"),
        ("?.?", "? . ?"),
        ("[?, 2.66]", "[ ? , 2 . 66 ]"),
        ("'num_sys': 1, 'sys0': {", "'num_sys': 1 , 'sys0': {"),
        ("'name': 'lorenz', ", "'name': 'lorenz' ,"),
        ("[[], [], []]", "[ [ ] , [ ] , [ ] ]"),
        ("1[END][PAD][PAD]", "1 [END] [PAD] [PAD]"),
        ("", ""),
    ],
)
def test_text_is_cut_like_this(tokenizer, text, tokens):
    assert tokenizer.tokenize(text) == tokens.split()
    assert tokenizer(text)["input_ids"] == [IDS[token] for token in tokens.split()], "and nothing is put around it"
    check_text(text)


def test_ids_of_a_pair_follow_each_other(tokenizer):
    assert tokenizer("1", "2")["input_ids"] == [1, 2]


FINITE = [text for text in lorenz.halves.half_texts() if text[-1] not in "nf"]
NUMBERS = st.lists(st.sampled_from(FINITE), min_size=1, max_size=4).map(lambda numbers: "[" + ", ".join(numbers) + "]")
MATRIX = st.lists(NUMBERS, max_size=3).map(lambda rows: "[" + ", ".join(rows) + "]")


@st.composite
def worlds(draw) -> str:
    """Text of the form of a world, with any float16 in it and some numbers masked."""
    systems = "".join(
        f"'sys{i}': {{'params': {draw(NUMBERS)}, 'init_point': {draw(NUMBERS)}, 'step_size': 700, 'name': 'lorenz', "
        f"'step_multip': {draw(st.sampled_from([1, 2, 4, 8, 16, 32]))}}}, "
        for i in range(draw(st.integers(1, 5)))
    )
    frames = f"'normalization': {draw(MATRIX)}, 'embedding': [{draw(MATRIX)}, {draw(NUMBERS)}, {draw(MATRIX)}]"
    text = f"{{'description': {{'num_sys': {draw(st.integers(1, 5))}, {systems}{frames}}}, 'data': {draw(MATRIX)}}}"
    if draw(st.booleans()):
        text = re.sub(r"\d+\.", "?.", text, count=draw(st.integers(1, 3)))
    return text


@settings(deadline=None)
@given(worlds())
def test_any_world_comes_back(tokenizer, text):
    ids = tokenizer(text)["input_ids"]
    assert tokenizer.decode(ids) == squeezed(text)
    assert ids == [IDS[token] for token in tokenizer.tokenize(text)]
    check_text(text)


@settings(deadline=None)
@given(worlds(), st.sampled_from(["", " ", "  ", "\n", "\t ", "\u00a0"]))
def test_white_space_carries_nothing(tokenizer, text, space):
    assert tokenizer(text.replace(" ", space))["input_ids"] == tokenizer(text)["input_ids"]


@pytest.mark.parametrize(
    ("config", "worlds", "shortest", "longest"),
    [("lorenz-tiny", 40, 100, 300), ("lorenz-xsmall", 40, 864, 2866), ("lorenz", 4, 2866, 10**6)],
)
def test_worlds_that_were_drawn_come_back(tokenizer, config, worlds, shortest, longest):
    spec = lorenz.CONFIGS[config]
    texts = [world.text for world in lorenz.microcosm.draw_worlds(range(worlds), spec) if world]
    texts += lorenz.Lorenz(spec).block("train", 0, worlds).rows["text"].to_pylist()
    assert len(texts) > 1.5 * worlds
    for text, ids in zip(texts, tokenizer(texts, verbose=False)["input_ids"], strict=True):
        assert tokenizer.decode(ids) == squeezed(text)
        assert shortest <= len(ids) <= longest
        check_text(text)


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "é",
        "{'x': 1}",
        "'lorenz':",
        "1e-04",
        "nan",
        "-inf",
        "[MASK]",
        "1 + 1",
        "\u200b",
        "\x1c",
        "'sys5':",
        "(1)",
        "1;",
    ],
)
def test_what_the_ids_can_not_spell_is_refused(tokenizer, text):
    for around in ("{}", "'data': [1.5, {}, 2]"):
        with pytest.raises(Exception, match="UNK"):
            tokenizer(around.format(text))
        with pytest.raises(UserError, match=r"^character \d+ \(.+\) is not in the Lorenz vocabulary; a world holds"):
            check_text(around.format(text))


@settings(deadline=None)
@given(st.text(alphabet="0123456789{}[],.-? 'sysdatanumeloz:_E\n\x1c\u00a0é", max_size=12))
def test_both_ways_to_check_agree(tokenizer, text):
    """`check_text` refuses exactly what the tokenizer refuses; nothing vanishes in silence."""
    try:
        ids = tokenizer(text)["input_ids"]
    except Exception as error:
        assert "UNK" in str(error)
        with pytest.raises(UserError):
            check_text(text)
    else:
        check_text(text)
        assert tokenizer.decode(ids) == squeezed(text)


def test_the_place_of_a_bad_character_is_named():
    with pytest.raises(UserError, match=r"^character 6 \('é3\]'\)"):
        check_text("[1, 2,é3]")


def test_it_is_found_by_name_and_has_an_identity(tokenizer):
    assert "lorenz" in TOKENIZERS
    assert tokenizer_sha256(make_tokenizer("lorenz")) == tokenizer_sha256(tokenizer)
    with pytest.raises(UserError, match=r"tokenizer: 'lorentz' is unknown \(known: .*lorenz"):
        make_tokenizer("lorentz")


def test_the_saved_tokenizer_loads_without_hubkit(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    text = lorenz.sample_world(0, num_steps=10)
    code = """
import json, sys
sys.modules["hubkit"] = None
from transformers import AutoTokenizer
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
try:
    tokenizer("é")
    refused = False
except Exception:
    refused = True
print(json.dumps({
    "class": type(tokenizer).__name__, "ids": tokenizer(sys.argv[2])["input_ids"], "refused": refused,
    "special": [tokenizer.eos_token_id, tokenizer.mask_token_id, tokenizer.pad_token_id],
    "length": tokenizer.model_max_length, "inputs": tokenizer.model_input_names,
    "batch": tokenizer(["1", "[1, 2]"], padding=True)["input_ids"],
}))
"""
    environment = os.environ | {"HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", code, tmp_path, text]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "class": "TokenizersBackend",
        "ids": tokenizer(text)["input_ids"],
        "refused": True,
        "special": [17, 18, 19],
        "length": 3000,
        "inputs": ["input_ids", "attention_mask"],
        "batch": [[1, 19, 19, 19, 19], [12, 1, 14, 2, 13]],
    }


def test_saved_files_name_a_class_that_old_and_new_transformers_know(tokenizer, tmp_path):
    save_tokenizer(tokenizer, tmp_path)
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert not list(tmp_path.glob("*.py"))


def encoded(texts: list[str]) -> list[list[int]]:
    ids, offsets = encode_batch(pa.array(texts, pa.string()))
    assert (ids.dtype, offsets.dtype) == (np.uint16, np.int64)
    return [part.tolist() for part in np.split(ids, offsets[1:-1])] if texts else []


@settings(deadline=None, max_examples=50)
@given(st.lists(worlds(), min_size=1, max_size=4))
def test_a_batch_of_worlds_has_the_tokenizers_ids(tokenizer, texts):
    assert encoded(texts) == tokenizer(texts, verbose=False)["input_ids"]


def test_every_number_has_the_tokenizers_ids(tokenizer):
    assert encoded(FINITE) == tokenizer(FINITE)["input_ids"]


@settings(deadline=None, max_examples=300)
@given(st.text(alphabet="0123456789{}[],.-? 'sysdatanumeloz:_EP[END]AD\n\x1c\u00a0é", max_size=12))
def test_a_batch_takes_and_refuses_what_the_tokenizer_does(tokenizer, text):
    try:
        check_text(text)
    except UserError as error:
        with pytest.raises(UserError, match="^row 1: " + re.escape(str(error))):
            encode_batch(pa.array(["1", text]))
    else:
        assert encoded(["1", text, "2"]) == [[1], tokenizer(text)["input_ids"], [2]]


def test_batches_of_any_kind():
    texts = pa.array(["'data': [0.0001]", "", "e-05 ?", "[END]"])
    plain = [part.tolist() for part in encode_batch(texts)]
    for other in (texts.cast(pa.large_string()), pa.chunked_array([texts[:1], texts[1:]]), pa.concat_arrays([texts])):
        assert [part.tolist() for part in encode_batch(other)] == plain
    assert [part.tolist() for part in encode_batch(texts[1:3])] == [[138, 18], [0, 0, 2]]
    assert [part.tolist() for part in encode_batch(texts[:0])] == [[], [0]]
    with pytest.raises(UserError, match="row 1: text is null"):
        encode_batch(pa.array(["1", None]))
