"""Recipes: what ships is valid, what is wrong is told in one line, and the identity is that of the losses."""

import json

import pytest
import yaml

from hubkit.errors import UserError
from hubkit.resources import resource
from hubkit.tokenizers import make_tokenizer
from hubkit.tokenizers.loading import is_own
from hubkit.training.recipe import Recipe, read_recipe, recipes

COMMIT = "c0ffee" * 6 + "c0ff"
TINY = yaml.safe_load((resource("scripts", "recipes") / "lorenz-tiny.yaml").read_text())


def identity(*overrides: str, commit: str = COMMIT) -> str:
    return read_recipe("lorenz-tiny", overrides).identity({"dataset": commit})


@pytest.mark.parametrize("name", recipes())
def test_each_shipped_recipe_is_valid_and_asks_for_tokens_that_there_are(name):
    recipe = read_recipe(name)
    assert recipe.evaluations
    if is_own(recipe.tokenizer):
        recipe.objective.make(make_tokenizer(recipe.tokenizer))
    assert Recipe.build(json.loads(recipe.canonical_json())) == recipe


def test_a_recipe_is_found_by_name_and_by_path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump(TINY))
    assert read_recipe(str(path)) == read_recipe("lorenz-tiny")
    assert "lorenz-tiny" in recipes()


FOREIGN = """{ # a configuration of another project
  "model_params": {"model": "gru", "embed_dim": 64, "n_layers": 1, "attn_length": 32},
  "training_params": {"dataset": "lab/en", "tokenizer": "characters:ab", "backward": true, "steps": 100,},
  "optim_params": {"lr": 1e-3, "warmup_steps": 10}
}"""


@pytest.mark.parametrize("name", ["arrows.json", "arrows.py"])
def test_a_configuration_of_another_project_is_a_recipe_and_takes_overrides(tmp_path, name):
    (tmp_path / name).write_text(FOREIGN)
    found = read_recipe(str(tmp_path / name), ["training.steps=7", "training.schedule.warmup_steps=2"])
    assert (found.name, found.model.architecture, found.objective.direction) == ("arrows", "recurrent", "backward")
    assert (found.training.steps, found.reading.length, found.training.learning_rate) == (7, 32, 1e-3)
    with pytest.raises(UserError, match=r"training\.step is not a field"):
        read_recipe(str(tmp_path / name), ["training.step=7"])


def test_what_another_project_does_not_say_is_asked_for(tmp_path):
    (tmp_path / "arrows.json").write_text(FOREIGN.replace('"tokenizer": "characters:ab", ', ""))
    with pytest.raises(UserError, match=r"recipe .*arrows\.json: tokenizer is missing"):
        read_recipe(str(tmp_path / "arrows.json"))


def test_added_tokens_are_counted_or_named_and_the_objectives_come_last():
    recipe = read_recipe("lorenz-tiny", ["extra_tokens=2"])
    assert recipe.added_tokens == ("<meta_lang_0>", "<meta_lang_1>")
    both = ["model={architecture: minigpt}", "objective={name: causal, direction: both}", "extra_tokens=[<a>, <a>]"]
    assert read_recipe("lorenz-tiny", [*both, "evaluations=[]"]).added_tokens == ("<a>", "<|forward|>", "<|backward|>")


def test_overrides_are_typed_and_reach_into_groups():
    recipe = read_recipe(
        "lorenz-tiny", ["training.steps=7", "training.schedule.warmup_steps=2", "publish_to=", "private=true"]
    )
    assert (recipe.training.steps, recipe.training.schedule.warmup_steps) == (7, 2)
    assert recipe.publish_to is None and recipe.private
    assert recipe.training.batch_size == TINY["training"]["batch_size"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.step=5", r"training\.step is not a field \(known: .*\bsteps\b"),
        ("trainings.steps=5", r"trainings is not a field \(known: .*\btraining\b"),
        ("training.steps=0", r"training\.steps: .*greater than 0.* \(got 0\)"),
        ("training.steps=many", r"training\.steps: .*integer.* \(got 'many'\)"),
        ("training.learning_rate=-1", r"training\.learning_rate: .*greater than 0.* \(got -1\)"),
        ("training.learning_rate=.nan", r"training\.learning_rate: .*finite"),
        ("training.precision=fp8", r"training\.precision: .*'fp32', 'bf16', 'fp16' or 'bf16_weights'.* \(got 'fp8'\)"),
        (
            "training.schedule.warmup_steps=9999",
            r"warmup_steps 9999 is not less than steps .*; lower it",
        ),
        ("training.trackers=[mlflow]", r"training\.trackers\.0: .*'tensorboard', 'wandb' or 'trackio'.*'mlflow'"),
        ("model.num_attention_heads=7", r"hidden_size 64 is not a multiple of num_attention_heads 7; "),
        ("model.architecture=gpt", r"model\.architecture: 'gpt' is unknown \(known: roberta, .*minigpt.*\)"),
        ("objective.mask_share=1.5", r"objective\.mask_share: .*less than or equal to 1.* \(got 1\.5\)"),
        ("objective.random_share=0.5", r"mask_share 1\.0 and random_share 0\.5 sum to more than 1; lower one"),
        ("objective.focus=[{after: x, tokens: 0, probability: 1}]", r"objective\.focus\.0\.tokens: .*greater than 0"),
        ("tokenizer=bpe", r"tokenizer: there is no such tokenizer \(known: .*lorenz.*\) \(got 'bpe'\)"),
        ("evaluations=[accuracy]", r"evaluations\.0: .*'mask_filling'.* \(got 'accuracy'\)"),
        ("training.epochs=2", "say either steps or epochs: how long the run is"),
        ("training.early_stop={min_delta: 1}", r"training\.early_stop: neither patience nor target_loss is set"),
        (
            "objective={name: causal}",
            r"objective\.name: roberta is a masked model, and the objective causal is for causal",
        ),
        (
            "also_evaluate={validation: {repo: lab/x}}",
            r"also_evaluate\.validation: this is the name of the dataset's own",
        ),
        ("also_evaluate={a b: {repo: lab/x}}", r"also_evaluate\..*pattern"),
        (
            "tokenizer=numeric-lorenz",
            r"tokenizer: numeric-lorenz keeps of a number only .* roberta .*use tokenizer=lorenz",
        ),
        ("publish_to=roberta", r"publish_to: not a repository; write OWNER/NAME \(got 'roberta'\)"),
        ("name=a b", r"name: .*pattern.* \(got 'a b'\)"),
        ("dataset.repo=", r"dataset: name one of repo, folder and tokens \(none is given\)"),
        ("training.steps", r"override 'training\.steps' is not of the form key=value"),
    ],
)
def test_mistakes_are_told_in_one_line_that_names_field_value_and_mend(override, message):
    with pytest.raises(UserError, match=message) as refused:
        read_recipe("lorenz-tiny", [override])
    assert "\n" not in str(refused.value)


def test_an_unknown_recipe_and_a_missing_file_are_named():
    with pytest.raises(UserError, match=r"recipe: 'lorenz-tny' is unknown \(known: .*lorenz-tiny.*; or the path of a"):
        read_recipe("lorenz-tny")
    with pytest.raises(UserError, match=r"nowhere\.yaml"):
        read_recipe("nowhere.yaml")


@pytest.mark.parametrize(
    "override",
    [
        "dataset.repo=lab/other", "dataset.config=b", "dataset.train=test", "dataset.test=validation",
        "dataset.column=x",
        "model.hidden_size=128", "model.hidden_dropout_prob=0.1", "model.max_length=500", "objective.probability=0.3",
        "objective.focus=[]", "training.steps=1501", "training.batch_size=17", "training.length_pool=2",
        "training.learning_rate=1e-3", "training.schedule.name=cosine", "training.weight_decay=0", "training.seed=1",
        "training.precision=bf16", "training.deterministic=true", "training.max_grad_norm=2", "training.log_every=51",
        "training.evaluate_every=251", "training.evaluation_rows=99", "training.evaluate_at_start=true",
        "training.early_stop={patience: 3}", "mix=[{repo: lab/more}]", "also_evaluate={more: {repo: lab/more}}",
        "init_from=lab/base", "extra_tokens=2", "reading={form: windows, length: 64}",
    ],
)  # fmt: skip
def test_identity_changes_with_what_decides_losses(override):
    assert identity(override) != identity()


@pytest.mark.parametrize(
    "override",
    [
        "name=other", "publish_to=", "private=true", "output=/tmp/x", "resume=false", "evaluations=[]",
        "training.trackers=[]", "training.loader_workers=3", "training.checkpoint_every=7",
        "training.keep_checkpoints=9", "dataset.revision=v1.0.0", "further=5", "training.backup_every=7",
        "training.snippet_every=7", "training.keep=best", "training.max_minutes=5", "training.micro_batch_size=2",
        "training.compile=true",
    ],
)  # fmt: skip
def test_identity_stays_with_what_does_not(override):
    assert identity(override) == identity()


@pytest.mark.parametrize("schedule", ["{name: constant}", "{name: cosine_restarts, period: 9}"])
def test_identity_stays_with_the_length_of_a_run_whose_schedule_has_no_end(schedule):
    endless = f"training.schedule={schedule}"
    assert identity(endless, "training.steps=1501") == identity(endless)
    assert identity(endless, "training.steps=", "training.epochs=2") == identity(endless)


def test_identity_is_of_the_commit_that_the_revision_meant():
    assert identity(commit="0" * 40) != identity()


def test_what_is_published_says_nothing_of_the_machine():
    recipe = read_recipe("lorenz-tiny", ["output=/home/somebody/secret", "private=true", "resume=false"])
    assert "somebody" not in json.dumps(recipe.published())
    assert {"output", "resume", "private"}.isdisjoint(recipe.published())
    assert str(recipe.folder) == "/home/somebody/secret"
