"""Write dataset_builders/GALLERY.md: one real sequence of every domain. `--check` only says whether it is true.

python scripts/gallery.py [--check]
"""

import sys
from pathlib import Path
from typing import Any

import numpy as np

from hubkit.draws import halves
from hubkit.randomness import stream_key
from hubkit.sequences import DOMAINS
from hubkit.sequences.base import BaseDomain

PATH = Path(__file__).resolve().parents[1] / "dataset_builders" / "GALLERY.md"
HEAD = """# Gallery of sequences

One sequence of every domain of the family `seqthetic`, made by `python scripts/gallery.py`. Numbers are the domain's
own content ids, words in angle brackets its structural tokens, and what stands in bold is learnt.

"""
CANDIDATES = 64
"""The sequence shown is the first of middling length among so many."""
LONGEST = 160
"""Of a longer sequence the rest is left out."""


def gallery() -> str:
    """Return the page."""
    return HEAD + "\n".join(section(kind, domain) for kind, domain in DOMAINS.items())


def section(kind: str, domain: type[BaseDomain]) -> str:
    """Return what the page says of a domain."""
    example = small(domain)
    fields = example.model_dump(exclude_defaults=True, exclude={"domain"})
    shown = f", here with {', '.join(f'`{name}: {text(value)}`' for name, value in fields.items())}" if fields else ""
    return f"## {kind}\n\n{domain.summary.rstrip('.')}{shown}.\n\n{sequence(kind, example)}\n"


def text(value: Any) -> Any:
    """Return a parameter as a spec would have it: short where both ends of a range are one."""
    if isinstance(value, dict) and value.keys() == {"min", "max"}:
        return f"{value['min']} … {value['max']}" if value["min"] != value["max"] else value["min"]
    return value


def small(domain: type[BaseDomain]) -> BaseDomain:
    """Return a domain with its defaults, but of a short length where they allow it."""
    for lengths in ({"min": 4, "max": 8}, {"min": 10, "max": 12}, {"min": 12, "max": 16}):
        if "length" in domain.model_fields:
            try:
                return domain.model_validate({"length": lengths})
            except ValueError:
                continue
    return domain.model_validate({})


def sequence(kind: str, domain: BaseDomain) -> str:
    """Return one sequence with its structural tokens by name and what is learnt in bold."""
    key = halves(stream_key("gallery", kind))
    lengths = domain.lengths(key, np.arange(CANDIDATES, dtype=np.uint64))
    middling = int(np.flatnonzero(lengths == np.sort(lengths)[CANDIDATES // 2])[0])
    made = domain.generate(key, np.array([middling], np.uint64))
    names = [f"&lt;{name}&gt;" for name in domain.markers]
    words = [names[token - domain.content] if token >= domain.content else str(token) for token in made.sequence(0)]
    rest = f" … ({len(words)} tokens)" if len(words) > LONGEST else ""
    parts, end = [], 0
    for start, stop in made.ranges(0):
        parts += [" ".join(words[end : min(start, LONGEST)]), bold(words[start : min(stop, LONGEST)])]
        end = stop
    parts.append(" ".join(words[end:LONGEST]))
    return " ".join(part for part in parts if part) + rest


def bold(words: list[str]) -> str:
    """Return words in bold, if there are any."""
    return f"**{' '.join(words)}**" if words else ""


def main() -> int:
    """Write the page, or check it; return the exit status."""
    new = gallery()
    if "--check" in sys.argv[1:]:
        current = PATH.is_file() and PATH.read_text(encoding="utf-8") == new
        if not current:
            print(f"{PATH.name} is not up to date; run python scripts/gallery.py", file=sys.stderr)
        return int(not current)
    PATH.write_text(new, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
