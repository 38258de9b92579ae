"""`corpus.json`: what a corpus folder holds, how it was made, and the hashes by which anyone can check it."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError

from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.specs import Spec

MANIFEST = "corpus.json"

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Characters(Spec):
    """Lengths of a text column, in characters."""

    min: int
    mean: float
    max: int


class ColumnStatistics(Spec):
    """What the card says of a text column."""

    characters: Characters


class ShardRecord(Spec):
    """One finished file."""

    file: Annotated[str, Field(pattern=r"^data/[a-z0-9_]+-\d{5}-of-\d{5}\.parquet$")]
    rows: int
    bytes: int
    rows_sha256: Sha256
    file_sha256: Sha256


class SplitRecord(Spec):
    """One split: its size, the hash of its rows, and its files in order."""

    rows: int
    rows_sha256: Sha256
    rejected: int
    statistics: dict[str, ColumnStatistics]
    shards: list[ShardRecord]


class Manifest(Spec):
    """The content of `corpus.json`; equal for equal spec, code, libraries and writer."""

    format: Literal[1] = 1
    builder: str
    generator_version: str
    config: str | None
    spec: dict[str, Any]
    spec_sha256: Sha256
    code: dict[str, Any]
    libraries: dict[str, str]
    numerics: dict[str, str]
    writer: dict[str, Any]
    columns: list[dict[str, str]]
    summary: str
    license: str
    tokenizer: str | None
    splits: dict[str, SplitRecord]

    @property
    def rows(self) -> int:
        """Rows of all splits."""
        return sum(split.rows for split in self.splits.values())

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(shard.bytes for split in self.splits.values() for shard in split.shards)

    def write(self, folder: Path) -> None:
        """Write `corpus.json`, in one step."""
        write_atomic(folder / MANIFEST, json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Read and check a folder's manifest.

    Raises:
        UserError: The folder is not a finished build, or its manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        unfinished = (folder / "data").is_dir()
        state = "holds an unfinished build: run the same `hubkit build` again" if unfinished else "is not a build"
        raise UserError(f"{folder} {state} (it has no {MANIFEST})") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UserError(
            f"{path} is damaged at {where or 'its start'}: {problem['msg']}; build into an empty folder"
        ) from None
