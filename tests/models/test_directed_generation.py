"""Text goes in and comes out in reading order, whichever way the model reads; the pipeline travels with it."""

import json
import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import GPT2Config, GPT2LMHeadModel, GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast

from hubkit.models.directed_generation import (
    DirectedTextGenerationPipeline,
    add_pipeline,
    direction_of,
    fed_ids,
    turned,
)
from hubkit.models.streaming import _draw, context_length, prompt_ids, stream
from hubkit.tokenizers import make_tokenizer, save_tokenizer
from hubkit.tokenizers.bpe import train_bpe

torch.set_num_threads(1)
LENGTH = 24


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_bpe(["the cat sat on the mat, the dog ran é 漢字 🙂"] * 4, 300)


def neox(tokenizer, **config) -> GPTNeoXForCausalLM:
    torch.manual_seed(1)
    shape = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
    ids = {"bos_token_id": 0, "eos_token_id": None, "vocab_size": len(tokenizer), "max_position_embeddings": LENGTH}
    model = GPTNeoXForCausalLM(GPTNeoXConfig(**{**shape, **ids, "initializer_range": 0.4, **config}))
    return model.eval()


def gpt2(tokenizer, **config) -> GPT2LMHeadModel:
    torch.manual_seed(1)
    ids = {"bos_token_id": 0, "eos_token_id": None, "vocab_size": len(tokenizer)}
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": LENGTH, "initializer_range": 0.4}
    return GPT2LMHeadModel(GPT2Config(**{**shape, **ids, **config})).eval()


def minigpt(tokenizer, **config):
    from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
    from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM

    torch.manual_seed(1)
    ids = {"bos_token_id": 0, "eos_token_id": None, "vocab_size": len(tokenizer)}
    shape = {"n_embd": 16, "n_layer": 2, "n_head": 2, "block_size": LENGTH, "initializer_range": 0.4}
    return MiniGPTForCausalLM(MiniGPTConfig(**{**shape, **ids, **config})).eval()


def recurrent(tokenizer, **config):
    from hubkit.models.recurrent.configuration_recurrent import RecurrentConfig
    from hubkit.models.recurrent.modeling_recurrent import RecurrentForCausalLM

    torch.manual_seed(1)
    ids = {"bos_token_id": 0, "eos_token_id": None, "vocab_size": len(tokenizer)}
    return RecurrentForCausalLM(RecurrentConfig(**{"hidden_size": 16, "num_hidden_layers": 2, **ids, **config})).eval()


MAKERS = {make.__name__: make for make in (neox, gpt2, minigpt, recurrent)}


@pytest.fixture(params=MAKERS)
def make(request):
    return MAKERS[request.param]


class TestTurned:
    @given(st.lists(st.integers(0, 9)), st.sampled_from(["forward", "backward"]))
    def test_is_its_own_inverse_on_all_that_holds_ids(self, ids, direction):
        expected = ids[::-1] if direction == "backward" else ids
        assert turned(ids, direction) == expected
        assert turned(tuple(ids), direction) == tuple(expected)
        assert turned(np.array(ids, dtype=np.uint16), direction).tolist() == expected
        rows = torch.tensor([ids, ids], dtype=torch.int64)
        assert turned(rows, direction).tolist() == [expected, expected]
        assert turned(turned(rows, direction), direction).equal(rows)

    def test_of_numpy_can_become_a_tensor(self):
        assert torch.from_numpy(turned(np.arange(6).reshape(2, 3), "backward")).tolist() == [[2, 1, 0], [5, 4, 3]]

    def test_refuses_what_is_no_order_of_a_text(self):
        with pytest.raises(ValueError, match="direction: 'both' can't turn a text; use forward or backward"):
            turned([1], "both")


class TestDirection:
    @pytest.mark.parametrize(
        ("trained", "asked", "used"),
        [
            (None, None, "forward"),
            ("forward", "forward", "forward"),
            ("backward", None, "backward"),
            ("both", None, "forward"),
            ("both", "backward", "backward"),
        ],
    )
    def test_is_the_models_own_unless_it_knows_both(self, trained, asked, used):
        config = GPT2Config() if trained is None else GPT2Config(direction=trained)
        assert direction_of(config, asked) == used

    @pytest.mark.parametrize(
        ("trained", "asked", "message"),
        [
            ("backward", "forward", "direction: this model was trained backward, not forward; use backward"),
            ("both", "up", "direction: this model was trained both, not up; use forward or backward"),
            ("permuted", None, "trained on the tokens of a window in a permuted order"),
        ],
    )
    def test_says_what_the_model_cant(self, trained, asked, message):
        with pytest.raises(ValueError, match=message):
            direction_of(GPT2Config(direction=trained), asked)

    def test_its_first_token_comes_first_and_once(self):
        both = GPT2Config(bos_token_id=7, direction="both", direction_tokens={"forward": 8, "backward": 9})
        assert fed_ids([1, 2], both, "forward") == [8, 1, 2]
        assert fed_ids([1, 2], both, "backward") == [9, 2, 1]
        assert fed_ids([1, 2], GPT2Config(bos_token_id=7), "forward") == [7, 1, 2]
        assert fed_ids([7, 1, 2], GPT2Config(bos_token_id=7), "forward") == [7, 1, 2]
        assert fed_ids([7, 1, 2], GPT2Config(bos_token_id=7), "backward") == [7, 2, 1, 7]
        assert fed_ids([], GPT2Config(bos_token_id=7), "forward") == [7]
        with pytest.raises(ValueError, match="prompt: it is empty, and this model has no token that begins a text"):
            fed_ids([], GPT2Config(bos_token_id=None), "forward")


class TestPromptIds:
    def test_names_the_first_character_that_cant_be_spelled(self):
        letters = make_tokenizer("characters:AB")
        assert prompt_ids(letters, "{AAB,") == [2, 0, 0, 1, 4]
        with pytest.raises(
            ValueError, match="prompt: character 3, 'C', is one that the model's vocabulary can't spell"
        ):
            prompt_ids(letters, "AACA")

    def test_an_unknown_token_is_no_spelling(self):
        from tokenizers import Tokenizer, models, pre_tokenizers

        backend = Tokenizer(models.WordLevel({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
        backend.pre_tokenizer = pre_tokenizers.Whitespace()
        with pytest.raises(ValueError, match="character 3, 'b', is one"):
            prompt_ids(PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="[UNK]"), "a b")

    def test_half_a_character_is_refused(self, tokenizer):
        with pytest.raises(ValueError, match=r"character 2, '\\ud800', is one"):
            prompt_ids(tokenizer, "a\ud800")


class TestStream:
    def expected(self, model, tokenizer, prompt, count, direction="forward"):
        """Return the greedy text by transformers' own loop."""
        fed = fed_ids(prompt_ids(tokenizer, prompt), model.config, direction)
        ids = torch.tensor([fed])
        # Without a mask `generate` takes the first token for padding where its id is the padding's.
        out = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=count, do_sample=False)
        return tokenizer.decode(turned(out[0, len(fed) :].tolist(), direction))

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    def test_greedy_is_what_generate_gives_in_reading_order(self, tokenizer, make, direction):
        model = make(tokenizer, direction=direction)
        drafts = list(stream(model, tokenizer, "the cat", max_new_tokens=9, temperature=0))
        new = self.expected(model, tokenizer, "the cat", 9, direction)
        assert len(set(prompt_ids(tokenizer, new))) > 2, "weights that always say the same prove nothing"
        assert drafts[-1].new == new
        assert drafts[-1].text == ("the cat" + new if direction == "forward" else new + "the cat")
        assert [draft.tokens for draft in drafts] == list(range(1, 10))
        assert [draft.ended for draft in drafts] == [""] * 8 + ["length"]

    @pytest.mark.parametrize("direction", ["forward", "backward"])
    def test_shows_no_half_characters(self, tokenizer, direction):
        """A model that spells 漢 byte after byte, in the order in which it reads."""
        config = GPT2Config(vocab_size=len(tokenizer), n_positions=64, bos_token_id=0, direction=direction)
        bytes_of = tokenizer.convert_tokens_to_ids([{228: "ä", 184: "¸", 128: "Ģ"}[byte] for byte in "一".encode()])
        spelling = turned(bytes_of * 2, direction)
        model = Dictated(config, [*spelling])
        drafts = list(stream(model, tokenizer, "é", max_new_tokens=6, temperature=0))
        assert all("\ufffd" not in draft.text for draft in drafts)
        assert [draft.new for draft in drafts] == ["", "", "一", "一", "一", "一一"]
        assert drafts[-1].text == ("é一一" if direction == "forward" else "一一é")
        broken = list(stream(model, tokenizer, "é", max_new_tokens=2, temperature=0))[-1]
        assert "\ufffd" in broken.new, "what really was generated is shown at the end"

    def test_draws_the_same_text_from_the_same_seed(self, tokenizer):
        model = gpt2(tokenizer)

        def text(seed):
            return list(stream(model, tokenizer, "the", max_new_tokens=12, seed=seed, top_k=50, top_p=0.9))[-1].text

        torch.manual_seed(5)
        state = torch.get_rng_state()
        assert text(3) == text(3) != text(4)
        assert torch.get_rng_state().equal(state), "the process's own random numbers stay as they are"
        assert text(None) != text(None)

    def test_ends_at_a_stop_token_a_stop_string_or_the_context(self, tokenizer):
        model = gpt2(tokenizer)
        free = list(stream(model, tokenizer, "the", max_new_tokens=100, temperature=0))[-1]
        fed = len(prompt_ids(tokenizer, "the")) + 1
        assert (free.tokens, free.ended) == (LENGTH - fed, "context")
        ids = model.generate(torch.tensor([[0, *prompt_ids(tokenizer, "the")]]), max_new_tokens=9, do_sample=False)
        last = ids[0, fed:].tolist()
        stop = next(at for at, id in enumerate(last) if id not in last[:at] and at)
        model.generation_config.eos_token_id = [last[stop]]
        ended = list(stream(model, tokenizer, "the", max_new_tokens=100, temperature=0))[-1]
        assert (ended.tokens, ended.ended, ended.new) == (stop, "token", tokenizer.decode(last[:stop]))
        model.generation_config.eos_token_id = None
        word = free.new[3:5]
        cut = list(stream(model, tokenizer, "the", max_new_tokens=100, temperature=0, stop=[word]))[-1]
        assert (cut.new, cut.ended) == (free.new[: free.new.index(word)], "string")

    def test_a_stop_string_cuts_a_backward_text_at_its_beginning(self, tokenizer):
        model = gpt2(tokenizer, direction="backward")
        free = list(stream(model, tokenizer, "the", temperature=0))[-1].new
        word = free[-4:-2]
        cut = list(stream(model, tokenizer, "the", temperature=0, stop=[word]))[-1]
        assert (cut.new, cut.ended) == (free[free.rindex(word) + 2 :], "string")

    def test_works_only_when_asked(self, tokenizer):
        model = gpt2(tokenizer)
        calls = []
        model.register_forward_hook(lambda *_: calls.append(1))
        drafts = stream(model, tokenizer, "the", max_new_tokens=20)
        next(drafts), next(drafts)
        drafts.close()
        assert len(calls) == 2
        assert not torch.is_inference_mode_enabled()

    def test_a_model_without_a_cache_reads_all_again(self, tokenizer):
        text = [7, 8, 9]
        model = Dictated(GPT2Config(vocab_size=300, n_positions=64, bos_token_id=0), text)
        list(stream(model, tokenizer, "the", max_new_tokens=3, temperature=0))
        first = model.lengths[0]
        assert model.lengths == [first, first + 1, first + 2]

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"max_new_tokens": 0}, "max_new_tokens: 0 is less than 1"),
            ({"temperature": -1}, "temperature: -1 is not 0 or more"),
            ({"temperature": float("nan")}, "temperature: nan is not 0 or more"),
            ({"top_k": -1}, "top_k: -1 is less than 0"),
            ({"top_p": 0}, "top_p: 0 is not above 0"),
            ({"direction": "backward"}, "direction: this model was trained forward, not backward; use forward"),
            ({"prompt": "the " * 30}, "tokens, and this model reads 24; shorten it"),
        ],
    )
    def test_says_what_is_wrong_before_it_begins(self, tokenizer, settings, message):
        with pytest.raises(ValueError, match=message):
            stream(gpt2(tokenizer), tokenizer, **{"prompt": "the", **settings})

    def test_dropout_would_be_a_mistake(self, tokenizer):
        with pytest.raises(ValueError, match=r"model: it is in training mode"):
            stream(gpt2(tokenizer).train(), tokenizer, "the")


class Dictated(torch.nn.Module):
    """A model without a cache that says the given tokens one after the other, and then again."""

    def __init__(self, config, text):
        super().__init__()
        self.config, self.text, self.lengths, self.device = config, text, [], torch.device("cpu")
        self.eval()

    def forward(self, input_ids, use_cache):
        self.lengths.append(input_ids.shape[1])
        logits = torch.zeros(1, input_ids.shape[1], self.config.vocab_size)
        logits[0, -1, self.text[(len(self.lengths) - 1) % len(self.text)]] = 9.0
        return type("Output", (), {"logits": logits})()


class TestDraw:
    def frequencies(self, logits, **settings):
        generator = torch.Generator().manual_seed(0)
        settings = {"temperature": 1.0, "top_k": 0, "top_p": 1.0, **settings}
        drawn = [_draw(torch.tensor(logits), generator=generator, **settings) for _ in range(4000)]
        return (np.bincount(drawn, minlength=len(logits)) / len(drawn)).tolist()

    @pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
    def test_follows_the_tempered_distribution(self, temperature):
        logits = [0.0, 1.0, -1.0, 2.0]
        expected = (torch.tensor(logits) / temperature).softmax(-1).tolist()
        assert self.frequencies(logits, temperature=temperature) == pytest.approx(expected, abs=0.03)

    def test_top_k_and_top_p_leave_the_likeliest_in_proportion(self):
        logits = np.log([0.4, 0.1, 0.3, 0.2]).tolist()
        assert self.frequencies(logits, top_k=2) == pytest.approx([4 / 7, 0, 3 / 7, 0], abs=0.03)
        assert self.frequencies(logits, top_p=0.71) == pytest.approx([4 / 9, 0, 3 / 9, 2 / 9], abs=0.03)
        assert self.frequencies(logits, top_p=0.1) == [1, 0, 0, 0]
        assert self.frequencies(logits, temperature=0.0) == [1, 0, 0, 0]


def test_a_model_without_a_named_limit_has_none(tokenizer):
    assert context_length(gpt2(tokenizer).config) == context_length(neox(tokenizer).config) == LENGTH
    assert context_length(recurrent(tokenizer).config) is None


# --- the pipeline ----------------------------------------------------------------------------------------------------

PLAIN = """
import json, sys
sys.meta_path = [finder for finder in sys.meta_path if "editable" not in repr(finder).lower()]
sys.path = [path for path in sys.path if "site-packages" in path or "lib/python" in path]
import importlib.util
assert importlib.util.find_spec("hubkit") is None
import torch
from transformers import pipeline
torch.set_num_threads(1)
for folder in sys.argv[1:]:
    generate = pipeline("text-generation", model=folder, trust_remote_code=True)
    options = dict(max_new_tokens=6, do_sample=False)
    one = generate("the cat", **options)[0]["generated_text"]
    new = generate("the cat", return_full_text=False, **options)[0]["generated_text"]
    many = [row[0]["generated_text"] for row in generate(["the cat", "the dog ran"], batch_size=2, **options)]
    ids = generate("the cat", return_tensors=True, **options)[0]["generated_token_ids"]
    print(json.dumps([type(generate).__name__, type(generate.model).__name__, one, new, many, ids]))
"""


class TestPipeline:
    def save(self, model, tokenizer, folder):
        if getattr(model.config, "model_type", "") in ("minigpt", "recurrent"):
            type(model.config).register_for_auto_class()
            type(model).register_for_auto_class("AutoModelForCausalLM")
        tokenizer.pad_token = tokenizer.bos_token
        model.save_pretrained(folder)
        save_tokenizer(tokenizer, folder)
        return add_pipeline(folder)

    @pytest.mark.slow
    def test_travels_with_the_model_and_needs_no_hubkit(self, tokenizer, tmp_path):
        models = {name: make(tokenizer, direction="backward") for name, make in MAKERS.items()}
        for name, model in models.items():
            assert self.save(model, tokenizer, tmp_path / name)
        done = subprocess.run(
            [sys.executable, "-I", "-c", PLAIN, *(str(tmp_path / name) for name in models)],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env={"HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"},
        )
        assert done.returncode == 0, done.stderr
        for model, answer in zip(models.values(), done.stdout.splitlines(), strict=True):
            self.check(model, tokenizer, *json.loads(answer))

    def check(self, model, tokenizer, pipe, kind, one, new, many, ids):
        assert (pipe, kind) == ("DirectedTextGenerationPipeline", type(model).__name__)
        expected = [
            list(stream(model, tokenizer, prompt, max_new_tokens=6, temperature=0))[-1]
            for prompt in ("the cat", "the dog ran")
        ]
        assert one == expected[0].text
        assert new == expected[0].new
        assert many == [draft.text for draft in expected]
        assert tokenizer.decode(ids, skip_special_tokens=True) == one
        assert ids[-1] == 0, "the token that begins texts is the first that the model reads"

    def test_a_forward_model_is_left_as_it_is(self, tokenizer, tmp_path):
        assert not self.save(gpt2(tokenizer), tokenizer, tmp_path)
        assert not list(tmp_path.glob("*.py"))
        assert "custom_pipelines" not in json.loads((tmp_path / "config.json").read_text())

    def test_a_stock_model_loads_without_trust(self, tokenizer, tmp_path):
        from transformers import AutoModelForCausalLM, pipeline

        self.save(neox(tokenizer, direction="backward"), tokenizer, tmp_path)
        loaded = AutoModelForCausalLM.from_pretrained(tmp_path)
        assert (type(loaded), loaded.config.direction) == (GPTNeoXForCausalLM, "backward")
        with pytest.raises(ValueError, match="trust_remote_code=True"):
            pipeline("text-generation", model=str(tmp_path))

    def test_both_directions_by_keyword(self, tokenizer):
        config = {"direction": "both", "direction_tokens": {"forward": 5, "backward": 6}}
        model = gpt2(tokenizer, **config)
        generate = DirectedTextGenerationPipeline(model=model, tokenizer=tokenizer, device="cpu")
        for direction in ("forward", "backward"):
            draft = list(stream(model, tokenizer, "the", direction, max_new_tokens=5, temperature=0))[-1]
            made = generate("the", direction=direction, max_new_tokens=5, do_sample=False)[0]["generated_text"]
            assert made == draft.text
        sampled = generate("the", direction="backward", max_new_tokens=5, num_return_sequences=3)
        assert [row["generated_text"].endswith("the") for row in sampled] == [True] * 3

    def test_an_empty_prompt_begins_a_text(self, tokenizer):
        model = gpt2(tokenizer, direction="backward")
        generate = DirectedTextGenerationPipeline(model=model, tokenizer=tokenizer, device="cpu")
        made = generate("", max_new_tokens=5, do_sample=False)[0]["generated_text"]
        assert made == list(stream(model, tokenizer, "", max_new_tokens=5, temperature=0))[-1].text

    def test_says_what_it_cant(self, tokenizer):
        with pytest.raises(ValueError, match="permuted order"):
            DirectedTextGenerationPipeline(model=gpt2(tokenizer, direction="permuted"), tokenizer=tokenizer)
        generate = DirectedTextGenerationPipeline(model=gpt2(tokenizer), tokenizer=tokenizer, device="cpu")
        with pytest.raises(ValueError, match="trained forward, not backward"):
            generate("the", direction="backward")
        with pytest.raises(ValueError, match="prefix: this pipeline doesn't know it"):
            generate("the", prefix="a")
        with pytest.raises(ValueError, match="prompt: a chat has a fixed order"):
            generate([{"role": "user", "content": "the"}])
