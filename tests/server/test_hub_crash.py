"""Many at once, killed in the middle, and a full disk: nothing that was acknowledged is ever lost."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest

from hubkit.server import lfs
from hubkit.server.app import HubApp
from hubkit.server.context import Hub
from hubkit.server.gitobjects import PACK_FROM

WORKER = """
import sys
from huggingface_hub import CommitOperationAdd, HfApi
url, token, repo, me = sys.argv[1:]
api = HfApi(endpoint=url, token=token)
for number in range(5):
    files = [CommitOperationAdd(f"{me}/{number}.txt", f"{me} {number}".encode()),
             CommitOperationAdd(f"{me}/{number}.bin", f"{me} {number}".encode())]
    api.create_commit(repo, files, commit_message=f"{me} {number}", repo_type="dataset")
"""


def text(path: str, content: str) -> dict:
    return {"key": "file", "value": {"path": path, "content": content}}


def test_processes_that_commit_to_one_repo_lose_nothing(hub):
    repo_id = hub.new()
    command = [sys.executable, "-c", WORKER, hub.url, hub.token, repo_id]
    environment = {**os.environ, "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    workers = [subprocess.Popen([*command, f"w{number}"], env=environment) for number in range(4)]
    assert [worker.wait(60) for worker in workers] == [0] * 4
    commits = hub.api().list_repo_commits(repo_id, repo_type="dataset")
    expected = {f"w{worker} {number}" for worker in range(4) for number in range(5)}
    assert {commit.title for commit in commits} == expected | {"initial commit"}
    assert len(commits) == 21
    for worker in range(4):
        for number in range(5):
            for ending in ("txt", "bin"):
                url = f"/datasets/{repo_id}/resolve/main/w{worker}/{number}.{ending}"
                assert hub.ask("GET", url).body == f"w{worker} {number}".encode()
    hub.fsck(repo_id)


def test_of_commits_with_one_parent_exactly_one_lands(hub):
    repo_id = hub.new()
    for _ in range(3):
        tip = hub.api().dataset_info(repo_id).sha
        with ThreadPoolExecutor(8) as pool:
            work = [pool.submit(hub.commit, repo_id, [text("a", f"{tip}{n}")], parent=tip) for n in range(8)]
        assert sorted(future.result().status for future in work) == [200] + [412] * 7
    assert len(hub.api().list_repo_commits(repo_id, repo_type="dataset")) == 4


def test_a_counter_under_compare_and_swap_counts_right(hub):
    repo_id = hub.new()
    hub.commit(repo_id, [text("counter", "0")])

    def add_one(_: int) -> None:
        while True:
            tip = hub.ask("GET", f"/api/datasets/{repo_id}?expand=sha").json()["sha"]
            value = int(hub.ask("GET", f"/datasets/{repo_id}/resolve/{tip}/counter").body)
            answer = hub.commit(repo_id, [text("counter", str(value + 1))], parent=tip)
            assert answer.status in (200, 412)
            if answer.status == 200:
                return

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add_one, range(12)))
    assert hub.ask("GET", f"/datasets/{repo_id}/resolve/main/counter").body == b"12"


def test_repos_that_are_made_and_deleted_at_once_stay_consistent(hub):
    body = {"name": "contested", "type": "dataset"}

    def make(_: int) -> int:
        return hub.ask("POST", "/api/repos/create", body).status

    def remove(_: int) -> int:
        return hub.ask("DELETE", "/api/repos/delete", body).status

    for _ in range(3):
        with ThreadPoolExecutor(6) as pool:
            assert sorted(pool.map(make, range(6))) == [200] + [409] * 5
        with ThreadPoolExecutor(4) as pool:
            found = sorted(pool.map(remove, range(4)))
        assert found[0] == 200
        assert set(found[1:]) <= {404, 409}
    assert not hub.path("lab/contested").exists()


def restart(launch, hub):
    """Kills the server without warning and starts it again at the same address."""
    os.kill(hub.status.pid, signal.SIGKILL)
    os.waitpid(hub.status.pid, 0)
    return launch(hub.root, urlsplit(hub.url).port)


def test_an_upload_that_is_killed_in_the_middle_is_finished_by_the_same_command(own_hub, launch, tmp_path):
    hub, repo_id = own_hub, own_hub.new()
    before = hub.api().dataset_info(repo_id).sha
    data = random.Random(1).randbytes(24 << 20)
    file = tmp_path / "weights.bin"
    file.write_bytes(data)
    oid = hashlib.sha256(data).hexdigest()
    body = {"operation": "upload", "objects": [{"oid": oid, "size": len(data)}]}
    answer = hub.ask("POST", f"/datasets/{repo_id}.git/info/lfs/objects/batch", body).json()
    url = answer["objects"][0]["actions"]["upload"]["href"]
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.putrequest("PUT", url.removeprefix(hub.url))
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    connection.send(data[: len(data) // 2])
    partial = wait_for(lambda: [path for path in (hub.root / "tmp").iterdir() if path.stat().st_size > 1 << 20])
    assert partial[0].stat().st_size < len(data)
    hub = restart(launch, hub)
    connection.close()
    assert list((hub.root / "tmp").iterdir()) == []
    assert hub.api().dataset_info(repo_id).sha == before
    hub.api().upload_file(path_or_fileobj=file, path_in_repo="weights.bin", repo_id=repo_id, repo_type="dataset")
    served = hub.ask("GET", f"/datasets/{repo_id}/resolve/main/weights.bin").body
    assert hashlib.sha256(served).hexdigest() == oid
    hub.fsck(repo_id)


def wait_for(condition, timeout: float = 10):
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.005)
    raise AssertionError("it did not happen")


def test_commits_that_are_killed_anywhere_leave_the_repo_whole(own_hub, launch):
    hub, repo_id = own_hub, own_hub.new()
    acknowledged: list[str] = []
    numbers = iter(range(10**6))
    chance = random.Random(7)

    def keep_committing(server) -> None:
        try:
            while True:
                number = next(numbers)
                # Alternately small commits (loose objects) and large ones (a pack).
                count = PACK_FROM + 100 if number % 2 else 2
                lines = [text(f"c{number}/{index}.txt", f"{number} {index}") for index in range(count)]
                answer = server.commit(repo_id, lines)
                assert answer.status == 200
                acknowledged.append(answer.json()["commitOid"])
        except (OSError, http.client.HTTPException):
            return

    for _ in range(5):
        before = len(acknowledged)
        worker = threading.Thread(target=keep_committing, args=(hub,))
        worker.start()
        wait_for(lambda before=before: len(acknowledged) > before)
        time.sleep(chance.random() * 0.15)
        hub = restart(launch, hub)
        worker.join(30)
        assert not worker.is_alive()
        hub.fsck(repo_id)
        history = hub.ask("GET", f"/api/datasets/{repo_id}/commits/main?limit=1000").json()
        assert set(acknowledged) <= {commit["id"] for commit in history}
        assert hub.ask("GET", f"/api/datasets/{repo_id}?blobs=1").status == 200
    assert hub.commit(repo_id, [text("last", "x")]).status == 200
    assert [path for path in (hub.root / "tmp").iterdir() if path.name.startswith(("pack-", "lfs-"))] == []


def test_locks_of_a_killed_git_do_not_block_a_branch(hub):
    repo_id = hub.new()
    folder = hub.path(repo_id)
    for name in ("refs/heads/main.lock", "packed-refs.lock", "HEAD.lock"):
        (folder / name).touch()
    assert hub.commit(repo_id, [text("a", "1")]).status == 200
    (folder / "refs" / "tags" / "v1.lock").touch()
    hub.api().create_tag(repo_id, tag="v1", repo_type="dataset")
    (folder / "refs" / "tags" / "v1.lock").touch()
    (folder / "packed-refs.lock").touch()
    hub.api().delete_tag(repo_id, tag="v1", repo_type="dataset")


def test_refs_that_git_has_packed_can_be_moved_and_deleted(hub):
    repo_id = hub.new()
    hub.api().create_tag(repo_id, tag="v1", repo_type="dataset")
    subprocess.run(["git", "-C", str(hub.path(repo_id)), "gc", "-q"], check=True)
    assert not (hub.path(repo_id) / "refs" / "heads" / "main").exists()
    assert hub.commit(repo_id, [text("a", "1")]).status == 200
    hub.api().delete_tag(repo_id, tag="v1", repo_type="dataset")
    assert hub.api().list_repo_refs(repo_id, repo_type="dataset").tags == []
    assert len(hub.api().list_repo_commits(repo_id, repo_type="dataset")) == 2


def test_an_upload_into_a_repo_that_vanishes_is_a_clean_conflict(hub):
    repo_id = hub.new()
    data = b"x" * 100
    body = {"operation": "upload", "objects": [{"oid": hashlib.sha256(data).hexdigest(), "size": len(data)}]}
    answer = hub.ask("POST", f"/datasets/{repo_id}.git/info/lfs/objects/batch", body).json()
    url = answer["objects"][0]["actions"]["upload"]["href"]
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=10)
    connection.putrequest("PUT", url.removeprefix(hub.url))
    connection.putheader("Content-Length", str(len(data)))
    connection.endheaders()
    wait_for(lambda: [path for path in (hub.root / "tmp").iterdir() if path.name.startswith("lfs-")])
    hub.api().delete_repo(repo_id, repo_type="dataset")
    connection.send(data)
    assert connection.getresponse().status == 409
    connection.close()
    assert not hub.path(repo_id).exists()


# A full disk -------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 32 MB, where this process may mount one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=32m", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def test_a_disk_that_runs_full_is_reported_and_leaves_no_half_state(small_disk, launch):
    hub = launch(small_disk / "hub")
    repo_id = hub.new()
    assert hub.commit(repo_id, [text("a", "1")]).status == 200
    tip = hub.api().dataset_info(repo_id).sha
    filler = small_disk / "filler"
    filler.write_bytes(b"\0" * (30 << 20))
    refused = hub.commit(repo_id, [text("b", random.Random(1).randbytes(4 << 20).hex())])
    assert refused.status == 507
    assert "free some space" in refused.json()["error"]
    many = [text(f"d/{number}", random.Random(number).randbytes(20_000).hex()) for number in range(150)]
    assert hub.commit(repo_id, many).status == 507
    body = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 10}]}
    answer = hub.ask("POST", f"/datasets/{repo_id}.git/info/lfs/objects/batch", body).json()
    assert answer["objects"][0]["error"]["code"] == 507
    assert hub.api().dataset_info(repo_id).sha == tip
    hub.fsck(repo_id)
    assert [path.name for path in (hub.root / "tmp").iterdir()] == []
    filler.unlink()
    assert hub.commit(repo_id, many).status == 200
    hub.fsck(repo_id)


def ask_in_process(hub: Hub, method: str, path: str, content: bytes, token: str | None) -> httpx2.Response:
    async def ask() -> httpx2.Response:
        transport = httpx2.ASGITransport(app=HubApp(hub))
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        async with httpx2.AsyncClient(transport=transport, base_url="http://127.0.0.1:1") as client:
            return await client.request(method, path, content=content, headers=headers)

    return asyncio.run(ask())


@pytest.mark.parametrize("count", [1, PACK_FROM + 10])
def test_errors_of_the_disk_while_a_commit_is_written_change_nothing(tmp_path, monkeypatch, count):
    hub = Hub.open(tmp_path, "http://127.0.0.1:1", "test")
    token = hub.tokens.ensure_own()
    create = json.dumps({"name": "x", "type": "dataset"}).encode()
    assert ask_in_process(hub, "POST", "/api/repos/create", create, token).status_code == 200
    lines = [{"key": "header", "value": {"summary": "s"}}, *(text(f"f{number}", "x") for number in range(count))]
    body = "\n".join(json.dumps(line) for line in lines).encode()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("hubkit.server.gitobjects.os.fsync", full)
        patch.setattr("hubkit.server.gitobjects.LooseWriter.add", full)
        answer = ask_in_process(hub, "POST", "/api/datasets/lab/x/commit/main", body, token)
    assert answer.status_code == 507
    assert list((tmp_path / "tmp").iterdir()) == []
    assert ask_in_process(hub, "POST", "/api/datasets/lab/x/commit/main", body, token).status_code == 200


def test_errors_of_the_disk_while_a_file_arrives_change_nothing(tmp_path, monkeypatch):
    hub = Hub.open(tmp_path, "http://127.0.0.1:1", "test")
    token = hub.tokens.ensure_own()
    create = json.dumps({"name": "x", "type": "dataset"}).encode()
    ask_in_process(hub, "POST", "/api/repos/create", create, token)
    data = b"x" * 1000
    wanted = {"operation": "upload", "objects": [{"oid": hashlib.sha256(data).hexdigest(), "size": 1000}]}
    batch = ask_in_process(
        hub, "POST", "/datasets/lab/x.git/info/lfs/objects/batch", json.dumps(wanted).encode(), token
    )
    path = batch.json()["objects"][0]["actions"]["upload"]["href"].removeprefix("http://127.0.0.1:1")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(lfs.os, "fsync", full)
        assert ask_in_process(hub, "PUT", path, data, None).status_code == 507
    assert list((tmp_path / "tmp").iterdir()) == []
    assert ask_in_process(hub, "PUT", path, data, None).status_code == 200
