"""Documents that are nearly the same, by datatrove's MinHash: its signatures and buckets, and a join of our own.

Two documents are taken for near duplicates where all hashes of one of 14 bands of 8 agree, each a minimum over the
5-grams of words of the simplified text (lower case, no punctuation): with a chance of 92 % at a Jaccard similarity of
0.8, of 5 % at 0.5 (Broder, "On the resemblance and containment of documents", 1997; Penedo et al., "FineWeb", 2024).
Near duplicates of near duplicates are one cluster, of which the first document stays.

A signature takes about a millisecond a document; the signatures of one band of one source are sorted in memory (72
bytes a document).
"""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hubkit.errors import UserError
from hubkit.kernels import kernel

SIGNATURES = "signatures"
_READ_AHEAD = 1000


def _datatrove() -> Any:
    """Return datatrove's MinHash, silenced: its pipeline tells its progress on stderr."""
    try:
        from datatrove.pipeline.dedup import minhash
        from loguru import logger
    except ImportError:
        raise UserError(
            "near_duplicates: minhash needs datatrove; install hubkit[cluster], or set near_duplicates=none"
        ) from None
    logger.disable("datatrove")
    return minhash


def _config() -> Any:
    """Return datatrove's default, but for the hash: its way to call xxhash fails with xxhash 4."""
    from datatrove.utils.hashing import HashConfig

    return _datatrove().MinhashConfig(hash_config=HashConfig(hash_fc="sha1"))


def write_signatures(texts: Iterable[str], folder: Path) -> None:
    """Write the signatures of the documents of one source, in order, below a folder."""
    minhash = _datatrove()
    from datatrove.data import Document
    from datatrove.utils.word_tokenizers import WordTokenizer

    class Words(WordTokenizer):
        """Words between spaces: the simplified text has no others, and no language is asked for."""

        def word_tokenize(self, text: str) -> list[str]:
            return text.split()

        def sent_tokenize(self, text: str) -> list[str]:
            return [text]

        def span_tokenize(self, text: str) -> list[tuple[int, int]]:
            return [(0, len(text))]

    step = minhash.MinhashDedupSignature(str(folder / SIGNATURES), _config(), language=Words())
    with np.errstate(over="ignore"):
        step.run(Document(text=text, id=str(number)) for number, text in enumerate(texts))


def mark_later_ones(folders: Sequence[Path], counts: Sequence[int], scratch: Path) -> np.ndarray:
    """Return which documents have an earlier one in their cluster.

    Args:
        folders: Where the sources' signatures were written, in order.
        counts: How many documents each source has.
        scratch: An empty folder.

    Returns:
        int64 of shape (n,): their numbers among the documents of all sources, rising.
    """
    minhash = _datatrove()
    config = _config()
    _gather(folders, scratch / SIGNATURES)
    step = minhash.MinhashDedupBuckets(
        str(scratch / SIGNATURES), str(scratch / "pairs"), config=config, lines_to_buffer=_READ_AHEAD
    )
    for band in range(config.num_buckets):
        step.run(None, band, config.num_buckets)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    pairs = [np.fromfile(path, "<u4").reshape(-1, 4) for path in sorted((scratch / "pairs").glob("*.dups"))]
    found = np.concatenate(pairs).astype(np.int64)
    members, ends = np.unique(offsets[found[:, 0::2]] + found[:, 1::2], return_inverse=True)
    return members[_later(len(members), ends.reshape(-1, 2))]


def _gather(folders: Sequence[Path], place: Path) -> None:
    """Put the signatures of all sources where datatrove looks for them, each under its source's number."""
    for number, folder in enumerate(folders):
        for path in sorted((folder / SIGNATURES).glob("bucket_*/*.minhash.sig")):
            target = place / path.parent.name / f"{number:05d}.minhash.sig"
            target.parent.mkdir(parents=True, exist_ok=True)
            os.symlink(path.resolve(), target)


@kernel
def _later(count, pairs):
    """Say of each of `count` items whether the pairs, which are of shape (n, 2), join it to an earlier one."""
    parents = np.arange(count)
    for pair in range(len(pairs)):
        roots = np.empty(2, np.int64)
        for side in range(2):
            at = pairs[pair, side]
            while parents[at] != at:
                parents[at] = parents[parents[at]]
                at = parents[at]
            roots[side] = at
        parents[max(roots[0], roots[1])] = min(roots[0], roots[1])
    return parents != np.arange(count)
