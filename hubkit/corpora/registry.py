"""Finds builders and named configs: those that travel with hubkit, installed plug-ins, and files named by path."""

import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from hubkit.corpora.builder import CorpusBuilder
from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.resources import load_module, resource
from hubkit.specs import read_mapping

ENTRY_POINTS = "hubkit.builders"
"""Plug-ins register under this group: ``name = "module:Builder"``, with the name that the builder itself has."""

SPEC_SUFFIXES = (".yaml", ".yml", ".json")

_STATED = ("name", "version", "spec_type", "schema", "configs", "summary")


@dataclass(frozen=True)
class Corpus:
    """A builder with its spec, and how another process finds the same builder again."""

    builder: CorpusBuilder
    reference: str
    """A family's name, or the path of a builder file."""
    config: str | None = None
    """The named config, if the spec is exactly that."""


def families() -> list[str]:
    """Return the names of all builders known: hubkit's own, then those of plug-ins."""
    return list(dict.fromkeys([*_own(), *_plugins()]))


def load(reference: str) -> type[CorpusBuilder]:
    """Return a builder class by the name of its family or the path of its file.

    Raises:
        UserError: There is none, or what is there is not a builder (`BUILDER = …` on a file's last line makes it one).
    """
    if reference.endswith(".py"):
        path = Path(reference)
        if not path.is_file():
            raise UserError(f"builder file {reference} does not exist")
        return _builder_of(path, f"hubkit.dataset_builders.file_{path.stem}")
    if reference in _own():
        return _named(_builder_of(_own()[reference], f"hubkit.dataset_builders.{reference}"), reference)
    if reference in _plugins():
        return _named(_load_plugin(_plugins()[reference]), reference)
    raise UserError(f"builder: {reference!r} is unknown (known: {', '.join(families())}; or the path of a .py builder)")


def builders() -> dict[str, type[CorpusBuilder]]:
    """Return every builder by its name; a plug-in that can't be loaded is warned of and left out."""
    return dict(_loaded(families()))


def find(target: str, overrides: Iterable[str] = (), limit: int | None = None) -> Corpus:
    """Return the corpus that a user names on the command line.

    Args:
        target: A named config (``lorenz-tiny``); a family, its fields given as overrides (``text``); a builder file
            (``mine.py``, its first config; ``mine.py:config`` for another); a spec file (``my.yaml``: ``builder:`` and
            fields, or ``config:`` and the fields that differ); or the ``corpus.json`` of a corpus that is to be made
            again.
        overrides: Assignments such as ``num_steps=50`` or ``splits.train=1000``.
        limit: Keep at most so many rows of each split; this makes another, smaller spec.

    Raises:
        UserError: Nothing of that name; an unknown field; an impossible value.
    """
    reference, builder, values = _resolve(target)
    spec = builder.spec_type.build(values, overrides, origin=target)
    if limit is not None:
        if limit < 1:
            raise UserError(f"limit: {limit} rows is less than one")
        spec = builder.spec_type.build(spec.model_dump() | spec.limited(limit), origin=target)
    named = (name for name, known in builder.configs.items() if known.sha256 == spec.sha256)
    return Corpus(builder(spec), reference, next(named, None))


def code_of(reference: str) -> dict[str, str]:
    """Return whose code a builder is, if not hubkit's: the hash of its file, or the version of its plug-in."""
    if reference.endswith(".py"):
        return {"builder_file_sha256": file_sha256(Path(reference))}
    plugin = None if reference in _own() else _plugins().get(reference)
    return {"plugin": f"{plugin.dist.name} {plugin.dist.version}"} if plugin and plugin.dist else {}


def restore(reference: str, spec: dict[str, Any]) -> CorpusBuilder:
    """Return the builder of a recorded spec, as a worker process needs it."""
    builder = load(reference)
    return builder(builder.spec_type.model_validate(spec))


def _resolve(target: str, beside: Path = Path()) -> tuple[str, type[CorpusBuilder], dict[str, Any]]:
    """Return reference, builder and field values of what the user named; builder files lie relative to `beside`."""
    if target.endswith(SPEC_SUFFIXES):
        return _resolve_file(Path(target))
    file, _, config = target.partition(":")
    if file.endswith(".py"):
        reference = str(beside / file)
        builder = load(reference)
        return reference, builder, _config_values(builder, config)
    known: dict[str, type[CorpusBuilder]] = {}
    for name, builder in _loaded(sorted(families(), key=lambda family: not f"{target}-".startswith(f"{family}-"))):
        if target in builder.configs:
            return name, builder, _config_values(builder, target)
        if target == name:
            return name, builder, {"builder": name}
        known[name] = builder
    configs = ", ".join(name for family in families() if family in known for name in known[family].configs)
    raise UserError(
        f"config: {target!r} is unknown (known: {configs}; or a family: {', '.join(families())}; or a .yaml spec, or a "
        ".py builder)"
    )


def _resolve_file(path: Path) -> tuple[str, type[CorpusBuilder], dict[str, Any]]:
    """Return reference, builder and field values of a spec file, a manifest, or another program's config file."""
    if path.suffix == ".json" and path.is_file():
        try:
            text = path.read_text(encoding="utf-8-sig", errors="replace")
        except OSError as error:
            raise UserError(f"can't read {path}: {error.strerror}") from None
        for name, builder in builders().items():
            foreign = builder.read_foreign(text)
            if foreign is not None:
                return name, builder, foreign
    values = read_mapping(path)
    if isinstance(values.get("spec"), dict) and "generator_version" in values:
        return _resolve_manifest(path, values)
    if "config" in values:
        config = str(values.pop("config"))
        if config.endswith(SPEC_SUFFIXES):
            raise UserError(f"{path}: config: {config!r} is another spec file; give the name of a config")
        reference, builder, base = _resolve(config, path.parent)
        return reference, builder, base | values
    if "builder" not in values:
        raise UserError(f"{path}: builder is missing (a family such as {families()[0]}, or config: NAME)")
    reference = str(values["builder"])
    if reference.endswith(".py"):
        reference = str(path.parent / reference)
    builder = load(reference)
    return reference, builder, values | {"builder": builder.name}


def _resolve_manifest(path: Path, manifest: dict[str, Any]) -> tuple[str, type[CorpusBuilder], dict[str, Any]]:
    """Return what a corpus was made from, if this is still the generator that made it."""
    reference = str(manifest["spec"].get("builder"))
    if reference not in families():  # above all no file: the manifest may be anybody's
        raise UserError(
            f"{path}: builder: {reference!r} is not installed here; write a .yaml spec that says builder: FILE.py and "
            "has the fields of its spec"
        )
    builder = load(reference)
    if manifest["generator_version"] != builder.version:
        raise UserError(
            f"{path}: generator_version {manifest['generator_version']} of {reference} made these rows, and here is "
            f"{builder.version}, which makes others; install the hubkit that it names"
        )
    return reference, builder, manifest["spec"]


def _config_values(builder: type[CorpusBuilder], config: str) -> dict[str, Any]:
    """Return the fields of one of a builder's configs; no name means the first."""
    if not builder.configs:
        raise UserError(f"config: {builder.name} has none; write a .yaml spec that says builder: and splits:")
    config = config or next(iter(builder.configs))
    if config not in builder.configs:
        raise UserError(f"config: {builder.name} has no {config!r} (known: {', '.join(builder.configs)})")
    return builder.configs[config].model_dump()


def _loaded(names: Iterable[str]) -> Iterator[tuple[str, type[CorpusBuilder]]]:
    """Yield builders by name, each loaded only when it is asked for: that takes a while."""
    for name in names:
        try:
            builder = load(name)
        except UserError as error:
            warnings.warn(str(error), stacklevel=2)
        else:
            yield name, builder


def _own() -> dict[str, Path]:
    """Return the files of the families that travel with hubkit."""
    return {path.stem: path for path in sorted(resource("dataset_builders").glob("[a-z]*.py"))}


def _plugins() -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=ENTRY_POINTS)}


def _load_plugin(point: EntryPoint) -> type[CorpusBuilder]:
    origin = f"plug-in {point.name} ({point.value}, of {point.dist.name if point.dist else 'an unknown package'})"
    try:
        builder = point.load()
    except Exception as error:
        raise UserError(f"{origin} can't be loaded: {type(error).__name__}: {error}; mend or uninstall it") from error
    return _checked(builder, origin, "its entry point must name a CorpusBuilder")


def _builder_of(path: Path, module_name: str) -> type[CorpusBuilder]:
    builder = getattr(load_module(path, module_name), "BUILDER", None)
    return _checked(builder, str(path), "it does not say which class it offers: end it with `BUILDER = YourBuilder`")


def _checked(builder: Any, origin: str, mend: str) -> type[CorpusBuilder]:
    """Return a builder class that states what every builder must.

    Args:
        builder: What was found.
        origin: Where it was found.
        mend: What to do if it is no builder at all.
    """
    if not (isinstance(builder, type) and issubclass(builder, CorpusBuilder)):
        raise UserError(f"{origin}: {mend}")
    missing = [name for name in _STATED if not hasattr(builder, name)]
    if missing:
        raise UserError(f"{origin}: {builder.__name__} does not state {', '.join(missing)}")
    others = {spec.builder for spec in builder.configs.values()} - {builder.name}
    if others:
        raise UserError(f"{origin}: its configs say builder: {', '.join(sorted(others))}, and it is {builder.name}")
    return builder


def _named(builder: type[CorpusBuilder], name: str) -> type[CorpusBuilder]:
    """Return a builder that is found by a name, which must be its own: specs and manifests find it by that."""
    if builder.name != name:
        raise UserError(
            f"builder: {name!r} is registered under that name and calls itself {builder.name!r}; make them equal"
        )
    return builder
