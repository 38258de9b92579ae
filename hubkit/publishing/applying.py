"""Executes a plan: one commit, then a look at what the Hub serves, and only then the tag."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import AGAIN, explained
from hubkit.publishing.hub import RemoteFile, Repository
from hubkit.publishing.planning import default_api
from hubkit.publishing.plans import Action, Plan, PlannedFile
from hubkit.publishing.rendering import size
from hubkit.publishing.sources import Content

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd, HfApi

Progress = Callable[[str], None]
"""Called with each step, as it begins."""

# The Hub writes this file itself where it files something by size.
_HUBS_OWN = ".gitattributes"


@dataclass(frozen=True)
class Release:
    """What a publish left on the Hub."""

    repo: str
    kind: str
    version: str
    commit: str
    """The verified commit."""
    tag: str | None
    """The tag that was created at it; None where nothing was released."""
    url: str
    uploaded_bytes: int
    """Bytes of the files that the commit brought; 0 where it was there already."""

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        return dict(vars(self))


def apply(plan: Plan, api: "HfApi | None" = None, progress: Progress = lambda step: None) -> Release:
    """Do what a plan says, exactly.

    An interruption at any moment leaves the last release as it was: until the tag is there, which is the last thing
    to be made, nothing is released. Planning and applying again finishes what was begun.

    Args:
        plan: What to do.
        api: The Hub's client, for the same Hub as the plan's.
        progress: Hears of each step.

    Raises:
        UserError: A file or the repository changed since the plan was made, the Hub refused something or serves
            something else than what was sent.
    """
    with explained(plan.repo):
        repository = Repository(api or default_api(), plan.repo, plan.repo_type)
        if repository.api.endpoint != plan.endpoint:
            raise UserError(f"the plan was made for {plan.endpoint}, not for {repository.api.endpoint}: plan again")
        operations = _additions(plan)
        parent = plan.parent_commit or _create(repository, plan, progress)
        commit = _commit(repository, plan, operations, parent, progress) if plan.changes else parent
        progress(f"verifying {len(plan.files)} files at {commit[:12]}")
        _verify(repository, plan, commit)
        if plan.tag:
            progress(f"tagging {plan.tag}")
            _tag(repository, plan.tag, commit)
    uploaded = plan.upload_bytes if plan.changes else 0
    url = repository.url(plan.tag or commit)
    return Release(plan.repo, plan.kind, plan.version, commit, plan.tag, url, uploaded)


def _additions(plan: Plan) -> "list[CommitOperationAdd]":
    """Return the operations that send files, after a look whether each is still what was planned."""
    from huggingface_hub import CommitOperationAdd

    operations = []
    for file in plan.files:
        if file.action is not Action.ADD:
            continue
        assert file.source is not None
        try:
            operation = CommitOperationAdd(file.path, file.source)
            found = operation.upload_info.sha256.hex()
        except (ValueError, FileNotFoundError):
            found = "gone"
        if found != file.sha256:
            raise UserError(f"{file.path} has changed since the plan was made: {AGAIN}")
        operations.append(operation)
    return operations


def _create(repository: Repository, plan: Plan, progress: Progress) -> str:
    """Create the repository and return its first commit."""
    from huggingface_hub.errors import HfHubHTTPError

    progress(f"creating {plan.repo_type} {plan.repo}")
    sdk = "gradio" if plan.repo_type == "space" else None
    try:
        repository.api.create_repo(plan.repo, repo_type=plan.repo_type, private=plan.private, space_sdk=sdk)
    except HfHubHTTPError as error:
        # Somebody else made it since the plan; what they put there has to be seen first.
        if error.response.status_code == 409:
            raise UserError(f"{plan.repo} was created by somebody since the plan was made: {AGAIN}") from None
        raise
    sha = repository.api.repo_info(plan.repo, repo_type=plan.repo_type).sha
    assert sha is not None
    return sha


def _commit(
    repository: Repository, plan: Plan, additions: "list[CommitOperationAdd]", parent: str, progress: Progress
) -> str:
    """Send all changes as one commit on top of the plan's parent."""
    from huggingface_hub import CommitOperationDelete

    deletions = [CommitOperationDelete(f.path, is_folder=False) for f in plan.files if f.action is Action.DELETE]
    progress(f"sending {len(additions)} files ({size(plan.upload_bytes)})")
    info = repository.api.create_commit(
        plan.repo,
        [*additions, *deletions],
        commit_message=plan.message,
        commit_description=plan.why,
        repo_type=plan.repo_type,
        parent_commit=parent,
    )
    return info.oid


def _verify(repository: Repository, plan: Plan, commit: str) -> None:
    """Compare what the Hub serves at a commit with the plan.

    Raises:
        UserError: A file is missing, has other bytes, or should be gone; nothing was released.
    """
    served = repository.files(commit)
    wrong = [problem for file in plan.files if (problem := difference(file, served.get(file.path)))]
    for file in plan.kept:
        there = served.get(file.path)
        if file.path != _HUBS_OWN and (there is None or there.git_oid != file.git_oid):
            wrong.append(f"{file.path} was to stay as it is, and did not")
    if wrong:
        more = f" (and {len(wrong) - 3} more)" if len(wrong) > 3 else ""
        raise UserError(
            f"{plan.repo} at {commit[:12]} is not what was sent, so nothing was released: {'; '.join(wrong[:3])}{more}"
        )


def difference(file: PlannedFile, there: RemoteFile | None) -> str | None:
    """Return what is wrong with a planned file on the Hub, or None.

    Args:
        file: What was planned.
        there: What the Hub serves under that path, if anything.
    """
    if file.action is Action.DELETE:
        return None if there is None else f"{file.path} is still there"
    if there is None:
        return f"{file.path} is missing (does the repository's .gitignore name it?)"
    assert file.sha256 is not None and file.source is not None
    content = Content(file.path, file.source, file.size, file.sha256, file.git_oid)
    return None if there.holds(content) else f"{file.path} has other bytes"


def _tag(repository: Repository, tag: str, commit: str) -> None:
    """Create the tag, and see that it points at the commit: somebody else may have been faster."""
    from huggingface_hub.errors import HfHubHTTPError

    try:
        repository.api.create_tag(repository.name, tag=tag, revision=commit, repo_type=repository.repo_type)
    except HfHubHTTPError as error:
        if error.response.status_code != 409:
            raise
    found = repository.commit_of(tag)
    if found != commit:
        state = f"points at {found[:12]}, not at {commit[:12]}" if found else "could not be made"
        raise UserError(f"the tag {tag} of {repository.name} {state}: {AGAIN}")
