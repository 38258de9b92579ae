"""What a folder that can be published has in common, whatever it holds: files, a manifest, a comparison and a card."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from hubkit.errors import UserError
from hubkit.publishing.versions import Change, Version

RepoType = Literal["model", "dataset", "space"]

RepoFiles = Callable[[str, RepoType, str], Mapping[str, Callable[[], bytes | None]]]
"""Given a repository, its type and a commit: its files by path, each with what reads it. For cards that pin others.

Raises UserError where this Hub has no such repository or commit.
"""

CARD = "README.md"
CHANGELOG = "CHANGELOG.md"
RELEASE = "release.json"

CROISSANT = "croissant.json"

PICTURES = ".card"
"""Folder of what a card shows. It is hidden: `datasets` takes pictures that lie openly beside rows for rows."""

RESULTS = ".eval_results"
"""Folder of a model's results on benchmarks; https://huggingface.co/docs/hub/eval-results."""

OURS = frozenset({CARD, CHANGELOG, RELEASE, CROISSANT})
"""What hubkit writes beside a folder's own files; a folder's copies of these are not published as they are."""

GIT_BLOB_LIMIT = 64 << 20
"""Above this no Hub keeps a file as a plain git blob (huggingface.co: 10 MB), so its git hash isn't needed."""

_CHUNK = 1 << 20
# Looked for in every file but these, which are large and hold numbers or rows: a token lies in `token`, `run.sh` or
# `.ini` as easily as in a script.
_BULK_SUFFIXES = {".parquet", ".safetensors"}
_TOKEN = re.compile(rb"\b(?:hf_(?:oauth_)?|api_org_|hubkit_)[A-Za-z0-9]{30}")
_TOKEN_STARTS = (b"hf_", b"api_org_", b"hubkit_")
_TOKEN_BYTES = 64
"""Longer than what `_TOKEN` matches: so much of one chunk is looked at again with the next."""


@dataclass(frozen=True)
class Stored:
    """Bytes that the repository itself has, so that nothing has to be sent."""

    path: str
    commit: str


@dataclass(frozen=True)
class Content:
    """The bytes of one file to publish: where they are and what they are."""

    path: str
    """Path in the repository."""
    source: Path | bytes | Stored
    size: int
    sha256: str
    git_oid: str | None
    """Name of the git blob with these bytes; None above `GIT_BLOB_LIMIT`."""


@dataclass(frozen=True)
class CardFacts:
    """Everything hubkit has to say in a README."""

    metadata: Mapping[str, Any]
    """Fields of the front matter that hubkit sets."""
    defaults: Mapping[str, Any]
    """Fields that hubkit only sets where a person hasn't."""
    body: str
    """Markdown, in marked sections."""
    beside: "tuple[Content, ...]" = ()
    """Files that it comes with, such as the pictures that it shows; they have no say in the version."""


class Source(ABC):
    """A folder on disk that can become a release."""

    kind: ClassVar[str]
    """What people call it: ``corpus``, ``model`` or ``space``."""
    repo_type: ClassVar[RepoType]
    """What the Hub calls it."""
    manifest_name: ClassVar[str]
    """The file by which two releases are compared."""

    def __init__(self, root: Path):
        self.root = root
        self.manifest = self.read_manifest()
        self.left_out: list[str] = []
        """What lies in the folder and is not published, with the reason."""

    @abstractmethod
    def read_manifest(self) -> dict[str, Any]:
        """Return the folder's manifest, checked."""

    def readme(self) -> bytes | None:
        """Return the folder's own README.md, if it has one."""
        file = self.root / CARD
        if not file.is_file():
            return None
        check_inside(self.root, file)
        return file.read_bytes()

    def walk(self) -> Iterator[tuple[str, Path]]:
        """Return the folder's files, sorted, with their paths in the repository; hidden folders are not read."""
        yield from self._walk(self.root)

    def _walk(self, folder: Path) -> Iterator[tuple[str, Path]]:
        for path in sorted(folder.iterdir(), key=lambda path: path.name):
            name = path.relative_to(self.root).as_posix()
            if path.is_dir():
                if path.is_symlink():
                    self.left_out.append(f"{name} (a link to a folder)")
                elif path.name.startswith("."):
                    self.left_out += self.hidden(f"{name}/")
                else:
                    yield from self._walk(path)
            elif path.is_file():
                yield name, path

    def hidden(self, name: str) -> list[str]:
        """Return what to say of a hidden file or folder: nothing, where nobody expects it to be published."""
        return []

    def content(self, name: str, path: Path) -> Content:
        """Describe a file of the folder that is to be published.

        Raises:
            UserError: It can't be read, holds a token, or is a link out of the folder.
        """
        check_inside(self.root, path)
        return content_of_file(name, path)

    @abstractmethod
    def files(self) -> list[Content]:
        """Return the files to publish (without card and changelog), checked and hashed; fills `left_out`."""

    @abstractmethod
    def change(self, old: Mapping[str, Any], changed: Sequence[str]) -> Change:
        """Compare with the last release.

        Args:
            old: Its manifest.
            changed: Paths of files that were added, removed or changed since; at least one.
        """

    @abstractmethod
    def card(self, repo: str, version: Version, files_of: RepoFiles) -> CardFacts:
        """Return what the README says about this version."""

    def described(
        self, card: Mapping[str, Any], repo: str, version: Version, hub: str, before: bytes | None
    ) -> bytes | None:
        """Return `croissant.json`, by which programs know the release; None for what no such description is made of.

        Args:
            card: The front matter of the release's card.
            repo: Where it is published.
            version: The release.
            hub: The Hub's address.
            before: The file as it is on the Hub, or None.
        """
        return None

    def owned(self, manifest: Mapping[str, Any]) -> set[str]:
        """Return the files that a manifest names as its release's, for releases without a list of files."""
        return set()


def content_of_bytes(path: str, data: bytes) -> Content:
    """Describe a file that was made in memory."""
    return Content(path, data, len(data), hashlib.sha256(data).hexdigest(), _git_oid(data))


def content_of_file(path: str, file: Path) -> Content:
    """Read a file once and describe it.

    Raises:
        UserError: It can't be read, or it holds what looks like an access token.
    """
    searched, tail = file.suffix not in _BULK_SUFFIXES, b""
    try:
        size = file.stat().st_size
        sha256, blob = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                if searched and contains_token(tail + chunk):
                    raise UserError(f"{path} holds what looks like an access token: take it out, and revoke that token")
                tail = chunk[-_TOKEN_BYTES:]
                sha256.update(chunk)
                if size <= GIT_BLOB_LIMIT:
                    blob.update(chunk)
    except OSError as error:
        raise UserError(f"can't read {file}: {error.strerror}") from None
    return Content(
        path, file.absolute(), size, sha256.hexdigest(), blob.hexdigest() if size <= GIT_BLOB_LIMIT else None
    )


def read_json(file: Path, mend: str) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Args:
        file: The file.
        mend: What to do where it is missing or damaged.
    """
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{file} is missing: {mend}") from None
    except OSError as error:
        raise UserError(f"can't read {file}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{file} is not valid JSON ({error}): {mend}") from None
    if not isinstance(value, dict):
        raise UserError(f"{file} holds no JSON object: {mend}")
    return value


def check_inside(root: Path, file: Path) -> None:
    """Refuse a file that is a link out of the folder: what lies there was not put here to be published.

    Raises:
        UserError: It is.
    """
    if file.is_symlink() and not file.resolve().is_relative_to(root.resolve()):
        raise UserError(f"{file} is a link to {file.resolve()}, outside the folder: put the file itself there")


def contains_token(data: bytes) -> bool:
    """Tell whether bytes hold what looks like an access token of a Hub."""
    return token_in(data) is not None


def token_in(data: bytes) -> int | None:
    """Return where bytes hold what looks like an access token of a Hub; None if they don't."""
    if not any(start in data for start in _TOKEN_STARTS):  # which is a hundred times as fast to find out
        return None
    match = _TOKEN.search(data)
    return match.start() if match else None


def need(values: Mapping[str, Any], file: Path, *fields: str) -> None:
    """Check that fields, such as ``tokenizer.name``, are there."""
    for field in fields:
        place: Any = values
        for key in field.split("."):
            if not isinstance(place, Mapping) or key not in place:
                raise UserError(f"{file}: the field {field} is missing")
            place = place[key]


def _git_oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
