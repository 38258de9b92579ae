"""Rules on the fields from which the Hub builds a Space."""

import re
import unicodedata
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from hubkit.cards import legal
from hubkit.cards.findings import Flaw, Severity, rule
from hubkit.cards.rules.references import reference_trouble

if TYPE_CHECKING:
    from hubkit.cards.card import Card

LONGEST_DESCRIPTION = 60

_SPACE: Any = {"kinds": ("space",), "reads_fields": True}
_SDK_VERSION = re.compile(r"\d+\.\d+(\.\d+)?((a|b|rc)\d+|\.dev\d+)?")
_PYTHON_VERSION = re.compile(r"3\.\d+(\.\d+)?")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_APPS = {"gradio": "app.py", "static": "index.html", "docker": "Dockerfile"}
_JOINERS = {"\u200d", "\ufe0f", "\u20e3"}


@rule(Severity.ERROR, "space-sdk", "sdk is gradio, docker or static.", **_SPACE)
def _sdk(card: "Card") -> Iterator[Flaw]:
    sdk = card.fields.get("sdk")
    if sdk is None:
        yield Flaw(card.front.line(), "sdk is missing, so the Hub can't build the Space", "add sdk: gradio")
    elif sdk == "streamlit":
        message = "the Hub takes sdk: streamlit no more"
        yield Flaw(card.front.line("sdk"), message, "write sdk: docker, with a Dockerfile that starts streamlit")
    elif sdk not in legal.SDKS:
        mend = legal.nearest(str(sdk), legal.SDKS)
        yield Flaw(card.front.line("sdk"), f"sdk: {sdk} is not one that the Hub builds", mend)


@rule(Severity.ERROR, "space-sdk-version", "sdk_version is a version, and YAML reads it as text.", **_SPACE)
def _sdk_version(card: "Card") -> Iterator[Flaw]:
    yield from _version(card, "sdk_version", _SDK_VERSION, "MAJOR.MINOR.PATCH, such as 6.0.1")


@rule(Severity.WARNING, "space-sdk-pinned", "A Gradio Space pins its version of Gradio.", **_SPACE)
def _pinned(card: "Card") -> Iterator[Flaw]:
    if card.fields.get("sdk") == "gradio" and "sdk_version" not in card.fields:
        message = "sdk_version is missing, so a new Gradio can break the Space"
        yield Flaw(card.front.line("sdk"), message, "add the version that it was tried with")


@rule(Severity.ERROR, "space-python-version", "python_version is 3.x or 3.x.y, and YAML reads it as text.", **_SPACE)
def _python_version(card: "Card") -> Iterator[Flaw]:
    yield from _version(card, "python_version", _PYTHON_VERSION, "3.x or 3.x.y in quotes")


@rule(Severity.ERROR, "space-app-file", "The file that starts the Space is there.", **_SPACE)
def _app(card: "Card") -> Iterator[Flaw]:
    sdk = card.fields.get("sdk")
    if sdk not in _APPS:
        return
    file = card.fields.get("app_file") if sdk != "docker" else None
    name = str(file or _APPS[sdk])
    built = sdk == "static" and "app_build_command" in card.fields
    if not built and name.removeprefix("./") not in card.files.sizes:
        line = card.front.line("app_file" if file else "sdk")
        scripts = [path for path in card.files.sizes if "/" not in path and path.endswith((".py", ".html"))]
        mend = f"write app_file: {scripts[0]}" if scripts and sdk != "docker" else f"add {name}"
        yield Flaw(line, f"the Space starts {name}, which is not in the repository", mend)


@rule(Severity.ERROR, "space-colors", "colorFrom and colorTo are among the Hub's eight colours.", **_SPACE)
def _colors(card: "Card") -> Iterator[Flaw]:
    for name in ("colorFrom", "colorTo"):
        for line, value in card.texts(name):
            if value not in legal.COLORS:
                mend = legal.nearest(value, legal.COLORS)
                yield Flaw(line, f"{name}: {value} is not a colour of the Hub", mend)


@rule(Severity.ERROR, "space-emoji", "emoji is one emoji.", **_SPACE)
def _emoji(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("emoji"):
        if value and not _is_emoji(value):
            yield Flaw(line, f"emoji: {value} is not one emoji", "write one, such as 🔭")


@rule(
    Severity.ERROR,
    "space-short-description",
    f"short_description has at most {LONGEST_DESCRIPTION} characters.",
    **_SPACE,
)
def _short(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("short_description"):
        if len(value) > LONGEST_DESCRIPTION:
            message = f"short_description has {len(value)} characters, and the Hub takes {LONGEST_DESCRIPTION}"
            yield Flaw(line, message, "shorten it")


@rule(Severity.WARNING, "space-title", "A Space has a title.", **_SPACE)
def _title(card: "Card") -> Iterator[Flaw]:
    if "title" not in card.fields:
        yield Flaw(card.front.line(), "title is missing: the Hub shows it on the thumbnail", "add title")


@rule(Severity.ERROR, "space-preload", "preload_from_hub holds lines of repository, files and commit.", **_SPACE)
def _preload(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("preload_from_hub"):
        repo, *rest = value.split()
        if trouble := reference_trouble(repo):
            yield Flaw(line, f"preload_from_hub: {trouble[0]}", trouble[1])
        elif len(rest) > 2 or (len(rest) == 2 and not _COMMIT.fullmatch(rest[1])):
            message = "preload_from_hub wants a repository, its files between commas, and a commit of 40 digits"
            yield Flaw(line, message, "write OWNER/NAME FILE,FILE COMMIT, with a blank between them")


@rule(Severity.ERROR, "space-settings", "header and suggested_hardware hold values that the Hub knows.", **_SPACE)
def _settings(card: "Card") -> Iterator[Flaw]:
    for name, values in (("header", legal.HEADERS), ("suggested_hardware", legal.HARDWARE)):
        for line, value in card.texts(name):
            if value not in values:
                yield Flaw(line, f"{name}: {value} is not one of the Hub's values", legal.nearest(value, values))


def _version(card: "Card", name: str, pattern: re.Pattern[str], form: str) -> Iterator[Flaw]:
    """Check a version; without quotes YAML makes the number 6.1 of 6.10, and the Hub looks for that."""
    if name not in card.fields:
        return
    value, raw, line = card.fields[name], card.front.raw(name), card.front.line(name)
    if not isinstance(value, str):
        read = f"which YAML reads as the number {value}" if isinstance(value, int | float) else "which is no text"
        yield Flaw(line, f"{name} is {raw}, {read}", f'write "{raw}"' if raw else f"write {form}")
    elif not pattern.fullmatch(value):
        yield Flaw(line, f"{name}: {value} is not a version", f"write {form}")


def _is_emoji(text: str) -> bool:
    """Tell whether a text is one emoji: pictures, joined, with a colour of skin, or two letters of a flag."""
    signs = [sign for sign in text if sign not in _JOINERS and not "\U0001f3fb" <= sign <= "\U0001f3ff"]
    pictures = all(unicodedata.category(sign) in ("So", "Sk", "Sm") or sign in "#*0123456789" for sign in signs)
    flag = len(signs) == 2 and all("\U0001f1e6" <= sign <= "\U0001f1ff" for sign in signs)
    joined = text.count("\u200d") + 1
    digit = len(signs) == 1 and signs[0] in "#*0123456789"
    return bool(signs) and pictures and (flag or len(signs) == joined) and (not digit or "\u20e3" in text)
