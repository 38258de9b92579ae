"""How well does a causal model predict the test split?

The split is read as the training was: by the recipe's rows or windows, in its direction, and only what it learns is
asked. So the numbers of a model that is trained on answers alone are about answers, and those of a backward model
about the token before. How to read them:

- `nats a token` is the mean over all tokens, `perplexity` e to that. They compare models of one tokenizer.
- `bits a byte` spreads the same cost over the bytes of the text (UTF-8), which compares models of any tokenizers. It is
  there where all of a text is asked for. What ends a row is a token without a byte: its cost counts. Windows leave the
  bytes of their tokens open, so these are taken to be those of the split's mean token.
- The baseline knows how often each token occurs in the split that the model was trained on, and nothing else.
- The intervals are over sequences. Windows that overlap, or lie in one document, are alike: theirs is too narrow.
"""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.reading import ReadingSpec, Sequences
from hubkit.data.sources import DatasetSpec
from hubkit.data.tokens import TokenRows
from hubkit.errors import UserError
from hubkit.evaluation.metrics.perplexity.scores import score
from hubkit.evaluation.results import Shown, result
from hubkit.evaluation.subject import Subject
from hubkit.hub import Commit

if TYPE_CHECKING:
    from hubkit.evaluation.likelihood import Likelihood

NAME = "perplexity"
_SHOWN = (
    Shown("perplexity", "perplexity", "perplexity"),
    Shown("cross_entropy", "nats a token", "nll"),
    Shown("bits_per_byte", "bits a byte", "bits_per_byte"),
)
_BATCH = 1000
_BASELINE = "knows how often each token occurs in the training split"


def perplexity(subject: Subject) -> list[dict[str, Any]]:
    """Return the result of the evaluation; of a model of both directions one for each.

    Raises:
        UserError: It is a masked model, or the test split can't be read as the training was.
    """
    spec, reading = check(subject)
    with tempfile.TemporaryDirectory() as spare:
        return _perplexity(subject, spec, reading, Path(spare))


def check(subject: Subject) -> tuple[CausalSpec, ReadingSpec]:
    """Return what the model was asked for in training, and how its sequences were cut.

    Raises:
        UserError: It is a masked model.
    """
    return subject.causal(NAME, "a text has no probability to it; evaluate mask_filling, or its loss")


def _perplexity(subject: Subject, spec: CausalSpec, reading: ReadingSpec, spare: Path) -> list[dict[str, Any]]:
    from hubkit.evaluation.likelihood import count_tokens, measure

    tokenizer, objective = subject.tokenizer, spec.make(subject.tokenizer)

    def load(data: DatasetSpec, commit: Commit, split: str) -> TokenRows:
        return data.load(commit.revision, split, tokenizer, spare, objective.framing)

    asked = subject.dataset
    known, known_at = subject.known
    test = load(asked, subject.commit, asked.test)
    sequences = reading.make(test, objective.more, f"{asked.repo} {asked.test}")
    begins = tokenizer.bos_token_id if reading.form == "rows" else None
    counts = count_tokens(
        load(known, known_at, known.train), len(tokenizer), begins if isinstance(begins, int) else None
    )
    both, results = spec.direction == "both", []
    for way in ("forward", "backward") if both else (spec.direction,):
        found = measure(
            subject.model, objective, sequences, len(tokenizer), subject.limit, way, progress=subject.progress
        )  # fmt: skip
        scores = _scores(subject, found, counts, _text_bytes(subject, spec, reading, test, found))
        rows, skipped = _rows_read(reading, test, sequences, len(found.nats)), int((found.tokens == 0).sum())
        shown = [metric for metric in _SHOWN if metric.key in scores]
        results.append(
            result(
                subject, "text-generation", f"Perplexity, {way}" if both else "Perplexity", rows - skipped, skipped,
                scores, shown, sequences=scores["sequences"], tokens=scores["tokens"], baseline=_BASELINE,
            )
        )  # fmt: skip
    return results


def _rows_read(reading: ReadingSpec, test: TokenRows, sequences: Sequences, count: int) -> int:
    """Return how many rows the first sequences are of; windows are of all that begin before the last of them ends."""
    if reading.form == "rows":
        return count
    assert reading.length is not None
    end = (count - 1) * (reading.stride or reading.length) + int(sequences.lengths[0])
    return int(np.searchsorted(test.starts[:-1], end))


def _text_bytes(
    subject: Subject, spec: CausalSpec, reading: ReadingSpec, test: TokenRows, found: "Likelihood"
) -> int | None:
    """Return the bytes of the text that was asked for; None where it was not all of a text."""
    from pyarrow.compute import call_function

    data, commit = subject.dataset, subject.commit
    if spec.learn != "all" or spec.learn_after is not None or data.tokens is not None:
        return None
    rows = data.rows(commit.revision, data.test, (data.column,))
    if getattr(rows.features[data.column], "dtype", None) not in ("string", "large_string"):
        return None
    texts: Any = rows.with_format("arrow")
    lengths = np.concatenate(
        [call_function("binary_length", [batch.column(data.column)]).to_numpy() for batch in texts.iter(_BATCH)]
    )
    if reading.form == "rows":
        return int(lengths[: len(found.nats)][found.tokens > 0].sum())
    return round(lengths.sum() * found.tokens.sum() / int(test.starts[-1]))


def _scores(subject: Subject, found: "Likelihood", counts: np.ndarray, text_bytes: int | None) -> dict[str, float]:
    """Return the scores of what was measured, those of the baseline beside them."""
    from hubkit.evaluation.likelihood import unigram_nats

    asked, split = found.tokens > 0, f"{subject.dataset.repo} {subject.dataset.test}"
    if not asked.any():
        raise UserError(f"evaluation {NAME}: no row of {split} has anything that the training asks for")
    wrong = np.flatnonzero(~np.isfinite(found.nats))
    if len(wrong):
        raise UserError(
            f"evaluation {NAME}: the model gives sequence {wrong[0]} of {split} no probability but NaN or none at all; "
            "train it again with a lower learning rate"
        )
    return score(found.nats[asked], found.tokens[asked], text_bytes, unigram_nats(found.asked, counts))
