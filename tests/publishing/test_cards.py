"""Cards say what is true, in the Hub's own spelling."""

import io
import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import DatasetCard, ModelCard

from hubkit.errors import UserError
from hubkit.publishing.cards import fence, number, public, render_body, size_category
from hubkit.publishing.folders import open_folder
from hubkit.publishing.merging import merge_card, pieces
from hubkit.publishing.versions import Version

from .folders import COMMIT, make_corpus, make_evaluation, make_model, make_space


def card_of(folder: Path, files: tuple[str, ...] = ()) -> str:
    there = {file: lambda: b"" for file in files}
    facts = open_folder(folder).card("lab/counting", Version(1, 2, 0), lambda repo, kind, revision: there)
    return merge_card(None, facts).decode()


def fields(card: str) -> dict[str, Any]:
    return yaml.safe_load(card.split("---\n")[1])


@pytest.mark.parametrize(
    ("rows", "category"),
    [
        (1, "n<1K"),
        (999, "n<1K"),
        (1000, "1K<n<10K"),
        (877_302, "100K<n<1M"),
        (10**9, "1B<n<10B"),
        (10**12 - 1, "100B<n<1T"),
        (10**12, "n>1T"),
    ],
)
def test_size_categories_are_the_hubs(rows: int, category: str) -> None:
    assert size_category(rows) == category


def test_a_dataset_card_has_the_fields_that_load_dataset_reads(corpus: Path) -> None:
    found = fields(card_of(corpus))
    assert found["configs"] == [
        {
            "config_name": "default",
            "data_files": [
                {"split": "train", "path": "data/train-*-of-00003.parquet"},
                {"split": "test", "path": "data/test-*-of-00001.parquet"},
            ],
            "default": True,
        }
    ]
    assert found["dataset_info"]["features"] == [
        {"name": "text", "dtype": "string"},
        {"name": "number", "dtype": "int64"},
    ]
    assert [split["num_examples"] for split in found["dataset_info"]["splits"]] == [3000, 100]
    assert found["size_categories"] == ["1K<n<10K"]
    assert found["language_creators"] == ["machine-generated"]
    assert found["tags"] == ["synthetic", "hubkit", "counting"]


def test_a_dataset_card_shows_statistics_spec_versions_and_hashes(corpus: Path) -> None:
    card = card_of(corpus)
    assert "| train | 3,000 | 3 |" in card
    assert "| train | `text` | characters | 9 | 11.5 | 12 | 46 |" in card
    assert "splits: {train: 3000, test: 100}" in card
    assert "numpy 2.4.6, pyarrow 26.0.1" in card
    assert "6 of 3,106 draws were rejected" in card
    assert 'load_dataset("lab/counting", revision="v1.2.0")' in card
    assert open_folder(corpus).manifest["splits"]["test"]["rows_sha256"] in card


def test_the_python_in_cards_compiles(corpus: Path, tmp_path: Path) -> None:
    causal = make_model(tmp_path / "causal")
    (causal / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"], "auto_map": {"AutoConfig": "x.X"}}')
    bare = make_model(tmp_path / "bare", datasets=[])
    snippets = [
        snippet
        for folder in (corpus, make_model(tmp_path / "masked"), causal, bare)
        for snippet in re.findall(r"```python\n(.*?)```", card_of(folder), re.DOTALL)
    ]
    assert len(snippets) == 5
    for snippet in snippets:
        compile(snippet, "card", "exec")
    assert "trust_remote_code=True" in card_of(causal)
    assert "trust_remote_code" not in card_of(bare)


def test_the_client_reads_our_cards(corpus: Path, tmp_path: Path) -> None:
    data: Any = DatasetCard(card_of(corpus)).data
    assert data.license == "apache-2.0"
    data = ModelCard(card_of(make_evaluation(make_model(tmp_path / "m")))).data
    assert (data.library_name, data.pipeline_tag, data.datasets) == ("transformers", "fill-mask", ["lab/counting"])
    assert data.metrics == ["accuracy"]
    result = data.eval_results[0]
    assert (result.dataset_revision, result.dataset_config, result.dataset_split) == (COMMIT, "default", "test")
    assert (result.metric_type, result.metric_value, result.dataset_type) == ("accuracy", 0.26, "lab/counting")


def test_a_tag_names_the_repository_of_the_tokenizer(tmp_path: Path) -> None:
    def tags(folder: Path) -> list[str]:
        return fields(card_of(folder))["tags"]

    tokenizer = {"name": "lab/bpe", "sha256": "8" * 64}
    there = make_model(tmp_path / "there", tokenizer={**tokenizer, "revision": COMMIT})
    assert tags(there) == ["hubkit", "roberta", "tokenizer:lab/bpe"]
    # Without a revision it is a folder of somebody's, whatever its name looks like.
    assert tags(make_model(tmp_path / "here", tokenizer=tokenizer)) == ["hubkit", "roberta"]
    assert tags(make_corpus(tmp_path / "text", {"train": 5}, tokenizer="lab/bpe")) == [
        "synthetic",
        "hubkit",
        "counting",
    ]
    for name in ("lab/bpe", f"lab/bpe@{COMMIT}", "lorenz", "characters:AB", "characters:A/B"):
        found = tags(make_corpus(tmp_path / name.replace("/", "-"), {"train": 5}, facts={"tokenizer": name}))
        assert found[3:] == (["tokenizer:lab/bpe"] if name.startswith("lab") else [])


def test_the_lineage_tells_data_beside_the_training_and_links_the_tokenizer(tmp_path: Path) -> None:
    evaluated = {
        "prose": {"repo": "lab/prose", "revision": COMMIT, "release": "v1.0.0"},
        "mine": {"path": "mine", "sha256": "6" * 64},
    }
    tokenizer = {"name": "lab/bpe", "revision": COMMIT, "sha256": "8" * 64}
    card = card_of(make_model(tmp_path / "m", also_evaluate=evaluated, tokenizer=tokenizer))
    at = f"@{COMMIT[:12]}]"
    assert f"| Also evaluated on | prose: [lab/prose{at}(/datasets/lab/prose/tree/{COMMIT}), release v1.0.0 |\n" in card
    assert f"| Also evaluated on | mine: mine, sha256 `{'6' * 64}` |\n" in card
    assert f"| Tokenizer | [lab/bpe{at}(/lab/bpe/tree/{COMMIT}), sha256 `{'8' * 64}` |\n" in card
    assert fields(card)["datasets"] == ["lab/counting"]


def test_each_task_of_an_evaluation_keeps_its_name(tmp_path: Path) -> None:
    index = fields(card_of(make_evaluation(make_model(tmp_path / "m"))))["model-index"]
    names = [result["task"]["name"] for result in index[0]["results"]]
    assert names == ["integer part masked", "fraction masked"]


def test_a_model_card_shows_a_stronger_rival_of_the_model(tmp_path: Path) -> None:
    folder = make_evaluation(make_model(tmp_path / "m"))
    path = folder / "evaluation.json"
    evaluation = json.loads(path.read_text())
    evaluation["results"][0]["strong_baseline"] = "looked up in a table"
    evaluation["results"][0]["metrics"][0]["strong_baseline"] = 0.31
    path.write_text(json.dumps(evaluation))
    body = card_of(folder)
    assert 'rival for "integer part masked", looked up in a table, with no model at all: top-1 accuracy 0.31.' in body
    assert body.count("A stronger rival") == 1


def test_a_model_card_shows_lineage_curve_and_baseline(tmp_path: Path) -> None:
    base = {"repo": "lab/base", "revision": "b" * 40}
    card = card_of(make_evaluation(make_model(tmp_path / "m", init_from=base)))
    assert f"[lab/counting@{COMMIT[:12]}](/datasets/lab/counting/tree/{COMMIT}), release v1.0.0" in card
    assert f"](/lab/base/tree/{'b' * 40})" in card
    assert re.search(r"\| integer part masked \|.*\| top-1 accuracy \| 0\.26 \| 0\.12 \|", card)
    assert "![Loss over the training steps: training loss from 5 at step 0 to 0.25 at step 19](curve.png)" in card
    assert "| 19 | 0.25 |" in card
    assert (fields(card)["base_model"], fields(card)["base_model_relation"]) == ("lab/base", "finetune")


def test_a_model_card_says_how_it_was_made_and_how_to_make_it_again(tmp_path: Path) -> None:
    card = card_of(make_model(tmp_path / "m"))
    assert "(v1.0.0). Training took 20 steps and 4,096 tokens, by the recipe below.\n<!-- /hubkit:summary -->" in card
    assert "```bash\nhubkit reproduce lab/counting@v1.2.0 --run\n```" in card
    backward = card_of(make_model(tmp_path / "b", direction="backward", training={"steps": 1}))
    assert "(v1.0.0). Training took 1 step, by the recipe below.\n\nIt reads text from its end" in backward
    assert "Training took" not in card_of(make_model(tmp_path / "n", training=None))


def test_a_curve_of_one_point_leads_nowhere(tmp_path: Path) -> None:
    folder = make_model(tmp_path / "m")
    (folder / "curve.csv").write_text("step,train_loss\n10,4.5\n")
    assert "![Loss over the training steps: training loss 4.5 at step 10](curve.png)" in card_of(folder)


def test_the_snippet_reads_the_column_of_the_recipe(tmp_path: Path) -> None:
    assert 'next(iter(rows))["text"]' in card_of(make_model(tmp_path / "m"))
    other = make_model(tmp_path / "o", recipe={"dataset": {"repo": "lab/counting", "column": "line"}})
    assert 'next(iter(rows))["line"]' in card_of(other)


def test_a_model_card_without_an_evaluation_says_so(tmp_path: Path) -> None:
    card = card_of(make_model(tmp_path / "m"))
    assert "This release comes without an evaluation." in card
    assert "model-index" not in fields(card)


def test_a_backward_model_says_how_it_reads(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m", direction="backward")
    (model / "config.json").write_text('{"architectures": ["GPT2LMHeadModel"]}')
    card = card_of(model)
    assert "to predict the previous token" in card
    assert "It reads text from its end" in card
    assert fields(card)["pipeline_tag"] == "text-generation"


def test_cards_tell_no_paths(tmp_path: Path) -> None:
    card = card_of(make_model(tmp_path / "m"))
    assert "somebody" not in card
    assert "…/7" in card
    assert str(tmp_path) not in card
    assert public({"a": ["C:\\Users\\me\\x.txt", "relative/x", "/a/b/"]}) == {"a": ["…/x.txt", "relative/x", "…/b"]}


def test_a_space_card_has_the_fields_that_the_hub_builds_from(tmp_path: Path) -> None:
    space = make_space(tmp_path / "s", [{"repo": "lab/m", "revision": COMMIT}])
    files = ("config.json", "model.safetensors", "tokenizer.json", "curve.png", "README.md", "runs/x")
    found = fields(card_of(space, files))
    assert found["preload_from_hub"] == [f"lab/m config.json,model.safetensors,tokenizer.json {COMMIT}"]
    assert (found["sdk"], found["python_version"], found["app_file"]) == ("gradio", "3.11", "app.py")
    assert re.fullmatch(r"\d+\.\d+\.\d+", found["sdk_version"])
    assert found["models"] == ["lab/m"]
    assert len(found["short_description"]) <= 60


def test_a_space_card_says_what_it_is_what_it_can_not_say_and_how_to_cite_it(tmp_path: Path) -> None:
    pins = [{"repo": name, "revision": COMMIT} for name in ("lab/m", "lab/n")]
    card = card_of(make_space(tmp_path / "s", pins), ("config.json", "model.safetensors"))
    assert [piece.name for piece in pieces(card) if piece.name] == [
        "summary", "pins", "run", "limitations", "license", "citation"
    ]  # fmt: skip
    assert "A Gradio app to try lab/m and lab/n in the browser. " in card
    bare = card_of(make_space(tmp_path / "t", []))
    assert "\nA Gradio app. " in bare and "Limitations" not in bare and "version v1.2.0" in bare


@pytest.mark.parametrize(
    ("changes", "word"),
    [({"short_description": "x" * 61}, "61 characters"), ({"colorFrom": "mauve"}, "mauve"), ({}, "has no weights")],
)
def test_a_space_that_the_hub_would_refuse_is_refused_here(tmp_path: Path, changes: dict[str, str], word: str) -> None:
    space = make_space(tmp_path / "s", [{"repo": "lab/m", "revision": COMMIT}], **changes)
    with pytest.raises(UserError, match=word):
        card_of(space, ("config.json",) if not changes else ("model.safetensors",))


def test_a_person_s_choice_of_colours_and_licence_stays(tmp_path: Path) -> None:
    facts = open_folder(make_space(tmp_path / "s", [])).card("lab/s", Version(1, 0, 0), lambda *where: {})
    merged = merge_card(b"---\nemoji: X\nlicense: mit\nsdk_version: 1.0.0\n---\n", facts).decode()
    assert (fields(merged)["emoji"], fields(merged)["license"]) == ("X", "mit")
    assert fields(merged)["sdk_version"] != "1.0.0"


def test_values_can_t_leave_their_place(tmp_path: Path) -> None:
    evil = "x | y\n<!-- /hubkit:summary --> ``` <!-- hubkit:summary -->"
    corpus = make_corpus(
        tmp_path / "c", {"train": 5}, summary=evil, libraries={"a": evil}, spec={"k": evil + "\n```\n"}
    )
    card = card_of(corpus)
    assert [piece.name for piece in pieces(card) if piece.name] == [
        "summary", "use", "splits", "spec", "provenance", "limitations", "license", "citation"
    ]  # fmt: skip
    assert "````yaml" in card
    assert "a x \\| y" in card


def test_a_fence_is_longer_than_what_it_holds() -> None:
    assert fence("a ```` b", "yaml") == "`````yaml\na ```` b\n`````"


@pytest.mark.parametrize(
    ("value", "text"),
    [(16000, "16,000"), (0.26171, "0.2617"), (5.0, "5"), (1.5e-05, "1.5e-05"), (12345.67, "12,345.7")],
)
def test_numbers_are_for_people(value: float, text: str) -> None:
    assert number(value) == text


def test_a_template_that_names_something_unknown_fails() -> None:
    import jinja2

    with pytest.raises(jinja2.UndefinedError):
        render_body("dataset.md.j2", {})


def test_a_card_says_what_the_splits_share(tmp_path: Path) -> None:
    pairs = [
        {"split": "test", "other": "train", "rows": 7, "ngrams": 200, "shared": 3},
        {"split": "train", "other": "test", "rows": 9, "ngrams": 900, "shared": 3},
        {"split": "few", "other": "train", "rows": 0, "ngrams": 0, "shared": 0},
    ]
    repeats = {"train": 5, "test": 1, "few": 0}
    overlap = {"column": "text", "unit": "words", "n": 13, "sampled": 0.0625, "repeats": repeats, "pairs": pairs}
    card = card_of(make_corpus(tmp_path / "corpus", {"train": 10, "test": 5, "few": 2}, overlaps=[overlap]))
    assert "runs of 13 words, of which 6.25 % were compared" in card
    assert "| test | 7 | 1.50 % | 1 |" in card
    assert "| few | 0 | none to compare | 0 |" in card
    assert "| train | 9 |" not in card
    assert "5 rows of `train` repeat an earlier one." in card
    assert "have not been compared" not in card
    assert "have not been compared" in card_of(make_corpus(tmp_path / "other", {"train": 10, "test": 5}))
    assert "have not been compared" not in card_of(make_corpus(tmp_path / "one", {"train": 10}))


def test_a_card_leaves_out_the_n_grams_of_rows_that_are_too_short_for_any(tmp_path: Path) -> None:
    pairs = [
        {"split": "train", "other": "test", "rows": 9, "ngrams": 0, "shared": 0},
        {"split": "test", "other": "train", "rows": 7, "ngrams": 0, "shared": 0},
    ]
    repeats = {"train": 5, "test": 1}
    overlap = {"column": "text", "unit": "words", "n": 13, "sampled": 0.0625, "repeats": repeats, "pairs": pairs}
    card = card_of(make_corpus(tmp_path / "corpus", {"train": 10, "test": 5}, overlaps=[overlap]))
    table = card[card.index("What the splits share") :].split("\n\n", 2)[:2]
    assert table == [
        "What the splits share (column `text`; whole rows):",
        "| Rows of | that are in `train` | repeats within it |\n|---|---:|---:|\n| test | 7 | 1 |",
    ]


def test_a_card_of_found_text_names_its_sources_and_domains(tmp_path: Path) -> None:
    sources = [{"name": "books/a|b.jsonl.zst", "bytes": 12345, "sha256": "a" * 64}]
    domains = {
        "Books": {"documents": 1200, "words": 70000, "licences": {"cc0-1.0": 1200}},
        "Law": {"documents": 3, "words": 40, "tokens": 99, "licence": "mit"},
    }
    folder = make_corpus(
        tmp_path / "c", {"train": 10}, origin="found", sources=sources, facts={"domains": domains}, license="other"
    )
    card = card_of(folder)
    assert "language_creators:\n- found" in card
    assert "synthetic" not in card
    assert "| Domain | documents | words | tokens | Licence |" in card
    assert "| Books | 1,200 | 70,000 | 0 | cc0-1.0 |" in card
    assert "| Law | 3 | 40 | 99 | mit |" in card
    assert f"| Source `books/a\\|b.jsonl.zst` | 12,345 bytes, sha256 `{'a' * 64}` |" in card
    assert "--shards all --sources FOLDER" in card
    assert "function of this spec, the generator's version and the bytes of the sources" in card
    many = [{"name": f"{i}.txt", "bytes": 10, "sha256": "b" * 64} for i in range(21)]
    assert "| Sources | 21 files, 210 bytes;" in card_of(make_corpus(tmp_path / "m", {"train": 1}, sources=many))


def test_a_model_from_weights_that_are_not_on_the_hub_says_what_they_were(tmp_path: Path) -> None:
    card = card_of(make_model(tmp_path / "m", init_from={"path": "s3://models/base", "sha256": "d" * 64}))
    assert "trained further from weights that are not on the Hub" in card
    assert f"| Initialised from | s3://models/base, sha256 `{'d' * 64}` |" in card
    assert "base_model" not in fields(card)


def causal(folder: Path, direction: str, **recipe: Any) -> Path:
    """Return the folder of a small causal model that reads letters, and writes in some direction."""
    import torch

    from hubkit.data.objectives.causal import CausalSpec
    from hubkit.models.directed_generation import add_pipeline
    from hubkit.models.minigpt import MiniGPTSpec
    from hubkit.tokenizers import make_tokenizer, save_tokenizer

    permutation = {"permutation": (1, 0)} if direction == "permuted" else {}
    spec, tokenizer = CausalSpec(direction=direction, **permutation), make_tokenizer("characters:AB")
    tokenizer.add_special_tokens({"additional_special_tokens": list(spec.extra_tokens)})
    torch.manual_seed(0)
    model = MiniGPTSpec(n_layer=1, n_head=2, n_embd=16).make(tokenizer, 128)
    for name, value in spec.recorded(tokenizer).items():
        setattr(model.config, name, value)
    make_model(folder, architecture="minigpt", direction=direction, recipe=recipe)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    add_pipeline(folder)
    return folder


@pytest.mark.parametrize(
    ("direction", "recipe", "said"),
    [
        ("forward", {}, "This continues the beginning of a row:"),
        ("forward", {"objective": {"learn_after": ","}}, "This continues a row from its separator on:"),
        ("backward", {}, "give it how the text ends, and it writes what comes before"),
        ("both", {}, "This model writes in both directions"),
        ("permuted", {}, "the model scores windows and generates nothing"),
    ],
)
def test_the_snippet_of_a_causal_model_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    direction: str, recipe: dict[str, Any], said: str,
) -> None:  # fmt: skip
    """As it is printed, but for the repository, which is a folder, and its rows."""
    folder = causal(tmp_path / "m", direction, **recipe)
    card = card_of(folder)
    assert said in card
    assert ("trust_remote_code=True" in card) and "custom_code" in fields(card)["tags"]
    (code,) = re.findall(r"```python\n(.*?)```", card.split("<!-- hubkit:use -->")[1], re.DOTALL)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: iter([{"text": "ABAB,ABBAB"}]))
    exec(code.replace('"lab/counting"', repr(str(folder))), {})
    printed = capsys.readouterr().out.splitlines()
    if direction == "permuted":
        assert printed == ["[1, 0]"]
    elif direction == "both":
        assert printed[0].startswith("ABAB,") and printed[1].endswith("ABBAB")
    elif direction == "backward":
        assert printed[0].endswith("ABBAB") and len(printed[0]) > 5
    else:
        assert printed[0].startswith("ABAB,") and len(printed[0]) > 5


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_the_snippet_asks_for_no_more_than_the_model_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], direction: str
) -> None:
    """And of a text that is longer transformers has nothing to warn of."""
    warned = io.StringIO()
    monkeypatch.setattr(logging.getLogger("transformers"), "handlers", [logging.StreamHandler(warned)])
    folder = causal(tmp_path / "m", direction)
    limit = json.loads((folder / "config.json").read_text())["block_size"]
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text()) | {"model_max_length": limit}
    (folder / "tokenizer_config.json").write_text(json.dumps(tokenizer))
    (code,) = re.findall(r"```python\n(.*?)```", card_of(folder).split("<!-- hubkit:use -->")[1], re.DOTALL)
    monkeypatch.setattr("datasets.load_dataset", lambda *_, **__: iter([{"text": "ABBA" * limit}]))
    exec(code.replace('"lab/counting"', repr(str(folder))), {})
    half = limit * 3 // 4 // 2
    assert half < len(capsys.readouterr().out.strip()) <= limit
    assert "sequence length" not in warned.getvalue()


def test_the_snippet_spells_out_rows_of_ids(tmp_path: Path) -> None:
    folder = causal(tmp_path / "m", "forward", dataset={"repo": "lab/counting", "column": "input_ids"})
    assert 'text = generate.tokenizer.decode(next(iter(rows))["input_ids"])' in card_of(folder)


def test_a_stock_model_with_a_pipeline_of_its_own_says_whose_code_runs(tmp_path: Path) -> None:
    model = make_model(tmp_path / "m", direction="backward")
    config = {"architectures": ["GPTNeoXForCausalLM"], "custom_pipelines": {"text-generation": {}}}
    (model / "config.json").write_text(json.dumps(config))
    card = card_of(model)
    assert "The pipeline that turns text round is in this repository" in card
    assert "trust_remote_code=True" in card and "custom_code" in fields(card)["tags"]
