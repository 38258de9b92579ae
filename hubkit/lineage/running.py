"""Runs the commands of a reproduction, one after the other; what is done is noted, so that the same call goes on."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hubkit.ending import call
from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.lineage.remaking import Remaking, Step

STATE = "reproduce.json"
_PROGRAMS = {"hubkit": "hubkit", "hf": "huggingface_hub.cli.hf"}
"""Modules that are run by this interpreter, whatever PATH says."""


def run(remaking: Remaking, folder: Path, say: Callable[[str], None]) -> None:
    """Run what is left of a reproduction.

    Args:
        remaking: From :func:`hubkit.lineage.remaking.remaking`.
        folder: Where; what other reproductions left there is refused.
        say: Hears of each command. What the commands print goes to stderr.

    Raises:
        UserError: It is impossible, the folder is another reproduction's, or a command failed; after a mend the same
            call goes on there.
    """
    if remaking.obstacles:
        raise UserError(f"{remaking.original.name} can't be made again: {'; '.join(remaking.obstacles)}")
    state = _begun(remaking, folder)
    for step in remaking.steps:
        line = str(step)
        if step.by_hand:
            continue
        if line in state["done"] or (step.makes and (folder / step.makes).is_file()):
            say(f"done before: {line}")
            continue
        say(f"\n{step.what}: {line}")
        status = _call(step, folder)
        if status:
            raise UserError(f"`{line}` ended with status {status}; after a mend the same command goes on there")
        state["done"].append(line)
        _note(folder, state)


def _begun(remaking: Remaking, folder: Path) -> dict[str, Any]:
    """Return what is noted in a folder, which is made if need be.

    Raises:
        UserError: It is another reproduction's.
    """
    own = {"model": remaking.original.repo, "commit": remaking.original.commit}
    try:
        state = json.loads((folder / STATE).read_bytes())
    except FileNotFoundError:
        state = own | {"done": []}
        _note(folder, state)
    except ValueError:
        raise UserError(f"{folder / STATE} is damaged: name an empty folder by -o") from None
    if own != {key: state.get(key) for key in own}:
        raise UserError(
            f"{folder} holds the reproduction of {state.get('model')} at {str(state.get('commit'))[:12]}: name another "
            "folder by -o"
        )
    return state


def _note(folder: Path, state: dict[str, Any]) -> None:
    write_atomic(folder / STATE, json.dumps(state, indent=1) + "\n")


def _call(step: Step, folder: Path) -> int:
    """Run one command and return its exit status."""
    program, *arguments = step.command
    command = [sys.executable, "-m", _PROGRAMS[program], *arguments]
    return call(command, cwd=folder, env=os.environ | {"HUBKIT_NESTED": "1"}, stdout=sys.stderr.fileno())
