"""The repositories of one hub on disk: make, find, rename, delete, list.

A repository is one folder, so that it can be renamed and deleted at once::

    ROOT/repos/datasets/lab/lorenz.git/      a bare git repository
        hub.json                             what git does not know: private, gated, creation date, Space SDK
        lfs/ab/cd/<sha256>                   its large files
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path

import pygit2
from pygit2.enums import RepositoryOpenFlag

from hubkit.server.errors import ApiError
from hubkit.server.files import Locks, empty_folder, fsync_folder, fsync_tree, write_json
from hubkit.server.gitobjects import LooseWriter, commit_data
from hubkit.server.lfs import LfsStore
from hubkit.server.paths import REPO_TYPES, RepoKey, is_name
from hubkit.server.patterns import default_attributes
from hubkit.server.refs import DEFAULT_BRANCH


@dataclass(frozen=True)
class Meta:
    """What a repository is beside its content.

    Attributes:
        uid: Random; a repository that is deleted and made again is another one.
        created: When it was made (seconds since the epoch).
        private: Whether it takes a token to see it.
        gated: Whether it takes a token to read its files: `auto`, `manual` or False.
        sdk: What runs a Space.
    """

    uid: str
    created: float
    private: bool = False
    gated: str | bool = False
    sdk: str | None = None


class Repo:
    """One repository, as it is at the moment of one request.

    Args:
        key: Its type, namespace and name.
        path: Its folder.
    """

    def __init__(self, key: RepoKey, path: Path) -> None:
        self.key = key
        self.path = path
        self.lfs = LfsStore(path)
        self.meta = Meta(**json.loads((path / "hub.json").read_bytes()))

    @cached_property
    def git(self) -> pygit2.Repository:
        """The git repository, opened when it is first needed."""
        return pygit2.Repository(str(self.path), RepositoryOpenFlag.NO_SEARCH | RepositoryOpenFlag.BARE)

    def update(self, **changes: bool | str) -> None:
        """Changes its metadata. The caller holds its lock."""
        self.meta = replace(self.meta, **changes)  # type: ignore[arg-type]
        write_json(self.path / "hub.json", asdict(self.meta))


class Store:
    """All repositories of a hub.

    Args:
        root: The hub's folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.temporary = root / "tmp"
        self._repos = root / "repos"
        self._locks = Locks(root / "locks")
        for folder in (self.temporary, self._repos, root / "locks"):
            folder.mkdir(parents=True, exist_ok=True)

    def clean(self) -> None:
        """Removes what an interrupted run left behind. Only for a server that has the hub to itself."""
        empty_folder(self.temporary)

    def path(self, key: RepoKey) -> Path:
        """Where a repository lies, or would lie."""
        return self._repos / key.type / key.namespace / f"{key.name}.git"

    def get(self, key: RepoKey) -> Repo | None:
        """Finds a repository."""
        if key.type not in REPO_TYPES or not is_name(key.namespace) or not is_name(key.name):
            return None
        try:
            return Repo(key, self.path(key))
        except (FileNotFoundError, NotADirectoryError):
            return None

    @contextlib.contextmanager
    def locked(self, key: RepoKey) -> Iterator[None]:
        """Holds the lock under which everything that changes a repository happens."""
        with self._locks.hold(f"{key.type}--{key.namespace}--{key.name}".lower()):
            yield

    @contextlib.contextmanager
    def locked_repo(self, repo: Repo) -> Iterator[Repo]:
        """Holds a repository's lock, having made sure that it is still there and still the same.

        Raises:
            ApiError: 409 when it was deleted, renamed or replaced meanwhile.
        """
        with self.locked(repo.key):
            current = self.get(repo.key)
            if current is None or current.meta.uid != repo.meta.uid:
                raise ApiError(409, f"The repository {repo.key.id} was moved or deleted meanwhile")
            yield current

    def create(self, key: RepoKey, author: str, private: bool, sdk: str | None) -> Repo:
        """Makes a repository with an initial commit.

        Raises:
            ApiError: 409 when it exists; names that differ only in case count as the same.
        """
        with self.locked(key):
            self._refuse_existing(key)
            draft = self.temporary / f"repo-{secrets.token_hex(12)}"
            try:
                meta = Meta(uid=secrets.token_hex(12), created=time.time(), private=private, sdk=sdk)
                _initialise(draft, key, author, meta)
                self._place(draft, key)
            finally:
                shutil.rmtree(draft, ignore_errors=True)
            return Repo(key, self.path(key))

    def _refuse_existing(self, key: RepoKey) -> None:
        for namespace in _folders(self._repos / key.type):
            if namespace.name.lower() == key.namespace.lower():
                names = [folder.name.lower() for folder in _folders(Path(namespace.path))]
                if f"{key.name}.git".lower() in names:
                    raise ApiError(409, f"You already created this {key.type.removesuffix('s')} repo")

    def _place(self, source: Path, key: RepoKey) -> None:
        target = self.path(key)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.rename(source, target)
        for folder in (target.parent, target.parent.parent, self._repos):
            fsync_folder(folder)

    def delete(self, repo: Repo) -> None:
        """Removes a repository: it vanishes at once, its files a little later."""
        with self.locked_repo(repo):
            grave = self.temporary / f"deleted-{secrets.token_hex(12)}"
            os.rename(repo.path, grave)
            fsync_folder(repo.path.parent)
        shutil.rmtree(grave, ignore_errors=True)

    def move(self, repo: Repo, key: RepoKey) -> None:
        """Renames a repository.

        Raises:
            ApiError: 409 when the new name is taken.
        """
        first, second = sorted([repo.key, key])
        if first == second:
            raise ApiError(409, f"{key.id} is its name already")
        with self.locked(first), contextlib.ExitStack() as stack:
            # Two names that differ only in case share one lock.
            if first.id.lower() != second.id.lower():
                stack.enter_context(self.locked(second))
            if self.get(repo.key) is None:
                raise ApiError(409, f"The repository {repo.key.id} was moved or deleted meanwhile")
            if first.id.lower() != second.id.lower():
                self._refuse_existing(key)
            self._place(repo.path, key)
            fsync_folder(repo.path.parent)

    def all(self, type_: str) -> Iterator[Repo]:
        """All repositories of a type, in no particular order."""
        for namespace in _folders(self._repos / type_):
            for folder in _folders(Path(namespace.path)):
                repo = self.get(RepoKey(type_, namespace.name, folder.name.removesuffix(".git")))
                if repo is not None:
                    yield repo


def _folders(path: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(path) as entries:
            return [entry for entry in entries if entry.is_dir()]
    except FileNotFoundError:
        return []


def _initialise(folder: Path, key: RepoKey, author: str, meta: Meta) -> None:
    git = pygit2.init_repository(str(folder), bare=True, initial_head=DEFAULT_BRANCH)
    writer = LooseWriter(git)
    blob = writer.add("blob", default_attributes(key.type))
    tree = writer.add("tree", b"100644 .gitattributes\0" + bytes.fromhex(blob))
    commit = writer.add("commit", commit_data(tree, [], author, "initial commit"))
    git.references.create(f"refs/heads/{DEFAULT_BRANCH}", commit)
    write_json(folder / "hub.json", asdict(meta))
    fsync_tree(folder)
