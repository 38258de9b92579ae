"""A very small HTML writer: everything is escaped, nothing is executable."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import NewType

from starlette.responses import Response

Html = NewType("Html", str)

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #666; --link: #2563eb; }
@media (prefers-color-scheme: dark) { :root { --link: #8ab4ff; --soft: #aaa; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 0 auto; padding: 1rem; }
a { color: var(--link); text-decoration: none; } a:hover { text-decoration: underline; }
h1 { font-size: 1.4rem; margin: 0.8rem 0 0.2rem; overflow-wrap: anywhere; }
h2 { font-size: 1.1rem; margin: 1.4rem 0 0.4rem; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: 0.25rem 0.5rem; }
td { border-top: 1px solid var(--line); overflow-wrap: anywhere; }
td.number { text-align: right; white-space: nowrap; }
pre { border: 1px solid var(--line); border-radius: 6px; padding: 0.7rem; overflow-x: auto; white-space: pre-wrap; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9rem; }
.soft { color: var(--soft); } .badge { border: 1px solid var(--line); border-radius: 1rem; padding: 0 0.5rem; }
""".strip()

_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'; sandbox allow-top-navigation-by-user-activation allow-popups allow-downloads"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    # What a token may see must not stay in a shared browser.
    "Cache-Control": "no-store",
}


def text(value: object) -> Html:
    """Any value as text."""
    return Html(escape(str(value)))


def tag(name: str, *children: Html, **attributes: str) -> Html:
    """An element; `class_` stands for `class`."""
    written = "".join(f' {key.rstrip("_")}="{escape(value)}"' for key, value in attributes.items())
    return Html(f"<{name}{written}>{''.join(children)}</{name}>")


def link(href: str, label: object) -> Html:
    """A link; the caller has quoted what is in the URL."""
    return tag("a", text(label), href=href)


def join(*parts: Html) -> Html:
    """Several pieces, one after the other."""
    return Html("\n".join(parts))


def table(headings: list[str], rows: list[list[Html]]) -> Html:
    """A table, or a remark that there is nothing."""
    if not rows:
        return tag("p", text("Nothing here yet."), class_="soft")
    head = tag("tr", *(tag("th", text(heading), scope="col") for heading in headings))
    body = [tag("tr", *(tag("td", cell) for cell in row)) for row in rows]
    return tag("table", tag("thead", head), tag("tbody", *body))


def page(title: str, *parts: Html, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """A whole page."""
    head = (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body>'
    )
    top = tag("nav", link("/", "hubkit hub"), text(" on this computer"), class_="soft")
    body = tag("main", *parts)
    return Response(f"{head}{top}\n{body}</body></html>\n", status, HEADERS | (headers or {}), "text/html")
