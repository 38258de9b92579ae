"""RoBERTa: its positions, its heads, and that what is saved loads anywhere."""

import subprocess
import sys

import pytest
import torch
from pydantic import ValidationError

from hubkit.errors import UserError
from hubkit.models.roberta import RobertaSpec
from hubkit.tokenizers import save_tokenizer
from hubkit.tokenizers.lorenz import lorenz_tokenizer

SPEC = RobertaSpec(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
TOKENIZER = lorenz_tokenizer()
PAD = TOKENIZER.pad_token_id


def test_the_longest_row_fits_and_one_token_more_does_not():
    """The trap: positions begin at pad_token_id + 1, whatever that id is (here 19, in the stock model 1)."""
    torch.set_num_threads(1)
    model = SPEC.make(TOKENIZER, longest=30).eval()
    assert PAD == 19 and model.config.max_position_embeddings == 30 + 19 + 1
    assert torch.isfinite(model(torch.full((1, 30), 5)).logits).all()
    with pytest.raises((IndexError, RuntimeError), match=r"out of (bounds|range)"):
        model(torch.full((1, 31), 5))


def test_padding_changes_nothing():
    torch.set_num_threads(1)
    model = SPEC.make(TOKENIZER, longest=12).eval()
    row = torch.tensor([[10, 5, 6, 7, 11]])
    padded = torch.tensor([[10, 5, 6, 7, 11, PAD, PAD]])
    there = (padded != PAD).long()
    assert torch.allclose(model(row).logits, model(padded, attention_mask=there).logits[:, :5], atol=1e-6)


def test_the_shape_is_what_the_spec_says():
    spec = RobertaSpec(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
                       hidden_dropout_prob=0.0, initializer_range=0.5, hidden_act="relu")  # fmt: skip
    config = spec.make(TOKENIZER, longest=9).config
    for name, value in spec.model_dump(exclude={"architecture", "max_length"}).items():
        assert getattr(config, name) == value
    assert (config.vocab_size, config.pad_token_id, config.eos_token_id, config.bos_token_id) == (142, 19, 17, None)


def test_fresh_weights_come_from_torchs_generator_alone():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in SPEC.make(TOKENIZER, 9).parameters()])

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


def test_heads_must_divide_the_width():
    with pytest.raises(ValidationError, match="hidden_size 16 is not a multiple of num_attention_heads 3; "):
        RobertaSpec(hidden_size=16, num_attention_heads=3)


def test_a_longer_limit_is_kept_and_longer_data_are_refused():
    spec = SPEC.model_copy(update={"max_length": 40})
    assert spec.make(TOKENIZER, longest=30).config.max_position_embeddings == 40 + PAD + 1
    with pytest.raises(UserError, match=r"model\.max_length: 40 is less than the longest .* 41 tokens; raise it"):
        spec.make(TOKENIZER, longest=41)


RELOAD = """
import sys
sys.modules["hubkit"] = None  # an import of it fails
import torch
from safetensors.torch import load_file
from transformers import AutoModelForMaskedLM, AutoTokenizer
folder = sys.argv[1]
torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(folder)
model = AutoModelForMaskedLM.from_pretrained(folder, use_safetensors=True).eval()
ids = tokenizer(open(folder + "/text").read(), return_tensors="pt")
expected = load_file(folder + "/expected")
with torch.inference_mode():
    logits = model(**ids).logits
print(torch.equal(ids["input_ids"], expected["ids"]), torch.equal(logits, expected["logits"]), type(model).__name__)
"""


@pytest.mark.soak  # tests/e2e/test_clean_venv.py does it over a Hub
def test_a_process_without_hubkit_loads_it_and_computes_the_same_bits(tmp_path):
    from safetensors.torch import save_file

    torch.set_num_threads(1)
    text = "{'description': {'num_sys': 1, 'sys0': {'params': [?.13, 2.66, 25.02]}}, 'data': [[1.5, -0.25]]}"
    model = SPEC.make(TOKENIZER, longest=60).eval()
    model.save_pretrained(tmp_path)
    save_tokenizer(lorenz_tokenizer(), tmp_path)
    encoded = TOKENIZER(text, return_tensors="pt")
    with torch.inference_mode():
        logits = model(**encoded).logits
    save_file({"ids": encoded["input_ids"], "logits": logits}, tmp_path / "expected")
    (tmp_path / "text").write_text(text)
    done = subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "RobertaForMaskedLM"]
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".safetensors", ""}, "no pickle"
