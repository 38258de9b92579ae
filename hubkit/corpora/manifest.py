"""`corpus.json`: what a corpus folder holds, how it was made, and the hashes by which anyone can check it."""

import json
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from hubkit.corpora.builder import check_split
from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.specs import Spec, canonical_json

MANIFEST = "corpus.json"

_GLOB = set("*?[]{}\\")
"""What a path means more by than itself, to `datasets` and to the Hub's client."""

SplitKey = Annotated[str, Field(pattern=r"^([\w.-]+/)?\w+(\.\w+)*$"), AfterValidator(check_split)]
"""The name of a split; of a config that is not the default one, ``config/split``."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Count = Annotated[int, Field(ge=0, lt=1 << 53)]
"""A number of rows or bytes: what JSON's readers agree on."""


class Lengths(Spec):
    """Lengths of the values of a column."""

    min: int
    mean: float
    max: int
    total: int
    histogram: dict[int, Count] | None = None
    """How many values lie in each bin that is not empty, by its least length; see :mod:`hubkit.corpora.histogram`."""


class ColumnStatistics(Spec):
    """What the card says of a column: characters of a text, items of a list, and few values, each with its rows."""

    characters: Lengths | None = None
    items: Lengths | None = None
    values: list[tuple[str | int | bool | None, Count]] | None = None
    """The values in their order, null last, each with its rows; None where they are not few, or no names of classes."""


class SourceRecord(BaseModel):
    """Something from outside that rows were made of."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    bytes: Count
    sha256: Sha256


class PairOverlap(Spec):
    """How much of one split occurs in another."""

    split: str
    other: str
    rows: int
    """Rows of `split` that are also rows of `other`."""
    ngrams: int
    """Different n-grams in the sample of `split`."""
    shared: int
    """Those of them that occur in `other`."""


class Overlap(Spec):
    """What the splits of a config have in common; see :mod:`hubkit.corpora.overlap`."""

    column: str
    unit: Literal["words", "items"]
    n: int
    sampled: float
    """The share of all n-grams that was compared."""
    repeats: dict[str, int]
    """Rows of each split that repeat an earlier row of it."""
    pairs: list[PairOverlap]


def _inside(file: str) -> str:
    path = PurePosixPath(file)
    if path.is_absolute() or ".." in path.parts or str(path) != file or not file.isprintable() or _GLOB & set(file):
        raise ValueError("not the plain path of a file inside the folder")
    return file


class ShardRecord(Spec):
    """One finished file."""

    file: Annotated[str, Field(min_length=1), AfterValidator(_inside)]
    rows: Count
    bytes: Count
    rows_sha256: Sha256
    file_sha256: Sha256


class SplitRecord(Spec):
    """One split: its size, the hash of its rows, and its files in order."""

    rows: Count
    rows_sha256: Sha256
    rejected: Count
    failed: Count
    """Draws that raised an exception in the builder's code and were drawn again."""
    statistics: dict[str, ColumnStatistics]
    shards: Annotated[list[ShardRecord], Field(min_length=1)]


class Manifest(Spec):
    """The content of `corpus.json`; equal for equal spec, code, libraries and writer."""

    format: Literal[1] = 1
    builder: str | None
    """Whose rows they are; null, as are the next four, for files that hubkit did not make."""
    generator_version: str | None
    config: str | None
    spec: dict[str, Any] | None
    spec_sha256: Sha256 | None
    code: dict[str, Any]
    libraries: dict[str, str]
    numerics: dict[str, str]
    writer: dict[str, Any]
    columns: list[dict[str, str]]
    """Name and type of each, and the config if that is not the default one."""
    summary: str
    license: str
    origin: Literal["generated", "found", "files"]
    """Whether a program made the rows up, a program made them of what people wrote, or all that is known are files."""
    tokenizer: str | None
    sources: list[SourceRecord]
    facts: dict[str, Any]
    reports: list[str]
    """Files beside this one that say more, such as `quarantine.jsonl`; they are not published."""
    overlaps: list[Overlap]
    """Of each config whose splits were compared; those of different configs never are."""
    splits: Annotated[dict[SplitKey, SplitRecord], Field(min_length=1)]

    @field_validator("spec")
    @classmethod
    def _has_a_hash(cls, spec: dict[str, Any] | None) -> dict[str, Any] | None:
        canonical_json(spec)  # refuses NaN, which JSON's reader takes
        return spec

    @model_validator(mode="after")
    def _is_known(self) -> "Manifest":
        made = (self.builder, self.generator_version, self.spec, self.spec_sha256)
        if (self.origin == "files") != all(part is None for part in made) or (None in made and any(made)):
            raise ValueError("builder, generator_version, spec and spec_sha256 are null for files, and for these alone")
        return self

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
        write_atomic(folder / MANIFEST, self.text())

    def text(self) -> str:
        """Return what `corpus.json` holds."""
        return json.dumps(self.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n"


def read_manifest(folder: Path) -> Manifest:
    """Read and check a folder's manifest.

    Raises:
        UserError: The folder is not a finished build, or its manifest is damaged.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        from hubkit.corpora.layout import WORK

        unfinished = (folder / WORK).is_dir()
        state = "holds an unfinished build: run the same `hubkit build` again" if unfinished else "is not a build"
        raise UserError(f"{folder} {state} (it has no {MANIFEST})") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}; mend that") from None
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise UserError(
            f"{path} is damaged at {where or 'its start'}: {problem['msg']}; build into an empty folder"
        ) from None
