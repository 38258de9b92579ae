"""Sources on servers: in memory, on the web, in a bucket, on the Hub."""

import gzip
import os
import subprocess
import sys
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import fsspec
import pytest
from fsspec.registry import _registry
from huggingface_hub import HfApi

from hubkit.errors import UserError
from hubkit.reading import Digest, Form, documents, find_sources
from hubkit.server import process

from .conftest import jsonl


def read(*patterns: str) -> dict[str, list[str | None]]:
    return {
        source.name: [record.text for record in documents(source, Form(), digest=Digest())]
        for source in find_sources(patterns)
    }


def test_memory_with_globs_folders_and_parts():
    system = fsspec.filesystem("memory")
    content = gzip.compress(jsonl("c"))
    files = {
        "a2.jsonl": jsonl("a"),
        "a10.jsonl": jsonl("b"),
        "p.gz.aa": content[:9],
        "p.gz.ab": content[9:],
        "no.md": b"",
    }
    for name, data in files.items():
        system.pipe(f"/reading/{name}", data)
    everything = {"memory:///reading/a2.jsonl": ["a"], "memory:///reading/a10.jsonl": ["b"]}
    assert read("memory://reading/a*.jsonl") == everything
    assert list(read("memory://reading/a*.jsonl")) == list(everything)
    assert read("memory://reading/p*")["memory:///reading/p.gz"] == ["c"]
    before = find_sources(["memory://reading/a2.jsonl"])[0]
    system.pipe("/reading/a2.jsonl", jsonl("x"))
    assert find_sources(["memory://reading/a2.jsonl"])[0].stamp != before.stamp
    with pytest.raises(UserError, match="nothing matches memory://reading/"):
        find_sources(["memory://reading/*.zst"])


@pytest.fixture
def web(tmp_path):
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format, *args):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_the_web(web, tmp_path):
    (tmp_path / "x.jsonl.gz").write_bytes(gzip.compress(jsonl("a", "b")))
    assert read(f"{web}/x.jsonl.gz") == {f"{web}/x.jsonl.gz": ["a", "b"]}
    with pytest.raises(UserError, match=r"files: .*missing.jsonl does not exist; check the path and the access"):
        find_sources([f"{web}/missing.jsonl"])
    (source,) = find_sources([f"{web}/x.jsonl.gz"])
    (tmp_path / "x.jsonl.gz").unlink()
    with pytest.raises(UserError, match="can't read http"):
        list(documents(source, Form()))


def test_a_server_that_is_not_there():
    with pytest.raises(UserError, match=r"files: can't look for http://127.0.0.1:9/x.jsonl: .*; check the address"):
        find_sources(["http://127.0.0.1:9/x.jsonl"])


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(_registry, "s3", raising=False)
    with pytest.raises(UserError, match=r"pip install 'hubkit\[s3\]'"):
        find_sources(["s3://bucket/x.jsonl"])


@pytest.fixture
def bucket(s3):
    s3.mkdir("texts")
    return s3


def test_a_bucket(bucket):
    content = gzip.compress(jsonl("a", "b"))
    bucket.pipe("texts/d/x2.jsonl.gz", content)
    bucket.pipe("texts/d/x10.jsonl", jsonl("c" * 20_000_000))
    assert read("s3://texts/d/*") == {
        "s3://texts/d/x2.jsonl.gz": ["a", "b"],
        "s3://texts/d/x10.jsonl": ["c" * 20_000_000],
    }
    assert list(read("s3://texts/d")) == ["s3://texts/d/x2.jsonl.gz", "s3://texts/d/x10.jsonl"]
    (before,) = find_sources(["s3://texts/d/x2.jsonl.gz"])
    assert before.bytes == len(content)
    bucket.pipe("texts/d/x2.jsonl.gz", gzip.compress(jsonl("e", "f")))
    assert find_sources(["s3://texts/d/x2.jsonl.gz"])[0].stamp != before.stamp
    with pytest.raises(UserError, match=r"s3://texts/none.jsonl does not exist"):
        find_sources(["s3://texts/none.jsonl"])


READ_HUB = """
import sys
from hubkit.reading import Form, documents, find_sources
for source in find_sources(sys.argv[1:]):
    print(source.name, source.bytes, [record.text for record in documents(source, Form())])
"""


def test_the_hub(tmp_path, monkeypatch):
    process.start(tmp_path / "hub", port=0)
    try:
        # The client reads its environment when it is imported, so it is given to a process of its own.
        environment = process.client_environment(tmp_path / "hub")
        api = HfApi(endpoint=environment["HF_ENDPOINT"], token=environment["HF_TOKEN"])
        api.create_repo("lab/texts", repo_type="dataset")
        content = gzip.compress(jsonl("a", "b"))
        for path in ("data/x10.jsonl.gz", "data/x2.jsonl.gz"):
            api.upload_file(path_or_fileobj=content, path_in_repo=path, repo_id="lab/texts", repo_type="dataset")
        command = [sys.executable, "-c", READ_HUB, "hf://datasets/lab/texts/data/*.gz"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
        assert done.stdout.splitlines() == [
            f"hf://datasets/lab/texts/data/{name}.jsonl.gz {len(content)} ['a', 'b']" for name in ("x2", "x10")
        ], done.stderr
    finally:
        process.stop(tmp_path / "hub")
