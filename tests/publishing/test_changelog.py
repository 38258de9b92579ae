"""CHANGELOG.md tells each release once."""

from hubkit.publishing.changelog import updated
from hubkit.publishing.versions import UNCHANGED, Change, Level, Version

FIRST = Change(Level.FIRST, "the first release")
MORE = Change(Level.MINOR, "rows were added", ("train: 5 → 9 rows",))
V1, V11, V2 = Version(1, 0, 0), Version(1, 1, 0), Version(2, 0, 0)


def written(text: str | None, *arguments: object) -> str:
    result = updated(text, *arguments)  # type: ignore[arg-type]
    assert result is not None
    return result


def test_entries_are_newest_first() -> None:
    text = written(written(None, V1, FIRST, None), V11, MORE, V1)
    assert text.index("## v1.1.0") < text.index("## v1.0.0")
    assert "MINOR: rows were added.\n\n- train: 5 → 9 rows\n" in text
    assert text.startswith("# Changelog\n")
    assert text.endswith("## v1.0.0\n\nThe first release.\n")


def test_the_same_release_again_gives_the_same_bytes() -> None:
    once = written(None, V1, FIRST, None)
    assert written(once, V1, FIRST, None) == once
    twice = written(once, V11, MORE, V1)
    assert written(twice, V11, MORE, V1) == twice


def test_an_interrupted_release_that_became_another_one_leaves_no_entry() -> None:
    interrupted = written(written(None, V1, FIRST, None), V11, MORE, V1)
    text = written(interrupted, V2, Change(Level.MAJOR, "rows are gone"), V1)
    assert "v1.1.0" not in text
    assert text.count("## v") == 2


def test_an_interrupted_release_that_was_given_up_is_taken_back() -> None:
    released = written(None, V1, FIRST, None)
    assert updated(written(released, V11, MORE, V1), V1, UNCHANGED, V1) == released


def test_without_a_release_people_s_words_stay_byte_for_byte() -> None:
    text = "Our history\r\n\r\n## v1.0.0\r\n\r\nmine   \r\n\r\n\r\n"
    assert updated(text, V1, UNCHANGED, V1) == text
    assert updated(None, V1, UNCHANGED, V1) is None


def test_what_people_wrote_into_old_entries_survives_a_release() -> None:
    text = written("Our history\n\n## v1.0.0\n\nThe first, and *ours*.\n\n## Credits\n\nThanks.\n", V11, MORE, V1)
    assert "Our history" in text
    assert "The first, and *ours*." in text
    assert text.rstrip().endswith("Thanks.")
