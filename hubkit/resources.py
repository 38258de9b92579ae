"""Finds what lives beside the package: dataset builders, card templates, the Space and the recipes.

In a checkout these are folders at its top level, where people read and edit them. In an installed wheel they travel
inside the package (see pyproject.toml), because a top-level folder such as `spaces` on sys.path would shadow other
people's packages. Everything asks :func:`resource` and nobody else knows where the files are.
"""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from hubkit.errors import UserError

_PACKAGE = Path(__file__).resolve().parent
_INSTALLED = _PACKAGE / "bundled"


def resource(*parts: str) -> Path:
    """Return the path of a file or folder that travels with hubkit.

    Args:
        *parts: Path below the top level, such as ``("model_cards", "dataset.md.j2")``.

    Raises:
        UserError: The installation lacks it.
    """
    root = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent
    path = root.joinpath(*parts)
    if not path.exists():
        raise UserError(f"this installation of hubkit lacks {'/'.join(parts)} (looked in {root}); install it again")
    return path


def checkout() -> Path | None:
    """Return the top folder of the source checkout that hubkit runs from, or None for an installed wheel."""
    root = _PACKAGE.parent
    return root if not _INSTALLED.is_dir() and (root / "pyproject.toml").is_file() else None


def load_module(path: Path, name: str) -> ModuleType:
    """Import a Python file that lies outside any package, once, under the given module name.

    Args:
        path: The file.
        name: Its name in ``sys.modules``; a second call with that name and file returns the same module.
    """
    path = path.resolve()
    known = sys.modules.get(name)
    if known is not None and getattr(known, "__file__", None) == str(path):
        return known
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
