"""The commands about releases, as a person types them."""

import json
from pathlib import Path

import pytest
from huggingface_hub import HfApi
from typer.testing import CliRunner, Result

from hubkit.cli import app
from hubkit.errors import UserError

from .folders import make_corpus


def hubkit(*arguments: object) -> Result:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result


def test_the_story_of_three_releases(corpus: Path, repo: str, api: HfApi) -> None:
    hubkit("publish", corpus, repo)
    longer = make_corpus(corpus.parent / "longer", {"train": 3001, "test": 100})
    planned = hubkit("publish", longer, repo, "--create-pr", "--dry-run", "--json")
    assert json.loads(planned.stdout)["pull_request"] is True
    proposed = hubkit("publish", longer, repo, "--create-pr")
    assert "1.1.0, a pull request at " in proposed.stdout
    assert f"/datasets/{repo}/discussions/1 waits to be merged" in proposed.stderr
    assert proposed.stderr.endswith(f"next: hubkit publish {longer} {repo}\n")
    api.merge_pull_request(repo, 1, repo_type="dataset")
    assert " v1.1.0 at " in hubkit("publish", longer, repo).stdout
    listed = hubkit("releases", repo)
    assert [line.split()[0] for line in listed.stdout.splitlines() if line.startswith("v")] == ["v1.1.0", "v1.0.0"]
    assert listed.stderr == f"next: hubkit diff {repo} v1.0.0 v1.1.0\n"
    shown = hubkit("diff", repo, "v1.0.0", "v1.1.0", "--rows", 1)
    assert '  train: 3,000 → 3,001 rows; 1 added\n    + 3000  text: "a train 3000"' in shown.stdout
    counts = json.loads(hubkit("diff", repo, "v1.0.0", "v1.1.0", "--json", "--rows", 0).stdout)["splits"][0]["counts"]
    assert counts == {"added": 1, "removed": 0, "changed": 0, "moved": 0}
    plan = hubkit("rollback", repo, "v1.0.0", "--dry-run")
    assert "version 2.0.0: brings back v1.0.0; rows of the last release are gone or different" in plan.stdout
    assert plan.stderr == f"next: hubkit rollback {repo} v1.0.0\n"
    assert json.loads(hubkit("rollback", repo, "v1.0.0", "--json").stdout)["tag"] == "v2.0.0"
    newest = json.loads(hubkit("releases", repo, "--json").stdout)["releases"][0]
    assert (newest["tag"], newest["rows"]) == ("v2.0.0", {"train": 3000, "test": 100})


def test_a_type_must_be_one_of_the_hub_s(repo: str, api: HfApi) -> None:
    with pytest.raises(UserError, match='--type: "bucket" is not one of model, dataset, space'):
        hubkit("releases", repo, "--type", "bucket")
