"""Encoding, refusing and filling, without the page."""

import json

import pytest


@pytest.fixture(scope="module")
def filling(demo):
    return demo("filling")


@pytest.fixture(scope="module")
def filler(filling, tiny_model):
    return filling.Filler.load(filling.Pin(str(tiny_model), None))


def test_each_mask_gets_its_likeliest_tokens(filler, world):
    text = world.replace("[10.05", "[?.05").replace("-0.61", "-?.61")
    answer = filler.fill(text)
    assert json.loads(json.dumps(answer)) == answer
    assert [(mask["index"], text[mask["start"]]) for mask in answer["masks"]] == [(1, "?"), (2, "?")]
    assert answer["masks"][0]["context"] == "…params': [?.05, 2.771…"
    for mask in answer["masks"]:
        probabilities = [pair["probability"] for pair in mask["tokens"]]
        assert len(probabilities) == 10
        assert probabilities == sorted(probabilities, reverse=True)
        assert 0.9 < sum(probabilities) < 1
        assert mask["filled"] == mask["tokens"][0]["token"] == "10"
    assert answer["filled"] == world.replace("-0.61", "-10.61")


def test_probabilities_are_those_of_the_model(filler, world):
    import torch

    text = world.replace("[10.05", "[?.05")
    encoded = filler.encode(text)
    logits = filler.model(input_ids=torch.tensor([encoded.ids])).logits[0, encoded.masks[0]]
    expected = logits.softmax(-1).max().item()
    assert filler.fill(text)["masks"][0]["tokens"][0]["probability"] == pytest.approx(expected, rel=1e-5)


def test_a_mask_is_never_filled_with_a_special_token(filler, world):
    bias = filler.model.lm_head.bias.data
    kept = bias.clone()
    try:
        bias[filler.tokenizer.pad_token_id] = 30.0
        mask = filler.fill(world.replace("[10.05", "[?.05"))["masks"][0]
    finally:
        bias.copy_(kept)
    assert mask["tokens"][0]["token"] == "[PAD]"
    assert mask["filled"] == "10"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "There is nothing to fill"),
        (" \n\t", "There is nothing to fill"),
        ("{'data': [[1.0]]}", r"There is no mask in the text: write \?"),
        ("?" * 17, "The text has 17 masks; at most 16"),
        ("? " + "1 " * 380, "The text is 381 tokens long; this model reads at most 380"),
        ("?" + "1" * 100_000, "The text is 100,001 characters long; at most 100,000"),
        (
            "{'data': [[é?.5]]}",
            r"Character 12, “é” \(latin small letter e with acute\), is foreign .*: …'data': \[\[é",
        ),
        ("{'dota': [?]}", "Character 2, “'”"),
        ("?\x00", r"Character 2, \(U\+0000\)"),
        ("1\ud800?", r"Character 2, \(U\+D800\)"),
        ("[?, 😀]", r"Character 5, “😀” \(grinning face\)"),
    ],
)
def test_what_cant_be_filled_is_refused_with_its_reason(filling, filler, text, message):
    with pytest.raises(filling.Refused, match=message) as refusal:
        filler.fill(text)
    str(refusal.value).encode()


def test_the_longest_text_is_filled(filler):
    assert filler.limit == 380
    assert filler.fill("? " + "1 " * 379)["length"] == 380


def test_a_model_that_counts_positions_from_zero_reads_all_of_them(filling, filler):
    from transformers import BertConfig, BertForMaskedLM

    config = BertConfig(vocab_size=142, hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8)
    assert filling.Filler(filler.tokenizer, BertForMaskedLM(config)).limit == 512


class TestHidden:
    def test_is_found_wherever_the_world_was_masked(self, filler, world):
        masked = world.replace("[10.05", "[?.05").replace("0.57", "0.?")
        assert filler.hidden(world, masked) == ["10", "57"]

    def test_is_kept_when_a_little_else_was_edited(self, filler, world):
        edited = world.replace("[10.05", "[?.05").replace("'step_multip': 8", "'step_multip': 4")
        assert filler.hidden(world, edited) == ["10"]

    def test_is_unknown_where_the_original_was_masked(self, filler, world):
        masked = world.replace("[10.05", "[?.05")
        assert filler.hidden(masked, masked.replace("0.57", "0.?")) == [None, "57"]

    @pytest.mark.parametrize("other", ["[?]", "é"])
    def test_is_empty_for_another_text(self, filler, world, other):
        assert filler.hidden(world, other) == []

    def test_is_empty_for_another_world_of_the_same_length(self, filler, world):
        unsigned = world.replace("[10.05", "[?.05").replace("-", "")
        other = unsigned.replace("'data': [[", "'data': [[" + "-" * world.count("-"))
        assert len(filler.encode(other).ids) == len(filler.encode(world).ids)
        assert filler.hidden(world, other) == []
