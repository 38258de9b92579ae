"""Compiled loops over text: where lines, paragraphs and JSON values begin and end.

An end is the offset behind the last byte of a record; the bounds of a record leave out what surrounds it. States are
small int64 arrays that carry over from one chunk to the next.
"""

import numpy as np
from numba import njit

from hubkit.kernels import kernel

_LF, _SPACE, _QUOTE, _COMMA, _BACKSLASH = 10, 32, 34, 44, 92
_STRIDE = 64
_OPEN_LIST, _CLOSE_LIST, _OPEN_OBJECT, _CLOSE_OBJECT = 91, 93, 123, 125


@njit
def _is_white(byte):
    return byte == _SPACE or 9 <= byte <= 13


@kernel
def line_ends(text):
    """Return the offsets behind the line feeds."""
    ends = np.empty(text.size, np.int64)  # only what is written takes memory
    count = 0
    for start in range(0, text.size, _STRIDE):
        piece = text[start : start + _STRIDE]
        if _has_line_feed(piece):
            for index in range(piece.size):
                if piece[index] == _LF:
                    ends[count] = start + index + 1
                    count += 1
    return ends[:count].copy()


@njit
def _has_line_feed(piece):
    found = np.uint8(0)  # without a branch the compiler compares a whole register of bytes at once
    for byte in piece:
        found |= np.uint8(byte == _LF)
    return found > 0


@kernel
def line_bounds(text, start, ends):
    """Return starts and stops of the lines that aren't blank, as they stand; the line end is no part of them."""
    starts, stops = np.empty(ends.size, np.int64), np.empty(ends.size, np.int64)
    count = 0
    for end in ends:
        first = start
        while first < end and _is_white(text[first]):
            first += 1
        if first < end:
            starts[count] = start
            stops[count] = end - 1 if text[end - 1] == _LF else end
            count += 1
        start = end
    return starts[:count], stops[:count]


@kernel
def paragraph_ends(text, state):
    """Return the offsets behind the blank lines that end paragraphs; state: is the line blank, has there been text."""
    ends = np.empty(text.size // 2 + 1, np.int64)
    count = 0
    blank, begun = state[0], state[1]
    for index in range(text.size):
        byte = text[index]
        if byte == _LF:
            if blank and begun:
                ends[count] = index + 1
                count += 1
                begun = 0
            blank = 1
        elif blank and not _is_white(byte):
            blank, begun = 0, 1
    state[0], state[1] = blank, begun
    return ends[:count].copy()


@kernel
def paragraph_bounds(text, start, ends):
    """Return starts and stops of paragraphs: from the first line that isn't blank through the last one."""
    starts, stops = np.empty(ends.size, np.int64), np.empty(ends.size, np.int64)
    count = 0
    for end in ends:
        first, stop = start, end
        while first < end and _is_white(text[first]):
            if text[first] == _LF:
                start = first + 1
            first += 1
        while stop > first and _is_white(text[stop - 1]):
            stop -= 1
        if first < stop:
            starts[count] = start
            stops[count] = stop
            count += 1
        start = end
    return starts[:count], stops[:count]


@kernel
def value_ends(text, outer, state):
    """Return the offsets at which JSON values close that `outer` brackets surround, behind `[`, and before its `]`.

    State: open brackets; is this in a string; is it behind a backslash there.
    """
    ends = np.empty(text.size, np.int64)
    count = 0
    depth, quoted, escaped = state[0], state[1], state[2]
    for index in range(text.size):
        byte = text[index]
        if quoted:
            if escaped:
                escaped = 0
            elif byte == _BACKSLASH:
                escaped = 1
            elif byte == _QUOTE:
                quoted = 0
        elif byte == _QUOTE:
            quoted = 1
        elif byte in (_OPEN_OBJECT, _OPEN_LIST):
            depth += 1
            if depth == outer and byte == _OPEN_LIST:
                ends[count] = index + 1
                count += 1
        elif byte in (_CLOSE_OBJECT, _CLOSE_LIST):
            depth -= 1
            if depth <= outer:
                ends[count] = index + (depth >= outer or byte == _CLOSE_OBJECT)
                count += 1
            depth = max(depth, 0)
    state[0], state[1], state[2] = depth, quoted, escaped
    return ends[:count].copy()


@kernel
def value_bounds(text, start, ends):
    """Return starts and stops of JSON values, without white space, comma and outer brackets around them."""
    starts, stops = np.empty(ends.size, np.int64), np.empty(ends.size, np.int64)
    count = 0
    for end in ends:
        first, stop, commas = start, end, 0
        while first < stop and (_is_white(text[first]) or (commas == 0 and text[first] in (_COMMA, _CLOSE_LIST))):
            commas += not _is_white(text[first])
            first += 1
        while stop > first and (_is_white(text[stop - 1]) or text[stop - 1] == _OPEN_LIST):
            stop -= 1
        if first < stop:
            starts[count] = first
            stops[count] = stop
            count += 1
        start = end
    return starts[:count], stops[:count]


@kernel
def deepest(text):
    """Return how many brackets are open at most in a JSON text."""
    depth = most = 0
    quoted = escaped = False
    for byte in text:
        if quoted:
            quoted = escaped or byte != _QUOTE
            escaped = not escaped and byte == _BACKSLASH
        elif byte == _QUOTE:
            quoted = True
        elif byte in (_OPEN_OBJECT, _OPEN_LIST):
            depth += 1
            most = max(most, depth)
        elif byte in (_CLOSE_OBJECT, _CLOSE_LIST):
            depth -= 1
    return most
