"""What strangers, other web sites and careless clients must not be able to do."""

from __future__ import annotations

import base64
import json
import os
import socket
import stat
from urllib.parse import quote, urlsplit

import pytest
from huggingface_hub.errors import HfHubHTTPError

from hubkit.server.tokens import TokenStore

HOSTILE = [
    "..",
    "../x",
    "a/../../x",
    ".git/config",
    ".GIT/config",
    "a/.git/b",
    "git~1/config",
    "a//b",
    "a\\b",
    "a\0b",
    "a\nb",
    "/etc/passwd",
    "./a",
    "",
]


@pytest.mark.parametrize("path", HOSTILE, ids=ascii)
def test_hostile_paths_are_refused_everywhere(hub, path):
    repo_id = hub.new()
    tip = hub.api().dataset_info(repo_id).sha
    for kind, extra in (
        ("file", {"content": "x"}),
        ("lfsFile", {"oid": "0" * 64}),
        ("deletedFile", {}),
        ("deletedFolder", {}),
    ):
        assert hub.commit(repo_id, [{"key": kind, "value": {"path": path, **extra}}]).status == 400
    assert hub.api().dataset_info(repo_id).sha == tip
    body = {"files": [{"path": path, "size": 1}]}
    assert hub.ask("POST", f"/api/datasets/{repo_id}/preupload/main", body).status == 400
    for quoted in (quote(path, safe=""), quote(path, safe="/")):
        for url in (f"/datasets/{repo_id}/resolve/main/{quoted}", f"/datasets/{repo_id}/raw/main/{quoted}"):
            assert hub.ask("GET", url).status in (400, 404)
        if path:
            assert hub.ask("GET", f"/api/datasets/{repo_id}/tree/main/{quoted}").status in (400, 404)
    found = hub.ask("POST", f"/api/datasets/{repo_id}/paths-info/main", f"paths={quote(path)}".encode())
    assert found.json() == []


@pytest.mark.parametrize(
    "path",
    [
        "/../token",
        "/%2e%2e/token",
        "/datasets/../../token",
        "/datasets/lab/..%2f..%2f..%2ftoken",
        "/token",
        "/..%5ctoken",
        "/datasets/lab/%00",
        "/%ff",
        "//",
        "/api/models/..",
        "/api/models/../..",
        "/api/datasets/lab/..%2Fx",
        "/lab/x.git/config",
        "/lab/x.git/HEAD",
        "/lab/x.git/hub.json",
    ],
)
def test_no_url_leads_to_the_hubs_own_files(hub, path):
    answer = hub.ask("GET", path)
    assert answer.status in (400, 404)
    assert hub.token.encode() not in answer.body


def test_names_of_repos_cannot_leave_the_folder(hub):
    for name in ("../x", "..", "a/b/c", ".hidden", "x.git", "a\\b", "x\0", "CON/../x"):
        assert hub.ask("POST", "/api/repos/create", {"name": name, "organization": "lab"}).status == 400
        assert hub.ask("POST", "/api/repos/create", {"name": "x", "organization": name}).status == 400
        move = {"fromRepo": hub.new(), "toRepo": f"lab/{name}", "type": "dataset"}
        assert hub.ask("POST", "/api/repos/move", move).status == 400
        assert hub.ask("DELETE", "/api/repos/delete", {"name": name, "organization": "lab"}).status == 400


def test_an_unknown_token_gets_exactly_the_message_that_clients_compare_with(hub):
    public = hub.new()
    for path in (
        "/api/whoami-v2",
        f"/api/datasets/{public}",
        f"/datasets/{public}/resolve/main/.gitattributes",
        "/api/models",
        "/",
    ):
        for header in (
            "Bearer wrong",
            "Bearer ",
            "Bearer",
            "Basic !!!",
            f"Digest {hub.token}",
            hub.token,
            "Bearer \xe9",
        ):
            answer = hub.ask("GET", path, token=None, Authorization=header.encode("latin-1"))
            assert answer.status == 401
            assert answer.headers["X-Error-Message"] == "Invalid credentials in Authorization header"
            assert answer.headers["X-Error-Code"] is None
    assert hub.ask("GET", "/api/whoami-v2", token=None).status == 401
    with pytest.raises(HfHubHTTPError, match="Invalid user token"):
        hub.api("wrong").whoami()


def test_read_tokens_read_and_change_nothing(hub, reader):
    repo_id = hub.new(private=True)
    api = hub.api(reader)
    assert api.dataset_info(repo_id).private
    assert hub.ask("GET", f"/datasets/{repo_id}/resolve/main/.gitattributes", token=reader).status == 200
    before = hub.api().dataset_info(repo_id).sha
    base = f"/api/datasets/{repo_id}"
    changes = [
        ("POST", "/api/repos/create", {"name": "by-reader"}),
        ("DELETE", "/api/repos/delete", {"name": repo_id, "type": "dataset"}),
        ("POST", "/api/repos/move", {"fromRepo": repo_id, "toRepo": "lab/stolen", "type": "dataset"}),
        ("PUT", f"{base}/settings", {"visibility": "public"}),
        ("POST", f"{base}/preupload/main", {"files": []}),
        ("POST", f"{base}/commit/main", b'{"key": "header", "value": {"summary": "x"}}'),
        ("POST", f"{base}/branch/x", {}),
        ("DELETE", f"{base}/branch/x", None),
        ("POST", f"{base}/tag/main", {"tag": "v1"}),
        ("DELETE", f"{base}/tag/v1", None),
        ("GET", f"{base}/auth-check/write", None),
    ]
    for method, path, body in changes:
        answer = hub.ask(method, path, body, token=reader)
        assert (answer.status, "write" in answer.json()["error"]) == (403, True), path
        assert hub.ask(method, path, body, token=None).status == 401, path
    assert hub.api().dataset_info(repo_id).sha == before
    assert hub.ask("GET", f"{base}/auth-check", token=reader).status == 200


def test_only_hashes_of_tokens_are_kept_and_files_are_the_owners_alone(own_hub):
    hub = own_hub
    assert stat.S_IMODE(hub.root.stat().st_mode) == 0o700
    text = (hub.root / "tokens.json").read_text()
    assert hub.token not in text
    assert json.loads(text)["tokens"][0]["role"] == "write"
    for name in ("token", "tokens.json", "signing.key", "server.json", "server.log"):
        assert stat.S_IMODE(os.stat(hub.root / name).st_mode) == 0o600, name


def test_tokens_can_be_added_and_revoked_while_the_server_runs(hub):
    tokens = TokenStore(hub.root)
    token = tokens.add("student", "write", "course")
    assert hub.ask("GET", "/api/whoami-v2", token=token).json()["name"] == "student"
    hub.ask("POST", "/api/repos/create", {"name": "homework", "type": "dataset"}, token=token)
    commits = hub.api().list_repo_commits("student/homework", repo_type="dataset")
    assert commits[0].authors == ["student"]
    assert tokens.revoke("course") == 1
    assert tokens.revoke("course") == 0
    assert hub.ask("GET", "/api/whoami-v2", token=token).status == 401
    assert hub.ask("GET", "/api/whoami-v2").status == 200
    with pytest.raises(ValueError, match="role"):
        tokens.add("student", "admin", "x")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1.evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost:{port}@evil.example",
        "",
        "[::2]:{port}",
    ],
)
def test_other_host_headers_are_refused(hub, host):
    value = host.replace("{port}", str(urlsplit(hub.url).port))
    for path in ("/api/whoami-v2", "/", "/api/hubkit/health"):
        answer = hub.ask("GET", path, Host=value)
        assert answer.status in (400, 421), value
        assert b"lab" not in answer.body


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "localhost:{port}", "[::1]:{port}", "LOCALHOST:{port}"])
def test_local_host_headers_are_fine_and_never_end_up_in_urls(hub, host):
    value = host.replace("{port}", str(urlsplit(hub.url).port))
    assert hub.ask("GET", "/api/whoami-v2", Host=value).status == 200
    url = hub.ask(
        "POST", "/api/repos/create", {"name": hub.new("model")}, Host=value, X_Forwarded_Host="evil.example"
    ).json()["url"]
    assert url.startswith(f"{hub.url}/")


def test_pages_of_other_sites_can_change_nothing(hub):
    body = {"name": "by-another-site"}
    for origin in ("https://evil.example", "null", f"https://{urlsplit(hub.url).netloc}", "http://127.0.0.1:1"):
        assert hub.ask("POST", "/api/repos/create", body, Origin=origin).status == 403
    basic = "Basic " + base64.b64encode(f"lab:{hub.token}".encode()).decode()
    # A browser repeats Basic credentials by itself: good for looking, not for changing.
    assert hub.ask("GET", "/api/whoami-v2", token=None, Authorization=basic).status == 200
    assert hub.ask("POST", "/api/repos/create", body, token=None, Authorization=basic).status == 401
    assert not hub.api().repo_exists("lab/by-another-site")
    answer = hub.ask("GET", "/api/models", Origin="https://evil.example")
    assert answer.headers["Access-Control-Allow-Origin"] is None


def test_bodies_have_limits(hub):
    repo_id = hub.new()
    port = urlsplit(hub.url).port
    path = f"/api/datasets/{repo_id}/commit/main"
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {hub.token}\r\n"
    with socket.create_connection(("127.0.0.1", port), timeout=10) as raw:
        # Refused by its announcement, before anything is sent.
        raw.sendall(f"{head}Content-Length: {2 << 30}\r\n\r\n".encode())
        assert raw.recv(100).startswith(b"HTTP/1.1 413")
    assert hub.ask("POST", "/api/repos/create", b"x" * (17 << 20)).status == 413
    announced = hub.ask("POST", "/api/repos/create", iter([b"x" * (1 << 20)] * 17))
    assert announced.status == 413
    many = [{"key": "deletedFile", "value": {"path": "x"}}] * 100_001
    assert hub.commit(repo_id, many).status == 413


def test_the_log_holds_no_secrets(own_hub):
    hub = own_hub
    repo_id = hub.new()
    batch = {"operation": "upload", "objects": [{"oid": "0" * 64, "size": 1}]}
    href = hub.ask("POST", f"/datasets/{repo_id}.git/info/lfs/objects/batch", batch).json()["objects"][0]["actions"][
        "upload"
    ]["href"]
    signature = href.rpartition("signature=")[2]
    hub.ask("PUT", href.removeprefix(hub.url), b"y")
    # Break the repository, so that something unforeseen happens and is logged with a traceback.
    (hub.path(repo_id) / "refs" / "heads" / "main").write_text("nonsense")
    (hub.path(repo_id) / "hub.json").write_text("{")
    assert hub.ask("GET", f"/api/datasets/{repo_id}?token={hub.token}").status == 500
    log = (hub.root / "server.log").read_text()
    assert "Traceback" in log
    assert hub.token not in log
    assert signature not in log
    assert hub.token not in (hub.root / "server.json").read_text()
