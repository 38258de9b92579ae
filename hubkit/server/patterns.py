"""The patterns of `.gitattributes` and `.gitignore`: which files go to LFS, and which are left out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

# Each star multiplies the work of the matcher: a hostile file must not stop the server.
_MAX_STARS = 8

_LFS = "filter=lfs diff=lfs merge=lfs -text"

_COMMON = (
    *("*.7z", "*.arrow", "*.bin", "*.bz2", "*.ckpt", "*.ftz", "*.gz", "*.h5", "*.joblib", "*.lfs.*", "*.mlmodel"),
    *("*.model", "*.msgpack", "*.npy", "*.npz", "*.onnx", "*.ot", "*.parquet", "*.pb", "*.pickle", "*.pkl", "*.pt"),
    *("*.pth", "*.rar", "*.safetensors", "saved_model/**/*", "*.tar.*", "*.tar", "*.tflite", "*.tgz", "*.wasm"),
    *("*.xz", "*.zip", "*.zst", "*tfevents*"),
)
_DATASETS_TOO = (
    *("*.avro", "*.lz4", "*.mds", "*.pcm", "*.sam", "*.raw", "*.aac", "*.flac", "*.mp3", "*.ogg", "*.wav", "*.bmp"),
    *("*.gif", "*.png", "*.tiff", "*.jpg", "*.jpeg", "*.webp", "*.mp4", "*.webm"),
)


def default_attributes(repo_type: str) -> bytes:
    """The `.gitattributes` that a new repository starts with."""
    names = _COMMON + (_DATASETS_TOO if repo_type == "datasets" else ())
    return "".join(f"{name} {_LFS}\n" for name in names).encode()


class _Rule(NamedTuple):
    regex: re.Pattern[str]
    value: bool


class LfsRules:
    """Which paths a `.gitattributes` sends to LFS. Only the file at the root of the repository is read.

    Args:
        attributes: The content of the file.
    """

    def __init__(self, attributes: bytes) -> None:
        self._rules = list(_attribute_rules(attributes.decode("utf-8", "replace")))
        self._rules.reverse()

    def match(self, path: str) -> bool:
        """Tells whether the last rule that concerns the path sends it to LFS."""
        return next((rule.value for rule in self._rules if rule.regex.fullmatch(path)), False)


def _attribute_rules(text: str) -> Iterable[_Rule]:
    for line in text.splitlines():
        stripped = line.strip(" \t\r\n")
        if not stripped or stripped.startswith("#"):
            continue
        quoted = re.match(r'"((?:[^"\\]|\\.)*)"(?=\s|$)(.*)', stripped)
        if quoted:
            pattern, rest = _unquote(quoted[1]), quoted[2]
        else:
            pattern, _, rest = stripped.replace("\t", " ").partition(" ")
        # Negative patterns are forbidden in .gitattributes, and a trailing slash matches nothing there.
        if pattern.startswith("!") or pattern.endswith("/") or pattern.startswith("[attr]"):
            continue
        filters = [word for word in rest.split() if re.fullmatch(r"[-!]?filter(=.*)?", word)]
        if filters:
            yield _Rule(_compile(pattern), filters[-1] == "filter=lfs")


def _unquote(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def attribute_line(path: str) -> bytes:
    """The line that sends exactly this path to LFS."""
    escaped = re.sub(r"([\[\]*?\\#!\"])", r"\\\1", path)
    # Spaces end a pattern; git-lfs writes them like this too.
    escaped = re.sub(r"\s", "[[:space:]]", escaped)
    # A pattern without a slash would match that name in every folder.
    anchored = escaped if "/" in escaped else f"/{escaped}"
    return f"{anchored} {_LFS}\n".encode()


class IgnoreRules:
    """Which paths a `.gitignore` leaves out. Only the file at the root of the repository is read.

    Args:
        ignore: The content of the file.
    """

    def __init__(self, ignore: str) -> None:
        self._rules: list[tuple[re.Pattern[str], bool, bool]] = []
        for line in ignore.splitlines():
            pattern = line.rstrip("\r\n")
            if not pattern.endswith("\\ "):
                pattern = pattern.rstrip(" ")
            negated = pattern.startswith("!")
            pattern = pattern[1:] if negated else pattern
            only_folders = pattern.endswith("/")
            pattern = pattern.rstrip("/")
            if pattern and not (line.startswith("#")):
                self._rules.append((_compile(pattern), not negated, only_folders))

    def match(self, path: str) -> bool:
        """Tells whether a file is ignored, by itself or because a folder above it is."""
        parts = path.split("/")
        return any(self._ignored("/".join(parts[:end]), end < len(parts)) for end in range(1, len(parts) + 1))

    def _ignored(self, path: str, is_folder: bool) -> bool:
        verdict = False
        for regex, ignored, only_folders in self._rules:
            if (is_folder or not only_folders) and regex.fullmatch(path):
                verdict = ignored
        return verdict


@lru_cache(maxsize=4096)
def _compile(pattern: str) -> re.Pattern[str]:
    """Translates a pattern to a regular expression for whole paths."""
    if pattern.count("*") > _MAX_STARS:
        return re.compile(r"(?!)")
    anchored = "/" in pattern
    body = _translate(pattern.removeprefix("/"))
    try:
        return re.compile(body if anchored else f"(?:.*/)?{body}", re.DOTALL)
    except re.error:
        return re.compile(r"(?!)")


_CLASSES = {"space": r"\s", "digit": "0-9", "alpha": "A-Za-z", "alnum": "A-Za-z0-9", "upper": "A-Z", "lower": "a-z"}


def _translate(pattern: str) -> str:
    result, index = [], 0
    while index < len(pattern):
        char = pattern[index]
        if pattern.startswith("**/", index) and (index == 0 or pattern[index - 1] == "/"):
            result.append("(?:.*/)?")
            index += 3
        elif pattern[index:] == "**" and (index == 0 or pattern[index - 1] == "/"):
            result.append(".*")
            index += 2
        elif char == "*":
            # Runs of stars mean one, and would make the matcher try each split.
            index += len(pattern[index:]) - len(pattern[index:].lstrip("*"))
            result.append("[^/]*")
        elif char == "?":
            result.append("[^/]")
            index += 1
        elif char == "[" and (bracket := _bracket(pattern, index)):
            text, index = bracket
            result.append(text)
        elif char == "\\" and index + 1 < len(pattern):
            result.append(re.escape(pattern[index + 1]))
            index += 2
        else:
            result.append(re.escape(char))
            index += 1
    return "".join(result)


def _bracket(pattern: str, start: int) -> tuple[str, int] | None:
    """Translates `[…]` at an index; returns the expression and the index after it, or None if it is not closed."""
    index = start + 1
    negated = pattern[index : index + 1] in ("!", "^")
    index += negated
    members: list[str] = []
    while index < len(pattern) and (pattern[index] != "]" or not members):
        named = re.compile(r"\[:(\w+):\]").match(pattern, index)
        if named:
            members.append(_CLASSES.get(named[1], ""))
            index = named.end()
        elif pattern[index] == "-" and members and pattern[index + 1 : index + 2] not in ("", "]"):
            members.append("-")
            index += 1
        else:
            index += pattern[index] == "\\" and index + 1 < len(pattern)
            members.append(re.escape(pattern[index]))
            index += 1
    if index >= len(pattern):
        return None
    # A bracket never matches a slash.
    return f"(?!/)[{'^' if negated else ''}{''.join(members)}]", index + 1
