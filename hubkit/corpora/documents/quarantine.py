"""What could not be read: how much of it a build bears, and where it is kept."""

import shutil
from collections import Counter
from collections.abc import Sequence
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
        shown = "; ".join(f"{summary['source']['label']}: {summary['broken']}" for summary in broken[:SHOWN])
        raise UserError(
            f"max_bad_files: {len(broken)} of {len(indexes)} files could not be read to the end, and {most} are borne "
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
    examples = [example for kind in bad for index in indexes for example in index.summary["examples"].get(kind, ())]
    raise UserError(
        f"max_bad: {count:,} of {records:,} records are bad, and {most:,} are borne ({kinds}). Mend the files, or "
        f"raise max_bad or max_bad_share. Some of them: {'; '.join(examples[:SHOWN])}"
    )


def gather(indexes: Sequence[Index], path: Path) -> None:
    """Write the bad records of all sources to one file: a JSON line each, with file, line, reason and raw."""
    with path.open("wb") as whole:
        for index in indexes:
            with (index.folder / QUARANTINE).open("rb") as part:
                shutil.copyfileobj(part, whole)
