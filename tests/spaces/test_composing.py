"""A Space is composed of pins, examples and copies of code; never of code of a model's repository."""

import json

import pytest

from hubkit.demo import compose_space, composing
from hubkit.demo.examples import prompts, worlds
from hubkit.errors import UserError
from hubkit.hub import Commit

DATA = {"repo": "lab/data", "revision": "d" * 40}
RECIPE = {"dataset": {"repo": "lab/data", "config": None, "test": "test", "column": "text"}}


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """Return a function that puts a model on a Hub of this test's own."""
    files = {}

    def put(repo, architecture, head, direction=None, recipe=RECIPE):
        config = {
            "model_type": architecture,
            "architectures": [head],
            **({"direction": direction} if direction else {}),
        }
        run = {"name": repo.partition("/")[2], "recipe": recipe, "datasets": [DATA]}
        files[repo] = {"config.json": config, "run.json": run}

    def download(repo, name, revision):
        from huggingface_hub.errors import EntryNotFoundError

        if name not in files[repo]:
            raise EntryNotFoundError(name)
        path = tmp_path / f"{repo.replace('/', '_')}-{name}"
        path.write_text(json.dumps(files[repo][name]), encoding="utf-8")
        return str(path)

    rows = {"text": ["{AB,AAB}", "{B,B}", "Once upon a time", "{'params': [10.05, 1]}"]}
    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    monkeypatch.setattr(composing, "resolve", lambda repo, revision, kind: Commit(repo, (revision or "a") * 40, None))
    monkeypatch.setattr(composing, "load_rows", lambda *_: Rows(rows))
    put.files = files
    return put


class Rows(dict):
    """As a split of `datasets`: rows by number, columns by name."""

    def __getitem__(self, key):
        return (
            {name: column[key] for name, column in self.items()} if isinstance(key, slice) else super().__getitem__(key)
        )


def test_two_models_make_two_tabs_with_their_examples_and_code(hub, tmp_path):
    hub("lab/fills", "roberta", "RobertaForMaskedLM")
    hub("lab/writes", "minigpt", "MiniGPTForCausalLM")
    folder = tmp_path / "space"
    pins = compose_space(["lab/fills", "lab/writes@b"], folder)
    assert json.loads((folder / "space.json").read_text()) == pins
    assert pins["models"] == [{"repo": "lab/fills", "revision": "a" * 40}, {"repo": "lab/writes", "revision": "b" * 40}]
    assert pins["datasets"] == [DATA]
    assert pins["title"] == "Try fills and writes"
    assert [example["truth"] for example in json.loads((folder / "examples.json").read_text())] == ["10"]
    first = json.loads((folder / "prompts.json").read_text())[0]
    assert first == {"label": "{AB,", "prompt": "{AB,", "truth": "AAB"}
    there = {str(path.relative_to(folder)) for path in folder.rglob("*.py")}
    assert {"app.py", "generate_tab.py", "hubkit_models/streaming.py"} <= there
    own = {path.rpartition("/")[2] for path in there if path.startswith("hubkit_models/minigpt/")}
    assert {"configuration_minigpt.py", "modeling_minigpt.py", "layers_minigpt.py"} <= own
    assert all(name.endswith("_minigpt.py") for name in own), "nothing that needs hubkit comes along"


def test_a_model_alone_needs_neither_the_other_tab_nor_its_files(hub, tmp_path):
    hub("lab/fills", "roberta", "RobertaForMaskedLM")
    pins = compose_space(["lab/fills"], tmp_path / "space", title="Mine")
    assert pins["title"] == "Mine"
    assert not (tmp_path / "space" / "prompts.json").exists()
    assert compose_space(["lab/fills"], tmp_path / "space")["title"] == "Fill in a world: fills"


def test_a_model_of_unpublished_tokens_comes_without_examples(hub, tmp_path):
    hub("lab/writes", "gpt2", "GPT2LMHeadModel", recipe={"datasets": [{"tokens": "a.h5"}]})
    compose_space(["lab/writes"], tmp_path / "space")
    assert json.loads((tmp_path / "space" / "prompts.json").read_text()) == []


@pytest.mark.parametrize(
    ("models", "message"),
    [
        (["lab/writes", "lab/again"], "lab/writes and lab/again both generate, and a Space shows one of each kind"),
        (["lab/numbers"], "lab/numbers neither fills masks nor generates on a page (numeric_roberta has no tab)"),
        (["lab/mixed"], "lab/mixed neither fills masks nor generates on a page (it reads its tokens in a permuted"),
        (["lab/headless"], "(gpt2 has no tab)"),
        (["lab/foreign"], "lab/foreign has no run.json, so it is not a model that hubkit published"),
    ],
)  # fmt: skip
def test_says_what_no_page_can_show(hub, tmp_path, models, message):
    hub("lab/writes", "gpt2", "GPT2LMHeadModel")
    hub("lab/again", "minigpt", "MiniGPTForCausalLM")
    hub("lab/numbers", "numeric_roberta", "NumericRobertaForMaskedLM")
    hub("lab/mixed", "gpt2", "GPT2LMHeadModel", "permuted")
    hub("lab/headless", "gpt2", "GPT2Model")
    hub("lab/foreign", "gpt2", "GPT2LMHeadModel")
    del hub.files["lab/foreign"]["run.json"]
    with pytest.raises(UserError) as error:
        compose_space(models, tmp_path / "space")
    assert message in str(error.value)
    assert not (tmp_path / "space").exists()


def test_what_is_no_space_is_not_replaced(hub, tmp_path):
    (tmp_path / "mine").mkdir()
    with pytest.raises(UserError, match="is no Space that hubkit composed"):
        compose_space(["lab/fills"], tmp_path / "mine")


class TestPrompts:
    def test_of_a_pair_are_its_question(self):
        assert prompts(["{AAB,AAAAB}"], "forward") == [{"label": "{AAB,", "prompt": "{AAB,", "truth": "AAAAB"}]
        assert prompts(["{AAB,AAAAB}"], "backward") == [{"label": ",AAAAB}", "prompt": ",AAAAB}", "truth": "{AAB"}]

    def test_of_a_text_are_its_first_or_last_words(self):
        text = " One two  three four five six seven eight nine ten.\n"
        assert [example["prompt"] for example in prompts([text, " \n", ""], "forward")] == [
            "One two  three four five six seven eight"
        ]
        assert prompts([text], "backward")[0]["prompt"] == "three four five six seven eight nine ten."
        assert "truth" not in prompts([text], "both")[0]

    def test_are_short_where_words_are_long(self):
        assert prompts(["漢" * 500], "forward")[0]["prompt"] == "漢" * 80
        assert prompts(["字" + "漢" * 500], "backward")[0]["prompt"] == "漢" * 80


def test_worlds_without_a_number_to_hide_are_left_out():
    assert worlds(["{}", "'params': [x.5", "'params': [7.5, 1]"]) == [
        {"label": "Test world 3", "text": "'params': [?.5, 1]", "truth": "7"}
    ]
