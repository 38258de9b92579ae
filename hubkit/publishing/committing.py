"""Sends what a plan changes: as one commit, or, above the Hub's limits and for other people's repositories, by way of a
pull request that several commits gather in.

A pull request of ours is known by its title, which ends in a mark made of the plan. Whoever runs an interrupted command
again finds it, and sends what is missing; one that was made for another plan is closed.
"""

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubkit.errors import UserError
from hubkit.hub_errors import AGAIN, moved_on
from hubkit.publishing.hub import RemoteFile, Repository
from hubkit.publishing.plans import Action, Plan, PlannedFile
from hubkit.publishing.progress import Progress
from hubkit.publishing.rendering import count, size
from hubkit.publishing.sources import OURS, Content, Stored

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

    Operation = CommitOperationAdd | CommitOperationCopy | CommitOperationDelete

COMMIT_FILES = 1000
"""Files that one commit may change; the Hub's own client never sends more at once."""

COMMIT_BYTES = 50 * 10**9
"""Bytes that one commit may bring."""

_MARK = re.compile(r" \[hubkit [0-9a-f]{12}\]$")


@dataclass(frozen=True)
class PullRequest:
    """A pull request of ours."""

    number: int
    head: str
    """Its newest commit."""
    url: str


def is_large(plan: Plan) -> bool:
    """Tell whether a plan changes more than one commit can."""
    return len(batches(plan.changes)) > 1


def operations_of(plan: Plan) -> "dict[str, Operation]":
    """Return what each change asks of the Hub, by path, after a look whether each file is still what was planned.

    Raises:
        UserError: One is not.
    """
    return {file.path: _operation(file) for file in plan.changes}


def _operation(file: PlannedFile) -> "Operation":
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

    if file.action is Action.DELETE:
        return CommitOperationDelete(file.path, is_folder=False)
    if isinstance(file.source, Stored):
        return CommitOperationCopy(file.source.path, file.path, src_revision=file.source.commit)
    assert file.source is not None
    try:
        operation = CommitOperationAdd(file.path, file.source)
        found = operation.upload_info.sha256.hex()
    except (ValueError, FileNotFoundError):
        found = "gone"
    if found != file.sha256:
        raise UserError(f"{file.path} has changed since the plan was made: {AGAIN}")
    return operation


def commit_at_once(
    repository: Repository, plan: Plan, operations: "dict[str, Operation]", parent: str, progress: Progress
) -> str:
    """Send all changes as one commit on top of the main branch, and return it."""
    progress(f"sending {count(len(_sent(plan)), 'file')} ({size(plan.upload_bytes)})")
    info = repository.api.create_commit(
        plan.repo,
        list(operations.values()),
        commit_message=plan.message,
        commit_description=plan.why,
        repo_type=plan.repo_type,
        parent_commit=parent,
    )
    return info.oid


def gather(
    repository: Repository, plan: Plan, operations: "dict[str, Operation]", parent: str, progress: Progress
) -> PullRequest:
    """Bring all changes into a pull request: a new one, or the one that an interrupted run has begun.

    Args:
        repository: Where to.
        plan: What to send.
        operations: From :func:`operations_of`.
        parent: Head of the main branch, on which the plan was made.
        progress: Hears of each commit.
    """
    title = f"{plan.message} [hubkit {_mark(plan, parent)}]"
    number = _ours(repository, title)
    if number is None:
        opened = repository.api.create_pull_request(plan.repo, title, description=plan.why, repo_type=plan.repo_type)
        number = opened.num
    ref = f"refs/pr/{number}"
    head = repository.commit(ref)
    there = repository.files(head)
    parts = batches([file for file in plan.changes if not _is_done(file, there.get(file.path))])
    for index, batch in enumerate(parts, start=1):
        sent = [file for file in batch if file.action is Action.ADD]
        which = f"part {index} of {len(parts)}: " if len(parts) > 1 else ""
        progress(f"sending {which}{count(len(sent), 'file')} ({size(sum(file.size for file in sent))})")
        info = repository.api.create_commit(
            plan.repo,
            [operations[file.path] for file in batch],
            commit_message=f"{plan.message}, {which.rstrip(': ')}" if which else plan.message,
            repo_type=plan.repo_type,
            revision=ref,
            parent_commit=head,
        )
        head = info.oid
    return PullRequest(number, head, repository.discussion_url(number))


def check_parent(repository: Repository, plan: Plan, parent: str) -> None:
    """See that a pull request of ours has the main branch under it on which the plan was made.

    On a later one it would take back what people wrote since into files that the plan replaces.

    Raises:
        Moved: The main branch has moved on.
    """
    if repository.commit("main") != parent:
        raise moved_on(plan.repo)


def merge(repository: Repository, plan: Plan, request: PullRequest, parent: str) -> str:
    """Merge a verified pull request and return the commit that the main branch then has.

    Raises:
        Moved: The main branch has moved on since the plan was made.
    """
    check_parent(repository, plan, parent)
    open_for_merge(repository, plan, request)
    repository.api.merge_pull_request(plan.repo, request.number, repo_type=plan.repo_type)
    return repository.commit("main")


def open_for_merge(repository: Repository, plan: Plan, request: PullRequest) -> None:
    """Turn a draft into a pull request that can be merged."""
    details = repository.api.get_discussion_details(plan.repo, request.number, repo_type=plan.repo_type)
    if details.status == "draft":
        repository.api.change_discussion_status(plan.repo, request.number, "open", repo_type=plan.repo_type)


def close_others(repository: Repository, keep: PullRequest | None = None) -> None:
    """Close the pull requests that runs of ours began and another plan has replaced."""
    for number, _ in _begun(repository):
        if keep is None or number != keep.number:
            repository.api.change_discussion_status(
                repository.name,
                number,
                "closed",
                repo_type=repository.repo_type,
                comment="Replaced by another release.",
            )


def _ours(repository: Repository, title: str) -> int | None:
    """Return the open pull request of that title, which somebody of our name made."""
    return next((number for number, found in _begun(repository) if found == title), None)


def _begun(repository: Repository) -> list[tuple[int, str]]:
    """Return number and title of our open pull requests."""
    api = repository.api
    found = api.get_repo_discussions(
        repository.name, repo_type=repository.repo_type, discussion_type="pull_request", author=api.whoami()["name"]
    )
    return [(item.num, item.title) for item in found if item.status in ("draft", "open") and _MARK.search(item.title)]


def _mark(plan: Plan, parent: str) -> str:
    """Return what tells this plan from any other: its parent, and each change."""
    changes = [f"{file.action} {file.path} {file.sha256}" for file in plan.changes]
    return hashlib.sha256("\n".join([parent, *changes]).encode()).hexdigest()[:12]


def _sent(plan: Plan) -> list[PlannedFile]:
    return [file for file in plan.changes if file.action is Action.ADD]


def _is_done(file: PlannedFile, there: RemoteFile | None) -> bool:
    """Tell whether a file of the pull request is as the plan wants it."""
    if file.action is Action.DELETE:
        return there is None
    return there is not None and there.holds(content_of(file))


def content_of(file: PlannedFile) -> Content:
    """Return the bytes that a planned file is to have."""
    assert file.sha256 is not None
    assert file.source is not None
    return Content(file.path, file.source, file.size, file.sha256, file.git_oid)


def batches(files: Sequence[PlannedFile]) -> list[list[PlannedFile]]:
    """Cut changes into what one commit can hold; what says that a release is there comes last."""
    found: list[list[PlannedFile]] = []
    room = 0
    for file in sorted(files, key=lambda file: file.path in OURS):
        weight = file.size if file.action is Action.ADD else 0
        if not found or len(found[-1]) == COMMIT_FILES or weight > room:
            found.append([])
            room = COMMIT_BYTES
        found[-1].append(file)
        room -= weight
    return found
