"""A real server in its own process, and real clients that talk to it."""

from __future__ import annotations

import http.client
import itertools
import json
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from huggingface_hub import HfApi

from hubkit.server import process
from hubkit.server.tokens import TokenStore


@dataclass
class Answer:
    """An HTTP answer, read to its end."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self):
        return json.loads(self.body)


@dataclass
class LiveHub:
    """A running server, seen from outside."""

    status: process.Status
    token: str
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def root(self) -> Path:
        return self.status.root

    @property
    def url(self) -> str:
        return self.status.url

    def api(self, token: str | bool | None = None) -> HfApi:
        return HfApi(endpoint=self.url, token=self.token if token is None else token)

    def new(self, repo_type: str = "dataset", **options) -> str:
        """Makes a repository of its own for a test."""
        repo_id = f"lab/repo-{next(self._numbers)}-{threading.get_ident() % 1000}"
        self.api().create_repo(repo_id, repo_type=repo_type, **options)
        return repo_id

    def path(self, repo_id: str, repo_type: str = "dataset") -> Path:
        return self.root / "repos" / f"{repo_type}s" / f"{repo_id}.git"

    def ask(
        self, method: str, path: str, body: bytes | dict | None = None, token: str | None = "", **headers
    ) -> Answer:
        """Sends one request exactly as written: no client library tidies it. The token "" is the owner's own."""
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if token is not None:
            sent.setdefault("Authorization", f"Bearer {token or self.token}")
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def commit(
        self, repo_id: str, lines: list[dict], rev: str = "main", repo_type: str = "dataset", **options
    ) -> Answer:
        """Sends a commit as raw lines; a header is put before them."""
        header = {"summary": "test", **({"parentCommit": options["parent"]} if "parent" in options else {})}
        items = [{"key": "header", "value": header}, *lines]
        body = b"".join(json.dumps(item).encode() + b"\n" for item in items)
        return self.ask("POST", f"/api/{repo_type}s/{repo_id}/commit/{rev}", body)

    def fsck(self, repo_id: str, repo_type: str = "dataset") -> None:
        """Lets git itself check a repository."""
        command = ["git", "-C", str(self.path(repo_id, repo_type)), "fsck", "--full", "--strict"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        assert "error" not in result.stderr, result.stderr


def start_hub(root: Path, port: int = 0) -> LiveHub:
    status = process.start(root, port=port)
    token = TokenStore(root).own()
    assert token
    return LiveHub(status, token)


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveHub]:
    """One server for all tests that do not harm it."""
    root = tmp_path_factory.mktemp("hub")
    yield start_hub(root)
    process.stop(root)


@pytest.fixture
def launch() -> Iterator[Callable[..., LiveHub]]:
    """Starts servers for one test: `launch(root, port)`."""
    roots: list[Path] = []

    def start(root: Path, port: int = 0) -> LiveHub:
        roots.append(root)
        return start_hub(root, port)

    yield start
    for root in roots:
        process.stop(root)


@pytest.fixture
def own_hub(tmp_path: Path, launch: Callable[..., LiveHub]) -> LiveHub:
    """A server for one test that stops, kills or reconfigures it."""
    return launch(tmp_path / "hub")


@pytest.fixture(scope="session")
def reader(hub: LiveHub) -> str:
    """A token that may only read."""
    return TokenStore(hub.root).add("guest", "read", "reader")
