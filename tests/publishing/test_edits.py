"""What a person wrote between hubkit's marks is found, kept below the section, and told."""

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from hypothesis import given
from hypothesis import strategies as st

from hubkit.errors import UserError
from hubkit.publishing import apply, plan
from hubkit.publishing.edits import edits, hashes
from hubkit.publishing.hub import Repository
from hubkit.publishing.merging import merge_card
from hubkit.publishing.rollback import plan_rollback
from hubkit.publishing.sources import CardFacts

from .folders import make_corpus, make_evaluation, make_model


def body(one: str, two: str | None = "second") -> str:
    sections = {"one": one} | ({"two": two} if two is not None else {})
    return "# Title\n\n" + "\n\n".join(f"<!-- hubkit:{k} -->\n{v}\n<!-- /hubkit:{k} -->" for k, v in sections.items())


OLD = merge_card(None, CardFacts({}, {}, body("a\nb\nc")))


def merged(theirs: bytes, new: str, base: bytes | None = OLD) -> tuple[str, list[str]]:
    found = edits(theirs, new, hashes(body("a\nb\nc")), lambda: base)
    kept = {name: edit.text for name, edit in found.items()}
    once = merge_card(theirs, CardFacts({}, {}, new), {}, kept)
    assert edits(once, new, hashes(new), lambda: base) == {}
    assert merge_card(once, CardFacts({}, {}, new)) == once
    return once.decode(), [str(edit) for edit in found.values()]


def test_lines_that_were_added_move_below_the_section() -> None:
    text, said = merged(OLD.replace(b"b\n", b"b\nmine\n\n- mine too\n"), body("a\nB\nc"))
    assert "a\nB\nc\n<!-- /hubkit:one -->\n\nmine\n\n- mine too\n\n\n<!-- hubkit:two -->\nsecond" in text
    assert said == [
        "section one: somebody wrote 2 lines between hubkit's marks, and hubkit writes that section anew; the text "
        "moves below it, so edit it there"
    ]


def test_lines_that_were_changed_move_and_those_that_were_taken_out_come_back() -> None:
    text, said = merged(OLD.replace(b"b\nc", b"my b").replace(b"second\n", b""), body("a\nb\nc"))
    assert "a\nb\nc\n<!-- /hubkit:one -->\n\nmy b\n" in text
    assert "<!-- hubkit:two -->\nsecond\n" in text
    assert said[0].startswith("section one: somebody wrote a line")
    assert said[1] == "section two: somebody took lines out of it, and hubkit writes them again"


def test_a_section_that_is_no_longer_written_leaves_what_people_wrote_into_it() -> None:
    text, _ = merged(OLD.replace(b"second", b"second\nmine"), body("a\nb\nc", None))
    assert "second" not in text and "hubkit:two" not in text
    assert text.rstrip().endswith("\n\nmine")


def test_without_the_card_of_the_last_release_all_of_a_changed_section_is_kept() -> None:
    text, _ = merged(OLD.replace(b"b\n", b"b\nmine\n"), body("new"), base=None)
    assert "new\n<!-- /hubkit:one -->\n\na\nb\nmine\nc\n" in text


def test_without_the_card_of_the_last_release_lines_that_hubkit_writes_again_are_not_kept_twice() -> None:
    text, _ = merged(OLD.replace(b"b\n", b"b\nmine\n"), body("a\nb\nc\nd"), base=None)
    assert "a\nb\nc\nd\n<!-- /hubkit:one -->\n\nmine\n" in text and text.count("b\n") == 1


def test_what_hubkit_would_write_itself_is_no_conflict() -> None:
    text, said = merged(OLD.replace(b"b\n", b"B\n"), body("a\nB\nc"))
    assert said == [] and text.count("B\n") == 1


def test_sections_of_which_nothing_is_known_are_hubkit_s() -> None:
    assert edits(OLD.replace(b"b\n", b"mine\n"), body("new"), {}, lambda: None) == {}


def test_line_endings_are_no_edits_and_stay() -> None:
    windows = OLD.replace(b"\n", b"\r\n")
    assert merged(windows, body("new"))[1] == []
    text, _ = merged(windows.replace(b"b\r\n", b"b\r\nmine\r\n"), body("new"))
    assert "\r\n\r\nmine\r\n" in text and "\n" not in text.replace("\r\n", "")


prose = st.characters(exclude_categories=["Cs", "Cc", "Zl", "Zp"], exclude_characters="<")
lines = st.text(prose, min_size=1).filter(str.strip)


@given(st.lists(lines, min_size=1, max_size=4), st.integers(0, 3), st.booleans())
def test_no_line_of_a_person_is_lost(theirs: list[str], place: int, known: bool) -> None:
    written = ["a", "b", "c"]
    section = "\n".join([*written[:place], *theirs, *written[place:]])
    text, _ = merged(OLD.replace(b"a\nb\nc", section.encode()), body("new"), OLD if known else None)
    there = text.splitlines()
    assert all(line in there for line in theirs if line not in written)


# --- on a Hub --------------------------------------------------------------------------------------------------------


def card(repo: str, api: HfApi, kind: Any = "dataset") -> str:
    return (Repository(api, repo, kind).read("README.md", "main") or b"").decode()


def edit(repo: str, api: HfApi, old: str, new: str, kind: str = "dataset") -> None:
    text = card(repo, api, kind)
    assert old in text
    data = text.replace(old, new, 1).encode()
    api.upload_file(path_or_fileobj=data, path_in_repo="README.md", repo_id=repo, repo_type=kind)


def test_the_plan_shows_a_conflict_and_the_next_release_keeps_the_text(corpus: Path, repo: str, api: HfApi) -> None:
    apply(plan(corpus, repo, api=api), api)
    edit(repo, api, "## Use\n", "## Use\n\nAsk me before you train on it.\n")
    made = plan(make_corpus(corpus.parent / "new", {"train": 10, "test": 100}), repo, api=api)
    assert len(made.conflicts) == 1 and made.to_json()["conflicts"] == list(made.conflicts)
    assert "conflicts in the card:\n  section use: somebody wrote a line" in made.render()
    steps: list[str] = []
    apply(made, api, steps.append)
    assert made.conflicts[0] in steps
    assert "<!-- /hubkit:use -->\n\nAsk me before you train on it.\n" in card(repo, api)
    assert plan(corpus.parent / "new", repo, api=api).changes == ()
    rolled = plan_rollback(repo, "v1.0.0", api=api)
    assert rolled.conflicts == ()
    apply(rolled, api)
    assert card(repo, api).count("Ask me before you train on it.") == 1


def test_an_edit_after_a_change_of_the_card_alone_is_kept(corpus: Path, repo: str, api: HfApi, tmp_path: Path) -> None:
    model = make_model(tmp_path / "m")
    apply(plan(model, repo, api=api), api)
    apply(plan(make_evaluation(model), repo, api=api), api)
    edit(repo, api, "## Evaluation\n", "## Evaluation\n\nMeasured on a rainy day.\n", "model")
    made = plan(model, repo, api=api)
    assert (made.tag, made.message, len(made.conflicts)) == (None, "Update the card", 1)
    apply(made, api)
    assert "<!-- /hubkit:evaluation -->\n\nMeasured on a rainy day.\n" in card(repo, api, "model")


def test_an_edit_beside_an_open_pull_request_is_kept_once(corpus: Path, repo: str, api: HfApi) -> None:
    apply(plan(corpus, repo, api=api), api)
    new = make_corpus(corpus.parent / "new", {"train": 10, "test": 100})
    proposed = apply(plan(new, repo, create_pr=True, api=api), api)
    assert proposed.pull_request is not None
    edit(repo, api, "## Use\n", "## How to use it\n")
    api.merge_pull_request(repo, int(proposed.pull_request.rpartition("/")[2]), repo_type="dataset")
    assert "## How to use it" in card(repo, api) and "v2.0.0" in card(repo, api)
    apply(plan(new, repo, api=api), api)
    text = card(repo, api)
    assert "<!-- /hubkit:use -->\n\n## How to use it\n" in text and text.count("streaming=True") == 1


def test_a_card_whose_marks_are_broken_is_still_refused(corpus: Path, repo: str, api: HfApi) -> None:
    apply(plan(corpus, repo, api=api), api)
    edit(repo, api, "<!-- /hubkit:use -->", "")
    with pytest.raises(UserError, match=r"README\.md: the section <!-- hubkit:use --> meets"):
        plan(corpus, repo, api=api)
