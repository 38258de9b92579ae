"""What made something: the code's commit, the libraries' versions, the machine's kind. No user name, no whole path."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from hubkit import __version__
from hubkit.resources import checkout


def code_version() -> dict[str, Any]:
    """Return hubkit's version and, in a checkout, its commit and whether tracked files were modified since."""
    root = checkout()
    commit = _git(root, "rev-parse", "HEAD") if root else None
    changed = _git(root, "status", "--porcelain", "--untracked-files=no") if commit else None
    return {"hubkit": __version__, "commit": commit, "modified": bool(changed)}


def library_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the installed version of each distribution, by name; absent ones are left out."""
    found = {}
    for name in sorted(names):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def platform_name() -> str:
    """Return operating system and processor family, such as ``Linux-x86_64``."""
    return f"{platform.system()}-{platform.machine()}"


def python_version() -> str:
    """Return the interpreter's version, such as ``3.11.7``."""
    return ".".join(str(part) for part in sys.version_info[:3])


def end_of_path(path: Path) -> str:
    """Return the end of a path of this machine, by which its owner knows it again, such as ``runs/x/model``.

    It has three parts at most, none of them above the user's home or, elsewhere, among the first two folders from the
    root, where users have theirs.
    """
    whole, home = Path(os.path.abspath(path.expanduser())), Path.home()
    top = home if whole.is_relative_to(home) else Path(*whole.parts[:3])
    parts = whole.relative_to(top).parts or (whole.name,)
    return "/".join(part for part in parts[-3:] if part != home.name) or "~"


def _git(root: object, *arguments: str) -> str | None:
    # Inside a git hook these variables name another repository than the one at `root`.
    outside = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, timeout=10, check=False, env=outside
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
