"""kill -9 at any moment of a publish: the last release stays, and the same command finishes the new one."""

import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hubkit.corpora.hashing import rows_sha256_of_parquet
from hubkit.errors import UserError
from hubkit.hub_errors import AGAIN
from hubkit.publishing import Action, Plan, Release, apply, plan
from hubkit.publishing.hub import RemoteFile, Repository

from .conftest import Hub
from .folders import make_corpus

_PUBLISH = """
import sys
from pathlib import Path
import datasets, huggingface_hub, pyarrow.parquet
from hubkit.publishing import apply, plan
print("planning", flush=True)
made = plan(Path(sys.argv[1]), sys.argv[2])
apply(made, progress=lambda step: print(step.split()[0], flush=True))
print("done", flush=True)
"""


@dataclass(frozen=True)
class Seen:
    """A repository before the kill."""

    tags: dict[str, str]
    files: dict[str, RemoteFile]


def seen(repo: str, api: HfApi) -> Seen:
    """Return the releases, and the files of the first."""
    if not api.repo_exists(repo, repo_type="dataset"):
        return Seen({}, {})
    tags = {ref.name: ref.target_commit for ref in api.list_repo_refs(repo, repo_type="dataset").tags}
    return Seen(tags, Repository(api, repo, "dataset").files("v1.0.0") if "v1.0.0" in tags else {})


def kill_while_publishing(folder: Path, repo: str, hub: Hub, step: str, delay: float) -> str:
    """Start a publish in a process, kill it `delay` seconds after a step began, and return the last step it told of."""
    process = subprocess.Popen(
        [sys.executable, "-c", _PUBLISH, str(folder), repo],
        env=hub.process_environment,
        text=True,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        last = line.strip()
        if last == step:
            break
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.stdout.close()
    process.wait()
    return rest[-1] if rest else last


def publish_again(folder: Path, repo: str, api: HfApi) -> tuple[Plan, Release]:
    """Run the same command until it is through: a request of the killed process may still be on its way at the Hub."""
    for _ in range(3):
        try:
            made = plan(folder, repo, api=api)
            return made, apply(made, api)
        except UserError as error:
            assert AGAIN in str(error)
            time.sleep(0.2)
    raise AssertionError("three times in a row")


def check_finish(folder: Path, repo: str, api: HfApi, before: Seen, version: str) -> None:
    """Check that the kill did no harm, run the same command again, and check its release."""
    after = seen(repo, api)
    assert {tag: after.tags.get(tag) for tag in before.tags} == before.tags
    assert after.files == before.files or not before.files
    made, release = publish_again(folder, repo, api)
    assert made.version == version
    finished = seen(repo, api)
    assert finished.tags == {**before.tags, f"v{version}": release.commit}
    served = Repository(api, repo, "dataset").files(f"v{version}")
    planned = [file for file in made.files if file.action is not Action.DELETE]
    assert set(served) == {file.path for file in planned} | {".gitattributes"}
    assert all((served[f.path].sha256 or served[f.path].git_oid) in (f.sha256, f.git_oid) for f in planned)
    changelog = Repository(api, repo, "dataset").read("CHANGELOG.md", f"v{version}")
    assert changelog is not None
    assert changelog.count(f"## v{version}\n".encode()) == 1
    assert plan(folder, repo, api=api).changes == ()


RELEASES = {"1.0.0": {"train": 3000}, "1.1.0": {"train": 3500, "test": 9}}


def kill_twice(tmp_path: Path, repo: str, hub: Hub, steps: tuple[str, str], delays: tuple[float, float]) -> list[str]:
    """Interrupt a first release and a second one; return the steps in which the kills fell."""
    fell = []
    for index, (version, splits) in enumerate(RELEASES.items()):
        folder = make_corpus(tmp_path / version, splits)
        before = seen(repo, hub.api)
        fell.append(kill_while_publishing(folder, repo, hub, steps[index], delays[index]))
        check_finish(folder, repo, hub.api, before, version)
        check_rows(tmp_path / version, repo, hub.api, version)
    check_same_as_uninterrupted(tmp_path, repo, hub.api)
    return fell


def check_rows(folder: Path, repo: str, api: HfApi, version: str) -> None:
    """Download the release and check that its rows are those of the folder."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as home:
        got = Path(api.snapshot_download(repo, repo_type="dataset", revision=f"v{version}", local_dir=home))
        for record in json.loads((folder / "corpus.json").read_text())["splits"].values():
            shards = [got / shard["file"] for shard in record["shards"]]
            assert rows_sha256_of_parquet(shards) == record["rows_sha256"]


def check_same_as_uninterrupted(tmp_path: Path, repo: str, api: HfApi) -> None:
    """Publish the same folders under the same name without a kill: every file of every release must be the same."""

    def releases() -> dict[str, dict[str, RemoteFile]]:
        return {version: Repository(api, repo, "dataset").files(f"v{version}") for version in RELEASES}

    interrupted = releases()
    api.delete_repo(repo, repo_type="dataset")
    for version in RELEASES:
        apply(plan(tmp_path / version, repo, api=api), api)
    assert releases() == interrupted


@pytest.mark.parametrize(
    ("steps", "delays"),
    [(("creating", "sending"), (0.0, 0.06)), (("sending", "tagging"), (0.01, 0.0))],
)
def test_a_killed_publish_is_finished_by_the_same_command(
    tmp_path: Path, repo: str, hub: Hub, steps: tuple[str, str], delays: tuple[float, float]
) -> None:
    fell = kill_twice(tmp_path, repo, hub, steps, delays)
    order = ["planning", "creating", "sending", "verifying", "loading", "tagging", "done"]
    assert all(order.index(found) >= order.index(step) for found, step in zip(fell, steps, strict=True))


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(50))
def test_a_hundred_kills(tmp_path: Path, repo: str, hub: Hub, seed: int) -> None:
    draw = random.Random(seed)
    steps = draw.choice(["planning", "creating", "sending"]), draw.choice(["planning", "sending", "verifying"])
    fell = kill_twice(tmp_path, repo, hub, steps, (draw.uniform(0, 0.3), draw.uniform(0, 0.2)))
    assert all(fell)
