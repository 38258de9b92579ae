"""Parquet on a Hub, of which only what is asked for is fetched, and which is asked again when it fails."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx2
import numpy as np
import pyarrow.parquet as pq
import pytest
from huggingface_hub import HfApi, get_session
from huggingface_hub.hf_file_system import HfFileSystemFile

from hubkit import hub_patience
from hubkit.data.parquet import ParquetSplit
from hubkit.data.sources import DatasetSpec
from hubkit.errors import UserError
from hubkit.hub import parquet_files
from hubkit.hub_patience import be_patient, patiently

from .streams import OBJECTIVE, ROWS, TOKENIZER, batches, stream, write
from .test_streaming import ids, settled

COUNTS = [400, 300, 500]


@pytest.fixture
def repo(here: HfApi, tmp_path: Path) -> tuple[str, str, Path]:
    """A dataset on the Hub: name, commit, and the folder that it was uploaded from."""
    name, folder = f"lab/stream-{os.getpid()}-{tmp_path.name}", write(tmp_path / "made", COUNTS, 100)
    here.create_repo(name, repo_type="dataset")
    (folder / "README.md").write_text(
        "---\nconfigs:\n- config_name: small\n  data_files:\n  - {split: train, path: train-00001-*}\n"
        "- config_name: all\n  default: true\n  data_files:\n  - {split: train, path: train-*}\n"
        "  - {split: validation, path: validation.parquet}\n  - {split: test, path: test.parquet}\n---\n"
    )
    commit = here.upload_folder(repo_id=name, repo_type="dataset", folder_path=folder)
    return name, commit.oid, folder


@pytest.fixture
def answers(repo) -> Iterator[list[httpx2.Response]]:
    """What the Hub answers from here on."""
    found: list[httpx2.Response] = []
    be_patient()  # which gives the client another session, so not later
    hooks = get_session().event_hooks["response"]
    hooks.append(found.append)
    yield found
    hooks.remove(found.append)


def test_before_the_first_step_little_is_fetched_and_nothing_of_it_stays(repo, answers, tmp_path):
    name, commit, folder = repo
    made = batches(stream(name, ROWS, pool_rows=200, revision=commit))
    made[0]
    settled()
    files = [answer for answer in answers if ".parquet" in str(answer.request.url)]
    assert files and all(answer.status_code == 206 and "range" in answer.request.headers for answer in files)
    whole = sum(path.stat().st_size for path in folder.glob("train-*"))
    assert sum(len(answer.content) for answer in files) < 0.2 * whole
    for split in ("validation", "test"):
        DatasetSpec(repo=name, streaming=True).load(commit, split, TOKENIZER, tmp_path / "spare", OBJECTIVE.framing)
    kept = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
    assert kept < 0.1 * whole, "the other splits are fetched without that of training"


def test_a_stream_has_the_rows_of_the_split_and_only_of_its_config(repo, tmp_path):
    name, commit, folder = repo
    whole = DatasetSpec(repo=name).load(commit, "train", TOKENIZER, tmp_path / "spare", OBJECTIVE.framing)
    made = batches(stream(name, ROWS, pool_rows=200, revision=commit), size=10)
    rows = sorted(row for step in range(sum(COUNTS) // 10) for row in ids(made, step))
    assert rows == sorted(tuple(whole[row].ids.tolist()) for row in range(len(whole)))
    local = batches(stream(folder, ROWS, pool_rows=200), size=10)
    assert [ids(made, step) for step in range(150)] == [ids(local, step) for step in range(150)]
    assert stream(name, revision=commit, config="small").rows == COUNTS[1]
    with pytest.raises(
        UserError, match=r"lab/stream-\S+ has an unknown split 'dev' \(it has train, validation, test\)"
    ):
        parquet_files(name, commit, "dev")
    with pytest.raises(UserError, match=r"can't load 'train' of .*BuilderConfig 'large' not found"):
        parquet_files(name, commit, "train", "large")
    with pytest.raises(UserError, match=r"can't load 'train' of lab/nobody: Dataset 'lab/nobody' doesn't exist"):
        stream("lab/nobody", revision=commit)


def test_the_row_groups_have_the_numbers_of_their_rows(repo):
    name, commit, folder = repo
    split = ParquetSplit(name, parquet_files(name, commit, "train"), ["text"])
    assert split.rows == sum(COUNTS) and sum(group.rows for group in split.groups) == sum(COUNTS)
    files = sorted(folder.glob("train-*"))
    texts = np.concatenate([pq.read_table(file)["text"].to_numpy() for file in files])
    chosen = [split.groups[place] for place in (7, 0, 11)]
    for group, table in zip(chosen, split.read(chosen), strict=True):
        assert table.column_names == ["text"]
        assert table["text"].to_pylist() == texts[group.first : group.first + group.rows].tolist()
        assert group.bytes < 200 * group.rows, "of the text alone"


def test_footers_beyond_the_limit_are_fetched_again(repo, answers, monkeypatch):
    name, commit, _ = repo
    monkeypatch.setattr("hubkit.data.parquet._KEPT_BYTES", 0)
    split = ParquetSplit(name, parquet_files(name, commit, "train"), ["text"])
    answers.clear()
    (table,) = split.read(split.groups[:1])
    assert table.num_rows == 100 and len(answers) == 2


# --- when the Hub fails ----------------------------------------------------------------------------------------------


@pytest.fixture
def waits(monkeypatch) -> list[float]:
    """How long was waited; nobody does."""
    found: list[float] = []
    monkeypatch.setattr(hub_patience, "_rested", lambda seconds: not found.append(seconds))
    return found


def broken(monkeypatch, times: int, error: Exception) -> None:
    """Let the next requests for a range fail."""
    plain, left = HfFileSystemFile._fetch_range, [error] * times

    def fetch(self, start, end):
        if left:
            raise left.pop()
        return plain(self, start, end)

    monkeypatch.setattr(HfFileSystemFile, "_fetch_range", fetch)


def test_a_network_that_fails_for_a_while_changes_nothing(repo, waits, monkeypatch):
    name, commit, folder = repo
    made = batches(stream(name, ROWS, pool_rows=200, revision=commit), size=10)
    broken(monkeypatch, 3, httpx2.ReadTimeout("slow"))
    local = batches(stream(folder, ROWS, pool_rows=200), size=10)
    assert [ids(made, step) for step in range(40)] == [ids(local, step) for step in range(40)]
    assert waits and set(waits) <= {5.0, 15.0, 45.0}


def test_a_network_that_stays_away_is_told(repo, waits, monkeypatch):
    name, commit, _ = repo
    made = batches(stream(name, ROWS, pool_rows=200, revision=commit), size=10)
    broken(monkeypatch, 1000, httpx2.ConnectError("refused"))
    with pytest.raises(UserError, match=r"can't reach the Hub at http://127\.0\.0\.1:\d+ \(refused\): is it running"):
        made[0]
    assert waits.count(90.0) >= 1


def test_what_the_hub_refuses_is_not_asked_again(waits):
    def ask() -> None:
        raise ValueError("no")

    with pytest.raises(UserError, match=r"the Hub's client failed at lab/x: no"):
        patiently("lab/x", ask)
    assert waits == []


def test_a_program_that_ends_waits_no_longer(monkeypatch):
    monkeypatch.setattr(hub_patience.threading.main_thread(), "is_alive", lambda: False)
    assert not hub_patience._rested(100)
