"""What the Hub says of a repository: the JSON of `repo_info` and of the listings."""

from __future__ import annotations

import json
from typing import Any

import pygit2

from hubkit.server import cards, refs, trees
from hubkit.server.commits import root_file
from hubkit.server.store import Repo

# What costs a look at every file or makes answers long: listings leave it out unless asked.
HEAVY = ("siblings", "cardData", "usedStorage", "config", "model-index")


class RepoFacts:
    """Everything that can be told of one revision of a repository; each part is computed when asked for.

    Args:
        repo: The repository.
        commit: The revision.
    """

    def __init__(self, repo: Repo, commit: pygit2.Commit) -> None:
        self._repo = repo
        self._commit = commit
        self._files = list(trees.files(repo.git, str(commit.tree.id)))
        self.names = [entry.path for entry in self._files]
        self.card = cards.card_data(root_file(repo, commit.tree, "README.md"))
        self._config = self._model_config() if repo.key.type == "models" else {}

    def _model_config(self) -> dict[str, Any]:
        try:
            config = json.loads(root_file(self._repo, self._commit.tree, "config.json") or b"{}")
        except (ValueError, RecursionError):
            return {}
        return config if isinstance(config, dict) else {}

    def base(self) -> dict[str, Any]:
        """What every answer carries."""
        repo, meta = self._repo, self._repo.meta
        shown: dict[str, Any] = {
            "_id": meta.uid,
            "id": repo.key.id,
            "author": repo.key.namespace,
            "sha": str(self._commit.id),
            "lastModified": refs.iso_date(self._commit.commit_time),
            "createdAt": refs.iso_date(meta.created),
            "private": meta.private,
            "gated": meta.gated,
            "disabled": False,
            "downloads": 0,
            "likes": 0,
        }
        specific = {"models": self._model, "datasets": dict, "spaces": self._space}[repo.key.type]()
        known = specific | {"model_type": self._config.get("model_type")}
        return shown | specific | {"tags": cards.tags(repo.key.type, self.card, self.names, known)}

    def _model(self) -> dict[str, Any]:
        config = self._config
        library = self.card.get("library_name")
        if not library and ("model_type" in config or "architectures" in config):
            library = "transformers"
        shown = {"modelId": self._repo.key.id, "spaces": []}
        task = self.card.get("pipeline_tag") or cards.task_of(config)
        return shown | {key: value for key, value in (("library_name", library), ("pipeline_tag", task)) if value}

    def _space(self) -> dict[str, Any]:
        lists = {key: self.card[key] for key in ("models", "datasets") if isinstance(self.card.get(key), list)}
        return {"sdk": self.card.get("sdk") or self._repo.meta.sdk, **lists}

    def heavy(self, blobs: bool) -> dict[str, Any]:
        """What only a question for this one repository gets.

        Args:
            blobs: Whether to tell the size and id of every file.
        """
        used = sum(trees.facts(self._repo.git, entry.oid).size for entry in self._files)
        shown: dict[str, Any] = {"siblings": self.siblings(blobs), "usedStorage": used}
        if self.card:
            shown["cardData"] = self.card
        if self._config:
            known = ("architectures", "model_type", "auto_map")
            shown["config"] = {key: self._config[key] for key in known if key in self._config}
        if self.card.get("model-index"):
            shown["model-index"] = self.card["model-index"]
        return shown

    def siblings(self, blobs: bool) -> list[dict[str, Any]]:
        """The files, with size and ids if asked."""
        if not blobs:
            return [{"rfilename": name} for name in self.names]
        return [self._sibling(entry) for entry in self._files]

    def _sibling(self, entry: trees.Entry) -> dict[str, Any]:
        size, pointer = trees.facts(self._repo.git, entry.oid)
        shown: dict[str, Any] = {"rfilename": entry.path, "size": size, "blobId": entry.oid}
        if pointer:
            shown["lfs"] = {"sha256": pointer.oid, "size": pointer.size, "pointerSize": pointer.pointer_size}
        return shown


def info(repo: Repo, commit: pygit2.Commit, blobs: bool, expand: list[str]) -> dict[str, Any]:
    """The answer to a question for one repository.

    Args:
        repo: The repository.
        commit: The revision that was asked for.
        blobs: Whether to tell the size and id of every file.
        expand: If not empty, the only properties to tell.
    """
    facts = RepoFacts(repo, commit)
    heavy = facts.heavy(blobs) if not expand or set(expand) & set(HEAVY) else {}
    return select(facts.base() | heavy, expand)


def summary(repo: Repo, full: bool, wants: set[str]) -> dict[str, Any] | None:
    """One line of a listing, or None for a repository that vanished meanwhile.

    Args:
        repo: The repository.
        full: Whether to name its files.
        wants: Heavy properties to tell besides.
    """
    commit = refs.resolve(repo.git, refs.DEFAULT_BRANCH)
    facts = RepoFacts(repo, commit)
    shown = facts.base()
    if full:
        wants = wants | {"siblings"} | ({"cardData"} if repo.key.type != "models" else set())
    if wants:
        shown |= {key: value for key, value in facts.heavy(False).items() if key in wants}
    return shown


def select(shown: dict[str, Any], expand: list[str]) -> dict[str, Any]:
    """Keeps what was asked for; unknown properties are left out, as they are for a repository that lacks them."""
    if not expand:
        return shown
    return {key: value for key, value in shown.items() if key in {"_id", "id", *expand}}
