"""How likely a causal model finds each sequence, read as in training."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from hubkit.data.objectives.base import IGNORED
from hubkit.data.objectives.causal import Causal
from hubkit.data.reading import Sequences
from hubkit.data.tokens import TokenRows
from hubkit.errors import UserError
from hubkit.evaluation.batching import by_length

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

BATCH_TOKENS = 1 << 14
"""Tokens of a forward pass, padding counted, where the vocabulary is small."""
BATCH_LOGITS = 1 << 26
"""Logits of a forward pass: a large vocabulary makes batches smaller (64 Mi of them are 256 MB)."""
_CHUNK = 1 << 22
"""Tokens that are counted together."""


class Likelihood(NamedTuple):
    """What a model makes of some sequences."""

    nats: np.ndarray
    """float64 (sequences,): the negative log-likelihood of the tokens that were asked for."""
    tokens: np.ndarray
    """int64 (sequences,): how many these are."""
    asked: np.ndarray
    """int64 (vocabulary,): how often each id was asked for."""


def batch_of(
    objective: Causal, sequences: Sequences, numbers: np.ndarray, way: str = "forward"
) -> "dict[str, torch.Tensor]":
    """Return some sequences as the model reads them in training.

    Args:
        objective: Of the training.
        sequences: All sequences.
        numbers: Which of them, integers.
        way: Of a model of both directions, the one to read in; ignored for others.
    """
    samples = [sequences[int(number)] for number in numbers]
    direction = way if objective.spec.direction == "both" else objective.spec.direction
    return objective.read(samples, np.full(len(samples), direction == "backward"))


def measure(
    model: "PreTrainedModel",
    objective: Causal,
    sequences: Sequences,
    vocabulary: int,
    limit: int | None = None,
    way: str = "forward",
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> Likelihood:
    """Return how likely a model finds some sequences.

    Args:
        model: A causal language model, on its device, in evaluation mode.
        objective: What it was asked for in training.
        sequences: What it reads.
        vocabulary: How many ids there are.
        limit: Read the first so many; None is all.
        way: Of a model of both directions, the one to read in.
        batch_tokens: Tokens of a forward pass, at most.
        progress: Hears (what, done, total).

    Raises:
        UserError: A sequence is longer than the model reads.
    """
    lengths = np.asarray(sequences.lengths)[:limit]
    nats, tokens = np.zeros(len(lengths)), np.zeros(len(lengths), np.int64)
    asked, done = np.zeros(vocabulary, np.int64), 0
    for numbers in by_length(lengths + 1, min(batch_tokens, BATCH_LOGITS // vocabulary)):
        batch = batch_of(objective, sequences, numbers, way)
        _check_length(model, batch["input_ids"].shape[1])
        nats[numbers] = _nats(model, batch)
        labels = batch["shift_labels"].numpy()
        tokens[numbers] = (labels != IGNORED).sum(1)
        asked += np.bincount(labels[labels != IGNORED], minlength=vocabulary)
        done += len(numbers)
        progress("evaluating", done, len(lengths))
    return Likelihood(nats, tokens, asked)


def count_tokens(rows: TokenRows, vocabulary: int, first: int | None = None) -> np.ndarray:
    """Return how often each id is to be predicted in the rows of a split: int64 (vocabulary,).

    Args:
        rows: The split.
        vocabulary: How many ids there are.
        first: The id that begins a row and is given; None where rows do not begin with one, or are cut into windows.
    """
    counts, total = np.zeros(vocabulary, np.int64), int(rows.starts[-1])
    for begin in range(0, total, _CHUNK):
        end = min(begin + _CHUNK, total)
        sample = rows.span(begin, end)
        if sample.learnt is not None:
            counts += np.bincount(sample.ids[sample.learnt != 0], minlength=vocabulary)
            continue
        counts += np.bincount(sample.ids, minlength=vocabulary)
        if first is not None:
            inside = (rows.starts[:-1] >= begin) & (rows.starts[:-1] < end) & (rows.lengths > 1)
            counts[first] -= int((sample.ids[rows.starts[:-1][inside] - begin] == first).sum())
    return counts


def unigram_nats(asked: np.ndarray, counts: np.ndarray) -> float:
    """Return the nats a token of whoever knows only how often each token occurs.

    The cross-entropy of the asked tokens under the counts of the training split, each one more than was counted
    (Laplace's rule), so that no token is impossible.

    Args:
        asked: How often each id is asked for, integers (vocabulary,).
        counts: How often each occurs in training, integers (vocabulary,).
    """
    smoothed = counts + 1.0
    return float(-(asked @ np.log(smoothed / smoothed.sum())) / asked.sum())


def _check_length(model: "PreTrainedModel", length: int) -> None:
    from hubkit.models.streaming import context_length

    limit = context_length(model.config)
    if limit is not None and length > limit:
        raise UserError(
            f"evaluation perplexity: a sequence of {length} tokens is longer than the model reads ({limit}); evaluate "
            "it on sequences of the length that it was trained on"
        )


def _nats(model: "PreTrainedModel", batch: "dict[str, torch.Tensor]") -> np.ndarray:
    """Return the negative log-likelihood of each row of a batch: float64 (rows,)."""
    import torch

    inputs = {name: batch[name].to(model.device) for name in ("input_ids", "position_ids") if name in batch}
    labels = batch["shift_labels"].to(model.device)
    with torch.inference_mode():
        # With a cache, stock models would not keep the documents of a window apart.
        logits = model(**inputs, use_cache=False).logits.float()
        nats = torch.nn.functional.cross_entropy(
            logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED, reduction="none"
        )
        return nats.view(labels.shape).double().sum(1).cpu().numpy()
