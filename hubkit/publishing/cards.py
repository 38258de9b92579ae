"""Renders the templates in `model_cards/`: Markdown in which every value is data and never markup of ours."""

import json
import re
from collections.abc import Mapping
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing.rendering import size
from hubkit.resources import resource

TOKENIZER_TAG = "tokenizer:"
"""How the tag begins that names the repository of a tokenizer: the Hub finds repositories by their tags, and knows no
other way from a tokenizer to what was made with it."""

_ABSOLUTE = re.compile(r"^(?:/|~|[A-Za-z]:[\\/]|\\\\)")
_REPO = re.compile(r"[\w-][\w.-]{0,95}/[\w-][\w.-]{0,95}")
_SIZES = ((10**3, "1K"), (10**4, "10K"), (10**5, "100K"), (10**6, "1M"), (10**7, "10M"), (10**8, "100M"),
          (10**9, "1B"), (10**10, "10B"), (10**11, "100B"), (10**12, "1T"))  # fmt: skip


def render_body(template: str, facts: Mapping[str, Any]) -> str:
    """Return a card's Markdown.

    Args:
        template: File in `model_cards/`.
        facts: What the template names; a name that is missing is an error of ours.
    """
    import jinja2

    path = resource("model_cards", template)
    environment = jinja2.Environment(  # noqa: S701 - Markdown, which the Hub sanitises; HTML escapes would show in it
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, finalize=_unmarked
    )
    environment.filters.update(number=number, size=size, cell=cell, alt=alt, fence=fence, yaml=as_yaml)
    return environment.from_string(path.read_text(encoding="utf-8")).render(**facts)


def number(value: Any) -> str:
    """Return a number for people: ``16,000``, ``0.2617``, ``1.5e-05``."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int) or value.is_integer():
        return f"{int(value):,}"
    return f"{value:,.1f}" if abs(value) >= 1000 else f"{value:.4g}"


def cell(value: Any) -> str:
    """Return a value as the text of one cell of a table."""
    return " ".join(str(value).split()).replace("|", "\\|")


def alt(value: str) -> str:
    """Return a text as what stands for a picture where none is shown: on one line, and nothing in it is markup."""
    return re.sub(r"([\\`*_\[\]<>|$])", r"\\\1", " ".join(value.split()))


def fence(code: str, language: str = "") -> str:
    """Return a code block, whose fence is longer than any run of backticks inside."""
    longest = max((len(run) for run in re.findall(r"`+", code)), default=0)
    marks = "`" * max(3, longest + 1)
    return f"{marks}{language}\n{code.rstrip()}\n{marks}"


def as_yaml(value: Any) -> str:
    """Return plain data as YAML; lists of plain values stay on one line."""
    import yaml

    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, default_flow_style=None, width=110)


def public(value: Any) -> Any:
    """Return plain data with absolute paths cut down to their last part: cards don't tell where files lay."""
    if isinstance(value, Mapping):
        return {key: public(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [public(item) for item in value]
    if isinstance(value, str) and _ABSOLUTE.match(value):
        return "…/" + re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return value


def title_of(repo: str) -> str:
    """Return a heading for a repository: ``lab/lorenz-tiny`` is ``Lorenz tiny``."""
    name = repo.rsplit("/", maxsplit=1)[-1].replace("-", " ").replace("_", " ")
    return name[:1].upper() + name[1:]


def size_category(rows: int) -> str:
    """Return the Hub's size category; other spellings than these are refused there."""
    lower = None
    for limit, name in _SIZES:
        if rows < limit:
            return f"{lower}<n<{name}" if lower else f"n<{name}"
        lower = name
    return "n>1T"


def tokenizer_tags(name: Any) -> list[str]:
    """Return the tag of a card that names a tokenizer's repository; none for a tokenizer that has none.

    Args:
        name: ``OWNER/NAME``, with or without ``@REVISION``; or a name that is no repository's.
    """
    repo = str(name).partition("@")[0]
    return [f"{TOKENIZER_TAG}{repo}"] if _REPO.fullmatch(repo) else []


def citation(repo: str, version: str, title: str, what: str) -> str:
    """Return a BibTeX entry, which names no year because a card doesn't change by being made again."""
    owner, _, name = repo.partition("/")
    key = re.sub(r"\W+", "_", f"{owner}_{name}")
    note = f"{what} {repo}, version {version}"
    return f"@misc{{{key},\n  author = {{{owner}}},\n  title = {{{title}}},\n  note = {{{note}}}\n}}"


def code_of(code: Mapping[str, Any]) -> str:
    """Return which code made something, in words."""
    commit = code.get("commit")
    text = f"hubkit {code.get('hubkit')}"
    if commit:
        text += f", commit {str(commit)[:12]}"
    return text + (" with uncommitted changes" if code.get("modified") else "")


def one_of(value: Any, allowed: Mapping[str, Any] | tuple[str, ...], field: str) -> Any:
    """Check a field against the values that the Hub knows."""
    if value not in allowed:
        raise UserError(f"{field}: {json.dumps(value)} is not one of {', '.join(allowed)}")
    return value


def _unmarked(value: Any) -> Any:
    """Break up HTML comments in data, so that no value can open or close a section of ours."""
    return value.replace("<!--", "<! --") if isinstance(value, str) else value
