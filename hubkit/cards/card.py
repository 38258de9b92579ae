"""A card and the repository that it describes, from a folder or from a Hub."""

import re
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.cards.files import Files, HubFiles, open_folder
from hubkit.cards.findings import CARD
from hubkit.cards.front_matter import FrontMatter, read_front_matter
from hubkit.cards.markdown import Markdown, read_markdown
from hubkit.errors import UserError
from hubkit.hub_errors import explain, explained
from hubkit.hub_patience import hub_api
from hubkit.publishing.hub import check_name
from hubkit.publishing.sources import RepoType

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_PREFIXES: dict[str, RepoType] = {"datasets": "dataset", "spaces": "space", "models": "model"}
_TRIED: tuple[RepoType, ...] = ("dataset", "model", "space")
_DATASET_FIELDS = {
    "configs", "dataset_info", "task_categories", "task_ids", "size_categories", "annotations_creators",
    "language_creators", "source_datasets", "multilinguality",
}  # fmt: skip
_MODEL_FIELDS = {"library_name", "pipeline_tag", "base_model", "base_model_relation", "model-index", "metrics"}
_MODEL_FILES = re.compile(r"config\.json|.*\.(safetensors|gguf|bin|onnx|pt|ckpt)")
_DATA_FILES = re.compile(r".*\.(parquet|csv|tsv|jsonl|ndjson|arrow)(\.\w+)?")


@dataclass
class Card:
    """A card."""

    text: str
    kind: RepoType
    files: Files
    unchecked: list[str] = field(default_factory=list)
    """What rules would have had to look at and did not, with the reason."""
    seconds: float = 300.0
    """How long each of its snippets may run."""
    memory: dict[str, Any] = field(default_factory=dict, repr=False)
    """What was found out about it: see `hubkit.cards.once`."""

    @property
    def name(self) -> str | None:
        """``owner/name`` of the repository, where it is known."""
        return self.files.name

    @cached_property
    def front(self) -> FrontMatter:
        """The YAML at its top."""
        return read_front_matter(self.text)

    @cached_property
    def body(self) -> Markdown:
        """The text below."""
        return read_markdown(self.front.body, self.front.body_line)

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of the front matter; none where it can't be read."""
        return self.front.fields or {}

    def texts(self, field: str) -> list[tuple[int, str]]:
        """Return line and value of every text in a field that holds one text or a list of them."""
        value = self.fields.get(field)
        if isinstance(value, str):
            return [(self.front.line(field), value)]
        if not isinstance(value, list):
            return []
        return [(self.front.line(field, i), item) for i, item in enumerate(value) if isinstance(item, str)]


def open_card(
    target: str,
    kind: RepoType | None = None,
    name: str | None = None,
    *,
    seconds: float = 300.0,
    api: "HfApi | None" = None,
) -> Card:
    """Read the card of a folder or of a repository on the Hub.

    Args:
        target: A folder, the README.md in it, or ``owner/name``, which may begin with ``datasets/`` or ``spaces/`` and
            end with ``@revision``.
        kind: Its type; None finds out.
        name: What a folder is, or is going to be, called on the Hub; None asks its git remote.
        seconds: How long each of its snippets may run, should they be run.
        api: The Hub; None is that of the environment.

    Raises:
        UserError: There is no such thing, it has no card, or its type can't be told.
    """
    path = Path(target)
    if path.name == CARD and path.is_file():
        path = path.parent
    if path.is_dir():
        if name is not None:
            check_name(name)
        files: Files = open_folder(path, name)
    elif target.startswith((".", "/", "~")) or target.count("/") == 0:
        raise UserError(f"{target} is neither a folder nor OWNER/NAME on the Hub")
    else:
        files, kind = _on_hub(target, kind, api or hub_api())
    data = files.read(CARD)
    if data is None:
        raise UserError(f"{target} has no {CARD}: a repository's card is the {CARD} at its top")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{CARD} of {target} is not UTF-8 text (at byte {error.start}): save it as UTF-8") from None
    kind = kind or kind_of(read_front_matter(text).fields or {}, files)
    if kind is None:
        raise UserError(f"{target}: can't tell whether this is a model, a dataset or a Space: name it with --type")
    return Card(text, kind, files, seconds=seconds)


def kind_of(fields: dict[str, Any], files: Files) -> RepoType | None:
    """Tell what a folder would be on the Hub, by the fields of its card and else by its files."""
    if "sdk" in fields:
        return "space"
    if fields.keys() & _DATASET_FIELDS:
        return "dataset"
    if fields.keys() & _MODEL_FIELDS:
        return "model"
    if any(_MODEL_FILES.fullmatch(path) for path in files.sizes):
        return "model"
    if any(_DATA_FILES.fullmatch(path) for path in files.sizes):
        return "dataset"
    return "space" if "app.py" in files.sizes else None


def _on_hub(target: str, kind: RepoType | None, api: "HfApi") -> tuple[Files, RepoType]:
    """Find a repository; without a type, the types are tried in the order in which hubkit publishes them."""
    from huggingface_hub.errors import RepositoryNotFoundError

    name, _, revision = target.partition("@")
    prefix, _, rest = name.partition("/")
    if prefix in _PREFIXES and "/" in rest:
        kind, name = _PREFIXES[prefix], rest
    check_name(name)
    missing = None
    for candidate in (kind,) if kind else _TRIED:
        with explained(name):
            try:
                info = api.repo_info(name, repo_type=candidate, revision=revision or None, files_metadata=True)
            except RepositoryNotFoundError as error:
                missing = error
                continue
        return HubFiles(api, info, candidate), candidate
    assert missing is not None
    raise explain(missing, name)
