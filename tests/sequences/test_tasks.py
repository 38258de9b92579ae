"""The eighteen tasks: each answer is what plain Python makes of the question."""

from collections import Counter
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.sequences._task_answers import TASKS
from hubkit.sequences.base import Range
from hubkit.sequences.tasks import Task

from .drawn import assert_sequences_stand_alone, assert_well_formed, golden, sequences

Tokens = list[int | str]


def row_of(domain: Task, tokens: list[int]) -> tuple[str, Tokens, Tokens, Tokens]:
    """Return a row's task, its sequence, its argument and its answer; markers by their names."""
    named: Tokens = [token if token < domain.content else domain.markers[token - domain.content] for token in tokens]
    task, question, answer = str(named[0]), named[1 : named.index("delimiter")], named[named.index("delimiter") + 1 :]
    at = question.index("separator") if "separator" in question else len(question)
    return task, question[:at], question[at + 1 :], answer


def without_first(x: Tokens, query: Tokens) -> Tokens:
    at = x.index(query[0]) if query[0] in x else len(x)
    return x[:at] + x[at + 1 :]


def words(x: Tokens) -> list[Tokens]:
    return [list(word) for divider, word in groupby(x, lambda token: token == "divider") if not divider]


def unique(x: Tokens) -> Tokens:
    return list(dict.fromkeys(x))


DEFINITIONS = {
    "set": lambda x, _: unique(x),
    "copy": lambda x, _: x,
    "reverse": lambda x, _: x[::-1],
    "delete": without_first,
    "sort": lambda x, order: sorted(x, key=order.index),
    "union": lambda x, y: unique(x + y),
    "intersect": lambda x, y: [token for token in unique(x) if token in y],
    "set_1_minus_2": lambda x, y: [token for token in unique(x) if token not in y],
    "set_2_minus_1": lambda x, y: [token for token in unique(y) if token not in x],
    "replace": lambda x, pair: [pair[1] if token == pair[0] else token for token in x],
    "duplicate": lambda x, _: [token for token in x for _ in range(2)],
    "deduplicate": lambda x, _: [token for token, _ in groupby(x)],
    "first": lambda x, _: x[:1],
    "last": lambda x, _: x[-1:],
    "length": lambda x, _: list(str(len(x))),
    "count": lambda x, query: list(str(x.count(query[0]))),
    "search": lambda x, query: ["yes" if query[0] in x else "no"],
    "longest_word": lambda x, _: max(words(x), key=len),  # of several, Python takes the first
}
PAIRS = "union", "intersect", "set_1_minus_2", "set_2_minus_1"
ARGUMENTS = {"delete": 1, "count": 1, "search": 1, "replace": 2}


def check(domain: Task, tokens: list[int], start: int) -> str:
    """Hold a row to its definition, and return its task."""
    task, x, y, answer = row_of(domain, tokens)
    assert domain.task in (task, "mixed")
    assert answer == (DEFINITIONS[task](x, y) or ["nothing"])
    assert start == len(tokens) - len(answer)
    assert domain.length.min <= len(x) + len(y) * (task in PAIRS) <= domain.length.max
    if task == "sort":
        assert sorted(y) == sorted(set(x))
    elif task not in PAIRS:
        assert len(y) == ARGUMENTS.get(task, 0)
    else:
        assert min(len(x), len(y)) >= 1
    assert ("divider" in x) <= (task == "longest_word")
    return task


@pytest.mark.parametrize(
    ("domain", "rows"),
    [
        (Task(task="sort"), "9cf0f33a1ab0c3e1"),
        (Task(task="union"), "33363aaca6823542"),
        (Task(task="delete"), "8bbb3211dab565ca"),
        (Task(task="longest_word"), "335fffd4414bc68c"),
        (Task(), "fb845fc4ead91a49"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.task,
)
def test_the_rows_are_these_for_ever(domain, rows):
    assert golden(domain) == rows


def test_every_task_has_a_definition():
    assert tuple(DEFINITIONS) == TASKS
    assert len(TASKS) == 18
    assert Task.markers[-18:] == TASKS


@pytest.mark.parametrize("task", TASKS)
def test_answers_are_right(task):
    domain = Task(task=task)
    drawn = sequences(domain, 150)
    assert_well_formed(domain, drawn)
    assert {check(domain, drawn.sequence(i).tolist(), drawn.ranges(i)[0][0]) for i in range(150)} == {task}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([*TASKS, "mixed"]), st.integers(0, 2**63), st.data())
def test_answers_are_right_for_any_parameters(task, seed, data):
    least, width = data.draw(st.integers(2, 12)), data.draw(st.integers(0, 120))
    domain = Task(
        task=task, length=Range(min=least, max=least + width), alphabet=Range(min=1, max=data.draw(st.integers(1, 9))),
        repeat=data.draw(st.floats(0, 1)), word=data.draw(st.floats(1, 20)), vocabulary=10,
    )  # fmt: skip
    drawn = sequences(domain, 5, seed=seed)
    assert_well_formed(domain, drawn)
    for i in range(5):
        check(domain, drawn.sequence(i).tolist(), drawn.ranges(i)[0][0])


@pytest.mark.parametrize("task", [task for task in TASKS if task not in PAIRS])
def test_a_sequence_can_be_of_one_token(task):
    domain = Task(task=task, length=1, alphabet=1)
    drawn = sequences(domain, 30)
    for i in range(30):
        check(domain, drawn.sequence(i).tolist(), drawn.ranges(i)[0][0])


@pytest.mark.parametrize("task", ["copy", "sort", "union", "mixed"])
def test_sequences_stand_alone(task):
    assert_sequences_stand_alone(Task(task=task))


@pytest.mark.parametrize(
    ("task", "chances", "share"),
    [
        ("delete", {}, 0.75), ("count", {}, 0.75), ("search", {}, 0.5),
        ("delete", {"delete_present": 0}, 0), ("search", {"search_present": 1}, 1),
    ],
)  # fmt: skip
def test_a_query_occurs_as_often_as_it_is_asked_to(task, chances, share):
    domain = Task(task=task, length=Range(min=10, max=40), **chances)
    drawn = sequences(domain, 2000)
    rows = (row_of(domain, drawn.sequence(i).tolist()) for i in range(2000))
    present = sum(y[0] in x for _, x, y, _ in rows) / 2000
    assert abs(present - share) <= 5 * (share * (1 - share) / 2000) ** 0.5


def test_a_mixture_has_all_tasks_alike():
    drawn = sequences(Task(length=10), 3600)
    firsts = Counter(int(drawn.sequence(i)[0]) for i in range(3600))
    assert len(firsts) == 18
    assert all(abs(count - 200) < 75 for count in firsts.values())


def test_lengths_are_10_to_220_and_runs_and_words_as_long_as_asked():
    domain = Task(task="deduplicate", repeat=0.75)
    drawn = sequences(domain, 2000)
    rows = [row_of(domain, drawn.sequence(i).tolist()) for i in range(2000)]
    lengths = [len(x) for _, x, _, _ in rows]
    assert (min(lengths), max(lengths)) == (10, 220)
    assert 3.6 < sum(lengths) / sum(len(answer) for *_, answer in rows) < 4.4  # a run goes on with 0.75: 4 on average
    domain = Task(task="longest_word", word=8)
    drawn = sequences(domain, 500)
    sizes = [len(word) for i in range(500) for word in words(row_of(domain, drawn.sequence(i).tolist())[1])]
    assert 7 < sum(sizes) / len(sizes) < 10


def test_of_two_sets_some_is_shared_and_some_is_not():
    for task in PAIRS:
        domain = Task(task=task, length=200, alphabet=30)
        drawn = sequences(domain, 100)
        answers = [row_of(domain, drawn.sequence(i).tolist())[3] for i in range(100)]
        assert sum(answer != ["nothing"] for answer in answers) > 90


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"vocabulary": 60}, "alphabet: a row of 60 different tokens.*a vocabulary of 60; lower alphabet.max or raise"),
        ({"task": "union", "length": 1}, "length: min=1 is too short for the two sequences of task=union; set it to 2"),
        ({"length": 1}, "length: min=1 is too short.*task=mixed"),
        ({"search_present": 2}, "search_present: .*less than or equal to 1"),
        ({"task": "think"}, "task: "),
    ],
)
def test_what_is_impossible_is_refused_by_name(values, message):
    with pytest.raises(UserError, match=message):
        Task.build(values)
