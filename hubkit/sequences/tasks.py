"""The eighteen simple tasks of input and output: copying, sets, sorting, editing, counting, searching.

Wu, Li and Liang, "Insights into pre-training via simpler synthetic tasks", NeurIPS 2022 (arXiv 2206.10139).
"""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numba import njit
from pydantic import Field, model_validator

from hubkit.draws import below, between, sample, seed, uniform
from hubkit.kernels import kernel
from hubkit.sequences import _task_answers as t
from hubkit.sequences._task_answers import MARKERS, TASKS, answer
from hubkit.sequences.arrays import with_room
from hubkit.sequences.base import Domain, Key, Length, Range, Sequences, Share, with_loss
from hubkit.sequences.vocabulary import Vocabulary, draw_distinct

_PAIRS = "union", "intersect", "set_1_minus_2", "set_2_minus_1"


class Task(Domain):
    """A question about a sequence x (with an argument y, for some) and its answer, which is learnt.

    A row is ``task x delimiter answer``, or ``task x separator y delimiter answer``; `task` is a marker of that name.

    | task | y | answer |
    |---|---|---|
    | set | | the different tokens, as they first occur |
    | copy, reverse | | x, forwards or backwards |
    | duplicate | | each token twice |
    | deduplicate | | runs of one token made one |
    | sort | an order of the tokens | x in that order |
    | union, intersect | a second sequence | the tokens of either, of both |
    | set_1_minus_2, set_2_minus_1 | a second sequence | the tokens of one that the other lacks |
    | delete | a token | x without its first occurrence |
    | replace | a token and another | x with the second for the first |
    | first, last | | that token |
    | length | | how long x is, in decimal digits |
    | count | a token | how often it occurs, in decimal digits |
    | search | a token | yes or no |
    | longest_word | | the first of the longest words, which dividers part |

    Answers that are sets have their tokens as they first occur (in y after x), and one that is empty is the marker
    ``nothing``. Digits and yes and no are markers too.
    """

    domain: Literal["task"] = "task"
    task: Literal[
        "set", "copy", "reverse", "delete", "sort", "union", "intersect", "set_1_minus_2", "set_2_minus_1", "replace",
        "duplicate", "deduplicate", "first", "last", "length", "count", "search", "longest_word", "mixed",
    ] = "mixed"  # fmt: skip
    """What is asked for; `mixed` draws one of the eighteen for each row."""
    length: Length = Range(min=10, max=220)
    """Tokens of x, or of x and y together where both are sequences."""
    alphabet: Length = Range(min=5, max=60)
    """How many different tokens a row is made of, each as likely in it; of two sequences each has two thirds."""
    delete_present: Share = 0.75
    """How often the query of `delete` occurs, and that of `count`."""
    search_present: Share = 0.5
    """How often the query of `search` occurs."""
    repeat: Share = 0.5
    """How often a token of `deduplicate` is the one before once more."""
    word: Annotated[float, Field(ge=1, le=1e6)] = 5.0
    """About how many tokens a word of `longest_word` has."""
    vocabulary: Vocabulary = Vocabulary(size=1000)

    markers: ClassVar[tuple[str, ...]] = MARKERS
    summary = (
        "A simple question about a sequence and its answer: its set, its reverse, its length, the union with another, "
        "and fourteen more."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.alphabet.max + 1 > self.vocabulary.distinct:
            raise ValueError(
                f"alphabet: a row of {self.alphabet.max} different tokens, and one that it lacks, can't be drawn from "
                f"a vocabulary of {self.vocabulary.distinct}; lower alphabet.max or raise vocabulary.size"
            )
        if self.length.min < 2 and self.task in (*_PAIRS, "mixed"):
            raise ValueError(
                f"length: min={self.length.min} is too short for the two sequences of task={self.task}; set it to 2 "
                "or more"
            )
        return self

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return questions with their answers, of which the answers are learnt."""
        task = TASKS.index(self.task) if self.task != "mixed" else len(TASKS)
        ranges = np.array([[self.length.min, self.length.max], [self.alphabet.min, self.alphabet.max]])
        chances = np.array([self.delete_present, self.search_present, self.repeat, 1 / (self.word + 1)])
        tables = self.vocabulary.table, self.vocabulary.pool()
        return with_loss(*examples(*key, indices, task, ranges, chances, *tables))


@kernel
def examples(key_low, key_high, indices, task, ranges, chances, table, pool):
    """Return tokens (uint32), offsets (int64 (n + 1,)) and where the answers begin (int64 (n,)).

    `ranges` has a row each for length and alphabet; `chances` are those of queries in delete and in search, of a
    repetition, and of a divider; `task` beyond the last means any.
    """
    longest, widest = ranges[0, 1], ranges[1, 1] + 1  # with the token that does not occur
    state, tokens = np.empty(4, np.uint64), np.empty(256 * len(indices), np.uint32)
    offsets, starts = np.zeros(len(indices) + 1, np.int64), np.empty(len(indices), np.int64)
    ids, seen = np.empty(widest, np.uint32), np.empty(widest, np.int64)
    x, y = np.empty(longest, np.int64), np.empty(max(longest, widest, 2), np.int64)
    out = np.empty(max(2 * longest, 20), np.int64)  # the digits of an int64 are fewer than 20
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        kind = task if task < len(TASKS) else below(state, len(TASKS))
        length, alphabet = between(state, ranges[0, 0], ranges[0, 1]), between(state, ranges[1, 0], ranges[1, 1])
        draw_distinct(state, table, pool, ids[: alphabet + 1])
        if t.UNION <= kind <= t.MINUS_1:
            first, second = _draw_two(state, length, alphabet, x, y)
        else:
            first = length
            _draw_sequence(state, kind, alphabet, chances, x[:length])
            second = _draw_argument(state, kind, x[:length], alphabet, chances, seen, y)
        used = answer(kind, x[:first], y[:second], seen[: alphabet + 1], out)
        tokens = with_room(tokens, offsets[i], first + second + used + 3)
        starts[i], end = _write(kind, table.size, ids, x[:first], y[:second], out[:used], tokens[offsets[i] :])
        offsets[i + 1] = offsets[i] + end
    return tokens[: offsets[-1]], offsets, starts


# --- draws -----------------------------------------------------------------------------------------------------------


@njit
def _draw_two(state, length, alphabet, x, y):
    """Draw two sequences, of which the first lacks the last third of the alphabet and the second the first third."""
    first = between(state, 1, length - 1)
    third = alphabet // 3
    for at in range(first):
        x[at] = below(state, alphabet - third)
    for at in range(length - first):
        y[at] = third + below(state, alphabet - third)
    return first, length - first


@njit
def _draw_sequence(state, task, alphabet, chances, x):
    """Draw a sequence: independent tokens, with repetitions for deduplicate and dividers for longest_word."""
    if task == t.DEDUPLICATE:
        x[0] = below(state, alphabet)
        for at in range(1, len(x)):
            x[at] = x[at - 1] if uniform(state) < chances[2] else below(state, alphabet)
    elif task == t.LONGEST_WORD:
        for at in range(len(x)):
            inside = 0 < at < len(x) - 1 and x[at - 1] != t.DIVIDER  # no word is empty
            x[at] = t.DIVIDER if inside and uniform(state) < chances[3] else below(state, alphabet)
    else:
        for at in range(len(x)):
            x[at] = below(state, alphabet)


@njit
def _draw_argument(state, task, x, alphabet, chances, seen, y):
    """Draw what comes beside a sequence, and return how many tokens it has; `alphabet` itself never occurs in x."""
    if task in (t.DELETE, t.COUNT, t.SEARCH):
        present = uniform(state) < (chances[1] if task == t.SEARCH else chances[0])
        y[0] = x[below(state, len(x))] if present else alphabet
        return 1
    if task == t.REPLACE:
        y[0], y[1] = x[below(state, len(x))], below(state, alphabet)
        y[1] += y[1] >= y[0]  # any but the same
        return 2
    if task == t.SORT:
        different = answer(t.SET, x, x[:0], seen, y)
        sample(state, y[:different], different - 1)
        return different
    return 0


# --- rows ------------------------------------------------------------------------------------------------------------


@njit
def _write(task, content, ids, x, y, solution, out):
    """Write a row; return where its answer begins and how long it is."""
    out[0] = content + (-1 - t.FIRST_TASK) + task
    at = _write_part(content, ids, x, out, 1)
    if len(y) > 0:
        out[at] = content + (-1 - t.SEPARATOR)
        at = _write_part(content, ids, y, out, at + 1)
    out[at] = content + (-1 - t.DELIMITER)
    return at + 1, _write_part(content, ids, solution, out, at + 1)


@njit
def _write_part(content, ids, part, out, at):
    for token in part:
        out[at] = ids[token] if token >= 0 else content - 1 - token
        at += 1
    return at


DOMAINS = (Task,)
