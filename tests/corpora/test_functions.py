"""Rows of plain functions: what they depend on, what is refused, and which row a message names."""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from hubkit.corpora.build import build
from hubkit.corpora.function_text import function_text
from hubkit.corpora.functions import FunctionRecord, FunctionRows, FunctionSpec, arity, family_of
from hubkit.corpora.manifest import Manifest
from hubkit.corpora.registry import Corpus
from hubkit.corpora.verify import verify
from hubkit.errors import UserError

SIDES = 6


def dice(index, random, spec):
    rolls = random.integers(1, SIDES + 1, size=spec["rolls"])
    return {"index": index, "rolls": rolls, "sum": int(rolls.sum())}


def walk(split, random, spec):
    place = 0.0
    for step in range(spec["steps"]):
        place += random.normal()
        yield {"split": split, "step": step, "place": place}


def made(function: Callable[..., Any], splits: dict[str, int | None], spec: Any = None, **more: Any) -> FunctionRows:
    """Return the builder of a function."""
    schema = more.pop("schema", None)
    record = FunctionRecord(name="f", sha256=None, yields=more.pop("yields", False))
    values = {"function": record.model_dump(), "spec": spec, "splits": splits, **more}
    recorded = FunctionSpec.build(values, origin="test")
    return family_of(function, recorded, spec, schema)(recorded)


def built(folder: Path, builder: FunctionRows) -> Manifest:
    return build(Corpus(builder, "function"), folder, workers=1)


def refused(function: Callable[..., Any], rows: int = 2000, **more: Any) -> str:
    with pytest.raises(UserError) as error:
        builder = made(function, {"train": rows}, **more)
        for _ in builder.blocks("train", 0, rows):
            pass
    return str(error.value)


def test_rows_depend_on_seed_split_and_place_and_on_nothing_else(tmp_path):
    spec = {"rolls": 3}
    small = built(tmp_path / "small", made(dice, {"train": 1024}, spec)).splits["train"]
    large = built(tmp_path / "large", made(dice, {"train": 3000, "test": 1024}, spec))
    reseeded = built(tmp_path / "seed", made(dice, {"train": 1024}, spec, seed=1)).splits["train"]
    first, *_ = made(dice, {"train": 3000}, spec).blocks("train", 0, 3000)
    assert first.rows.slice(0, 1).to_pylist() == [{"index": 0, "rolls": [5, 2, 2], "sum": 9}]
    [again] = made(dice, {"train": 1024}, spec).blocks("train", 0, 1024)
    assert first.rows.equals(again.rows)
    hashes = {small.rows_sha256, large.splits["test"].rows_sha256, reseeded.rows_sha256}
    assert len(hashes) == 3
    assert large.splits["train"].statistics["rolls"].items is not None


def test_yielded_rows_go_through_the_same_engine_in_constant_memory(tmp_path):
    manifest = built(tmp_path / "all", made(walk, {"train": None, "test": 50}, {"steps": 3000}, yields=True))
    assert {split: record.rows for split, record in manifest.splits.items()} == {"train": 3000, "test": 50}
    short = built(tmp_path / "short", made(walk, {"train": 50, "test": 50}, {"steps": 3000}, yields=True))
    assert short.splits["test"].rows_sha256 == manifest.splits["test"].rows_sha256
    assert "asked for" in refused_build(tmp_path / "few", made(walk, {"train": 9}, {"steps": 3}, yields=True))


def refused_build(folder: Path, builder: FunctionRows) -> str:
    with pytest.raises(UserError) as error:
        built(folder, builder)
    return str(error.value)


def test_none_draws_again_and_is_counted(tmp_path):
    def even(index, random):
        value = int(random.integers(100))
        return {"value": value} if value % 2 == 0 else None

    split = built(tmp_path / "even", made(even, {"train": 500})).splits["train"]
    assert 350 < split.rejected < 700


def test_a_function_verifies_what_it_made(tmp_path):
    spec = {"rolls": 1}
    builder = made(dice, {"train": 1500, "test": 10}, spec)
    built(tmp_path / "corpus", builder)
    assert [f.verdict for f in verify(tmp_path / "corpus", None, family=type(builder))] == ["regenerated"] * 2
    other = made(lambda i: {"index": i, "rolls": [1], "sum": 1}, {"train": 1500, "test": 10}, spec)
    findings = verify(tmp_path / "corpus", None, family=type(other))
    assert {f.verdict for f in findings} == {"wrong"}
    assert "row 0 of train differs in rolls" in findings[0].reason
    unknown = verify(tmp_path / "corpus", None)
    assert {(f.verdict, f.reason) for f in unknown} == {
        ("intact", "no builder 'function' is installed here; hubkit.verify_rows takes the function")
    }


_COUNT = itertools.count()


@pytest.mark.parametrize(
    ("function", "said"),
    [
        (lambda i: {"x": random.random()}, "row 0 of train is not the same when it is drawn twice: {'x': 0."),
        (lambda i: {"x": next(_COUNT)}, "row 0 of train is not the same when it is drawn twice"),
        (lambda i, r: {"x": np.random.rand()}, "is not the same when it is drawn twice"),
        (lambda i: {"x": 1 / (i - 1700)}, "row 1700 of train: the function raised ZeroDivisionError: division by zero"),
        (lambda i: {"x": i if i != 1777 else "no"}, "row 1777 of train: column 'x' is 'no', and it is int64"),
        (lambda i: {"x": i} if i != 1777 else {"y": 1}, "row 1777 of train has the columns y, and the first"),
        (lambda i: {"x": 2**i}, "column 'x' has no one type"),
        (lambda i: [1], r"row 0 of train is [1]: return a dict"),
        (lambda i: {}, "row 0 of train is {}: return a dict"),
        (lambda i: {1: 2}, "row 0 of train is {1: 2}: return a dict"),
        (lambda i: {"x": None}, "column 'x' is None in the first 32 rows: give schema="),
        (lambda i: {"x": [1, "a"]}, "column 'x' has no one type"),
        (lambda i: None, "row 0 of train: the function returned None 1000 times"),
        (lambda a, b, c, d: {}, "wants a, b, c, d, and it is given (index, random, spec)"),
        (lambda i, *, mood: {}, "wants i, mood"),
    ],
)  # fmt: skip
def test_what_a_function_does_wrong_is_said_with_its_row(function, said):
    assert said in refused(function)


def test_a_function_s_own_lines_are_shown_and_not_hubkit_s():
    found = refused(lambda i: {"x": [][i]})
    assert "test_functions.py" in found
    assert "hubkit/corpora" not in found


def test_ctrl_c_is_not_taken_for_a_failure():
    def stop(index):
        if index == 1003:
            raise KeyboardInterrupt
        return {"x": 1}

    builder = made(stop, {"train": 2000})
    with pytest.raises(KeyboardInterrupt):
        list(builder.blocks("train", 0, 2000))


def test_a_schema_says_what_the_first_rows_can_t(tmp_path):
    schema = pa.schema([("x", pa.int32()), ("y", pa.string())])
    builder = made(lambda i: {"x": np.int64(i), "y": None}, {"train": 10}, schema=schema)
    [block] = builder.blocks("train", 0, 10)
    assert block.rows.schema == schema


@pytest.mark.parametrize(
    ("function", "count"),
    [
        (dice, 3),
        (walk, 3),
        (lambda: 0, 0),
        (lambda i, r=None: 0, 2),
        (lambda *a: 0, 3),
        (partial(dice, 1), 2),
        (max, None),
    ],
)
def test_as_many_arguments_are_given_as_are_wanted(function, count):
    if count is None:
        with pytest.raises(UserError, match="is no Python function"):
            arity(function)
    else:
        assert arity(function) == count


# --- the text


@dataclass
class Point:
    x: int


def helper(value: int) -> int:
    return value * SIDES


def outer(size: int) -> Callable[[int], dict[str, Any]]:
    factor, secret = 3, Path()

    def inner(index: int) -> dict[str, Any]:
        points = [Point(helper(i)) for i in range(size)]
        return {"x": np.sum([p.x for p in points]) * factor, "where": secret, "chain": itertools.chain}

    return inner


def test_the_text_has_what_the_function_uses_from_around_it():
    text = function_text(outer(4))
    assert text is not None
    assert text.startswith("import itertools\nimport numpy as np\n")
    for line in ("size = 4\n", "factor = 3\n", "SIDES = 6\n", "class Point:\n", "def helper(value: int) -> int:\n",
                 "# secret: a PosixPath, which is not written down here\n", "def inner(index: int)"):  # fmt: skip
        assert line in text
    assert text == function_text(outer(4))
    assert text != function_text(outer(5))
    assert text.index("def helper") < text.index("def inner")
    compile(text.replace("# secret", "secret = None  #"), "function.py", "exec")


def test_what_python_can_t_say_has_no_text():
    space: dict[str, Any] = {}
    exec("def typed(index):\n    return {'x': index}", space)
    assert function_text(space["typed"]) is None
    assert function_text(partial(dice, 1)) is None


def test_functions_that_call_each_other_end():
    def even(index: int) -> bool:
        return index == 0 or odd(index - 1)

    def odd(index: int) -> bool:
        return index != 0 and even(index - 1)

    text = function_text(even)
    assert text is not None
    assert (text.count("def even"), text.count("def odd")) == (1, 1)


def test_generators_are_drawn_twice_too():
    def leaky(split: str) -> Iterator[dict[str, int]]:
        yield {"x": next(_COUNT)}

    with pytest.raises(UserError, match="row 0 of train is not the same when it is drawn twice"):
        made(leaky, {"train": None}, yields=True)
