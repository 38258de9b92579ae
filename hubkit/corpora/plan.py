"""The plan of a build: what must be equal for it to be continued, and what any process needs to take part in it."""

import json
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from hubkit.corpora.builder import CorpusBuilder
from hubkit.corpora.layout import ROW_GROUP_BYTES, SHARD_BYTES, WORK, whole_blocks
from hubkit.corpora.registry import Corpus, code_of
from hubkit.errors import UserError
from hubkit.files import write_atomic
from hubkit.provenance import library_versions
from hubkit.specs import Spec


class Plan(Spec):
    """What a build is to make, and with what."""

    reference: str
    """How any process finds the builder (see :mod:`hubkit.corpora.registry`)."""
    config: str | None
    spec: dict[str, Any]
    spec_sha256: str
    generator_version: str
    code: dict[str, str]
    """Whose code the builder is, if not hubkit's (see :func:`hubkit.corpora.registry.code_of`)."""
    libraries: dict[str, str]
    numerics: dict[str, str]
    pieces: list[str]
    """The pieces of the preparation."""
    writer: dict[str, Any]
    """Options of the Parquet writer; `shard_rows` is null where it follows from the size of a row."""
    overlap: bool
    """Whether rows are compared between the splits."""
    max_failures: int


def make_plan(corpus: Corpus, shard_rows: int | None, overlap: bool, max_failures: int) -> Plan:
    """Return the plan of a build that begins here and now."""
    builder = corpus.builder
    return Plan(
        reference=corpus.reference,
        config=corpus.config,
        spec=builder.spec.model_dump(mode="json"),
        spec_sha256=builder.recorded.sha256,
        generator_version=builder.version,
        code=code_of(corpus.reference),
        libraries=library_versions(builder.libraries),
        numerics=builder.numerics(),
        pieces=list(builder.pieces()),
        writer={
            "compression": "zstd",
            "compression_level": 1,
            "shard_rows": shard_rows,
            "page_index": True,
            "content_defined_chunking": True,
        },
        overlap=overlap,
        max_failures=max_failures,
    )


def writer_of(plan: Plan, builder: CorpusBuilder) -> dict[str, Any]:
    """Return the writer's options with every size known; the builder is prepared, so it can say how large a row is."""
    shard_rows = plan.writer["shard_rows"]
    return plan.writer | {
        "shard_rows": whole_blocks(SHARD_BYTES, builder.row_bytes) if shard_rows is None else shard_rows,
        "row_group_rows": whole_blocks(ROW_GROUP_BYTES, builder.row_bytes),
    }


def read_plan(folder: Path) -> Plan:
    """Return the plan of the build under way in a folder.

    Raises:
        UserError: There is none, or it is damaged.
    """
    path = folder / WORK / "plan.json"
    try:
        return Plan.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f"{folder} holds no build under way (it has no {WORK}/plan.json)") from None
    except ValidationError:
        raise UserError(f"{path} is damaged; delete {folder} and build again") from None


def settle_plan(folder: Path, plan: Plan) -> None:
    """Record the plan of a new build, or check that the unfinished one in the folder has the same.

    Raises:
        UserError: It has another; the message names what differs.
    """
    path = folder / WORK / "plan.json"
    if not path.exists():
        write_atomic(path, json.dumps(plan.model_dump(mode="json"), indent=1))
        return
    begun = read_plan(folder)
    if (begun.spec_sha256, begun.generator_version) != (plan.spec_sha256, plan.generator_version):
        raise UserError(f"{folder} holds an unfinished build of another spec; choose another folder or delete that one")
    if begun.pieces != plan.pieces:
        raise UserError(
            f"{folder} was begun with other sources ({_difference(begun.pieces, plan.pieces)}); delete it and build "
            "again"
        )
    check_environment(folder, begun, plan.reference, plan.libraries, plan.numerics)
    for field in sorted(begun.writer):
        _same(folder, field, begun.writer[field], plan.writer.get(field))
    _same(folder, "overlap", begun.overlap, plan.overlap)


def check_environment(
    folder: Path, begun: Plan, reference: str, libraries: dict[str, str], numerics: dict[str, str]
) -> None:
    """Refuse to go on with other code, libraries or numerics: rows might differ, and the manifest would tell a lie."""
    pairs = ((begun.code, code_of(reference)), (begun.libraries, libraries), (begun.numerics, numerics))
    for then, here in pairs:
        for field in sorted(then.keys() | here.keys()):
            _same(folder, field, then.get(field), here.get(field))


def _same(folder: Path, field: str, then: Any, now: Any) -> None:
    if then != now:
        was, would = ("none" if value is None else value for value in (then, now))
        raise UserError(
            f"{folder} was begun with {field} {was} and would go on with {would}; go on as it was begun, "
            "or delete it and build again"
        )


def _difference(then: list[str], now: list[str]) -> str:
    gone, new = sorted(set(then) - set(now)), sorted(set(now) - set(then))
    return f"{gone[0]} is gone" if gone else f"{new[0]} is new" if new else "in another order"
