"""GRU and LSTM language models: their state, their documents, their sizes, and that what is saved loads anywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub.errors import StrictDataclassError
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import AutoModelForCausalLM, GenerationConfig, PreTrainedTokenizerFast

from hubkit.models.own import register
from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM, RecurrentSpec
from hubkit.models.recurrent.modeling_recurrent import STATES
from hubkit.models.recurrent.spec import SIZES
from hubkit.models.recurrent.step_recurrent import can_step, step

torch.set_num_threads(1)
VOCABULARY, PAD = 23, 0
CELLS = ("gru", "lstm")
CLOSE = {"atol": 1e-5, "rtol": 1e-4}
GREEDY = GenerationConfig(max_new_tokens=7, do_sample=False, pad_token_id=PAD)


def small(cell: str, **fields) -> RecurrentForCausalLM:
    """A model whose fresh weights are large enough that every token matters."""
    torch.manual_seed(4)
    shape = {"vocab_size": VOCABULARY, "hidden_size": 12, "num_hidden_layers": 2, "initializer_range": 1.0}
    return RecurrentForCausalLM(RecurrentConfig(cell=cell, **{**shape, **fields})).eval()


MODELS = {cell: small(cell) for cell in CELLS}


def rows(*shape: int, seed: int = 0) -> Tensor:
    return torch.randint(1, VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))


def tokenizer(tokens: int = VOCABULARY) -> PreTrainedTokenizerFast:
    words = {"<pad>": 0, "<s>": 1, "</s>": 2} | {f"w{i}": i for i in range(3, tokens)}
    inner = Tokenizer(WordLevel(words, unk_token="w3"))
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def cell_parameters(cell: str, width: int, layers: int) -> int:
    """Each gate has two matrices and, as cuDNN does it, two biases."""
    return {"gru": 3, "lstm": 4}[cell] * (2 * width * width + 2 * width) * layers


# --- shape -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cell", "size", "millions"),
    [("gru", "small", 26), ("gru", "medium", 56), ("gru", "large", 95),
     ("lstm", "small", 26), ("lstm", "medium", 58), ("lstm", "large", 101)],
)  # fmt: skip
def test_sizes_are_those_of_the_paper(cell, size, millions):
    width, layers = SIZES[size]
    with torch.device("meta"):
        model = RecurrentSpec(cell=cell, size=size).make(tokenizer(50257), longest=256)
    count = sum(weight.numel() for weight in model.parameters())
    assert count == 2 * 50257 * width + cell_parameters(cell, width, layers) + 2 * width
    assert round(count / 1e6) == millions


def test_the_spec_says_the_shape_and_the_tokenizer_the_ids():
    spec = RecurrentSpec(cell="lstm", size="medium", hidden_size=8, dropout=0.3, tie_word_embeddings=True)
    model = spec.make(tokenizer(), longest=10**6)
    config = model.config
    assert (config.cell, config.hidden_size, config.num_hidden_layers, config.dropout) == ("lstm", 8, 3, 0.3)
    assert (config.vocab_size, config.pad_token_id, config.bos_token_id, config.eos_token_id) == (VOCABULARY, 0, 1, 2)
    assert model.lm_head.weight is model.model.embed_tokens.weight and spec.kind == "causal"


def test_fresh_weights_come_from_torchs_generator_alone():
    def weights(seed: int) -> Tensor:
        torch.manual_seed(seed)
        model = RecurrentSpec(hidden_size=8).make(tokenizer(), 9)
        return torch.cat([weight.flatten() for weight in model.parameters()])

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


@pytest.mark.parametrize("cell", CELLS)
def test_fresh_weights_have_the_spread_that_the_config_says(cell):
    model = small(cell, hidden_size=64, vocab_size=400, initializer_range=0.05)
    assert model.model.embed_tokens.weight.std().item() == pytest.approx(0.05, rel=0.05)
    assert model.lm_head.weight.std().item() == pytest.approx(0.05, rel=0.05)
    for name, weight in model.model.rnn.named_parameters():
        assert weight.abs().max() <= 64**-0.5, name
        assert weight.std().item() == pytest.approx(64**-0.5 / 3**0.5, rel=0.1), name
    assert torch.equal(model.model.norm.weight, torch.ones(64)) and not model.model.norm.bias.any()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"cell": "rnn"}, "'cell' expected one of .'gru', 'lstm'., got rnn"),
        ({"direction": "up"}, "'direction' expected one of"),
        ({"hidden_size": 0}, "hidden_size: 0 is less than 1; a positive number is needed"),
        ({"dropout": 1.0}, r"dropout: 1.0 is not in \[0, 1\); 0 turns it off"),
    ],
    ids=["cell", "direction", "width", "dropout"],
)
def test_impossible_configs_are_refused(fields, message):
    with pytest.raises(StrictDataclassError, match=message):
        RecurrentConfig(**fields)


def test_impossible_specs_are_refused():
    with pytest.raises(ValidationError, match="cell"):
        RecurrentSpec.model_validate({"cell": "rnn"})
    with pytest.raises(ValidationError, match="less than 1"):
        RecurrentSpec(dropout=1.0)


def test_the_spec_needs_no_torch():
    code = "import sys, hubkit.models.recurrent; sys.exit('torch' in sys.modules or 'transformers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


# --- what a token sees -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_no_position_sees_the_future_and_each_sees_the_past(cell):
    ids = rows(1, 8)
    other = ids.clone()
    other[0, 4] = ids[0, 4] % (VOCABULARY - 1) + 1
    before, after = (MODELS[cell](tokens).logits[0] for tokens in (ids, other))
    assert torch.equal(before[:4], after[:4])
    assert ((before[4:] - after[4:]).abs().amax(1) > 1e-4).all()


@pytest.mark.parametrize("cell", CELLS)
def test_logits_are_those_of_the_cell_by_its_definition(cell):
    """One layer, step by step, from the equations that torch documents."""
    model = small(cell, num_hidden_layers=1)
    rnn = model.model.rnn
    weight, hidden_weight, bias, hidden_bias = (rnn._parameters[name] for name in rnn._flat_weights_names)
    h, c, outputs = torch.zeros(12), torch.zeros(12), []
    for x in model.model.embed_tokens(rows(6)):
        inner, outer = weight @ x + bias, hidden_weight @ h + hidden_bias
        if cell == "gru":
            (r, z, n), (hr, hz, hn) = inner.chunk(3), outer.chunk(3)
            z, r = torch.sigmoid(z + hz), torch.sigmoid(r + hr)
            h = (1 - z) * torch.tanh(n + r * hn) + z * h
        else:
            i, f, g, o = (inner + outer).chunk(4)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
        outputs.append(h)
    expected = model.lm_head(torch.nn.functional.layer_norm(torch.stack(outputs), (12,)))
    assert torch.allclose(model(rows(6)[None]).logits[0], expected, **CLOSE)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), cell=st.sampled_from(CELLS))
def test_masks_documents_and_states_change_nothing_but_where_a_sequence_ends(data, cell):
    """Rows with padding anywhere, cut into documents, read in two pieces: each document's logits are those alone."""
    model, batch, length = MODELS[cell], data.draw(st.integers(1, 3)), data.draw(st.integers(2, 9))
    bits = st.lists(st.booleans(), min_size=batch * length, max_size=batch * length)
    there, opens = (torch.tensor(data.draw(bits)).view(batch, length) for _ in range(2))
    cut = data.draw(st.integers(1, length - 1))
    there[0, [0, cut]] = True  # neither piece is all padding
    ids = rows(batch, length, seed=data.draw(st.integers(0, 99)))
    documents = _documents_by_hand(there, opens)
    positions = torch.ones_like(ids)
    for row, columns in documents:
        positions[row, columns] = torch.arange(len(columns))
    state, pieces = None, []
    for piece in (slice(0, cut), slice(cut, length)):
        output = model(ids[:, piece], attention_mask=there[:, : piece.stop].long(), position_ids=positions[:, piece],
                       past_key_values=state)  # fmt: skip
        state = output.past_key_values
        pieces.append(output.logits)
    logits = torch.cat(pieces, 1)
    assert state.get_seq_length() == length
    for row, columns in documents:
        alone = model(ids[row, columns][None])
        assert torch.allclose(logits[row, columns], alone.logits[0], **CLOSE)
    for row, columns in dict(documents).items():  # the last of each row
        for mine, theirs in zip(state.tensors, model(ids[row, columns][None]).past_key_values.tensors, strict=True):
            assert torch.allclose(mine[:, row], theirs[:, 0], **CLOSE)


def _documents_by_hand(there: Tensor, opens: Tensor) -> list[tuple[int, list[int]]]:
    """Return (row, columns) of each document."""
    documents = []
    for row in range(len(there)):
        new = True
        for column in there[row].nonzero().flatten().tolist():
            if new or opens[row, column]:
                documents.append((row, []))
            documents[-1][1].append(column)
            new = False
    return documents


@pytest.mark.parametrize("cell", CELLS)
def test_gradients_of_packed_documents_are_those_of_documents_alone(cell):
    model, ids = MODELS[cell], rows(1, 9)
    targets = rows(1, 9, seed=1)
    positions = torch.tensor([[0, 1, 2, 3, 0, 1, 0, 1, 2]])

    def gradients(*calls: dict) -> list[Tensor]:
        model.zero_grad()
        sum(model(**call).loss * call["shift_labels"].numel() for call in calls).backward()
        return [weight.grad for weight in model.parameters() if weight.grad is not None]

    packed = gradients({"input_ids": ids, "shift_labels": targets, "position_ids": positions})
    pieces = [slice(0, 4), slice(4, 6), slice(6, 9)]
    alone = gradients(*({"input_ids": ids[:, p], "shift_labels": targets[:, p]} for p in pieces))
    assert len(packed) == 2 + 8 + 2
    assert all(torch.allclose(one, other, **CLOSE) for one, other in zip(packed, alone, strict=True))


def test_a_batch_that_is_all_padding_is_refused():
    with pytest.raises(ValueError, match="attention_mask: all 0; a batch needs a token that is not padding"):
        MODELS["gru"](rows(2, 3), attention_mask=torch.zeros(2, 3, dtype=torch.long))


def test_tokens_or_embeddings_and_not_both():
    model, ids = MODELS["gru"], rows(2, 5)
    for inputs in ({}, {"input_ids": ids, "inputs_embeds": model.model.embed_tokens(ids)}):
        with pytest.raises(ValueError, match="input_ids, inputs_embeds: exactly one of them is needed"):
            model(**inputs)
    assert torch.equal(model(inputs_embeds=model.model.embed_tokens(ids)).logits, model(ids).logits)


# --- loss ------------------------------------------------------------------------------------------------------------


def test_loss_is_the_mean_over_what_is_asked():
    model, ids = MODELS["gru"], rows(2, 6)
    targets = torch.cat([ids[:, 1:], torch.full((2, 1), -100)], 1)
    targets[0, :3] = -100
    nats = -model(ids).logits.log_softmax(-1)
    asked = [nats[row, column, targets[row, column]] for row, column in (targets != -100).nonzero().tolist()]
    output = model(ids, labels=ids, shift_labels=targets)
    assert output.loss.item() == pytest.approx(torch.stack(asked).mean().item(), rel=1e-5)
    assert torch.equal(model(ids, shift_labels=targets).loss, output.loss)
    summed = model(ids, shift_labels=targets, num_items_in_batch=1).loss
    assert summed.item() == pytest.approx(torch.stack(asked).sum().item(), rel=1e-5)


def test_labels_alone_are_shifted_here():
    model, ids = MODELS["lstm"], rows(2, 6)
    shifted = torch.cat([ids[:, 1:], torch.full((2, 1), -100)], 1)
    assert torch.equal(model(ids, labels=ids).loss, model(ids, shift_labels=shifted).loss)


def test_the_head_computes_no_more_than_asked():
    model, ids = MODELS["gru"], rows(2, 6)
    full = model(ids).logits
    assert torch.allclose(model(ids, logits_to_keep=2).logits, full[:, -2:], **CLOSE)
    assert torch.allclose(model(ids, logits_to_keep=torch.tensor([1, 4])).logits, full[:, [1, 4]], **CLOSE)


def test_training_drops_inputs_and_returns_no_state():
    model, ids = small("gru", dropout=0.5).train(), rows(1, 6)
    assert not torch.equal(model(ids).logits, model(ids).logits)
    assert model(ids).past_key_values is None and model(ids, use_cache=True).past_key_values is not None
    assert model.model.rnn.dropout == 0


# The losses of 20 steps below; a change of theirs is a change of the model, to be explained where it is made.
GOLDEN = json.loads((Path(__file__).parent / "data" / "recurrent_losses.json").read_text())


@pytest.mark.parametrize("cell", CELLS)
def test_golden_losses(cell):
    assert _losses(cell) == pytest.approx(GOLDEN[cell], rel=1e-4)


def _losses(cell: str) -> list[float]:
    """20 steps of AdamW on one batch of packed documents."""
    torch.manual_seed(0)
    model = RecurrentSpec(cell=cell, hidden_size=16, num_hidden_layers=2).make(tokenizer(), 12)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.02)
    ids = rows(4, 13, seed=5)
    batch = {"input_ids": ids[:, :-1], "labels": ids[:, :-1], "shift_labels": ids[:, 1:].contiguous(),
             "position_ids": (torch.arange(12) % 7).expand(4, -1)}  # fmt: skip
    losses = []
    for _ in range(20):
        loss = model(**batch).loss
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return losses


# --- generation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", CELLS)
def test_generation_with_the_state_is_that_without(cell):
    model, prompt = MODELS[cell], rows(3, 5)
    lengths = []
    handle = model.model.embed_tokens.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    with_state = model.generate(prompt, GREEDY)
    handle.remove()
    assert torch.equal(with_state, model.generate(prompt, GREEDY, use_cache=False))
    assert with_state.shape == (3, 12) and torch.equal(with_state[:, :5], prompt)
    assert lengths == [5] + [1] * 6, "the prompt once, then a token at a time"


@settings(max_examples=40, deadline=None)
@given(cell=st.sampled_from(CELLS), width=st.integers(1, 40), layers=st.integers(1, 3), batch=st.integers(1, 6))
def test_a_step_is_that_of_torchs_cells(cell, width, layers, batch):
    rnn = small(cell, hidden_size=width, num_hidden_layers=layers).model.rnn
    random = torch.Generator().manual_seed(width)
    embedded = torch.randn(batch, 1, width, generator=random)
    state = tuple(torch.randn(layers, batch, width, generator=random) for _ in range(STATES[cell]))
    before = [tensor.clone() for tensor in state]
    with torch.no_grad():
        hidden, after = step(rnn, embedded, state)
        expected, expected_after = rnn(embedded, state if cell == "lstm" else state[0])
    assert hidden.shape == expected.shape and torch.allclose(hidden, expected, **CLOSE)
    for one, other in zip(after, expected_after if cell == "lstm" else (expected_after,), strict=True):
        assert one.shape == other.shape and torch.allclose(one, other, **CLOSE)
    assert all(torch.equal(*pair) for pair in zip(state, before, strict=True)), "a state stays as it is"


@pytest.mark.parametrize(("cell", "width"), [("gru", 512), ("lstm", 12)])
def test_generation_goes_by_steps_after_the_prompt(cell, width):
    model, prompt, lengths = small(cell, hidden_size=width), rows(2, 5), []
    model.model.rnn.register_forward_pre_hook(lambda _, given: lengths.append(given[0].shape[1]))
    assert torch.equal(model.generate(prompt, GREEDY), model.generate(prompt, GREEDY, use_cache=False))
    assert lengths == [5, *range(5, 12)], "with the state torch reads the prompt alone"


def test_who_can_step():
    narrow, wide = MODELS["gru"].model.rnn, torch.nn.GRU(512, 512)
    with torch.no_grad():
        assert can_step(MODELS["lstm"].model.rnn, torch.zeros(99, 1, 12))
        assert can_step(wide, torch.zeros(4, 1, 512)) and not can_step(wide, torch.zeros(5, 1, 512))
        assert not can_step(narrow, torch.zeros(1, 1, 12)) and not can_step(wide, torch.zeros(1, 2, 512))
        assert not can_step(wide, torch.zeros(1, 1, 512, device="meta"))
        assert not can_step(torch.nn.Identity(), torch.zeros(1, 1, 512)), "a quantized cell, say"
        with torch.autocast("cpu", torch.bfloat16):
            assert not can_step(wide, torch.zeros(1, 1, 512))
    assert not can_step(wide, torch.zeros(1, 1, 512)), "a gradient may be asked for"


@pytest.mark.parametrize("cell", CELLS)
def test_a_thousand_tokens_one_by_one_are_those_at_once(cell):
    model, ids = MODELS[cell], rows(1, 1000)
    state, logits = None, []
    with torch.no_grad():
        for column in ids.split(1, 1):
            output = model(column, past_key_values=state)
            state = output.past_key_values
            logits.append(output.logits)
        assert torch.allclose(torch.cat(logits, 1), model(ids).logits, **CLOSE)


@pytest.mark.parametrize("cell", CELLS)
def test_a_token_by_itself_in_other_types(cell):
    ids, model = rows(2, 1), MODELS[cell]
    with torch.no_grad():
        state = model(rows(2, 4, seed=1)).past_key_values
        expected = model(ids, past_key_values=state).logits
        with torch.autocast("cpu", torch.bfloat16):
            automatic = model(ids, past_key_values=state).logits
        half = small(cell).bfloat16()
        output = half(ids, past_key_values=half(rows(2, 4, seed=1)).past_key_values)
    assert output.logits.dtype == output.past_key_values.tensors[0].dtype == torch.bfloat16
    for logits in (automatic, output.logits):
        assert torch.allclose(logits.float(), expected, atol=0.3)


@pytest.mark.parametrize("way", [{}, {"num_beams": 3}, {"use_cache": False}], ids=["greedy", "beams", "no-state"])
@pytest.mark.parametrize("cell", CELLS)
def test_left_padding_changes_nothing(cell, way):
    model, lengths = MODELS[cell], (6, 4, 1)
    prompts = [rows(1, length, seed=length) for length in lengths]
    padded = torch.cat([torch.nn.functional.pad(prompt, (6 - prompt.shape[1], 0), value=PAD) for prompt in prompts])
    together = model.generate(padded, GREEDY, attention_mask=(padded != PAD).long(), **way)
    for row, prompt in zip(together, prompts, strict=True):
        assert torch.equal(row[6 - prompt.shape[1] :], model.generate(prompt, GREEDY, **way)[0])


@pytest.mark.parametrize("cell", CELLS)
def test_beams_find_no_worse_than_greedy_and_the_same_without_the_state(cell):
    model, prompt = MODELS[cell], rows(2, 4)

    def nats(ids: Tensor) -> Tensor:
        logits = model(ids).logits[:, 3:-1].log_softmax(-1)
        return logits.gather(2, ids[:, 4:, None]).sum((1, 2))

    beams = model.generate(prompt, GREEDY, num_beams=4)
    assert torch.equal(beams, model.generate(prompt, GREEDY, num_beams=4, use_cache=False))
    assert (nats(beams) >= nats(model.generate(prompt, GREEDY)) - 1e-5).all()


def test_sampling_is_torchs_alone():
    def sample(seed: int) -> Tensor:
        torch.manual_seed(seed)
        return MODELS["gru"].generate(rows(2, 3), GREEDY, do_sample=True, num_return_sequences=2)

    assert sample(1).shape == (4, 10)
    assert torch.equal(sample(1), sample(1)) and not torch.equal(sample(1), sample(2))


@pytest.mark.parametrize("cell", CELLS)
def test_a_state_can_be_continued_many_times(cell):
    model, prompt = MODELS[cell], rows(2, 6)
    state = model(prompt[:, :4]).past_key_values
    expected = model.generate(prompt, GREEDY)
    for _ in range(2):
        assert torch.equal(model.generate(prompt, GREEDY, past_key_values=state), expected)
    assert state.get_seq_length() == 4


def test_generation_stops_at_the_end_token_and_pads_the_rest():
    model, prompt = MODELS["gru"], rows(4, 3, seed=8)
    free = model.generate(prompt, GREEDY)
    end = free[0, 5].item()
    stopped = model.generate(prompt, GREEDY, eos_token_id=end)
    for row, unstopped in zip(stopped.tolist(), free.tolist(), strict=True):
        length = unstopped.index(end, 3) + 1 if end in unstopped[3:] else len(unstopped)
        assert row == (unstopped[:length] + [PAD] * 10)[: len(row)]


# --- saving ----------------------------------------------------------------------------------------------------------

# One row is where a weight's address can change the last bits of a product.
LOAD = """
import sys
sys.modules["hubkit"] = None  # an import of it would fail
import torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    model = AutoModelForCausalLM.from_pretrained(folder, trust_remote_code=True)
    ids = torch.load(f"{folder}/ids.pt")
    made = model.generate(ids, max_new_tokens=4, do_sample=False, pad_token_id=0)
    one, all = model(ids[:1]).logits, model(ids).logits
    torch.save({"one": one, "all": all, "made": made, "config": model.config.to_dict()}, f"{folder}/found.pt")
    model.save_pretrained(f"{folder}/again")
"""


@pytest.mark.soak  # tests/e2e/test_clean_venv.py does it over a Hub
def test_what_is_saved_loads_without_hubkit_to_the_bit(tmp_path):
    models = {"gru": small("gru"), "lstm": small("lstm", tie_word_embeddings=True)}
    models["gru"].config.direction = "both"
    models["gru"].config.direction_tokens = {"forward": 3, "backward": 4}
    ids = rows(2, 7)
    for cell, model in models.items():
        model.save_pretrained(tmp_path / cell)
        torch.save(ids, tmp_path / cell / "ids.pt")
    environment = {**os.environ, "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", LOAD, *(str(tmp_path / cell) for cell in models)]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=tmp_path)
    assert process.returncode == 0, process.stderr
    for cell, model in models.items():
        found = torch.load(tmp_path / cell / "found.pt")
        assert torch.equal(found["one"], model(ids[:1]).logits) and torch.equal(found["all"], model(ids).logits)
        assert torch.equal(found["made"], model.generate(ids, GREEDY, max_new_tokens=4))
        assert found["config"]["direction"] == model.config.direction
        assert found["config"]["direction_tokens"] == model.config.direction_tokens
        files = {path.name for path in (tmp_path / cell / "again").iterdir()}
        assert {"configuration_recurrent.py", "modeling_recurrent.py", "model.safetensors"} <= files


@pytest.mark.parametrize("cell", CELLS)
def test_a_loaded_model_trains_what_it_reads_with(cell, tmp_path):
    """The trap: torch's cells keep a second list of their weights, which loading must not leave behind."""
    small(cell).save_pretrained(tmp_path)
    model = RecurrentForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(model(rows(1, 5)).logits, MODELS[cell](rows(1, 5)).logits)
    before = model(rows(1, 5)).logits
    with torch.no_grad():
        model.model.rnn.weight_hh_l0.add_(1.0)
    assert not torch.allclose(model(rows(1, 5)).logits, before)
    flat = {weight.data_ptr() for weight in model.model.rnn._flat_weights}
    assert flat == {weight.data_ptr() for weight in model.model.rnn.parameters()}


def test_hubkit_loads_its_own_class_without_trust(tmp_path):
    small("gru").save_pretrained(tmp_path)
    register("recurrent")
    model = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert type(model) is RecurrentForCausalLM
    assert torch.equal(model(rows(1, 5)).logits, MODELS["gru"](rows(1, 5)).logits)


def test_more_tokens_can_be_added():
    model = small("gru")
    before = model(rows(1, 5)).logits
    model.resize_token_embeddings(VOCABULARY + 2)
    after = model(rows(1, 5), labels=rows(1, 5))
    assert after.logits.shape == (1, 5, VOCABULARY + 2) and model.config.vocab_size == VOCABULARY + 2
    assert torch.allclose(after.logits[..., :VOCABULARY], before, **CLOSE) and torch.isfinite(after.loss)


def test_half_precision_reads_and_continues():
    model, ids = MODELS["lstm"], rows(2, 6)
    mask = torch.tensor([[0, 1, 1, 1, 1, 1], [1] * 6])
    full = model(ids, attention_mask=mask).logits
    with torch.autocast("cpu", torch.bfloat16):
        first = model(ids[:, :4], attention_mask=mask[:, :4])
        second = model(ids[:, 4:], past_key_values=first.past_key_values, labels=ids[:, 4:])
    assert torch.allclose(second.logits.float(), full[:, 4:], atol=0.3) and second.loss.dtype == torch.float32


@pytest.mark.parametrize("cell", CELLS)
def test_weights_that_lie_in_one_piece_of_memory_are_saved_apart(cell, tmp_path):
    """So a GPU has them; accelerate's checkpoints keep one tensor of each piece of memory."""
    from accelerate import Accelerator

    whole, fresh = small(cell), small(cell)
    piece = torch.cat([weight.detach().flatten() for weight in whole.model.rnn.parameters()]) + 1
    parts = piece.split([weight.numel() for weight in whole.model.rnn.parameters()])
    for weight, part in zip(whole.model.rnn.parameters(), parts, strict=True):
        weight.data = part.view_as(weight)
    accelerator = Accelerator(cpu=True)
    accelerator.prepare(whole)
    accelerator.save_state(str(tmp_path))
    other = Accelerator(cpu=True)
    other.prepare(fresh)
    other.load_state(str(tmp_path))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), fresh.parameters(), strict=True))
