"""Finds builders and named configs: those that travel with hubkit, installed plug-ins, and files named by path."""

from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from hubkit.corpora.builder import CorpusBuilder, CorpusSpec
from hubkit.errors import UserError
from hubkit.resources import load_module, resource
from hubkit.specs import read_mapping

ENTRY_POINTS = "hubkit.builders"
"""Plug-ins register under this group: ``name = "module:Builder"``."""


@dataclass(frozen=True)
class Corpus:
    """A builder with its spec, and how another process finds the same builder again."""

    builder: CorpusBuilder
    reference: str
    """A family's name, or the path of a builder file."""
    config: str | None = None
    """The named config, if the spec is exactly that."""


def families() -> dict[str, str]:
    """Return the names of all builders known, each with its reference for :func:`load`."""
    own = {path.stem: path.stem for path in sorted(resource("dataset_builders").glob("[a-z]*.py"))}
    return own | {point.name: point.name for point in entry_points(group=ENTRY_POINTS)}


def load(reference: str) -> type[CorpusBuilder]:
    """Return a builder class by the name of its family or the path of its file.

    Raises:
        UserError: There is none, or the file defines none (`BUILDER = …` on its last line does).
    """
    path = Path(reference)
    if path.suffix == ".py":
        if not path.is_file():
            raise UserError(f"builder file {reference} does not exist")
        return _builder_of(path, f"hubkit.dataset_builders.file_{path.stem}")
    plugins = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    if reference in plugins:
        return plugins[reference].load()
    own = resource("dataset_builders") / f"{reference}.py"
    if reference not in families() or not own.is_file():
        raise UserError(f"builder: {reference!r} is unknown (known: {', '.join(families())})")
    return _builder_of(own, f"hubkit.dataset_builders.{reference}")


def named_configs() -> dict[str, type[CorpusBuilder]]:
    """Return every named config with the builder that it belongs to."""
    return {config: builder for name in families() for builder in (load(name),) for config in builder.configs}


def find(target: str, overrides: Iterable[str] = (), limit: int | None = None) -> Corpus:
    """Return the corpus that a user names on the command line.

    Args:
        target: A named config (``lorenz-tiny``), a spec file (``my.yaml``: fields, or ``config:`` and fields that
            differ), or a builder file (``mine.py``, its first config; ``mine.py:config`` for another).
        overrides: Assignments such as ``num_steps=50`` or ``splits.train=1000``.
        limit: Keep at most so many rows of each split; this makes another, smaller spec.

    Raises:
        UserError: Nothing of that name; an unknown field; an impossible value.
    """
    reference, builder, config, values = _resolve(target)
    named = builder.configs[config].sha256 if config else None
    spec = builder.spec_type.build(values, overrides, origin=target)
    if limit is not None:
        if limit < 1:
            raise UserError(f"limit: {limit} rows is less than one")
        smaller = {split: min(rows, limit) for split, rows in spec.splits.items()}
        spec = builder.spec_type.build(spec.model_dump() | {"splits": smaller}, origin=target)
    return Corpus(builder(spec), reference, config if spec.sha256 == named else None)


def restore(reference: str, spec: dict[str, Any] | CorpusSpec) -> CorpusBuilder:
    """Return the builder of a recorded spec, as a worker process needs it."""
    builder = load(reference)
    return builder(builder.spec_type.model_validate(spec) if isinstance(spec, dict) else spec)


def _resolve(target: str) -> tuple[str, type[CorpusBuilder], str | None, dict[str, Any]]:
    """Return reference, builder, config name and field values of what the user named."""
    file, _, config = target.partition(":")
    if file.endswith(".py"):
        builder = load(file)
        config = config or next(iter(builder.configs))
        return file, builder, config, _config_values(builder, config)
    if target.endswith((".yaml", ".yml", ".json")):
        values = read_mapping(Path(target))
        if "config" in values:
            config = str(values.pop("config"))
            reference, builder, _, base = _resolve(config)
            return reference, builder, config, base | values
        if "builder" not in values:
            raise UserError(f"{target}: builder is missing (a family such as {next(iter(families()))}, or config: NAME)")
        reference = str(values["builder"])
        return reference, load(reference), None, values
    configs = named_configs()
    if target not in configs:
        raise UserError(f"config: {target!r} is unknown (known: {', '.join(configs)}; or a .yaml spec, or a .py builder)")
    return configs[target].name, configs[target], target, _config_values(configs[target], target)


def _config_values(builder: type[CorpusBuilder], config: str) -> dict[str, Any]:
    if config not in builder.configs:
        raise UserError(f"config: {builder.name} has no {config!r} (known: {', '.join(builder.configs)})")
    return builder.configs[config].model_dump()


def _builder_of(path: Path, module_name: str) -> type[CorpusBuilder]:
    builder = getattr(load_module(path, module_name), "BUILDER", None)
    if not (isinstance(builder, type) and issubclass(builder, CorpusBuilder)):
        raise UserError(f"{path} does not say which class it offers: end it with `BUILDER = YourBuilder`")
    return builder
