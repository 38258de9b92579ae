"""Starting, stopping and finding the server."""

from __future__ import annotations

import ast
import http.client
import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

import hubkit.server
from hubkit.server import process
from hubkit.server.process import HubError


def test_the_server_imports_nothing_else_of_hubkit_and_no_client():
    for file in Path(hubkit.server.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            for name in names:
                assert not name.startswith("huggingface_hub"), file
                assert not name.startswith("hubkit") or name.startswith("hubkit.server"), file


def test_importing_the_process_module_loads_no_server():
    heavy = {"uvicorn", "starlette", "pygit2", "yaml"}
    code = f"import sys, hubkit.server.process; print(sorted({heavy} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_start_status_stop(tmp_path):
    root = tmp_path / "new" / "hub"
    assert process.status(root) is None
    assert process.stop(root) is False
    began = time.monotonic()
    status = process.start(root, port=0)
    assert time.monotonic() - began < 10
    try:
        assert process.status(root) == status
        assert process.start(root, port=0) == status  # there is one already
        assert status.url.startswith("http://127.0.0.1:")
        assert status.pid != os.getpid()
        assert os.getsid(status.pid) != os.getsid(0)
    finally:
        assert process.stop(root) is True
    assert process.status(root) is None
    assert not (root / "server.json").exists()
    assert process.stop(root) is False


def test_two_starts_at_once_give_one_server(tmp_path):
    root = tmp_path / "hub"
    with ThreadPoolExecutor() as pool:
        found = list(pool.map(lambda _: process.start(root, port=0), range(3)))
    try:
        assert len(set(found)) == 1
    finally:
        assert process.stop(root)
    # No loser waits to take over.
    time.sleep(1)
    assert process.status(root) is None


def test_what_a_killed_server_left_is_not_a_running_one(own_hub):
    root, pid = own_hub.root, own_hub.status.pid
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    assert (root / "server.json").exists()
    assert process.status(root) is None
    assert process.stop(root) is False
    with pytest.raises(HubError, match="hubkit hub start"):
        process.client_environment(root)
    again = process.start(root, port=0)
    assert again.instance != own_hub.status.instance
    assert process.status(root) == again


def test_another_server_at_the_same_address_is_not_ours(own_hub, tmp_path):
    record = (own_hub.root / "server.json").read_text()
    other = tmp_path / "other"
    other.mkdir()
    (other / "server.json").write_text(record.replace(own_hub.status.instance, "0" * 32))
    assert process.status(other) is None
    assert process.stop(other) is False
    assert process.status(own_hub.root) is not None


def test_a_second_server_for_the_same_folder_is_refused(own_hub):
    with pytest.raises(HubError, match="served already at http") as error:
        process.serve(own_hub.root, port=0)
    assert own_hub.url in str(error.value)
    assert process.status(own_hub.root) == own_hub.status


def test_a_taken_port_is_named_with_its_mend(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        for call in (process.serve, process.start):
            with pytest.raises(HubError, match=rf"Port {port} of 127.0.0.1 cannot be used.*--port"):
                call(tmp_path / "hub", port=port)
    assert process.status(tmp_path / "hub") is None


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
def test_only_loopback_is_served(tmp_path, host):
    for call in (process.serve, process.start):
        with pytest.raises(HubError, match=r"use 127\.0\.0\.1") as error:
            call(tmp_path / "hub", host=host, port=0)
        assert repr(host) in str(error.value)
    assert not (tmp_path / "hub").exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(HubError, match="cannot be written"):
        process.start(tmp_path / "file" / "hub", port=0)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_the_foreground_server_ends_with_success(tmp_path, sign):
    command = [sys.executable, "-m", "hubkit.server", "--root", str(tmp_path / "hub"), "--port", "0"]
    child = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert child.stderr
    assert "http://127.0.0.1:" in child.stderr.readline()
    assert process.status(tmp_path / "hub")
    child.send_signal(sign)
    assert child.wait(15) == 0
    assert child.stderr.read() == ""
    assert not (tmp_path / "hub" / "server.json").exists()


def test_the_foreground_server_says_what_is_wrong_in_one_line(tmp_path):
    command = [sys.executable, "-m", "hubkit.server", "--root", str(tmp_path / "hub"), "--host", "0.0.0.0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stderr.startswith("error: The host '0.0.0.0'")
    assert len(result.stderr.strip().splitlines()) == 1


def test_the_environment_of_clients(own_hub, monkeypatch):
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    environment = process.client_environment(own_hub.root)
    assert environment == {
        "HF_ENDPOINT": own_hub.url,
        "HF_TOKEN": own_hub.token,
        "HF_HOME": str(own_hub.root / "client-home"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_UPDATE_DOWNLOAD_COUNTS": "0",
        "DISABLE_SAFETENSORS_CONVERSION": "1",
    }


def test_a_proxy_is_not_asked_for_this_computer(own_hub, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "intranet.example")
    environment = process.client_environment(own_hub.root)
    assert environment["no_proxy"] == environment["NO_PROXY"] == "intranet.example,127.0.0.1,localhost,::1"


def test_the_token_survives_a_restart_and_is_renewed_when_lost(own_hub):
    root = own_hub.root
    process.stop(root)
    process.start(root, port=0)
    assert process.client_environment(root)["HF_TOKEN"] == own_hub.token
    process.stop(root)
    (root / "tokens.json").unlink()
    process.start(root, port=0)
    assert process.client_environment(root)["HF_TOKEN"] != own_hub.token


def test_the_default_folder(monkeypatch):
    monkeypatch.setenv("HUBKIT_HUB", "/somewhere/hub")
    assert process.default_root() == Path("/somewhere/hub")
    monkeypatch.delenv("HUBKIT_HUB")
    monkeypatch.setenv("XDG_DATA_HOME", "/data")
    if sys.platform == "linux":
        assert process.default_root() == Path("/data/hubkit/hub")
        monkeypatch.delenv("XDG_DATA_HOME")
        assert process.default_root() == Path.home() / ".local/share/hubkit/hub"


def test_the_server_listens_on_ipv6_loopback_too(tmp_path):
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this computer has no IPv6")
    status = process.start(tmp_path / "hub", host="::1", port=0)
    try:
        assert status.url.startswith("http://[::1]:")
        assert process.status(tmp_path / "hub") == status
    finally:
        assert process.stop(tmp_path / "hub")


def test_answers_do_not_wait_for_acknowledgements(own_hub):
    connection = http.client.HTTPConnection(urlsplit(own_hub.url).netloc)
    times = []
    for _ in range(10):
        began = time.perf_counter()
        connection.request("GET", "/api/hubkit/health")
        connection.getresponse().read()
        times.append(time.perf_counter() - began)
    connection.close()
    # Nagle's algorithm against delayed acknowledgements costs 40 ms in each answer after the first.
    assert min(times[1:]) < 0.03
