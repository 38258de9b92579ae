"""MiniGPT's function: its switches, positions, norms, masks, packing, losses, and that a reload gives the bits."""

import itertools
import math
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from transformers import AttentionInterface, AttentionMaskInterface, AutoModelForCausalLM

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.models.minigpt.layers_minigpt import rotate, rotation_of
from hubkit.models.own import register

MODERN = {"position": "rope", "mlp": "swiglu", "norm": "rmsnorm"}
VARIANTS = {"plain": {}, "modern": MODERN}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def tiny(seed=0, **fields):
    torch.manual_seed(seed)
    shape = {"vocab_size": 40, "n_layer": 2, "n_head": 2, "n_embd": 16, "block_size": 24, "initializer_range": 0.2}
    return MiniGPTForCausalLM(MiniGPTConfig(**(shape | fields))).eval()


def tokens(rows=2, length=12, seed=1, vocabulary=40):
    return torch.randint(0, vocabulary, (rows, length), generator=torch.Generator().manual_seed(seed))


BIASES = ({}, {"bias": False}, {"qkv_bias": False, "head_bias": True})
SWITCHES = {
    "mlp": ("gelu", "gelu_exact", "relu", "swiglu"),
    "position": ("learned", "rope"),
    "norm": ("layernorm", "rmsnorm"),
    "tie_embeddings": (False, True),
    "dropout": (0.0, 0.1),
}
COMBINATIONS = [
    dict(zip(SWITCHES, values, strict=True)) | biases
    for biases in BIASES
    for values in itertools.product(*SWITCHES.values())
]


def gradients(fields):
    model = tiny(n_layer=1, n_embd=8, **fields).train()
    torch.manual_seed(2)
    loss = model(tokens(), labels=tokens()).loss
    loss.backward()
    return torch.cat([loss.detach()[None], *(weight.grad.flatten() for weight in model.parameters())])


@pytest.mark.parametrize("part", range(3))
def test_every_combination_of_switches_is_finite_and_repeatable(part):
    for number, fields in enumerate(COMBINATIONS[part::3]):
        first = gradients(fields)
        assert torch.isfinite(first).all(), fields
        if number % 4 == part:
            assert torch.equal(first, gradients(fields)), fields


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@given(place=st.integers(1, 11))
@settings(max_examples=6, deadline=None)
def test_no_position_sees_the_future(variant, attention, place):
    model = tiny(attn_implementation=attention, **VARIANTS[variant])
    one, other = tokens(), tokens()
    other[:, place:] = (other[:, place:] + 1) % 40
    with torch.no_grad():
        a, b = model(one).logits, model(other).logits
    assert torch.equal(a[:, :place], b[:, :place])
    assert not torch.isclose(a[:, place], b[:, place]).all()


def test_fresh_weights_have_the_deviations_of_gpt2():
    torch.manual_seed(0)
    model = MiniGPTForCausalLM(MiniGPTConfig(vocab_size=500, n_layer=4, n_head=4, n_embd=128, mlp="swiglu"))
    for name, weight in model.named_parameters():
        if name.endswith("bias"):
            assert not weight.any()
        elif "norm" in name:
            assert (weight == 1).all()
        else:
            expected = 0.02 / math.sqrt(8) if name.endswith(("out.weight", "down.weight")) else 0.02
            assert weight.std().item() == pytest.approx(expected, rel=0.03), name


# --- positions and norms ----------------------------------------------------------------------------------------------


def slowly_rotated(vector, position, theta):
    """Rotary positions by their definition: pair (i, i + d/2) is a complex number, turned."""
    half = len(vector) // 2
    turned = [0.0] * len(vector)
    for i in range(half):
        number = complex(vector[i], vector[i + half]) * complex(
            math.cos(position * theta ** (-2 * i / len(vector))), math.sin(position * theta ** (-2 * i / len(vector)))
        )
        turned[i], turned[i + half] = number.real, number.imag
    return turned


@given(
    st.integers(0, 4000), st.sampled_from([10000.0, 500.0]), st.lists(st.floats(-3, 3), min_size=8, max_size=8)
)  # fmt: skip
@settings(max_examples=30, deadline=None)
def test_rope_is_its_definition(position, theta, vector):
    heads = torch.tensor(vector).view(1, 1, 1, 1, 8)
    found = rotate(heads, rotation_of(torch.tensor([[position]]), 8, theta)).flatten()
    assert torch.allclose(found, torch.tensor(slowly_rotated(vector, position, theta)), atol=2e-3)


def test_rope_sees_distances_only_and_has_no_end():
    model = tiny(**MODERN)
    ids = tokens(length=40)
    near, far = torch.arange(40)[None], torch.arange(40)[None] + 1000
    with torch.no_grad():
        assert torch.allclose(
            model(ids, position_ids=near).logits, model(ids, position_ids=far).logits, atol=1e-3
        )  # fmt: skip


def test_rmsnorm_is_its_formula():
    model = tiny(norm="rmsnorm", norm_eps=0.3)
    norm = model.model.norm
    x, gain = torch.randn(5, 16), torch.randn(16)
    norm.weight.data = gain
    assert torch.allclose(norm(x), x / (x.pow(2).mean(-1, keepdim=True) + 0.3).sqrt() * gain, atol=1e-6)


def test_learned_positions_end_and_say_so():
    model = tiny()
    with pytest.raises(ValueError, match=r"input_ids: 25 tokens are more than the model's block_size 24; shorten"):
        model(tokens(length=25))
    with pytest.raises(ValueError, match="25 tokens are more"):
        model.generate(tokens(length=20), max_new_tokens=9, do_sample=False)
    restarting = (torch.arange(30) % 15)[None]
    assert model(tokens(length=30), position_ids=restarting).logits.shape == (2, 30, 40)


def test_inputs_come_once():
    with pytest.raises(ValueError, match="input_ids: give either these or inputs_embeds"):
        tiny()()


# --- masks ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("side", ["left", "right"])
def test_padding_changes_nothing(attention, variant, side):
    model = tiny(attn_implementation=attention, **VARIANTS[variant])
    row = tokens(1, 7)
    filler = torch.zeros(1, 5, dtype=torch.long)
    parts = (filler, row) if side == "left" else (row, filler)
    there = torch.cat([(part is row) * torch.ones_like(part) for part in parts], 1)
    place = slice(5, None) if side == "left" else slice(0, 7)
    with torch.no_grad():
        padded = model(torch.cat(parts, 1), attention_mask=there).logits[:, place]
        assert torch.allclose(padded, model(row).logits, atol=1e-5)


def flash_probe(module, query, key, value, attention_mask, scaling, cu_seq_lens_q=None, **_):
    """Attend within the lengths alone, as flash attention's packed kernel does over flattened rows."""
    batch, heads, length, size = query.shape
    flat = [
        part.transpose(1, 2).reshape(1, batch * length, heads, size).transpose(1, 2) for part in (query, key, value)
    ]
    bounds = cu_seq_lens_q.tolist()
    parts = [
        torch.nn.functional.scaled_dot_product_attention(*(x[:, :, a:b] for x in flat), is_causal=True, scale=scaling)
        for a, b in itertools.pairwise(bounds)
    ]
    return torch.cat(parts, 2).transpose(1, 2).reshape(batch, length, heads, size), None


AttentionInterface.register("flash_probe", flash_probe)
AttentionMaskInterface.register("flash_probe", lambda *_, **__: None)


@pytest.mark.parametrize("attention", ["eager", "sdpa", "flash_probe"])
@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("training", [False, True])
def test_packed_documents_are_as_separate_ones(attention, variant, training):
    """In evaluation with the cache on too, where transformers alone would let them see each other."""
    separate = tiny(**VARIANTS[variant])
    packed = tiny(**VARIANTS[variant]).train(training)
    packed.config._attn_implementation = attention
    lengths = [[5, 7], [9, 3]]
    ids = tokens()
    positions = torch.stack([torch.cat([torch.arange(n) for n in row]) for row in lengths])
    with torch.no_grad():
        found = packed(ids, position_ids=positions).logits
        for row, parts in enumerate(lengths):
            alone = [separate(part[None]).logits[0] for part in ids[row].split(parts)]
            assert torch.allclose(found[row], torch.cat(alone), atol=1e-5)


def test_packed_documents_stay_apart_beside_a_padding_mask():
    model = tiny()
    ids = tokens(1, 12)
    positions = torch.cat([torch.arange(4), torch.arange(5), torch.arange(3)])[None]
    there = (torch.arange(12) < 9).long()[None]
    with torch.no_grad():
        found = model(ids, position_ids=positions, attention_mask=there).logits
        assert torch.allclose(found[:, 4:9], model(ids[:, 4:9]).logits, atol=1e-5)


def test_whole_rows_make_no_mask(monkeypatch):
    """The fast path: SDPA is told that it is causal, and nothing else."""
    seen = []
    plain = torch.nn.functional.scaled_dot_product_attention

    def watched(*args, **kwargs):
        seen.append((kwargs["attn_mask"], kwargs["is_causal"]))
        return plain(*args, **kwargs)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    tiny()(tokens(), labels=tokens())
    assert seen == [(None, True)] * 2


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["plain", "modern"])
def test_one_graph_holds_the_whole_step(variant):
    model = tiny(**VARIANTS[variant]).train()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    loss = compiled(tokens(), labels=tokens()).loss
    loss.backward()
    found = [weight.grad.clone() for weight in model.parameters()]
    model.zero_grad()
    expected = model(tokens(), labels=tokens()).loss
    expected.backward()
    assert torch.allclose(loss, expected)
    assert all(torch.allclose(a, b.grad, atol=1e-6) for a, b in zip(found, model.parameters(), strict=True))


@pytest.mark.parametrize("variant", VARIANTS)
def test_checkpointing_gives_the_same_gradients(variant):
    model = tiny(dropout=0.1, **VARIANTS[variant]).train()

    def run():
        model.zero_grad()
        torch.manual_seed(3)
        model(tokens(), labels=tokens()).loss.backward()
        return [weight.grad.clone() for weight in model.parameters()]

    plain = run()
    model.activation_checkpointing_enable()
    assert all(layer.gradient_checkpointing for layer in model.model.layers)
    assert all(torch.equal(a, b) for a, b in zip(plain, run(), strict=True))


def test_what_is_inside_can_be_seen():
    model = tiny(attn_implementation="eager")
    with torch.no_grad():
        out = model(tokens(), output_hidden_states=True, output_attentions=True)
        assert len(out.hidden_states) == 3 and len(out.attentions) == 2
        assert torch.allclose(out.attentions[0].sum(-1), torch.ones(2, 2, 12))
        assert torch.equal(model.lm_head(out.hidden_states[-1]), out.logits)
        assert model(tokens()).hidden_states is None and model(tokens()).attentions is None
        assert torch.equal(model(tokens(), return_dict=False)[0], out.logits)


# --- losses -----------------------------------------------------------------------------------------------------------

GOLDEN = {
    "plain": ({}, 3.689375, 2.438612, 1.154189),
    "modern": (MODERN, 3.684045, 2.530596, 1.265277),
    "swiglu": ({"mlp": "swiglu"}, 3.703853, 2.462126, 1.128732),
    "rope": ({"position": "rope"}, 3.694498, 2.588029, 1.388622),
    "rmsnorm": ({"norm": "rmsnorm"}, 3.688484, 2.443209, 1.169392),
    "exact": ({"mlp": "gelu_exact"}, 3.689376, 2.438613, 1.154180),
    "rewriting": ({"mlp": "relu", "qkv_bias": False, "head_bias": True}, 3.678566, 2.434351, 1.111665),
    "tied": ({"tie_embeddings": True}, 3.693296, 2.643672, 1.474022),
    "dropout": ({"dropout": 0.1}, 3.687108, 2.567311, 1.438283),
}
"""Fields, and the first, tenth and last loss, as they came out; rounding moves them less than the test allows."""


def losses_of_20_steps(fields):
    model = tiny(**(fields | {"initializer_range": 0.02})).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0.1)
    found = []
    for _ in range(20):
        loss = model(tokens(4), labels=tokens(4)).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad()
        found.append(loss.item())
    return found


@pytest.mark.parametrize("name", GOLDEN)
def test_the_losses_of_20_steps(name):
    fields, first, middle, last = GOLDEN[name]
    found = losses_of_20_steps(fields)
    assert (found[0], found[9], found[19]) == pytest.approx((first, middle, last), rel=1e-4)


# --- files ------------------------------------------------------------------------------------------------------------

RELOAD = """
import sys
sys.modules["hubkit"] = None  # an import of it fails
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    expected = load_file(folder + "/expected")
    with torch.inference_mode():
        logits = model(expected["ids"]).logits
    steps = model.generate(expected["ids"][:, :4], max_new_tokens=6, do_sample=False)
    print(torch.equal(logits, expected["logits"]), torch.equal(steps, expected["steps"]), model.config.direction)
"""


@pytest.mark.soak  # tests/e2e/test_clean_venv.py does it over a Hub
def test_a_process_without_hubkit_loads_it_and_computes_the_same_bits(tmp_path):
    torch.set_num_threads(1)
    folders = []
    for name, fields in {**VARIANTS, "tied": {"tie_embeddings": True, "direction": "backward"}}.items():
        model, folder = tiny(**fields), tmp_path / name
        model.save_pretrained(folder)
        with torch.inference_mode():
            logits = model(tokens()).logits
        steps = model.generate(tokens()[:, :4], max_new_tokens=6, do_sample=False)
        save_file({"ids": tokens(), "logits": logits, "steps": steps}, folder / "expected")
        folders.append(str(folder))
        assert {path.suffix for path in folder.iterdir()} <= {".json", ".safetensors", ".py", ""}, "no pickle"
    environment = {"HF_HOME": str(tmp_path / "home"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, *folders], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["True", "True", "forward", "True", "True", "forward", "True", "True", "backward"]


def test_hubkits_own_class_needs_no_trust(tmp_path):
    model = tiny(**MODERN)
    model.save_pretrained(tmp_path)
    register("minigpt")
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, trust_remote_code=False)
    assert type(loaded) is MiniGPTForCausalLM
    with torch.no_grad():
        assert torch.equal(loaded(tokens()).logits, model(tokens()).logits)


@pytest.mark.parametrize("tied", [False, True])
def test_the_vocabulary_can_grow(tied):
    model = tiny(tie_embeddings=tied, head_bias=True)
    before = model(tokens()).logits
    model.resize_token_embeddings(45, mean_resizing=False)
    after = model(tokens(), labels=tokens())
    assert after.logits.shape[-1] == 45 and torch.equal(after.logits[..., :40], before)
    assert (model.lm_head.weight is model.model.embed_tokens.weight) == tied
    assert torch.isfinite(after.loss)
