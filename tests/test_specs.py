"""Specs: one canonical JSON, one identity, and refusals that name the field and what is known there."""

import hashlib
import json
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field, ValidationError, model_validator

from hubkit.errors import UserError
from hubkit.specs import Spec, apply_overrides, canonical_json, read_mapping, read_yaml

GOLDEN_JSON = (
    '{"anything":null,"by_name":{"a":{"rate":0.5,"size":9},"z":{"rate":0.5,"size":3}},"either":{"rate":0.5,"size":3},'
    '"inner":{"rate":0.001,"size":3},"maybe":null,"name":"walk","pair":[{"rate":0.5,"size":3},{"depth":1,'
    '"kind":"other"}],"several":[]}'
)
GOLDEN_SHA256 = "caf9ec167f7c99957b1623f60361cc227a64d6d24be3758832669d7e6d88ec67"


class Inner(Spec):
    size: Annotated[int, Field(gt=0)] = 3
    rate: float = 0.5


class Other(Spec):
    kind: Literal["other"] = "other"
    depth: int = 1


class Disc(Spec):
    shape: Literal["disc"] = "disc"
    radius: float = 1.0


class Box(Spec):
    shape: Literal["box"] = "box"
    width: float = 1.0


def thousands(value: Any) -> Any:
    if isinstance(value, str) and not value.endswith("K"):
        raise ValueError(f"{value!r} is no amount; write 3K")
    return value


Amount = Annotated[int, BeforeValidator(thousands), Field(gt=0)]


class Picture(Spec):
    shapes: Annotated[tuple[Annotated[Disc | Box, Field(discriminator="shape")], ...], Field(min_length=1)] = (Disc(),)
    amount: Amount | Annotated[dict[Annotated[str, Field(pattern="^[a-z]$")], Amount], Field(min_length=1)] = 1


class Outer(Spec):
    name: str
    inner: Inner = Inner()
    maybe: Inner | None = None
    pair: tuple[Inner, Other] = (Inner(), Other())
    several: list[Annotated[Inner, Field(description="one of several")]] = Field(default=[])
    by_name: dict[str, Inner] = Field(default={})
    either: Inner | Other = Inner()
    anything: Any = None

    @model_validator(mode="after")
    def _not_both(self):
        if self.maybe and self.several:
            raise ValueError("maybe and several exclude each other; leave one of them out")
        return self


# --- identity --------------------------------------------------------------------------------------------------------


def test_canonical_json_is_sorted_complete_and_without_white_space():
    spec = Inner(rate=2)
    assert spec.canonical_json() == '{"rate":2.0,"size":3}'
    assert canonical_json({"b": [1, None, True], "a": "é→"}) == '{"a":"é→","b":[1,null,true]}'


def test_identity_is_the_sha256_of_the_canonical_json_and_stays():
    spec = Outer.build({"name": "walk", "inner": {"rate": 1e-3}, "by_name": {"z": {}, "a": {"size": 9}}})
    assert spec.canonical_json() == GOLDEN_JSON
    assert spec.sha256 == hashlib.sha256(GOLDEN_JSON.encode()).hexdigest() == GOLDEN_SHA256


def test_identity_does_not_depend_on_how_the_same_was_written():
    spec = Outer.build({"name": "walk", "inner": {"rate": 1, "size": 3}})
    again = Outer.build({"inner": {"size": 3, "rate": 1.0}, "name": "walk", "maybe": None})
    assert (spec.sha256, spec) == (again.sha256, again)
    assert spec.sha256 == Outer.build(json.loads(spec.canonical_json())).sha256


def test_identity_changes_with_every_field():
    base = Outer(name="walk").sha256
    changes = ["name=run", "inner.size=4", "inner.rate=0.25", "maybe={}", "several=[{}]", "by_name.a={}", "anything=0"]
    changes.append("either={kind: other}")
    assert len({base, *(Outer.build({"name": "walk"}, [change]).sha256 for change in changes)}) == len(changes) + 1


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@given(PLAIN)
def test_canonical_json_says_the_whole_value_and_one_value_one_text(value):
    text = canonical_json(value)
    assert json.loads(text) == value
    assert canonical_json(json.loads(text)) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number_has_no_canonical_form(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([value])
    with pytest.raises(UserError, match=r"^spec: inner\.rate: .*finite number"):
        Outer.build({"name": "walk", "inner": {"rate": value}})
    with pytest.raises(ValueError, match="not JSON compliant"):
        assert Outer(name="walk", anything=value).sha256, "in a field of any type it must not turn into null"


def test_specs_are_frozen():
    spec = Inner()
    with pytest.raises(ValidationError, match="frozen"):
        spec.size = 4  # pyright: ignore[reportAttributeAccessIssue]
    assert spec.size == 3


# --- overrides -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("-2.5", -2.5),
        ("1e-3", 0.001),
        ("1E5", 100_000.0),
        ("-2e+3", -2000.0),
        ("1.5e-3", 0.0015),
        ("1_000", 1000),
        ("true", True),
        ("null", None),
        ("", None),
        ("walk", "walk"),
        ("'3'", "3"),
        ("'1e-3'", "1e-3"),
        ("e3", "e3"),
        ("1e", "1e"),
        ("[1, 2e1, x]", [1, 20.0, "x"]),
        ("{a: 1, b: {c: 2}}", {"a": 1, "b": {"c": 2}}),
        ("a=b", "a=b"),
    ],
)
def test_the_right_hand_side_is_typed_as_yaml(text, value):
    (result,) = apply_overrides({}, [f"field={text}"]).values()
    assert result == value
    assert type(result) is type(value)


def test_overrides_reach_into_groups_make_missing_ones_and_leave_the_original_alone():
    values = {"a": {"b": 1, "c": 2}, "none": None}
    changed = apply_overrides(values, ["a.b=5", "new.deep.er=1", "none.x=2", " a.c =7", "a.c=8"])
    assert changed == {"a": {"b": 5, "c": 8}, "new": {"deep": {"er": 1}}, "none": {"x": 2}}
    assert values == {"a": {"b": 1, "c": 2}, "none": None}


@pytest.mark.parametrize("assignment", ["size", "=3", "a..b=3", ".a=3", "", "a.=3"])
def test_an_override_needs_a_key(assignment):
    with pytest.raises(UserError, match=r"is not of the form key=value"):
        apply_overrides({}, [assignment])


def test_an_override_can_not_go_through_a_value():
    with pytest.raises(UserError, match=r"'name\.x=3': 'name' is a value, not a group"):
        apply_overrides({"name": "walk"}, ["name.x=3"])


@pytest.mark.parametrize("text", ["[1", "a: b: c", "2024-13-45", "\x00", "!!python/name:os.system"])
def test_an_override_that_is_not_yaml_is_refused(text):
    with pytest.raises(UserError, match="the value is not valid YAML"):
        apply_overrides({}, [f"x={text}"])


@pytest.mark.parametrize(
    ("text", "key"), [("{steps: 1, steps: 2}", "steps"), ("{a: {b: 1}, c: [{d: 1, e: 2, 'd': 3}]}", "d")]
)
def test_a_key_that_stands_twice_in_an_override_is_named(text, key):
    with pytest.raises(UserError) as refusal:
        apply_overrides({}, [f"training={text}"])
    assignment = repr(f"training={text}")
    assert str(refusal.value) == f"override {assignment}: the key {key!r} stands twice; leave one of them out"


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("sise=3", r"sise is not a field \(known: anything, by_name, either, inner, maybe, name, pair, several\)"),
        ("inner.sise=3", r"inner\.sise is not a field \(known: rate, size\)"),
        ("maybe.sise=3", r"maybe\.sise is not a field \(known: rate, size\)"),
        ("several=[{size: 1}, {sise: 3}]", r"several\.1\.sise is not a field \(known: rate, size\)"),
        ("by_name.big.sise=3", r"by_name\.big\.sise is not a field \(known: rate, size\)"),
        ("pair=[{}, {dept: 3}]", r"pair\.1\.dept is not a field \(known: depth, kind\)"),
        ("either.dept=3", r"either\.dept is not a field \(known: depth, kind, rate, size\)$"),
        ("inner.size=0", r"inner\.size: .*greater than 0 \(got 0\)"),
        ("inner.size=big", r"inner\.size: .*valid integer.* \(got 'big'\)"),
        ("inner=3", r"inner: a group of fields is needed \(known: rate, size\) \(got 3\)$"),
        ("name=null", r"name: .*valid string \(got None\)"),
        ("name=[" + "1, " * 100 + "1]", r"name: .*\(got \[1, 1, .*…\)$"),
    ],
)
def test_refusals_name_field_value_and_mend(override, message):
    with pytest.raises(UserError, match="^my.yaml: " + message) as refusal:
        Outer.build({"name": "walk"}, [override], origin="my.yaml")
    assert len(str(refusal.value)) < 400


@pytest.mark.parametrize(
    ("override", "message"),
    [
        # Of a union whose members say which they are, only the fields of the one that was meant.
        ("shapes=[{shape: disc}, {shape: box, widht: 3}]", r"shapes\.1\.widht is not a field \(known: shape, width\)$"),
        ("shapes=[{shape: disc, radius: big}]", r"shapes\.0\.radius: .*valid number.* \(got 'big'\)$"),
        ("shapes=[{shape: bow}]", r"shapes\.0\.shape: 'bow' is unknown \(known: disc, box\)$"),
        ("shapes=[{width: 3}]", r"shapes\.0\.shape is missing \(known: disc, box\)$"),
        # Of a union of plain types, the one complaint that says what is wrong.
        ("amount=3X", r"amount: '3X' is no amount; write 3K \(got '3X'\)$"),
        ("amount={a: 3X}", r"amount\.a: '3X' is no amount; write 3K \(got '3X'\)$"),
        ("amount={}", r"amount: Dictionary should have at least 1 item after validation, not 0$"),
        ("amount={A: 1}", r"amount\.A: String should match pattern '\^\[a-z\]\$' \(got 'A'\)$"),
        ("shapes=disc", r"shapes: a list is needed, such as \[a, b\] \(got 'disc'\)$"),
        ("shapes=[]", r"shapes: Tuple should have at least 1 item .*$"),
    ],
)
def test_of_a_union_only_what_helps_is_told(override, message):
    with pytest.raises(UserError, match="^my.yaml: " + message):
        Picture.build({}, [override], origin="my.yaml")


def test_fields_that_there_are_are_told_once():
    with pytest.raises(UserError) as refused:
        Outer.build({"name": "a", "x": 1, "y": 2, "inner": {"z": 3, "size": 4}})
    fields = "(known: anything, by_name, either, inner, maybe, name, pair, several)"
    assert str(refused.value) == (
        f"spec: inner.z is not a field (known: rate, size); x is not a field {fields}; y is not a field"
    )


def test_all_problems_are_told_at_once_and_a_missing_field_is_missing():
    with pytest.raises(UserError, match=r"^spec: name is missing; inner\.size: .*; zzz is not a field"):
        Outer.build({"inner": {"size": -1}, "zzz": 1})


def test_a_rule_over_several_fields_speaks_for_itself():
    with pytest.raises(UserError) as refusal:
        Outer.build({"name": "walk", "maybe": {}, "several": [{}]})
    assert str(refusal.value) == "spec: maybe and several exclude each other; leave one of them out"


# --- files -----------------------------------------------------------------------------------------------------------


def test_a_file_is_read_as_yaml_or_json(tmp_path):
    (tmp_path / "a.yaml").write_text("\ufeffname: walk  # a comment\ninner: {rate: 1e-3}\n", encoding="utf-8")
    (tmp_path / "b.json").write_text('{"name": "walk", "inner": {"rate": 1E-3}}')
    first, second = (Outer.build(read_mapping(tmp_path / name)) for name in ("a.yaml", "b.json"))
    assert first == second
    assert first.inner.rate == 0.001


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- 1\n- 2\n", "holds a list; a mapping"),
        (b"", "holds a NoneType; a mapping"),
        (b"a: [1", r"is not valid YAML: .*line 1"),
        (b"a: 1\nb: 2\na: 3\n", r"\.yaml: the key 'a' stands twice in one mapping \(line 3\); leave one of them"),
        (b"x:\n  a: 1\n  a: 3\n", r"the key 'a' stands twice in one mapping \(line 3\)"),
        (b"a: \xff\xfe", "is not valid YAML"),
        (b"a: " + b"[" * 5000, "is not valid YAML"),
    ],
)
def test_a_file_that_holds_no_mapping_is_refused_in_one_line(tmp_path, content, message):
    path = tmp_path / "spec.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as refusal:
        read_mapping(path)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(UserError, match=r"can't read .*nowhere\.yaml: No such file"):
        read_mapping(tmp_path / "nowhere.yaml")


def test_yaml_merge_keys_still_work():
    assert read_yaml("base: &b {a: 1, c: 2}\nmore: {<<: *b, a: 3}")["more"] == {"a": 3, "c": 2}
