"""Which number goes up."""

from typing import Any

import pytest

from hubkit.publishing.versions import FIRST, Change, Level, Version, corpus_change, model_change


def manifest(**splits: tuple[int, str]) -> dict[str, Any]:
    return {
        "columns": [{"name": "text", "type": "string"}],
        "splits": {name: {"rows": rows, "rows_sha256": sha} for name, (rows, sha) in splits.items()},
        "libraries": {"numpy": "1"},
    }


def no_prefix(split: str, rows: int) -> str:
    raise AssertionError(f"the rows of {split} were read without need")


@pytest.mark.parametrize(
    ("tag", "version"),
    [
        ("v1.2.3", Version(1, 2, 3)),
        ("v10.0.12", Version(10, 0, 12)),
        ("v1.2", None),
        ("1.2.3", None),
        ("v1.2.3-rc1", None),
        ("v01.2.3", None),
        ("vx", None),
    ],
)
def test_only_plain_semantic_versions_are_releases(tag: str, version: Version | None) -> None:
    assert Version.of_tag(tag) == version
    assert version is None or version.tag == tag


def test_versions_order_by_number_and_not_by_text() -> None:
    assert max(Version(1, 9, 0), Version(1, 10, 0), Version(1, 2, 30)) == Version(1, 10, 0)


@pytest.mark.parametrize(
    ("level", "after"),
    [
        (Level.MAJOR, Version(2, 0, 0)),
        (Level.MINOR, Version(1, 5, 0)),
        (Level.PATCH, Version(1, 4, 3)),
        (Level.NONE, Version(1, 4, 2)),
    ],
)
def test_a_higher_number_resets_the_lower_ones(level: Level, after: Version) -> None:
    assert Change(level, "").after(Version(1, 4, 2)) == after
    assert Change(level, "").after(None) == FIRST


def test_the_same_rows_in_other_bytes_are_a_patch_and_no_row_is_read() -> None:
    change = corpus_change(
        manifest(train=(5, "a")), {**manifest(train=(5, "a")), "libraries": {"numpy": "2"}}, no_prefix
    )
    assert change.level is Level.PATCH
    assert "libraries" in change.details[0]


def test_a_longer_split_whose_beginning_hashes_as_before_is_minor() -> None:
    asked = []

    def prefix(split: str, rows: int) -> str:
        asked.append((split, rows))
        return "a"

    change = corpus_change(manifest(train=(5, "a"), test=(2, "t")), manifest(train=(9, "b"), test=(2, "t")), prefix)
    assert (change.level, asked) == (Level.MINOR, [("train", 5)])
    assert change.details == ("train: 5 → 9 rows",)


def test_a_new_split_is_minor() -> None:
    change = corpus_change(manifest(train=(5, "a")), manifest(train=(5, "a"), extra=(1, "e")), no_prefix)
    assert change.level is Level.MINOR
    assert change.details == ("extra: a new split of 1 rows",)


@pytest.mark.parametrize(
    ("new", "detail"),
    [
        (manifest(train=(9, "b"), test=(2, "t")), "train: its first 5 rows differ"),
        (manifest(train=(5, "b"), test=(2, "t")), "train: its first 5 rows differ"),
        (manifest(train=(4, "b"), test=(2, "t")), "train: 5 → 4 rows"),
        (manifest(train=(5, "a")), "test: the split is gone"),
    ],
)
def test_old_rows_that_are_not_all_there_are_major(new: dict[str, Any], detail: str) -> None:
    change = corpus_change(manifest(train=(5, "a"), test=(2, "t")), new, lambda split, rows: "something else")
    assert change.level is Level.MAJOR
    assert detail in change.details


def test_another_schema_is_major_even_with_equal_hashes() -> None:
    new = {**manifest(train=(5, "a")), "columns": [{"name": "text", "type": "int8"}]}
    assert corpus_change(manifest(train=(5, "a")), new, no_prefix).level is Level.MAJOR


def test_a_manifest_that_can_t_be_compared_is_major() -> None:
    assert corpus_change({"splits": []}, manifest(train=(5, "a")), no_prefix).level is Level.MAJOR


def run(**changes: Any) -> dict[str, Any]:
    return {
        "architecture": "roberta",
        "direction": "forward",
        "tokenizer": {"name": "t", "sha256": "8"},
        "datasets": [{"repo": "lab/d", "revision": "c1", "release": "v1.4.0"}],
        **changes,
    }


def is_weights(path: str) -> bool:
    return path.endswith(".safetensors")


@pytest.mark.parametrize(
    "changes",
    [
        {"architecture": "gpt2"},
        {"direction": "backward"},
        {"tokenizer": {"name": "t", "sha256": "9"}},
        {"datasets": [{"repo": "lab/d", "revision": "c2", "release": "v2.0.0"}]},
        {"datasets": [{"repo": "lab/e", "revision": "c1", "release": "v1.4.0"}]},
        {"datasets": [{"repo": "lab/d", "revision": "c2", "release": None}]},
        {"datasets": []},
    ],
)
def test_another_architecture_tokenizer_direction_or_dataset_is_major(changes: dict[str, Any]) -> None:
    assert model_change(run(), run(**changes), ["model.safetensors", "run.json"], is_weights).level is Level.MAJOR


@pytest.mark.parametrize("release", ["v1.4.0", "v1.5.0", "v1.4.7"])
def test_new_weights_on_the_same_major_dataset_are_minor(release: str) -> None:
    new = run(datasets=[{"repo": "lab/d", "revision": "c2", "release": release}])
    assert model_change(run(), new, ["model.safetensors", "run.json"], is_weights).level is Level.MINOR


def test_other_files_beside_the_same_weights_are_a_patch() -> None:
    change = model_change(run(), run(), ["evaluation.json"], is_weights)
    assert (change.level, change.details) == (Level.PATCH, ("evaluation.json",))
