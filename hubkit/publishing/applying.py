"""Executes a plan: commit, then a look at what the Hub serves and whether it loads, and only then the tag."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import Moved, explain, explained
from hubkit.hub_patience import hub_api
from hubkit.publishing import committing
from hubkit.publishing.hub import RemoteFile, Repository
from hubkit.publishing.loading import check_loads
from hubkit.publishing.plans import Action, Plan, PlannedFile
from hubkit.publishing.progress import Progress

if TYPE_CHECKING:
    from huggingface_hub import HfApi

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
    pull_request: str | None = None
    """Address of the pull request that waits for its merge."""

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
        Moved: The repository changed since the plan was made; :func:`hubkit.publishing.publish` then plans again.
        UserError: A file changed since the plan was made, the Hub refused something or serves something else than what
            was sent, or what it serves can't be loaded.
    """
    with explained(plan.repo):
        repository = Repository(api or hub_api(), plan.repo, plan.repo_type)
        if repository.api.endpoint != plan.endpoint:
            raise UserError(f"the plan was made for {plan.endpoint}, not for {repository.api.endpoint}: plan again")
        uploaded = plan.upload_bytes if plan.changes else 0
        for conflict in plan.conflicts:
            progress(conflict)
        if plan.pull_request and plan.changes:
            request = _proposed(repository, plan, progress)
            url = request.url
            return Release(plan.repo, plan.kind, plan.version, request.head, None, url, uploaded, url)
        commit = _committed(repository, plan, progress)
        if plan.tag and not plan.pull_request:
            progress(f"tagging {plan.tag}")
            _tag(repository, plan.tag, commit)
    tag = None if plan.pull_request else plan.tag
    return Release(plan.repo, plan.kind, plan.version, commit, tag, repository.url(tag or commit), uploaded)


def _committed(repository: Repository, plan: Plan, progress: Progress) -> str:
    """Bring the main branch to what the plan says, and return its verified commit."""
    from huggingface_hub.errors import HfHubHTTPError

    operations = committing.operations_of(plan)
    parent = plan.parent_commit or _create(repository, plan, progress)
    if not plan.changes:
        _check(repository, plan, parent, progress)
        return parent
    try:
        if not committing.is_large(plan):
            commit = committing.commit_at_once(repository, plan, operations, parent, progress)
            _check(repository, plan, commit, progress)
            return commit
        request = committing.gather(repository, plan, operations, parent, progress)
        committing.close_others(repository, request)
        _check(repository, plan, request.head, progress, alone=True)
        progress(f"merging {request.url}")
        commit = committing.merge(repository, plan, request, parent)
    except HfHubHTTPError as error:
        if error.response.status_code != 403:
            raise
        said = explain(error, plan.repo)
        raise UserError(f"{said}; or add --create-pr, which proposes the release to that owner") from None
    _verify(repository, plan, commit)
    return commit


def _proposed(repository: Repository, plan: Plan, progress: Progress) -> committing.PullRequest:
    """Open a pull request with what the plan says, and return it, verified."""
    assert plan.parent_commit is not None, "there is no pull request to a repository that does not exist"
    operations = committing.operations_of(plan)
    request = committing.gather(repository, plan, operations, plan.parent_commit, progress)
    committing.check_parent(repository, plan, plan.parent_commit)
    committing.close_others(repository, request)
    _check(repository, plan, request.head, progress, alone=True)
    committing.open_for_merge(repository, plan, request)
    return request


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
            raise Moved(f"{plan.repo} was created by somebody since the plan was made") from None
        raise
    sha = repository.api.repo_info(plan.repo, repo_type=plan.repo_type).sha
    assert sha is not None
    return sha


def _check(repository: Repository, plan: Plan, commit: str, progress: Progress, alone: bool = False) -> None:
    """Compare what the Hub serves at a commit with the plan, and see whether it loads.

    Args:
        repository: Where it is.
        plan: What should be there.
        commit: Of the main branch, or of a pull request.
        progress: Hears of it.
        alone: Nothing else may be there: whoever can write to a pull request could have put something into it.

    Raises:
        UserError: It differs, or can't be loaded; nothing was released.
    """
    progress(f"verifying {len(plan.files)} files at {commit[:12]}")
    _verify(repository, plan, commit, alone)
    if plan.tag:
        progress(f"loading {plan.repo} at {commit[:12]}")
        check_loads(repository, commit)


def _verify(repository: Repository, plan: Plan, commit: str, alone: bool = False) -> None:
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
    if alone:
        known = {_HUBS_OWN, *(file.path for file in plan.files), *(file.path for file in plan.kept)}
        wrong += [f"{path} is none of the plan's files" for path in served if path not in known]
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
    return None if there.holds(committing.content_of(file)) else f"{file.path} has other bytes"


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
        raise Moved(f"the tag {tag} of {repository.name} {state}")
