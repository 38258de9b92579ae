"""A proxy before a Hub, which does to requests what networks and busy servers do."""

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

_HOP = {"connection", "keep-alive", "transfer-encoding", "host", "content-length"}


class Fault(NamedTuple):
    """What happens to a request."""

    kind: Literal["status", "slow", "cut request", "cut response", "lost response"]
    """`cut request` never reaches the Hub; `lost response` is done there, and nobody hears of it."""
    status: int = 503
    headers: tuple[tuple[str, str], ...] = ()
    seconds: float = 0.3


class Seen(NamedTuple):
    """A request that came to the proxy."""

    method: str
    path: str
    body: int
    """Bytes."""
    fault: Fault | None


@dataclass
class FaultProxy:
    """A running proxy."""

    url: str
    decide: Callable[[int, str, str], Fault | None]
    """Given the number of a request, from 0, its method and its path: what goes wrong, if anything does."""
    seen: list[Seen] = field(default_factory=list)

    @property
    def sent(self) -> int:
        """Bytes of all bodies that clients sent."""
        return sum(request.body for request in self.seen)


@contextmanager
def fault_proxy(hub: str, decide: Callable[[int, str, str], Fault | None]) -> Iterator[FaultProxy]:
    """Run a proxy before the Hub at an address; the URLs that the Hub hands out lead through it too."""
    lock, target = threading.Lock(), urlsplit(hub)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError, TimeoutError):
                super().handle_one_request()

        def _any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            with lock:
                fault = proxy.decide(len(proxy.seen), self.command, self.path)
                proxy.seen.append(Seen(self.command, self.path, len(body), fault))
            if fault and fault.kind == "status":
                return self._answer(fault.status, list(fault.headers), b'{"error": "injected"}')
            if fault and fault.kind == "cut request":
                return self._cut()
            if fault and fault.kind == "slow":
                time.sleep(fault.seconds)
            status, headers, answer = self._ask(body)
            if fault and fault.kind == "lost response":
                return self._cut()
            self._answer(status, headers, answer, cut=bool(fault and fault.kind == "cut response"))

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _any

        def _ask(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = HTTPConnection(target.hostname or "", target.port, timeout=60)
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            connection.request(self.command, self.path, body, {**headers, "Host": target.netloc})
            response = connection.getresponse()
            answer = response.read()
            connection.close()
            kept = [(name, value.replace(hub, proxy.url)) for name, value in response.getheaders()]
            if "json" in (response.getheader("Content-Type") or ""):
                answer = answer.replace(json.dumps(hub)[1:-1].encode(), proxy.url.encode())
            length = response.getheader("Content-Length")
            if self.command == "HEAD" and length:
                kept.append(("Content-Length", length))
            return response.status, [(k, v) for k, v in kept if k.lower() not in _HOP or self.command == "HEAD"], answer

        def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, cut: bool = False) -> None:
            self.send_response_only(status)
            for name, value in headers:
                self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: len(body) // 2] if cut else body)
            if cut:
                self._cut()

        def _cut(self) -> None:
            self.close_connection = True
            with suppress(OSError):
                self.wfile.flush()
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    proxy = FaultProxy(f"http://127.0.0.1:{server.server_address[1]}", decide)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
