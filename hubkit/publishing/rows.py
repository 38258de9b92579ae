"""Rows of a plain Python function, from a notebook to a release in one call."""

import dataclasses
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from hubkit.errors import UserError
from hubkit.hub import resolve
from hubkit.publishing.applying import Release
from hubkit.publishing.corpus import FUNCTION_FILE
from hubkit.publishing.hub import check_name
from hubkit.publishing.planning import plan
from hubkit.publishing.progress import Progress
from hubkit.publishing.replanning import publish
from hubkit.specs import canonical_json

if TYPE_CHECKING:
    import pyarrow as pa
    from datasets import Features
    from huggingface_hub import HfApi

    from hubkit.corpora.checking import Finding
    from hubkit.corpora.functions import FunctionSpec

Function = Callable[..., Any]


def publish_rows(
    function: Function,
    spec: Any,
    repo: str,
    *,
    splits: Mapping[str, int | None] | Iterable[str],
    seed: int = 0,
    schema: "pa.Schema | Features | None" = None,
    license: str | None = None,
    summary: str | None = None,
    private: bool = False,
    api: "HfApi | None" = None,
    progress: Progress = lambda step: None,
) -> Release:
    """Make a dataset of what a function returns, and publish it as a release.

        import hubkit

        def dice(index, random, spec):
            rolls = random.integers(1, spec["sides"] + 1, size=spec["rolls"])
            return {"rolls": rolls, "sum": int(rolls.sum())}

        hubkit.publish_rows(dice, {"sides": 6, "rolls": 3}, "lab/dice", splits={"train": 1000, "test": 100})

    The generator is keyed by (seed, split, index): ask for more rows the next time, and the first ones stay as they
    were, which makes the release a minor one. The spec, the rows' hashes and the function's text are in the repository,
    and :func:`verify_rows` makes the rows again.

    Args:
        function: ``function(index, random, spec)`` returns row `index` of a split, a dict of columns, or None to have
            it drawn again; or ``function(split, random, spec)`` yields the rows of a split one after the other.
            `random` is a `numpy.random.Generator`; arguments at the end may be left away. It may be a lambda or a
            closure; what it uses from around it is written down with it where that is plain data.
        spec: What the function gets as its spec, and what is recorded: a dict of plain data, a dataclass, a pydantic
            model such as :class:`hubkit.specs.Spec`, or None.
        repo: ``OWNER/NAME`` of a dataset.
        splits: Rows of each split. Of a function that yields them, names suffice, or None for as many as there are.
        seed: Of the whole dataset.
        schema: The types of the columns; by default those of the first rows.
        license: Licence of the rows, as the Hub spells it.
        summary: How the rows are made, in a sentence or two for the card; by default how the docstring begins.
        private: Create the repository as a private one.
        api: The Hub's client; by default one that takes endpoint and token from the environment.
        progress: Hears of each step.

    Returns:
        What is on the Hub now.

    Raises:
        UserError: The function fails, returns something else when it is asked twice, or changes its columns (says which
            row); or the repository can't be published to. Nothing is on the Hub then, nor after Ctrl-C.
    """
    from hubkit.corpora.build import build
    from hubkit.corpora.function_text import function_text
    from hubkit.corpora.functions import family_of
    from hubkit.corpora.registry import Corpus

    check_name(repo)
    data, argument = _plain_spec(spec)
    text = function_text(function)
    recorded = _recorded(function, text, data, splits, seed)
    progress("drawing a sample of the rows twice")
    family = family_of(function, recorded, argument, _arrow(schema))
    family.summary = summary or _summary(function)
    family.license = license or family.license
    with TemporaryDirectory(prefix="hubkit-rows-") as work:
        folder = Path(work) / "corpus"
        progress("making the rows")
        build(Corpus(family(recorded), family.name), folder, workers=1)
        if text:
            (folder / FUNCTION_FILE).write_text(text, encoding="utf-8")
        return publish(partial(plan, folder, repo, private=private, api=api), api, progress)


def verify_rows(
    function: Function,
    target: str | Path,
    *,
    spec: Any = None,
    revision: str | None = None,
    shards: int | None = None,
    schema: "pa.Schema | Features | None" = None,
) -> "list[Finding]":
    """Make the rows of a published dataset again by their function, and compare.

    Args:
        function: The function that made them.
        target: ``OWNER/NAME`` on the Hub, or a folder.
        spec: What it was given, if that was no dict; must be what is recorded.
        revision: Tag, branch or commit; None is the newest.
        shards: How many shards of each split to make again; None is all.
        schema: As for :func:`publish_rows`.

    Returns:
        A finding a shard: *regenerated* where its rows are those of the function.

    Raises:
        UserError: The dataset is no function's, or was made with another spec.
    """
    from hubkit.corpora.functions import FunctionSpec, family_of
    from hubkit.corpora.manifest import read_manifest
    from hubkit.corpora.verify import verify
    from hubkit.corpora.verify_hub import fetch_manifest, verify_repo

    local = Path(target).is_dir()
    commit = None if local else resolve(str(target), revision).revision
    folder = Path(target) if commit is None else fetch_manifest(str(target), commit)
    manifest = read_manifest(folder)
    if manifest.builder != "function" or manifest.spec is None:
        raise UserError(f"{target} was not made by a function: use `hubkit verify {target}`")
    recorded = FunctionSpec.build(manifest.spec, origin=f"the spec of {target}")
    data, argument = _plain_spec(recorded.spec if spec is None else spec)
    if canonical_json(data) != canonical_json(recorded.spec):
        raise UserError(f"spec: {target} was made with {canonical_json(recorded.spec)}, not {canonical_json(data)}")
    family = family_of(function, recorded, argument, _arrow(schema))
    if commit is None:
        return verify(folder, shards, family=family)
    return verify_repo(str(target), commit, shards, family=family)


def _recorded(
    function: Function, text: str | None, data: Any, splits: Mapping[str, int | None] | Iterable[str], seed: int
) -> "FunctionSpec":
    """Return the spec of the rows.

    Raises:
        UserError: The splits are not such.
    """
    from inspect import isgeneratorfunction

    from hubkit.corpora.functions import FunctionRecord, FunctionSpec

    if not callable(function):
        raise UserError(f"function: {function!r} can't be called; give a function(index, random, spec)")
    counts = (
        dict(splits) if isinstance(splits, Mapping) else dict.fromkeys([splits] if isinstance(splits, str) else splits)
    )
    yields = isgeneratorfunction(function)
    unknown = next((split for split, count in counts.items() if count is None), None)
    if unknown is not None and not yields:
        raise UserError(f"splits: {unknown} has no number of rows: write splits={{{unknown!r}: 1000}}")
    name = getattr(function, "__name__", type(function).__name__)
    sha256 = hashlib.sha256(text.encode()).hexdigest() if text else None
    record = FunctionRecord(name=name, sha256=sha256, yields=yields)
    values = {"function": record.model_dump(), "spec": data, "splits": counts, "seed": seed}
    return FunctionSpec.build(values, origin="publish_rows")


def _plain_spec(spec: Any) -> tuple[Any, Any]:
    """Return a spec as plain data, and as the function gets it.

    Raises:
        UserError: It can't be written as JSON.
    """
    try:
        if isinstance(spec, BaseModel):
            return json.loads(canonical_json(spec.model_dump(mode="json"))), spec
        if dataclasses.is_dataclass(spec) and not isinstance(spec, type):
            return json.loads(canonical_json(dataclasses.asdict(spec))), spec
        data = json.loads(canonical_json(spec))
    except (TypeError, ValueError) as error:
        raise UserError(
            f"spec: {error}: give plain data (numbers, text, lists, dicts), a dataclass or a Spec"
        ) from None
    return data, data  # what JSON makes of it, so that whoever verifies calls the function with the same


def _arrow(schema: "pa.Schema | Features | None") -> "pa.Schema | None":
    import pyarrow as pa

    return schema if schema is None or isinstance(schema, pa.Schema) else schema.arrow_schema


def _summary(function: Function) -> str:
    """Return the first paragraph of a function's docstring, or what is true without one."""
    from inspect import getdoc, isfunction

    text = getdoc(function) if isfunction(function) else None
    return " ".join(text.split("\n\n")[0].split()) if text else "Each row is what a Python function returned."
