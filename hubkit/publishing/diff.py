"""What changed between two revisions of a repository: rows, schema, spec, card, files; weights, recipe, evaluation."""

import difflib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.publishing import corpus, model, space
from hubkit.publishing.diff_fields import FieldChange, changed_fields
from hubkit.publishing.diff_files import Part, open_rows, parts_of_files, parts_of_manifest
from hubkit.publishing.diff_models import WeightsDiff, compare_weights, measured
from hubkit.publishing.diff_rows import Side, SplitDiff, compare_split, unchanged
from hubkit.publishing.frontmatter import parse, split
from hubkit.publishing.hub import RemoteFile, Repository, default_api, find_repository
from hubkit.publishing.releases import read_object
from hubkit.publishing.sources import CARD, RepoType

if TYPE_CHECKING:
    from huggingface_hub import HfApi

EXAMPLES = 3
"""Rows of each kind that are shown."""

_QUESTIONS = 8


@dataclass(frozen=True)
class Revision:
    """One side of a comparison: what was asked for, and what is there."""

    name: str
    commit: str
    files: Mapping[str, RemoteFile] = field(repr=False)


@dataclass(frozen=True)
class FileChange:
    """A file that differs; a size of None means that it is not there."""

    path: str
    old_size: int | None
    new_size: int | None


@dataclass(frozen=True)
class Diff:
    """What lies between two revisions."""

    repo: str
    repo_type: RepoType
    old: Revision
    new: Revision
    files: tuple[FileChange, ...]
    card: str
    """Unified diff of README.md."""
    fields: Mapping[str, tuple[FieldChange, ...]]
    """By what they belong to: ``columns``, ``spec``, ``config``, ``recipe``, ``pins``, ``evaluation`` …"""
    splits: tuple[SplitDiff, ...] = ()
    weights: WeightsDiff | None = None

    def to_json(self) -> dict[str, Any]:
        """Return plain data for scripts."""
        return {
            "repo": self.repo,
            "repo_type": self.repo_type,
            "old": {"revision": self.old.name, "commit": self.old.commit},
            "new": {"revision": self.new.name, "commit": self.new.commit},
            "files": [dict(vars(file)) for file in self.files],
            "card": self.card,
            "fields": {name: [dict(vars(change)) for change in found] for name, found in self.fields.items()},
            "splits": [found.to_json() for found in self.splits],
            "weights": self.weights.to_json() if self.weights else None,
        }

    def render(self) -> str:
        """Return the differences as text for people."""
        from hubkit.publishing.diff_rendering import render

        return render(self)


@dataclass(frozen=True)
class _Pair:
    """Two revisions of one repository, and how to look into them."""

    repository: Repository
    old: Revision
    new: Revision

    @property
    def both(self) -> tuple[Revision, Revision]:
        return self.old, self.new

    def json(self, path: str) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Return a JSON object as it is on each side; the same one where the file is the same."""
        old = read_object(self.repository, path, self.old.commit, self.old.files)
        same = path in self.old.files and self.old.files.get(path) == self.new.files.get(path)
        return old, old if same else read_object(self.repository, path, self.new.commit, self.new.files)

    def text(self, path: str, side: Revision) -> str:
        """Return a text file; empty where there is none."""
        data = self.repository.read(path, side.commit) if path in side.files else None
        return (data or b"").decode("utf-8", "replace")

    def fetch(self, path: str, side: Revision) -> Path:
        """Download a file into the Hub's cache."""
        repository = self.repository
        api, kind = repository.api, repository.repo_type
        return Path(api.hf_hub_download(repository.name, path, repo_type=kind, revision=side.commit))


def diff(
    repo: str,
    old: str,
    new: str,
    *,
    repo_type: RepoType | None = None,
    examples: int = EXAMPLES,
    api: "HfApi | None" = None,
) -> Diff:
    """Compare two revisions of a repository; of the data only files that differ are downloaded.

    Args:
        repo: ``OWNER/NAME``.
        old: Tag, branch or commit.
        new: The same, later in the history.
        repo_type: Its type, where the name belongs to several repositories.
        examples: Rows of each kind to read, at most.
        api: The Hub's client; by default one that takes endpoint and token from the environment.

    Raises:
        UserError: There is no such repository or revision, the order is the wrong one, or the Hub can't be asked.
    """
    if examples < 0:
        raise UserError(f"--rows: {examples} is not a number of examples; write 0 or more")
    with explained(repo):
        repository = find_repository(api or default_api(), repo, repo_type)
        pair = _pair(repository, old, new)
        files = _files(pair.old.files, pair.new.files)
        card = _card(pair, {file.path for file in files})
        fields: dict[str, tuple[FieldChange, ...]] = {}
        splits: tuple[SplitDiff, ...] = ()
        weights = None
        if repository.repo_type == "dataset":
            splits = _datasets(pair, fields, examples)
        elif repository.repo_type == "model":
            weights = _models(pair, fields)
        else:
            _spaces(pair, fields)
    return Diff(repo, repository.repo_type, pair.old, pair.new, files, card, fields, splits, weights)


def _pair(repository: Repository, old: str, new: str) -> _Pair:
    """Look both revisions up.

    Raises:
        UserError: One does not exist, or they stand in the wrong order.
    """
    commits = [repository.commit(name) for name in (old, new)]
    if commits[0] != commits[1] and commits[1] in (commit.commit_id for commit in repository.history(commits[0])):
        raise UserError(f"{old} comes after {new}: write `hubkit diff {repository.name} {new} {old}`")
    sides = [Revision(name, commit, repository.files(commit)) for name, commit in zip((old, new), commits, strict=True)]
    return _Pair(repository, *sides)


def _files(old: Mapping[str, RemoteFile], new: Mapping[str, RemoteFile]) -> tuple[FileChange, ...]:
    sizes = [{path: file.size for path, file in side.items()} for side in (old, new)]
    different = [path for path in old.keys() | new.keys() if old.get(path) != new.get(path)]
    return tuple(FileChange(path, sizes[0].get(path), sizes[1].get(path)) for path in sorted(different))


def _card(pair: _Pair, changed: set[str]) -> str:
    if CARD not in changed:
        return ""
    was, now = (pair.text(CARD, side).splitlines() for side in pair.both)
    names = [f"{CARD} ({side.name})" for side in pair.both]
    lines = difflib.unified_diff(was, now, fromfile=names[0], tofile=names[1], lineterm="")
    return "".join(f"{line}\n" for line in lines)


def _put(fields: dict[str, tuple[FieldChange, ...]], name: str, old: Any, new: Any) -> None:
    """Note the fields that differ, if any."""
    if found := changed_fields(old, new):
        fields[name] = tuple(found)


# --- datasets --------------------------------------------------------------------------------------------------------


def _datasets(pair: _Pair, fields: dict[str, tuple[FieldChange, ...]], examples: int) -> tuple[SplitDiff, ...]:
    """Compare two datasets: manifests first, and of the rows what they don't say."""
    manifests = pair.json(corpus.MANIFEST)
    _put(fields, "spec", *_each(manifests, lambda manifest: manifest["spec"]))
    _put(fields, "made by", *_each(manifests, _made))
    sides = [_parts(pair, side, manifest) for side, manifest in zip(pair.both, manifests, strict=True)]
    equal = _equal_splits(*manifests)
    found, columns = [], ({}, {})
    for name in dict.fromkeys([*sides[0], *sides[1]]):
        if name in equal:
            found.append(unchanged(name, equal[name]))
            continue
        _count_rows(pair, sides, name)
        opened = [
            Side(parts.get(name, []), partial(_open, pair, side)) for parts, side in zip(sides, pair.both, strict=True)
        ]
        found.append(compare_split(name, opened[0], opened[1], examples))
        if all(side.read for side in opened):
            for seen, side in zip(columns, opened, strict=True):
                seen.update(side.columns())
    schemas = [_schema(manifest) or seen for manifest, seen in zip(manifests, columns, strict=True)]
    _put(fields, "columns", *schemas)
    return tuple(found)


def _equal_splits(old: Any, new: Any) -> dict[str, int]:
    """Return the splits, with their rows, that two manifests give the same hash: nothing of them has to be read."""
    was, now = _each(
        (old, new), lambda manifest: {name: split["rows_sha256"] for name, split in manifest["splits"].items()}
    )
    return {name: new["splits"][name]["rows"] for name, known in (was or {}).items() if (now or {}).get(name) == known}


def _made(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {name: manifest.get(name) for name in ("builder", "generator_version", "code", "libraries", "writer")}


def _schema(manifest: Mapping[str, Any] | None) -> dict[str, str]:
    return {str(column["name"]): str(column["type"]) for column in (manifest or {}).get("columns") or ()}


def _parts(pair: _Pair, side: Revision, manifest: Mapping[str, Any] | None) -> dict[str, list[Part]]:
    """Return the files of each split of one side."""
    if manifest is not None:
        try:
            return parts_of_manifest(manifest)
        except (KeyError, TypeError):
            pass  # somebody else's file of that name
    try:
        card = parse(split(pair.text(CARD, side))[1])
    except UserError:
        card = {}
    return parts_of_files(side.files, card)


def _count_rows(pair: _Pair, sides: list[dict[str, list[Part]]], name: str) -> None:
    """Ask the footers of Parquet files for their rows where nothing else tells them, so that fewer are downloaded."""
    old, new = (side.get(name, []) for side in sides)
    same = {part.path for part in old} & {part.path for part in new} if old != new else set()
    for parts, revision in zip((old, new), pair.both, strict=True):
        wanted = [at for at, part in enumerate(parts) if part.rows is None and _is_footed(part, same)]
        with ThreadPoolExecutor(_QUESTIONS) as pool:
            rows = pool.map(lambda at, parts=parts, side=revision: _footer_rows(pair, side, parts[at].path), wanted)
            for at, count in zip(wanted, list(rows), strict=True):
                parts[at] = replace(parts[at], rows=count)


def _is_footed(part: Part, same: set[str]) -> bool:
    return part.path in same and part.path.endswith(".parquet")


def _footer_rows(pair: _Pair, side: Revision, path: str) -> int:
    """Return the rows of a Parquet file on the Hub, of which only the footer is read."""
    import pyarrow.parquet as pq
    from huggingface_hub import HfFileSystem

    repository = pair.repository
    system = HfFileSystem(endpoint=repository.api.endpoint, token=repository.api.token)
    with system.open(f"datasets/{repository.name}@{side.commit}/{path}") as stream:
        return pq.read_metadata(stream).num_rows


def _open(pair: _Pair, side: Revision, part: Part) -> Any:
    return open_rows(pair.fetch(part.path, side), part.path)


# --- models and Spaces -----------------------------------------------------------------------------------------------


def _models(pair: _Pair, fields: dict[str, tuple[FieldChange, ...]]) -> WeightsDiff | None:
    """Compare two models by config, lineage, evaluation and weights."""
    runs = pair.json(model.RUN)
    _put(fields, "config", *pair.json(model.CONFIG))
    _put(fields, "recipe", *_each(runs, lambda run: run.get("recipe")))
    _put(fields, "pins", *_each(runs, _pins))
    _put(fields, "evaluation", *_each(pair.json(model.EVALUATION), measured))
    weights = [sorted(path for path in side.files if model.is_weights(path)) for side in pair.both]
    hashes = [[side.files[path].sha256 or side.files[path].git_oid for path in paths]
              for side, paths in zip(pair.both, weights, strict=True)]  # fmt: skip
    if hashes[0] == hashes[1]:
        return None
    files = [[pair.fetch(path, side) for path in paths] for side, paths in zip(pair.both, weights, strict=True)]
    return compare_weights(files[0], files[1])


def _pins(run: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a model was made from, each dataset by its name."""
    datasets = {f"{entry.get('repo')}": entry.get("release") or entry.get("revision") for entry in run["datasets"]}
    return {"datasets": datasets, "tokenizer": run.get("tokenizer"), "init_from": run.get("init_from")}


def _spaces(pair: _Pair, fields: dict[str, tuple[FieldChange, ...]]) -> None:
    """Compare two Spaces by what they show."""
    shown = _each(
        pair.json(space.MANIFEST),
        lambda found: {
            **{key: value for key, value in found.items() if key not in ("models", "datasets")},
            **{key: {pin["repo"]: pin["revision"] for pin in found.get(key) or ()} for key in ("models", "datasets")},
        },
    )
    _put(fields, "pins", *shown)


def _each(pair: tuple[Any, Any], look: Callable[[Any], Any]) -> list[Any]:
    """Return what two objects say; of one that is missing, or of another form, nothing."""
    found = []
    for value in pair:
        try:
            found.append(look(value) if value is not None else None)
        except (KeyError, TypeError, AttributeError):
            found.append(None)
    return found
