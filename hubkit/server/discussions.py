"""Discussions and pull requests of a repository: a list beside its content, and a branch `refs/pr/N` for each request.

A pull request begins as a draft at the tip of the default branch. Merging makes one commit on top of that branch, which
holds what the two have become together; where both changed the same file, it is refused.
"""

from __future__ import annotations

import json
import secrets
import time
from pathlib import Path
from typing import Any, Literal

import pygit2

from hubkit.server import refs
from hubkit.server.errors import ApiError, bad_request
from hubkit.server.files import write_json
from hubkit.server.gitobjects import LooseWriter, commit_data
from hubkit.server.store import Repo

Item = dict[str, Any]

MAX_TITLE = 200
MAX_TEXT = 65536
MAX_DIFF_BYTES = 1 << 20

_OPEN = ("open", "draft")


class Discussions:
    """All discussions of a repository. Whoever changes them holds the repository's lock.

    Args:
        repo: The repository.
    """

    def __init__(self, repo: Repo) -> None:
        self._repo = repo
        self._file: Path = repo.path / "discussions.json"
        try:
            self.items: list[Item] = json.loads(self._file.read_bytes())
        except FileNotFoundError:
            self.items = []

    def get(self, number: str) -> Item:
        """Finds a discussion.

        Raises:
            ApiError: 404 when there is none of that number.
        """
        found = next((item for item in self.items if str(item["num"]) == number), None)
        if found is None:
            raise ApiError(404, f"There is no discussion {number}")
        return found

    def of_ref(self, ref: str) -> Item:
        """Finds the pull request that a ref belongs to, and makes sure that it still takes commits.

        Raises:
            ApiError: 404 when there is none, 403 when it is closed or merged.
        """
        item = self.get(ref.removeprefix(refs.PULLS))
        if item["status"] not in _OPEN:
            raise ApiError(403, f"The pull request {item['num']} is {item['status']}: open another one")
        return item

    def create(self, author: str, title: str, text: str, pull_request: bool) -> Item:
        """Begins a discussion, or a pull request whose branch starts at the tip of the default one."""
        number = max((item["num"] for item in self.items), default=0) + 1
        item: Item = {
            "num": number,
            "title": title,
            "author": author,
            "createdAt": refs.iso_date(time.time()),
            "status": "draft" if pull_request else "open",
            "isPullRequest": pull_request,
            "mergeCommitId": None,
            "events": [],
        }
        if pull_request:
            base = str(refs.branch_tip(self._repo.git, refs.DEFAULT_BRANCH).id)
            refs.place(self._repo.git, f"{refs.PULLS}{number}", base)
            item["base"] = base
        add_event(item, author, "comment", comment_data(text))
        self.items.append(item)
        self.save()
        return item

    def save(self) -> None:
        """Writes the list down."""
        write_json(self._file, self.items)

    def merge(self, item: Item, author: str) -> None:
        """Brings a pull request into the default branch.

        Raises:
            ApiError: 400 for what is no open pull request, 409 where both sides changed the same file.
        """
        if not item["isPullRequest"] or item["status"] != "open":
            state = item["status"] if item["isPullRequest"] else "a discussion"
            raise bad_request(f"{item['num']} is {state}: only an open pull request can be merged")
        git = self._repo.git
        tip, head = refs.branch_tip(git, refs.DEFAULT_BRANCH), refs.branch_tip(git, f"{refs.PULLS}{item['num']}")
        tree = _merged_tree(git, tip, head)
        message = f"{item['title']} (#{item['num']})"
        new = LooseWriter(git).add("commit", commit_data(tree, [str(tip.id)], author, message))
        refs.move_branch(git, refs.DEFAULT_BRANCH, str(tip.id), new)
        item["mergeCommitId"] = new
        self.set_status(item, author, "merged")

    def set_status(self, item: Item, author: str, status: Literal["open", "closed", "merged"]) -> Item:
        """Opens, closes or ends a discussion, and returns the event."""
        item["status"] = status
        event = add_event(item, author, "status-change", {"status": status})
        self.save()
        return event

    def conflicts(self, item: Item) -> bool:
        """Tells whether a pull request can't be merged as it is."""
        git = self._repo.git
        try:
            tip, head = refs.branch_tip(git, refs.DEFAULT_BRANCH), refs.branch_tip(git, f"{refs.PULLS}{item['num']}")
            _merged_tree(git, tip, head)
        except ApiError:
            return True
        return False

    def diff(self, item: Item) -> str:
        """What a pull request changes, as git shows it."""
        git = self._repo.git
        head = refs.branch_tip(git, f"{refs.PULLS}{item['num']}")
        patch = git.diff(item["base"], str(head.id)).patch or ""
        return patch if len(patch) <= MAX_DIFF_BYTES else patch[:MAX_DIFF_BYTES] + "\n[cut]\n"


def add_event(item: Item, author: str, kind: str, data: dict[str, Any]) -> Item:
    """Notes that something happened in a discussion, and returns the event as clients read it."""
    event = {
        "id": secrets.token_hex(12),
        "type": kind,
        "createdAt": refs.iso_date(time.time()),
        "author": {"name": author},
        "data": data,
    }
    item["events"].append(event)
    return event


def comment_data(text: str) -> dict[str, Any]:
    """What the event of a comment carries."""
    return {"edited": False, "hidden": False, "latest": {"raw": text}}


def check_text(value: object, field: str, longest: int, shortest: int = 1) -> str:
    """Returns a text that somebody sent, when it is allowed.

    Raises:
        ApiError: 400 that names the field.
    """
    if not isinstance(value, str) or not shortest <= len(value.strip()) <= longest:
        raise bad_request(f"'{field}' must be a text of {shortest} to {longest} characters")
    return value.strip()


def _merged_tree(git: pygit2.Repository, tip: pygit2.Commit, head: pygit2.Commit) -> str:
    """The tree in which two histories meet."""
    base = git.merge_base(tip.id, head.id)
    if base == tip.id:
        return str(head.tree.id)
    ancestor = git[base] if base is not None else None
    if not isinstance(ancestor, pygit2.Commit):
        raise ApiError(409, "The pull request has no history in common with the default branch")
    index = git.merge_trees(ancestor.tree, tip.tree, head.tree)
    if index.conflicts:
        paths = sorted({str(entry.path) for sides in index.conflicts for entry in sides if entry is not None})
        raise ApiError(409, f"The default branch changed the same files since: {', '.join(paths[:3])}")
    return str(index.write_tree(git))
