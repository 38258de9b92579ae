"""Sizes and their parameters, the spec, the refusals, and GPT-2's checkpoints."""

import subprocess
import sys

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from hubkit.errors import UserError
from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM, MiniGPTSpec, load_gpt2
from hubkit.models.minigpt.configuration_minigpt import swiglu_width
from hubkit.models.minigpt.sizes import SIZES


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def letters(text="AB{},_"):
    vocabulary = {letter: number for number, letter in enumerate(text)}
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel(vocabulary, unk_token="_")), bos_token="{", eos_token="}", pad_token="_"
    )


def parameters(**fields):
    """Return the number of parameters, without their memory."""
    with torch.device("meta"):
        return MiniGPTForCausalLM(MiniGPTConfig(**fields)).num_parameters()


def expected(L, D, V, T, mlp=None, tied=False):
    """Return GPT-2's count with an untied head: two norms, attention and MLP a block, with biases."""
    block = 4 * D + (3 * D * D + 3 * D) + (D * D + D) + (8 * D * D + 5 * D if mlp is None else mlp)
    return V * D + T * D + L * block + 2 * D + (0 if tied else V * D)


@pytest.mark.parametrize("size", [name for name in SIZES if name != "rewriting"])
def test_the_parameters_of_a_size(size):
    L, D = SIZES[size]["n_layer"], SIZES[size]["n_embd"]
    assert parameters(**SIZES[size], vocab_size=50257, block_size=256) == expected(L, D, 50257, 256)
    swiglu = parameters(**SIZES[size], vocab_size=50257, block_size=256, mlp="swiglu")
    hidden = swiglu_width(D)
    assert swiglu == expected(L, D, 50257, 256, mlp=3 * D * hidden + 2 * hidden + D)
    blocks = parameters(**SIZES[size], vocab_size=1, block_size=1)
    assert abs(parameters(**SIZES[size], vocab_size=1, block_size=1, mlp="swiglu") / blocks - 1) < 0.02


@pytest.mark.parametrize(
    ("size", "millions"),
    [("nano", 4.9), ("micro", 13.7), ("mini", 22.0), ("small", 55.7), ("gpt1", 162), ("medium", 405.5), ("xl", 1637)],
)
def test_the_sizes_of_arrows_of_time_are_those_of_its_paper(size, millions):
    """arXiv 2401.17505: context 256, byte-level BPE with 50,257 ids."""
    found = parameters(**SIZES[size], vocab_size=50257, block_size=256, mlp="gelu_exact") / 1e6
    assert found == pytest.approx(millions, abs=0.5 if millions > 100 else 0.06)


def test_gpt2_itself_has_the_parameters_that_it_has():
    assert parameters(tie_embeddings=True) == 124_439_808


def test_the_rewriting_preset_has_14086_parameters():
    model = MiniGPTSpec(size="rewriting").make(letters(), longest=20)
    assert model.num_parameters() == 14_086
    assert model.config.block_size == 32 and model.config.mlp == "relu"


@given(st.integers(8, 4096))
def test_swiglu_is_matched_within_two_percent_where_whole_numbers_can(width):
    hidden = swiglu_width(width)
    assert abs(hidden - 8 * width / 3) <= max(0.02 * 8 * width / 3, 0.5)


def test_swiglu_at_gpt2s_width_is_a_multiple_of_64():
    assert [swiglu_width(width) for width in (768, 1024, 128, 48)] == [2048, 2752, 336, 128]


# --- the spec ---------------------------------------------------------------------------------------------------------


def test_a_field_beside_the_size_goes_first():
    spec = MiniGPTSpec.build({"size": "mini", "n_layer": 2, "mlp": "swiglu"})
    assert (spec.n_layer, spec.n_head, spec.n_embd, spec.mlp, spec.dropout) == (2, 6, 192, "swiglu", 0.0)
    assert MiniGPTSpec.build({}, ["size=gopher-44m"]).n_head == 16
    assert MiniGPTSpec() == MiniGPTSpec(size="nano")


def test_a_spec_comes_back_from_its_json():
    for spec in (MiniGPTSpec(size="rewriting", mlp="gelu"), MiniGPTSpec(size="gpt2", position="rope", n_head=6)):
        again = MiniGPTSpec.model_validate_json(spec.canonical_json())
        assert again == spec and again.sha256 == spec.sha256


def test_the_model_is_what_spec_and_tokenizer_say():
    spec = MiniGPTSpec(n_layer=2, n_head=2, n_embd=16, mlp="swiglu", mlp_hidden=24, position="rope", rope_theta=500,
                       norm="rmsnorm", norm_eps=1e-4, tie_embeddings=True, dropout=0.2, bias=False, qkv_bias=True,
                       head_bias=True, initializer_range=0.1)  # fmt: skip
    config = spec.make(letters(), longest=9).config
    for name, value in spec.model_dump(exclude={"architecture", "size", "block_size"}).items():
        assert getattr(config, name) == value, name
    special = (config.vocab_size, config.bos_token_id, config.eos_token_id, config.pad_token_id)
    assert (*special, config.block_size) == (6, 2, 3, 5, 9)
    assert (config.hidden_size, config.num_hidden_layers, config.num_attention_heads) == (16, 2, 2)
    assert config.max_position_embeddings == 9


def test_fresh_weights_come_from_torchs_generator_alone():
    def weights(seed):
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in MiniGPTSpec(size="rewriting").make(letters(), 9).parameters()])

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


def test_longer_data_than_the_block_are_refused():
    with pytest.raises(UserError, match=r"model\.block_size: 32 is less than the longest .* 33 tokens; raise it"):
        MiniGPTSpec(size="rewriting").make(letters(), longest=33)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"size": "huge"}, "size: Input should be 'nano', "),
        ({"size": 3}, "size: Input should be 'nano', "),
        ({"n_embd": 50}, "n_embd 50 is not a multiple of n_head 3; change one of them"),
        ({"n_embd": 9, "position": "rope"}, "heads of 3, and rope turns pairs; make that even, or use learned"),
        ({"layers": 3}, "layers is not a field"),
        ({"dropout": 1.0}, "dropout: Input should be less than 1"),
    ],
)
def test_a_spec_says_what_is_wrong(values, message):
    with pytest.raises(UserError, match=message):
        MiniGPTSpec.build(values)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"n_layer": 0}, "n_layer: 0 is less than 1; give a positive number"),
        ({"n_head": 5}, "n_embd: 768 is not a multiple of n_head 5; change one of them"),
        ({"n_embd": 36, "position": "rope"}, "12 heads of n_embd 36 are 3 wide, and rope turns pairs; make that even"),
        ({"dropout": 1.0}, r"dropout: 1\.0 is not a probability below 1; give one in \[0, 1\)"),
        ({"norm_eps": 0.0}, r"norm_eps: 0\.0 is not positive; give a number above 0"),
        ({"direction": "both"}, "direction_tokens: None does not give the first token of each direction; write"),
        ({"mlp": "mish"}, "'mlp' expected one of .*'swiglu'"),
        ({"direction": "upward"}, "'direction' expected one of .*'backward'"),
    ],
)
def test_a_configuration_says_what_is_wrong(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        MiniGPTConfig(**fields)


def test_both_directions_are_told_apart_by_tokens(tmp_path):
    config = MiniGPTConfig(direction="both", direction_tokens={"forward": 3, "backward": 4})
    config.save_pretrained(tmp_path)
    again = MiniGPTConfig.from_pretrained(tmp_path)
    assert again.direction == "both" and again.direction_tokens == {"forward": 3, "backward": 4}


def test_the_spec_loads_no_torch():
    code = "import sys, hubkit.models.minigpt\nprint([n for n in ('torch', 'transformers') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# --- GPT-2 ------------------------------------------------------------------------------------------------------------


def save_gpt2(folder, **fields):
    torch.manual_seed(0)
    shape = {"vocab_size": 50, "n_positions": 20, "n_embd": 16, "n_layer": 2, "n_head": 2, "initializer_range": 0.3}
    model = GPT2LMHeadModel(GPT2Config(**(shape | {"bos_token_id": 1, "eos_token_id": 2} | fields))).eval()
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            torch.nn.init.normal_(weight)
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"tie_word_embeddings": False},
        {"activation_function": "gelu", "n_inner": 24},
        {"activation_function": "relu", "layer_norm_epsilon": 1e-3},
    ],
    ids=["stock", "untied", "exact", "relu"],
)
def test_a_gpt2_checkpoint_gives_the_same_logits(tmp_path, fields):
    theirs = save_gpt2(tmp_path, **fields)
    ours = load_gpt2(tmp_path)
    ids = torch.randint(0, 50, (3, 20), generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(ours(ids).logits, theirs(ids).logits, atol=1e-5)
    settings = {"max_new_tokens": 10, "do_sample": False, "pad_token_id": 0}
    assert torch.equal(ours.generate(ids[:, :5], **settings), theirs.generate(ids[:, :5], **settings))
    assert ours.num_parameters() == theirs.num_parameters() and ours.config.eos_token_id == 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activation_function": "silu"}, "activation_function: 'silu' is none of MiniGPT's"),
        ({"scale_attn_by_inverse_layer_idx": True}, "scale_attn_by_inverse_layer_idx: True has no counterpart"),
        ({"scale_attn_weights": False}, "scale_attn_weights: False has no counterpart in MiniGPT; it must be True"),
    ],
)
def test_a_gpt2_that_minigpt_cannot_be_is_refused(tmp_path, fields, message):
    save_gpt2(tmp_path, **fields)
    with pytest.raises(UserError, match=message):
        load_gpt2(tmp_path)


def test_what_is_no_gpt2_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"checkpoint: .* can't be read: "):
        load_gpt2(tmp_path / "nothing")
    from transformers import GPTNeoXConfig

    GPTNeoXConfig().save_pretrained(tmp_path)
    with pytest.raises(UserError, match="is a gpt_neox; a gpt2 is needed"):
        load_gpt2(tmp_path)
