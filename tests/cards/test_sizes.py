"""Sizes that a card gives are compared with the files."""

import time
from pathlib import Path

import pytest

from hubkit.cards.card import Card, open_card
from hubkit.cards.checking import check_card
from hubkit.cards.layout import matching

from .folders import write_parquet
from .test_rules import Named

CARD = """---
license: mit
pretty_name: Rows
size_categories: {category}
configs:
- config_name: default
  data_files:
  - split: train
    path: {pattern}
dataset_info:
  features:
  - name: n
    dtype: {dtype}
  splits:
  - name: {split}
    num_examples: {rows}
---

Numbers.
"""


def found(folder: Path, **changes) -> list[tuple[int, str, str]]:
    values = {"category": "n<1K", "pattern": "data/*", "dtype": "int64", "split": "train", "rows": 30} | changes
    (folder / "README.md").write_text(CARD.format(**values))
    findings = check_card(open_card(str(folder))).findings
    return [(finding.flaw.line, finding.rule, finding.flaw.message) for finding in findings]


@pytest.fixture(params=["parquet", "jsonl"])
def folder(request, tmp_path: Path) -> Path:
    for i in range(3):
        file = tmp_path / f"data/train-{i:05d}-of-00003.{request.param}"
        if request.param == "parquet":
            write_parquet(file, n=range(10))
        else:
            file.parent.mkdir(exist_ok=True)
            file.write_text('{"n": 1}\n' * 9 + '\n{"n": 2}')
    return tmp_path


def test_a_card_that_agrees_with_its_files(folder):
    assert found(folder) == []


def test_rows_that_disagree(folder):
    assert found(folder, rows=31) == [(16, "dataset-info-rows", "train has 30 rows, and num_examples says 31")]


def test_a_size_category_that_disagrees(folder):
    message = "size_categories says 1K<n<10K, and there are 30 rows"
    assert found(folder, category="1K<n<10K") == [(4, "size-categories-rows", message)]
    assert found(folder, category="unknown") == []


def test_splits_that_disagree(folder):
    assert found(folder, split="test") == [
        (14, "dataset-info-splits", "dataset_info lacks the split train of the configuration default"),
        (15, "dataset-info-splits", "dataset_info has the split test, and the configuration default has not"),
    ]


def test_shards_that_are_lost(folder):
    (lost,) = folder.glob("data/train-00001-*")
    lost.unlink()
    message = "of the 3 shards data/train-… of train, 2 are there"
    assert (9, "shards-missing", message) in found(folder, rows=20)


def test_a_column_of_another_type(tmp_path):
    write_parquet(tmp_path / "data/a.parquet", n=range(30))
    message = "the column n is int64 in data/a.parquet, and features says string"
    assert found(tmp_path, dtype="string") == [(12, "dataset-info-features", message)]


def test_a_file_that_is_no_parquet_is_named_and_not_counted(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a.parquet").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert found(tmp_path) == []
    assert "not checked: data/a.parquet, which is not a Parquet file" in check_card(open_card(str(tmp_path))).summary


@pytest.mark.parametrize(
    ("pattern", "files"),
    [
        ("data/*", ["data/a.csv"]),
        ("data/**", ["data/a.csv", "data/b/c.csv"]),
        ("**/*.csv", ["data/a.csv", "data/b/c.csv", "d.csv"]),
        ("*.csv", ["d.csv"]),
        ("./d.csv", ["d.csv"]),
        ("data/[ab].csv", ["data/a.csv"]),
        ("data", []),
        ("*", ["d.csv"]),
    ],
)
def test_patterns_match_as_load_dataset_has_them(pattern, files):
    assert matching(pattern, ["README.md", "data/a.csv", "data/b/c.csv", "d.csv"]) == files


def test_a_dataset_of_many_configurations_is_checked_quickly(tmp_path):
    """Every rule sees the same answer to what each pattern matches."""
    names = [f"c{i}" for i in range(500)]
    entries = "".join(f"- config_name: {name}\n  data_files: {name}/*.csv\n" for name in names)
    card = f"---\nlicense: mit\npretty_name: x\nsize_categories: unknown\nconfigs:\n{entries}---\n\nText.\n"
    files = Named(*(f"{name}/{i}.csv" for name in names for i in range(10)))
    began = time.process_time()
    assert check_card(Card(card, "dataset", files)).findings == ()
    assert time.process_time() - began < 10


def test_folders_that_are_not_published_are_not_looked_at(tmp_path):
    for folder in (".venv/lib", "node_modules", ".git"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "a.csv").write_text("x\n")
    (tmp_path / "README.md").write_text("---\nsize_categories: unknown\nlicense: mit\npretty_name: x\n---\n\nText.\n")
    assert list(open_card(str(tmp_path)).files.sizes) == ["README.md"]
