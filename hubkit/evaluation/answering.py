"""Questions that end with a text to be written, and what a model writes: its likeliest tokens, one after the other."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hubkit.data.objectives.base import IGNORED
from hubkit.data.objectives.causal import Causal
from hubkit.data.reading import Sequences
from hubkit.errors import UserError
from hubkit.evaluation.likelihood import batch_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BATCH_TOKENS = 1 << 15
"""Tokens that are held of a batch: its prompts and all that may be written."""
_CHUNK = 1024
"""Sequences that are turned into questions together."""


class Question(NamedTuple):
    """A row whose end is to be written."""

    prompt: np.ndarray
    """int64 (tokens,): what the model reads, the token that begins a sequence in front."""
    answer: np.ndarray
    """int64 (tokens,): what follows, the token that ends a sequence included."""


def questions(objective: Causal, sequences: Sequences, limit: int | None = None) -> tuple[list[Question], int]:
    """Return what sequences ask: given all up to the first token that training asks for, write the tokens it asks for.

    Args:
        objective: Of the training; it says what stands in front of a sequence, and what of it is asked.
        sequences: Rows.
        limit: Take the first so many; None is all.

    Returns:
        The questions, and how many sequences pose none, because nothing is asked of them or several pieces are.
    """
    found: list[Question] = []
    total = len(sequences) if limit is None else min(limit, len(sequences))
    for start in range(0, total, _CHUNK):
        batch = batch_of(objective, sequences, np.arange(start, min(start + _CHUNK, total)))
        for ids, labels in zip(batch["input_ids"].numpy(), batch["shift_labels"].numpy(), strict=True):
            asked = np.flatnonzero(labels != IGNORED)
            if len(asked) and asked[-1] - asked[0] == len(asked) - 1:
                found.append(Question(ids[: asked[0] + 1], labels[asked]))
    return found, total - len(found)


def answers(
    model: "PreTrainedModel",
    asked: Sequence[Question],
    stop: int | None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> list[np.ndarray]:
    """Return what a model writes to each question.

    Prompts of one length go together, so that nothing has to be padded and every architecture reads them as it reads
    one alone.

    Args:
        model: A causal language model, on its device, in evaluation mode.
        asked: The questions.
        stop: The id that ends an answer; None is none, and then an answer is as long as the right one.
        batch_tokens: Tokens of a batch, at most, prompts and answers.
        progress: Hears (what, done, total).

    Returns:
        int64 (tokens,) each, the stop token included. What does not stop is cut at the length of the longest right
        answer, or where the model can read no further.

    Raises:
        UserError: A question and its right answer are longer than the model reads.
    """
    longest, context = max(len(question.answer) for question in asked), _context(model, asked)
    written: list[np.ndarray] = [np.empty(0, np.int64)] * len(asked)
    done = 0
    for numbers in _batches(asked, longest, batch_tokens):
        prompts = np.stack([asked[number].prompt for number in numbers])
        # The last token is not read again.
        most = longest if context is None else min(longest, context - prompts.shape[1] + 1)
        for number, row in zip(numbers, greedy(model, prompts, most, stop), strict=True):
            end = len(asked[number].answer) if stop is None else _end(row, stop)
            written[number] = row[:end]
        done += len(numbers)
        progress("evaluating", done, len(asked))
    return written


def greedy(model: "PreTrainedModel", prompts: np.ndarray, most: int, stop: int | None) -> np.ndarray:
    """Return the likeliest continuation of prompts of one length, token by token, a token at a time through the cache.

    Args:
        model: A causal language model, on its device, in evaluation mode.
        prompts: int64 (rows, tokens).
        most: Tokens to write at most.
        stop: Writing ends when every row has had this id; None is after `most`.

    Returns:
        int64 (rows, at most `most`); what follows a row's stop token means nothing.
    """
    import torch

    ids = torch.from_numpy(prompts).to(model.device)
    length, stopped = ids.shape[1], torch.zeros(len(ids), dtype=torch.bool, device=ids.device)
    cache, pending = None, ids
    with torch.inference_mode():
        for _ in range(most):
            output: Any = model(input_ids=pending, past_key_values=cache, use_cache=True, logits_to_keep=1)
            chosen = output.logits[:, -1].argmax(-1)
            ids, cache = torch.cat([ids, chosen[:, None]], 1), output.past_key_values
            pending = ids if cache is None else chosen[:, None]
            stopped |= chosen == (-1 if stop is None else stop)
            if stopped.all():
                break
    return ids[:, length:].cpu().numpy()


def _end(row: "np.ndarray", stop: int) -> int:
    """Return where a row ends: after its first stop token, if it has one."""
    found = np.flatnonzero(row == stop)
    return int(found[0]) + 1 if len(found) else len(row)


def _batches(asked: Sequence[Question], longest: int, batch_tokens: int) -> list[np.ndarray]:
    """Return the numbers of questions whose prompts are of one length, the longest first; int64 (batch,) each."""
    lengths = np.array([len(question.prompt) for question in asked])
    batches = []
    for length in np.unique(lengths)[::-1]:
        group, size = np.flatnonzero(lengths == length), max(1, batch_tokens // (int(length) + longest))
        batches += [group[start : start + size] for start in range(0, len(group), size)]
    return batches


def _context(model: "PreTrainedModel", asked: Sequence[Question]) -> int | None:
    """Return how many tokens the model reads; refuse questions that go beyond."""
    from hubkit.models.streaming import context_length

    context, need = context_length(model.config), max(len(q.prompt) + len(q.answer) - 1 for q in asked)
    if context is not None and need > context:
        raise UserError(
            f"evaluation exact_match: a row of {need} tokens is longer than the model reads ({context}); evaluate it "
            "on rows of the length that it was trained on"
        )
    return context
