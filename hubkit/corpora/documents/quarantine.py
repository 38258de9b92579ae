"""What could not be read: how much of it a build bears, and where it is kept."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from hubkit.corpora.documents.index import QUARANTINE, Index
from hubkit.errors import UserError

SHOWN = 5


def counts_of(indexes: Sequence[Index], what: str) -> dict[str, int]:
    """Return the sum of the counts that the indexes hold under a name (`bad` or `filtered`), by reason."""
    total = Counter[str]()
    for index in indexes:
        total.update(index.summary[what])
    return dict(sorted(total.items()))


def bear_files(indexes: Sequence[Index], most: int) -> None:
    """Stop where more than so many files could not be read to their end: nobody knows what they would have held.

    Raises:
        UserError: Names the first.
    """
    broken = [index.summary for index in indexes if index.summary["broken"]]
    if len(broken) > most:
        files = len({index.summary["source"]["label"] for index in indexes})
        shown = "; ".join(f"{summary['source']['label']}: {summary['broken']}" for summary in broken[:SHOWN])
        raise UserError(
            f"max_bad_files: {len(broken)} of {files} files could not be read to the end, and {most} are borne "
            f"({shown}). Mend or leave out the files, or raise max_bad_files to keep what could be read of them"
        )


def bear(indexes: Sequence[Index], max_bad: int, max_bad_share: float) -> None:
    """Stop where more records are bad than `max_bad`, and more than that share of all.

    Raises:
        UserError: Says how many, of which kinds, and shows the first.
    """
    bad, records = counts_of(indexes, "bad"), sum(index.summary["records"] for index in indexes)
    count, most = sum(bad.values()), max(max_bad, int(max_bad_share * records))
    if count <= most:
        return
    kinds = ", ".join(f"{number:,} × {kind}" for kind, number in sorted(bad.items(), key=lambda item: -item[1]))
    examples = [
        f"{index.summary['source']['label']}:{before + line}: {reason}"
        for kind in bad
        for index, before in _with_lines_before(indexes)
        for line, reason in index.summary["examples"].get(kind, ())
    ]
    raise UserError(
        f"max_bad: {count:,} of {records:,} records are bad, and {most:,} are borne ({kinds}). Mend the files, or "
        f"raise max_bad or max_bad_share. Some of them: {'; '.join(examples[:SHOWN])}"
    )


def gather(indexes: Sequence[Index], path: Path) -> None:
    """Write the bad records of all sources to one file: a JSON line each, with file, line, reason and raw."""
    with path.open("w", encoding="utf-8") as whole:
        for index, before in _with_lines_before(indexes):
            with (index.folder / QUARANTINE).open(encoding="utf-8") as part:
                for text in part:
                    record = json.loads(text)
                    record = {"file": index.summary["source"]["label"]} | record | {"line": before + record["line"]}
                    whole.write(json.dumps(record, ensure_ascii=False) + "\n")


def _with_lines_before(indexes: Sequence[Index]) -> Iterator[tuple[Index, int]]:
    """Yield each index, and how many lines of its source come before what it is the index of."""
    label, before = None, 0
    for index in indexes:
        source = index.summary["source"]
        before = before if source["label"] == label else 0
        yield index, before
        label, before = source["label"], before + source["lines"]
