"""Rolling back: an old release is published as a new one, of bytes that the repository has already.

Versions only go up, so nothing that somebody pinned changes its meaning. hubkit's sections of the card come back as
they were, with the new version in them; what people wrote since stays.
"""

import re
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.hub_patience import hub_api
from hubkit.publishing import frontmatter
from hubkit.publishing.corpus import CorpusSource, rows_prefix_sha256
from hubkit.publishing.hub import Repository, State, find_repository
from hubkit.publishing.model import ModelSource
from hubkit.publishing.planning import Situation, composed, what_changed
from hubkit.publishing.plans import Plan
from hubkit.publishing.releases import FORMAT, past_release, read_object
from hubkit.publishing.sources import CARD, RELEASE, CardFacts, Content, RepoFiles, RepoType, Source, Stored
from hubkit.publishing.space import SpaceSource
from hubkit.publishing.tokenizer import TokenizerSource
from hubkit.publishing.versions import Change, Level, Version, corpus_change

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_OF_CONFIGS = ("configs", "dataset_info")
"""Fields of a card that a release has no record of, because they are as long as the dataset has configs."""


class _Past(Source):
    """A release on the Hub, as something to publish."""

    def __init__(self, repository: Repository, version: Version, commit: str, listed: Mapping[str, Any]):
        self._repository, self._version, self._commit, self._listed = repository, version, commit, listed
        self._there = repository.files(commit)
        super().__init__(Path())

    def read_manifest(self) -> dict[str, Any]:
        """Return the release's manifest."""
        found = read_object(self._repository, self.manifest_name, self._commit, self._there)
        if found is None:
            raise UserError(f"{self._version.tag} has no {self.manifest_name}, so it can't be compared or brought back")
        return found

    def readme(self) -> bytes | None:
        """Return nothing: the main branch's card is the one to bring up to date."""
        return None

    def files(self) -> list[Content]:
        """Return the release's files, all of which the Hub has."""
        return [self._content(entry) for entry in self._listed.get("files") or ()]

    def _content(self, entry: Mapping[str, Any]) -> Content:
        path, size, sha256 = str(entry["path"]), int(entry["size"]), str(entry["sha256"])
        there = self._there.get(path)
        if there is None or there.size != size or (there.sha256 or sha256) != sha256:
            raise UserError(
                f"{path} of {self._version.tag} is not the file that its {RELEASE} lists: it can't be brought back"
            )
        return Content(path, Stored(path, self._commit), size, sha256, None if there.sha256 else there.git_oid)

    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return what the release's card said, with the new version where it named its own."""
        text = (self._repository.read(CARD, self._commit) or b"").decode("utf-8", "replace")
        _, yaml_text, _, body = frontmatter.split(text.replace("\r\n", "\n"))
        fields = frontmatter.parse(yaml_text)
        metadata = {key: fields[key] for key in _OF_CONFIGS if key in fields} | dict(self._listed.get("card") or {})
        beside = tuple(self._content(entry) for entry in self._listed.get("beside") or ())
        return CardFacts(metadata, {}, renamed(body, repo, self._version, version), beside)


def renamed(body: str, repo: str, old: Version, new: Version) -> str:
    """Return a card's text in which a repository's own version, wherever its name stands before it, is another one."""
    named = (
        rf"({re.escape(repo)}[\"']?(?:, |\s+)(?:--)?(?:revision|version)[= ]?[\"']?){re.escape(old.tag)}(?![\w.]*\d)"
    )
    return re.sub(named, rf"\g<1>{new.tag}", body)


class _PastCorpus(_Past, CorpusSource):
    """A release of a dataset."""

    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Compare rows; only where a split grows are some of the release's files read."""
        return corpus_change(old, self.manifest, self._prefix_sha256)

    def _prefix_sha256(self, split: str, rows: int) -> str:
        shards, have = [], 0
        for shard in self.manifest["splits"][split]["shards"]:
            if have < rows:
                shards.append(shard["file"])
            have += shard["rows"]
        if not all(file.endswith(".parquet") for file in shards):
            return ""  # what types JSON's values have depends on all files: not worth reading, so other rows
        api, name = self._repository.api, self._repository.name
        with tempfile.TemporaryDirectory() as folder:
            for file in shards:
                api.hf_hub_download(name, file, repo_type="dataset", revision=self._commit, local_dir=folder)
            return rows_prefix_sha256(Path(folder), self.manifest, split, rows)


class _PastModel(_Past, ModelSource):
    """A release of a model."""


class _PastSpace(_Past, SpaceSource):
    """A release of a Space."""


class _PastTokenizer(_Past, TokenizerSource):
    """A release of a tokenizer by itself."""


_SOURCES: dict[str, type[_Past]] = {
    source.kind: source for source in (_PastCorpus, _PastModel, _PastSpace, _PastTokenizer)
}


def plan_rollback(repo: str, release: str, *, repo_type: RepoType | None = None, api: "HfApi | None" = None) -> Plan:
    """Work out how to bring an old release back as a new one.

    Args:
        repo: ``OWNER/NAME``.
        release: Its tag, such as ``v1.0.0`` or ``1.0.0``.
        repo_type: Its type, where the name belongs to several repositories.
        api: The Hub's client; by default one that takes endpoint and token from the environment.

    Returns:
        The plan, for :func:`hubkit.publishing.apply`.

    Raises:
        UserError: There is no such release, or hubkit did not make it.
    """
    version = Version.of_tag(f"v{release.removeprefix('v')}")
    if version is None:
        raise UserError(f"{release!r} is not a release: write its version, such as v1.0.0")
    with explained(repo):
        repository = find_repository(api or hub_api(), repo, repo_type)
        state = repository.state()
        assert state is not None, "the repository was found a moment ago"
        source = _past(repository, state, version)
        last = past_release(repository, source, state)
        contents = source.files()
        change = what_changed(source, contents, last)
        if change.level is not Level.NONE:
            change = replace(change, why=f"brings back {version.tag}; {change.why}")
        return composed(Situation(source, contents, repository, state, last, change))


def _past(repository: Repository, state: State, version: Version) -> _Past:
    """Return a release as something to publish."""
    commit = state.releases.get(version)
    if commit is None:
        known = ", ".join(found.tag for found in sorted(state.releases, reverse=True)[:5])
        raise UserError(f"{repository.name} has no release {version.tag} (it has {known or 'none'})")
    listed = read_object(repository, RELEASE, commit)
    source = _SOURCES.get(str(listed.get("kind"))) if listed is not None and listed.get("format") == FORMAT else None
    if listed is None or source is None or source.repo_type != repository.repo_type:
        raise UserError(
            f"{version.tag} of {repository.name} was not made by hubkit, so its files can't be told from others: "
            f"download it with `hf download {repository.name} --revision {version.tag}`, then publish that folder"
        )
    return source(repository, version, commit, listed)
