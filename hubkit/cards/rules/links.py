"""Rules on links and images: they lead somewhere, from where the Hub shows the card."""

import posixpath
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from hubkit.cards.findings import Flaw, Severity, rule

if TYPE_CHECKING:
    from hubkit.cards.card import Card
    from hubkit.cards.markdown import Link

_HUB = re.compile(r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co))?/(?:(?:datasets|spaces)/)?([\w.-]+/[\w.-]+)"
                  r"/(blob|resolve|raw|tree)/([^/?#]+)/([^?#]+)")  # fmt: skip
_LOCAL = re.compile(r"(?:https?://)?(?:localhost|127\.0\.0\.1|0\.0\.0\.0|\[::1\])(?::\d+)?(?:/|$)|file:", re.I)
_BLOB = re.compile(r"https?://(?:www\.)?(?:huggingface\.co|hf\.co)/[^\s\"')]+?/blob/[^\s\"')]+")


@rule(Severity.ERROR, "link-broken", "A relative link leads to a file of the repository.")
def _links(card: "Card") -> Iterator[Flaw]:
    for link, path in _relative(card):
        if not link.is_image and not _there(card, path):
            yield Flaw(link.line, f"the link to {link.target} leads to nothing", "add the file, or mend the link")


@rule(Severity.ERROR, "image-broken", "A relative image is a file of the repository.")
def _images(card: "Card") -> Iterator[Flaw]:
    for link, path in _relative(card):
        if link.is_image and path not in card.files.sizes:
            yield Flaw(
                link.line, f"the image {link.target} is not in the repository", "add the file, or remove the image"
            )


@rule(Severity.ERROR, "anchor-broken", "A link to #… leads to a heading of the card.")
def _anchors(card: "Card") -> Iterator[Flaw]:
    for link in card.body.links:
        anchor = unquote(link.target[1:])
        if link.target.startswith("#") and anchor and anchor not in card.body.anchors:
            yield Flaw(
                link.line, f"no heading has the anchor {link.target}", "write the heading's text in lower case, with -"
            )


@rule(Severity.ERROR, "link-empty", "Every link has a target.")
def _empty(card: "Card") -> Iterator[Flaw]:
    for link in card.body.links:
        if not link.target or link.target == "#":
            what = "an image" if link.is_image else f"the link {link.text!r}"
            yield Flaw(link.line, f"{what} has no target", "add it, or remove the link")


@rule(Severity.ERROR, "link-blob", "What is shown or loaded is linked by resolve: blob is a page around the file.")
def _blob(card: "Card") -> Iterator[Flaw]:
    for link in card.body.links:
        match = _HUB.match(link.target)
        if link.is_image and match and match.group(2) in ("blob", "tree"):
            mend = f"write {_resolved(card, match, link.target)}"
            yield Flaw(link.line, f"{link.target} is a page of the Hub and not an image", mend)
    for block in card.body.blocks:
        for i, code in enumerate(block.code.splitlines()):
            for url in _BLOB.findall(code):
                message = f"{url} is a page of the Hub and not the file"
                yield Flaw(block.line + i, message, "write resolve instead of blob")


@rule(Severity.ERROR, "link-gone", "An absolute link into this repository leads to a file of it.")
def _gone(card: "Card") -> Iterator[Flaw]:
    for link in card.body.links:
        match = _HUB.match(link.target)
        if match and match.group(1) == card.name and match.group(3) == "main":
            path = unquote(match.group(4)).rstrip("/")
            if not _there(card, path):
                yield Flaw(
                    link.line, f"{link.target} leads to {path}, which is not there", "add the file, or mend the link"
                )


@rule(Severity.WARNING, "link-local", "No link leads to the writer's own machine.")
def _local(card: "Card") -> Iterator[Flaw]:
    for link in card.body.links:
        if _LOCAL.match(link.target):
            yield Flaw(link.line, f"{link.target} is an address of one machine", "link to what readers can reach")


@rule(Severity.ERROR, "license-link-broken", "license_link leads to a file of the repository, or is an address.")
def _license(card: "Card") -> Iterator[Flaw]:
    for line, value in card.texts("license_link"):
        if value and not urlsplit(value).scheme and not _there(card, posixpath.normpath(value)):
            yield Flaw(line, f"license_link: {value} is not in the repository", "add the file, or write an address")


def _relative(card: "Card") -> Iterator[tuple["Link", str]]:
    """Yield links that the Hub resolves within the repository, with the path that they mean."""
    for link in card.body.links:
        address = urlsplit(link.target)
        if address.scheme or address.netloc or not address.path or address.path.startswith(("/", "mailto:")):
            continue
        if _LOCAL.match(link.target):
            continue
        yield link, posixpath.normpath(unquote(address.path))


def _there(card: "Card", path: str) -> bool:
    """Tell whether there is a file or folder of that path."""
    return (
        path in (".", "") or path in card.files.sizes or any(name.startswith(f"{path}/") for name in card.files.sizes)
    )


def _resolved(card: "Card", match: re.Match[str], target: str) -> str:
    if match.group(1) == card.name and match.group(3) == "main":
        return match.group(4)
    return target.replace("/blob/", "/resolve/", 1).replace("/tree/", "/resolve/", 1)
