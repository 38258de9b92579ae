"""The repository around a card: names and sizes of its files, and the bytes of the few that rules ask for."""

import io
import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from hubkit.errors import UserError
from hubkit.hub_errors import explained
from hubkit.publishing.hub import Repository
from hubkit.publishing.sources import RepoType

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_REMOTE = re.compile(r"^\s*url\s*=\s*https?://(?:[^/@\s]+@)?[^/\s]+/(?:(?:datasets|spaces)/)?([\w.-]+/[\w.-]+?)(?:\.git)?$",
                     re.MULTILINE)  # fmt: skip

_NOT_OURS = {".git", ".cache", ".venv", "venv", "__pycache__", "node_modules"}
"""Folders that lie in a checkout and are not published."""


class Files(ABC):
    """The files of a repository at one revision."""

    sizes: Mapping[str, int]
    """Bytes of every file, by path."""
    name: str | None = None
    """``owner/name``, where it is known."""
    far: bool = False
    """Whether every look into a file costs a request."""

    @abstractmethod
    def read(self, path: str) -> bytes | None:
        """Return the bytes of a small file, or None if there is none of that name."""

    @abstractmethod
    def open(self, path: str) -> BinaryIO:
        """Open a file for reading here and there."""


class Folder(Files):
    """A folder on this machine: a clone, or what is going to be one."""

    def __init__(self, root: Path, name: str | None = None):
        self.root = root
        self.name = name or _origin(root)
        self.sizes = {path.relative_to(root).as_posix(): path.stat().st_size for path in sorted(_walk(root))}

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a small file, or None if there is none of that name."""
        return (self.root / path).read_bytes() if path in self.sizes else None

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading here and there."""
        return (self.root / path).open("rb")


class HubFiles(Files):
    """A repository on a Hub at a commit: one request names all files."""

    far = True

    def __init__(self, api: "HfApi", info: Any, kind: RepoType):
        """Take what `HfApi.repo_info` answered, with `files_metadata`."""
        self.name = info.id
        self.revision: str = info.sha
        self.sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
        self._repository = Repository(api, info.id, kind)
        self._kind = kind

    def read(self, path: str) -> bytes | None:
        """Return the bytes of a small file, or None if there is none of that name."""
        with explained(str(self.name)):
            return self._repository.read(path, self.revision) if path in self.sizes else None

    def open(self, path: str) -> BinaryIO:
        """Open a file for reading here and there; each look is one request."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.utils import build_hf_headers

        api = self._repository.api
        url = hf_hub_url(str(self.name), path, repo_type=self._kind, revision=self.revision, endpoint=api.endpoint)
        headers = {**build_hf_headers(token=api.token), "Accept-Encoding": "identity"}
        return io.BufferedReader(_Ranges(url, headers, self.sizes[path], str(self.name)), buffer_size=1 << 16)  # type: ignore[return-value]


class _Ranges(io.RawIOBase):
    """A file on the Hub, of which only the asked bytes are fetched."""

    def __init__(self, url: str, headers: dict[str, str], size: int, repo: str):
        self._url, self._headers, self._size, self._repo = url, headers, size, repo
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._size}[whence]
        self._place = base + offset
        return self._place

    def readinto(self, buffer: Any, /) -> int:
        from huggingface_hub.utils import hf_raise_for_status, http_backoff

        count = min(len(buffer), self._size - self._place)
        if count <= 0:
            return 0
        asked = f"bytes={self._place}-{self._place + count - 1}"
        with explained(self._repo):
            response = http_backoff("GET", self._url, headers={**self._headers, "Range": asked}, max_retries=2)
            hf_raise_for_status(response)
        data = response.content if response.status_code == 206 else response.content[self._place :]
        buffer[: min(count, len(data))] = data[:count]
        self._place += min(count, len(data))
        return min(count, len(data))


def _walk(root: Path) -> Iterator[Path]:
    """Yield the files below a folder that can be of the repository."""
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _NOT_OURS]
        yield from (path for name in names if (path := Path(folder, name)).is_file())


def _origin(root: Path) -> str | None:
    """Return the repository that a clone came from."""
    try:
        found = _REMOTE.search((root / ".git" / "config").read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError):
        return None
    return found.group(1) if found else None


def open_folder(root: Path, name: str | None) -> Folder:
    """Look at a folder.

    Raises:
        UserError: It can't be read.
    """
    try:
        return Folder(root, name)
    except OSError as error:
        raise UserError(f"can't read {error.filename}: {error.strerror}") from None
