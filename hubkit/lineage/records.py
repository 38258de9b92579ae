"""What repositories say they were made of: `run.json`, `corpus.json`, `space.json`, evaluations, and any card.

Everything here was written by somebody, perhaps by hand: what has another form than expected is passed over, and
nothing is ever executed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from hubkit.publishing.cards import TOKENIZER_TAG

Kind = Literal["model", "dataset", "space", "tokenizer", "files", "evaluation"]

RECORDS = {"model": ("run.json", "evaluation.json"), "dataset": ("corpus.json",), "space": ("space.json",)}
"""The files in which hubkit records lineage, by type of repository."""

_NAME = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_PINNED = re.compile(r"([^@\s]+)@([0-9a-f]{40})")
_SHOWN_FILES = 3
_SHOWN: tuple[Kind, ...] = ("model", "dataset")
"""What a Space shows; its card and `space.json` list them under their plurals."""
_RELATIONS = {
    "adapter": "adapter of", "quantized": "quantised from", "merge": "merged from", "finetune": "fine-tuned from",
}  # fmt: skip


@dataclass(frozen=True)
class Use:
    """One thing that something was made of."""

    relation: str
    kind: Kind
    name: str
    revision: str | None = None
    """A commit, tag or branch; of what is no repository its sha256. None where nothing is said."""

    @property
    def is_repository(self) -> bool:
        """Whether the Hub can be asked for it."""
        return self.kind in ("model", "dataset", "space")


@dataclass(frozen=True)
class Measured:
    """The results of one evaluation of a model on one split of a dataset."""

    repo: str
    revision: str | None
    split: str | None
    metrics: tuple[str, ...]
    """Each as people read it: ``Exact match: exact match 1.0``."""

    @property
    def name(self) -> str:
        """What it is called in a graph."""
        at = f"@{self.revision[:12]}" if self.revision else ""
        return f"on {self.repo}{at}{f' {self.split}' if self.split else ''}"


def uses(kind: str, card: Any, records: Mapping[str, Any]) -> tuple[Use, ...]:
    """Return what a repository was made of, each thing once; what records say counts before what its card says.

    Args:
        kind: ``model``, ``dataset`` or ``space``.
        card: The metadata of its card.
        records: Contents of the files in `RECORDS` that it has, by name.
    """
    read = {"model": _of_run, "dataset": _of_corpus, "space": _of_space}[kind]
    recorded = list(read(_mapping(records.get(RECORDS[kind][0]))))
    known = {(use.kind, use.name) for use in recorded}
    named = [use for use in _of_card(kind, _mapping(card)) if (use.kind, use.name) not in known]
    return tuple(dict.fromkeys([*recorded, *named]))


def facts(kind: str, records: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what a repository's own record says of it in words, for people."""
    record = _mapping(records.get(RECORDS[kind][0]))
    if kind == "model" and record:
        steps = _mapping(record.get("training")).get("steps")
        trained = [f"{steps:,} steps"] if isinstance(steps, int) else []
        return (*_texts(record.get("architecture")), *trained, *_code(record))
    if kind == "dataset" and record:
        splits = _mapping(record.get("splits")).items()
        rows = [f"{part['rows']:,} {name}" for name, part in splits if isinstance(_mapping(part).get("rows"), int)]
        made = " ".join(_texts([record.get("builder"), record.get("generator_version")]))
        return (*_texts(made), *_texts(", ".join(rows)), *_code(record))
    return ()


def measured(card: Any, records: Mapping[str, Any]) -> tuple[Measured, ...]:
    """Return the evaluations of a model: those of `evaluation.json`, or else those of its card's model-index."""
    results = _mappings(_mapping(records.get("evaluation.json")).get("results"))
    if not results:
        index = _mappings(_mapping(card).get("model-index"))
        results = [result for entry in index for result in _mappings(entry.get("results"))]
    found: dict[tuple[str, str | None, str | None], list[str]] = {}
    for result in results:
        data, task = _mapping(result.get("dataset")), _mapping(result.get("task"))
        # In a model-index the repository is the dataset's type.
        repo = _first(data.get("repo"), data.get("type"))
        if repo is None or not _NAME.fullmatch(repo):
            continue
        key = repo, _first(data.get("revision")), _first(data.get("split"))
        question = _first(task.get("name"), task.get("type"))
        found.setdefault(key, []).extend(_scores(question, result))
    return tuple(Measured(*key, tuple(metrics)) for key, metrics in found.items())


def _scores(question: str | None, result: Mapping[str, Any]) -> Iterator[str]:
    for metric in _mappings(result.get("metrics")):
        value = metric.get("value")
        if isinstance(value, int | float) and not isinstance(value, bool):
            names = [name for name in (question, _first(metric.get("name"), metric.get("type"))) if name]
            yield f"{': '.join(names)} {value:g}"


def _of_run(run: Mapping[str, Any]) -> Iterator[Use]:
    """Yield what a model's `run.json` names."""
    for data in _mappings(run.get("datasets")):
        yield from _pinned("trained on", "dataset", data)
    for data in _mapping(run.get("also_evaluate")).values():
        yield from _pinned("evaluated on", "dataset", _mapping(data))
    named = _mapping(run.get("tokenizer"))
    name, revision = _first(named.get("name")), _first(named.get("revision"))
    if name and revision and _NAME.fullmatch(name):
        yield Use("tokenised by", "model", name, revision)
    elif name:
        yield Use("tokenised by", "tokenizer", name, _first(named.get("sha256")))
    yield from _pinned("initialised from", "model", _mapping(run.get("init_from")))


def _of_corpus(corpus: Mapping[str, Any]) -> Iterator[Use]:
    """Yield what a dataset's `corpus.json` names: another corpus and a tokenizer, or files."""
    facts = _mapping(corpus.get("facts"))
    origin = _PINNED.fullmatch(_first(facts.get("corpus")) or "")
    if origin and _NAME.fullmatch(origin[1]):
        yield Use("made from", "dataset", origin[1], origin[2])
    # Of a corpus of token ids; the field `tokenizer` of a corpus of text only says which one suits it.
    tokenizer = _first(facts.get("tokenizer"))
    if tokenizer:
        name, _, revision = tokenizer.partition("@")
        if _NAME.fullmatch(name):
            yield Use("tokenised by", "model", name, revision or None)
        else:
            yield Use("tokenised by", "tokenizer", tokenizer, _first(facts.get("tokenizer_sha256")))
    if not origin:
        yield from _files(list(_mappings(corpus.get("sources"))))


def _files(sources: list[Mapping[str, Any]]) -> Iterator[Use]:
    """Yield the files from outside that rows were read from; of many, how many there are."""
    if len(sources) > _SHOWN_FILES:
        yield Use("read from", "files", f"{len(sources):,} files")
        return
    for source in sources:
        if name := _first(source.get("name")):
            yield Use("read from", "files", name, _first(source.get("sha256")))


def _of_space(space: Mapping[str, Any]) -> Iterator[Use]:
    """Yield what a Space's `space.json` names."""
    for kind in _SHOWN:
        for entry in _mappings(space.get(f"{kind}s")):
            yield from _pinned("shows", kind, entry)


def _pinned(relation: str, kind: Kind, entry: Mapping[str, Any]) -> Iterator[Use]:
    """Yield a repository at its commit, or what lies on somebody's machine by its hash."""
    repo, revision, path = _first(entry.get("repo")), _first(entry.get("revision")), _first(entry.get("path"))
    if repo and _NAME.fullmatch(repo):
        yield Use(relation, kind, repo, revision)
    elif path:
        yield Use(relation, "files", path, _first(entry.get("sha256")))


def _of_card(kind: str, card: Mapping[str, Any]) -> Iterator[Use]:
    """Yield the repositories that a card's metadata names."""
    if kind == "model":
        relation = _RELATIONS.get(str(card.get("base_model_relation")), "based on")
        yield from _named("trained on", "dataset", card.get("datasets"))
        yield from _named(relation, "model", card.get("base_model"))
        yield from _named("tokenised by", "model", _tokenizers(card.get("tags")))
    elif kind == "dataset":
        yield from _named("made from", "dataset", card.get("source_datasets"))
        yield from _named("tokenised by", "model", _tokenizers(card.get("tags")))
    else:
        pins = dict(_preloaded(card.get("preload_from_hub")))
        for shown in _SHOWN:
            for use in _named("shows", shown, card.get(f"{shown}s")):
                yield Use(use.relation, use.kind, use.name, pins.get(use.name))


def _named(relation: str, kind: Kind, names: Any) -> Iterator[Use]:
    for name in _texts(names):
        if _NAME.fullmatch(name):
            yield Use(relation, kind, name)


def _tokenizers(tags: Any) -> list[str]:
    """Return the repositories of tokenizers that a card's tags name."""
    return [tag.removeprefix(TOKENIZER_TAG) for tag in _texts(tags) if tag.startswith(TOKENIZER_TAG)]


def _preloaded(lines: Any) -> Iterator[tuple[str, str]]:
    """Yield the commits that a Space preloads, from lines such as ``repo file,file commit``."""
    for line in _texts(lines):
        parts = line.split()
        if len(parts) > 1 and _COMMIT.fullmatch(parts[-1]):
            yield parts[0], parts[-1]


def _code(record: Mapping[str, Any]) -> list[str]:
    """Return which hubkit made something."""
    code = _mapping(record.get("code"))
    version, commit = _first(code.get("hubkit")), _first(code.get("commit"))
    changed = ", modified since" if code.get("modified") else ""
    return [f"hubkit {version}" + (f" at {commit[:12]}{changed}" if commit else "")] if version else []


# --- values of any form ----------------------------------------------------------------------------------------------


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []


def _texts(value: Any) -> list[str]:
    values: Iterable[Any] = value if isinstance(value, list) else [value]
    return [entry for entry in values if isinstance(entry, str) and entry]


def _first(*values: Any) -> str | None:
    """Return the first of some values that is a text with something in it."""
    return next((value for value in values if isinstance(value, str) and value), None)
