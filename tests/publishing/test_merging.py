"""What people wrote into a card stays, byte for byte."""

import re
from typing import Any

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.publishing import frontmatter
from hubkit.publishing.merging import merge_body, merge_card, pieces
from hubkit.publishing.sources import CardFacts

BODY = """# Title

<!-- hubkit:one -->
first
<!-- /hubkit:one -->

<!-- hubkit:two -->
second
<!-- /hubkit:two -->
"""
MINE = "  - metrics:\n    - type: accuracy\n      value: 0.9\n"
FACTS = CardFacts({"license": "mit", "tags": ["a", "b"], "n": [{"x": True}]}, {"pretty_name": "Ours"}, BODY)


def fields(card: bytes) -> dict[str, Any]:
    return yaml.safe_load(frontmatter.split(card.decode())[1])


def foreign(body: str) -> str:
    return "".join(piece.text for piece in pieces(body) if piece.name is None)


# Prose of people: text without our marks, in which nothing is special to the parser.
prose = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="<"), max_size=40)
sections = st.sampled_from(
    [
        "<!-- hubkit:one -->old<!-- /hubkit:one -->",
        "<!-- hubkit:two -->\nold\n<!-- /hubkit:two -->",
        "<!-- hubkit:gone -->x<!-- /hubkit:gone -->",
    ]
)


@st.composite
def bodies(draw: st.DrawFn) -> str:
    chosen = draw(st.lists(sections, unique=True))
    return draw(prose) + "".join(section + draw(prose) for section in chosen)


@given(bodies())
@settings(deadline=None, max_examples=60)
def test_text_outside_our_sections_stays_and_merging_again_changes_nothing(body: str) -> None:
    merged = merge_body(body, BODY)
    assert foreign(merged).startswith(foreign(body))
    assert foreign(merged)[len(foreign(body)) :].strip() == ""
    assert merge_body(merged, BODY) == merged
    assert [piece.text for piece in pieces(merged) if piece.name == "one"] == [
        "<!-- hubkit:one -->\nfirst\n<!-- /hubkit:one -->"
    ]
    assert "hubkit:gone" not in merged


keys = st.text("abcxyz_-", min_size=1, max_size=6).filter(lambda key: not key.startswith("-") and key not in "ny")
scalars = st.one_of(
    st.integers(), st.booleans(), st.none(), st.text(max_size=20), st.dates(), st.floats(allow_nan=False)
)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3))
theirs = st.dictionaries(keys | st.sampled_from(["license", "tags", "pretty_name"]), values, max_size=5)


@given(theirs, st.booleans(), st.sampled_from(["\n", "\r\n"]), prose)
@settings(deadline=None, max_examples=60)
@example({"tags": ["z", "b", "z"]}, False, "\n", "hello")
@example({"tags": "z"}, True, "\r\n", "")
def test_other_fields_keep_their_values(fields_there: dict[str, Any], flow: bool, newline: str, text: str) -> None:
    block = yaml.safe_dump(fields_there, allow_unicode=True, default_flow_style=flow, sort_keys=False)
    card = f"---\n{block}---\n{text}".replace("\r", "").replace("\n", newline)
    there = yaml.safe_load(frontmatter.split(card)[1]) or {}
    merged = merge_card(card.encode(), FACTS)
    found = fields(merged)
    ours = {"license", "tags", "n"}
    assert {key: value for key, value in found.items() if key not in ours and key in there} == {
        key: value for key, value in there.items() if key not in ours
    }
    assert found["license"] == "mit"
    assert found["pretty_name"] == there.get("pretty_name", "Ours")
    tags = there.get("tags")
    kept = tags if isinstance(tags, list) else [] if tags is None else [tags]
    assert found["tags"] == kept + [tag for tag in ("a", "b") if tag not in kept]
    assert merge_card(merged, FACTS) == merged


def test_lines_of_other_fields_keep_comments_order_and_spelling() -> None:
    card = "---\n# why\nlicense: gpl-3.0  # old\n\n# a remark\nextra:   'quoted'\ntags: [z, a]\n---\n\nHello.\n"
    merged = merge_card(card.encode(), FACTS).decode()
    assert merged.startswith(
        "---\n# why\nlicense: mit\n\n# a remark\nextra:   'quoted'\ntags:\n- z\n- a\n- b\npretty_name: Ours\n"
    )
    assert "\n---\n\nHello.\n" in merged


def test_a_field_that_is_right_already_keeps_its_spelling() -> None:
    card = "---\nn: [{x: yes}]   # ours, said their way\nlicense: 'mit'\ntags: [a, b]\npretty_name: X\n---\n" + BODY
    assert merge_card(card.encode(), FACTS) == card.encode()


def test_configurations_of_people_stay() -> None:
    ours = {"configs": [{"config_name": "default", "path": "a"}], "dataset_info": {"dataset_size": 1}}
    card = merge_card(None, CardFacts(ours, {}, BODY)).decode()
    theirs = card.replace("configs:\n", "configs:\n- config_name: extra\n  path: b\n")
    newer = CardFacts({**ours, "configs": [{"config_name": "default", "path": "c"}]}, {}, BODY)
    merged = merge_card(theirs.encode(), newer)
    assert [config["path"] for config in fields(merged)["configs"]] == ["c", "b"]
    assert fields(merged)["dataset_info"] == {"dataset_size": 1}
    assert merge_card(merged, newer) == merged


def index(*values: float, name: str = "m") -> list[dict[str, Any]]:
    return [{"name": name, "results": [{"metrics": [{"type": "accuracy", "value": value}]} for value in values]}]


def test_entries_of_people_stay_in_lists_and_ours_are_brought_up_to_date() -> None:
    first = CardFacts({"datasets": ["lab/a"], "model-index": index(0.1, 0.2)}, {}, BODY)
    card = merge_card(None, first).decode()
    theirs = card.replace("- lab/a\n", "- lab/a\n- me/mine\n").replace("value: 0.2\n", "value: 0.2\n" + MINE)
    second = CardFacts({"datasets": ["lab/b"], "model-index": index(0.3, float("nan"))}, {}, BODY)
    written = frontmatter.on_record(first.metadata)
    merged = merge_card(theirs.encode(), second, written)
    assert fields(merged)["datasets"] == ["me/mine", "lab/b"]
    (entry,) = fields(merged)["model-index"]
    assert [result["metrics"][0]["value"] for result in entry["results"][:2]] == [0.9, 0.3]
    assert len(entry["results"]) == 3
    assert merge_card(merged, second, frontmatter.on_record(second.metadata)) == merged


def test_what_hubkit_has_no_more_to_say_of_is_taken_out() -> None:
    first = {"license": "mit", "base_model": "lab/a", "pipeline_tag": "fill-mask", "model-index": index(0.1)}
    card = merge_card(None, CardFacts(first, {}, BODY)).decode()
    theirs = card.replace("pipeline_tag: fill-mask\n", "pipeline_tag: text-generation\nmine: 1\n")
    merged = merge_card(theirs.encode(), CardFacts({"license": "mit"}, {}, BODY), frontmatter.on_record(first))
    assert fields(merged) == {"license": "mit", "pipeline_tag": "text-generation", "mine": 1}


def test_the_plan_names_fields_that_people_set_otherwise() -> None:
    ours = {"license": "mit", "size_categories": ["n<1K"], "tags": ["a"], "configs": [{"x": 1}]}
    theirs = "license: gpl-3.0\nsize_categories: [1K<n<10K]\ntags: [b]\nconfigs: []\nmine: 1\n"
    assert frontmatter.overruled(theirs, ours, {}) == [
        "field license: somebody wrote gpl-3.0, and hubkit writes mit",
        'field size_categories: somebody wrote ["1K<n<10K"], and hubkit writes ["n<1K"]',
    ]
    # What hubkit wrote itself the last time is nobody's word, and a licence that is not known is none.
    assert frontmatter.overruled(theirs, ours, {"license": "gpl-3.0", "size_categories": ["1K<n<10K"]}) == []
    assert frontmatter.overruled("license: unknown\nsize_categories:\n", ours, {}) == []


def test_the_plan_names_configurations_that_hubkit_takes_over() -> None:
    ours = {"configs": [{"config_name": "default", "data_files": [{"split": "train", "path": "train.jsonl"}]}]}
    theirs = "configs:\n- data_files: data/train-*\n- config_name: extra\n  data_files: extra/*\n"
    assert frontmatter.overruled(theirs, ours, {}) == [
        "configuration default: somebody named data/train-* as its files, and hubkit names "
        '[{"split": "train", "path": "train.jsonl"}]'
    ]
    assert frontmatter.overruled(theirs, ours, {"license": "mit"}) == []
    assert frontmatter.overruled(frontmatter.dump(ours), ours, {}) == []


def test_a_default_that_was_once_a_rule_stays_and_gives_way() -> None:
    unknown = CardFacts({}, {"license": "unknown"}, BODY)
    before = {"license": "unknown"}
    assert fields(merge_card(b"---\nlicense: unknown\n---\n", unknown, before))["license"] == "unknown"
    assert fields(merge_card(b"---\nlicense: cc0-1.0\n---\n", unknown, before))["license"] == "cc0-1.0"


def test_a_card_that_isn_t_there_is_written_whole() -> None:
    card = merge_card(None, FACTS)
    assert card.decode().startswith("---\npretty_name: Ours\nlicense: mit\n")
    assert card.decode().endswith(BODY)
    assert merge_card(card, FACTS) == card


@pytest.mark.parametrize(
    "card", ["Hello.", "---\n---\nHello.", "---\n---", "\ufeffHello.", "\ufeff---\na: 1\n---\nHi", "a\n---\nb"]
)
def test_cards_of_every_shape_become_stable(card: str) -> None:
    merged = merge_card(card.encode(), FACTS)
    assert fields(merged)["license"] == "mit"
    assert merge_card(merged, FACTS) == merged
    assert merged.decode().startswith("\ufeff") == card.startswith("\ufeff")


def test_a_section_stays_where_a_person_moved_it() -> None:
    moved = "---\na: 1\n---\n<!-- hubkit:two -->x<!-- /hubkit:two -->\nmine\n<!-- hubkit:one -->x<!-- /hubkit:one -->"
    text = merge_card(moved.encode(), FACTS).decode()
    assert re.search(r"second.*mine.*first", text, re.DOTALL)
    assert "# Title" not in text


def test_windows_line_endings_stay() -> None:
    merged = merge_card(b"---\r\na: 1\r\n---\r\nmine\r\n", FACTS)
    assert b"\n" not in merged.replace(b"\r\n", b"")


@pytest.mark.parametrize(
    ("card", "word"),
    [
        (b"---\na: [1\n---\nx", "not valid YAML"),
        (b"---\njust words\n---\nx", "str"),
        (b"---\na: 1\na: 2\n---\nx", "a twice"),
        (b"---\na: 1\n\n# Title", "not closed"),
        (b"<!-- hubkit:one -->\nx", "has no end"),
        (b"<!-- hubkit:one --><!-- hubkit:two --><!-- /hubkit:one -->", "hubkit:two"),
        (b"\xff\xfe", "UTF-8"),
    ],
)
def test_a_card_that_can_t_be_understood_is_refused_by_name(card: bytes, word: str) -> None:
    with pytest.raises(UserError, match=r"README\.md") as caught:
        merge_card(card, FACTS)
    assert word in str(caught.value)
