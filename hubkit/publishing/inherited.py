"""What a model takes over from what it was made of: the licences of its datasets and its base, as their cards say."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hubkit.errors import UserError
from hubkit.publishing import frontmatter
from hubkit.publishing.sources import CARD, RepoFiles, RepoType

UNKNOWN = "unknown"


class Licence(NamedTuple):
    """The licence of a repository at the commit that a model pins."""

    repo_type: RepoType
    repo: str
    licence: str
    """As the Hub spells it; `UNKNOWN` where nothing is stated, or the repository is not found."""

    @property
    def link(self) -> str:
        """Where the repository is on its Hub."""
        return f"/{'datasets/' if self.repo_type == 'dataset' else ''}{self.repo}"


def licences_of(run: Mapping[str, Any], files_of: RepoFiles) -> list[Licence]:
    """Return the licences of all that a model was made of, read from the cards on the Hub.

    Args:
        run: Its `run.json`.
        files_of: Reads what it pins.
    """
    pins: dict[tuple[RepoType, str], str] = {("dataset", entry["repo"]): entry["revision"] for entry in run["datasets"]}
    base = run.get("init_from") or {}
    if "repo" in base:
        pins["model", base["repo"]] = base["revision"]
    return [Licence(kind, repo, _stated(repo, kind, revision, files_of)) for (kind, repo), revision in pins.items()]


def joint_licence(licences: Sequence[Licence]) -> str:
    """Return the licence that all share; `UNKNOWN` where they don't, or it has no name, for then a person must decide.

    Args:
        licences: Of at least one repository.
    """
    stated = {found.licence for found in licences}
    return stated.pop() if len(stated) == 1 and "other" not in stated else UNKNOWN


def _stated(repo: str, kind: RepoType, revision: str, files_of: RepoFiles) -> str:
    try:
        read = files_of(repo, kind, revision).get(CARD)
        text = (read() if read else None) or b""
        licence = frontmatter.parse(frontmatter.split(text.decode("utf-8", "replace"))[1]).get("license")
    except UserError:  # it is gone, not for us to see, or its card is no YAML
        return UNKNOWN
    licences = licence if isinstance(licence, list) else [licence]
    return str(licences[0]) if len(licences) == 1 and licences[0] else UNKNOWN
