"""A third party's builder, small and fast: random walks. What its code does wrong is switched on from outside.

WALKS_PAUSE: seconds that each block takes longer, so that a build can be hit on the way.
WALKS_FAIL_AT: index of the training row at which its code breaks down.
"""

import os
import time
from typing import Annotated, Literal

import pyarrow as pa
from pydantic import Field

from hubkit.corpora.builder import CorpusBuilder, CountedSpec


class WalkSpec(CountedSpec):
    builder: Literal["walks"] = "walks"
    steps: Annotated[int, Field(ge=1, le=64)] = 8


CONFIGS = {
    "walks-small": WalkSpec(splits={"train": 5000, "test": 1500}),
    "walks-long": WalkSpec(splits={"train": 3000}, steps=64),
}


class Strange(Exception):
    """Can't be unpickled: it wants two arguments."""

    def __init__(self, what, why):
        super().__init__(f"{what}: {why}")


class Walks(CorpusBuilder):
    name, version, spec_type = "walks", "1", WalkSpec
    schema = pa.schema({"text": pa.string(), "end": pa.int64(), "mean": pa.float64(), "path": pa.list_(pa.int8())})
    configs = CONFIGS
    summary = "Each row is a walk. It goes a step forth or back."
    spec: WalkSpec

    def block(self, split, start, stop):
        time.sleep(float(os.environ.get("WALKS_PAUSE", "0")))
        if split == "train" and start <= int(os.environ.get("WALKS_FAIL_AT", "-1")) < stop:
            raise Strange("walks", "lost the way")
        return super().block(split, start, stop)

    def row(self, seed):
        if seed % 7 == 0:
            return None
        path, place = [], 0
        for step in range(self.spec.steps):
            place += 1 if seed >> (64 + step) & 1 else -1
            path.append(place)
        mean = None if place == 0 else sum(path) / len(path)
        return {"text": " ".join(map(str, path)), "end": place, "mean": mean, "path": path}


BUILDER = Walks
