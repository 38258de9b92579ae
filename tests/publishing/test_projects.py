"""A project: everything that belongs together, in order, each only if it changed."""

import json
from pathlib import Path

import pytest
import yaml

from hubkit import demo
from hubkit.errors import UserError
from hubkit.projects import plan_project, publish_project
from hubkit.publishing.hub import Repository
from hubkit.tokenizers import make_tokenizer, save_tokenizer

from .folders import make_corpus, make_model, make_space


@pytest.fixture
def project(tmp_path, repo, api, monkeypatch):
    """A project of four folders, and how to write it anew."""
    names = {kind: f"{repo}-{kind}" for kind in ("corpus", "tokenizer", "model", "space")}

    def compose(models, folder, title):
        pins = [{"repo": name, "revision": api.repo_info(name).sha} for name in models]
        make_space(folder, pins, title=title or "Try it")

    monkeypatch.setattr(demo, "compose_space", compose)
    make_corpus(tmp_path / "corpus", {"train": 20, "test": 4})
    save_tokenizer(make_tokenizer("characters:AB"), tmp_path / "tokenizer")
    make_model(tmp_path / "model", datasets=[])
    path = tmp_path / "project.yaml"
    written = {
        "corpora": {names["corpus"]: "corpus"},
        "tokenizers": {names["tokenizer"]: "tokenizer"},
        "models": {names["model"]: "model"},
        "spaces": {names["space"]: {"models": [names["model"]]}},
    }
    path.write_text(yaml.safe_dump(written, sort_keys=False))
    return path, names, written


def publish(path, api):
    return [(release.kind, release.tag) for release in publish_project(path, api)]


def test_all_is_published_in_order_and_the_space_pins_the_model(project, api):
    path, names, _ = project
    planned = plan_project(path, api)
    assert [step.kind for step in planned] == ["corpus", "tokenizer", "model", "space"]
    assert planned[-1].plan is None and planned[-1].remarks == (f"composed once {names['model']} is published",)
    kinds = ("corpus", "tokenizer", "model", "space")
    assert publish(path, api) == [(kind, "v1.0.0") for kind in kinds]
    pins = Repository(api, names["space"], "space").read("space.json", "main")
    assert json.loads(pins or b"")["models"] == [
        {"repo": names["model"], "revision": api.repo_info(names["model"]).sha}
    ]


def test_a_second_time_nothing_is_sent_and_a_change_goes_to_what_pins_it(project, api, tmp_path):
    path, _names, _ = project
    publish(path, api)
    heads = [step.plan.parent_commit for step in plan_project(path, api) if step.plan]
    assert len(heads) == 4 and publish(path, api) == [
        (kind, None) for kind in ("corpus", "tokenizer", "model", "space")
    ]
    assert [step.plan.parent_commit for step in plan_project(path, api) if step.plan] == heads
    make_model(tmp_path / "model", weights=b"\1" * 16, datasets=[])
    assert publish(path, api) == [("corpus", None), ("tokenizer", None), ("model", "v1.1.0"), ("space", "v1.1.0")]


def test_a_model_of_an_older_release_is_remarked(project, api, tmp_path):
    path, names, _ = project
    publish(path, api)
    commit = api.repo_info(names["corpus"], repo_type="dataset").sha
    pin = {"repo": names["corpus"], "revision": commit, "release": "v1.0.0", "splits": {}}
    make_model(tmp_path / "model", datasets=[pin])
    assert plan_project(path, api)[2].remarks == ()
    make_corpus(tmp_path / "corpus", {"train": 30, "test": 4})
    model = plan_project(path, api)[2]
    remark = f"trained on v1.0.0 of {names['corpus']}, which is v1.1.0 now; train it again to follow"
    assert model.remarks == (remark,) and f"  note: {remark}\n" in model.render()
    steps: list[str] = []
    list(publish_project(path, api, steps.append))
    assert f"note: {remark}" in steps


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"models": {"lab/x": "corpus"}}, "corpus holds a corpus, and lab/x is listed as a model"),
        ({"corpora": {"lab/x": "nowhere"}}, "nowhere is not a folder"),
        ({"corpora": {"x": "corpus"}}, "has no owner"),
        ({"tokenizers": {"lab/x": "tokenizer"}, "models": {"lab/x": "model"}}, "lab/x is a tokenizer and a model"),
        ({"spaces": {"lab/x": {"models": []}}}, "models"),
        ({"model": {"lab/x": "model"}}, "model"),
        ({}, "names no repository"),
    ],
    ids=["kind", "missing", "owner", "twice", "empty", "unknown", "nothing"],
)
def test_a_project_that_cannot_be_published_whole_sends_nothing(project, api, change, message):
    path, names, written = project
    rest = {key: value for key, value in written.items() if key in ("corpora", "tokenizers") and key not in change}
    path.write_text(yaml.safe_dump({**rest, **change} if change else {"private": True}))
    with pytest.raises(UserError, match=message):
        list(publish_project(path, api))
    assert not any(
        api.repo_exists(name, repo_type=kind)
        for kind, name in (("dataset", names["corpus"]), ("model", names["tokenizer"]))
    )


def test_other_ids_make_a_tokenizer_major_added_tokens_minor_and_settings_patch(project, api, tmp_path):
    path, _, written = project
    path.write_text(yaml.safe_dump({"tokenizers": written["tokenizers"]}))

    def released(change):
        tokenizer = make_tokenizer("characters:AB")
        change(tokenizer)
        save_tokenizer(tokenizer, tmp_path / "tokenizer")
        return publish(path, api)[0][1]

    assert released(lambda tokenizer: None) == "v1.0.0"
    assert released(lambda tokenizer: setattr(tokenizer, "model_max_length", 77)) == "v1.0.1"
    assert released(lambda tokenizer: tokenizer.add_tokens(["C"])) == "v1.1.0"
    save_tokenizer(make_tokenizer("characters:BA"), tmp_path / "tokenizer")
    assert publish(path, api) == [("tokenizer", "v2.0.0")]


def test_a_tokenizer_folder_keeps_to_itself(project, api, tmp_path):
    path, names, written = project
    path.write_text(yaml.safe_dump({"tokenizers": written["tokenizers"]}))
    folder = tmp_path / "tokenizer"
    (folder / "notes.md").write_text("mine")
    record = {"corpus": {"corpus": str(tmp_path / "words"), "split": "train"}, "rows": 7, "code": {"hubkit": "0.1.0"}}
    (folder / "tokenizer_training.json").write_text(json.dumps(record))
    (step,) = plan_project(path, api)
    assert step.plan is not None and step.plan.left_out == ("notes.md (not part of a tokenizer)",)
    publish(path, api)
    card = (Repository(api, names["tokenizer"], "model").read("README.md", "main") or b"").decode()
    assert "trained on 7 rows of …/words, which is not on the Hub" in card and str(tmp_path) not in card
    assert (
        str(tmp_path)
        not in (Repository(api, names["tokenizer"], "model").read("tokenizer_training.json", "main") or b"").decode()
    )


@pytest.mark.parametrize("broken", [b"{}", b"[]", b"no"], ids=["empty", "list", "text"])
def test_a_broken_tokenizer_is_refused(tmp_path: Path, repo, api, broken):
    save_tokenizer(make_tokenizer("characters:AB"), tmp_path / "t")
    (tmp_path / "t" / "tokenizer.json").write_bytes(broken)
    path = tmp_path / "p.yaml"
    path.write_text(yaml.safe_dump({"tokenizers": {repo: "t"}}))
    with pytest.raises(UserError, match=r"tokenizer\.json"):
        plan_project(path, api)
