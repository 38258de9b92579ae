"""The pages for people."""

from __future__ import annotations

import base64
import re
from html import unescape

import pytest

EVIL = "---\ntags: ['<img src=x onerror=alert(1)>']\n---\n# <script>alert(1)</script> & \"quotes\"\n"


def text(path: str, content: str) -> dict:
    return {"key": "file", "value": {"path": path, "content": content}}


@pytest.fixture(scope="module")
def shown(hub) -> str:
    repo_id = hub.new()
    lines = [
        text("README.md", EVIL),
        text("a b/<b>.txt", "<i>hello</i>"),
        text("ümlaut #?.txt", "x"),
        text("b.dat", "a\0b"),
    ]
    assert hub.commit(repo_id, lines).status == 200
    hub.api().upload_file(path_or_fileobj=b"\0large", path_in_repo="w.bin", repo_id=repo_id, repo_type="dataset")
    hub.api().create_tag(repo_id, tag="v1.0.0", repo_type="dataset")
    hub.api().create_branch(repo_id, branch="a/b", repo_type="dataset")
    return repo_id


def check_harmless(answer) -> str:
    page = answer.body.decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "script-src" not in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert answer.headers["Content-Type"].startswith("text/html")
    assert not re.search(r"<(script|img|i|b|iframe)\b", page)
    assert not re.search(r"<[^>]*\son\w+=", page)
    return page


def links(page: str) -> list[str]:
    return [unescape(link) for link in re.findall(r'href="([^"]*)"', page)]


def test_a_repo_shows_its_files_revisions_and_readme(hub, shown):
    page = check_harmless(hub.ask("GET", f"/datasets/{shown}", token=None))
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; &quot;quotes&quot;" in page
    assert f"load_dataset(&quot;{shown}&quot;)" in page
    for word in ("v1.0.0", "a/b", "w.bin", "LFS", "history", hub.api().dataset_info(shown).sha[:12]):
        assert word in page


def test_every_link_leads_somewhere(hub, shown):
    waiting, seen = ["/"], set()
    while waiting and len(seen) < 150:
        path = waiting.pop()
        seen.add(path)
        answer = hub.ask("GET", path, token=None)
        assert answer.status == 200, path
        if "/resolve/" not in path:
            found = links(check_harmless(answer))
            assert all(link.startswith("/") and not link.startswith("//") for link in found)
            mine = [link for link in found if link == "/" or shown in link]
            waiting += [link for link in dict.fromkeys(mine) if link not in seen and link not in waiting]
    assert len(seen) > 25
    assert any("/blob/" in path and "%23%3F" in path for path in seen)


@pytest.mark.parametrize("repo_type", ["model", "dataset", "space"])
def test_urls_that_clients_print_open(hub, repo_type):
    api = hub.api()
    options = {"space_sdk": "static"} if repo_type == "space" else {}
    url = api.create_repo(f"lab/page-{repo_type}", repo_type=repo_type, **options)
    commit = api.upload_file(path_or_fileobj=b"hi", path_in_repo="d/a.txt", repo_id=url.repo_id, repo_type=repo_type)
    prefix = str(url).removeprefix(hub.url)
    for path in (
        prefix,
        f"{prefix}/",
        commit.commit_url.removeprefix(hub.url),
        f"{prefix}/tree/main/d",
        f"{prefix}/blob/main/d/a.txt",
    ):
        answer = hub.ask("GET", path, token=None)
        assert answer.status == 200, path
        check_harmless(answer)
    assert b"hi" in hub.ask("GET", f"{prefix}/blob/main/d/a.txt", token=None).body
    assert url.repo_id.encode() in hub.ask("GET", "/", token=None).body


def test_errors_are_pages_too_and_a_browser_is_asked_for_the_token(hub):
    secret = hub.new(private=True)
    missing = hub.ask("GET", "/datasets/lab/<b>x", Accept="text/html")
    assert missing.status == 404
    check_harmless(missing)
    revision = hub.ask("GET", f"/datasets/{secret}/tree/%3Cb%3E", Accept="text/html")
    assert revision.status == 404
    assert "&lt;b&gt;" in check_harmless(revision)
    hidden = hub.ask("GET", f"/datasets/{secret}", token=None, Accept="text/html")
    assert hidden.status == 401
    assert hidden.headers["WWW-Authenticate"].startswith("Basic")
    assert hub.ask("GET", f"/datasets/{secret}", token=None).headers["WWW-Authenticate"] is None
    basic = "Basic " + base64.b64encode(f"anyone:{hub.token}".encode()).decode()
    opened = hub.ask("GET", f"/datasets/{secret}", token=None, Authorization=basic, Accept="text/html")
    assert opened.status == 200
    assert "private" in check_harmless(opened)
    assert secret.encode() not in hub.ask("GET", "/", token=None).body
    assert secret.encode() in hub.ask("GET", "/").body
    assert opened.headers["Cache-Control"] == "no-store"


def test_gated_files_are_not_shown_to_strangers(hub):
    repo_id = hub.new()
    hub.commit(repo_id, [text("README.md", "the secret readme"), text("a.txt", "the secret text")])
    hub.api().update_repo_settings(repo_id, gated="manual", repo_type="dataset")
    page = hub.ask("GET", f"/datasets/{repo_id}", token=None)
    assert page.status == 200
    assert b"secret" not in page.body
    assert hub.ask("GET", f"/datasets/{repo_id}/blob/main/a.txt", token=None).status == 401
    assert hub.ask("GET", f"/datasets/{repo_id}/raw/main/a.txt", token=None).status == 401
    assert b"the secret text" in hub.ask("GET", f"/datasets/{repo_id}/blob/main/a.txt").body
