"""Stock GPT-NeoX: Pythia's shapes, and what training asks of transformers' own model."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import GPTNeoXForCausalLM, PreTrainedTokenizerFast

from hubkit.errors import UserError
from hubkit.models.gpt_neox import SIZES, GPTNeoXSpec

torch.set_num_threads(1)
VOCABULARY, PAD = 23, 0
SMALL = GPTNeoXSpec(hidden_size=16, num_hidden_layers=2, num_attention_heads=2)


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": PAD, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, VOCABULARY)}
    inner = Tokenizer(WordLevel(words, unk_token="w3"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def model(**fields) -> GPTNeoXForCausalLM:
    """Weights large enough that every token matters."""
    torch.manual_seed(3)
    return SMALL.model_copy(update={"initializer_range": 0.5, **fields}).make(tokenizer(), 12).eval()


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(3, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(
    ("size", "total"),
    [("pythia-14m", 14_067_712), ("pythia-31m", 30_494_720), ("pythia-70m", 70_426_624), ("pythia-160m", 162_322_944)],
)
def test_sizes_are_those_that_eleutherai_published(size, total):
    """Of 14m and 31m the model cards give the numbers without embeddings, 1,189,888 and 4,739,072."""
    with torch.device("meta"):
        made = GPTNeoXSpec(size=size, vocab_size=50304).make(tokenizer(), longest=9)
    width, layers, _ = SIZES[size]
    inside = layers * (12 * width**2 + 13 * width) + 2 * width
    assert sum(weight.numel() for weight in made.parameters()) == inside + 2 * 50304 * width == total
    assert made.config.max_position_embeddings == 2048 and made.config.intermediate_size == 4 * width
    assert {"pythia-14m": 1_189_888, "pythia-31m": 4_739_072}.get(size, inside) == inside


def test_the_spec_says_the_shape_and_the_tokenizer_the_ids():
    spec = GPTNeoXSpec(size="pythia-70m", num_hidden_layers=1, num_attention_heads=4, intermediate_size=24,
                       hidden_size=32, rotary_pct=0.5, use_parallel_residual=False, attention_dropout=0.1,
                       hidden_dropout=0.2, initializer_range=0.3, tie_word_embeddings=True)  # fmt: skip
    made = spec.make(tokenizer(), longest=3000)
    config = made.config
    same = {"size", "architecture", "vocab_size", "max_length", "rotary_pct"}
    for name, value in spec.model_dump(exclude=same).items():
        assert getattr(config, name) == value, name
    assert (config.vocab_size, config.pad_token_id, config.bos_token_id, config.eos_token_id) == (VOCABULARY, 0, 1, 2)
    assert config.rope_parameters["partial_rotary_factor"] == 0.5 and config.max_position_embeddings == 3000
    assert made.lm_head.weight is made.gpt_neox.embed_in.weight and spec.kind == "causal"


def test_fresh_weights_come_from_torchs_generator_alone():
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return torch.cat([weight.flatten() for weight in SMALL.make(tokenizer(), 9).parameters()])

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_attention_heads": 3}, "hidden_size 128 is not a multiple of num_attention_heads 3; change one of them"),
        ({"rotary_pct": 0.01}, "rotary_pct: 0.01 of a head's 32 dimensions is 0; rotary positions turn them in pairs"),
        ({"rotary_pct": 0.1}, "rotary_pct: 0.1 of a head's 32 dimensions is 3; rotary positions turn them in pairs"),
        ({"size": "pythia-7b"}, "pythia-14m"),
    ],
    ids=["heads", "no-rotary", "odd-rotary", "size"],
)
def test_impossible_shapes_are_refused(fields, message):
    with pytest.raises(ValidationError, match=message):
        GPTNeoXSpec.model_validate(fields)


def test_what_does_not_fit_the_data_is_refused():
    with pytest.raises(UserError, match=r"model.max_length: 8 is less than the longest .* 9 tokens; raise it"):
        GPTNeoXSpec(max_length=8).make(tokenizer(), longest=9)
    with pytest.raises(UserError, match=r"model.vocab_size: 22 is less than the 23 tokens of the tokenizer; raise it"):
        GPTNeoXSpec(vocab_size=22).make(tokenizer(), longest=9)
    assert GPTNeoXSpec(max_length=9).make(tokenizer(), longest=9).config.max_position_embeddings == 9


def test_the_spec_needs_no_torch():
    code = "import sys, hubkit.models.gpt_neox; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- what training asks of the stock model ---------------------------------------------------------------------------


def test_shifted_labels_are_taken_as_they_are_beside_labels():
    """The stock model looks at `labels` first: without them it gives no loss at all."""
    ids, stock = rows(2, 6), model()
    targets = rows(2, 6, seed=1)
    targets[0, :4] = -100
    expected = torch.nn.functional.cross_entropy(stock(ids).logits.flatten(0, 1), targets.flatten())
    assert torch.allclose(stock(ids, labels=ids, shift_labels=targets).loss, expected)
    assert stock(ids, shift_labels=targets).loss is None


def test_documents_are_isolated_by_positions_only_without_a_cache():
    ids, stock = rows(2, 12), model()
    positions = torch.tensor([[*range(5), *range(7)]]).expand(2, -1)
    alone = torch.cat([stock(ids[:, :5]).logits, stock(ids[:, 5:]).logits], 1)
    packed = stock(ids, position_ids=positions, use_cache=False).logits
    assert torch.allclose(packed, alone, atol=1e-4)
    with_cache = stock.train()(ids, position_ids=positions).logits  # the default, also in training
    assert not torch.allclose(with_cache, alone, atol=1e-2)


def test_no_position_sees_the_future():
    ids, stock = rows(1, 8), model()
    other = ids.clone()
    other[0, 4] = 3 + (ids[0, 4] - 2) % (VOCABULARY - 3)
    before, after = stock(ids).logits[0], stock(other).logits[0]
    assert torch.allclose(before[:4], after[:4], atol=1e-5)
    assert ((before[4:] - after[4:]).abs().amax(1) > 1e-4).all()


@pytest.mark.parametrize("way", [{}, {"num_beams": 3}], ids=["greedy", "beams"])
def test_left_padding_changes_nothing(way):
    stock, lengths = model(), (6, 4, 1)
    ask = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": PAD, "eos_token_id": None, **way}
    prompts = [rows(1, length, seed=length) for length in lengths]
    padded = torch.cat([torch.nn.functional.pad(prompt, (6 - prompt.shape[1], 0), value=PAD) for prompt in prompts])
    together = stock.generate(padded, attention_mask=(padded != PAD).long(), **ask)
    for row, prompt in zip(together, prompts, strict=True):
        assert torch.equal(row[6 - prompt.shape[1] :], stock.generate(prompt, **ask)[0])


# The losses of 20 steps; a change of theirs is a change of the model, to be explained where it is made.
GOLDEN = json.loads((Path(__file__).parent / "data" / "gpt_neox_losses.json").read_text())


def test_golden_losses():
    assert losses() == pytest.approx(GOLDEN, rel=1e-4)


def losses() -> list[float]:
    """20 steps of AdamW on one batch of packed documents."""
    torch.manual_seed(0)
    made = SMALL.make(tokenizer(), 12)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.01)
    ids, found = rows(4, 13, seed=5), []
    for _ in range(20):
        loss = made(ids[:, :-1], labels=ids[:, :-1], shift_labels=ids[:, 1:].contiguous(), use_cache=False,
                    position_ids=(torch.arange(12) % 7).expand(4, -1)).loss  # fmt: skip
        found.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return found


LOAD = """
import sys
sys.modules["hubkit"] = None  # an import of it would fail
import torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1])
torch.save(model(torch.load("ids.pt")).logits, "logits.pt")
"""


@pytest.mark.soak  # tests/e2e/test_clean_venv.py does it over a Hub
def test_what_is_saved_loads_with_transformers_alone_and_no_trust(tmp_path):
    stock, ids = model(), rows(2, 7)
    stock.save_pretrained(tmp_path / "model")
    torch.save(ids, tmp_path / "ids.pt")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOAD, str(tmp_path / "model")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    assert torch.equal(torch.load(tmp_path / "logits.pt"), stock(ids).logits)
    assert not list((tmp_path / "model").glob("*.py"))
