"""One embedded Hub for the session; each test publishes under an owner of its own."""

import itertools
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi

from hubkit.publishing import Release, apply, applying, plan
from hubkit.server import process
from hubkit.tokenizers import make_tokenizer, save_tokenizer

from .folders import add_evaluation, make_corpus, make_model, make_space

_NUMBERS = itertools.count()


@lru_cache
def _built(train: int) -> Path:
    """Return a corpus that several tests publish."""
    return make_corpus(Path(tempfile.mkdtemp(prefix="lineage-")) / "corpus", train)


@dataclass
class Lab:
    """An owner on a running Hub who publishes."""

    api: HfApi
    owner: str
    folder: Path
    environment: dict[str, str]
    _folders: Iterator[int] = field(default_factory=itertools.count)

    def name(self, name: str) -> str:
        return f"{self.owner}/{name}"

    def publish(self, folder: Path, name: str) -> dict[str, Any]:
        """Publish a folder; returns the pin of what is there now."""
        with pytest.MonkeyPatch.context() as patch:
            # Models that only look like one load nowhere; that what is published does is tested elsewhere.
            patch.setattr(applying, "check_loads", lambda repository, commit: None)
            made: Release = apply(plan(folder, self.name(name), api=self.api), self.api)
        return {"repo": made.repo, "revision": made.commit, "release": made.tag}

    def corpus(self, train: int = 24, name: str = "letters") -> dict[str, Any]:
        return self.publish(_built(train), name)

    def model(self, name: str, *pins: dict[str, Any], evaluated: bool = True, **changes: Any) -> dict[str, Any]:
        """Publish a model that was trained on datasets, and evaluated on the first."""
        folder = make_model(self._new(), name, list(pins), **changes)
        if evaluated and pins:
            add_evaluation(folder, {key: pins[0][key] for key in ("repo", "revision")})
        return self.publish(folder, name)

    def tokenizer(self, name: str) -> dict[str, Any]:
        """Publish a tokenizer by itself."""
        folder = self._new()
        save_tokenizer(make_tokenizer("characters:AB"), folder)
        return self.publish(folder, name)

    def space(self, name: str, models: list[dict[str, Any]], datasets: list[dict[str, Any]]) -> dict[str, Any]:
        pins = ([{key: pin[key] for key in ("repo", "revision")} for pin in some] for some in (models, datasets))
        return self.publish(make_space(self._new(), *pins), name)

    def foreign(self, name: str, card: dict[str, Any], kind: str = "model") -> str:
        """Make a repository that hubkit had no part in, with nothing but a card; returns its commit."""
        repo = self.name(name)
        options = {"space_sdk": "static"} if kind == "space" else {}
        self.api.create_repo(repo, repo_type=kind, exist_ok=True, **options)
        text = f"---\n{json.dumps(card, indent=1)}\n---\n# {name}\n".encode()
        made = self.api.upload_file(path_or_fileobj=text, path_in_repo="README.md", repo_id=repo, repo_type=kind)
        assert made.oid is not None
        return made.oid

    def _new(self) -> Path:
        return self.folder / str(next(self._folders))


@pytest.fixture(scope="session")
def hub_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    root = tmp_path_factory.mktemp("hub")
    process.start(root, port=0)
    yield process.client_environment(root)
    process.stop(root)


@pytest.fixture
def lab(hub_environment: dict[str, str], tmp_path: Path) -> Lab:
    api = HfApi(endpoint=hub_environment["HF_ENDPOINT"], token=hub_environment["HF_TOKEN"])
    return Lab(api, f"lab-{os.getpid()}-{next(_NUMBERS)}", tmp_path, hub_environment)


@dataclass
class Chain(Lab):
    """A lab with everything published: nobody may change it."""

    pins: dict[str, str] = field(default_factory=dict)
    """Commits of the releases of the corpus."""


@pytest.fixture(scope="session")
def chain(hub_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Chain:
    """A corpus in two releases, models that were trained on either, a Space, and a model that hubkit did not make."""
    api = HfApi(endpoint=hub_environment["HF_ENDPOINT"], token=hub_environment["HF_TOKEN"])
    made = Chain(api, f"chain-{os.getpid()}", tmp_path_factory.mktemp("chain"), hub_environment)
    old = made.corpus(24)
    base = made.model("base", old)
    model = made.model("model", old, init_from=base)
    made.space("demo", [model], [old])
    new = made.corpus(48)
    made.model("newer", new)
    result = {
        "task": {"type": "fill-mask"},
        "dataset": {"name": "letters", "type": made.name("letters")},
        "metrics": [{"type": "accuracy", "value": 0.9}],
    }
    index = [{"name": "tuned", "results": [result]}]
    card = {"base_model": made.name("model"), "datasets": [made.name("letters"), "who/knows"], "model-index": index}
    made.foreign("tuned", card)
    made.pins = {"old": old["revision"], "new": new["revision"]}
    return made
