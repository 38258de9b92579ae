"""Makes the plan: compares a folder with its repository and computes version, card and changelog. Changes nothing."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.publishing import changelog
from hubkit.publishing.folders import open_folder
from hubkit.publishing.frontmatter import on_record
from hubkit.publishing.hub import RemoteFile, Repository, State, check_name
from hubkit.publishing.merging import merge_card
from hubkit.publishing.plans import Action, KeptFile, Plan, PlannedFile
from hubkit.publishing.releases import PastRelease, fields_written, files_brought_by, past_release, release_list
from hubkit.publishing.sources import (
    CARD,
    CHANGELOG,
    OURS,
    RELEASE,
    CardFacts,
    Content,
    RepoType,
    Source,
    check_inside,
    contains_token,
    content_of_bytes,
)
from hubkit.publishing.versions import UNCHANGED, Change, Level, Version

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class _Situation:
    """What the plan depends on: the folder, the repository as it is, and what lies between them."""

    source: Source
    contents: list[Content]
    repository: Repository
    state: State | None
    last: PastRelease | None
    change: Change

    @property
    def version(self) -> Version:
        """The version that the repository will have."""
        return self.change.after(self.last.version if self.last else None)

    def read(self, path: str) -> bytes | None:
        """Return a file of the main branch, or None."""
        there = self.state is not None and path in self.state.files
        return self.repository.read(path, self.state.head) if self.state and there else None


def plan(folder: Path, repo: str, *, private: bool = False, api: "HfApi | None" = None) -> Plan:
    """Work out what publishing a folder would do.

    Args:
        folder: A corpus, model or Space.
        repo: ``OWNER/NAME``; its type follows from the folder.
        private: Create the repository as a private one.
        api: The Hub's client; by default one that takes endpoint and token from the environment.

    Returns:
        The plan, for :func:`hubkit.publishing.apply`.

    Raises:
        UserError: The folder is not complete, the repository is not suitable, or the Hub can't be asked.
    """
    check_name(repo)
    source = open_folder(Path(folder))
    contents = source.files()
    with explained(repo):
        repository = Repository(api or default_api(), repo, source.repo_type)
        state = repository.state()
        _check_target(repository, source, state, private)
        last = past_release(repository, source, state)
        situation = _Situation(source, contents, repository, state, last, _change(source, contents, last))
        facts = source.card(repo, situation.version, partial(_pinned_files, repository.api))
        before, after = _card(situation, facts)
        new = [*contents, *_lists(situation, facts), content_of_bytes(CARD, after)]
        planned = _planned(new, state.files if state else {}, _owned(situation))
    return _assembled(situation, private, planned, _diff(before, after))


def default_api() -> "HfApi":
    """Return a client for the Hub of HF_ENDPOINT, with the token of HF_TOKEN or of `hf auth login`."""
    from huggingface_hub import HfApi

    from hubkit import __version__

    return HfApi(library_name="hubkit", library_version=__version__)


def _check_target(repository: Repository, source: Source, state: State | None, private: bool) -> None:
    """Refuse a repository that the user can't have meant."""
    if state is None:
        others = repository.other_types()
        if others:
            raise UserError(
                f"{repository.name} is a {others[0]} on this Hub, and a {source.kind} is published as a "
                f"{source.repo_type}: choose another name"
            )
    elif private and not state.private:
        raise UserError(
            f"{repository.name} exists and is public, and --private was asked for: make it private in its settings, "
            "or publish without --private"
        )


def _change(source: Source, contents: list[Content], last: PastRelease | None) -> Change:
    """Compare the folder with the last release."""
    if last is None:
        return Change(Level.FIRST, "the first release")
    new = {content.path for content in contents}
    changed = [c.path for c in contents if c.path not in last.files or not last.files[c.path].holds(c)]
    changed += [path for path in last.owned if path in last.files and path not in new]
    if not changed:
        return UNCHANGED
    if last.manifest is None:
        return Change(Level.MAJOR, f"{last.version.tag} has no {source.manifest_name} to compare with")
    return source.change(last.manifest, changed)


def _lists(situation: _Situation, facts: CardFacts) -> list[Content]:
    """Return the list of the release's files and the changelog."""
    version, last = situation.version, situation.last
    card = on_record(facts.metadata)
    found = [content_of_bytes(RELEASE, release_list(situation.source.kind, version, situation.contents, card))]
    before = situation.read(CHANGELOG)
    text = before.decode("utf-8", "replace") if before is not None else None
    text = changelog.updated(text, version, situation.change, last.version if last else None)
    return found if text is None else [*found, content_of_bytes(CHANGELOG, text.encode())]


def _card(situation: _Situation, facts: CardFacts) -> tuple[bytes, bytes]:
    """Return README.md as it is on the Hub (or empty) and as it will be."""
    source, repository, state = situation.source, situation.repository, situation.state
    before = situation.read(CARD)
    local = source.root / CARD
    if local.is_file():
        check_inside(source.root, local)
    written = local.read_bytes() if local.is_file() else None
    if before is not None and written is not None and written != before:
        source.left_out.append(f"{CARD} (the repository has one, which is kept and brought up to date)")
    ours = fields_written(repository, source, state.head, state.files) if state else {}
    after = merge_card(before if before is not None else written, facts, ours)
    if contains_token(after):
        raise UserError(f"{CARD} holds what looks like an access token: take it out, and revoke that token")
    return before or b"", after


def _pinned_files(api: "HfApi", repo: str, repo_type: RepoType, revision: str) -> Mapping[str, RemoteFile]:
    """Return the files of another repository at a commit that this one pins."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return Repository(api, repo, repo_type).files(revision)
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise UserError(f"this Hub has no {repo_type} {repo} at {revision[:12]}: publish that first") from None


def _owned(situation: _Situation) -> set[str]:
    """Return the files that releases of ours brought: the last one, and one that was interrupted before its tag."""
    state, last = situation.state, situation.last
    owned = set(last.owned) if last else set()
    if state is not None and (last is None or last.commit != state.head):
        owned |= files_brought_by(situation.repository, situation.source, state.head, state.files)
    return owned - OURS


def _planned(contents: list[Content], existing: Mapping[str, RemoteFile], owned: set[str]) -> tuple[PlannedFile, ...]:
    """Decide for each file whether it is sent, there already, or deleted."""
    planned = []
    for content in contents:
        there = existing.get(content.path)
        action = Action.SAME if there is not None and there.holds(content) else Action.ADD
        file = PlannedFile(content.path, action, content.size, content.sha256, content.git_oid, content.source)
        planned.append(replace(file, replaces=there is not None and action is Action.ADD))
    new = {file.path for file in planned}
    gone = sorted(path for path in owned if path in existing and path not in new)
    planned += [PlannedFile(path, Action.DELETE, existing[path].size) for path in gone]
    return tuple(sorted(planned, key=lambda file: file.path))


def _assembled(situation: _Situation, private: bool, planned: tuple[PlannedFile, ...], diff: str) -> Plan:
    """Put everything into the plan."""
    source, state, change = situation.source, situation.state, situation.change
    names = {file.path for file in planned}
    existing = state.files.values() if state else ()
    return Plan(
        endpoint=situation.repository.api.endpoint,
        repo=situation.repository.name,
        kind=source.kind,
        repo_type=source.repo_type,
        private=state.private if state else private,
        exists=state is not None,
        parent_commit=state.head if state else None,
        version=str(situation.version),
        why=change.why,
        details=change.details,
        tag=None if change.level is Level.NONE else situation.version.tag,
        files=planned,
        kept=tuple(KeptFile(file.path, file.size, file.git_oid) for file in existing if file.path not in names),
        card_diff=diff,
        left_out=tuple(source.left_out),
    )


def _diff(before: bytes, after: bytes) -> str:
    old, new = (text.decode().splitlines() for text in (before, after))
    names = f"{CARD} (on the Hub)", f"{CARD} (planned)"
    return "".join(f"{line}\n" for line in difflib.unified_diff(old, new, *names, lineterm=""))
