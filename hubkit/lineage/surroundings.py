"""Where something is made: code, interpreter, platform, device, libraries; and how two such places differ."""

from collections.abc import Iterable, Mapping
from typing import Any

from hubkit.provenance import code_version, library_versions, platform_name, python_version


def surroundings(libraries: Iterable[str]) -> dict[str, Any]:
    """Return this process's surroundings, as `run.json` writes them down.

    Args:
        libraries: The distributions whose versions matter.
    """
    import torch

    accelerator = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "code": code_version(),
        "python": python_version(),
        "platform": platform_name(),
        "device": accelerator or "cpu",
        "libraries": library_versions(libraries),
    }


def differences(run: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """Return in words how the place where a model was trained differs from this one, or may differ.

    Args:
        run: Its `run.json`.
        here: From :func:`surroundings`.
    """
    there = run.get("environment") or {}
    found = [
        f"{field}: it was made with {there.get(field)}, and here is {here[field]}"
        for field in ("device", "platform", "python")
        if there.get(field) != here[field]
    ]
    for name, version in (there.get("libraries") or {}).items():
        own = here["libraries"].get(name)
        if own != version:
            found.append(f"{name}: it was made with {version}, and here is {own or 'none'}")
    processes = there.get("processes") or 1
    if processes != 1:
        found.append(f"processes: {processes} trained it together; as many give the same order of rows")
    return found + _code(run.get("code") or {}, here["code"])


def _code(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    found = []
    if there.get("hubkit") != here["hubkit"]:
        found.append(f"hubkit: it was made with {there.get('hubkit')}, and here is {here['hubkit']}")
    elif there.get("commit") and here["commit"] and there["commit"] != here["commit"]:
        found.append(f"hubkit: it was made at commit {there['commit'][:12]}, and here is {here['commit'][:12]}")
    if there.get("modified"):
        found.append("hubkit: it was made by code that was changed and not committed, which nobody else has")
    return found
