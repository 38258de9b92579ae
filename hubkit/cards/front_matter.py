"""The YAML at the top of a card, with the line of every value in it."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hubkit.errors import UserError
from hubkit.publishing import frontmatter

_MOST_VALUES = 200_000
"""A few lines of aliases can stand for millions of values."""

_DEEPEST = 100
"""A value can hold itself."""

Path = tuple[str | int, ...]


@dataclass
class FrontMatter:
    """The fields of a card and where they stand."""

    present: bool = False
    fields: dict[str, Any] | None = None
    """None where there is no front matter, or where it can't be read."""
    trouble: tuple[int, str, str] | None = None
    """Why it can't be read: line, rule, message."""
    yaml: str = ""
    first_line: int = 1
    """Line of the card on which the YAML begins."""
    body_line: int = 1
    """Line of the card on which the body begins."""
    body: str = ""
    duplicates: list[tuple[int, str]] = field(default_factory=list)
    """Lines and names of keys that their mapping has already."""
    _places: dict[Path, tuple[int, str | None]] = field(default_factory=dict)

    def line(self, *path: str | int) -> int:
        """Return the line of a value, such as ``("configs", 0, "data_files")``, or of what it would stand in."""
        while path and path not in self._places:
            path = path[:-1]
        return self._places[path][0] if path else max(1, self.first_line - 1)

    def raw(self, *path: str | int) -> str | None:
        """Return a plain value as it is written, before YAML makes a number of it."""
        return self._places.get(path, (0, None))[1]


def read_front_matter(text: str) -> FrontMatter:
    """Read the top of a card; what is wrong with it is told in the result."""
    try:
        opening, yaml_text, closing, body = frontmatter.split(text)
    except UserError:
        return FrontMatter(True, trouble=(1, "front-matter-open", "the front matter has no end"), body="")
    if not opening:
        return FrontMatter(body=text)
    first = opening.count("\n") + 1
    front = FrontMatter(
        present=True,
        yaml=yaml_text,
        first_line=first,
        body_line=(opening + yaml_text + closing).count("\n") + 1,
        body=body,
    )
    _load(front)
    return front


def _load(front: FrontMatter) -> None:
    """Read the YAML of a card: values and places."""
    import yaml

    try:
        node = yaml.compose(front.yaml, Loader=yaml.SafeLoader)
        values = yaml.safe_load(front.yaml)
        for path, line, raw in _walk(node, front):
            front._places.setdefault(path, (front.first_line + line, raw))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = front.first_line + (mark.line if mark else 0)
        said = " ".join(filter(None, (error.context, error.problem)))
        front.trouble = (line, "front-matter-yaml", f"this is not valid YAML ({said})")
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        said = " ".join(str(error).split())
        front.trouble = (front.first_line, "front-matter-yaml", f"this is not valid YAML ({said})")
    else:
        if values is None:
            front.fields = {}
        elif isinstance(values, dict):
            front.fields = {str(key): value for key, value in values.items()}
        else:
            said = f"the front matter is a {type(values).__name__}, not fields with values"
            front.trouble = (front.first_line, "front-matter-mapping", said)


def _walk(root: Any, front: FrontMatter) -> Iterator[tuple[Path, int, str | None]]:
    """Yield path, line and text of every value; note the keys that come twice."""
    import yaml

    waiting: list[tuple[Path, Any, int]] = [((), root, root.start_mark.line)] if root else []
    left = _MOST_VALUES
    while waiting:
        path, node, line = waiting.pop()
        left -= 1
        if not left or len(path) > _DEEPEST:
            raise ValueError(f"more than {_MOST_VALUES} values, or one that holds itself")
        yield path, line, node.value if isinstance(node, yaml.ScalarNode) else None
        if isinstance(node, yaml.SequenceNode):
            waiting += [((*path, i), item, item.start_mark.line) for i, item in enumerate(node.value)]
        elif isinstance(node, yaml.MappingNode):
            seen = set()
            for key, value in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else "?"
                if name in seen:
                    front.duplicates.append((front.first_line + key.start_mark.line, name))
                else:
                    seen.add(name)
                    waiting.append(((*path, name), value, key.start_mark.line))
