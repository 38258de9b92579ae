"""Archives that were cut into parts, such as `x.jsonl.zst.000`, `x.gz.aa` or `x.part1`: which belong together."""

import re
from collections.abc import Sequence

from hubkit.errors import UserError

_COMPRESSED = r"gz|gzip|zst|zstd|xz|bz2"
DATA_NAME = re.compile(rf".*\.(?:jsonl|ndjson|json|txt)(?:\.(?:{_COMPRESSED}))?", re.IGNORECASE | re.DOTALL)
"""Names of files that hold records, as far as a name can tell."""

_PART = re.compile(
    rf"(?P<whole>.+\.(?:jsonl|ndjson|json|txt|(?P<compressed>{_COMPRESSED})))\.(?:[0-9]{{1,5}}|[a-z]{{2}})"
    rf"|(?P<any>.+)\.(?P<part>part)[-_.]?(?:[0-9]{{1,5}}|[a-z]{{2}})",
    re.DOTALL,
)
_MARK = re.compile(r"[0-9]+$|[a-z]+$")


def whole_name(name: str) -> str:
    """Return the name of the archive that a file is a part of, or its own."""
    match = _PART.fullmatch(name)
    return (match["whole"] or match["any"]) if match else name


def grouped(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Put the parts of archives together, in order; return what to call each source, and the files that it consists of.

    Raises:
        UserError: A part is missing, or is there twice, or the whole archive lies beside its parts.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(whole_name(name), []).append(name)
    result = []
    for whole, members in groups.items():
        if members == [whole]:
            result.append((whole, members))
        elif whole in members:
            raise UserError(f"files: both {whole} and parts of it match ({members[-1]}); leave one of the two out")
        elif _are_words(members):
            result += [(member, [member]) for member in members]
        else:
            result.append((whole, _in_order(whole, members)))
    return result


def _are_words(members: list[str]) -> bool:
    """Return whether endings are words, such as languages (`news.txt.en`), and not a count (`news.txt.aa`)."""
    matches = [_PART.fullmatch(member) for member in members]
    return all(
        match is not None and not match["compressed"] and not match["part"] and _mark(match[0]).isalpha()
        for match in matches
    ) and not any(set(_mark(member)) == {"a"} for member in members)


def _in_order(whole: str, members: list[str]) -> list[str]:
    """Return parts in the order of their numbers, which must leave nothing out."""
    numbered = sorted((_number(_mark(member)), member) for member in members)
    first = min(numbered[0][0], 1) if _mark(numbered[0][1]).isdigit() else 0
    for expected, (number, member) in enumerate(numbered, first):
        if number != expected:
            what = "is there twice" if number < expected else f"comes without the part before it (number {expected})"
            raise UserError(f"files: {member} {what}; fetch all parts of {whole}, or rename what is no part of it")
    return [member for _, member in numbered]


def _mark(name: str) -> str:
    match = _MARK.search(name)
    assert match is not None, f"{name} is no part"
    return match[0].removeprefix("part")


def _number(mark: str) -> int:
    """Return the number of a part: of digits themselves, of letters as `split` counts, from aa."""
    if mark.isdigit():
        return int(mark)
    number = 0
    for letter in mark:
        number = number * 26 + ord(letter) - ord("a")
    return number
