"""The numeric RoBERTa: values in and out, its losses, and that what is saved computes the same bits anywhere."""

import json
import math
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from hubkit.corpora.registry import find
from hubkit.errors import UserError
from hubkit.models.numeric_roberta import NumericRobertaConfig, NumericRobertaSpec
from hubkit.models.numeric_roberta.numbers_numeric_roberta import _BEYOND, Numbers, written
from hubkit.models.own import register
from hubkit.tokenizers import save_tokenizer
from hubkit.tokenizers.lorenz import lorenz_tokenizer
from hubkit.tokenizers.numeric import VOCABULARY, numeric_lorenz_tokenizer

SPEC = NumericRobertaSpec(hidden_size=16, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2)
TOKENIZER = numeric_lorenz_tokenizer()
NUMBERS = Numbers(TOKENIZER)
NUMBER, MASK, PAD = (VOCABULARY.index(token) for token in ("#", "?", "[PAD]"))
WORLD = "{'description': {'num_sys': 1, 'sys0': {'params': [?, 2.66, -25.02]}}, 'data': [[1.5, -6.104e-05]]}"

floats32 = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


def model(**changes):
    torch.manual_seed(0)
    return SPEC.model_copy(update=changes).make(TOKENIZER, longest=60).eval()


# --- text and numbers ------------------------------------------------------------------------------------------------


def test_a_world_becomes_ids_and_values():
    ids, values = NUMBERS.encode(WORLD)
    assert ids == TOKENIZER(WORLD)["input_ids"]
    assert [value for id, value in zip(ids, values, strict=True) if id == NUMBER] == [1, 2.66, -25.02, 1.5, -6.104e-05]
    assert {value for id, value in zip(ids, values, strict=True) if id != NUMBER} == {1.0}
    assert NUMBERS.decode(ids, values) == WORLD.replace(" ", "")


@given(st.lists(floats32, max_size=8), st.lists(st.sampled_from(VOCABULARY[1:]), min_size=9, max_size=9))
@settings(max_examples=100, deadline=None)
def test_numbers_and_tokens_come_back(numbers, tokens):
    text = tokens[0] + "".join(f"{written(number)} {token}" for number, token in zip(numbers, tokens[1:], strict=False))
    ids, values = NUMBERS.encode(text)
    assert ids == TOKENIZER(text)["input_ids"]
    read = np.array([value for id, value in zip(ids, values, strict=True) if id == NUMBER], np.float32)
    assert read.tobytes() == np.array(numbers, np.float32).tobytes(), "the sign of zero too"
    assert NUMBERS.decode(ids, values) == text.replace(" ", "")


@pytest.mark.parametrize(
    ("text", "number"),
    [("700", "700"), ("25.0", "25"), ("8.130", "8.13"), ("1e-05", "1e-05"), ("1E3", "1000"), ("-0.0", "-0"),
     ("+4", "4"), (".5", "0.5"), ("5.", "5"), ("0.1000000001", "0.1"), ("1e+30", "1e+30"), ("65500.0", "65500")],
)  # fmt: skip
def test_numbers_are_written_with_the_fewest_digits(text, number):
    assert NUMBERS.decode(*NUMBERS.encode(f"[{text}]")) == f"[{number}]"


def test_real_worlds_come_back_but_for_white_space_and_needless_points():
    for text in find("lorenz-xsmall").builder.block("train", 0, 20).rows["text"].to_pylist():
        ids, values = NUMBERS.encode(text)
        again = NUMBERS.decode(ids, values)
        assert NUMBERS.encode(again) == (ids, values), "float16's decimals survive float32"
        assert json.loads(again.replace("'", '"')) == json.loads(text.replace("'", '"'))


def test_a_batch_is_padded():
    batch = NUMBERS.batch(["[1.5, 2]", "3"])
    assert {name: tensor.dtype for name, tensor in batch.items()} == {
        "input_ids": torch.int64, "values": torch.float32, "attention_mask": torch.int64}  # fmt: skip
    assert batch["input_ids"].tolist() == [[3, 0, 5, 0, 4], [0, PAD, PAD, PAD, PAD]]
    assert batch["values"].tolist() == [[1, 1.5, 1, 2, 1], [3, 1, 1, 1, 1]]
    assert batch["attention_mask"].tolist() == [[1] * 5, [1, 0, 0, 0, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [("[?.?, 1]", r"text: '\[\?\.\?, ' is not in the vocabulary; .* '\?' stands for a whole number"),
     ("[nan]", r"text: '\[nan\]' is not in the vocabulary"),
     ("[1.2.3]", "is not in the vocabulary"),
     ("[#, 1]", r"text: '\[#, ' holds '#', which stands for a number; write the number itself"),
     ("[1, -1e39]", r"number: -1e\+39 is beyond float32; scale the data")],
)  # fmt: skip
def test_text_that_cannot_be_read_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        NUMBERS.encode(text)


def test_the_largest_number_is_the_largest_float32():
    assert NUMBERS.encode("-3.4028235e+38") == ([NUMBER], [-3.4028235e38])
    assert np.isinf(np.float32(_BEYOND)) and np.isfinite(np.float32(np.nextafter(_BEYOND, 0)))


def test_a_tokenizer_that_knows_no_numbers_is_refused():
    with pytest.raises(ValueError, match="tokenizer: it does not replace numbers by a token; load the one"):
        Numbers(lorenz_tokenizer())
    with pytest.raises(UserError, match=r"tokenizer: it writes numbers digit by digit, .* use numeric-lorenz"):
        SPEC.make(lorenz_tokenizer(), longest=9)


# --- the model -------------------------------------------------------------------------------------------------------

NET = model()


def test_a_number_multiplies_its_embedding_by_what_the_model_sees_of_it():
    fed = []
    net = model(value_scale=2.0)
    net.roberta.register_forward_pre_hook(lambda _, __, kwargs: fed.append(kwargs["inputs_embeds"]), with_kwargs=True)
    net(**NUMBERS.batch(["[?, -6]"]))
    words = net.roberta.embeddings.word_embeddings(torch.tensor([[3, MASK, 5, NUMBER, 4]]))
    factors = torch.tensor([1, 1, 1, -math.log1p(6 / 2), 1])
    assert torch.allclose(fed[0], words * factors[:, None], atol=1e-7)
    assert net.config.value_scale == 2.0


def test_values_count_where_numbers_stand_and_nowhere_else():
    net, batch = model(), NUMBERS.batch(["{'params': [1.5, ?]}"])
    logits = net(**batch).logits
    elsewhere = torch.where(batch["input_ids"] == NUMBER, batch["values"], 9.0)
    assert torch.equal(net(**batch | {"values": elsewhere}).logits, logits)
    there = torch.where(batch["input_ids"] == NUMBER, 1.6, batch["values"])
    assert not torch.equal(net(**batch | {"values": there}).logits, logits)


@given(st.lists(floats32.filter(lambda v: abs(v) < 1e30), min_size=1, max_size=20), st.floats(1e-3, 1e3))
@settings(max_examples=50, deadline=None)
def test_what_is_seen_inverts_and_keeps_the_order(numbers, scale):
    NET.config.value_scale = scale
    values = torch.tensor(sorted(numbers))
    seen = NET.seen(values)
    assert (seen[1:] >= seen[:-1]).all() and torch.equal(seen, -NET.seen(-values))
    assert torch.allclose(NET.written(seen), values, rtol=1e-4, atol=1e-6 * scale)


def test_numbers_without_values_are_refused():
    net = model()
    with pytest.raises(ValueError, match=r"values: left out, but there are numbers; give model\.numbers\(tokenizer\)"):
        net(torch.tensor([[3, NUMBER, 4]]))
    without = net(torch.tensor([[3, MASK, 4]]))
    assert torch.equal(without.logits, net(**net.numbers(TOKENIZER).batch(["[?]"])).logits)


def test_padding_changes_nothing():
    net = model()
    alone, beside = NUMBERS.batch(["[1.5, ?]"]), NUMBERS.batch(["[1.5, ?]", WORLD])
    assert torch.allclose(net(**alone).logits, net(**beside).logits[:1, :5], atol=1e-6)
    assert torch.allclose(net(**alone).numbers, net(**beside).numbers[:1, :5], atol=1e-6)


LAYOUT = [VOCABULARY.index(token) for token in "{}[],"]


def test_layout_is_left_out_of_attention_where_the_spec_says_so():
    """What stands at a bracket or a comma reaches no other place; with attention to all it does."""
    batch = NUMBERS.batch(["{'params': [1.5, ?]}"])
    place = batch["input_ids"][0].tolist().index(LAYOUT[-1])
    other = batch | {"input_ids": batch["input_ids"].clone()}
    other["input_ids"][0, place] = LAYOUT[0]
    elsewhere = torch.arange(batch["input_ids"].shape[1]) != place
    for attend, same in ((False, True), (True, False)):
        net = model(attend_layout=attend, initializer_range=0.3)
        assert net.config.unattended_token_ids == ([] if attend else LAYOUT)
        one, two = (net(**b).logits[0] for b in (batch, other))
        assert torch.equal(one[elsewhere], two[elsewhere]) is same
        assert not torch.equal(one[place], two[place]), "a bracket still reads, and is asked for as any token"


def test_without_layout_padding_changes_nothing_and_a_row_of_layout_alone_is_read():
    net = model(attend_layout=False)
    alone, beside = NUMBERS.batch(["[1.5, ?]"]), NUMBERS.batch(["[1.5, ?]", WORLD, "[[], []]"])
    answers = net(**beside)
    assert torch.allclose(net(**alone).logits, answers.logits[:1, :5], atol=1e-6)
    assert torch.allclose(net(**NUMBERS.batch(["[[], []]"])).logits, answers.logits[2:, :7], atol=1e-6)
    assert answers.logits.isfinite().all()


def test_the_loops_attention_without_masks_leaves_the_layout_out_too():
    from hubkit.training.attention import Attention

    net, batch = model(attend_layout=False, initializer_range=0.3), NUMBERS.batch(["{'params': [1.5, ?]}"])
    del batch["attention_mask"]
    with Attention(net, torch.device("cpu")).fitting(batch) as read:
        within = net(**read).logits
    assert torch.equal(within, net(**batch).logits)
    assert not torch.equal(within, model(initializer_range=0.3)(**batch).logits)


def labelled() -> tuple[dict[str, torch.Tensor], torch.Tensor, torch.Tensor]:
    """Return a batch in which a number, a bracket and a comma are asked for."""
    batch = NUMBERS.batch(["[?, 2.5?", "[? 7]"])
    labels = torch.tensor([[-100, NUMBER, -100, -100, 4], [-100, 5, -100, -100, -100]])
    values = torch.full(labels.shape, math.nan)
    values[0, 1] = -3.25
    return batch, labels, values


def test_the_loss_is_the_mean_over_asked_tokens_of_cross_entropy_and_squared_error():
    net = model(number_loss_weight=0.5)
    batch, labels, values = labelled()
    answer = net(**batch, labels=labels, value_labels=values)
    asked = labels != -100
    cross = -answer.logits.log_softmax(-1)[asked].gather(1, labels[asked][:, None]).mean()
    error = (net.seen(answer.numbers[0, 1]) + math.log1p(3.25)) ** 2
    assert answer.cross_entropy.item() == pytest.approx(cross.item(), rel=1e-5)
    assert answer.squared_error.item() == pytest.approx(error.item(), rel=1e-5)
    assert answer.loss.item() == pytest.approx((cross + 0.5 * error / 3).item(), rel=1e-5)
    assert net(**batch, labels=labels).loss.item() == answer.cross_entropy.item()


def test_the_loss_adds_up_over_batches_of_any_make_up():
    net = model()
    batch, labels, values = labelled()
    whole = net(**batch, labels=labels, value_labels=values).loss.item()
    rows = [net(**{k: v[r : r + 1] for k, v in batch.items()}, labels=labels[r : r + 1], value_labels=values[r : r + 1])
            for r in range(2)]  # fmt: skip
    assert whole == pytest.approx((2 * rows[0].loss.item() + rows[1].loss.item()) / 3, rel=1e-5)
    assert rows[1].squared_error.item() == 0.0 and rows[1].loss.item() == rows[1].cross_entropy.item()


def test_gradients_are_finite_where_no_number_is_asked():
    net = model().train()
    batch, labels, values = labelled()
    net(**batch, labels=labels, value_labels=values.fill_(math.nan)).loss.backward()
    gradients = {name: p.grad for name, p in net.named_parameters() if p.grad is not None}
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert not gradients["number_head.0.weight"].any() and gradients["lm_head.dense.weight"].any()


def test_the_shape_is_what_the_spec_says():
    spec = NumericRobertaSpec(hidden_size=24, intermediate_size=40, num_hidden_layers=3, num_attention_heads=4,
                              hidden_dropout_prob=0.0, initializer_range=0.5, hidden_act="relu",
                              value_scale=0.1, number_loss_weight=2.0)  # fmt: skip
    config = spec.make(TOKENIZER, longest=9).config
    for name, value in spec.model_dump(exclude={"architecture", "max_length", "attend_layout"}).items():
        assert getattr(config, name) == value
    assert (config.vocab_size, config.pad_token_id, config.number_token_id) == (25, PAD, NUMBER)
    assert config.max_position_embeddings == 9 + PAD + 1 and config.model_type == "numeric_roberta"


def test_a_longer_limit_is_kept_and_longer_data_are_refused():
    spec = SPEC.model_copy(update={"max_length": 40})
    assert spec.make(TOKENIZER, longest=30).config.max_position_embeddings == 40 + PAD + 1
    with pytest.raises(UserError, match=r"model\.max_length: 40 is less than the longest .* 41 tokens; raise it"):
        spec.make(TOKENIZER, longest=41)


def test_heads_must_divide_the_width_and_scales_are_positive():
    with pytest.raises(ValidationError, match="hidden_size 16 is not a multiple of num_attention_heads 3; "):
        NumericRobertaSpec(hidden_size=16, num_attention_heads=3)
    with pytest.raises(ValidationError, match="greater than 0"):
        NumericRobertaSpec(value_scale=0)
    with pytest.raises(Exception, match=r"value_scale: -1 is not positive; set it to 1\.0"):
        NumericRobertaConfig(value_scale=-1)


def test_fresh_weights_come_from_torchs_generator_alone():
    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(seed)
        return torch.cat([p.flatten() for p in SPEC.make(TOKENIZER, 9).parameters()])

    assert torch.equal(weights(0), weights(0)) and not torch.equal(weights(0), weights(1))


def test_auto_classes_load_it_by_hubkits_own_code(tmp_path):
    from transformers import AutoModelForMaskedLM

    net = model()
    net.save_pretrained(tmp_path)
    register("numeric_roberta")
    loaded = AutoModelForMaskedLM.from_pretrained(tmp_path, trust_remote_code=False).eval()
    assert type(loaded) is type(net) and type(net).__module__.startswith("hubkit.models")
    batch = NUMBERS.batch([WORLD])
    assert torch.equal(loaded(**batch).numbers, net(**batch).numbers)


def test_a_recipe_imports_it_without_torch():
    code = (
        "import sys, hubkit.models.numeric_roberta\nprint([m for m in ('torch', 'transformers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


RELOAD = """
import sys
sys.modules["hubkit"] = None  # an import of it fails
import torch
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, AutoTokenizer
folder = sys.argv[1]
torch.set_num_threads(1)
tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=True)
model = AutoModelForMaskedLM.from_pretrained(folder, trust_remote_code=True).eval()
numbers = model.numbers(tokenizer)
batch = numbers.batch([open(folder + "/text").read()])
expected = load_file(folder + "/expected")
with torch.inference_mode():
    answer = model(**batch)
same = [torch.equal(batch["values"], expected["values"]), torch.equal(answer.logits, expected["logits"]),
        torch.equal(answer.numbers, expected["numbers"])]
config = AutoConfig.from_pretrained(folder, trust_remote_code=True)
print(all(same), type(model).__name__, type(config).__name__, numbers.decode(batch["input_ids"][0], batch["values"][0]))
"""


@pytest.mark.soak  # tests/e2e/test_clean_venv.py does it over a Hub
def test_a_process_without_hubkit_loads_it_and_computes_the_same_bits(tmp_path):
    from safetensors.torch import save_file

    net = model(value_scale=0.25, attend_layout=False)
    published = tmp_path / "published"
    net.save_pretrained(published)
    save_tokenizer(TOKENIZER, published)
    assert {path.name for path in published.iterdir()} == {
        "config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        "configuration_numeric_roberta.py", "modeling_numeric_roberta.py", "numbers_numeric_roberta.py"}  # fmt: skip
    batch = NUMBERS.batch([WORLD])
    with torch.inference_mode():
        answer = net(**batch)
    save_file({"values": batch["values"], "logits": answer.logits, "numbers": answer.numbers}, published / "expected")
    (published / "text").write_text(WORLD)
    environment = {"PATH": "", "HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", RELOAD, str(published)], capture_output=True, text=True, cwd=tmp_path, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        "True", "NumericRobertaForMaskedLM", "NumericRobertaConfig", WORLD.replace(" ", "")]  # fmt: skip
