"""Models are found and loaded without running code of the Hub, and answer prompts."""

import ast
import json
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, RobertaConfig, RobertaForMaskedLM

from hubkit.errors import UserError
from hubkit.hub import Commit
from hubkit.models.loading import architecture_files, read_config
from hubkit.prompting import find_model, load_generator
from hubkit.tokenizers import make_tokenizer, save_tokenizer

torch.set_num_threads(1)
EVIL = "open(__file__ + '.ran', 'w').close()\nraise RuntimeError('code of the repository ran')\n"


def minigpt(tokenizer):
    from hubkit.models.minigpt.configuration_minigpt import MiniGPTConfig
    from hubkit.models.minigpt.modeling_minigpt import MiniGPTForCausalLM

    MiniGPTConfig.register_for_auto_class()
    MiniGPTForCausalLM.register_for_auto_class("AutoModelForCausalLM")
    shape = {"n_layer": 1, "n_head": 2, "n_embd": 8, "block_size": 32}
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    return MiniGPTForCausalLM(MiniGPTConfig(vocab_size=len(tokenizer), **shape, **ids))


def gpt2(tokenizer, **config):
    ids = {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    shape = {"n_layer": 1, "n_head": 2, "n_embd": 8, "n_positions": 32}
    return GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **shape, **ids, **config))


def save(model, tokenizer, folder):
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    return folder


@pytest.fixture
def letters():
    torch.manual_seed(0)
    return make_tokenizer("characters:AB")


def test_hubkits_own_architecture_needs_no_trust_and_never_gets_it(letters, tmp_path, capfd):
    model = minigpt(letters)
    save(model, letters, tmp_path)
    for path in tmp_path.glob("*.py"):
        path.write_text(EVIL)
    assert len(list(tmp_path.glob("*.py"))) >= 2
    for trust in (False, True):
        loaded = load_generator(tmp_path, trust)
        assert type(loaded.model) is type(model)
        assert not loaded.model.training
        assert (loaded.kind, loaded.directions) == ("causal", ("forward",))
        assert loaded.model.lm_head.weight.equal(model.lm_head.weight)
    assert not list(tmp_path.glob("*.ran"))
    assert "You are using a model of type" not in capfd.readouterr().err


def test_foreign_code_runs_only_when_it_is_trusted(letters, tmp_path):
    save(gpt2(letters), letters, tmp_path)
    config = read_config(tmp_path)
    names = {"AutoConfig": "evil.Config", "AutoModelForCausalLM": "evil.Model"}
    (tmp_path / "config.json").write_text(json.dumps({**config, "model_type": "evil", "auto_map": names}))
    (tmp_path / "evil.py").write_text(EVIL)
    with pytest.raises(UserError, match=r"is code of its own repository \(evil.py\).*add --trust-remote-code"):
        load_generator(tmp_path)
    with pytest.raises(UserError, match="can't be loaded: code of the repository ran"):
        load_generator(tmp_path, trust=True)


def test_a_stock_model_with_a_pipeline_of_its_own_loads_without_it(letters, tmp_path):
    from hubkit.models.directed_generation import add_pipeline

    save(gpt2(letters, direction="backward"), letters, tmp_path)
    assert add_pipeline(tmp_path)
    (tmp_path / "directed_generation.py").write_text(EVIL)
    loaded = load_generator(tmp_path)
    assert loaded.directions == ("backward",)
    assert list(loaded.stream("AB}", max_new_tokens=3, temperature=0))[-1].text.endswith("AB}")


def test_both_directions_and_neither(letters, tmp_path):
    both = {"direction": "both", "direction_tokens": {"forward": 0, "backward": 1}}
    assert load_generator(save(gpt2(letters, **both), letters, tmp_path / "both")).directions == ("forward", "backward")
    permuted = load_generator(save(gpt2(letters, direction="permuted"), letters, tmp_path / "permuted"))
    with pytest.raises(UserError, match="permuted order"):
        _ = permuted.directions
    with pytest.raises(UserError, match="permuted order"):
        permuted.stream("A")


def test_a_prompt_that_cant_be_read_is_the_users_to_mend(letters, tmp_path):
    loaded = load_generator(save(gpt2(letters), letters, tmp_path))
    with pytest.raises(UserError, match="prompt: character 1, 'x', is one that the model's vocabulary can't spell"):
        loaded.stream("x")
    with pytest.raises(UserError, match="prompt: it takes 41 tokens, and this model reads 32; shorten it"):
        loaded.stream("A" * 40)


@pytest.fixture(scope="module")
def filler(tmp_path_factory):
    torch.manual_seed(0)
    tokenizer = make_tokenizer("lorenz")
    tokenizer.model_max_length = 40
    shape = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8}
    model = RobertaForMaskedLM(RobertaConfig(vocab_size=len(tokenizer), max_position_embeddings=500, **shape))
    model.lm_head.bias.data[tokenizer.convert_tokens_to_ids("42")] = 9.0
    return load_generator(save(model, tokenizer, tmp_path_factory.mktemp("model")))


class TestFill:
    def test_ranks_tokens_for_each_mask(self, filler):
        assert filler.kind == "masked"
        first, second = filler.fill("[?.05, 1?]", top=3)
        for guesses in (first, second):
            assert guesses[0].token == "42"
            assert len(guesses) == 3
            assert 1 > guesses[0].probability >= guesses[1].probability > 0

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("[1.05]", r"text: it has no mask; write \? for each token to fill in"),
            ("é?", "prompt: character 1, 'é', is one"),
            ("?" + "1, " * 60, "and this model reads 40; shorten it"),
        ],
    )
    def test_says_why_not(self, filler, text, message):
        with pytest.raises(UserError, match=message):
            filler.fill(text)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "has no config.json; name a folder that save_pretrained wrote"),
        ("{", "is not valid JSON"),
        ("[]", "is not an object"),
        ('{"architectures": ["GPT2Model"]}', "has GPT2Model; a causal or a masked language model is needed"),
        ("{}", "has no head; a causal"),
        ('{"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}', "can't be loaded: "),
        ('{"architectures": ["OtherForCausalLM"], "model_type": "minigpt"}', "minigpt has no OtherForCausalLM"),
        ('{"architectures": ["XForMaskedLM"], "model_type": "numeric_roberta"}', "it reads numbers apart from"),
    ],
)  # fmt: skip
def test_a_folder_that_is_no_model_says_so(tmp_path, config, message):
    if config is not None:
        (tmp_path / "config.json").write_text(config)
    with pytest.raises(UserError, match=message):
        load_generator(tmp_path)


def test_pickled_weights_are_not_read(letters, tmp_path):
    model = gpt2(letters)
    save(model, letters, tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save(model.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(UserError, match=r"can't be loaded: .*safetensors"):
        load_generator(tmp_path)


def test_a_folder_has_no_revision(tmp_path):
    assert find_model(str(tmp_path)) == tmp_path
    with pytest.raises(UserError, match=r"--revision: .* is a folder and has none"):
        find_model(str(tmp_path), "v1.0.0")


def test_a_repository_may_be_followed_by_its_revision(monkeypatch):
    asked = []
    monkeypatch.setattr("hubkit.hub.resolve", lambda *what: asked.append(what) or Commit(what[0], "c" * 40, None))
    monkeypatch.setattr("hubkit.hub.fetch_model", lambda repo, revision: Path(repo, revision[:1]))
    for name, revision in (("lab/x", None), ("lab/x@v1.0.0", None), ("lab/x", "main")):
        assert find_model(name, revision) == Path("lab/x/c")
    assert asked == [("lab/x", None, "model"), ("lab/x", "v1.0.0", "model"), ("lab/x", "main", "model")]
    with pytest.raises(UserError, match=r"--revision: lab/x@v1\.0\.0 names one already; leave one of them out"):
        find_model("lab/x@v1.0.0", "main")


def test_files_of_an_architecture_stand_alone():
    assert architecture_files("gpt2") == architecture_files("../minigpt") == architecture_files("") == []
    for architecture in ("minigpt", "recurrent"):
        files = architecture_files(architecture)
        assert {f"modeling_{architecture}.py", f"configuration_{architecture}.py"} <= {file.name for file in files}
        nodes = [node for file in files for node in ast.walk(ast.parse(file.read_text()))]
        modules = [node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)]
        modules += [alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names]
        assert "torch" in modules
        assert not [name for name in modules if name.startswith("hubkit")]
