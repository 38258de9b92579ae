"""What makes a sequence right, in plain Python: an independent definition of each domain."""

from itertools import groupby


def parts(domain, tokens):
    """Split a sequence at its structural tokens; refuse ids that are neither those nor content."""
    assert all(0 <= token < domain.content + len(domain.markers) for token in tokens)
    found = [[]]
    for token in tokens:
        if token >= domain.content:
            found.append([])
        else:
            found[-1].append(token)
    return found


def answer_only(tokens, answer, ranges):
    """The last part, and nothing else, is learnt."""
    assert ranges == [(len(tokens) - len(answer), len(tokens))]


def drawn(domain, x):
    """A sequence from the vocabulary, of a length in the range."""
    assert domain.length.min <= len(x) <= domain.length.max
    assert all(token < domain.vocabulary.size for token in x)
    assert domain.replacement or len(set(x)) == len(x)


def identity(domain, tokens, ranges):
    x, y = parts(domain, tokens)
    drawn(domain, x)
    assert y == (x[::-1] if domain.reverse else x)
    answer_only(tokens, y, ranges)


def duplicate(domain, tokens, ranges):
    x, y = parts(domain, tokens)
    drawn(domain, x)
    times, rest = divmod(len(y), len(x))
    assert rest == 0 and domain.num_duplicate.min <= times <= domain.num_duplicate.max
    assert y == [token for token in x for _ in range(times)]
    answer_only(tokens, y, ranges)


def deduplicate(domain, tokens, ranges):
    y, x = parts(domain, tokens)
    runs = [(token, len(list(group))) for token, group in groupby(y)]
    assert [token for token, _ in runs] == x
    assert domain.length.min <= len(x) <= domain.length.max
    wanted = int(len(x) * domain.unique_token_ratio + 0.5)
    assert len(set(x)) == min(len(x), max(2, wanted))
    times = domain.repeat_token_times
    repeated = int(len(x) * domain.repeat_token_ratio + 0.5)
    if times.min > 1:
        assert sum(count > 1 for _, count in runs) == repeated
    assert all(count == 1 or times.min <= count <= times.max for _, count in runs)
    answer_only(tokens, x, ranges)


def delete(domain, tokens, ranges):
    s, q, r = parts(domain, tokens)
    assert domain.length.min <= len(s) <= domain.length.max and len(set(s)) == len(s)
    assert domain.seq_to_delete_length.min <= len(q) <= domain.seq_to_delete_length.max and len(set(q)) == len(q)
    inside = set(q) <= set(s)
    assert inside or not set(q) & set(s)
    assert inside or domain.should_delete_ratio < 1
    assert not inside or domain.should_delete_ratio > 0
    assert r == [token for token in s if token not in q]
    if inside and domain.choose == "slice":
        assert q == s[s.index(q[0]) :][: len(q)]
    answer_only(tokens, r, ranges)


def sort_numbers(domain, tokens, ranges):
    x, y = parts(domain, tokens)
    assert domain.length.min <= len(x) <= domain.length.max
    assert domain.replacement or len(set(x)) == len(x)
    assert y == sorted(x, reverse=domain.descending)
    answer_only(tokens, y, ranges)


def sort_by_sequence(domain, tokens, ranges):
    x, order, y = parts(domain, tokens)
    assert domain.length.min <= len(x) <= domain.length.max
    assert domain.order_length.min <= len(order) <= domain.order_length.max and len(set(order)) == len(order)
    assert y == sorted(x, key=order.index)
    answer_only(tokens, y, ranges)


def find_array_element(domain, tokens, ranges):
    x, (asked,), (found,) = parts(domain, tokens)
    drawn(domain, x)
    if domain.find == "element":
        assert found == x[asked - domain.vocabulary.size]
    else:
        assert found - domain.vocabulary.size == x.index(asked)
    answer_only(tokens, [found], ranges)


def ngram(domain, tokens, ranges):
    (x,) = parts(domain, tokens)
    assert domain.length.min <= len(x) <= domain.length.max
    assert ranges == [(0, len(x))]
