"""`hubkit diff` over the real embedded Hub."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd, HfApi
from safetensors.numpy import save_file

from hubkit.errors import UserError
from hubkit.publishing import apply, plan
from hubkit.publishing.diff import diff

from .folders import make_corpus, make_evaluation, make_model, make_space


def publish(folder: Path, repo: str, api: HfApi) -> None:
    apply(plan(folder, repo, api=api), api)


def upload(repo: str, api: HfApi, files: dict[str, bytes], tag: str, repo_type: str = "dataset") -> None:
    operations = [CommitOperationAdd(path, data) for path, data in files.items()]
    api.create_commit(repo, operations, commit_message=tag, repo_type=repo_type)
    api.create_tag(repo, tag=tag, repo_type=repo_type)


def parquet(folder: Path, texts: list[str], **columns: Any) -> bytes:
    pq.write_table(pa.table({"text": texts, **columns}), folder / "x.parquet")
    return (folder / "x.parquet").read_bytes()


def test_of_a_corpus_only_shards_that_differ_are_read(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "2", {"train": 3500, "test": 100, "more": 2}), repo, api)
    found = diff(repo, "v1.0.0", "v1.1.0", api=api, examples=2)
    train, test, more = found.splits
    assert (train.old_rows, train.new_rows, train.same, train.counts["added"]) == (3000, 3500, 3000, 500)
    assert train.read == 3  # the last of the old shards, and the last two of the new ones
    assert (test.differs, test.read) == (False, 0)
    assert (more.old_rows, more.counts["added"]) == (0, 2)
    assert [example.new for example in train.examples["added"]] == [
        {"text": "a train 3000", "number": 3000},
        {"text": "a train 3001", "number": 3001},
    ]
    assert {change.path: (change.old, change.new) for change in found.fields["spec"]} == {
        "splits.train": (3000, 3500),
        "splits.more": (None, 2),
    }
    assert '+rows = load_dataset("' in found.card
    text = found.render()
    assert '  train: 3,000 → 3,500 rows; 500 added\n    + 3000  text: "a train 3000", number: 3000\n' in text
    assert "    … and 498 more added\n  test: 100 rows; all the same\n" in text
    assert json.loads(json.dumps(found.to_json()))["splits"][0]["counts"]["added"] == 500


def test_the_same_rows_in_other_files_are_not_read(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "2", {"train": 3000, "test": 100}, compression="gzip"), repo, api)
    found = diff(repo, "v1.0.0", "v1.0.1", api=api)
    assert [(split.read, split.differs) for split in found.splits] == [(0, False), (0, False)]
    assert [change.path for change in found.fields["made by"]] == ["writer.compression"]
    assert "files:\n  change  CHANGELOG.md" in found.render()


def test_changed_rows_show_the_columns_that_differ(tmp_path: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    rows = [f"row {i} " + "long " * 30 for i in range(50)]
    upload(repo, api, {"data/train.parquet": parquet(tmp_path, rows, n=list(range(50)))}, "old")
    new = list(rows)
    new[7] = new[7][:-3] + "end"
    new[20], new[30] = new[30], new[20]
    upload(repo, api, {"data/train.parquet": parquet(tmp_path, new, n=list(range(50)))}, "new")
    [train] = diff(repo, "old", "new", api=api).splits
    assert train.counts == {"added": 0, "removed": 0, "changed": 3, "moved": 0}
    assert [example.old_index for example in train.examples["changed"]] == [7, 20, 30]
    assert list(train.examples["changed"][0].old or {}) == ["text"]
    line = next(line for line in diff(repo, "old", "new", api=api).render().splitlines() if "end" in line)
    assert line == '        text: …long long long " → …long long loend"'


def test_a_dataset_of_others_is_compared_by_its_files(tmp_path: Path, repo: str, api: HfApi) -> None:
    api.create_repo(repo, repo_type="dataset")
    shards = {f"data/train-{i}.parquet": parquet(tmp_path, [f"{i} {j}" for j in range(10)]) for i in range(3)}
    upload(repo, api, {**shards, "test.jsonl": b'{"text": "x"}\n'}, "v1")
    upload(repo, api, {"data/train-2.parquet": parquet(tmp_path, ["2 0", "new"])}, "v2")
    train, test = diff(repo, "v1", "v2", api=api).splits
    assert (train.old_rows, train.new_rows, train.same) == (30, 22, 21)
    assert train.counts == {"added": 0, "removed": 8, "changed": 1, "moved": 0}
    assert train.read == 2  # of the two shards that stayed only the footer
    assert (test.same, test.differs) == (1, False)
    # Another column: rows are compared by what both have, and the schema says the rest.
    upload(repo, api, {"data/train-2.parquet": parquet(tmp_path, ["2 0", "new"], n=[1, 2])}, "v3")
    found = diff(repo, "v2", "v3", api=api)
    assert (found.splits[0].columns, found.splits[0].differs) == (("text",), False)
    assert [(change.path, change.old, change.new) for change in found.fields["columns"]] == [("n", None, "int64")]
    assert "compared by the columns that both have: text" in found.render()


def test_a_model_s_weights_config_and_numbers(tmp_path: Path, repo: str, api: HfApi) -> None:
    old, new = make_evaluation(make_model(tmp_path / "1")), make_evaluation(make_model(tmp_path / "2"))
    weights = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(3, np.float32)}
    save_file(weights, old / "model.safetensors")
    changed = {
        "a": weights["a"] + np.eye(2, 3, dtype=np.float32) / 4,
        "b": np.ones((3, 1), np.float32),
        "c": np.ones(1),
    }
    save_file({**changed, "d": weights["b"]}, new / "model.safetensors")
    run = json.loads((new / "run.json").read_text())
    run["recipe"]["model"]["hidden"] = 16
    run["datasets"][0]["release"] = "v1.1.0"
    run["datasets"][0]["revision"] = "a" * 40
    (new / "run.json").write_text(json.dumps(run))
    for folder, values in ((old, (0.26, 0.4)), (new, (0.5, 0.4))):
        evaluation = json.loads((folder / "evaluation.json").read_text())
        names = ("top-1 accuracy", "top-2 accuracy")
        pairs = zip(names, values, strict=True)
        metrics = [{"type": "accuracy", "name": name, "value": value} for name, value in pairs]
        evaluation["results"][0]["metrics"] = metrics
        (folder / "evaluation.json").write_text(json.dumps(evaluation))
    publish(old, repo, api)
    publish(new, repo, api)
    found = diff(repo, "v1.0.0", "v1.1.0", api=api)
    assert found.weights is not None
    assert (found.weights.tensors, found.weights.largest) == (2, 0.25)
    assert {change.name: (change.old, change.new, change.largest) for change in found.weights.changes} == {
        "a": ("F32 [2, 3]", "F32 [2, 3]", 0.25),
        "b": ("F32 [3]", "F32 [3, 1]", None),
        "c": (None, "F64 [1]", None),
        "d": (None, "F32 [3]", None),
    }
    shown = {name: [(c.path, c.old, c.new) for c in changes] for name, changes in found.fields.items()}
    assert shown["recipe"] == [("model.hidden", 8, 16)]
    assert shown["pins"] == [("datasets.lab/counting", "v1.0.0", "v1.1.0")]
    assert shown["evaluation"] == [("integer part masked.lab/counting test.top-1 accuracy", 0.26, 0.5)]
    assert "  ~ a F32 [2, 3]: 0.25\n" in found.render()


def test_a_space_is_compared_by_pins_and_files(tmp_path: Path, repo: str, api: HfApi) -> None:
    publish(make_model(tmp_path / "m"), f"{repo}-m", api)
    first = api.model_info(f"{repo}-m").sha
    publish(make_model(tmp_path / "m2", b"\1" * 16), f"{repo}-m", api)
    second = api.model_info(f"{repo}-m").sha
    for number, commit in enumerate((first, second)):
        publish(make_space(tmp_path / str(number), [{"repo": f"{repo}-m", "revision": str(commit)}]), repo, api)
    found = diff(repo, "v1.0.0", "v1.1.0", api=api)
    assert [(c.path, c.old, c.new) for c in found.fields["pins"]] == [(f"models.{repo}-m", first, second)]
    assert "space.json" in {file.path for file in found.files}


def test_revisions_must_be_there_and_in_order(corpus: Path, repo: str, api: HfApi) -> None:
    publish(corpus, repo, api)
    publish(make_corpus(corpus.parent / "2", {"train": 3500, "test": 100}), repo, api)
    with pytest.raises(UserError, match=f"v1.1.0 comes after v1.0.0: write `hubkit diff {repo} v1.0.0 v1.1.0`"):
        diff(repo, "v1.1.0", "v1.0.0", api=api)
    with pytest.raises(UserError, match=f"{repo} has no revision 'v7': `hubkit releases {repo}` lists"):
        diff(repo, "v7", "v1.0.0", api=api)
    with pytest.raises(UserError, match="has no model"):
        diff(repo, "v1.0.0", "v1.1.0", repo_type="model", api=api)
    with pytest.raises(UserError, match="--rows: -1 is not a number of examples"):
        diff(repo, "v1.0.0", "v1.1.0", examples=-1, api=api)
    assert diff(repo, "main", "v1.1.0", api=api).render().endswith("no file differs")
