"""Compiled loops of the rewriting family: drawing inputs, telling whose they are, and running rules on them.

Strings are arrays of uint8, the numbers of their symbols. A rule is a plain tuple, which Numba passes faster than a
named one; `_rewriting_rules.py` makes it:

    (kind, patterns, pattern_ends, replacements, replacement_ends, terminal, table, blank)

kind: `ONE_PASS`, `MARKOV` or `TURING`.
patterns, replacements: uint8, the strings of all productions one after the other; production k's end at ends[k + 1].
terminal: bool of shape (productions,).
table: int64 of shape (states, symbols, 3): what is written, how far the head moves, the next state; the machine halts
    where the next state is -1. It starts in state 0.
blank: The symbol of an empty cell.

A run is cut off, and says so by -1 steps, where it would take more than `step_limit` steps, or its string or tape would
take more than `space_limit` symbols.
"""

import numpy as np
from numba import njit

from hubkit.draws import below, between, seed
from hubkit.kernels import kernel

ONE_PASS, MARKOV, TURING = 0, 1, 2
_CHUNK = 16  # bytes that one Philox block takes in


@kernel
def draw(address, owner, length_range, letters, rule, limits):
    """Draw rows: an input that belongs to the split, then what the rule makes of it.

    Args:
        address: (key_low, key_high, start, stop, attempts): the split's stream, the rows, draws that a row may take.
        owner: (key_low, key_high, first, last): see :func:`owned`.
        length_range: (least, most, letters): lengths of inputs, both included; how many symbols inputs are made of.
        letters: (uint8 of shape (symbols, 4), int64 of shape (symbols,)): UTF-8 of each symbol and how long it is.
        rule: See the module's first lines.
        limits: (step_limit, space_limit).

    Returns:
        Inputs and outputs as UTF-8, each (uint8 bytes, int32 ends of shape (rows + 1,)); int32 steps of shape (rows,);
        the number of runs that were cut off; and the place (from `start` on) of the first row of which every attempt
        was, or -1. The rows end there; its last input is noted.
    """
    key_low, key_high, start, stop, attempts = address
    least, most, choices = length_range
    rows, rejected = stop - start, 0
    state, mixed = np.empty(4, np.uint64), np.empty(4, np.uint64)
    string, scratch = np.empty(most, np.uint8), scratch_for(rule, most, limits)
    ins, outs = np.empty(rows * (most + 4) * 2, np.uint8), np.empty(rows * (most + 4) * 2, np.uint8)
    in_ends, out_ends, steps = np.zeros(rows + 1, np.int32), np.zeros(rows + 1, np.int32), np.zeros(rows, np.int32)
    for row in range(rows):
        ins = with_room(ins, in_ends[row], 4 * most)
        for attempt in range(attempts):
            seed(state, key_low, key_high, start + row, attempt)
            while True:  # until the input is this split's: the builder has seen to it that there are such
                length = between(state, least, most)
                for at in range(length):
                    string[at] = below(state, choices)
                end = spell(string, 0, length, letters, ins, in_ends[row])
                if owned(ins[in_ends[row] : end], owner, mixed):
                    break
            begin, finish, count = run(rule, string, length, scratch, limits)
            if count >= 0:
                break
            rejected += 1
        in_ends[row + 1] = end
        if count < 0:
            return (ins, in_ends), (outs, out_ends), steps, rejected, row
        outs = with_room(outs, out_ends[row], 4 * (finish - begin))
        out_ends[row + 1] = spell(scratch, begin, finish, letters, outs, out_ends[row])
        steps[row] = count
    return (ins, in_ends), (outs, out_ends), steps, rejected, -1


@njit
def with_room(data, used, more):
    """Return an array that begins with the `used` first bytes of `data` and has room for `more`."""
    if used + more <= len(data):
        return data
    larger = np.empty(2 * (used + more), np.uint8)
    larger[:used] = data[:used]
    return larger


@njit
def spell(string, begin, finish, letters, data, end):
    """Write symbols `begin` to `finish` of a string as UTF-8 into `data` from `end` on; return where they end."""
    texts, widths = letters
    for at in range(begin, finish):
        symbol = string[at]
        data[end] = texts[symbol, 0]
        for place in range(1, widths[symbol]):
            data[end + place] = texts[symbol, place]
        end += widths[symbol]
    return end


@njit
def owned(text, owner, mixed):
    """Return whether an input (UTF-8, without zeros) belongs to a split: its keyed hash lies from `first` to `last`.

    The hash is a chain of Philox-4x64 blocks: each takes in 16 bytes, filled up with zeros, as its counter, and its
    first two words are the key of the next. The hash is the first word of the last.
    """
    key_low, key_high, first, last = owner
    for chunk in range(len(text) // _CHUNK + 1):
        low, high = np.uint64(0), np.uint64(0)
        begin = chunk * _CHUNK
        for place in range(min(_CHUNK, len(text) - begin)):
            byte = np.uint64(text[begin + place]) << np.uint64(8 * (place & 7))
            if place < 8:
                low |= byte
            else:
                high |= byte
        seed(mixed, key_low, key_high, low, high)
        key_low, key_high = mixed[1], mixed[0]
    return first <= mixed[0] <= last


@njit
def scratch_for(rule, longest, limits):
    """Return room for any run of a rule on inputs of at most so many symbols; a tape is blank."""
    space = max(longest, limits[1]) + 1
    return np.full(3 * space if rule[0] == TURING else space, rule[7], np.uint8)


@njit
def run(rule, string, length, scratch, limits):
    """Run a rule on the first `length` symbols of a string.

    Returns:
        From where to where in `scratch` the output stands, until the next run, and the steps taken, or -1.
    """
    if rule[0] == ONE_PASS:
        return one_pass(rule, string, length, scratch)
    if rule[0] == MARKOV:
        return markov(rule, string, length, scratch, limits)
    return turing(rule, string, length, scratch, limits)


@njit
def matches(rule, production, string, length, at):
    """Return whether the pattern of a production stands at a place of a string."""
    patterns, ends = rule[1], rule[2]
    begin, size = ends[production], ends[production + 1] - ends[production]
    if at + size > length:
        return False
    for place in range(size):  # noqa: SIM110 (the compiler takes no generator)
        if patterns[begin + place] != string[at + place]:
            return False
    return True


@njit
def one_pass(rule, string, length, out):
    """Rewrite once from left to right: at each place by the first production that fits there; a step each."""
    ends, replacements, replacement_ends = rule[2], rule[3], rule[4]
    at, finish, steps = 0, 0, 0
    while at < length:
        for production in range(len(ends) - 1):
            if matches(rule, production, string, length, at):
                for place in range(replacement_ends[production], replacement_ends[production + 1]):
                    out[finish] = replacements[place]
                    finish += 1
                at += ends[production + 1] - ends[production]
                steps += 1
                break
        else:
            out[finish] = string[at]
            finish += 1
            at += 1
    return 0, finish, steps


@njit
def markov(rule, string, length, out, limits):
    """Run a Markov algorithm: the first production that fits anywhere, at its leftmost place, until none does."""
    step_limit, space_limit = limits
    ends, replacements, replacement_ends, terminal = rule[2], rule[3], rule[4], rule[5]
    out[:length] = string[:length]
    moved = np.empty(len(out), np.uint8)
    clear = np.zeros(len(terminal), np.int64)
    steps = 0
    while True:
        production, at = applicable(rule, out, length, clear)
        if production < 0:
            return 0, length, steps
        begin, size = replacement_ends[production], replacement_ends[production + 1] - replacement_ends[production]
        old = ends[production + 1] - ends[production]
        if steps == step_limit or length - old + size > space_limit:
            return 0, 0, -1
        if size != old:
            moved[: length - at - old] = out[at + old : length]
            out[at + size : length - old + size] = moved[: length - at - old]
        for place in range(size):
            out[at + place] = replacements[begin + place]
        length += size - old
        steps += 1
        if terminal[production]:
            return 0, length, steps
        for other in range(len(clear)):  # what reaches into the new symbols may fit now
            clear[other] = min(clear[other], max(0, at + 1 - (ends[other + 1] - ends[other])))


@njit
def applicable(rule, string, length, clear):
    """Return the first production that fits anywhere and its leftmost place, or (-1, -1).

    `clear` (int64 of shape (productions,)) says before which place each production fits nowhere, and learns more.
    """
    for production in range(len(clear)):
        for at in range(clear[production], length + 1):  # an empty pattern fits even an empty string
            if matches(rule, production, string, length, at):
                clear[production] = at
                return production, at
        clear[production] = length + 1
    return -1, -1


@njit
def turing(rule, string, length, scratch, limits):
    """Run a Turing machine from the first symbol of the string, on a tape that is blank elsewhere, and is wiped after.

    The tape is the first part of `scratch`, the output (without blanks at its ends) goes to the last.
    """
    step_limit, space_limit = limits
    table, blank = rule[6], rule[7]
    origin = len(scratch) // 3
    low, high = origin, max(origin, origin + length - 1)  # the cells that were seen
    head, state, steps = origin, 0, 0
    scratch[origin : origin + length] = string[:length]
    while table[state, scratch[head], 2] >= 0:
        symbol = scratch[head]
        there = head + table[state, symbol, 1]
        if steps == step_limit or max(high, there) - min(low, there) >= space_limit:
            steps = -1
            break
        scratch[head] = table[state, symbol, 0]
        state = table[state, symbol, 2]
        head, low, high = there, min(low, there), max(high, there)
        steps += 1
    begin, finish = low, high + 1
    while begin < finish and scratch[begin] == blank:
        begin += 1
    while finish > begin and scratch[finish - 1] == blank:
        finish -= 1
    output = 2 * origin + 1
    scratch[output : output + finish - begin] = scratch[begin:finish]
    scratch[low : high + 1] = blank
    return output, output + finish - begin, steps
