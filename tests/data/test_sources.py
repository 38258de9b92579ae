"""Datasets: on the Hub's cache, in a folder that hubkit built, in a file of tokens; and what is kept from training."""

import json
import re
from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest
from pydantic import ValidationError

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.data.encoding import Framing
from hubkit.data.reading import ReadingSpec
from hubkit.data.sources import DatasetSpec, Local, recorded
from hubkit.data.tokens import TokenRows
from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.hub import Commit
from hubkit.tokenizers.bpe import train_bpe

DOCUMENTS = 400
WHOLE = Framing()


def document(number: int) -> str:
    """Return a text whose words occur in no other."""
    return " ".join(f"{letter}{number:03d}" for letter in "ABCDEFGHIJKLMNOP"[: 4 + number % 12])


@pytest.fixture(scope="module")
def tokenizer():
    return train_bpe([document(number) for number in range(DOCUMENTS)], 300)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """Return a corpus of documents with splits, as hubkit builds it."""
    folder = tmp_path_factory.mktemp("corpus")
    lines = (json.dumps({"text": document(number)}) for number in range(DOCUMENTS))
    (folder / "documents.jsonl").write_text("".join(f"{line}\n" for line in lines))
    found = find("text", [f"files={folder / 'documents.jsonl'}", "shares={train: 0.8, validation: 0.1, test: 0.1}"])
    build(found, folder / "built", workers=1, overlap=False)
    return folder / "built"


@pytest.fixture
def alone(tmp_path) -> Path:
    """Return a folder of Parquet that has a split for training alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = tmp_path / "alone"
    folder.mkdir()
    table = pa.table({"text": [document(number) for number in range(DOCUMENTS)]})
    pq.write_table(table, folder / "train-00000-of-00001.parquet")
    return folder


@pytest.fixture
def flat(tmp_path) -> Path:
    """Return one long row of tokens, each of which says where it stands."""
    with h5py.File(tmp_path / "en.h5", "w") as file:
        file.create_dataset("tokens", data=np.arange(1000) % 300, chunks=(64,))
    return tmp_path / "en.h5"


def read(data: DatasetSpec, tokenizer, spare: Path, framing: Framing = WHOLE) -> dict[str, TokenRows]:
    revision = data.pin().revision if data.repo is None else ""
    names = (data.train, data.validation, data.test)
    return {name: data.load(revision, name, tokenizer, spare, framing) for name in names}


def documents_of(rows: TokenRows, tokenizer, length: int, stride: int) -> Counter[int]:
    """Return the documents whose tokens windows show, by the numbers in their words; parts of words say nothing."""
    windows = ReadingSpec(form="windows", length=length, stride=stride).make(rows, 0, "here")
    texts = (tokenizer.decode(windows[number].ids) for number in range(len(windows)))
    return Counter(int(number) for text in texts for number in re.findall(r"[A-P](\d{3})", text))


@pytest.mark.parametrize(("length", "stride"), [(16, 16), (32, 15), (7, 1), (20, 33)])
@pytest.mark.parametrize("held_out", [None, 0.1])
def test_no_document_of_validation_is_seen_in_training_whatever_the_windows(
    corpus, alone, tokenizer, tmp_path, length, stride, held_out
):
    """A split by windows with a stride of half a window shows 99 % of the tokens of validation in training."""
    data = DatasetSpec(folder=corpus) if held_out is None else DatasetSpec(repo=str(alone), held_out=held_out)
    parts = read(data, tokenizer, tmp_path)
    seen = {name: documents_of(rows, tokenizer, length, stride) for name, rows in parts.items()}
    assert all(len(found) > 10 for found in seen.values())
    assert not seen["train"].keys() & (seen["validation"].keys() | seen["test"].keys())
    assert not seen["validation"].keys() & seen["test"].keys()
    # In the rows themselves too, and nothing is lost.
    rows = {name: {tuple(part[n].ids.tolist()) for n in range(len(part))} for name, part in parts.items()}
    assert len(set.union(*rows.values())) == sum(map(len, rows.values())) == DOCUMENTS


@pytest.mark.parametrize("held_out", [None, 0.1])
def test_rows_as_they_are_come_in_the_order_of_their_tokens(corpus, tokenizer, tmp_path, held_out):
    data = DatasetSpec(folder=corpus, held_out=held_out)
    for name, tokens in read(data, tokenizer, tmp_path).items():
        texts = data.rows("", name, ["text"])
        assert texts.column_names == ["text"]
        assert texts["text"] == [tokenizer.decode(tokens[number].ids) for number in range(len(tokens))]
    assert data.splits == (("train",) if held_out else ("train", "validation", "test"))
    with pytest.raises(UserError, match=r"dataset\.tokens: en\.h5 has tokens alone, and no text"):
        DatasetSpec(tokens=Path("en.h5")).rows("", "test", ["text"])


def test_a_leak_would_be_seen(tokenizer, alone, tmp_path):
    """No document is too short to be recognised by what windows show of it."""
    rows = DatasetSpec(repo=str(alone)).load("", "train", tokenizer, tmp_path, WHOLE)
    seen = documents_of(rows, tokenizer, 32, 15)
    assert len(seen) == DOCUMENTS


def test_a_corpus_that_was_built_here_is_pinned_by_its_rows(corpus, tokenizer, tmp_path):
    data = DatasetSpec(folder=corpus)
    pin = data.pin()
    assert isinstance(pin, Local) and pin.path == "built" and len(pin.revision) == 64
    assert recorded(pin) == {"path": "built", "sha256": pin.revision}
    other = tmp_path / "renamed"
    other.mkdir()
    manifest = json.loads((corpus / "corpus.json").read_bytes())
    manifest["splits"]["test"]["rows_sha256"] = "0" * 64
    (other / "corpus.json").write_text(json.dumps(manifest))
    assert DatasetSpec(folder=other).pin().revision != pin.revision
    texts = [tokenizer.decode(rows[0].ids) for rows in read(data, tokenizer, tmp_path).values()]
    assert len(set(texts)) == 3


def test_a_commit_is_recorded_as_such():
    commit = Commit("lab/worlds", "a" * 40, "v1.0.0")
    assert recorded(commit) == {"repo": "lab/worlds", "revision": "a" * 40, "release": "v1.0.0"}


def test_a_file_of_tokens_is_cut_into_ranges_that_do_not_meet(flat, tokenizer, tmp_path):
    data = DatasetSpec(tokens=flat, held_out=0.1)
    assert data.pin() == Local("en.h5", file_sha256(flat))
    parts = read(data, tokenizer, tmp_path / "spare")
    assert [len(rows) for rows in parts.values()] == [1, 1, 1]
    found = {name: rows[0].ids for name, rows in parts.items()}
    assert found["train"].tolist() == [place % 300 for place in range(800)] and found["train"].dtype == np.uint16
    assert found["validation"].tolist() == [place % 300 for place in range(800, 900)]
    assert found["test"].tolist() == [place % 300 for place in range(900, 1000)]
    windows = ReadingSpec(form="windows", length=64, stride=50).make(parts["validation"], 0, "here")
    assert windows[0].ids.tolist() == [place % 300 for place in range(800, 864)] and len(windows) == 1


def test_a_file_of_tokens_is_copied_once_and_a_worker_gets_its_name(flat, tokenizer, tmp_path, monkeypatch):
    import pickle

    data = DatasetSpec(tokens=flat)
    first = read(data, tokenizer, tmp_path / "spare")
    monkeypatch.setattr("hubkit.data.flat_tokens._copy", None)
    again = read(data, tokenizer, tmp_path / "spare")
    assert len(first["test"][0].ids) == 10, "a hundredth, where nothing else is said"
    sent = pickle.dumps(again["train"])
    assert len(sent) < 1000
    assert pickle.loads(sent)[0].ids.tolist() == first["train"][0].ids.tolist()
    assert len(list((tmp_path / "spare").iterdir())) == 1


def test_what_is_wrong_with_a_file_of_tokens_is_named(flat, tokenizer, tmp_path):
    with pytest.raises(UserError, match=r"dataset\.tokens: can't read .*nothing\.h5: No such file"):
        DatasetSpec(tokens=tmp_path / "nothing.h5").pin()
    with pytest.raises(UserError, match=r"dataset\.held_out: 0\.0001 of the 1000 tokens of en\.h5 is none; raise it"):
        read(DatasetSpec(tokens=flat, held_out=0.0001), tokenizer, tmp_path)
    with h5py.File(flat.with_name("wide.h5"), "w") as file:
        file["tokens"] = np.zeros((1, 9), np.int32)
    wide = DatasetSpec(tokens=flat.with_name("wide.h5"))
    with pytest.raises(UserError, match=r"no row of integers \(it has tokens: int32 of shape \(1, 9\)\); write the"):
        read(wide, tokenizer, tmp_path)
    with h5py.File(flat, "a") as file:
        file["tokens"][7] = 300
        file.create_dataset("more", data=np.zeros(500, int))
    with pytest.raises(UserError, match=r"dataset\.config: which one of .* holds the tokens\? \(it has more, tokens\)"):
        read(DatasetSpec(tokens=flat), tokenizer, tmp_path)
    with pytest.raises(
        UserError, match=r"dataset\.tokens: token 7 of .* is 300, and the tokenizer has the ids 0 to 299"
    ):
        read(DatasetSpec(tokens=flat, config="tokens"), tokenizer, tmp_path)
    assert read(DatasetSpec(tokens=flat, config="more"), tokenizer, tmp_path)["test"].lengths.tolist() == [5]


def test_a_split_that_is_missing_is_named_with_the_mend(alone, corpus, tokenizer, tmp_path):
    data = DatasetSpec(repo=str(alone))
    with pytest.raises(
        UserError,
        match=r"can't load 'test' of .* by dataset\.test, or hold rows of train out by dataset\.held_out=0\.01",
    ):
        data.load("", "test", tokenizer, tmp_path, WHOLE)
    with pytest.raises(UserError, match=r"built has an unknown split 'dev'.* by dataset\.validation, or hold rows"):
        DatasetSpec(folder=corpus, validation="dev").load("", "dev", tokenizer, tmp_path, WHOLE)
    with pytest.raises(UserError, match=r"has no 'words'"):
        DatasetSpec(folder=corpus, column="words").load("", "test", tokenizer, tmp_path, WHOLE)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, r"name one of repo, folder and tokens \(none is given\)"),
        ({"repo": "a/b", "tokens": "en.h5"}, r"name one of repo, folder and tokens \(repo and tokens are given\)"),
        ({"folder": "x", "revision": "main"}, "revision: this is for a repository, and folder is given; leave it out"),
        ({"folder": "x", "config": "big"}, "config: this is for a repository, and folder is given"),
        ({"repo": "a/b", "held_out": 0.1, "test": "validation"}, "held_out: what is held out needs names of its own"),
        ({"repo": "a/b", "held_out": 0.5}, "less than 0.5"),
    ],
)
def test_what_names_no_data_is_refused(values, message):
    with pytest.raises(ValidationError, match=message):
        DatasetSpec.model_validate(values)


def test_what_is_written_down_has_no_folders_of_this_machine(tmp_path):
    data = DatasetSpec(tokens=tmp_path / "en.h5")
    assert data.model_dump(mode="json")["tokens"] == "en.h5" and str(tmp_path) not in data.canonical_json()
    assert data.tokens == tmp_path / "en.h5" and data.name == "en.h5"
    assert DatasetSpec(repo="a/b", config="big").name == "a/b big"
