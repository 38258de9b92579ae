"""What is asked again, how often and after how long; of a Hub that answers as it is told."""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import constants
from huggingface_hub.utils import get_session

from hubkit import hub as hub_module
from hubkit import hub_patience
from tests.faults import Fault, fault_proxy


@pytest.fixture(scope="module")
def hub():
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.fixture
def waits(monkeypatch):
    found = []
    monkeypatch.setattr(hub_patience.time, "sleep", found.append)
    hub_patience.be_patient()
    return found


def ask(hub, method, path, faults, content=b"x"):
    """Ask through a proxy whose first answers are faults; return the answer and how often was asked."""
    with fault_proxy(hub, lambda number, *_: faults[number] if number < len(faults) else None) as proxy:
        try:
            return get_session().request(method, proxy.url + path, content=content).status_code, len(proxy.seen)
        except httpx2.TransportError as error:
            return type(error), len(proxy.seen)


def status(code, **headers):
    return Fault("status", code, tuple((name.replace("_", "-"), value) for name, value in headers.items()))


@pytest.mark.parametrize(
    ("method", "path", "fault", "again"),
    [
        ("GET", "/api", status(429), True),
        ("POST", "/api/commit", status(429), True),
        ("POST", "/api/commit", status(503), True),
        ("GET", "/api", status(502), True),
        ("POST", "/api/commit", status(502), False),
        ("POST", "/api/x/paths-info/main", status(500), True),
        ("GET", "/api", status(404), False),
        ("GET", "/api", Fault("cut request"), True),
        ("POST", "/api/commit", Fault("cut request"), False),
        ("POST", "/api/commit", Fault("lost response"), False),
    ],
)
def test_what_is_asked_again(hub, waits, method, path, fault, again):
    answer, asked = ask(hub, method, path, [fault])
    assert (answer == 200, asked, len(waits)) == ((True, 2, 1) if again else (False, 1, 0))


def test_it_waits_as_long_as_it_is_told_and_else_longer_each_time(hub, waits):
    assert ask(hub, "GET", "/", [status(429, Retry_After="7"), status(503), status(503)]) == (200, 4)
    assert waits == [7, 1.0, 2.0]


def test_the_limit_in_the_hubs_own_words(hub, waits):
    assert ask(hub, "GET", "/", [status(429, ratelimit='"api";r=0;t=55')]) == (200, 2)
    assert waits == [55]


def test_patience_ends(hub, waits, caplog):
    assert ask(hub, "GET", "/", [status(429, Retry_After="3600")]) == (429, 1)
    assert ask(hub, "GET", "/", [status(429, Retry_After="200")] * 3) == (429, 2)
    assert ask(hub, "GET", "/", [status(503)] * 9) == (503, 6)
    assert waits[0] == 200 and "asking again in 200 s" in caplog.text


def test_a_question_can_say_how_often_it_is_asked(hub, waits):
    with fault_proxy(hub, lambda *_: status(503)) as proxy:
        assert get_session().get(proxy.url, extensions={hub_patience.TRIES: 2}).status_code == 503
        assert (len(proxy.seen), waits) == (2, [0.5])


def test_what_hubkit_asks_is_patient(here, waits, monkeypatch, tmp_path):
    repo = f"lab/patience-{tmp_path.name}"
    here.create_repo(repo, repo_type="dataset")
    commit = here.upload_file(path_or_fileobj=b"x", path_in_repo="x", repo_id=repo, repo_type="dataset").oid
    busy = status(503, Retry_After="9")
    with fault_proxy(here.endpoint, lambda number, *_: None if number % 2 else busy) as proxy:
        monkeypatch.setattr(constants, "ENDPOINT", proxy.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{proxy.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        hub_module.check_token(repo)
        assert hub_module.resolve(repo).revision == commit
        assert (hub_module.fetch_dataset(repo, commit) / "x").read_bytes() == b"x"
    assert len(waits) >= 4 and set(waits) == {9.0}


def test_no_client_is_made_without_patience():
    """Clients are made in one place; the server is no client, and its room imports nothing of hubkit."""
    package = Path(hub_module.__file__).parent
    files = [path for path in package.rglob("*.py") if package / "server" not in path.parents]
    made = [path.relative_to(package).as_posix() for path in files if re.search(r"\bHfApi\(", path.read_text())]
    assert made == ["hub_patience.py"]


def test_a_stream_is_sent_once(hub, waits):
    assert ask(hub, "POST", "/", [status(429)], content=iter([b"x"])) == (429, 1)


def test_nobody_there_is_told_at_once(waits):
    with pytest.raises(httpx2.ConnectError):
        get_session().get("http://127.0.0.1:9/")
    assert waits == []
