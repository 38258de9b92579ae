"""Running the server: in the foreground, or in the background with start, stop and status.

This module is cheap to import: what serves is loaded when it serves.
"""

from __future__ import annotations

import contextlib
import ipaddress
import json
import logging
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from hubkit.server.errors import HubError

__all__ = ["HubError", "Status", "client_environment", "default_root", "serve", "start", "status", "stop"]

DEFAULT_PORT = 8585
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 10.0
_HEALTH_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Status:
    """A running server.

    Attributes:
        root: The hub's folder.
        url: Its address; what HF_ENDPOINT must be.
        pid: Its process id.
        started: When it began to listen (ISO 8601).
        instance: A random id of this run.
    """

    root: Path
    url: str
    pid: int
    started: str
    instance: str


def default_root() -> Path:
    """The folder of the user's own hub: `$HUBKIT_HUB`, or `hubkit/hub` where the platform keeps a user's data."""
    chosen = os.environ.get("HUBKIT_HUB")
    if chosen:
        return Path(chosen).expanduser().absolute()
    if sys.platform in ("darwin", "win32"):
        from platformdirs import user_data_path

        return user_data_path("hubkit", appauthor=False) / "hub"
    data = os.environ.get("XDG_DATA_HOME") or "~/.local/share"
    return Path(data).expanduser().absolute() / "hubkit" / "hub"


def serve(
    root: Path, host: str = "127.0.0.1", port: int = DEFAULT_PORT, ready: Callable[[Status], None] | None = None
) -> None:
    """Serves a hub in the foreground until SIGINT or SIGTERM; then returns.

    Args:
        root: The hub's folder; made if need be.
        host: A loopback address.
        port: Where to listen; 0 takes a free port.
        ready: Called once the server answers.

    Raises:
        HubError: If the host is not loopback, the port is taken, the folder cannot be used or is being served already.
    """
    _check_host(host)
    root = _prepare(root)
    with _exclusive(root), contextlib.closing(_listen(host, port)) as listener:
        from hubkit.server.context import Hub
        from hubkit.server.runner import run

        hub = Hub.open(root, _url(host, listener.getsockname()[1]), secrets.token_hex(16))
        hub.store.clean()
        hub.tokens.ensure_own()
        record = root / "server.json"
        started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        state = Status(root, hub.base_url, os.getpid(), started, hub.instance)

        def listening() -> None:
            from hubkit.server.files import write_json

            members = {"pid": state.pid, "url": state.url, "started": state.started, "instance": state.instance}
            write_json(record, members)
            if ready is not None:
                ready(state)

        try:
            run(hub, listener, listening)
        finally:
            record.unlink(missing_ok=True)


def start(root: Path, host: str = "127.0.0.1", port: int = DEFAULT_PORT) -> Status:
    """Starts a server in the background, unless the hub has one already, and waits until it answers.

    Args:
        root: The hub's folder.
        host: A loopback address.
        port: Where to listen; 0 takes a free port.

    Raises:
        HubError: If the server does not come up; the message is the server's own.
    """
    running = status(root)
    if running is not None:
        return running
    _check_host(host)
    root = _prepare(root)
    command = [sys.executable, "-m", "hubkit.server", "--root", str(root), "--host", host, "--port", str(port)]
    log = root / "server.log"
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        offset = output.seek(0, os.SEEK_END)
        # Its own session, so that Ctrl-C in the terminal does not end it; its own folder, so that it blocks nobody's.
        child = subprocess.Popen(
            command, cwd=root, env=_child_environment(), stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            start_new_session=True,
        )  # fmt: skip
    try:
        return _answering(root, child, log, offset)
    except BaseException:  # Ctrl-C, or told to end: nobody would know of it
        child.kill()
        child.wait()
        raise


def _answering(root: Path, child: subprocess.Popen[bytes], log: Path, offset: int) -> Status:
    """Wait until the hub's server answers, and return it: the child, or one that somebody else started just before."""
    deadline = time.monotonic() + _START_TIMEOUT_S
    while time.monotonic() < deadline:
        running = status(root)
        if running is not None:
            if running.pid != child.pid:
                # Someone else was faster; ours must not wait to take over when theirs is stopped.
                child.kill()
                child.wait()
            return running
        if child.poll() is not None:
            running = _wait_for_other(root)
            if running is not None:
                return running
            raise HubError(_last_line(log, offset) or f"The server ended with status {child.returncode}: see {log}")
        time.sleep(0.02)
    raise HubError(f"The server for {root} did not answer within {_START_TIMEOUT_S:.0f} s: see {log}")


def stop(root: Path) -> bool:
    """Stops the server of a hub.

    Returns:
        Whether there was one.
    """
    root = _absolute(root)
    record = _read_record(root)
    # The lock is held for as long as the process that wrote the record lives: its process id cannot be somebody else's.
    if record is None or not _is_locked(root):
        return False
    for sign, patience in ((signal.SIGTERM, _STOP_TIMEOUT_S), (signal.SIGKILL, _STOP_TIMEOUT_S)):
        with contextlib.suppress(ProcessLookupError):
            os.kill(record.pid, sign)
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if not _is_locked(root) or _read_record(root) not in (None, record):
                _reap(record.pid)
                return True
            time.sleep(0.02)
    raise HubError(f"The server for {root} (process {record.pid}) does not end: stop it by hand")


def status(root: Path) -> Status | None:
    """The running server of a hub: one that is alive and proves to be the one that is written down."""
    record = _read_record(_absolute(root))
    if record is None or _health(record.url) != record.instance:
        return None
    return record


def client_environment(root: Path) -> dict[str, str]:
    """The environment variables with which every client of the Hugging Face Hub talks to this hub instead.

    Raises:
        HubError: If the hub has no running server.
    """
    from hubkit.server.tokens import TokenStore

    running = status(root)
    if running is None:
        raise HubError(f"No server is running for {root}: start it with `hubkit hub start`")
    environment = {
        "HF_ENDPOINT": running.url,
        "HF_TOKEN": TokenStore(running.root).own() or "",
        # Caches are keyed by repository and not by endpoint: a shared one would mix this hub with the real one.
        "HF_HOME": str(running.root / "client-home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "DISABLE_SAFETENSORS_CONVERSION": "1",
    }
    if any(os.environ.get(name) for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")):
        # A proxy cannot reach this computer's own address.
        others = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
        direct = ",".join(filter(None, [others, "127.0.0.1,localhost,::1"]))
        environment |= {"NO_PROXY": direct, "no_proxy": direct}
    return environment


def _absolute(root: Path) -> Path:
    return Path(root).expanduser().absolute()


def _check_host(host: str) -> None:
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_loopback:
            return
    if host != "localhost":
        raise HubError(f"The host {host!r} is not this computer alone: use 127.0.0.1, ::1 or localhost")


def _prepare(root: Path) -> Path:
    import tempfile

    root = _absolute(root)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        (root / "locks").mkdir(exist_ok=True)
        tempfile.TemporaryFile(dir=root).close()
    except OSError as error:
        raise HubError(f"The hub's folder {root} cannot be written ({error.strerror}): choose another --root") from None
    return root


@contextlib.contextmanager
def _exclusive(root: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(root / "locks" / "server.lock")
    try:
        # Patient for a moment: `stop` and `status` look at the lock by taking it.
        lock.acquire(timeout=0.5, poll_interval=0.02)
    except Timeout:
        record = _read_record(root)
        where = f" at {record.url} (process {record.pid})" if record else ""
        message = f"The hub {root} is being served already{where}: stop that server, or choose another --root"
        raise HubError(message) from None
    try:
        yield
    finally:
        lock.release()


def _is_locked(root: Path) -> bool:
    from filelock import FileLock, Timeout

    try:
        with FileLock(root / "locks" / "server.lock", timeout=0):
            return False
    except Timeout:
        return True
    except OSError:
        return False


def _listen(host: str, port: int) -> socket.socket:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    # With the protocol named, asyncio turns off Nagle's delay, which else costs 40 ms in every answer.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        # Connections of a server that just ended may linger; they must not keep the port.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(128)
    except (OSError, OverflowError) as error:
        listener.close()
        message = f"Port {port} of {host} cannot be used ({error}): choose another with --port, or --port 0"
        raise HubError(message) from None
    return listener


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _child_environment() -> dict[str, str]:
    environment = dict(os.environ)
    package_root = Path(__file__).resolve().parents[2]
    # From a source tree that is not installed, a child would not find the package.
    if package_root.name not in ("site-packages", "dist-packages"):
        paths = [str(package_root), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, paths))
    return environment


def _read_record(root: Path) -> Status | None:
    try:
        members = json.loads((root / "server.json").read_bytes())
        return Status(root, members["url"], int(members["pid"]), members["started"], members["instance"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _health(url: str) -> str | None:
    """Asks the server at a URL for its instance id."""
    import http.client

    address = urlsplit(url).netloc
    connection = http.client.HTTPConnection(address, timeout=_HEALTH_TIMEOUT_S)
    try:
        connection.request("GET", "/api/hubkit/health")
        return json.loads(connection.getresponse().read(1000))["instance"]
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _wait_for_other(root: Path) -> Status | None:
    # A server that was started a moment earlier has the lock before it has a record.
    deadline = time.monotonic() + 5
    while _is_locked(root) and time.monotonic() < deadline:
        running = status(root)
        if running is not None:
            return running
        time.sleep(0.05)
    return None


def _last_line(log: Path, offset: int) -> str:
    with contextlib.suppress(OSError), open(log, "rb") as file:
        file.seek(offset)
        lines = file.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].removeprefix("error: ") if lines else ""
    return ""


def _reap(pid: int) -> None:
    # If this very process started it, it would stay a zombie.
    with contextlib.suppress(OSError):
        os.waitpid(pid, os.WNOHANG)


logging.getLogger("hubkit.server").addHandler(logging.NullHandler())
