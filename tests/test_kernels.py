"""Compiled loops work where they can't be kept."""

import errno
import os
import subprocess
import sys

import pytest

from hubkit.resources import load_module

LOOP = """
from hubkit.kernels import kernel

@kernel
def doubled(x):
    return 2 * x
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "loops.py"
    path.write_text(LOOP)
    return path


def test_a_loop_runs_though_the_disk_of_the_cache_is_full(file, monkeypatch):
    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("numba.core.caching.IndexDataCacheFile.save", full)
    assert load_module(file, "loops_on_a_full_disk").doubled(21) == 42


def test_a_loop_is_kept(file):
    assert load_module(file, "loops_that_are_kept").doubled(21) == 42
    assert list(file.parent.glob("__pycache__/loops.doubled-*.nbc"))


def test_a_loop_runs_as_python_for_a_debugger(file):
    code = "import loops; print(loops.doubled(21), type(loops.doubled).__name__)"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=file.parent, env=environment, capture_output=True, text=True
    )
    assert done.stdout == "42 function\n", done.stderr
