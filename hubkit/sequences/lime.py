"""Deduction, abduction and induction on strings of symbols that mean nothing (LIME).

Wu, Rabe, Li, Ba, Grosse and Szegedy, "LIME: learning inductive bias for primitives of mathematical reasoning", ICML
2021 (arXiv 2101.06223), after Peirce: a *rule* is a pattern of rule symbols and operators, a *case* says which string
stands for each rule symbol, and the *result* is the pattern with the case put in. Of the three, two are given and the
third is asked for. A rewriting rule is two patterns or more over the same symbols: what matches the one is written as
the next.

Each example draws its symbols anew, so that none keeps a meaning: some ids for the rule symbols (upper), some for what
stands for them (lower), some for operators that occur in patterns and strings alike (math).
"""

from typing import Annotated, ClassVar, Literal, Self

import numpy as np
from numba import njit
from pydantic import Field, model_validator

from hubkit.draws import below, between, sample, seed
from hubkit.kernels import kernel
from hubkit.sequences.arrays import with_room
from hubkit.sequences.base import MOST_LENGTH, Domain, Key, Length, Range, Sequences, with_loss
from hubkit.sequences.vocabulary import Vocabulary, draw_distinct

TASKS = "deduct", "abduct", "induct", "rewrite", "multistep"
_DEDUCT, _ABDUCT, _INDUCT, _REWRITE, _MULTISTEP = range(5)
_RULE, _CASE, _MAPS, _TO, _STRING, _RESULT = range(6)

Group = Annotated[int, Field(ge=1, le=10_000)]
"""How many ids of one kind an example has."""


class Lime(Domain):
    """Two of rule, case and result, and the third to learn; or a string that is rewritten.

    | task | row; what follows the bar is learnt |
    |---|---|
    | deduct | rule P case A maps a … case B maps b … result │ R |
    | abduct | rule P result R case │ A maps a … case B maps b … |
    | induct | result R case A maps a … case B maps b … rule │ P |
    | rewrite | rule P to Q string R result │ S |
    | multistep | rule P to Q … to Z string R result │ S … result T |

    The markers stand before their part. A case lists the symbols that occur in P, in the order in which they do.
    """

    domain: Literal["lime"] = "lime"
    task: Literal["deduct", "abduct", "induct", "rewrite", "multistep", "mixed"] = "mixed"
    """What is asked for; `mixed` draws one of the five for each row."""
    upper: Group = 24
    """Ids of an example that can be rule symbols."""
    lower: Group = 24
    """Ids of an example that can stand for rule symbols."""
    math: Group = 20
    """Ids of an example that can be operators."""
    symbols: Length = Range(min=3, max=5)
    """Different rule symbols of an example."""
    occurrences: Annotated[int, Field(ge=1, le=1000)] = 2
    """Rule symbols in a pattern, for each different one; a pattern need not have all of them."""
    operators: Range = Range(min=5, max=19)
    """Operators in a pattern."""
    substitution: Length = Range(min=2, max=8)
    """Tokens, lower or math, that stand for a rule symbol."""
    steps: Length = Range(min=1, max=5)
    """How many times a string is rewritten in `multistep`."""
    vocabulary: Vocabulary = Vocabulary(size=1000)

    markers: ClassVar[tuple[str, ...]] = ("rule", "case", "maps", "to", "string", "result")
    summary = (
        "A rule (a pattern of symbols), a case (what stands for each) and the result of putting one into the other: "
        "two of them are given, the third is to be found; or a string is rewritten by rules."
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        drawn = self.upper + self.lower + self.math
        if drawn > self.vocabulary.distinct:
            raise ValueError(
                f"vocabulary: an example takes {drawn} different tokens (upper + lower + math) of a vocabulary of "
                f"{self.vocabulary.distinct}; raise vocabulary.size or lower upper, lower or math"
            )
        if self.symbols.max > self.upper:
            raise ValueError(
                f"symbols: {self.symbols.max} different rule symbols can't be drawn from upper={self.upper}; "
                "lower symbols.max or raise upper"
            )
        if self._longest > MOST_LENGTH:
            raise ValueError(
                f"substitution: an example could have {self._longest} tokens, and {MOST_LENGTH} is the most; lower "
                "symbols, occurrences, operators, substitution or steps"
            )
        return self

    @property
    def _longest(self) -> int:
        """No row has more tokens."""
        letters = self.symbols.max * self.occurrences
        pattern = letters + self.operators.max + 1
        result = letters * self.substitution.max + self.operators.max + 1
        case = self.symbols.max * (self.substitution.max + 3)
        return (1 + self.steps.max) * (pattern + result) + case

    def generate(self, key: Key, indices: np.ndarray) -> Sequences:
        """Return examples of which the part that is asked for is learnt."""
        groups = np.array([self.upper, self.lower, self.math])
        ranges = np.array([[r.min, r.max] for r in (self.symbols, self.operators, self.substitution, self.steps)])
        task = TASKS.index(self.task) if self.task != "mixed" else len(TASKS)
        sizes = groups, ranges, self.occurrences, self._longest
        return with_loss(*examples(*key, indices, task, *sizes, self.vocabulary.table, self.vocabulary.pool()))


@kernel
def examples(key_low, key_high, indices, task, groups, ranges, occurrences, longest, table, pool):
    """Return tokens (uint32), offsets (int64 (n + 1,)) and where the answers begin (int64 (n,)).

    Symbols count from 0 on: upper, then lower, then math; they become ids when a part is written. `ranges` has a row
    each for symbols, operators, substitution and steps; `task` beyond the last means any.
    """
    state, tokens = np.empty(4, np.uint64), np.empty(256 * len(indices), np.uint32)
    offsets, starts = np.zeros(len(indices) + 1, np.int64), np.empty(len(indices), np.int64)
    ids, letters = np.empty(groups.sum(), np.uint32), np.empty(ranges[0, 1], np.int64)
    stride = ranges[0, 1] * occurrences + ranges[1, 1]
    patterns, case = (
        np.empty((ranges[3, 1] + 1, stride), np.int64),
        np.empty((ranges[0, 1], ranges[2, 1] + 1), np.int64),
    )
    lengths = np.empty(ranges[3, 1] + 1, np.int64)
    for i in range(len(indices)):
        seed(state, key_low, key_high, indices[i], 0)
        tokens = with_room(tokens, offsets[i], longest)
        kind = task if task <= _MULTISTEP else below(state, _MULTISTEP + 1)
        steps = between(state, ranges[3, 0], ranges[3, 1]) if kind == _MULTISTEP else np.int64(kind == _REWRITE)
        draw_distinct(state, table, pool, ids)
        order = _draw_patterns(state, groups, ranges, occurrences, steps, letters, patterns, lengths)
        _draw_case(state, groups, ranges, letters[:order], case)
        out = tokens[offsets[i] :]
        used, starts[i] = _write(kind, steps, table.size, ids, patterns, lengths, letters[:order], case, out)
        offsets[i + 1] = offsets[i] + used
    return tokens[: offsets[-1]], offsets, starts


# --- draws -----------------------------------------------------------------------------------------------------------


@njit
def _draw_patterns(state, groups, ranges, occurrences, steps, letters, patterns, lengths):
    """Draw the pattern of the rule, and those that it is rewritten to; return how many symbols the first one has.

    Those stand at the front of `letters` then, in the order in which they occur; the others have no other symbols.
    The rule symbols are the first upper ones, whose ids are as random as those of the rest.
    """
    for symbol in range(len(letters)):
        letters[symbol] = symbol
    symbols = between(state, ranges[0, 0], ranges[0, 1])
    places = symbols * occurrences
    for step in range(steps + 1):
        length = places + between(state, ranges[1, 0], ranges[1, 1])
        pattern = patterns[step, :length]
        for at in range(length):
            letter = at < places
            pattern[at] = letters[below(state, symbols)] if letter else groups[0] + groups[1] + below(state, groups[2])
        sample(state, pattern, length - 1)
        lengths[step] = length
        if step == 0:
            symbols = _first_occurrences(pattern, letters)
    return symbols


@njit
def _first_occurrences(pattern, letters):
    """Move the rule symbols of a pattern to the front of `letters` in the order of the pattern; return their number."""
    found = 0
    for symbol in pattern:
        if symbol < len(letters):
            place = 0
            while letters[place] != symbol:
                place += 1
            if place >= found:
                letters[found], letters[place] = letters[place], letters[found]
                found += 1
    return found


@njit
def _draw_case(state, groups, ranges, letters, case):
    """Draw what stands for each symbol: `case[symbol]` begins with its length."""
    for symbol in letters:
        length = between(state, ranges[2, 0], ranges[2, 1])
        case[symbol, 0] = length
        for at in range(1, length + 1):
            case[symbol, at] = groups[0] + below(state, groups[1] + groups[2])


# --- rows ------------------------------------------------------------------------------------------------------------


@njit
def _write(kind, steps, content, ids, patterns, lengths, letters, case, out):
    """Write a row; return its length and where its answer begins."""
    rule, start, at = patterns[0, : lengths[0]], 0, 0
    if kind == _DEDUCT:
        at = _write_pattern(content + _RULE, ids, rule, out, at)
        at = _write_case(content, ids, letters, case, out, at)
        start = at + 1
        at = _write_result(content + _RESULT, ids, rule, case, out, at)
    elif kind == _ABDUCT:
        at = _write_pattern(content + _RULE, ids, rule, out, at)
        at = _write_result(content + _RESULT, ids, rule, case, out, at)
        start = at + 1
        at = _write_case(content, ids, letters, case, out, at)
    elif kind == _INDUCT:
        at = _write_result(content + _RESULT, ids, rule, case, out, at)
        at = _write_case(content, ids, letters, case, out, at)
        start = at + 1
        at = _write_pattern(content + _RULE, ids, rule, out, at)
    else:
        for step in range(steps + 1):
            marker = content + (_RULE if step == 0 else _TO)
            at = _write_pattern(marker, ids, patterns[step, : lengths[step]], out, at)
        at = _write_result(content + _STRING, ids, rule, case, out, at)
        start = at + 1
        for step in range(1, steps + 1):
            at = _write_result(content + _RESULT, ids, patterns[step, : lengths[step]], case, out, at)
    return at, start


@njit
def _write_pattern(marker, ids, pattern, out, at):
    out[at] = marker
    for symbol in pattern:
        at += 1
        out[at] = ids[symbol]
    return at + 1


@njit
def _write_result(marker, ids, pattern, case, out, at):
    out[at] = marker
    at += 1
    for symbol in pattern:
        if symbol < len(case):
            for place in range(1, case[symbol, 0] + 1):
                out[at] = ids[case[symbol, place]]
                at += 1
        else:
            out[at] = ids[symbol]
            at += 1
    return at


@njit
def _write_case(content, ids, letters, case, out, at):
    for symbol in letters:
        out[at], out[at + 1], out[at + 2] = content + _CASE, ids[symbol], content + _MAPS
        at += 3
        for place in range(1, case[symbol, 0] + 1):
            out[at] = ids[case[symbol, place]]
            at += 1
    return at


DOMAINS = (Lime,)
