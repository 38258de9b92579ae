"""Rules on code in a card: it parses, it calls what exists, it loads this repository, and it runs."""

import ast
import importlib
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from hubkit.cards import gone, legal
from hubkit.cards.findings import Flaw, Severity, rule
from hubkit.cards.rules.references import reference_trouble
from hubkit.cards.running import run_snippet
from hubkit.cards.snippets import SHELL, Loaded, calls, loads, snippets

if TYPE_CHECKING:
    from hubkit.cards.card import Card

_PACKAGES = {
    "PIL": "pillow",
    "sklearn": "scikit-learn",
    "cv2": "opencv-python",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
}
_EXAMPLE = re.compile(
    r"[<>{}\[\]]|\b(?:your|my)[-_ ]|\busername\b|^user/|\bpath[-_]to\b|\.\.\.|"
    r"(?:^|/)(?:model|dataset|repo)[-_](?:id|name)$",
    re.I,
)
"""Names that stand in the place of somebody's own."""


@rule(Severity.ERROR, "snippet-syntax", "Python in a card parses.")
def _syntax(card: "Card") -> Iterator[Flaw]:
    for snippet in snippets(card):
        if snippet.trouble:
            yield Flaw(
                snippet.trouble[0], f"this is not Python ({snippet.trouble[1]})", "mend it, or name its language"
            )


@rule(Severity.ERROR, "snippet-import", "Snippets import names that the Hub's libraries have.")
def _imports(card: "Card") -> Iterator[Flaw]:
    for line, module, name in _imported(card):
        package = module.partition(".")[0]
        if package not in gone.NAMES or _has(module, name):
            continue
        what = f"{module}.{name}" if name else module
        message = f"{what} is not in {package} {version(package)}"
        instead = gone.NAMES[package].get(name or "")
        if instead is None and package == "transformers" and (name or "").startswith(("TF", "Flax")):
            instead = f"{(name or '').removeprefix('TF').removeprefix('Flax')}, of PyTorch"
        yield Flaw(line, message, f"use {instead}" if instead else "look up what it is called today")


@rule(Severity.WARNING, "snippet-module", "Snippets import what is there, or the card says how to install it.")
def _modules(card: "Card") -> Iterator[Flaw]:
    told = {value.lower() for name in ("tags", "library_name") for _, value in card.texts(name)}
    for line, module, _ in _imported(card):
        top = module.partition(".")[0]
        package = _PACKAGES.get(top, top).lower()
        spellings = {package, package.replace("_", "-"), top.lower()}
        known = top in sys.stdlib_module_names or f"{top}.py" in card.files.sizes or find_spec(top) is not None
        installed = any(re.search(rf"\b(?:install|add)\b[^\n]*\b{re.escape(name)}\b", card.text) for name in spellings)
        if not known and not installed and not spellings & told:
            yield Flaw(
                line,
                f"the module {top} is not installed here, and the card does not say how to",
                f"write pip install {package}",
            )


@rule(Severity.ERROR, "snippet-gone", "Snippets call nothing that the Hub's libraries have dropped.")
def _gone(card: "Card") -> Iterator[Flaw]:
    for snippet in snippets(card):
        for line, name, call in calls(snippet):
            if name in gone.METHODS and isinstance(call.func, ast.Attribute):
                yield Flaw(line, f"tokenizers have no {name} any more", f"write {gone.METHODS[name]}")
            for word in call.keywords:
                instead = gone.KEYWORDS.get(name, {}).get(word.arg or "")
                if instead:
                    yield Flaw(line, f"{name} takes no {word.arg} any more", f"write {instead}")
            task = (
                call.args[0].value
                if name == "pipeline" and call.args and isinstance(call.args[0], ast.Constant)
                else None
            )
            if isinstance(task, str) and (task in gone.PIPELINES or gone.TRANSLATION.fullmatch(task)):
                instead = gone.PIPELINES["translation" if "_to_" in task else task]
                yield Flaw(line, f"transformers has no pipeline {task} any more", f"use {instead}")
    for block in card.body.blocks:
        for i, text in enumerate(block.code.splitlines() if block.language in SHELL else ()):
            if gone.COMMAND.search(text):
                yield Flaw(block.line + i, "the command huggingface-cli is gone", "write hf")


@rule(Severity.ERROR, "snippet-id", "Snippets load repositories by their ids, not examples or paths of one machine.")
def _ids(card: "Card") -> Iterator[Flaw]:
    for loaded in loads(card):
        if loaded.name in legal.LOADERS and loaded.kind == "dataset":
            continue
        if _EXAMPLE.search(loaded.name):
            yield Flaw(loaded.line, f"{loaded.call} loads {loaded.name}, which is only an example", _own(card))
        elif trouble := reference_trouble(loaded.name):
            yield Flaw(loaded.line, f"{loaded.call}: {trouble[0]}", _own(card))


@rule(
    Severity.ERROR,
    "snippet-repository",
    "Snippets load this repository, and not the one that the card was copied from.",
)
def _repository(card: "Card") -> Iterator[Flaw]:
    own = [loaded for loaded in loads(card) if loaded.kind == card.kind and _is_id(loaded)]
    if own and card.name is None:
        card.unchecked.append("whether the snippets load this repository (tell its name with --repo)")
    if card.name is None or card.name in [loaded.name for loaded in own]:
        return
    declared = {
        value
        for name in ("datasets", "models", "base_model", "new_version", "source_datasets")
        for _, value in card.texts(name)
    }
    for loaded in own:
        if loaded.name not in declared:
            yield Flaw(loaded.line, f"{loaded.call} loads {loaded.name}, and this is {card.name}", _own(card))


@rule(Severity.ERROR, "snippet-run", "Python in a card runs, for somebody without a token (asked by --run).", runs=True)
def _run(card: "Card") -> Iterator[Flaw]:
    before = ""
    with tempfile.TemporaryDirectory() as folder:
        for snippet in snippets(card):
            if snippet.tree is None:
                continue
            failure, skipped = run_snippet(snippet.code, Path(folder), card.seconds), 0
            if failure and failure.is_name and before:
                # It goes on where the ones before it ended.
                skipped = before.count("\n")
                failure = run_snippet(before + snippet.code, Path(folder), card.seconds)
            before += snippet.code + "\n"
            if failure:
                place = max(0, (failure.line or 1) - 1 - skipped)
                yield Flaw(
                    snippet.line + place, f"the snippet fails: {failure.reason}", "mend it, and run it as printed"
                )


def _imported(card: "Card") -> Iterator[tuple[int, str, str | None]]:
    """Yield line, module and (of ``from … import``) name of every import."""
    for snippet in snippets(card):
        for node in ast.walk(snippet.tree) if snippet.tree else ():
            line = snippet.line + getattr(node, "lineno", 1) - 1
            if isinstance(node, ast.Import):
                yield from ((line, alias.name, None) for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                yield from ((line, node.module, alias.name) for alias in node.names)


@cache
def _has(module: str, name: str | None) -> bool:
    """Tell whether a library has a module and a name in it, which only its top module is asked for."""
    top, _, below = module.partition(".")
    names = dir(importlib.import_module(top))
    if not below:
        return name is None or name == "*" or name in names or find_spec(f"{top}.{name}") is not None
    try:
        return below in names or find_spec(module) is not None
    except ModuleNotFoundError:
        return False


def _is_id(loaded: Loaded) -> bool:
    return "/" in loaded.name and not _EXAMPLE.search(loaded.name) and reference_trouble(loaded.name) is None


def _own(card: "Card") -> str:
    return f"write {card.name}" if card.name else "write the OWNER/NAME of this repository"
