"""Rules, cases and results: that the third follows from the two others, by putting in and nothing else."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.sequences.base import Range
from hubkit.sequences.lime import TASKS, Lime

from .drawn import assert_sequences_stand_alone, assert_well_formed, golden, sequences

SHAPES = {
    "deduct": ("rule", "case", "result"),
    "abduct": ("rule", "result", "case"),
    "induct": ("result", "case", "rule"),
}
Part = tuple[str, list[int]]


def parts_of(domain: Lime, tokens: list[int]) -> list[Part]:
    """Return a row's parts by their markers; each entry of a case is one, without `maps`."""
    parts: list[Part] = []
    for token in tokens:
        marker = domain.markers[token - domain.content] if token >= domain.content else None
        if marker == "maps":
            assert parts[-1][0] == "case"
            assert len(parts[-1][1]) == 1
        elif marker:
            parts.append((marker, []))
        else:
            parts[-1][1].append(token)
    return parts


def case_of(parts: list[Part]) -> dict[int, list[int]]:
    """Return what stands for each rule symbol."""
    case = {content[0]: content[1:] for marker, content in parts if marker == "case"}
    assert len(case) == sum(marker == "case" for marker, _ in parts)
    return case


def put_in(pattern: list[int], case: dict[int, list[int]]) -> list[int]:
    return [token for symbol in pattern for token in case.get(symbol, [symbol])]


def check_pattern(domain: Lime, pattern: list[int], case: dict[int, list[int]]) -> None:
    letters = [symbol for symbol in pattern if symbol in case]
    assert len(case) <= domain.symbols.max
    assert domain.symbols.min <= len(letters) / domain.occurrences <= domain.symbols.max
    assert domain.operators.min <= len(pattern) - len(letters) <= domain.operators.max


def check_row(domain: Lime, tokens: list[int], start: int) -> str:
    """Hold a row to its definition, and return its task."""
    parts = parts_of(domain, tokens)
    markers = tuple(dict.fromkeys(marker for marker, _ in parts))
    if markers not in SHAPES.values():
        return check_rewriting(domain, parts, tokens, start)
    case, (pattern,), (result,) = (
        case_of(parts),
        [content for marker, content in parts if marker == "rule"],
        [content for marker, content in parts if marker == "result"],
    )
    check_pattern(domain, pattern, case)
    assert list(case) == list(dict.fromkeys(symbol for symbol in pattern if symbol in case))
    assert result == put_in(pattern, case)
    assert {domain.substitution.min <= len(string) <= domain.substitution.max for string in case.values()} == {True}
    assert not set(case) & {token for string in case.values() for token in string}
    (task,) = (task for task, shape in SHAPES.items() if shape == markers)
    assert start == tokens.index(domain.content + domain.markers.index(markers[-1])) + 1
    return task


def check_rewriting(domain: Lime, parts: list[Part], tokens: list[int], start: int) -> str:
    patterns = [content for marker, content in parts if marker in ("rule", "to")]
    strings = [content for marker, content in parts if marker in ("string", "result")]
    steps = len(patterns) - 1
    assert [marker for marker, _ in parts] == ["rule", *["to"] * steps, "string", *["result"] * steps]
    assert 1 <= steps <= domain.steps.max
    assert matches(patterns, strings)
    assert start == tokens.index(domain.content + domain.markers.index("result")) + 1
    return "rewrite" if steps == 1 else "multistep"


def matches(patterns: list[list[int]], strings: list[list[int]], bound: dict[int, list[int]] | None = None) -> bool:
    """Say whether some case turns all patterns into their strings, by trying every one (symbols stand for 2 or 3)."""
    bound = bound or {}
    for pattern, string in zip(patterns, strings, strict=True):
        at = 0
        for symbol in pattern:
            if symbol in bound:
                if string[at : at + len(bound[symbol])] != bound[symbol]:
                    return False
                at += len(bound[symbol])
            elif string[at : at + 1] == [symbol]:  # an operator; rule symbols never occur in strings
                at += 1
            else:
                tries = ({**bound, symbol: string[at : at + length]} for length in (2, 3))
                return any(matches(patterns, strings, case) for case in tries)
        if at != len(string):
            return False
    return True


@pytest.mark.parametrize(
    ("domain", "rows"),
    [
        (Lime(task="deduct"), "0abbc3dcd22a6089"),
        (Lime(task="abduct"), "b1a69d9672306b12"),
        (Lime(task="induct"), "9de0ef0390ad3bdf"),
        (Lime(task="rewrite"), "f006e59ad8faa489"),
        (Lime(task="multistep"), "4e066761125fd896"),
        (Lime(), "b8945817eb07cc47"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.task,
)
def test_the_rows_are_these_for_ever(domain, rows):
    assert golden(domain) == rows


@pytest.mark.parametrize("task", [*TASKS, "mixed"])
def test_sequences_stand_alone(task):
    assert_sequences_stand_alone(Lime(task=task))


@pytest.mark.parametrize("task", ["deduct", "abduct", "induct"])
def test_the_third_follows_from_the_others(task):
    domain = Lime(task=task)
    drawn = sequences(domain, 100)
    assert_well_formed(domain, drawn)
    for i in range(100):
        assert check_row(domain, drawn.sequence(i).tolist(), drawn.ranges(i)[0][0]) == task


@settings(max_examples=60, deadline=None)
@given(st.sampled_from([*TASKS, "mixed"]), st.integers(0, 2**63), st.data())
def test_any_parameters_give_what_they_say(task, seed, data):
    def span(least: int, most: int) -> Range:
        ends = sorted((data.draw(st.integers(least, most)), data.draw(st.integers(least, most))))
        return Range(min=ends[0], max=ends[1])

    domain = Lime(
        task=task, symbols=span(1, 4), occurrences=data.draw(st.integers(1, 3)), operators=span(0, 6),
        substitution=span(2, 3), steps=span(1, 4), upper=4, vocabulary=60,
    )  # fmt: skip
    drawn = sequences(domain, 3, seed=seed)
    assert_well_formed(domain, drawn)
    for i in range(3):
        found = check_row(domain, drawn.sequence(i).tolist(), drawn.ranges(i)[0][0])
        assert task in (found, "mixed") or (task, found) == ("multistep", "rewrite")


def test_a_mixture_has_all_tasks_alike():
    domain = Lime(steps=2, substitution=Range(min=2, max=3))
    drawn = sequences(domain, 1000)
    found = Counter(check_row(domain, drawn.sequence(i).tolist(), drawn.ranges(i)[0][0]) for i in range(1000))
    assert set(found) == set(TASKS)
    assert all(abs(count - 200) < 75 for count in found.values())


def test_the_numbers_are_those_of_the_paper():
    """3 to 5 symbols, twice each; 5 to 19 operators; 2 to 8 tokens for each symbol: all of them occur."""
    domain = Lime(task="deduct")
    drawn = sequences(domain, 1500)
    operators, substitutions, symbols = Counter(), Counter(), Counter()
    for i in range(1500):
        parts = parts_of(domain, drawn.sequence(i).tolist())
        case, pattern = case_of(parts), parts[0][1]
        letters = sum(symbol in case for symbol in pattern)
        symbols[letters] += 1
        operators[len(pattern) - letters] += 1
        substitutions.update(len(string) for string in case.values())
    assert sorted(symbols) == [6, 8, 10]
    assert sorted(operators) == list(range(5, 20))
    assert sorted(substitutions) == list(range(2, 9))
    assert domain.upper + domain.lower + domain.math == 68


def test_ids_have_no_meaning():
    """Any id of the vocabulary can be a rule symbol."""
    domain = Lime(task="deduct", vocabulary=80)
    drawn = sequences(domain, 1000)
    symbols = Counter(symbol for i in range(1000) for symbol in case_of(parts_of(domain, drawn.sequence(i).tolist())))
    assert set(symbols) == set(range(80))
    expected = symbols.total() / 80
    assert max(abs(count - expected) for count in symbols.values()) < 6 * np.sqrt(expected)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocabulary": 67}, "vocabulary: an example takes 68 different tokens.*of 67; raise vocabulary.size"),
        ({"symbols": 25}, "symbols: 25 different rule symbols can't be drawn from upper=24"),
        ({"substitution": 2**20}, "substitution: an example could have .* tokens.*lower symbols"),
        ({"steps": 0}, "steps: min: 0 allows"),
        ({"task": "guess"}, "task: "),
    ],
)
def test_what_is_impossible_is_refused_by_name(values, message):
    with pytest.raises(UserError, match=message):
        Lime.build(values)
