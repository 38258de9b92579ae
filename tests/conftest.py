"""What tests of several folders share: a browser, an S3, and a Hub; and that no file of tests leaves a trace."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest

# The cores are shared, so threads that wait must not spin. Read when torch is loaded, here and in every process.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# A shell has what it starts in the background ignore Ctrl-C, and `nohup` the terminal's end: so would all commands that
# tests send these signals to.
for _number, _handler in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _handler)

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
_WATCHED = ("HF_", "HUBKIT_", "AWS_", "ACCELERATE_", "HOME", "PATH", "TMPDIR", "XDG_")
"""How the variables begin that programs under test go by; libraries set others of their own as they start."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1)
_SETTINGS = ("ENDPOINT", "HUGGINGFACE_CO_URL_TEMPLATE", "HF_HUB_DISABLE_XET", "HF_HUB_CACHE", "HF_HUB_OFFLINE")


def _surroundings() -> dict[str, Any]:
    """Return what of this process the tests of the next file would notice."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http, are_progress_bars_disabled

    return {
        "the current folder": Path.cwd(),
        "the running event loop": asyncio._get_running_loop(),
        "huggingface_hub's progress bars": are_progress_bars_disabled(),
        "huggingface_hub's client": _http._GLOBAL_CLIENT_FACTORY.__module__,
        **{f"handler of {number.name}": signal.getsignal(number) for number in _SIGNALS},
        **{f"huggingface_hub's {name}": vars(constants)[name] for name in _SETTINGS},
        **{f"variable {name}": os.environ[name] for name in os.environ if name.startswith(_WATCHED)},
    }


@pytest.fixture(scope="session", autouse=True)
def clients_of_a_hub() -> None:
    """Set up huggingface_hub for good, as hubkit and the environment of an embedded Hub do in other processes."""
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    from hubkit.hub_patience import be_patient

    constants.HF_HUB_DISABLE_XET = True  # read from the environment when it was imported
    disable_progress_bars()
    be_patient()


@pytest.fixture(scope="module", autouse=True)
def leaves_no_trace() -> Iterator[None]:
    """Fail the file that changes this process for longer than its tests, for any file may come after it."""
    before = _surroundings()
    yield
    after = _surroundings()
    # Names alone: a value may be a token.
    changed = sorted(name for name in before.keys() | after.keys() if before.get(name) != after.get(name))
    assert changed == []


@pytest.fixture(scope="module")
def browser() -> Iterator:
    """Chromium, driven by playwright, whose event loop runs in this thread meanwhile; skips where there is none."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture
def library_clients() -> list[Any]:
    """Give the clients that huggingface_hub and transformers keep for good, for the Hub they were first told of."""
    from huggingface_hub import hf_api
    from transformers.utils import hub

    return [hf_api.api, hub.hf_api()]


@pytest.fixture
def s3(monkeypatch) -> Iterator[fsspec.AbstractFileSystem]:
    """An S3 of this machine, without buckets, which processes that are started later find too."""
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    moto = pytest.importorskip("moto.server", reason="moto is not installed")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    system = fsspec.filesystem("s3", skip_instance_cache=True)
    yield system
    fsspec.get_filesystem_class("s3").clear_instance_cache()
    server.stop()


@pytest.fixture(scope="session")
def _hub(tmp_path_factory) -> Iterator[dict[str, str]]:
    from hubkit.server import process

    root = tmp_path_factory.mktemp("hub")
    process.start(root, port=0)
    yield process.client_environment(root)
    process.stop(root)


@pytest.fixture
def here(_hub, monkeypatch, library_clients, tmp_path: Path) -> Iterator:
    """The API of a Hub that all clients in this process talk to, with caches of their own; one Hub for all tests."""
    import datasets.config
    from huggingface_hub import HfApi, HfFileSystem, constants

    # The clients read their environment when they are imported, so their settings are set directly.
    address = _hub["HF_ENDPOINT"]
    monkeypatch.setenv("HF_TOKEN", _hub["HF_TOKEN"])
    monkeypatch.setattr(constants, "ENDPOINT", address)
    for client in library_clients:
        monkeypatch.setattr(client, "endpoint", address)
    template = f"{address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache" / "hub"))
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", address)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache" / "datasets")
    monkeypatch.setattr(datasets.config, "DOWNLOADED_DATASETS_PATH", tmp_path / "cache" / "downloads")
    HfFileSystem.clear_instance_cache()
    yield HfApi(endpoint=address, token=_hub["HF_TOKEN"])
    HfFileSystem.clear_instance_cache()


@pytest.fixture
def disk(tmp_path) -> Iterator[Callable[[str], Path]]:
    """Mount a small file system with some options, again for others; skips where that isn't allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = False

    def mount(options: str) -> Path:
        nonlocal mounted
        options = f"remount,{options}" if mounted else options
        if not shutil.which("mount"):
            pytest.skip("no mount command here")
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], capture_output=True, text=True)
        if done.returncode and not mounted:
            pytest.skip(f"can't mount a small disk: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        mounted = True
        return folder

    yield mount
    if mounted:
        subprocess.run(["umount", folder], check=True)
