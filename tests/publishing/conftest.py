"""One embedded Hub, in its own process, for the whole session; each test publishes under names of its own."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from huggingface_hub import HfApi, constants

from hubkit.server import process

from .folders import make_corpus

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Hub:
    """A running Hub and how to reach it."""

    environment: dict[str, str]
    root: Path

    @property
    def api(self) -> HfApi:
        return HfApi(endpoint=self.environment["HF_ENDPOINT"], token=self.environment["HF_TOKEN"])

    @property
    def process_environment(self) -> dict[str, str]:
        """What a new process needs to talk to this Hub."""
        quiet = {"HF_HUB_DISABLE_PROGRESS_BARS": "1", "HF_HUB_DISABLE_XET": "1"}
        return {**os.environ, **self.environment, **quiet}


@pytest.fixture(scope="session")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    root = tmp_path_factory.mktemp("hub")
    process.start(root, port=0)
    yield Hub(process.client_environment(root), root)
    process.stop(root)


@pytest.fixture(autouse=True)
def libraries_ask_the_hub(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have `datasets` and `transformers` in this process ask the embedded Hub: a release is loaded before its tag."""
    if not {"hub", "api"} & set(request.fixturenames):
        return
    from datasets import config

    environment = request.getfixturevalue("hub").environment
    monkeypatch.setattr(constants, "ENDPOINT", environment["HF_ENDPOINT"])
    monkeypatch.setattr(config, "HF_ENDPOINT", environment["HF_ENDPOINT"])
    for client in request.getfixturevalue("library_clients"):
        monkeypatch.setattr(client, "endpoint", environment["HF_ENDPOINT"])
    template = environment["HF_ENDPOINT"] + "/{repo_id}/resolve/{revision}/{filename}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setenv("HF_TOKEN", environment["HF_TOKEN"])


@pytest.fixture
def api(hub: Hub) -> HfApi:
    return hub.api


@pytest.fixture
def repo() -> str:
    return f"lab/publish-{os.getpid()}-{next(_NUMBERS)}"


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    return make_corpus(tmp_path / "corpus", {"train": 3000, "test": 100})
