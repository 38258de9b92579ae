"""The event loop of the server: uvicorn, with our socket, our signals and no access log."""

from __future__ import annotations

import contextlib
import logging
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator

import uvicorn

from hubkit.server.app import HubApp
from hubkit.server.context import Hub

# Longer than clients keep idle connections: else they would reuse one that was just closed.
_KEEP_ALIVE_S = 75
_GRACE_S = 5


class _Server(uvicorn.Server):
    """Ends with success on SIGTERM and SIGINT: being stopped is not a failure."""

    def __init__(self, config: uvicorn.Config, listening: Callable[[], None]) -> None:
        super().__init__(config)
        self._listening = listening

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._listening()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        watched = (signal.SIGINT, signal.SIGTERM)
        before = {number: signal.signal(number, self.handle_exit) for number in watched}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def run(hub: Hub, listener: socket.socket, listening: Callable[[], None]) -> None:
    """Serves until a signal comes.

    Args:
        hub: What to serve.
        listener: A listening socket.
        listening: Called once requests are answered.
    """
    _log_to_stderr()
    config = uvicorn.Config(
        HubApp(hub),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
    )
    _Server(config, listening).run(sockets=[listener])


def _log_to_stderr() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    for name in ("hubkit.server", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.setLevel(logging.WARNING)
        logger.propagate = False
