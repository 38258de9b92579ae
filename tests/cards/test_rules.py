"""Each rule: a card that breaks it, with line and words, and one that does not."""

import re

import pytest

from hubkit.cards.card import Card
from hubkit.cards.checking import RULES, Report, check_card
from hubkit.cards.files import Files
from hubkit.errors import UserError

from .folders import DATA

DATASET = "license: mit\npretty_name: Rows\nsize_categories: n<1K\n"
MODEL = "license: mit\nlibrary_name: transformers\npipeline_tag: fill-mask\n"
SPACE = "license: mit\ntitle: Demo\nsdk: static\n"
TEXT = "\n# Rows\n\nWhat the rows are.\n"
COMMIT = "5503434ddd753f426f4b38109466949a1217c2bb"


class Named(Files):
    """Files of which only names, and the bytes of a few, matter."""

    def __init__(self, *names: str, **contents: bytes):
        self.contents = {name.replace("__", "/"): data for name, data in contents.items()}
        self.sizes = dict.fromkeys((*names, *self.contents), 1)
        self.name = "lab/rows"

    def read(self, path):
        return self.contents.get(path)

    def open(self, path):
        raise AssertionError(f"{path} is opened")


def check(kind: str, fields: str, body: str = TEXT, *names: str, **options) -> Report:
    files = Named(*(names or ("index.html",)))
    return check_card(Card(f"---\n{fields}---\n{body}", kind, files), **options)


def told(report: Report) -> list[str]:
    return [
        f"{finding.flaw.line} {finding.rule}: {finding.flaw.message}; {finding.flaw.mend}"
        for finding in report.findings
    ]


@pytest.mark.parametrize(("kind", "fields"), [("dataset", DATASET), ("model", MODEL), ("space", SPACE)])
def test_a_short_card_is_good(kind, fields):
    assert told(check(kind, fields)) == []


BROKEN = [
    ("dataset", "license: other\n", "license-other", "license: other, and license_name and license_link missing"),
    (
        "dataset",
        "license: other\nlicense_name: x\nlicense_link: LICENSE\n",
        "license-link-broken",
        "LICENSE is not in the rep",
    ),
    ("dataset", "license: mit\nlicense_name: x\n", "license-name-unused", "license is mit"),
    (
        "dataset",
        "language: [no]\n",
        "field-type",
        'language holds no, which YAML reads as a bool and not as a text; write "no"',
    ),
    ("dataset", "tags: [2024-01-01]\n", "field-type", "tags holds 2024-01-01, which YAML reads as a date"),
    ("dataset", "language_creators: machine generated\n", "language-creators-legal", "write machine-generated"),
    ("dataset", "multilinguality: bilingual\n", "multilinguality-legal", "write multilingual"),
    ("dataset", "configs:\n- config_name: a\n- config_name: a\n", "config-twice", "a second configuration is called a"),
    (
        "dataset",
        "configs:\n- {config_name: a, default: true}\n- {config_name: b, default: true}\n",
        "config-twice",
        "so is a",
    ),
    (
        "dataset",
        "configs:\n- config_name: a\n  data_files: {train: x}\n",
        "config-data-files",
        "neither a text nor a list",
    ),
    (
        "dataset",
        "configs:\n- config_name: a\n  data_files:\n  - split: train\n",
        "config-data-files",
        "write both split: and",
    ),
    (
        "dataset",
        "configs:\n- config_name: a\n  data_files:\n  - {split: a-b, path: x}\n",
        "config-data-files",
        "called a-b",
    ),
    (
        "dataset",
        "configs:\n- config_name: a\n  data_files:\n  - {split: t, path: x}\n  - {split: t, path: y}\n",
        "config-data-files",
        "the split t comes twice",
    ),
    (
        "dataset",
        "dataset_info:\n- {features: []}\n- {config_name: b}\n",
        "config-name-missing",
        "of which configuration it is",
    ),
    ("dataset", "source_datasets: [extended|squad, 'lab/a b']\n", "source-datasets-id", "lab/a b is not the id"),
    ("model", "base_model: lab/rows\n", "base-model-itself", "base_model names this very repository, lab/rows"),
    (
        "model",
        "base_model_relation: lora\n",
        "base-model-relation-legal",
        "write one of adapter, finetune, merge, quantized",
    ),
    ("model", "library_name: transformer\n", "library-name-legal", "write transformers"),
    ("model", "base_model: gpt2\nnew_version: https://huggingface.co/lab/b\n", "base-model-id", "write lab/b"),
    ("model", "model-index:\n- name: x\n  results: []\n", "model-index-empty", "model-index has no results"),
    ("model", "model-index:\n- results: 1\n", "model-index-shape", "has no list of results"),
    ("model", "model-index:\n- results:\n  - task: {type: fill-mask}\n", "model-index-shape", "no name"),
    (
        "model",
        "model-index:\n- name: x\n  results:\n  - task: {type: fill-mask}\n    dataset: {type: a}\n    metrics: []\n",
        "model-index-shape",
        "this result has no dataset.name",
    ),
    (
        "model",
        "model-index:\n- name: x\n  results:\n  - task: {type: masking}\n",
        "model-index-task",
        "the task masking is not",
    ),
    ("model", "model-index:\n- name: x\n  results:\n  - source: {name: me}\n", "model-index-source", "has no url"),
    (
        "model",
        "model-index:\n- name: x\n  results:\n  - dataset: {config: a, split: b, revision: main}\n",
        "model-index-pin",
        "the revision main of the dataset is no commit",
    ),
    ("space", "sdk: streamlit\n", "space-sdk", "the Hub takes sdk: streamlit no more"),
    ("space", "sdk: gradioo\n", "space-sdk", "write gradio"),
    ("space", "sdk: gradio\n", "space-sdk-pinned", "a new Gradio can break the Space"),
    ("space", "sdk_version: latest\n", "space-sdk-version", "latest is not a version"),
    ("space", "sdk: docker\n", "space-app-file", "the Space starts Dockerfile"),
    ("space", "header: tiny\n", "space-settings", "write one of default, mini"),
    ("space", "suggested_hardware: a10g-smal\n", "space-settings", "write a10g-small"),
    ("space", "models: [./model]\n", "models-id", "./model is a path"),
    ("space", "emoji: 🔭🔭\n", "space-emoji", "not one emoji"),
    ("space", "preload_from_hub: [../x]\n", "space-preload", "../x is a path"),
]


@pytest.mark.parametrize(
    ("kind", "fields", "rule", "words"), BROKEN, ids=[f"{i}-{case[2]}" for i, case in enumerate(BROKEN)]
)
def test_fields_that_break_a_rule(kind, fields, rule, words):
    base = {"dataset": DATASET, "model": MODEL, "space": SPACE}[kind]
    names = {line.partition(":")[0] for line in fields.splitlines()}
    kept = "".join(line + "\n" for line in base.splitlines() if line.partition(":")[0] not in names)
    found = [finding for finding in check(kind, kept + fields).findings if finding.rule == rule]
    assert found and any(words in f"{one.flaw.message}; {one.flaw.mend}" for one in found), told(
        check(kind, kept + fields)
    )
    first = kept.count("\n") + 2
    assert all(first <= finding.flaw.line < first + fields.count("\n") for finding in found)


BODIES = [
    ("dataset", "", 5, "body-empty", "says nothing in words"),
    ("dataset", "# A\n\nTODO: more\n", 7, "placeholder-todo", "TODO is left"),
    ("dataset", "Lorem ipsum dolor\n", 5, "placeholder-todo", "Lorem ipsum"),
    ("model", "x\n\n## Uses [optional]\n", 7, "placeholder-template", "[optional] is left of a template"),
    ("model", "[x](https://huggingface.co/lab/rows/blob/main/gone.py)\n", 5, "link-gone", "leads to gone.py"),
    ("model", "x <!-- /hubkit:use -->\n", 5, "section-unbalanced", "the section use ends here and begins nowhere"),
    (
        "model",
        "<!-- hubkit:a -->\nx\n<!-- /hubkit:a -->\n\n<!-- hubkit:a -->\n<!-- /hubkit:a -->\n",
        9,
        "section-unbalanced",
        "the section a is here for the second time",
    ),
    (
        "model",
        "x\n<!-- hubkit:a -->\n<!-- hubkit:b -->\n",
        6,
        "section-unbalanced",
        "meets <!-- hubkit:b --> before its end",
    ),
    ("model", "my key:\nghp_abcdefghijklmnopqrstuvwxyz0123456789\n", 6, "secret", "take it out"),
    ("model", r"kept in C:\Users\ada\model" + "\n", 5, "path-local", r"C:\Users\ada\model"),
    ("model", "`x`\n`y\nz` ![i](a.png)\n", 7, "image-broken", "a.png"),
    ("model", "```python\nimport unheard_of_module\n```\n", 6, "snippet-module", "write pip install unheard_of_module"),
    (
        "model",
        "```py\n>>> x = 1\n1\n>>> from transformers import TFAutoModel\n```\n",
        8,
        "snippet-import",
        "use AutoModel, of PyTorch",
    ),
    (
        "model",
        "```python\nimport transformers.unheard_of\n```\n",
        6,
        "snippet-import",
        "transformers.unheard_of is not in",
    ),
    (
        "model",
        "```python\n!pip install x\ntokenizer.encode_plus('a')\n```\n",
        7,
        "snippet-gone",
        "write tokenizer(text)",
    ),
    (
        "model",
        "```python\npipeline('translation_en_to_fr', model='lab/rows')\n```\n",
        6,
        "snippet-gone",
        "AutoModelForSeq2SeqLM",
    ),
    (
        "model",
        "```python\nname = '/data/x/y'\nAutoModel.from_pretrained(name)\n```\n",
        7,
        "snippet-id",
        "/data/x/y is a path",
    ),
    (
        "model",
        "```bash\nhf download lab/other --local-dir x\n```\n",
        6,
        "snippet-repository",
        "loads lab/other, and this is lab/rows",
    ),
    (
        "model",
        "```bash\ngit clone https://huggingface.co/lab/other.git\n```\n",
        6,
        "snippet-repository",
        "loads lab/other",
    ),
    (
        "model",
        "```python\npd.read_csv('https://huggingface.co/a/b/blob/main/c.csv')\n```\n",
        6,
        "link-blob",
        "write resolve",
    ),
]


@pytest.mark.parametrize(
    ("kind", "body", "line", "rule", "words"), BODIES, ids=[f"{i}-{case[3]}" for i, case in enumerate(BODIES)]
)
def test_texts_that_break_a_rule(kind, body, line, rule, words):
    fields = {"dataset": "license: mit\npretty_name: Rows\nsize_categories: n<1K\n", "model": MODEL}[kind]
    found = check(kind, fields, body).findings
    assert [(one.rule, one.flaw.line + (not body)) for one in found] == [(rule, line + 1)] or not body
    assert [one.rule for one in found] == [rule]
    assert words in f"{found[0].flaw.message}; {found[0].flaw.mend}"


@pytest.mark.parametrize(
    ("text", "line", "rule"),
    [
        ("# Only text\n\nHere.\n", 1, "front-matter-missing"),
        ("---\n---\n# Rows\n\nHere.\n", 1, "front-matter-missing"),
        ("---\nlicense: mit\n\nHere.\n", 1, "front-matter-open"),
        ("---\n- license\n---\n\nHere.\n", 2, "front-matter-mapping"),
        ("---\nlicense: mit\ntitle: a: b\n---\n\nHere.\n", 3, "front-matter-yaml"),
        ("---\nlicense: [mit\n---\n\nHere.\n", 2, "front-matter-yaml"),
        ("---\ntags:\n\t- a\n---\n\nHere.\n", 3, "front-matter-tabs"),
    ],
)
def test_a_front_matter_that_can_not_be_read_is_one_finding(text, line, rule):
    found = check_card(Card(text, "model", Named())).findings
    assert [(one.rule, one.flaw.line) for one in found] == [(rule, line)]


def test_keys_are_found_twice_at_any_depth():
    fields = MODEL + "model-index:\n- name: x\n  name: y\n  results: [{metrics: 1, metrics: 2}]\n"
    found = [one.flaw.line for one in check("model", fields).findings if one.rule == "front-matter-duplicate"]
    assert found == [7, 8]


def test_results_in_files_of_their_own_are_read():
    good = b"- dataset: {id: lab/a, task_id: b}\n  value: 0.5\n"
    for data, line, words in (
        (b"a: 1\n", 1, "no list"),
        (good + b"- value: .inf\n", 3, "no dataset.id and no dataset.task_id and no value"),
    ):
        card = Card(
            f"---\n{MODEL}---\n{TEXT}", "model", Named(**{".eval_results__a.yaml": good, ".eval_results__b.yaml": data})
        )
        (found,) = check_card(card).findings
        assert (found.flaw.file, found.flaw.line, found.rule) == (".eval_results/b.yaml", line, "eval-results-shape")
        assert words in found.flaw.message


@pytest.mark.parametrize(
    ("kind", "names", "rule"),
    [
        ("model", ("runs/events.out.tfevents.1",), "training-curve"),
        ("model", ("adapter_config.json",), "base-model-missing"),
        ("dataset", ("rows.csv",), "configs-missing"),
    ],
)
def test_files_that_a_card_should_speak_of(kind, names, rule):
    assert [one.rule for one in check(kind, {"model": MODEL, "dataset": DATASET}[kind], TEXT, *names).findings] == [
        rule
    ]


def test_links_that_lead_somewhere_are_left_alone():
    body = (
        "# A `b` & c!\n\n# A `b` & c!\n\n"
        "[1](#a-b--c) [2](#a-b--c-1) [3](docs/x.md#y) [4](docs) [5](/datasets/lab/other) "
        '[6](https://x.org/None.md) [7](mailto:a@b.c)\n<a id="here"></a> [8](#here) ![](docs/a%20b.png)\n\n'
        "<!-- [9](gone.md) <img src='gone.png'> -->\n\n```\n[10](gone.md)\n```\n"
    )
    report = check("dataset", DATASET, body, "docs/x.md", "docs/a b.png")
    assert [one.rule for one in report.findings] == ["heading-duplicate"]


def test_snippets_may_load_other_repositories_beside_this_one():
    code = "```python\nload_dataset('lab/other')\nload_dataset('lab/rows')\nload_dataset('csv', data_files='x')\n```\n"
    assert told(check("dataset", DATASET, code)) == []
    declared = "```python\nload_dataset('lab/other')\n```\n"
    assert told(check("dataset", DATASET + "source_datasets: [lab/other]\n", declared)) == []


@pytest.mark.parametrize("emoji", ["🔭", "❤️", "👩🏽‍🔬", "🇪🇺", "1️⃣", "⚡", "🏴‍☠️"])
def test_emojis_of_several_signs_are_one(emoji):
    assert told(check("space", SPACE + f"emoji: {emoji}\n")) == []


@pytest.mark.parametrize("value", ["0.5", "'20.0 ± 1.2'", "12", "'37%'", "{a: 1, b: 0.5}"])
def test_values_that_the_hub_shows_are_numbers(value):
    fields = MODEL + "model-index:\n- name: x\n  results:\n  - metrics:\n    - type: f1\n      value: {}\n"
    assert "model-index-value" not in {one.rule for one in check("model", fields.replace("{}", value)).findings}


def test_rules_can_be_left_out():
    assert told(check("dataset", "tags: []\n", ignore=[name for name in RULES if name != "license-missing"])) == [
        "1 license-missing: license is missing: without one nobody may use it; add license"
    ]
    with pytest.raises(UserError, match=r"--ignore: there is no rule licence: hubkit card rules lists them"):
        check("dataset", DATASET, ignore=["licence"])


def test_every_rule_is_broken_by_some_card_of_these_tests():
    broken = {rule for case in (BROKEN, BODIES) for entry in case for rule in entry if rule in RULES}
    for file in DATA.glob("*/findings.txt"):
        broken |= set(re.findall(r"^README\.md:\d+: \w+ (\S+)", file.read_text(), re.MULTILINE))
    elsewhere = {"snippet-run", "eval-results-shape", "training-curve", "base-model-missing", "configs-missing"}
    elsewhere |= {name for name in RULES if name.startswith("front-matter-")} | {"library-missing", "space-title"}
    elsewhere |= {"size-categories-missing", "size-categories-rows", "dataset-info-splits"}
    assert RULES.keys() - broken - elsewhere == set()


def test_what_is_missing_is_asked_of_each_type():
    missing = {
        kind: [one.rule for one in check(kind, "tags: [a]\n", TEXT, "a.safetensors").findings]
        for kind in ("dataset", "model", "space")
    }
    assert missing == {
        "dataset": ["license-missing", "pretty-name-missing", "size-categories-missing"],
        "model": ["library-missing", "license-missing", "pipeline-tag-missing"],
        "space": ["license-missing", "space-sdk", "space-title"],
    }
