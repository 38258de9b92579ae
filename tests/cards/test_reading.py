"""A card is taken apart without losing a line, whatever stands in it."""

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.cards.card import Card
from hubkit.cards.checking import check_card
from hubkit.cards.front_matter import read_front_matter
from hubkit.cards.markdown import read_markdown

from .test_rules import Named

keys = st.text("abcdefgh", min_size=1, max_size=6)
values = st.recursive(
    st.integers(0, 99) | st.text("xyz", min_size=1, max_size=4),
    lambda inner: st.lists(inner, min_size=1, max_size=3) | st.dictionaries(keys, inner, min_size=1, max_size=3),
    max_leaves=8,
)
awkward = st.text(st.sampled_from("-\n\r\t :#[]{}<>!`'\"&*|%@xé(/)0123~_="), max_size=60)


def leaves(value, path=()):
    """Yield the path of everything in a value."""
    entries = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in entries:
        yield (*path, key), item
        yield from leaves(item, (*path, key))


@given(st.dictionaries(keys, values, min_size=1, max_size=4))
def test_the_line_of_every_value_is_true(fields):
    text = f"---\n{yaml.safe_dump(fields, sort_keys=False)}---\n# x\n"
    front, lines = read_front_matter(text), text.splitlines()
    assert front.fields == fields and front.trouble is None
    assert lines[front.body_line - 1] == "# x"
    for path, value in leaves(fields):
        line = lines[front.line(*path) - 1]
        if isinstance(path[-1], str):
            assert f"{path[-1]}:" in line
        elif not isinstance(value, (dict, list)):
            assert line.lstrip("- ").strip("'") == str(value) == front.raw(*path)


@settings(max_examples=200)
@given(awkward, awkward, st.sampled_from(["model", "dataset", "space"]))
def test_no_text_is_too_strange_to_be_checked(fields, body, kind):
    for text in (f"---\n{fields}\n---\n{body}", body, f"---\n{fields}", f"# x\n\n```python\n{body}\n```\n"):
        report = check_card(Card(text, kind, Named("a.parquet")))
        last = max(1, len(text.splitlines()) + 1)
        assert all(1 <= finding.flaw.line <= last for finding in report.findings), [str(one) for one in report.findings]


@given(
    st.lists(
        st.sampled_from(["text", "", "- item", "> quoted", "| a | b |\n|---|---|", "```\ncode\n```", "# T"]), max_size=6
    )
)
def test_the_line_of_a_link_is_true(before):
    body = "\n\n".join([*before, "See\n*the* [page](where.md), `code` and\n![an image](what.png)."])
    found = read_markdown(body, 11)
    assert {(link.target, body.splitlines()[link.line - 11]) for link in found.links} == {
        ("where.md", "*the* [page](where.md), `code` and"),
        ("what.png", "![an image](what.png)."),
    }


def test_aliases_that_stand_for_millions_of_values_end_soon():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9)]
    front = read_front_matter("---\n" + "\n".join(lines) + "\n---\n")
    assert front.trouble is not None and "more than 200000 values" in front.trouble[2]


def test_values_that_hold_themselves_end_soon():
    front = read_front_matter("---\na: &a [*a]\n---\n")
    assert front.trouble is not None


def test_windows_line_ends_count_once():
    text = "---\r\nlicense: mitt\r\ntags:\r\n- a\r\n---\r\n# x\r\n\r\n[a](gone.md)\r\n"
    found = [(one.rule, one.flaw.line) for one in check_card(Card(text, "space", Named("x"))).findings]
    assert ("license-legal", 2) in found and ("link-broken", 8) in found


def test_code_is_no_prose_and_its_first_line_is_known():
    found = read_markdown("a `TODO` b\n\n~~~py\nTODO\n~~~\n\n    indented\n\n- x\n\n  ```sh\n  y\n  ```\n", 1)
    assert [(block.line, block.language, block.code) for block in found.blocks] == [
        (4, "py", "TODO\n"),
        (7, "", "indented\n"),
        (12, "sh", "y\n"),
    ]
    assert not any("TODO" in text for _, text in found.prose)
