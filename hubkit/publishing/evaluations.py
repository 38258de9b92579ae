"""Publishes an evaluation of a model that is on the Hub already: its results join those in the card."""

import glob
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.hub_patience import hub_api
from hubkit.publishing.applying import Release
from hubkit.publishing.hub import RemoteFile, Repository, check_name
from hubkit.publishing.model import EVALUATION, ModelSource, is_weights
from hubkit.publishing.planning import plan
from hubkit.publishing.plans import Plan
from hubkit.publishing.progress import Progress
from hubkit.publishing.releases import files_brought_by
from hubkit.publishing.replanning import publish
from hubkit.publishing.sources import content_of_file

if TYPE_CHECKING:
    from huggingface_hub import HfApi


def publish_evaluation(
    folder: Path,
    repo: str,
    evaluation: dict[str, Any],
    *,
    api: "HfApi | None" = None,
    progress: Progress = lambda step: None,
) -> Release:
    """Add results to the newest release of a model and to its card.

    Args:
        folder: The model that was evaluated; its weights must be those of the repository's main branch.
        repo: Its repository.
        evaluation: Results; they replace earlier ones of the same question, dataset and split.
        api: The Hub's client; by default one that takes endpoint and token from the environment.
        progress: Hears of each step.

    Raises:
        UserError: The repository has other weights now; or as for :func:`hubkit.publishing.plan` and
            :func:`hubkit.publishing.apply`.
    """
    check_name(repo)
    api = api or hub_api()
    with tempfile.TemporaryDirectory() as temporary:

        def make() -> Plan:
            copy = Path(tempfile.mkdtemp(dir=temporary))
            with explained(repo):
                _copy_of_main(Repository(api, repo, "model"), folder, copy)
            _join(copy / EVALUATION, evaluation)
            return plan(copy, repo, api=api)

        return publish(make, api, progress)


def _join(file: Path, evaluation: dict[str, Any]) -> None:
    """Add results to a file of results."""
    old = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {"results": []}
    results = {_identity(result): result for result in [*old["results"], *evaluation["results"]]}
    joined = {"format": 1, "results": list(results.values())}
    file.write_text(json.dumps(joined, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _copy_of_main(repository: Repository, evaluated: Path, copy: Path) -> None:
    """Bring everything that hubkit published on the main branch: what a plan misses, it deletes from the repository."""
    repo, state = repository.name, repository.state()
    if state is None:
        raise UserError(f"this Hub has no model {repo}: publish {evaluated} there first")
    _check_weights(repo, evaluated, state.files)
    ours = files_brought_by(repository, ModelSource(evaluated), state.head, state.files) & state.files.keys()
    if not ours:
        raise UserError(f"{repo} is no release of hubkit's, so its card can't be brought up to date: publish it first")
    patterns = [glob.escape(name) for name in ours]
    cached = Path(repository.api.snapshot_download(repo, revision=state.head, allow_patterns=patterns))
    for name in ours:
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(cached / name, copy / name)  # the cache holds links


def _check_weights(repo: str, evaluated: Path, there: Mapping[str, RemoteFile]) -> None:
    """Refuse results of other weights than those whose card is about to show them."""
    local = {path.name: path for path in evaluated.iterdir() if is_weights(path.name)}
    remote = {name for name in there if is_weights(name)}
    if local.keys() != remote or any(not there[name].holds(content_of_file(name, local[name])) for name in remote):
        raise UserError(f"the weights in {evaluated} are not those that {repo} has now: evaluate its newest revision")


def _identity(result: dict[str, Any]) -> tuple[str, ...]:
    task, data = result["task"], result["dataset"]
    return str(task.get("name") or task["type"]), data["repo"], str(data.get("split"))
