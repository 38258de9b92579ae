"""What a run begins with: weights from anywhere, more tokens, and what does not fit."""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import torch
from huggingface_hub import HfApi
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from hubkit.errors import UserError
from hubkit.models.gpt_neox import GPTNeoXSpec
from hubkit.models.minigpt import MiniGPTSpec
from hubkit.models.recurrent import RecurrentSpec
from hubkit.models.roberta import RobertaSpec
from hubkit.server import process
from hubkit.tokenizers import make_tokenizer, save_tokenizer
from hubkit.training.recipe import Recipe, read_recipe
from hubkit.training.starting import find_commit, find_weights, load_weights, local_weights, tokenizer_of

TOKENIZER = make_tokenizer("characters:AB")
MINIGPT = MiniGPTSpec(n_layer=1, n_head=2, n_embd=16, block_size=32)
ROBERTA = RobertaSpec(hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2)
RECURRENT = RecurrentSpec(hidden_size=16, num_hidden_layers=1)
NEOX = GPTNeoXSpec(hidden_size=16, num_hidden_layers=1, num_attention_heads=2, rotary_pct=0.5)


def fresh(spec=MINIGPT, seed: int = 1, tokenizer=TOKENIZER) -> PreTrainedModel:
    torch.manual_seed(seed)
    return spec.make(tokenizer, 32)


def saved(folder: Path, model: PreTrainedModel | None = None) -> Path:
    (model or fresh(seed=0)).save_pretrained(folder)
    return folder


def grown(*tokens: str):
    tokenizer = make_tokenizer("characters:AB")
    tokenizer.add_special_tokens({"additional_special_tokens": list(tokens)})
    return tokenizer


def recipe(*overrides: str) -> Recipe:
    return read_recipe("lorenz-tiny", overrides)


@pytest.mark.parametrize("spec", [MINIGPT, ROBERTA, NEOX], ids=lambda spec: spec.architecture)
def test_all_weights_of_a_folder_are_taken(tmp_path, spec):
    base, model = fresh(spec, seed=0), fresh(spec)
    load_weights(model, saved(tmp_path, base), "base")
    assert all(torch.equal(tensor, base.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_a_tied_head_stays_tied(tmp_path):
    spec = MINIGPT.model_copy(update={"tie_embeddings": True})
    model = fresh(spec)
    load_weights(model, saved(tmp_path, fresh(spec, seed=0)), "base")
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight


def test_a_checkpoint_of_a_training_will_do(tmp_path):
    """It holds the weights, and no config."""
    saved(tmp_path)
    (tmp_path / "config.json").unlink()
    load_weights(fresh(), tmp_path, "base")


@pytest.mark.parametrize("spec", [MINIGPT, ROBERTA, NEOX], ids=lambda spec: spec.architecture)
def test_more_tokens_keep_the_old_rows_and_begin_fresh(tmp_path, spec):
    base = fresh(spec, seed=0)
    tokenizer = grown("<meta_lang_0>", "<meta_lang_1>")
    saved(tmp_path, base)
    models = []
    for _ in range(2):
        models.append(fresh(spec, tokenizer=tokenizer))
        load_weights(models[-1], tmp_path, "base", added=2)
    model, rows = models[0], len(TOKENIZER)
    for ours, theirs in (
        (model.get_input_embeddings(), base.get_input_embeddings()),
        (model.get_output_embeddings(), base.get_output_embeddings()),
    ):
        assert ours.weight.shape[0] == rows + 2
        assert torch.equal(ours.weight[:rows], theirs.weight)
        assert ours.weight[rows:].std() > 0
    assert model.config.vocab_size == rows + 2
    ids = torch.tensor([[0, 1, rows, rows + 1]])
    assert torch.equal(models[0].eval()(ids).logits, models[1].eval()(ids).logits), "the same seed, the same rows"
    assert model(ids).logits.shape[-1] == rows + 2


def test_a_larger_vocabulary_stays(tmp_path):
    base = fresh(NEOX.model_copy(update={"vocab_size": 64}), seed=0)
    model = fresh(NEOX)
    load_weights(model, saved(tmp_path, base), "base")
    assert model.config.vocab_size == 64
    assert torch.equal(model.get_input_embeddings().weight, base.get_input_embeddings().weight)


def test_added_tokens_are_those_of_the_recipe_and_of_the_objective():
    made = tokenizer_of(recipe("extra_tokens=2"), None)
    assert made.convert_tokens_to_ids(["<meta_lang_0>", "<meta_lang_1>"]) == [len(made) - 2, len(made) - 1]
    named = tokenizer_of(recipe("extra_tokens=[<a>, <a>, <b>]"), None)
    assert named.decode([len(named) - 2, len(named) - 1]) == "<a><b>" or len(named) == len(made)


# --- GPT-2 -----------------------------------------------------------------------------------------------------------


def gpt2(**changes: object) -> GPT2LMHeadModel:
    torch.manual_seed(0)
    shape = {"vocab_size": len(TOKENIZER), "n_layer": 1, "n_head": 2, "n_embd": 16, "n_positions": 32}
    return GPT2LMHeadModel(GPT2Config(**shape | changes)).eval()


def test_a_gpt2_becomes_a_minigpt_with_the_same_logits(tmp_path):
    base, model = gpt2(), fresh(MINIGPT.model_copy(update={"tie_embeddings": True}))
    load_weights(model, saved(tmp_path, base), "gpt2")
    ids = torch.tensor([[2, 0, 1, 4, 0, 0, 1, 3]])
    torch.testing.assert_close(model.eval()(ids).logits, base(ids).logits, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"activation_function": "relu"},
            r"was trained with mlp 'relu', and this one has 'gelu'; give model what they",
        ),
        ({"n_head": 4}, r"in gpt2 has another size than this one; set model\.n_head=4 \(now 2\)$"),
        ({"n_positions": 16}, r"in gpt2 has another size than this one; set model\.block_size=16 \(now 32\)$"),
        ({"activation_function": "silu"}, r"activation_function: 'silu' is none of MiniGPT's"),
    ],
)
def test_a_gpt2_that_computes_something_else_is_refused(tmp_path, changes, message):
    with pytest.raises(UserError, match=message):
        load_weights(fresh(), saved(tmp_path, gpt2(**changes)), "gpt2")


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_layer": 2}, r"init_from: the model in base has another size than this one; set model\.n_layer=2 \(now 1"),
        ({"n_embd": 32}, r"set model\.n_embd=32 \(now 16\), model\.mlp_hidden=128 \(now 64\)$"),
        ({"mlp_hidden": 8}, r"set model\.mlp_hidden=8 \(now 64\)$"),
        ({"mlp": "swiglu", "norm": "rmsnorm"}, r"init_from: the model in base was trained with mlp 'swiglu', and this"),
        ({"n_head": 1}, r"set model\.n_head=1 \(now 2\)$"),
        ({"norm_eps": 1e-6}, r"trained with norm_eps 1e-06, and this one has 1e-05"),
        ({"head_bias": True}, r"lm_head\.bias is not known"),
    ],
)
def test_weights_of_another_shape_or_function_are_refused(tmp_path, changes, message):
    base = fresh(MiniGPTSpec.model_validate(MINIGPT.model_dump() | changes), seed=0)
    model = fresh()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(UserError, match=message):
        load_weights(model, saved(tmp_path, base), "base")
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        (MINIGPT, {"n_layer": 2, "n_head": 4, "n_embd": 32, "block_size": 8}),
        (ROBERTA, {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "max_length": 8}),
        (NEOX, {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}),
        (RECURRENT, {"hidden_size": 24, "num_hidden_layers": 2}),
    ],
    ids=["minigpt", "roberta", "gpt_neox", "recurrent"],
)
def test_with_the_sizes_that_a_refusal_names_the_weights_fit(tmp_path, spec, changes):
    torch.manual_seed(0)
    base = type(spec).model_validate(spec.model_dump() | changes).make(TOKENIZER, 8)
    with pytest.raises(UserError) as refused:
        load_weights(fresh(spec), saved(tmp_path, base), "base")
    named = re.findall(r"model\.(\w+)=(\d+) \(now \d+\)", str(refused.value))
    assert named and changes.keys() <= {field for field, _ in named}
    mended = spec.model_dump() | {field: int(size) for field, size in named}
    model = type(spec).model_validate(mended).make(TOKENIZER, 8)
    load_weights(model, tmp_path, "base")
    assert all(torch.equal(tensor, base.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_rotary_positions_have_no_weights_and_any_number(tmp_path):
    spec = MINIGPT.model_copy(update={"position": "rope"})
    model = fresh(spec.model_copy(update={"block_size": 64}))
    load_weights(model, saved(tmp_path, fresh(spec, seed=0)), "base")
    assert model.config.block_size == 64


def test_weights_of_another_shape_without_a_config_are_told_by_their_shapes(tmp_path):
    saved(tmp_path, fresh(MINIGPT.model_copy(update={"n_embd": 32}), seed=0))
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"has the shape \[.*32.*\] and needs \[.*16.*\].*; give model the arch"):
        load_weights(fresh(), tmp_path, "base")
    saved(tmp_path, fresh(MINIGPT.model_copy(update={"n_layer": 2}), seed=0))
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"weights in base are not those of this model \(.* is not known.*, and \d+"):
        load_weights(fresh(), tmp_path, "base")


def test_another_architecture_is_named(tmp_path):
    with pytest.raises(
        UserError, match=r"init_from: the model in base is a roberta, and this one a minigpt; set model\."
    ):
        load_weights(fresh(), saved(tmp_path, fresh(ROBERTA, seed=0)), "base")


def test_a_tokenizer_that_has_more_tokens_than_the_weights_is_named(tmp_path):
    with pytest.raises(UserError, match=r"tokenizer: it has 7 tokens, and the weights in base are for 6; use theirs$"):
        load_weights(fresh(tokenizer=grown("<x>")), saved(tmp_path), "base")
    save_tokenizer(TOKENIZER, tmp_path)
    with pytest.raises(UserError, match=r"are for 6; use theirs \(tokenizer=base\)$"):
        load_weights(fresh(tokenizer=grown("<x>")), tmp_path, "base")


def test_truncated_weights_are_named(tmp_path):
    path = saved(tmp_path) / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=r"init_from: can't read the weights in base \(.*\); fetch them again"):
        load_weights(fresh(), tmp_path, "base")


def test_weights_that_its_own_config_denies_are_refused(tmp_path):
    weights = load_file(saved(tmp_path) / "model.safetensors")
    save_file({name: tensor for name, tensor in weights.items() if "mlp" not in name}, tmp_path / "model.safetensors")
    with pytest.raises(
        UserError, match=r"init_from: base does not hold what its config says: .*mlp.* is missing; save"
    ):
        load_weights(fresh(), tmp_path, "base")


def test_a_folder_without_weights_is_named(tmp_path):
    message = r"init_from: .* has no model\.safetensors; name a folder that save_pretrained"
    with pytest.raises(UserError, match=message), find_weights(str(tmp_path), None):
        pass


# --- where it lies ---------------------------------------------------------------------------------------------------


def test_a_folder_is_recorded_by_the_end_of_its_path_and_the_sha256_of_its_weights(tmp_path):
    with find_weights(str(saved(tmp_path / "base")), None) as (folder, lineage):
        pass
    assert folder == tmp_path / "base" and len(lineage["sha256"]) == 64
    assert lineage["path"] == f"{tmp_path.parent.name}/{tmp_path.name}/base", "which of all that are called so"
    assert local_weights(str(folder), None) == lineage["sha256"]
    with find_weights(str(saved(tmp_path / "other", fresh(seed=3))), None) as (_, other):
        assert other["sha256"] != lineage["sha256"]
    assert local_weights(None, None) is local_weights("s3://bucket/base", None) is None


@pytest.mark.parametrize(
    "name", ["lorenz", "characters:AB", "tests/training", "s3://bucket/x", "a b/c", "alone", "./none"]
)
def test_what_is_not_on_the_hub_has_no_commit(name):
    assert find_commit(name) is None


def test_published_recipes_name_no_folder_of_this_machine(tmp_path):
    base = saved(tmp_path / "base")
    shown = recipe(f"init_from={base}", f"tokenizer={base}").published()
    assert (shown["init_from"], shown["tokenizer"]) == (f"./{tmp_path.parent.name}/{tmp_path.name}/base", "base")
    assert find_commit(shown["init_from"]) is None, "nor a repository"
    assert recipe("init_from=lab/base@v1.0.0").published()["init_from"] == "lab/base@v1.0.0"


@pytest.fixture
def bucket(s3):
    s3.makedirs("models", exist_ok=True)
    return s3


@pytest.fixture
def scratch(tmp_path, monkeypatch):
    """Where temporary files go."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_weights_come_from_s3_and_their_copy_does_not_stay(tmp_path, bucket, scratch):
    base = saved(tmp_path / "base")
    for path in base.iterdir():
        bucket.put_file(str(path), f"models/base/{path.name}")
    model = fresh()
    with find_weights("s3://models/base", None) as (folder, lineage):
        assert lineage == {"path": "s3://models/base", "sha256": local_weights(str(base), None)}
        assert folder.parent == scratch
        load_weights(model, folder, "s3://models/base")
    assert torch.equal(model.state_dict()["lm_head.weight"], fresh(seed=0).state_dict()["lm_head.weight"])
    assert not list(scratch.iterdir())


def test_no_copy_stays_of_weights_that_can_not_be_used(tmp_path, bucket, scratch):
    base = saved(tmp_path / "base", fresh(ROBERTA, seed=0))
    for path in base.iterdir():
        bucket.put_file(str(path), f"models/other/{path.name}")
    with (
        pytest.raises(UserError, match=r"set model\.architecture"),
        find_weights("s3://models/other", None) as (folder, _),
    ):
        load_weights(fresh(), folder, "s3://models/other")
    with (
        pytest.raises(UserError, match=r"init_from: can't read s3://models/none: nothing is there; check the address"),
        find_weights("s3://models/none", None),
    ):
        pass
    assert not list(scratch.iterdir())


def test_an_address_that_no_library_can_follow_is_refused(monkeypatch):
    with pytest.raises(UserError, match=r"init_from: can't read foo://x/y: Protocol not known: foo; check the address"):
        find_weights("foo://x/y", None).__enter__()
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    with pytest.raises(UserError, match="can't read s3://models/base: Unable to locate credentials; check the address"):
        find_weights("s3://models/base", None).__enter__()


ON_THE_HUB = """
import json
from hubkit.training.starting import find_commit, find_weights, tokenizer_of
from hubkit.training.recipe import read_recipe
where = "lab/base@v1.0.0"
with find_weights(where, find_commit(where)) as (folder, lineage):
    pass
recipe = read_recipe("lorenz-tiny", [f"tokenizer={where}"])
tokens = len(tokenizer_of(recipe, find_commit(where)))
print(json.dumps([lineage, [path.name for path in folder.glob("*.safetensors")], tokens]))
try:
    find_commit("lab/none")
except ValueError as error:
    print(error)
"""


def test_weights_and_tokenizer_come_from_the_hub_at_a_revision(tmp_path, monkeypatch):
    base = saved(tmp_path / "base")
    save_tokenizer(TOKENIZER, base)
    process.start(tmp_path / "hub", port=0)
    try:
        # The client reads its environment when it is imported, so it is given to a process of its own.
        environment = process.client_environment(tmp_path / "hub") | {"HF_HUB_DISABLE_XET": "1"}
        api = HfApi(endpoint=environment["HF_ENDPOINT"], token=environment["HF_TOKEN"])
        api.create_repo("lab/base")
        for path in base.iterdir():
            api.upload_file(path_or_fileobj=path.read_bytes(), path_in_repo=path.name, repo_id="lab/base")
        sha = api.model_info("lab/base").sha
        api.create_tag("lab/base", tag="v1.0.0")
        api.upload_file(path_or_fileobj=b"newer", path_in_repo="notes.txt", repo_id="lab/base")
        done = subprocess.run(
            [sys.executable, "-c", ON_THE_HUB], capture_output=True, text=True, env={**os.environ, **environment}
        )
        found, refused = done.stdout.splitlines() or [done.stderr, ""]
        lineage = f'{{"repo": "lab/base", "revision": "{sha}", "release": "v1.0.0"}}'
        assert found == f'[{lineage}, ["model.safetensors"], {len(TOKENIZER)}]', done.stderr
        assert "lab/none" in refused
    finally:
        process.stop(tmp_path / "hub")
