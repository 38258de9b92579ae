"""What lies beside the package is found, and files outside packages become modules once."""

import sys
from pathlib import Path

import numpy as np
import pytest

from hubkit import provenance, resources
from hubkit.batching import padded
from hubkit.errors import UserError
from hubkit.resources import load_module, resource


def test_resources_are_found_in_a_checkout_and_in_a_wheel(tmp_path, monkeypatch):
    assert resource("dataset_builders", "lorenz.py").is_file()
    bundled = tmp_path / "bundled"
    (bundled / "model_cards").mkdir(parents=True)
    monkeypatch.setattr(resources, "_INSTALLED", bundled)
    assert resource("model_cards") == bundled / "model_cards"
    assert resources.checkout() is None
    with pytest.raises(UserError, match=r"lacks dataset_builders/lorenz\.py \(looked in .*bundled\); install it again"):
        resource("dataset_builders", "lorenz.py")


def test_a_file_becomes_a_module_once(tmp_path):
    path = tmp_path / "thing.py"
    path.write_text("made = object()\n")
    first = load_module(path, "test_resources_thing")
    assert load_module(tmp_path / "." / "thing.py", "test_resources_thing") is first
    other = tmp_path / "other.py"
    other.write_text("made = None\n")
    assert load_module(other, "test_resources_thing").made is None


def test_a_file_that_fails_leaves_no_module_behind(tmp_path):
    path = tmp_path / "broken.py"
    path.write_text("half = 1\nraise RuntimeError('broken')\n")
    with pytest.raises(RuntimeError, match="broken"):
        load_module(path, "test_resources_broken")
    assert "test_resources_broken" not in sys.modules
    with pytest.raises(UserError, match=r"notes\.txt is not a Python file"):
        load_module(tmp_path / "notes.txt", "test_resources_notes")


def test_versions_of_what_is_installed():
    assert provenance.library_versions(["pytest", "no-such-distribution"]) == {"pytest": pytest.__version__}
    assert provenance.python_version() == sys.version.split()[0].rstrip("+")


@pytest.mark.parametrize(
    ("path", "end"),
    [
        ("/home/ada/work/runs/x/model", "runs/x/model"),
        ("/home/ada/work/runs/x/checkpoints/step-00000100", "x/checkpoints/step-00000100"),
        ("~/x/model", "x/model"),
        ("/home/ada/model", "model"),
        ("/home/ada", "~"),
        ("/home/bob/work/../model/", "model"),
        ("/scratch/bob/x/model", "x/model"),
        ("/mnt/disk/ada/model", "model"),
        ("/model", "model"),
    ],
)
def test_the_end_of_a_path_tells_no_user(monkeypatch, path, end):
    monkeypatch.setenv("HOME", "/home/ada")
    assert provenance.end_of_path(Path(path)) == end


def test_the_end_of_a_path_is_that_of_the_whole_one(monkeypatch, tmp_path):
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert [provenance.end_of_path(Path(path)) for path in ("x/model", "../model", ".")] == [
        "work/x/model", "model", "work",
    ]  # fmt: skip


def test_code_outside_a_checkout_has_no_commit(monkeypatch):
    monkeypatch.setattr(provenance, "checkout", lambda: None)
    assert provenance.code_version() == {"hubkit": provenance.__version__, "commit": None, "modified": False}


def test_code_in_a_checkout_without_git_has_no_commit(monkeypatch, tmp_path):
    monkeypatch.setattr(provenance, "checkout", lambda: tmp_path)
    assert provenance.code_version()["commit"] is None
    monkeypatch.setenv("PATH", "/nowhere")
    assert provenance.code_version()["commit"] is None


def test_rows_are_padded_at_the_end():
    ids, present = padded([np.array([5, 6, 7]), np.array([], int), np.array([8])], pad_id=1)
    assert ids.tolist() == [[5, 6, 7], [1, 1, 1], [8, 1, 1]]
    assert present.tolist() == [[True, True, True], [False, False, False], [True, False, False]]
    assert (ids.dtype, present.dtype) == (np.int64, bool)
