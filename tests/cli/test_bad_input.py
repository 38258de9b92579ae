"""What goes wrong ends in one line that names the field, the value and the mend; never a traceback, never exit 0."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

HUBKIT = Path(sys.executable).parent / "hubkit"
TOKEN = "hubkit_" + "0" * 40


@pytest.fixture
def run(tmp_path):
    """Return a function that runs the command line with an empty home and a Hub that is down."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUBKIT_"))}
    down = {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_TOKEN": TOKEN, "HF_HUB_DISABLE_XET": "1"}

    def run(*arguments: object, **environment: str) -> str:
        settings = kept | {"HOME": str(tmp_path), "HUBKIT_HUB": str(tmp_path / "hub")} | down | environment
        command = [str(HUBKIT), *(str(argument) for argument in arguments)]
        done = subprocess.run(command, cwd=tmp_path, env=settings, capture_output=True, text=True, timeout=120)
        assert done.returncode not in (0, -9), done.stdout
        said = [line for line in done.stderr.splitlines() if line.startswith("hubkit: ")]
        assert len(said) == 1, done.stderr
        assert "Traceback" not in done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return said[0]

    return run


@pytest.fixture
def space(tmp_path):
    """A folder that the publisher takes for a Space."""
    folder = tmp_path / "space"
    folder.mkdir()
    (folder / "app.py").write_text("raise SystemExit('no model here')\n")
    (folder / "requirements.txt").write_text("gradio\n")
    pin = '{"repo": "lab/m", "revision": "' + "0" * 40 + '"}'
    (folder / "space.json").write_text('{"format": 1, "title": "t", "models": [' + pin + '], "datasets": []}')
    return folder


def test_publish_of_a_folder_that_is_nothing(run, tmp_path):
    (tmp_path / "stuff").mkdir()
    assert "stuff" in run("publish", "stuff", "lab/x")


def test_publish_of_a_folder_that_is_not_there(run):
    assert "nowhere" in run("publish", "nowhere", "lab/x")


def test_publish_to_a_hub_that_is_down(run, space):
    assert "http://127.0.0.1:9" in run("publish", space, "lab/x", "--dry-run")


def test_publish_to_an_impossible_name(run, space):
    assert "a b" in run("publish", space, "lab/a b")


def test_recipe_that_is_not_there(run):
    assert "lorenz-tiny" in run("train", "lorenz-tinny"), "names those there are"


def test_recipe_key_that_is_not_there(run):
    assert "training.stepz is not a field (known: " in run("train", "lorenz-tiny", "training.stepz=3")


def test_training_on_a_hub_that_is_down(run):
    assert "http://127.0.0.1:9" in run("train", "lorenz-tiny", "output=here")


def test_evaluation_of_a_model_on_a_hub_that_is_down(run):
    assert "http://127.0.0.1:9" in run("evaluate", "lab/model")


def test_evaluation_of_a_folder_that_is_no_model(run, tmp_path):
    (tmp_path / "stuff").mkdir()
    assert "run.json" in run("evaluate", "stuff")


def test_space_that_ends_by_itself(run, space):
    assert "ended by itself" in run("space", "run", space)


def test_space_on_a_port_in_use(run, space):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"port: {port} is in use" in run("space", "run", space, "--port", port)


def test_space_folder_without_an_app(run, tmp_path):
    (tmp_path / "stuff").mkdir()
    assert "app.py" in run("space", "run", "stuff")


def test_hub_on_a_port_in_use(run):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in run("hub", "start", "--port", port)


def test_hub_on_an_address_that_others_reach(run):
    assert "0.0.0.0" in run("hub", "serve", "--host", "0.0.0.0")


def test_hub_environment_of_a_hub_that_is_not_running(run):
    assert "hubkit hub start" in run("hub", "env")
