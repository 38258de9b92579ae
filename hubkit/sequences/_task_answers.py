"""What the answer to each of the simple tasks is: compiled, on tokens that are counted from 0 within their row.

Marker j is written as -1 - j, so that it is none of them.
"""

from numba import njit

TASKS = (
    "set", "copy", "reverse", "delete", "sort", "union", "intersect", "set_1_minus_2", "set_2_minus_1", "replace",
    "duplicate", "deduplicate", "first", "last", "length", "count", "search", "longest_word",
)  # fmt: skip
MARKERS = ("delimiter", "separator", "divider", "yes", "no", "nothing", *"0123456789", *TASKS)
DELIMITER, SEPARATOR, DIVIDER, YES, NO, NOTHING, ZERO = (-1 - j for j in range(7))
FIRST_TASK = -1 - MARKERS.index("set")
SET, COPY, REVERSE, DELETE, SORT, UNION, INTERSECT, MINUS_2, MINUS_1 = range(9)
REPLACE, DUPLICATE, DEDUPLICATE, FIRST, LAST, LENGTH, COUNT, SEARCH, LONGEST_WORD = range(9, 18)


@njit
def answer(task, x, y, seen, out):
    """Write the answer to a task and return its length.

    Args:
        task: Which task, a place in `TASKS`.
        x: int64: the sequence that it works on, or the first of two.
        y: int64: the second sequence, the query, the key and its value, or the order; empty where there is none.
        seen: int64, one for each token of the row: scratch.
        out: int64: room for twice `x`, or for `x` and `y`.
    """
    used = 0
    if task <= REVERSE or task in (DUPLICATE, DEDUPLICATE):
        used = _of_one(task, x, seen, out)
    elif UNION <= task <= MINUS_1:
        used = _of_two_sets(task, x, y, seen, out)
    elif task == SORT:
        used = _sorted(x, y, seen, out)
    elif task in (DELETE, REPLACE):
        used = _edited(task, x, y, out)
    elif task == LONGEST_WORD:
        used = _longest_word(x, out)
    else:
        used = _fact(task, x, y, out)
    if used == 0:
        out[0] = NOTHING
    return max(used, 1)


@njit
def _of_one(task, x, seen, out):
    if task == SET:
        seen[:] = 0
        return _add_new(x, seen, 0, out, 0)
    used = 0
    for at in range(len(x)):
        token = x[len(x) - 1 - at] if task == REVERSE else x[at]
        if task == DEDUPLICATE and at > 0 and token == x[at - 1]:
            continue
        out[used] = token
        used += 1
        if task == DUPLICATE:
            out[used] = token
            used += 1
    return used


@njit
def _of_two_sets(task, x, y, seen, out):
    """Return unique tokens in the order of their first occurrence."""
    seen[:] = 0
    if task == UNION:
        return _add_new(y, seen, 0, out, _add_new(x, seen, 0, out, 0))
    kept, other = (y, x) if task == MINUS_1 else (x, y)
    wanted = 1 if task == INTERSECT else 0
    for token in other:
        seen[token] = 1
    return _add_new(kept, seen, wanted, out, 0)


@njit
def _add_new(x, seen, wanted, out, used):
    """Append the tokens whose mark is `wanted`, each once; return how many tokens `out` has then."""
    for token in x:
        if seen[token] == wanted:
            seen[token] = 2
            out[used] = token
            used += 1
    return used


@njit
def _sorted(x, order, seen, out):
    """Return x sorted as its tokens stand in `order`, by counting."""
    seen[:] = 0
    for token in x:
        seen[token] += 1
    used = 0
    for token in order:
        out[used : used + seen[token]] = token
        used += seen[token]
    return used


@njit
def _edited(task, x, y, out):
    """Return x without the first token that equals y[0], or with all of them replaced by y[1]."""
    used, deleted = 0, False
    for token in x:
        if task == DELETE and token == y[0] and not deleted:
            deleted = True
            continue
        out[used] = y[1] if task == REPLACE and token == y[0] else token
        used += 1
    return used


@njit
def _fact(task, x, y, out):
    """Return the first or last token, the length, how often a token occurs, or whether it does."""
    if task in (FIRST, LAST):
        out[0] = x[0] if task == FIRST else x[-1]
        return 1
    occurrences = 0
    if task != LENGTH:
        for token in x:
            occurrences += token == y[0]
    if task == SEARCH:
        out[0] = YES if occurrences > 0 else NO
        return 1
    return _digits(len(x) if task == LENGTH else occurrences, out)


@njit
def _digits(number, out):
    """Return the markers of a number's decimal digits, the first one first."""
    used, power = 0, 1
    while power * 10 <= number:
        power *= 10
    while power > 0:
        out[used] = ZERO - number // power % 10
        used += 1
        power //= 10
    return used


@njit
def _longest_word(x, out):
    """Return the first of the longest words; dividers stand between them."""
    best = best_length = start = 0
    for at in range(len(x) + 1):
        if at == len(x) or x[at] == DIVIDER:
            if at - start > best_length:
                best, best_length = start, at - start
            start = at + 1
    out[:best_length] = x[best : best + best_length]
    return best_length
