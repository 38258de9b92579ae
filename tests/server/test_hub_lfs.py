"""The LFS protocol on the wire: batch, signed upload, verify, download, and who owns an object."""

from __future__ import annotations

import hashlib
import time
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import pytest

from hubkit.server.errors import ApiError
from hubkit.server.lfs import format_pointer, parse_pointer
from hubkit.server.signing import Signer

DATA = b"some large content" * 1000
OID = hashlib.sha256(DATA).hexdigest()


def batch(hub, repo_id: str, operation: str = "upload", oid: str = OID, size: int = len(DATA), **options):
    body = {"operation": operation, "transfers": ["basic"], "objects": [{"oid": oid, "size": size}]}
    return hub.ask("POST", f"/datasets/{repo_id}.git/info/lfs/objects/batch", body, **options)


def upload_url(hub, repo_id: str, **options) -> str:
    answer = batch(hub, repo_id, **options).json()["objects"][0]
    assert answer["actions"]["upload"]["href"].startswith(f"{hub.url}/datasets/{repo_id}.git/")
    return answer["actions"]["upload"]["href"].removeprefix(hub.url)


def changed(url: str, **changes: str) -> str:
    parts = urlsplit(url)
    query = {key: values[0] for key, values in parse_qs(parts.query).items()} | changes
    return urlunsplit(parts._replace(query=urlencode(query)))


def leftovers(hub) -> list[str]:
    return [path.name for path in (hub.root / "tmp").iterdir() if path.name.startswith("lfs-")]


def test_an_object_is_uploaded_verified_and_downloaded(hub):
    repo_id = hub.new()
    answer = batch(hub, repo_id)
    assert answer.headers["Content-Type"] == "application/vnd.git-lfs+json"
    assert answer.json()["transfer"] == "basic"
    actions = answer.json()["objects"][0]["actions"]
    path = actions["upload"]["href"].removeprefix(hub.url)
    verify = actions["verify"]["href"].removeprefix(hub.url)
    assert hub.ask("POST", verify, {"oid": OID, "size": len(DATA)}).status == 404
    assert hub.ask("PUT", path, DATA, token=None).status == 200
    assert hub.ask("POST", verify, {"oid": OID, "size": len(DATA)}).status == 200
    assert hub.ask("POST", verify, {"oid": OID, "size": 1}).status == 422
    stored = hub.path(repo_id) / "lfs" / OID[:2] / OID[2:4] / OID
    assert stored.read_bytes() == DATA
    # A second upload of the same object is not asked for, and does no harm.
    assert "actions" not in batch(hub, repo_id).json()["objects"][0]
    assert hub.ask("PUT", path, DATA, token=None).status == 200
    download = batch(hub, repo_id, "download").json()["objects"][0]["actions"]["download"]["href"].removeprefix(hub.url)
    assert hub.ask("GET", download, token=None).body == DATA
    assert hub.ask("GET", download, token=None, Range="bytes=5-9").body == DATA[5:10]
    assert hub.ask("HEAD", download, token=None).headers["Content-Length"] == str(len(DATA))
    assert batch(hub, repo_id, size=3).json()["objects"][0]["error"]["code"] == 422
    assert leftovers(hub) == []


@pytest.mark.parametrize(
    "sent", [DATA[:-1], DATA + b"x", b"", DATA[:-1] + b"?"], ids=["short", "long", "empty", "other"]
)
@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_not_the_announced_content_is_refused(hub, sent, chunked):
    repo_id = hub.new()
    path = upload_url(hub, repo_id)
    body = iter([sent[:1000], sent[1000:]]) if chunked else sent
    assert hub.ask("PUT", path, body, token=None).status == 400
    assert not (hub.path(repo_id) / "lfs").exists()
    assert leftovers(hub) == []
    assert hub.ask("PUT", path, DATA, token=None).status == 200


def test_upload_urls_are_bound_to_repo_object_size_method_and_time(hub):
    repo_id, other = hub.new(), hub.new()
    path = upload_url(hub, repo_id)
    wrong = hashlib.sha256(b"other").hexdigest()
    late = changed(path, expires=str(int(time.time()) + 999_999))
    for bad in (
        path.replace(repo_id, other),
        path.replace(OID, wrong),
        path.replace(f"/{len(DATA)}?", f"/{len(DATA) + 1}?"),
        late,
        changed(path, signature="0" * 64),
        changed(path, signature="ü"),
        changed(path, expires="-1"),
        path.partition("?")[0],
        path.replace("/datasets/", "/spaces/"),
    ):
        # Not even with the owner's token: the URL is the permission.
        assert hub.ask("PUT", bad, DATA).status == 403, bad
    assert hub.ask("GET", path.replace(f"/{len(DATA)}?", "?"), token=None).status == 403
    # A repository that is deleted and made again is another one.
    api = hub.api()
    api.delete_repo(repo_id, repo_type="dataset")
    assert hub.ask("PUT", path, DATA, token=None).status == 403
    api.create_repo(repo_id, repo_type="dataset")
    assert hub.ask("PUT", path, DATA, token=None).status == 403


def test_signatures_expire():
    signer = Signer(b"key")
    query = dict(pair.split("=") for pair in signer.query("PUT", "repo", 1, lifetime=-1).split("&"))
    with pytest.raises(ApiError, match="expired"):
        signer.check(query, "PUT", "repo", 1)
    fresh = dict(pair.split("=") for pair in signer.query("PUT", "repo", 1).split("&"))
    signer.check(fresh, "PUT", "repo", 1)
    for other in (("PUT", "repo", 2), ("PUT", "rep", "o", 1), ("GET", "repo", 1)):
        with pytest.raises(ApiError):
            signer.check(fresh, *other)
    with pytest.raises(ApiError):
        Signer(b"other key").check(fresh, "PUT", "repo", 1)


def test_objects_belong_to_their_repository_alone(hub):
    secret, public = hub.new(private=True), hub.new()
    assert hub.ask("PUT", upload_url(hub, secret), DATA, token=None).status == 200
    # Knowing the hash of somebody's private file is not enough to get it through one's own repository.
    assert batch(hub, public, "download").json()["objects"][0]["error"]["code"] == 404
    line = {"key": "lfsFile", "value": {"path": "x.bin", "algo": "sha256", "oid": OID, "size": len(DATA)}}
    refused = hub.commit(public, [line])
    assert refused.status == 400
    assert "not uploaded to this repository" in refused.json()["error"]
    by_hand = {"key": "file", "value": {"path": "x.bin", "content": format_pointer(OID, len(DATA)).decode()}}
    assert hub.commit(public, [by_hand]).status == 400
    assert "actions" in batch(hub, public).json()["objects"][0]
    assert hub.commit(secret, [line]).status == 200
    assert hub.commit(secret, [{**line, "value": {**line["value"], "size": 3}}]).status == 400
    assert hub.ask("GET", f"/datasets/{secret}/resolve/main/x.bin").body == DATA
    assert hub.ask("GET", f"/datasets/{secret}/resolve/main/x.bin", token=None).status == 401


def test_uploads_need_a_write_token_and_downloads_what_the_repo_asks(hub, reader):
    repo_id, secret = hub.new(), hub.new(private=True)
    assert batch(hub, repo_id, token=None).status == 401
    assert batch(hub, repo_id, token=reader).status == 403
    assert batch(hub, repo_id, "download", token=None).status == 200
    assert batch(hub, secret, "download", token=None).status == 401
    assert batch(hub, secret, "download", token=reader).status == 200
    assert batch(hub, "lab/missing").status == 404
    verify = f"/datasets/{repo_id}.git/info/lfs/verify"
    assert hub.ask("POST", verify, {"oid": OID, "size": 1}, token=reader).status == 403


@pytest.mark.parametrize(
    "change",
    [
        {"operation": "delete"},
        {"objects": 3},
        {"objects": [3]},
        {"objects": [{"oid": "../x", "size": 1}]},
        {"objects": [{"oid": OID, "size": -1}]},
        {"objects": [{"oid": OID, "size": True}]},
        {"objects": [{"oid": OID, "size": 1}] * 1001},
        {"transfers": ["multipart"]},
    ],
)
def test_bad_batches_are_refused(hub, change):
    repo_id = hub.new()
    body = {"operation": "upload", "objects": [{"oid": OID, "size": 1}], **change}
    assert hub.ask("POST", f"/datasets/{repo_id}.git/info/lfs/objects/batch", body).status == 422


def test_a_file_larger_than_the_disk_is_refused_at_once(hub):
    answer = batch(hub, hub.new(), size=1 << 60).json()["objects"][0]
    assert answer["error"]["code"] == 507
    assert "full" in answer["error"]["message"]


def test_pointers():
    pointer = format_pointer(OID, 5)
    assert parse_pointer(pointer) == (OID, 5, len(pointer))
    for other in (
        b"",
        b"text",
        pointer[:60],
        pointer.replace(b"sha256", b"md5"),
        pointer.replace(b"size 5", b"size x"),
        pointer + b" " * 1000,
    ):
        assert parse_pointer(other) is None
