"""A builder whose work has all stages, and which dies where one wishes: squares of what its pieces found.

MORTAL_DIES: a file; the task that makes the middle of `train` removes it, if it is there, and kills itself.
MORTAL_FAILS: a file; what it says, `user` or `bug`, is the kind of exception that the middle of `train` raises.
MORTAL_PAUSE: seconds that each block takes longer.
MORTAL_STUCK: `join`, or a piece; that never ends.
MORTAL_BREAKS: `bug`, `disk` or `numpy`; the last piece raises an exception, or fills up its disk in one of two ways.
"""

import os
import signal
import time
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from hubkit.corpora.builder import Block, CorpusBuilder, CorpusSpec
from hubkit.errors import UserError

MIDDLE, LARGE = 4096, 16 << 20


class MortalSpec(CorpusSpec):
    builder: Literal["mortal"] = "mortal"
    pieces: int = 2
    rows: int = 4500


CONFIGS = {"mortal-small": MortalSpec()}


class Mortal(CorpusBuilder):
    name, version, spec_type = "mortal", "1", MortalSpec
    schema = pa.schema({"text": pa.string(), "square": pa.int64()})
    configs = CONFIGS
    summary = "Each row is a square. The pieces say how many there are."
    spec: MortalSpec

    def pieces(self):
        return [f"piece-{number}" for number in range(self.spec.pieces)]

    def prepare(self, piece, folder):
        _stick(piece, folder)
        if piece == f"piece-{self.spec.pieces - 1}":
            _break(folder)
        (folder / "rows").write_text(str(self.spec.rows))

    def join(self, pieces, folder):
        _stick("join", folder)
        (folder / "rows").write_text(str(sum(int((piece / "rows").read_text()) for piece in pieces)))

    @property
    def rows(self):
        return {"train": int((self.prepared / "rows").read_text()), "test": 100}

    def block(self, split, start, stop):
        time.sleep(float(os.environ.get("MORTAL_PAUSE", "0")))
        if split == "train" and start <= MIDDLE < stop:
            _perish()
        numbers = range(start, stop)
        columns = [[f"the square of {number}" for number in numbers], [number * number for number in numbers]]
        return Block(pa.RecordBatch.from_arrays([pa.array(column) for column in columns], schema=self.schema))


def _stick(stage, folder):
    if os.environ.get("MORTAL_STUCK") == stage:
        (folder / "half").touch()
        time.sleep(600)


def _break(folder):
    kind = os.environ.get("MORTAL_BREAKS")
    if kind == "bug":
        raise KeyError("no such thing")
    if kind == "disk":
        (folder / "much").write_bytes(bytes(LARGE))
    if kind == "numpy":
        np.zeros(LARGE, np.uint8).tofile(folder / "much")


def _perish():
    death, failure = (Path(os.environ.get(name, os.devnull)) for name in ("MORTAL_DIES", "MORTAL_FAILS"))
    if death.is_file():
        death.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    kind = failure.read_text() if failure.is_file() else ""
    if kind == "user":
        raise UserError("rows: the middle is not to be had; ask for another")
    if kind == "bug":
        raise ZeroDivisionError("the middle is nothing")


BUILDER = Mortal
