"""The text of a card, taken apart: headings, links, images and code, each with its line."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from markdown_it.token import Token

_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_HTML_TARGET = re.compile(r"<(img|a|source|video|audio)\b[^>]*?\b(?:src|href)\s*=\s*(\"[^\"]*\"|'[^']*'|[^\s>]+)", re.I)
_HTML_ID = re.compile(r"<[a-z][^>]*?\b(?:id|name)\s*=\s*[\"']?([^\"'\s>]+)", re.I)


@dataclass(frozen=True)
class Heading:
    """A heading."""

    line: int
    level: int
    text: str


@dataclass(frozen=True)
class Link:
    """A link or an image."""

    line: int
    target: str
    is_image: bool
    text: str


@dataclass(frozen=True)
class CodeBlock:
    """A block of code."""

    line: int
    """Of the first line of code."""
    language: str
    code: str


@dataclass
class Markdown:
    """What stands in the body of a card."""

    headings: list[Heading] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    blocks: list[CodeBlock] = field(default_factory=list)
    anchors: set[str] = field(default_factory=set)
    """What ``#…`` can point at."""
    prose: list[tuple[int, str]] = field(default_factory=list)
    """Lines outside of code blocks, with what is between backticks blanked out."""


def read_markdown(body: str, first_line: int) -> Markdown:
    """Take a body apart.

    Args:
        body: Markdown.
        first_line: The line of the card on which it begins.
    """
    from markdown_it import MarkdownIt

    found, lines, code = Markdown(), body.splitlines(), set()
    slugs: dict[str, int] = {}
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(body)
    for i, token in enumerate(tokens):
        if token.type in ("fence", "code_block"):
            assert token.map is not None
            fenced = token.type == "fence"
            words = token.info.split()
            language = words[0].lower() if words else ""
            found.blocks.append(CodeBlock(first_line + token.map[0] + fenced, language, token.content))
            code |= set(range(*token.map))
        elif token.type == "heading_open":
            assert token.map is not None
            text = _plain(tokens[i + 1])
            found.headings.append(Heading(first_line + token.map[0], int(token.tag[1]), text))
            found.anchors.add(_slug(text, slugs))
        elif token.type == "inline":
            found.links += _links(token, lines, first_line)
        elif token.type == "html_block":
            assert token.map is not None
            found.links += _html_links(token.content, first_line + token.map[0])
    found.anchors |= set(_HTML_ID.findall(_COMMENT.sub("", body)))
    found.prose = [
        (first_line + i, re.sub(r"(`+)[^`]+\1", _blank, line)) for i, line in enumerate(lines) if i not in code
    ]
    return found


def _links(token: "Token", lines: list[str], first_line: int) -> Iterator[Link]:
    """Yield the links and images of a paragraph, heading or cell."""
    assert token.map is not None
    line, (_, stop), children = token.map[0], token.map, token.children or []
    for i, child in enumerate(children):
        if child.type in ("softbreak", "hardbreak"):
            line += 1
        elif child.type in ("link_open", "image"):
            target = str(child.attrs.get("href") or child.attrs.get("src") or "")
            image = child.type == "image"
            text = child.content if image else next((c.content for c in children[i + 1 :] if c.content), "")
            # Code that runs over a line's end hides it, so the target itself is looked for.
            there = next((n for n in range(line, stop) if target and target in lines[n]), line)
            yield Link(first_line + there, target, image, text)
        elif child.type == "html_inline":
            yield from _html_links(child.content, first_line + line)
            line += child.content.count("\n")


def _html_links(html: str, line: int) -> Iterator[Link]:
    html = _COMMENT.sub(_blank, html)
    for match in _HTML_TARGET.finditer(html):
        place = line + html.count("\n", 0, match.start(2))
        tag, target = match.group(1).lower(), match.group(2).strip("\"'")
        yield Link(place, target, tag != "a", "")


def _blank(match: re.Match[str]) -> str:
    """Return as many blanks and line ends as were matched, so that places stay."""
    return re.sub(r"[^\n]", " ", match.group(0))


def _plain(inline: "Token") -> str:
    """Return the text of a heading without its markup."""
    return "".join(child.content for child in inline.children or [] if child.type != "html_inline").strip()


def _slug(text: str, seen: dict[str, int]) -> str:
    """Return the anchor that GitHub's rule, which the Hub follows, gives a heading."""
    slug = re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")
    count = seen.get(slug, 0)
    seen[slug] = count + 1
    return f"{slug}-{count}" if count else slug
