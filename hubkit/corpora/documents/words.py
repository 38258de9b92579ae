"""How many words texts hold."""

import numpy as np
import pyarrow as pa
from numba import njit

from hubkit.kernels import kernel


def count_words(texts: pa.LargeStringArray) -> np.ndarray:
    """Return how many words each text has: runs of characters other than white space, as `str.split` tells them.

    Args:
        texts: Without nulls.

    Returns:
        uint32 of shape (len(texts),).
    """
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return _words(np.frombuffer(data or b"", np.uint8), bounds)


@kernel
def _words(data, bounds):
    """Count the words of the texts that lie between each two bounds in `data`."""
    counts = np.empty(len(bounds) - 1, np.uint32)
    for text in range(len(counts)):
        content = data[bounds[text] : bounds[text + 1]]
        # Compiled, this is one pass over whole registers of bytes; most documents need no other.
        counts[text] = _words_of_unicode(content) if _has_high(content) else _words_of_ascii(content)
    return counts


@njit
def _has_high(content):
    high = np.uint8(0)
    for byte in content:
        high |= byte
    return high >= 128


@njit
def _words_of_ascii(content):
    """Count where a space, or the beginning, is followed by something else."""
    words = np.uint32(0)
    if len(content):
        words += np.uint32(not _is_space(content[0]))
    for at in range(1, len(content)):
        words += np.uint32(_is_space(content[at - 1]) & (not _is_space(content[at])))
    return words


@njit(inline="always")
def _is_space(byte):
    """Say whether an ASCII character is white space: the blank, 9 to 13, and the four separators 28 to 31."""
    return (byte == 32) | (np.uint8(byte - 9) <= 4) | (np.uint8(byte - 28) <= 3)


@njit
def _words_of_unicode(content):
    words, inside, at = np.uint32(0), False, 0
    while at < len(content):
        byte, width = content[at], 0
        if byte < 0x80:
            width = int(_is_space(byte))
        elif 0xC2 <= byte <= 0xE3:
            width = _space_at(content, at, byte)
        if width:  # a branch, which the processor guesses; the next place computed from the width would be waited for
            inside = False
            at += width
        else:
            words += np.uint32(not inside)
            inside = True
            at += 1
    return words


@njit
def _space_at(content, at, byte):
    """Return how many bytes the white space takes that begins with a byte beyond ASCII; 0 where there is none."""
    if byte == 0xC2:  # next line, no-break space
        return 2 if content[at + 1] == 0x85 or content[at + 1] == 0xA0 else 0
    if byte == 0xE1:  # the Ogham one
        return 3 if content[at + 1] == 0x9A and content[at + 2] == 0x80 else 0
    if byte == 0xE2:  # U+2000 to 200A, 2028, 2029, 202F, 205F
        middle, last = content[at + 1], content[at + 2]
        low = middle == 0x80 and (0x80 <= last <= 0x8A or last in (0xA8, 0xA9, 0xAF))
        return 3 if low or (middle == 0x81 and last == 0x9F) else 0
    if byte == 0xE3:  # the ideographic one
        return 3 if content[at + 1] == 0x80 and content[at + 2] == 0x80 else 0
    return 0
