"""Pages for people: so that every address that a tool prints opens in a browser and shows something."""

from __future__ import annotations

from itertools import islice
from urllib.parse import quote

import pygit2
from starlette.responses import Response

from hubkit.server import refs, trees
from hubkit.server.commits import root_file
from hubkit.server.context import Context
from hubkit.server.errors import entry_not_found
from hubkit.server.html import Html, join, link, page, table, tag, text
from hubkit.server.metadata import RepoFacts
from hubkit.server.paths import REPO_TYPES, check_path
from hubkit.server.routes_files import find_file
from hubkit.server.routes_lfs import refuse_gated
from hubkit.server.routing import Route
from hubkit.server.store import Repo

_MAX_FILES = 1000
_MAX_SHOWN_BYTES = 200_000

_LOAD = {
    "models": 'AutoModel.from_pretrained("{id}")',
    "datasets": 'load_dataset("{id}")',
    "spaces": "hf download {id} --repo-type space",
}


def index(context: Context) -> Response:
    """All repositories that the reader may see."""
    parts = [tag("h1", text("Repositories"))]
    for type_ in REPO_TYPES:
        repos = [repo for repo in context.hub.store.all(type_) if context.identity or not repo.meta.private]
        newest = sorted(repos, key=lambda repo: repo.meta.created, reverse=True)
        rows = [[_repo_link(repo), text(refs.iso_date(repo.meta.created)[:10]), _badges(repo)] for repo in newest]
        parts += [tag("h2", text(type_.capitalize())), table(["Name", "Made", ""], rows)]
    if context.identity is None:
        parts.append(tag("p", text("Private repositories are shown to those who have a token."), class_="soft"))
    return page("hubkit hub", *parts)


def _repo_link(repo: Repo) -> Html:
    return link(f"/{repo.key.url_path}", repo.key.id)


def _badges(repo: Repo) -> Html:
    words = ["private"] * repo.meta.private + ["gated"] * bool(repo.meta.gated)
    return join(*(tag("span", text(word), class_="badge") for word in words))


def repository(context: Context) -> Response:
    """A repository: its files at one revision, its branches and tags, and its README."""
    repo = context.repo
    revision = context.params.get("rev", refs.DEFAULT_BRANCH)
    commit = refs.resolve(repo.git, revision)
    folder = context.params.get("path", "")
    entry = trees.find(commit.tree, check_path(folder) if folder else "")
    if entry is None or not entry.is_folder:
        raise entry_not_found(folder, str(commit.id))
    parts = [_heading(repo, revision, commit)]
    if not folder:
        parts.append(tag("pre", text(_LOAD[repo.key.type].format(id=repo.key.id))))
        tags = RepoFacts(repo, commit).base()["tags"]
        parts.append(tag("p", text(" · ".join(tags)), class_="soft"))
    parts += [tag("h2", text(f"Files{' in ' + folder if folder else ''}")), _files(repo, revision, entry)]
    if not folder:
        parts += [tag("h2", text("Revisions")), _revisions(repo)]
        readme = b"" if _is_gated(context) else root_file(repo, commit.tree, "README.md")
        if readme:
            parts += [tag("h2", text("README.md")), tag("pre", text(_readable(readme)))]
    return page(repo.key.id, *parts)


def _is_gated(context: Context) -> bool:
    return bool(context.repo.meta.gated) and context.identity is None


def _heading(repo: Repo, revision: str, commit: pygit2.Commit) -> Html:
    short = str(commit.id)[:12]
    line = join(
        text(f"{repo.key.type.removesuffix('s')} at {revision}, commit"),
        link(_url(repo, "commit", str(commit.id)), short),
        text(refs.iso_date(commit.commit_time)[:16].replace("T", " ")),
        link(_url(repo, "commits", revision), "history"),
        _badges(repo),
    )
    return join(tag("h1", _repo_link(repo)), tag("p", line, class_="soft"))


def _url(repo: Repo, kind: str, revision: str, path: str = "") -> str:
    url = f"/{repo.key.url_path}/{kind}/{quote(revision, safe='')}"
    return f"{url}/{quote(path)}" if path else url


def _files(repo: Repo, revision: str, folder: trees.Entry) -> Html:
    rows = []
    for entry in islice(trees.walk(repo.git, folder.oid, folder.path, False), _MAX_FILES):
        name = entry.path.rsplit("/", 1)[-1]
        if entry.is_folder:
            rows.append([link(_url(repo, "tree", revision, entry.path), f"{name}/"), text(""), text("")])
        else:
            size, pointer = trees.facts(repo.git, entry.oid)
            label = f"{_human(size)}{' LFS' if pointer else ''}"
            download = link(_url(repo, "resolve", revision, entry.path), "download")
            rows.append([link(_url(repo, "blob", revision, entry.path), name), text(label), download])
    return table(["Name", "Size", ""], rows)


def _human(size: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _revisions(repo: Repo) -> Html:
    found = refs.listing(repo.git)
    rows = []
    for kind, word in (("branches", "branch"), ("tags", "tag")):
        for ref in found[kind]:
            target = ref["targetCommit"]
            names = [link(_url(repo, "tree", ref["name"]), ref["name"]), text(word)]
            rows.append([*names, link(_url(repo, "commit", target), target[:12])])
    return table(["Name", "", "Commit"], rows)


def _readable(data: bytes) -> str:
    shown = data[:_MAX_SHOWN_BYTES].decode("utf-8", "replace")
    return shown if len(data) <= _MAX_SHOWN_BYTES else f"{shown}\n… ({len(data)} bytes in all)"


def blob(context: Context) -> Response:
    """One file: its text where it is text, and where to download it."""
    refuse_gated(context)
    repo, revision = context.repo, context.params["rev"]
    commit, entry = find_file(context)
    size, pointer = trees.facts(repo.git, entry.oid)
    parts = [
        _heading(repo, revision, commit),
        tag("h2", text(entry.path)),
        tag("p", text(f"{_human(size)} · "), link(_url(repo, "resolve", revision, entry.path), "download")),
    ]
    data = trees.read_blob(repo.git, entry.oid)
    if pointer:
        parts.append(tag("p", text(f"A large file; its sha256 is {pointer.oid}."), class_="soft"))
    elif b"\0" in data[:8192]:
        parts.append(tag("p", text("Not a text."), class_="soft"))
    else:
        parts.append(tag("pre", text(_readable(data))))
    return page(f"{entry.path} · {repo.key.id}", *parts)


def commit_page(context: Context) -> Response:
    """One commit: its message and which files it changed."""
    repo = context.repo
    commit = refs.resolve(repo.git, context.params["rev"])
    parent = commit.parents[0].tree if commit.parents else None
    diff = commit.tree.diff_to_tree(parent, swap=True) if parent else commit.tree.diff_to_tree(swap=True)
    rows = []
    for delta in islice(diff.deltas, _MAX_FILES):
        path = delta.new_file.path
        rows.append([text(delta.status_char()), link(_url(repo, "blob", str(commit.id), path), path)])
    parts = [
        _heading(repo, str(commit.id), commit),
        tag("pre", text(f"{commit.message.strip()}\n\n{commit.author.name}")),
        *(tag("p", text("Parent: "), link(_url(repo, "commit", str(old.id)), str(old.id))) for old in commit.parents),
        link(_url(repo, "tree", str(commit.id)), "All files at this commit"),
        tag("h2", text("Changed files (A added, M modified, D deleted)")),
        table(["", "File"], rows),
    ]
    return page(f"{str(commit.id)[:12]} · {repo.key.id}", *parts)


def commits_page(context: Context) -> Response:
    """The history of a revision, newest first."""
    repo, revision = context.repo, context.params["rev"]
    start = refs.resolve(repo.git, revision)
    number = context.number("p", 1, 1_000_000)
    found = refs.history(repo.git, start, (number - 1) * 100, 101)
    rows = []
    for commit in found[:100]:
        title = commit.message.partition("\n")[0]
        date = refs.iso_date(commit.commit_time)[:16].replace("T", " ")
        rows.append([link(_url(repo, "commit", str(commit.id)), title), text(commit.author.name), text(date)])
    parts = [_heading(repo, revision, start), tag("h2", text("History")), table(["Commit", "Author", "Date"], rows)]
    if len(found) > 100:
        parts.append(tag("p", link(f"{_url(repo, 'commits', revision)}?p={number + 1}", "Older")))
    return page(f"History · {repo.key.id}", *parts)


_REPO = "/{at}/{ns}/{name}"

ROUTES = [
    Route("GET", "/", index, access="open", is_page=True),
    Route("GET", _REPO, repository, is_page=True),
    Route("GET", f"{_REPO}/tree/{{rev}}", repository, is_page=True),
    Route("GET", f"{_REPO}/tree/{{rev}}/{{path*}}", repository, is_page=True),
    Route("GET", f"{_REPO}/blob/{{rev}}/{{path*}}", blob, is_page=True),
    Route("GET", f"{_REPO}/commit/{{rev}}", commit_page, is_page=True),
    Route("GET", f"{_REPO}/commits/{{rev}}", commits_page, is_page=True),
]
