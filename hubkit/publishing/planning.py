"""Makes the plan: compares a folder with its repository and computes version, card and changelog. Changes nothing."""

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.hub_patience import hub_api
from hubkit.publishing import changelog, frontmatter
from hubkit.publishing.edits import edits, hashes
from hubkit.publishing.folders import open_folder
from hubkit.publishing.frontmatter import on_record
from hubkit.publishing.hub import RemoteFile, Repository, State, check_name
from hubkit.publishing.merging import merge_card
from hubkit.publishing.plans import Action, KeptFile, Plan, PlannedFile
from hubkit.publishing.releases import PastRelease, Written, files_brought_by, past_release, release_list, written
from hubkit.publishing.sources import (
    CARD,
    CHANGELOG,
    CROISSANT,
    OURS,
    RELEASE,
    CardFacts,
    Content,
    RepoType,
    Source,
    Stored,
    contains_token,
    content_of_bytes,
)
from hubkit.publishing.versions import FIRST_RELEASE, UNCHANGED, Change, Level, Version

if TYPE_CHECKING:
    from huggingface_hub import HfApi


@dataclass(frozen=True)
class Situation:
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


def plan(
    folder: Path, repo: str, *, private: bool = False, create_pr: bool = False, api: "HfApi | None" = None
) -> Plan:
    """Work out what publishing a folder would do.

    Args:
        folder: A corpus, model or Space.
        repo: ``OWNER/NAME``; its type follows from the folder.
        private: Create the repository as a private one.
        create_pr: Open a pull request, which the repository's owner merges, instead of changing the main branch.
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
        repository = Repository(api or hub_api(), repo, source.repo_type)
        state = repository.state()
        _check_target(repository, source, state, private, create_pr)
        last = past_release(repository, source, state)
        situation = Situation(source, contents, repository, state, last, what_changed(source, contents, last))
        made = composed(situation)
    return replace(made, private=made.private if made.exists else private, pull_request=create_pr)


def composed(situation: Situation) -> Plan:
    """Return the plan for a situation: card, changelog and list of files are written, and each file's action decided.

    Raises:
        UserError: The card can't be brought up to date.
    """
    source, repository, state = situation.source, situation.repository, situation.state
    facts = source.card(repository.name, situation.version, cache(partial(_pinned_files, repository.api)))
    wrote = written(repository, source, state.head, state.files) if state else Written({}, {}, frozenset())
    before, after, conflicts = _card(situation, facts, wrote)
    beside = [*facts.beside, *_lists(situation, facts), *_descriptions(situation, after)]
    new = [*situation.contents, *beside, content_of_bytes(CARD, after)]
    known = _known(situation)
    # A shard that got another name, because there are more of them now, say, is there already.
    new = [replace(content, source=known.get(content.sha256, content.source)) for content in new]
    planned = _planned(new, state.files if state else {}, _owned(situation) | wrote.beside)
    return replace(_assembled(situation, planned, _diff(before, after)), conflicts=conflicts)


def _check_target(repository: Repository, source: Source, state: State | None, private: bool, create_pr: bool) -> None:
    """Refuse a repository that the user can't have meant."""
    if state is None:
        others = repository.other_types()
        if others:
            raise UserError(
                f"{repository.name} is a {others[0]} on this Hub, and a {source.kind} is published as a "
                f"{source.repo_type}: choose another name"
            )
        if create_pr:
            raise UserError(
                f"{repository.name} does not exist, so nobody can merge a pull request: leave out --create-pr"
            )
    elif private and not state.private:
        raise UserError(
            f"{repository.name} exists and is public, and --private was asked for: make it private in its settings, "
            "or publish without --private"
        )


def what_changed(source: Source, contents: list[Content], last: PastRelease | None) -> Change:
    """Compare the folder with the last release."""
    if last is None:
        return FIRST_RELEASE
    new = {content.path for content in contents}
    changed = [c.path for c in contents if c.path not in last.files or not last.files[c.path].holds(c)]
    changed += [path for path in last.owned if path in last.files and path not in new]
    if not changed:
        return UNCHANGED
    if last.manifest is None:
        return Change(Level.MAJOR, f"{last.version.tag} has no {source.manifest_name} to compare with")
    return source.change(last.manifest, changed)


def _lists(situation: Situation, facts: CardFacts) -> list[Content]:
    """Return the list of the release's files and the changelog."""
    version, last = situation.version, situation.last
    card, sections = on_record(facts.metadata), hashes(facts.body)
    listed = release_list(situation.source.kind, version, situation.contents, card, sections, facts.beside)
    found = [content_of_bytes(RELEASE, listed)]
    before = situation.read(CHANGELOG)
    text = before.decode("utf-8", "replace") if before is not None else None
    text = changelog.updated(text, version, situation.change, last.version if last else None)
    return found if text is None else [*found, content_of_bytes(CHANGELOG, text.encode())]


def _descriptions(situation: Situation, card: bytes) -> list[Content]:
    """Return what describes the release to programs that know no Hub."""
    fields = frontmatter.parse(frontmatter.split(card.decode())[1])
    repository, before = situation.repository, situation.read(CROISSANT)
    text = situation.source.described(fields, repository.name, situation.version, repository.api.endpoint, before)
    return [] if text is None else [content_of_bytes(CROISSANT, text)]


def _card(situation: Situation, facts: CardFacts, wrote: Written) -> tuple[bytes, bytes, tuple[str, ...]]:
    """Return README.md as it is on the Hub (or empty) and as it will be, and what becomes of edits in our sections."""
    source, last = situation.source, situation.last
    before = situation.read(CARD)
    own = source.readme()
    if before is not None and own is not None and own != before:
        source.left_out.append(f"{CARD} (the repository has one, which is kept and brought up to date)")
    theirs = edits(
        before or b"",
        facts.body,
        wrote.sections,
        lambda: situation.repository.read(CARD, last.commit) if last else None,
    )
    kept = {name: edit.text for name, edit in theirs.items()}
    start = before if before is not None else own
    after = merge_card(start, facts, wrote.fields, kept)
    fields = frontmatter.overruled(frontmatter.split((start or b"").decode())[1], facts.metadata, wrote.fields)
    if contains_token(after):
        raise UserError(f"{CARD} holds what looks like an access token: take it out, and revoke that token")
    return before or b"", after, (*fields, *(str(edit) for edit in theirs.values()))


def _pinned_files(
    api: "HfApi", repo: str, repo_type: RepoType, revision: str
) -> Mapping[str, Callable[[], bytes | None]]:
    """Return the files of another repository at a commit that this one pins, each with what reads it."""
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        repository = Repository(api, repo, repo_type)
        return {path: partial(repository.read, path, revision) for path in repository.files(revision)}
    except (RepositoryNotFoundError, RevisionNotFoundError):
        raise UserError(f"this Hub has no {repo_type} {repo} at {revision[:12]}: publish that first") from None


def _owned(situation: Situation) -> set[str]:
    """Return the files that releases of ours brought: the last one, and one that was interrupted before its tag."""
    state, last = situation.state, situation.last
    owned = set(last.owned) if last else set()
    if state is not None and (last is None or last.commit != state.head):
        owned |= files_brought_by(situation.repository, situation.source, state.head, state.files)
    return owned - OURS


def _known(situation: Situation) -> dict[str, Stored]:
    """Return where the repository has large files, by their sha256: on the main branch, or in the last release."""
    state, last = situation.state, situation.last
    places = [(last.commit, last.files)] if last else []
    places += [(state.head, state.files)] if state else []
    return {
        file.sha256: Stored(file.path, commit) for commit, files in places for file in files.values() if file.sha256
    }


def _planned(contents: list[Content], existing: Mapping[str, RemoteFile], owned: set[str]) -> tuple[PlannedFile, ...]:
    """Decide for each file whether it is sent, there already, or deleted."""
    planned = []
    for content in contents:
        there = existing.get(content.path)
        action = Action.COPY if isinstance(content.source, Stored) else Action.ADD
        if there is not None and there.holds(content):
            action = Action.SAME
        file = PlannedFile(content.path, action, content.size, content.sha256, content.git_oid, content.source)
        planned.append(replace(file, replaces=there is not None and action is not Action.SAME))
    new = {file.path for file in planned}
    gone = sorted(path for path in owned if path in existing and path not in new)
    planned += [PlannedFile(path, Action.DELETE, existing[path].size) for path in gone]
    return tuple(sorted(planned, key=lambda file: file.path))


def _assembled(situation: Situation, planned: tuple[PlannedFile, ...], diff: str) -> Plan:
    """Put everything into the plan."""
    source, state, change = situation.source, situation.state, situation.change
    names = {file.path for file in planned}
    existing = state.files.values() if state else ()
    return Plan(
        endpoint=situation.repository.api.endpoint,
        repo=situation.repository.name,
        kind=source.kind,
        repo_type=source.repo_type,
        private=bool(state and state.private),
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
