"""Models are loaded by their own classes, and code that lies beside the weights is never run unasked."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from hubkit.errors import UserError
from hubkit.models.gpt_neox import GPTNeoXSpec
from hubkit.models.loading import CAUSAL, MASKED, architecture_files, auto_class, load_model, read_config
from hubkit.models.minigpt import MiniGPTForCausalLM, MiniGPTSpec
from hubkit.models.recurrent import RecurrentForCausalLM, RecurrentSpec
from hubkit.tokenizers.characters import character_tokenizer

TOKENIZER = character_tokenizer("AB")
torch.set_num_threads(1)


def saved(folder: Path, spec: Any) -> Any:
    torch.manual_seed(0)
    model = spec.make(TOKENIZER, 16).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("spec", "kind"),
    [
        (MiniGPTSpec(n_layer=1, n_head=2, n_embd=16), MiniGPTForCausalLM),
        (RecurrentSpec(hidden_size=8, num_hidden_layers=1), RecurrentForCausalLM),
    ],
    ids=["minigpt", "recurrent"],
)
def test_our_architectures_are_loaded_by_our_classes_and_not_by_the_code_beside_them(spec, kind, tmp_path):
    model = saved(tmp_path, spec)
    for path in tmp_path.glob("*.py"):
        path.write_text("raise SystemExit('this was not to be run')")
    loaded = load_model(tmp_path)
    assert type(loaded) is kind and not loaded.training
    ids = torch.tensor([[2, 0, 1, 0]])
    with torch.inference_mode():
        assert torch.equal(loaded(input_ids=ids).logits.cpu(), model(input_ids=ids).logits)


def test_a_stock_architecture_needs_no_trust(tmp_path):
    saved(tmp_path, GPTNeoXSpec(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32))
    assert type(load_model(tmp_path)).__name__ == "GPTNeoXForCausalLM"


def change(folder: Path, **fields: Any) -> None:
    config = read_config(folder) | fields
    (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model_type": "elsewhere"},
            r"its architecture elsewhere is code of its own repository \(configuration_minigpt",
        ),
        ({"architectures": ["MiniGPTModel"]}, "has MiniGPTModel; a causal or a masked language model is needed"),
        ({"architectures": None}, "has no head; a causal or a masked language model is needed"),
        ({"architectures": ["OtherForCausalLM"]}, "hubkit's minigpt has no OtherForCausalLM; save the model again"),
        ({"n_head": 3}, r"can't be loaded: .*n_embd: 16 is not a multiple of n_head 3"),
    ],
)
def test_what_can_not_be_loaded_is_refused(fields, message, tmp_path):
    saved(tmp_path, MiniGPTSpec(n_layer=1, n_head=2, n_embd=16))
    change(tmp_path, **fields)
    with pytest.raises(UserError, match=message):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "has no config.json"), ("{", "is not valid JSON"), ("[]", "is not an object; save the model again")],
)
def test_a_folder_without_a_config_is_refused(content, message, tmp_path):
    if content is not None:
        (tmp_path / "config.json").write_text(content)
    with pytest.raises(UserError, match=message):
        load_model(tmp_path)


def test_weights_that_are_damaged_are_refused(tmp_path):
    saved(tmp_path, MiniGPTSpec(n_layer=1, n_head=2, n_embd=16))
    weights = tmp_path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(UserError, match="can't be loaded"):
        load_model(tmp_path)


def test_weights_that_are_missing_are_not_drawn_anew(tmp_path):
    saved(tmp_path, MiniGPTSpec(n_layer=1, n_head=2, n_embd=16))
    weights = load_file(tmp_path / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(
        UserError, match=r"lacks weights of this architecture \(lm_head.weight\); save or fetch it again"
    ):
        load_model(tmp_path)


def test_tied_weights_are_stored_once_and_not_missed(tmp_path):
    saved(tmp_path, MiniGPTSpec(n_layer=1, n_head=2, n_embd=16, tie_embeddings=True))
    loaded: Any = load_model(tmp_path)
    assert loaded.lm_head.weight is loaded.model.embed_tokens.weight


def test_files_of_an_architecture_are_those_that_are_published():
    names = [path.name for path in architecture_files("minigpt")]
    assert names == [f"{part}_minigpt.py" for part in ("configuration", "layers", "linear", "modeling")]
    assert architecture_files("gpt_neox") == architecture_files("../models") == architecture_files("") == []


def test_what_a_head_is_for_tells_the_class():
    assert auto_class({"architectures": ["GPT2LMHeadModel"]}) == CAUSAL
    assert auto_class({"architectures": ["RobertaForMaskedLM"]}) == MASKED
    assert auto_class({}) is None
