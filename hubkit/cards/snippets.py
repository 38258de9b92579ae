"""The code of a card: its Python blocks as programs, and the repositories that they and shell commands load."""

import ast
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from hubkit.cards.once import once
from hubkit.publishing.sources import RepoType

if TYPE_CHECKING:
    from hubkit.cards.card import Card
    from hubkit.cards.markdown import CodeBlock

PYTHON = {"python", "py", "python3", "pycon"}
SHELL = {"bash", "sh", "shell", "console", "zsh", "shell-session"}

_MAGIC = re.compile(r"^(\s*)[!%].*$", re.MULTILINE)
_PROMPT = re.compile(r"^(?:>>>|\.\.\.)(?: |$)")
_DATASET_CALLS = {"load_dataset", "load_dataset_builder", "get_dataset_config_names", "get_dataset_split_names"}
_FILE_CALLS = {"hf_hub_download", "snapshot_download", "hf_hub_url"}
_MODEL_CALLS = {"SentenceTransformer", "CrossEncoder", "LLM"}
_COMMAND = re.compile(r"\b(?:hf|huggingface-cli) download\s+([^\s\\-][^\s\\]*)(.*)|"
                      r"\bgit clone\s+https?://[^/\s]+/(datasets/|spaces/)?([\w.-]+/[\w.-]+)")  # fmt: skip
_TYPE = re.compile(r"--repo-type[ =](\w+)")


@dataclass(frozen=True)
class Snippet:
    """A Python block of a card."""

    line: int
    """Of its first line of code."""
    code: str
    """What Python reads: no prompts, no commands of notebooks, as many lines as in the card."""
    tree: ast.Module | None
    trouble: tuple[int, str] | None = None
    """Line and reason where it does not parse."""


@dataclass(frozen=True)
class Loaded:
    """A repository, or what stands in its place, that a snippet loads."""

    line: int
    kind: RepoType
    name: str
    call: str


@once
def snippets(card: "Card") -> list[Snippet]:
    """Return the Python blocks of a card, parsed."""
    return [_parsed(block) for block in card.body.blocks if block.language in PYTHON]


@once
def loads(card: "Card") -> list[Loaded]:
    """Return what the snippets of a card load, in the order of their lines."""
    found = [item for snippet in snippets(card) if snippet.tree for item in _python_loads(snippet)]
    for block in card.body.blocks:
        if block.language in SHELL:
            found += _shell_loads(block)
    return sorted(found, key=lambda item: item.line)


def calls(snippet: Snippet) -> Iterator[tuple[int, str, ast.Call]]:
    """Yield line, last part of the name, and node of every call."""
    for node in ast.walk(snippet.tree) if snippet.tree else ():
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield snippet.line + node.lineno - 1, name, node


def _parsed(block: "CodeBlock") -> Snippet:
    lines = block.code.splitlines()
    if any(line.lstrip().startswith(">>>") for line in lines):
        lines = [_PROMPT.sub("", line.lstrip()) if _PROMPT.match(line.lstrip()) else "" for line in lines]
    code = _MAGIC.sub(r"\1pass", textwrap.dedent("\n".join(lines)))
    try:
        return Snippet(block.line, code, ast.parse(code))
    except SyntaxError as error:
        return Snippet(block.line, code, None, (block.line + (error.lineno or 1) - 1, error.msg))
    except ValueError as error:  # null bytes
        return Snippet(block.line, code, None, (block.line, str(error)))


def _python_loads(snippet: Snippet) -> Iterator[Loaded]:
    texts = _assigned(snippet)
    for line, name, call in calls(snippet):
        arguments = [_text(argument, texts) for argument in call.args]
        named = {word.arg: _text(word.value, texts) for word in call.keywords if word.arg}
        first = arguments[0] if arguments else None
        kind: RepoType = "model"
        if name in _DATASET_CALLS:
            kind, value = "dataset", first or named.get("path")
        elif name in _FILE_CALLS:
            told = named.get("repo_type")
            kind, value = told if told in ("dataset", "space") else "model", first or named.get("repo_id")  # type: ignore[assignment]
        elif name == "from_pretrained":
            value = first or named.get("pretrained_model_name_or_path")
        elif name == "pipeline":
            value = named.get("model") or (arguments[1] if len(arguments) > 1 else None)
        elif name in _MODEL_CALLS:
            value = first or named.get("model") or named.get("model_name_or_path")
        else:
            continue
        if value is not None:
            yield Loaded(line, kind, value, name)


def _shell_loads(block: "CodeBlock") -> Iterator[Loaded]:
    for i, line in enumerate(block.code.splitlines()):
        for match in _COMMAND.finditer(line):
            if match.group(1):
                told = _TYPE.search(match.group(2))
                kind = told.group(1) if told else "model"
                yield Loaded(block.line + i, kind, match.group(1), "hf download")  # type: ignore[arg-type]
            else:
                kind = (match.group(3) or "models/").removesuffix("s/")
                yield Loaded(block.line + i, kind, match.group(4).removesuffix(".git"), "git clone")  # type: ignore[arg-type]


def _assigned(snippet: Snippet) -> dict[str, str]:
    """Return names that stand for one text, such as ``model_id = "org/name"``."""
    found = {}
    for node in ast.walk(snippet.tree) if snippet.tree else ():
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            found |= {target.id: node.value.value for target in node.targets if isinstance(target, ast.Name)}
    return found


def _text(node: ast.expr, texts: dict[str, str]) -> str | None:
    if isinstance(node, ast.Name):
        return texts.get(node.id)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None
