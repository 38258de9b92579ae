"""A proxy before a Hub that renames repositories and fails, as no Hub of this machine does by itself."""

import threading
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Proxy:
    """Hands GET requests on; inside ``with``.

    Args:
        url: The Hub's address.
        renamed: Former names of repositories, and what they are called now; such requests are redirected.
        broken: Parts of paths at which the Hub answers with status 500.
    """

    def __init__(self, url: str, renamed: dict[str, str] | None = None, broken: tuple[str, ...] = ()):
        self.asked: list[str] = []
        """Paths in the order in which they came."""
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                proxy.asked.append(self.path)
                old = next((name for name in renamed or () if f"/{name}" in self.path), None)
                if old is not None and renamed:
                    self._answer(307, {"Location": self.path.replace(old, renamed[old])}, b"")
                elif any(part in self.path for part in broken):
                    self._answer(500, {}, b"")
                else:
                    self._hand_on()

            def _hand_on(self):
                kept = {name: self.headers[name] for name in ("Authorization", "Range") if self.headers[name]}
                try:
                    answer = urllib.request.urlopen(urllib.request.Request(url + self.path, headers=kept))
                except urllib.error.HTTPError as error:
                    answer = error
                headers = {
                    name: value for name, value in answer.headers.items() if name.lower().startswith(("x-", "co"))
                }
                self._answer(answer.status, headers, answer.read())

            def _answer(self, status, headers, body):
                self.send_response(status)
                for name, value in (headers | {"Content-Length": str(len(body)), "Connection": "close"}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
