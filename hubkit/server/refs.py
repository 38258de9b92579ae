"""Branches, tags and history: resolve a revision, move a branch, list commits."""

from __future__ import annotations

import contextlib
import datetime
import html
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Any

import pygit2
from pygit2.enums import SortMode

from hubkit.server.errors import ApiError, revision_not_found
from hubkit.server.gitobjects import LooseWriter, tag_data
from hubkit.server.paths import check_ref_name, check_revision, is_commit_id

DEFAULT_BRANCH = "main"
PULLS = "refs/pr/"
_HEADS, _TAGS = "refs/heads/", "refs/tags/"


def resolve(git: pygit2.Repository, revision: str) -> pygit2.Commit:
    """Finds the commit that a revision means: a full commit id, a branch, a tag, a full ref name (of a pull
    request too) or a short commit id.

    Raises:
        ApiError: 404 RevisionNotFound.
    """
    check_revision(revision)
    if is_commit_id(revision):
        commit = git.get(revision)
        if isinstance(commit, pygit2.Commit):
            return commit
        raise revision_not_found(revision)
    names = [_HEADS + revision, _TAGS + revision]
    if revision.startswith((_HEADS, _TAGS, PULLS)):
        names = [revision]
    for name in names:
        commit = _target(git, name)
        if commit is not None:
            return commit
    if 7 <= len(revision) < 40 and not set(revision) - set("0123456789abcdef"):
        commit = _by_prefix(git, revision)
        if commit is not None:
            return commit
    raise revision_not_found(revision)


def _by_prefix(git: pygit2.Repository, prefix: str) -> pygit2.Commit | None:
    try:
        found = git.get(prefix)
    except ValueError:  # ambiguous
        return None
    return found if isinstance(found, pygit2.Commit) else None


def _target(git: pygit2.Repository, ref: str) -> pygit2.Commit | None:
    try:
        return git.lookup_reference(ref).peel(pygit2.Commit)
    except (KeyError, pygit2.InvalidSpecError, pygit2.GitError):
        return None


def branch_tip(git: pygit2.Repository, branch: str) -> pygit2.Commit:
    """The commit at the tip of a branch, or of a pull request.

    Raises:
        ApiError: 404 when there is nothing of that name, 400 when it is a tag or a commit.
    """
    commit = _target(git, _full_name(check_revision(branch)))
    if commit is None:
        resolve(git, branch)
        raise ApiError(400, f"{branch!r} is not a branch: commits need one")
    return commit


def _full_name(branch: str) -> str:
    return branch if branch.startswith(PULLS) else _HEADS + branch.removeprefix(_HEADS)


def place(git: pygit2.Repository, ref: str, commit: str) -> None:
    """Makes a ref at a commit, or moves one there that a killed process left behind. The caller holds the lock."""
    _clear_stale_locks(git, ref)
    git.references.create(ref, commit, force=True)


def move_branch(git: pygit2.Repository, branch: str, expected: str, new: str) -> None:
    """Moves a branch from the commit that it is expected at. The caller holds the repository's lock.

    Raises:
        ApiError: 412 when it is elsewhere.
    """
    name = _full_name(branch)
    _clear_stale_locks(git, name)
    reference = git.lookup_reference(name)
    if str(reference.target) != expected:
        raise stale_parent()
    try:
        # libgit2 compares once more with what this reference object was read as.
        reference.set_target(pygit2.Oid(hex=new))
    except pygit2.GitError as error:
        if "modified" in str(error) or "changed" in str(error):
            raise stale_parent() from None
        raise


def stale_parent() -> ApiError:
    """The answer to a commit whose parent is no longer the tip of the branch."""
    return ApiError(412, "A commit has happened since. Please refresh and try again.")


def _clear_stale_locks(git: pygit2.Repository, ref: str) -> None:
    # A process that was killed while it moved a ref leaves git's own lock file behind. Whoever calls this holds the
    # repository's lock, so no such file can belong to anybody who is still at work.
    folder = Path(git.path)
    for name in (ref, "packed-refs", "HEAD"):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            (folder / f"{name}.lock").unlink()


def create_branch(git: pygit2.Repository, name: object, start: str) -> None:
    """Makes a branch at a revision.

    Raises:
        ApiError: 409 when it exists, 404 when the start does not.
    """
    branch = check_ref_name(name)
    _create_ref(git, _HEADS + branch, str(resolve(git, start).id), f"The branch {branch!r} exists already")


def create_tag(git: pygit2.Repository, name: object, revision: str, author: str, message: str | None) -> None:
    """Makes a tag at a revision: an annotated one if there is a message.

    Raises:
        ApiError: 409 when it exists, 404 when the revision does not.
    """
    tag = check_ref_name(name)
    target = str(resolve(git, revision).id)
    if message:
        target = LooseWriter(git).add("tag", tag_data(target, tag, author, message.replace("\0", "")))
    _create_ref(git, _TAGS + tag, target, f"The tag {tag!r} exists already")


def _create_ref(git: pygit2.Repository, ref: str, target: str, exists: str) -> None:
    for other in git.references:
        if other == ref:
            raise ApiError(409, exists)
        if other.startswith(f"{ref}/") or ref.startswith(f"{other}/"):
            raise ApiError(409, f"{ref!r} collides with {other!r}: a name cannot be a folder of names too")
    _clear_stale_locks(git, ref)
    git.references.create(ref, target)


def delete_branch(git: pygit2.Repository, name: str) -> None:
    """Removes a branch.

    Raises:
        ApiError: 404 when there is none, 403 for the default branch.
    """
    if name == DEFAULT_BRANCH:
        raise ApiError(403, f"The branch {DEFAULT_BRANCH!r} cannot be deleted")
    _delete_ref(git, _HEADS, name)


def delete_tag(git: pygit2.Repository, name: str) -> None:
    """Removes a tag.

    Raises:
        ApiError: 404 when there is none.
    """
    _delete_ref(git, _TAGS, name)


def _delete_ref(git: pygit2.Repository, prefix: str, name: str) -> None:
    check_revision(name)
    if _target(git, prefix + name) is None:
        raise revision_not_found(name)
    _clear_stale_locks(git, prefix + name)
    git.references.delete(prefix + name)


def listing(git: pygit2.Repository) -> dict[str, list[dict[str, str]]]:
    """All branches (the default one first), tags and pull requests, with the commits that they mean."""
    found: dict[str, list[dict[str, str]]] = {"branches": [], "converts": [], "tags": [], "pullRequests": []}
    for ref in sorted(git.references):
        for prefix, kind in ((_HEADS, "branches"), (_TAGS, "tags"), (PULLS, "pullRequests")):
            commit = _target(git, ref) if ref.startswith(prefix) else None
            if commit is not None:
                name = ref if prefix == PULLS else ref.removeprefix(prefix)
                found[kind].append({"name": name, "ref": ref, "targetCommit": str(commit.id)})
    found["branches"].sort(key=lambda branch: branch["name"] != DEFAULT_BRANCH)
    return found


def iso_date(timestamp: float) -> str:
    """A time as the Hub writes it."""
    moment = datetime.datetime.fromtimestamp(timestamp, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def history(git: pygit2.Repository, start: pygit2.Commit, skip: int, count: int) -> list[pygit2.Commit]:
    """Some commits of a history, newest first."""
    return list(islice(git.walk(start.id, SortMode.TOPOLOGICAL), skip, skip + count))


def describe_commit(commit: pygit2.Commit, formatted: bool) -> dict[str, Any]:
    """A commit as the commits endpoint shows it."""
    title, _, message = commit.message.partition("\n")
    shown: dict[str, Any] = {
        "id": str(commit.id),
        "title": title,
        "message": message.strip("\n"),
        "authors": [{"user": commit.author.name}],
        "date": iso_date(commit.commit_time),
    }
    if formatted:
        shown["formatted"] = {"title": html.escape(title), "message": html.escape(shown["message"])}
    return shown


def last_commits(git: pygit2.Repository, start: pygit2.Commit, paths: Iterable[str]) -> dict[str, dict[str, str]]:
    """For each path of a commit, the last commit that changed it."""
    waiting = {path: _entry_id(start.tree, path) for path in paths}
    found: dict[str, dict[str, str]] = {}
    commit = start
    while waiting:
        parent = commit.parents[0] if commit.parents else None
        for path, oid in list(waiting.items()):
            if parent is None or _entry_id(parent.tree, path) != oid:
                title = commit.message.partition("\n")[0]
                found[path] = {"id": str(commit.id), "title": title, "date": iso_date(commit.commit_time)}
                del waiting[path]
        if parent is None:
            break
        commit = parent
    return found


def _entry_id(tree: pygit2.Tree, path: str) -> pygit2.Oid | None:
    try:
        return tree[path].id
    except KeyError:
        return None
