"""Asks a Hub about repositories: few questions, each once, and a failure is told of the one thing that it concerns."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from hubkit.hub_errors import explain
from hubkit.hub_patience import TRIES, be_patient
from hubkit.lineage.graph import Node, newer_exists
from hubkit.lineage.records import RECORDS, Kind, Use, facts, measured, uses
from hubkit.publishing.cards import TOKENIZER_TAG
from hubkit.publishing.versions import Version

if TYPE_CHECKING:
    from huggingface_hub import GitRefs, HfApi

LISTED = 100
"""Users of a repository that are looked at, of each type, the newest first."""
SECONDS = 20.0
"""How long one answer may take; a question is asked twice."""
_LARGEST_RECORD = 32 << 20

_USERS: dict[str, tuple[tuple[Kind, str, str], ...]] = {
    "dataset": (
        ("model", "filter", "dataset:{}"), ("dataset", "filter", "source_datasets:{}"), ("space", "datasets", "{}"),
    ),
    "model": (
        ("model", "filter", "base_model:{}"), ("space", "models", "{}"),
        ("model", "filter", f"{TOKENIZER_TAG}{{}}"), ("dataset", "filter", f"{TOKENIZER_TAG}{{}}"),
    ),
}  # fmt: skip
"""What the Hub can be asked for of the users of a repository: their type, the parameter, and its value.

A tokenizer's repository is one of a model; its users carry a plain tag, which hubkit gives them.
"""


class Asking:
    """A Hub to ask. Safe to use from several threads."""

    def __init__(self, api: "HfApi"):
        be_patient()
        self._api = api
        self._refs: Callable[[str, str], GitRefs] = lru_cache(maxsize=None)(self._ask_refs)

    def node(self, use: Use) -> Node:
        """Return the repository that a use names, as the Hub shows it; where it doesn't, why.

        Everything that can go wrong outside is caught: it becomes the node's `unreachable`.
        """
        try:
            return self.find(use)
        except Exception as error:  # whatever the client raises, it concerns this one
            return Node(use.kind, use.name, use.revision, unreachable=reason(error, use.name))

    def find(self, use: Use) -> Node:
        """Return what a use of a repository names.

        Raises:
            HfHubHTTPError: The Hub has none of that name or revision, or won't say.
            httpx.HTTPError: It did not answer.
        """
        at = "" if use.revision is None else f"/revision/{quote(use.revision, safe='')}"
        return self._found(use.kind, self._get(f"{use.kind}s/{use.name}{at}", {}), use.name)

    def users(self, node: Node) -> tuple[list[Node], list[str]]:
        """Return what names a repository in its card, each at its newest commit, and remarks on what is left out."""
        found, remarks = [], []
        for kind, parameter, value in _USERS.get(node.kind, ()):
            try:
                listed = self._get(f"{kind}s", {parameter: value.format(node.name), "limit": str(LISTED), **_FULL})
            except Exception as error:  # as above
                remarks.append(f"the {kind}s that use {node.name} are not known: {reason(error, node.name)}")
                continue
            if len(listed) == LISTED:
                remarks.append(f"more {kind}s may use {node.name}: only the {LISTED} newest were looked at")
            found += [self._listed(kind, info) for info in listed if isinstance(info.get("id"), str)]
        return found, remarks

    def _listed(self, kind: Kind, info: Mapping[str, Any]) -> Node:
        try:
            return self._found(kind, info, info["id"])
        except Exception as error:  # as above
            return Node(kind, info["id"], info.get("sha"), unreachable=reason(error, info["id"]))

    def _found(self, kind: Kind, info: Mapping[str, Any], asked: str) -> Node:
        """Return the node of an answer: with its release, its date, and what it was made of.

        Args:
            kind: Type of the repository.
            info: The answer.
            asked: The name that was asked for.
        """
        name, commit, card = info["id"], info["sha"], info.get("cardData")
        there = {str(entry.get("rfilename")) for entry in info.get("siblings") or () if isinstance(entry, dict)}
        node = Node(
            kind, name, commit, moved_from=asked if asked != name else None, gated=bool(info.get("gated")),
            private=bool(info.get("private")), uses=uses(kind, card, {}),
        )  # fmt: skip
        node = self._released(node, str(info.get("lastModified") or "")[:10])
        try:
            records = {file: self._record(node, file) for file in RECORDS[kind] if file in there}
        except _gated_error():
            return node
        return replace(
            node, facts=facts(kind, records), uses=uses(kind, card, records),
            measured=measured(card, records) if kind == "model" else (),
        )  # fmt: skip

    def _released(self, node: Node, modified: str) -> Node:
        """Return a node with its tag, the repository's newest release and the commit's date.

        Args:
            node: At a commit.
            modified: Date of the newest commit.
        """
        refs = self._refs(node.kind, node.name)
        tags = sorted((_rank(tag.name), tag.name) for tag in refs.tags if tag.target_commit == node.revision)
        versions = {Version.of_tag(tag.name): tag for tag in refs.tags if Version.of_tag(tag.name)}
        newest = versions[max(versions)] if versions else None  # type: ignore[type-var]
        release = tags[-1][1] if tags else None
        is_head = any(branch.target_commit == node.revision for branch in refs.branches if branch.name == "main")
        behind = newer_exists(release, newest.name if newest else None)
        if newest and not tags and not is_head:
            behind = node.revision in self._history(node, newest.target_commit)
        date = modified if is_head else self._date(node)
        return replace(node, release=release, newest=newest.name if newest else None, behind=behind, date=date or None)

    def _date(self, node: Node) -> str:
        """Return when a commit was made, from the first page of its history."""
        commits = self._get(f"{node.kind}s/{node.name}/commits/{node.revision}", {"limit": "1"})
        return str(commits[0].get("date") or "")[:10] if commits else ""

    def _history(self, node: Node, commit: str) -> set[str]:
        """Return all commits that led to one."""
        commits = self._api.list_repo_commits(node.name, repo_type=node.kind, revision=commit)
        return {entry.commit_id for entry in commits}

    def _ask_refs(self, kind: str, name: str) -> "GitRefs":
        return self._api.list_repo_refs(name, repo_type=kind)

    def _record(self, node: Node, file: str) -> Any:
        """Return the content of a JSON file; None where it is no JSON, or none that a person would write."""
        from huggingface_hub import hf_hub_url

        url = hf_hub_url(
            node.name, file, repo_type=node.kind, revision=node.revision, endpoint=self._api.endpoint
        )  # fmt: skip
        response = self._send(url, {}, {"Accept-Encoding": "identity", "Range": f"bytes=0-{_LARGEST_RECORD - 1}"})
        if response.status_code == 416:  # the file is empty
            return None
        _check(response)
        try:
            return json.loads(response.content)
        except (ValueError, RecursionError):
            return None

    def _get(self, path: str, parameters: Mapping[str, str]) -> Any:
        response = self._send(f"{self._api.endpoint}/api/{path}", parameters, {})
        _check(response)
        return response.json()

    def _send(self, url: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> Any:
        from huggingface_hub.utils import build_hf_headers, http_backoff

        everything = {**build_hf_headers(token=self._api.token), **headers}
        return http_backoff(
            "GET", url, params=dict(parameters), headers=everything, max_retries=0, timeout=SECONDS,
            follow_redirects=True, extensions={TRIES: 2},
        )  # fmt: skip


_FULL = {"full": "true", "cardData": "true"}


def _check(response: Any) -> None:
    from huggingface_hub.utils import hf_raise_for_status

    hf_raise_for_status(response)


def _gated_error() -> type[Exception]:
    from huggingface_hub.errors import GatedRepoError

    return GatedRepoError


def reason(error: Exception, name: str) -> str:
    """Return why something could not be had, on one line, without tokens."""
    if isinstance(error, (KeyError, TypeError, AttributeError)):
        return f"the Hub's answer about {name} has another form than expected"
    return str(explain(error, name))


def _rank(tag: str) -> Version | Any:
    """Return by what tags of one commit are sorted: versions above all others."""
    version = Version.of_tag(tag)
    return (version is not None, (version.major, version.minor, version.patch) if version else (), tag)
