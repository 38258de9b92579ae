"""The YAML at the top of a card, changed key by key: what people wrote keeps its bytes, comments and all."""

import re
from collections.abc import Mapping
from typing import Any

from hubkit.errors import UserError

# The Hub's own expression (see huggingface_hub.repocard), plus the empty block that it overlooks.
_BLOCK = re.compile(r"\A(\ufeff?\s*---(?:\r\n|\r|\n))([\S\s]*?)((?:\r\n|\r|\n)---[ \t]*(?:\r\n|\n|\Z))")
_EMPTY = re.compile(r"\A(\ufeff?\s*---(?:\r\n|\r|\n))()(---[ \t]*(?:\r\n|\n|\Z))")
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


def merged(yaml_text: str, metadata: Mapping[str, Any], defaults: Mapping[str, Any], newline: str) -> str:
    """Return a front matter with hubkit's fields in it.

    Fields that already have the wanted value keep their spelling; new ones come last; other people's stay as they
    are. `tags` become the union of both, theirs first.

    Args:
        yaml_text: What is there.
        metadata: Fields to set.
        defaults: Fields to set where they are absent.
        newline: The card's line ending.
    """
    old = parse(yaml_text)
    wanted = {**{key: value for key, value in defaults.items() if key not in old}, **metadata}
    if "tags" in wanted:
        wanted["tags"] = _union(old.get("tags"), wanted["tags"])
    changes = {key: value for key, value in wanted.items() if key not in old or _text(old[key]) != _text(value)}
    if not changes:
        return yaml_text
    result = _replace_blocks(yaml_text, changes, newline)
    expected = {**old, **changes}
    # Anchors and one-line mappings don't keep to such blocks: then all of the YAML is written anew.
    if result is None or _parses_to(result) != _text(expected):
        result = _anew(expected).rstrip("\n").replace("\n", newline)
    return result


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
        pieces += [dump({key.value: changes[key.value]}).replace("\n", newline), *lines[end:stop]]
    text = "".join(pieces)
    rest = dump({key: value for key, value in changes.items() if key not in done}).replace("\n", newline)
    if rest and text and not text.endswith(("\n", "\r")):
        text += newline
    return (text + rest).removesuffix(newline)


def _union(old: Any, new: list[str]) -> list[Any]:
    """Return tags that were there, as they were, and after them those of the new ones that were not."""
    kept = old if isinstance(old, list) else [] if old is None else [old]
    return [*kept, *(tag for tag in new if tag not in kept)]


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
