"""The YAML at the top of a card, changed key by key: what people wrote keeps its bytes, comments and all."""

import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard

from hubkit.errors import UserError

# The Hub's own expression (see huggingface_hub.repocard), plus the empty block that it overlooks.
_BLOCK = re.compile(r"\A(\ufeff?\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z))")
_EMPTY = re.compile(r"\A(\ufeff?\s*---(?:\r\n|\r|\n))()(---[ \t]*(?:\r\n|\n|\Z))")
_OPEN_LISTS = {"tags", "datasets", "metrics", "models", "source_datasets", "model-index"}
"""Fields that are as long as anybody wants them. A model that hubkit evaluated can be evaluated elsewhere too."""

_GONE = object()
"""Stands for the value of a field that is taken out."""

_INDEX = "model-index"
_BY_CONFIG = {"configs", "dataset_info"}
_NAMELESS = "default"
_NOTHING = "unknown"
"""The licence of a card that says none; nobody misses it."""
_OPENED = re.compile(r"\A\ufeff?\s*---[ \t]*(?:\r\n|\r|\n)")


def split(text: str) -> tuple[str, str, str, str]:
    """Cut a card into opening line, YAML, closing line and body; the first three are empty where there is no YAML.

    Raises:
        UserError: The front matter is opened and never closed.
    """
    match = _EMPTY.match(text) or _BLOCK.match(text)
    if match:
        return match.group(1), match.group(2), match.group(3), text[match.end() :]
    if _OPENED.match(text):
        raise UserError("README.md: the front matter that begins with --- is not closed by another ---")
    return "", "", "", text


def parse(yaml_text: str) -> dict[str, Any]:
    """Return the fields of a front matter.

    Raises:
        UserError: It is not YAML, not a mapping, or has a field twice.
    """
    import yaml

    try:
        values = yaml.safe_load(yaml_text)
        node = yaml.compose(yaml_text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, ValueError) as error:
        raise UserError(f"README.md: the front matter is not valid YAML ({' '.join(str(error).split())})") from None
    if values is None:
        return {}
    if not isinstance(values, dict) or not isinstance(node, yaml.MappingNode):
        raise UserError(f"README.md: the front matter is a {type(values).__name__}, not fields with values")
    keys = [key.value for key, _ in node.value]
    twice = sorted({str(key) for key in keys if keys.count(key) > 1})
    if twice:
        raise UserError(f"README.md: the front matter has {', '.join(twice)} twice")
    return values


def dump(values: Mapping[str, Any]) -> str:
    """Return fields as YAML, in their order."""
    import yaml

    if not values:
        return ""
    return yaml.dump(dict(values), Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=10_000)


def merged(
    yaml_text: str, metadata: Mapping[str, Any], defaults: Mapping[str, Any], newline: str, written: Mapping[str, Any]
) -> str:
    """Return a front matter with hubkit's fields in it.

    Fields that already have the wanted value keep their spelling; new ones come last; other people's stay as they
    are. So do entries that people added to lists such as `tags`, before hubkit's, and to `configs`, after hubkit's.

    Args:
        yaml_text: What is there.
        metadata: Fields to set.
        defaults: Fields to set where they are absent.
        newline: The card's line ending.
        written: What `on_record` gave when hubkit wrote to this card last: it tells hubkit's old entries from people's.
    """
    old = parse(yaml_text)
    wanted = _wanted(old, metadata, defaults, written)
    changes = {key: value for key, value in wanted.items() if key not in old or _differ(old[key], value)}
    if not changes:
        return yaml_text
    result = _replace_blocks(yaml_text, changes, newline)
    expected = {key: value for key, value in {**old, **changes}.items() if value is not _GONE}
    # Anchors and one-line mappings don't keep to such blocks: then all of the YAML is written anew.
    if result is None or _parses_to(result) != _text(expected):
        result = _anew(expected).rstrip("\n").replace("\n", newline)
    return result


def overruled(yaml_text: str, metadata: Mapping[str, Any], written: Mapping[str, Any]) -> list[str]:
    """Return what becomes of people's values of fields that hubkit sets, for the plan.

    Args:
        yaml_text: What is there.
        metadata: Fields to set.
        written: What `on_record` gave when hubkit wrote to this card last; these values are no person's.
    """
    old = parse(yaml_text)
    single = [key for key in metadata if key not in _OPEN_LISTS | _BY_CONFIG and key in old]
    theirs = [key for key in single if key not in written or _differ(old[key], written[key])]
    found = [
        f"field {key}: somebody wrote {_shown(old[key])}, and hubkit writes {_shown(metadata[key])}"
        for key in theirs
        if _differ(old[key], metadata[key]) and old[key] not in (None, "", _NOTHING)
    ]
    # Files move from release to release, so only where hubkit never wrote does it know that they are somebody's.
    ours, before = (_files_of(fields.get("configs")) for fields in (metadata, {} if written else old))
    return found + [
        f"configuration {name}: somebody named {_shown(before[name])} as its files, and hubkit names {_shown(files)}"
        for name, files in ours.items()
        if name in before and _differ(before[name], files)
    ]


def on_record(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return what has to be known of the fields that hubkit sets, when it sets them the next time."""
    return {key: value for key, value in metadata.items() if key not in _BY_CONFIG}


def _wanted(
    old: Mapping[str, Any], metadata: Mapping[str, Any], defaults: Mapping[str, Any], written: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the value of each field that hubkit has a say in."""
    wanted = {**{key: value for key, value in defaults.items() if key not in old}, **metadata}
    for key in _BY_CONFIG & wanted.keys():
        wanted[key] = _beside_ours(wanted[key], old.get(key))
    for key in [key for key in metadata if key in _OPEN_LISTS]:
        wanted[key] = _with_theirs(key, metadata[key], old.get(key), written.get(key))
    # What hubkit said the last time and has no more to say of: an evaluation of weights that were replaced, say.
    for key in [key for key in written if key in old and key not in wanted and key not in defaults]:
        if key in _OPEN_LISTS:
            wanted[key] = _with_theirs(key, [], old[key], written[key]) or _GONE
        elif not _differ(old[key], written[key]):
            wanted[key] = _GONE
    return wanted


def _anew(values: Mapping[str, Any]) -> str:
    """Write somebody's fields anew; unlike :func:`dump` this can write values that contain themselves."""
    import yaml

    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, width=10_000)


def _replace_blocks(yaml_text: str, changes: Mapping[str, Any], newline: str) -> str | None:
    """Write each changed field over the lines that it had, or at the end; None where the YAML has no such lines."""
    import yaml

    node = yaml.compose(yaml_text, Loader=yaml.SafeLoader)
    keys = node.value if isinstance(node, yaml.MappingNode) else []
    if any(key.start_mark.column for key, _ in keys) or (keys and node.flow_style):
        return None
    lines = yaml_text.splitlines(keepends=True)
    starts = [key.start_mark.line for key, _ in keys]
    pieces = lines[: starts[0]] if starts else lines
    done = set()
    for (key, _), start, stop in zip(keys, starts, [*starts[1:], len(lines)], strict=False):
        if key.value not in changes:
            pieces += lines[start:stop]
            continue
        done.add(key.value)
        end = stop
        while end > start + 1 and (not lines[end - 1].strip() or lines[end - 1].startswith("#")):
            end -= 1  # comments and blank lines below a field belong to what follows
        pieces += [_field(key.value, changes[key.value], newline), *lines[end:stop]]
    text = "".join(pieces)
    rest = "".join(_field(key, value, newline) for key, value in changes.items() if key not in done)
    if rest and text and not text.endswith(("\n", "\r")):
        text += newline
    return (text + rest).removesuffix(newline)


def _with_theirs(key: str, ours: Any, old: Any, written: Any) -> list[Any]:
    """Return a list in which hubkit's entries are the new ones, and people's stay where they were."""
    new, before = ({_text(entry) for entry in _entries(key, value)} for value in (ours, written))
    there = [(_text(entry), entry) for entry in _entries(key, old)]
    kept = {text for text, _ in there}
    entries = [entry for text, entry in there if text in new or text not in before]
    entries += [entry for entry in _entries(key, ours) if _text(entry) not in kept]
    return _joined(entries) if key == _INDEX else entries


def _entries(key: str, value: Any) -> list[Any]:
    """Return the entries of a list, or the only one; those of a model-index are cut to one result each."""
    entries = value if isinstance(value, list) else [] if value is None else [value]
    if key != _INDEX:
        return entries
    found = []
    for entry in entries:
        if _is_evaluation(entry) and entry["results"]:
            found += [{**entry, "results": [result]} for result in entry["results"]]
        else:
            found.append(entry)
    return found


def _joined(index: list[Any]) -> list[Any]:
    """Join entries of a model-index that follow each other and differ in nothing but their result."""
    joined: list[Any] = []
    for entry in index:
        last = joined[-1] if joined else None
        if _is_evaluation(entry) and _is_evaluation(last) and {**entry, "results": 0} == {**last, "results": 0}:
            joined[-1] = {**last, "results": [*last["results"], *entry["results"]]}
        else:
            joined.append(entry)
    return joined


def _is_evaluation(entry: Any) -> TypeGuard[dict[str, Any]]:
    return isinstance(entry, dict) and isinstance(entry.get("results"), list)


def _beside_ours(ours: Any, old: Any) -> Any:
    """Return descriptions of configurations, a list or the only one, with those that people added to the old ones."""
    new = [{"config_name": _NAMELESS, **item} for item in (ours if isinstance(ours, list) else [ours])]
    names = {item["config_name"] for item in new}
    there = [item for item in (old if isinstance(old, list) else [old]) if isinstance(item, Mapping)]
    others = [item for item in there if item.get("config_name", _NAMELESS) not in names]
    return [*new, *others] if others else ours


def _field(key: str, value: Any, newline: str) -> str:
    return "" if value is _GONE else dump({key: value}).replace("\n", newline)


def _files_of(configs: Any) -> dict[str, Any]:
    """Return the files of each configuration, by its name."""
    entries = configs if isinstance(configs, list) else []
    named = [item for item in entries if isinstance(item, Mapping) and item.get("data_files") is not None]
    return {str(item.get("config_name", _NAMELESS)): item["data_files"] for item in named}


def _shown(value: Any) -> str:
    return str(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _differ(old: Any, new: Any) -> bool:
    return new is _GONE or _text(old) != _text(new)


def _text(value: Any) -> str:
    """Return one text for equal YAML values, which tells 1 from true and from "1"."""
    import yaml

    return yaml.safe_dump(value, sort_keys=True)


def _parses_to(yaml_text: str) -> str | None:
    try:
        return _text(parse(yaml_text))
    except UserError:
        return None


def _dumper() -> type:
    """Return a dumper that writes no anchors, which other YAML readers of cards don't all follow."""
    import yaml

    class Plain(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

    return Plain
