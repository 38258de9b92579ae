"""`hubkit.publish_rows`: from a function to a release, as a notebook calls it."""

import linecache
import re
from dataclasses import dataclass
from inspect import getdoc
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

import hubkit
from hubkit.errors import UserError
from hubkit.publishing import folders
from hubkit.publishing.hub import Repository
from hubkit.publishing.rows import publish_rows
from hubkit.publishing.versions import Version

from .conftest import Hub


@dataclass
class Throw:
    sides: int
    rolls: int = 2


def dice(index, random, spec):
    """Throws of dice. Each row is one.

    More that the card does not need.
    """
    return {"rolls": random.integers(1, spec.sides + 1, size=spec.rolls)}


def served(repo: str, path: str, api: HfApi) -> str:
    data = Repository(api, repo, "dataset").read(path, "main")
    assert data is not None
    return data.decode()


def test_the_example_of_the_docstring_runs(repo: str, api: HfApi) -> None:
    found = re.search(r"\n\n((?:    .*\n|\n)+?)\nThe generator", getdoc(publish_rows) or "")
    assert found is not None
    code = "\n".join(line.removeprefix("    ") for line in found[1].splitlines()).replace("lab/dice", repo)
    # As a notebook keeps its cells: there is no file, and Python finds the text all the same.
    linecache.cache["<cell 1>"] = (len(code), None, code.splitlines(keepends=True), "<cell 1>")
    exec(compile(code, "<cell 1>", "exec"), {"__name__": "__main__"})
    text, card = served(repo, "function.py", api), served(repo, "README.md", api)
    assert text.startswith("def dice(index, random, spec):\n")
    assert "| Function | `dice`, its text in [function.py](function.py) |" in card
    assert f'`hubkit.verify_rows(dice, "{repo}", revision="v1.0.0")`' in card
    assert [tag.name for tag in api.list_repo_refs(repo, repo_type="dataset").tags] == ["v1.0.0"]


def test_more_rows_are_a_minor_release_and_another_spec_a_major_one(
    repo: str, api: HfApi, hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    common: dict[str, Any] = {"api": api, "license": "cc0-1.0"}
    steps: list[str] = []
    first = hubkit.publish_rows(dice, Throw(6), repo, splits={"train": 40}, progress=steps.append, **common)
    assert (first.version, steps[:2]) == ("1.0.0", ["drawing a sample of the rows twice", "making the rows"])
    assert hubkit.publish_rows(dice, Throw(6), repo, splits={"train": 40}, **common).tag is None
    assert hubkit.publish_rows(dice, Throw(6), repo, splits={"train": 60, "test": 3}, **common).version == "1.1.0"
    assert hubkit.publish_rows(dice, Throw(8), repo, splits={"train": 60, "test": 3}, **common).version == "2.0.0"
    assert "Throws of dice. Each row is one.\n" in served(repo, "README.md", api)
    folder = api.snapshot_download(repo, repo_type="dataset", local_dir=tmp_path / "clone")
    findings = hubkit.verify_rows(dice, folder, spec=Throw(8))
    assert [(finding.verdict, finding.reason) for finding in findings] == [("regenerated", "")] * 2
    with pytest.raises(UserError, match=r'was made with \{"rolls":2,"sides":8\}, not \{"rolls":2,"sides":6\}'):
        hubkit.verify_rows(dice, folder, spec=Throw(6))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"repo": "nobody"}, "has no owner"),
        ({"splits": ["train"]}, r"splits: train has no number of rows: write splits=\{'train': 1000\}"),
        ({"splits": {"Train": 5}}, r"publish_rows: splits\.Train"),
        ({"splits": {}}, "publish_rows: splits"),
        ({"spec": {"x": float("nan")}}, "spec: .*give plain data"),
        ({"spec": {"x": object()}}, "spec: .*give plain data"),
        ({"function": 3}, "function: 3"),
        ({"function": lambda i: {"x": 1 / (i - 99)}}, "row 99 of train: the function raised ZeroDivisionError"),
    ],
)
def test_what_is_refused_leaves_nothing_on_the_hub(repo: str, api: HfApi, arguments: dict[str, Any], said: str) -> None:
    given = {
        "function": lambda i: {"x": i},
        "spec": None,
        "repo": repo,
        "splits": {"train": 100},
        "api": api,
        **arguments,
    }
    with pytest.raises(UserError, match=said):
        publish_rows(**given)
    assert not api.repo_exists(repo, repo_type="dataset")


def test_ctrl_c_leaves_nothing(repo: str, api: HfApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def stop(index: int) -> dict[str, int]:
        if index == 1003:
            raise KeyboardInterrupt
        return {"x": index}

    with pytest.raises(KeyboardInterrupt):
        publish_rows(stop, None, repo, splits={"train": 2000}, api=api)
    assert not api.repo_exists(repo, repo_type="dataset")
    assert list(tmp_path.iterdir()) == []


def test_other_corpora_are_not_a_function_s(corpus: Path) -> None:
    with pytest.raises(UserError, match="was not made by a function: use `hubkit verify"):
        hubkit.verify_rows(dice, corpus)
    facts = folders.open_folder(corpus).card("lab/x", Version(1, 0, 0), lambda *_: {})
    assert "verify_rows" not in facts.body


def test_hubkit_has_what_notebooks_call_and_nothing_else() -> None:
    assert hubkit.publish_rows is publish_rows
    with pytest.raises(AttributeError, match="no attribute 'publish'"):
        hubkit.publish  # noqa: B018
