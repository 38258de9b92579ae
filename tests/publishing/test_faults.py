"""A Hub behind a bad network: waits, or a message; never a broken release, and the same command finishes the work."""

import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import HfApi

from hubkit.errors import UserError
from hubkit.hub_patience import be_patient
from hubkit.publishing import apply, plan
from tests.faults import Fault, FaultProxy, fault_proxy

from .conftest import Hub
from .folders import make_corpus, make_model
from .test_interruption import check_finish, check_rows, seen

BUSY = (("Retry-After", "1"),)
KINDS = (
    Fault("status", 429, BUSY), Fault("status", 500), Fault("status", 502), Fault("status", 503), Fault("status", 504),
    Fault("status", 412), Fault("status", 507), Fault("slow"), Fault("cut request"), Fault("cut response"),
    Fault("lost response"),
)  # fmt: skip


def publish(folder: Path, repo: str, hub: Hub, proxy: FaultProxy) -> subprocess.CompletedProcess:
    """Run the command of a user, whose Hub is the proxy."""
    environment = {**hub.process_environment, "HF_ENDPOINT": proxy.url, "HF_HOME": str(folder.parent / "home")}
    command = [sys.executable, "-m", "hubkit", "publish", str(folder), repo, "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)


@pytest.mark.slow
def test_a_busy_hub_is_waited_for(tmp_path: Path, repo: str, hub: Hub) -> None:
    """Every second question is answered by 429 or 503."""
    folder = make_corpus(tmp_path / "1.0.0", {"train": 30})

    def decide(number: int, method: str, path: str) -> Fault | None:
        busy = Fault("status", 429, (("Retry-After", "0"),)) if number % 12 else Fault("status", 503)
        return busy if number % 2 == 0 else None

    with fault_proxy(hub.environment["HF_ENDPOINT"], decide) as proxy:
        done = publish(folder, repo, hub, proxy)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["tag"] == "v1.0.0"
    assert sum(request.fault is not None for request in proxy.seen) > 10


@pytest.mark.slow
def test_a_hub_that_stays_busy_is_told_of_with_its_wish(tmp_path: Path, repo: str, hub: Hub) -> None:
    folder = make_corpus(tmp_path / "1.0.0", {"train": 30})
    with fault_proxy(
        hub.environment["HF_ENDPOINT"], lambda *_: Fault("status", 429, (("Retry-After", "3600"),))
    ) as proxy:
        done = publish(folder, repo, hub, proxy)
    assert done.returncode == 1 and "answers too many requests" in done.stderr and "Traceback" not in done.stderr
    assert seen(repo, hub.api).tags == {}


@pytest.mark.slow
def test_a_full_disk_is_told_and_once_there_is_room_the_same_command_goes_on(tmp_path, repo, hub, disk) -> None:
    """Where the client keeps what it fetches to load it, before the tag."""
    folder, home = make_model(tmp_path / "model", datasets=[]), disk("size=8k")
    environment = {**hub.process_environment, "HF_HOME": str(home / "hf")}
    command = [sys.executable, "-m", "hubkit", "publish", str(folder), repo]

    def run() -> subprocess.CompletedProcess:
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=200, check=False)

    full = run()
    assert full.returncode == 1 and "the disk of this machine is full" in full.stderr, full.stderr
    assert "Traceback" not in full.stderr and not hub.api.list_repo_refs(repo).tags
    disk("size=10m")
    again = run()
    assert again.returncode == 0 and "v1.0.0" in again.stdout, again.stderr


def strike(tmp_path: Path, repo: str, hub: Hub, seed: int) -> int:
    """Let one request of a second release go wrong; return how many did."""
    draw = random.Random(seed)
    fault, at = draw.choice(KINDS), draw.randrange(16)
    first, second = make_corpus(tmp_path / "1.0.0", {"train": 40}), make_corpus(tmp_path / "1.1.0", {"train": 50})
    apply(plan(first, repo, api=hub.api), hub.api)
    before = seen(repo, hub.api)
    be_patient()
    decide = lambda number, *_: fault if number == at else None  # noqa: E731
    with fault_proxy(hub.environment["HF_ENDPOINT"], decide) as proxy:
        api = HfApi(endpoint=proxy.url, token=hub.environment["HF_TOKEN"])
        try:
            release = apply(plan(second, repo, api=api), api)
        except UserError as error:
            assert hub.environment["HF_TOKEN"] not in str(error)
            check_finish(second, repo, hub.api, before, "1.1.0")
        else:
            assert seen(repo, hub.api).tags == {**before.tags, "v1.1.0": release.commit}
    check_rows(second, repo, hub.api, "1.1.0")
    return sum(request.fault is not None for request in proxy.seen)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
def test_one_fault_does_no_harm(tmp_path: Path, repo: str, hub: Hub, seed: int) -> None:
    assert strike(tmp_path, repo, hub, seed) == 1


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(10, 110))
def test_a_hundred_faults_do_no_harm(tmp_path: Path, repo: str, hub: Hub, seed: int) -> None:
    assert strike(tmp_path, repo, hub, seed) <= 1
