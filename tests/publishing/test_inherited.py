"""What a model's card takes over from the repositories that it pins: licences, and the tasks of benchmarks."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from huggingface_hub import HfApi, parse_eval_result_entries

from hubkit.errors import UserError
from hubkit.publishing import apply, plan
from hubkit.publishing.folders import open_folder
from hubkit.publishing.hub import Repository
from hubkit.publishing.sources import CardFacts
from hubkit.publishing.versions import Version

from .folders import COMMIT, make_corpus, make_evaluation, make_model

TASKS = b"""
name: Counting
tasks:
- {id: integer part masked, split: test}
- {id: top-1 accuracy, config: default, split: test}
- {id: fraction masked, config: other, split: test}
- {id: fraction masked, split: train}
"""


def card(folder: Path, **repositories: dict[str, bytes]) -> CardFacts:
    """Return the card of a model, given the files of `lab/NAME` for some names; there are no others."""

    def files_of(repo: str, kind: str, revision: str) -> Any:
        if repo.removeprefix("lab/") not in repositories:
            raise UserError(f"this Hub has no {kind} {repo}")
        there = repositories[repo.removeprefix("lab/")]
        return {path: (lambda data=data: data) for path, data in there.items()}

    return open_folder(folder).card("lab/m", Version(1, 0, 0), files_of)


def readme(licence: str) -> dict[str, bytes]:
    return {"README.md": f"---\nlicense: {licence}\n---\n".encode()}


def data(*names: str) -> list[dict[str, Any]]:
    return [{"repo": f"lab/{name}", "revision": COMMIT, "release": "v1.0.0", "splits": {"train": 7}} for name in names]


@pytest.mark.parametrize(
    ("licences", "joint"),
    [
        (("mit", "mit"), "mit"),
        (("mit", "gpl-3.0"), "unknown"),
        (("mit", None), "unknown"),
        (("other", "other"), "unknown"),
        (("[mit]", "mit"), "mit"),
        (("[mit, gpl-3.0]", "mit"), "unknown"),
        (("[", "mit"), "unknown"),
    ],
)
def test_a_model_has_the_licence_that_its_data_share(tmp_path: Path, licences: Any, joint: str) -> None:
    folder = make_model(tmp_path / "m", datasets=data("a", "b"))
    facts = card(folder, **{name: readme(one) for name, one in zip("ab", licences, strict=True) if one})
    assert facts.defaults == {"license": joint}
    assert "license" not in facts.metadata
    stated = {"[": "none stated", None: "none stated", "[mit]": "mit", "[mit, gpl-3.0]": "none stated"}
    assert f"| [lab/a](/datasets/lab/a) | {stated.get(licences[0], licences[0])} |" in facts.body
    assert "trained on 7 rows of lab/a, 7 rows of lab/b and on nothing else" in facts.body


def test_what_a_model_began_with_counts_too_and_the_recipe_s_word_above_all(tmp_path: Path) -> None:
    base = {"repo": "lab/base", "revision": "b" * 40}
    folder = make_model(tmp_path / "m", datasets=data("a"), init_from=base)
    facts = card(folder, a=readme("mit"), base=readme("gpl-3.0"))
    assert facts.defaults == {"license": "unknown"}
    assert "| [lab/base](/lab/base) | gpl-3.0 |" in facts.body
    facts = card(make_model(tmp_path / "o", datasets=data("a"), license="cc0-1.0"), a=readme("mit"))
    assert (facts.defaults, facts.metadata["license"]) == ({}, "cc0-1.0")
    assert "`cc0-1.0`. What the model was made of has these:" in facts.body


def test_results_go_to_benchmarks_by_the_name_config_and_split_of_their_task(tmp_path: Path) -> None:
    facts = card(make_evaluation(make_model(tmp_path / "m")), counting=readme("mit") | {"eval.yaml": TASKS})
    (file,) = facts.beside
    assert file.path == ".eval_results/hubkit-lab--counting.yaml"
    assert isinstance(file.source, bytes)
    entries = parse_eval_result_entries(yaml.safe_load(file.source))
    assert [(entry.task_id, entry.value) for entry in entries] == [("integer part masked", 0.26)]
    assert (entries[0].dataset_id, entries[0].dataset_revision) == ("lab/counting", COMMIT)


def test_a_metric_goes_to_the_task_of_its_name_unless_two_results_claim_that(tmp_path: Path) -> None:
    folder = make_evaluation(make_model(tmp_path / "m"))
    evaluation = json.loads((folder / "evaluation.json").read_text())
    evaluation["results"] = evaluation["results"][1:]
    (folder / "evaluation.json").write_text(json.dumps(evaluation))
    (file,) = card(folder, counting={"eval.yaml": TASKS}).beside
    assert isinstance(file.source, bytes)
    assert [entry["dataset"]["task_id"] for entry in yaml.safe_load(file.source)] == ["top-1 accuracy"]


@pytest.mark.parametrize(
    "described", [None, b"tasks: [", b"- a", b"tasks: {a: 1}", b"tasks: [a, {id: b, split: test}]"]
)
def test_results_on_what_is_no_benchmark_stay_in_the_model_index(tmp_path: Path, described: bytes | None) -> None:
    files = {} if described is None else {"eval.yaml": described}
    facts = card(make_evaluation(make_model(tmp_path / "m")), counting=files)
    assert facts.beside == ()
    assert len(facts.metadata["model-index"][0]["results"]) == 2


def test_licence_and_results_are_read_at_the_commit_that_the_model_pins(tmp_path: Path, repo: str, api: HfApi) -> None:
    name = f"{repo}-benchmark"
    apply(plan(make_corpus(tmp_path / "c", {"train": 9, "test": 5}, license="mit"), name, api=api), api)
    info = api.upload_file(path_or_fileobj=TASKS, path_in_repo="eval.yaml", repo_id=name, repo_type="dataset")
    pin = {"repo": name, "revision": info.oid}
    model = make_evaluation(make_model(tmp_path / "m", datasets=[{**pin, "splits": {"train": 9}}]))
    evaluation = json.loads((model / "evaluation.json").read_text())
    for result in evaluation["results"]:
        result["dataset"] |= pin
    (model / "evaluation.json").write_text(json.dumps(evaluation))
    apply(plan(model, repo, api=api), api)
    there = Repository(api, repo, "model")
    results = f".eval_results/hubkit-{name.replace('/', '--')}.yaml"
    assert len(parse_eval_result_entries(yaml.safe_load(there.read(results, "v1.0.0") or b""))) == 1
    assert b"\nlicense: mit\n" in (there.read("README.md", "main") or b"")
    # Without that evaluation its results go too.
    (model / "evaluation.json").unlink()
    apply(plan(model, repo, api=api), api)
    assert results not in there.files("main")
