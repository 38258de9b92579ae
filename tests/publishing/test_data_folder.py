"""A folder that hubkit did not make: how its files are found, what is published of them, and as which version."""

import gzip
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from huggingface_hub import HfApi

from hubkit.corpora.manifest import Manifest
from hubkit.corpora.verify import verify
from hubkit.errors import UserError
from hubkit.publishing import Action, apply, plan
from hubkit.publishing.data_folder import DataFolder
from hubkit.publishing.folders import open_folder
from hubkit.publishing.merging import merge_card
from hubkit.publishing.versions import Level, Version

from .conftest import Hub

TOKEN = "hf_" + "aB3" * 12
"""Put together here so that no scanner takes this file for a leak."""


def write(folder: Path, name: str, start: int = 0, stop: int = 10, **options: Any) -> Path:
    """Write rows of text and number; what a file's name ends in says how."""
    rows = [{"text": f"row {i}", "n": i} for i in range(start, stop)]
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if name.endswith(".parquet"):
        pq.write_table(pa.Table.from_pylist(rows), path, **options)
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        path.write_bytes(gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    return path


def opened(folder: Path) -> DataFolder:
    source = open_folder(folder)
    assert isinstance(source, DataFolder)
    return source


def splits(folder: Path) -> dict[str, list[str]]:
    found = opened(folder).manifest["splits"]
    return {key: [shard["file"] for shard in split["shards"]] for key, split in found.items()}


def card_of(folder: Path, existing: bytes | None = None) -> tuple[dict[str, Any], str]:
    source = opened(folder)
    readme = (folder / "README.md").read_bytes() if (folder / "README.md").exists() else None
    facts = source.card("lab/mine", Version(1, 2, 0), lambda repo, kind, revision: {})
    _, fields, body = merge_card(existing or readme, facts).decode().split("---\n", 2)
    return yaml.safe_load(fields), body


def readme(folder: Path, configs: Any, body: str = "# Mine\n", **fields: Any) -> None:
    text = yaml.safe_dump({"configs": configs, **fields}, sort_keys=False)
    (folder / "README.md").write_text(f"---\n{text}---\n\n{body}")


# --- which files


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["rows.parquet"], {"train": ["rows.parquet"]}),
        (["b.jsonl", "a.jsonl"], {"train": ["a.jsonl", "b.jsonl"]}),
        (["train.jsonl.gz", "test.jsonl.gz"], {"train": ["train.jsonl.gz"], "test": ["test.jsonl.gz"]}),
        (
            [
                "data/train-00001-of-00002.parquet",
                "data/train-00000-of-00002.parquet",
                "data/odd-00000-of-00001.parquet",
            ],
            {
                "train": ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"],
                "odd": ["data/odd-00000-of-00001.parquet"],
            },
        ),
        (["train/x.parquet", "dev/x.parquet"], {"train": ["train/x.parquet"], "validation": ["dev/x.parquet"]}),
    ],
)
def test_splits_are_found_as_datasets_finds_them(tmp_path: Path, names: list[str], expected: dict[str, Any]) -> None:
    for name in names:
        write(tmp_path, name)
    assert splits(tmp_path) == expected


def test_the_configs_of_a_readme_are_honoured(tmp_path: Path) -> None:
    for name in ("en/a.parquet", "en/b.parquet", "fr/a.parquet"):
        write(tmp_path, name)
    pq.write_table(pa.table({"other": [1.5]}), tmp_path / "fr" / "a.parquet")
    configs = [
        {
            "config_name": "en",
            "data_files": [{"split": "train", "path": "en/a.*"}, {"split": "held.out", "path": "en/b.*"}],
        },
        {"config_name": "default", "data_dir": "fr"},
    ]
    readme(tmp_path, configs)
    assert splits(tmp_path) == {
        "en/train": ["en/a.parquet"],
        "en/held.out": ["en/b.parquet"],
        "train": ["fr/a.parquet"],
    }
    fields, body = card_of(tmp_path)
    assert fields["configs"] == configs
    assert {info["config_name"] for info in fields["dataset_info"]} == {"en", "default"}
    assert opened(tmp_path).manifest["columns"] == [
        {"name": "text", "type": "string", "config": "en"},
        {"name": "n", "type": "int64", "config": "en"},
        {"name": "other", "type": "double"},
    ]
    assert 'load_dataset("lab/mine", "default", revision="v1.2.0")' in body
    assert "| en | `text` | `string` |\n" in body
    assert "| en/held.out | 10 | 1 |" in body


def test_the_card_names_files_by_a_pattern_that_matches_no_other(tmp_path: Path) -> None:
    for index in range(3):
        write(tmp_path, f"data/train-{index:05d}-of-00003.parquet")
    write(tmp_path, "data/test-00000-of-00001.parquet")
    paths = [file["path"] for file in card_of(tmp_path)[0]["configs"][0]["data_files"]]
    assert paths == ["data/train-*-of-00003.parquet", "data/test-00000-of-00001.parquet"]
    shutil.rmtree(tmp_path / "data")
    for name in ("train_a.jsonl", "train_b.jsonl", "test_a.jsonl"):
        write(tmp_path, name)
    assert [file["path"] for file in card_of(tmp_path)[0]["configs"][0]["data_files"]] == [
        "train_*.jsonl",
        "test_a.jsonl",
    ]


@pytest.mark.parametrize(
    ("names", "configs", "said"),
    [
        (["a.csv"], None, r"a\.csv is of the format csv.*to_parquet"),
        (["train.parquet", "test.jsonl"], None, "Couldn't infer the same data file format"),
        (["a.parquet"], [{"config_name": "x", "data_files": "b/*.parquet"}], "config x: .*mend configs in README.md"),
        (["a.parquet"], [{"data_files": "a.parquet"}], "configs: None is no config_name"),
        (["a.parquet"], [{"config_name": "x"}, {"config_name": "x"}], "'x' stands there twice"),
        (["a[1].parquet"], [{"config_name": "x", "data_files": "*.parquet"}], r"'a\[1\]\.parquet' has characters"),
        (["a.parquet"], [{"config_name": "x", "data_files": "/etc/*"}], "mend configs|lies outside|format"),
    ],
)
def test_what_can_t_be_a_dataset_is_told(tmp_path: Path, names: list[str], configs: Any, said: str) -> None:
    for name in names:
        write(tmp_path, name)
    if configs:
        readme(tmp_path, configs)
    with pytest.raises(UserError, match=said):
        open_folder(tmp_path)


@pytest.mark.parametrize("link", ["file", "folder"])
def test_links_out_of_the_folder_are_refused(tmp_path: Path, link: str) -> None:
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    target = write(outside, "train.parquet")
    folder.mkdir()
    if link == "folder":  # which `datasets` follows where a pattern names it
        (folder / "data").symlink_to(outside)
        readme(folder, [{"config_name": "default", "data_files": "data/*.parquet"}])
    else:
        (folder / "train.parquet").symlink_to(target)
    with pytest.raises(UserError, match=r"outside.*put the file itself there"):
        open_folder(folder)


@pytest.mark.parametrize("name", ["train.jsonl", "train.jsonl.gz"])
def test_a_token_in_a_row_is_found_with_its_line_also_in_compressed_files(tmp_path: Path, name: str) -> None:
    text = f'{{"text": "a"}}\n{{"text": "my token is {TOKEN}"}}\n'.encode()
    (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith(".gz") else text)
    with pytest.raises(UserError, match=rf"{name}:2 holds what looks like an access token") as error:
        open_folder(tmp_path).files()
    assert TOKEN not in str(error.value)


# --- what is said of them


def test_a_manifest_says_what_the_files_are_and_not_how_they_were_made(tmp_path: Path) -> None:
    write(tmp_path, "train.parquet", 0, 1500)
    source = opened(tmp_path)
    [content, *_] = source.files()
    manifest = Manifest.model_validate_json(content.source if isinstance(content.source, bytes) else b"")
    assert (manifest.origin, manifest.builder, manifest.spec, manifest.license) == ("files", None, None, "unknown")
    assert (manifest.rows, manifest.code, manifest.libraries) == (1500, {}, {})
    assert opened(tmp_path).files()[0].sha256 == content.sha256
    body = card_of(tmp_path)[1]
    for claim in ("Spec", "Generator", "made by a program", "made again", "Rejected"):
        assert claim not in body
    assert "Where they name none, ask the owner" in body


@pytest.mark.parametrize("suffix", ["parquet", "jsonl", "jsonl.gz"])
def test_the_card_says_what_the_splits_share(tmp_path: Path, suffix: str) -> None:
    write(tmp_path, f"train.{suffix}", 0, 1500)
    write(tmp_path, f"validation.{suffix}", 2000, 2100)
    write(tmp_path, f"test.{suffix}", 1400, 1420)
    pairs = {(pair["split"], pair["other"]): pair["rows"] for pair in opened(tmp_path).manifest["overlaps"][0]["pairs"]}
    assert {names: rows for names, rows in pairs.items() if rows} == {("test", "train"): 20, ("train", "test"): 20}
    body = card_of(tmp_path)[1]
    assert "What the splits share (compared by column `text` alone; whole rows):" in body
    assert "| Rows of | that are in `train` | repeats within it |\n" in body
    assert "| validation | 0 | 0 |\n| test | 20 | 0 |\n" in body
    assert "No row of `train` repeats an earlier one." in body
    assert "have not been compared" not in body


def test_the_card_says_which_share_of_n_grams_a_test_split_has_from_train(tmp_path: Path) -> None:
    texts = [" ".join(str((i * 31 + j * j) % 997) for j in range(40)) for i in range(400)]
    for split, rows in (("train", texts[:300]), ("validation", texts[300:]), ("test", texts[100:150])):
        pq.write_table(pa.table({"text": rows}), tmp_path / f"{split}.parquet")
    body = card_of(tmp_path)[1]
    assert "(compared by column `text`; whole rows, and runs of 13 words, of which 6.25 % were compared)" in body
    assert "| validation | 0 | 0.00 % | 0 |\n| test | 50 | 100.00 % | 0 |\n" in body


def test_a_split_alone_is_compared_with_none_and_the_card_does_not_speak_of_it(tmp_path: Path) -> None:
    write(tmp_path, "train.parquet")
    body = card_of(tmp_path)[1]
    assert "What the splits share" not in body
    assert "have not been compared" not in body


def test_splits_without_text_are_not_compared(tmp_path: Path) -> None:
    for split in ("train", "test"):
        pq.write_table(pa.table({"n": [1, 2]}), tmp_path / f"{split}.parquet")
    body = card_of(tmp_path)[1]
    assert "What the splits share" not in body
    assert "- Rows have not been compared between splits." in body


def test_each_of_several_configs_has_its_report(tmp_path: Path) -> None:
    """One shares 20 rows, one nothing, one has nothing to compare by, one has a single split."""
    write(tmp_path, "en-train.parquet", 0, 1500)
    write(tmp_path, "en-test.parquet", 1480, 1530)
    write(tmp_path, "de-train.jsonl", 3000, 3100)
    write(tmp_path, "de-test.jsonl", 3100, 3110)
    write(tmp_path, "whole.parquet", 0, 1500)
    for split in ("train", "test"):
        pq.write_table(pa.table({"n": [1, 2]}), tmp_path / f"numbers-{split}.parquet")
    configs = [
        {"config_name": name, "data_files": [{"split": s, "path": f"{name}-{s}.*"} for s in ("train", "test")]}
        for name in ("en", "de", "numbers")
    ]
    readme(tmp_path, [*configs, {"config_name": "whole", "data_files": "whole.parquet"}])
    found = opened(tmp_path).manifest["overlaps"]
    assert [list(overlap["repeats"]) for overlap in found] == [
        ["en/train", "en/test"],
        ["de/train", "de/test"],
        ["whole/train"],
    ]
    shared = {(pair["split"], pair["other"]): pair["rows"] for overlap in found for pair in overlap["pairs"]}
    assert shared[("en/test", "en/train")] == 20 and shared[("de/test", "de/train")] == 0 and len(shared) == 4
    body = card_of(tmp_path)[1]
    assert "What the splits of `en` share (compared by column `text` alone; whole rows):" in body
    assert "| Rows of | that are in `en/train` | repeats within it |\n|---|---:|---:|\n| en/test | 20 | 0 |\n" in body
    assert "| Rows of | that are in `de/train` | repeats within it |\n|---|---:|---:|\n| de/test | 0 | 0 |\n" in body
    assert body.count("What the splits of") == 2 and body.count("repeats an earlier one.") == 2
    assert "- Rows of some configs have not been compared between splits." in body
    assert "- Rows have not been compared between configs." in body


def test_configs_of_one_split_each_are_not_said_to_lack_a_comparison_of_splits(tmp_path: Path) -> None:
    for name in ("train", "test"):
        write(tmp_path, f"{name}.parquet")
    readme(tmp_path, [{"config_name": name, "data_files": f"{name}.*"} for name in ("train", "test")])
    body = card_of(tmp_path)[1]
    assert "What the splits" not in body and "between splits" not in body
    assert "- Rows have not been compared between configs." in body


def test_a_config_of_another_name_is_compared_by_the_names_of_the_manifest(tmp_path: Path) -> None:
    write(tmp_path, "a.jsonl", 0, 20)
    write(tmp_path, "b.jsonl", 0, 5)
    files = [{"split": "train", "path": "a.jsonl"}, {"split": "held.out", "path": "b.jsonl"}]
    readme(tmp_path, [{"config_name": "en", "data_files": files}])
    assert opened(tmp_path).manifest["overlaps"][0]["repeats"] == {"en/train": 0, "en/held.out": 0}
    body = card_of(tmp_path)[1]
    assert "that are in `en/train` |" in body
    assert "| en/held.out | 5 | 0 |" in body


def test_what_a_person_wrote_stays_and_so_do_features_that_say_more_than_the_files(tmp_path: Path) -> None:
    write(tmp_path, "train.jsonl")
    label = {"class_label": {"names": {str(i): f"c{i}" for i in range(10)}}}
    info = {"features": [{"name": "text", "dtype": "string"}, {"name": "n", "dtype": label}]}
    text = yaml.safe_dump({"license": "cc0-1.0", "language": ["en"], "dataset_info": info}, sort_keys=False)
    (tmp_path / "README.md").write_text(f"---\n{text}---\n\n# Mine\n\nI wrote this.\n")
    fields, body = card_of(tmp_path)
    assert (fields["license"], fields["language"]) == ("cc0-1.0", ["en"])
    assert fields["dataset_info"]["features"] == info["features"]
    assert fields["dataset_info"]["splits"][0]["num_examples"] == 10
    assert body.startswith("\n# Mine\n\nI wrote this.\n")
    assert "task_categories" not in fields


def test_features_that_datasets_wrote_into_parquet_are_kept(tmp_path: Path) -> None:
    import datasets

    features = datasets.Features({"image": datasets.Image(), "label": datasets.ClassLabel(names=["no", "yes"])})
    rows = datasets.Dataset.from_dict({"image": [{"bytes": b"x", "path": None}] * 3, "label": [0, 1, 0]})
    rows.cast(features).to_parquet(tmp_path / "train.parquet")
    assert card_of(tmp_path)[0]["dataset_info"]["features"] == [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": {"0": "no", "1": "yes"}}}},
    ]
    assert opened(tmp_path).manifest["columns"][0] == {"name": "image", "type": "struct<bytes:binary,path:string>"}


def test_a_damaged_manifest_of_an_earlier_release_is_no_hindrance(tmp_path: Path) -> None:
    write(tmp_path, "train.parquet")
    (tmp_path / "corpus.json").write_text('{"origin": "files", "splits": {"train": {}}}')
    assert splits(tmp_path) == {"train": ["train.parquet"]}


def test_texts_and_pictures_beside_the_rows_go_along_and_the_rest_is_named(tmp_path: Path) -> None:
    for name in ("LICENSE", "plot.png", "notes/how.md", "model.pt", "croissant.json", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    write(tmp_path, "train.parquet")
    source = opened(tmp_path)
    assert [content.path for content in source.files()] == [
        "corpus.json", "train.parquet", "LICENSE", "notes/how.md", "plot.png",
    ]  # fmt: skip
    assert source.left_out == ["model.pt (no file of rows, and no text or picture)"]


# --- which version


@pytest.mark.parametrize(
    ("files", "level"),
    [
        ([("train.parquet", 0, 2000)], Level.PATCH),
        ([("train-0.parquet", 0, 700), ("train-1.parquet", 700, 2000)], Level.PATCH),
        ([("train.jsonl", 0, 2000)], Level.PATCH),
        ([("train-0.parquet", 0, 1500), ("train-1.parquet", 1500, 2600)], Level.MINOR),
        ([("train.parquet", 0, 2000), ("test.parquet", 0, 5)], Level.MINOR),
        ([("train.parquet", 0, 1999)], Level.MAJOR),
        ([("train.parquet", 1, 2001)], Level.MAJOR),
    ],
)
def test_versions_follow_from_rows_whatever_files_hold_them(
    tmp_path: Path, files: Sequence[tuple[str, int, int]], level: Level
) -> None:
    write(tmp_path / "old", "train.parquet", 0, 2000, compression="none")
    for name, start, stop in files:
        write(tmp_path / "new", name, start, stop)
    change = opened(tmp_path / "new").change(opened(tmp_path / "old").manifest, ["data"])
    assert change.level == level, change


def test_another_config_beside_the_old_one_is_an_addition(tmp_path: Path) -> None:
    write(tmp_path, "a.parquet")
    old = opened(tmp_path).manifest
    pq.write_table(pa.table({"z": [1]}), tmp_path / "b.parquet")
    readme(
        tmp_path,
        [{"config_name": "default", "data_files": "a.parquet"}, {"config_name": "b", "data_files": "b.parquet"}],
    )
    change = opened(tmp_path).change(old, ["b.parquet"])
    assert (change.level, change.details) == (Level.MINOR, ("b/train: a new split of 1 rows",))


# --- verification


def test_verification_says_intact_or_what_is_wrong(tmp_path: Path) -> None:
    write(tmp_path, "train-0.parquet", 0, 1500)
    write(tmp_path, "train-1.parquet", 1500, 3000)
    write(tmp_path, "test.parquet", 0, 9)
    manifest = opened(tmp_path).files()[0].source
    assert isinstance(manifest, bytes)
    (tmp_path / "corpus.json").write_bytes(manifest)
    intact = [(f.verdict, f.reason) for f in verify(tmp_path, None)]
    assert intact == [("intact", "as it was published; hubkit did not make its rows")] * 3
    for index in range(2):
        write(tmp_path, f"train-{index}.parquet", index * 1500, index * 1500 + 1500, compression="gzip")
    assert [f.verdict for f in verify(tmp_path)] == ["intact"] * 3
    assert "another writer made the file" in verify(tmp_path)[0].reason
    write(tmp_path, "test.parquet", 1, 10)
    assert [f.verdict for f in verify(tmp_path, None)] == ["intact", "intact", "wrong"]


@pytest.mark.parametrize("file", ["../x.parquet", "/etc/x.parquet", "a/../../x", "a\n.parquet", "a*.parquet", ""])
def test_a_manifest_that_leads_elsewhere_is_refused(tmp_path: Path, file: str) -> None:
    write(tmp_path, "train.parquet")
    manifest = opened(tmp_path).manifest
    manifest["splits"]["train"]["shards"][0]["file"] = file
    (tmp_path / "corpus.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"damaged at splits\.train\.shards\.0\.file"):
        verify(tmp_path)


# --- on a Hub

_LOAD = """
from datasets import load_dataset
for revision in ("v1.0.0", "v1.1.0"):
    rows = load_dataset({repo!r}, revision=revision)
    print(revision, {{split: (len(rows[split]), rows[split][-1]) for split in rows}})
"""


def test_a_folder_is_published_grows_and_loads_by_tag(tmp_path: Path, repo: str, api: HfApi, hub: Hub) -> None:
    folder = tmp_path / "mine"
    write(folder, "data/train-00000.jsonl.gz", 0, 1500)
    write(folder, "data/test.jsonl.gz", 0, 20)
    first = apply(plan(folder, repo, api=api), api)
    assert (first.version, plan(folder, repo, api=api).changes) == ("1.0.0", ())
    write(folder, "data/train-00001.jsonl.gz", 1500, 1600)
    made = plan(folder, repo, api=api)
    sent = {file.path for file in made.changes if file.action is Action.ADD and file.path.startswith("data/")}
    assert (made.version, sent) == ("1.1.0", {"data/train-00001.jsonl.gz"})
    apply(made, api)
    clone = Path(api.snapshot_download(repo, repo_type="dataset", local_dir=tmp_path / "clone"))
    assert plan(clone, repo, api=api).changes == ()
    write(clone, "data/train-00002.jsonl.gz", 1600, 1601)
    assert plan(clone, repo, api=api).version == "1.2.0"
    environment = {**hub.process_environment, "HF_HOME": str(tmp_path / "home")}
    done = subprocess.run(
        [sys.executable, "-c", _LOAD.format(repo=repo)], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.splitlines() == [
        "v1.0.0 {'train': (1500, {'text': 'row 1499', 'n': 1499}), 'test': (20, {'text': 'row 19', 'n': 19})}",
        "v1.1.0 {'train': (1600, {'text': 'row 1599', 'n': 1599}), 'test': (20, {'text': 'row 19', 'n': 19})}",
    ], done.stderr
