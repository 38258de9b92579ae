"""The map-style JSONL dataset: offsets, splits, workers, and what is wrong with a file."""

import json
import os
import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerFast

from hubkit.errors import UserError
from hubkit.training import jsonl
from hubkit.training.jsonl import JsonlDataset


class Letters:
    """A tokenizer that can be checked by eye, and pickled."""

    pad_token_id = 7

    def __call__(self, text: str) -> dict[str, list[int]]:
        return {"input_ids": [ord(letter) for letter in text]}


def row(number: int) -> dict:
    return {"text": f"document {number} ä" + "…" * (number % 40), "meta": {"pile_set_name": "x", "n": number}}


def write(path: Path, count: int = 200, first: int = 0) -> Path:
    path.write_text("".join(json.dumps(row(first + i), ensure_ascii=i % 2 == 0) + "\n" for i in range(count)))
    return path


def test_each_document_is_read_where_it_lies(tmp_path):
    data = JsonlDataset([write(tmp_path / "a.jsonl", 3), write(tmp_path / "b.jsonl", 2, first=3)], "all")
    assert len(data) == 5 and list(data) == [row(number) for number in range(5)]
    assert data[-1] == row(4) and data[-5] == row(0)
    for index in (5, -6):
        with pytest.raises(IndexError, match=f"document {index} of 5"):
            data[index]


texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=24)


@settings(max_examples=40, deadline=None)
@given(
    lines=st.lists(st.one_of(texts, st.just(None)), max_size=12),
    end=st.sampled_from(["\n", "\r\n"]),
    closed=st.booleans(),
    bom=st.booleans(),
    chunk=st.integers(1, 40),
)
def test_the_index_finds_what_splitting_lines_finds(tmp_path_factory, lines, end, closed, bom, chunk):
    """Blank lines (None here), line ends of either kind, none at the end, a byte-order mark, lines across chunks."""
    path = tmp_path_factory.mktemp("any") / "x.jsonl"
    body = end.join("  " if text is None else json.dumps({"text": text}) for text in lines) + end * closed
    path.write_bytes(b"\xef\xbb\xbf" * bom + body.encode())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonl, "_CHUNK", chunk)
        data = JsonlDataset(path, "all", min_characters=4)
    assert [item["text"] for item in data] == [text for text in lines if text is not None and len(text) >= 4]


def test_short_texts_are_left_out_by_characters_not_bytes(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_text("".join(json.dumps({"text": text}) + "\n" for text in ("ä" * 9, "ä" * 10, "", "a" * 11)))
    assert [len(item["text"]) for item in JsonlDataset(path, "all")] == [10, 11]
    assert [len(item["text"]) for item in JsonlDataset(path, "all", min_characters=0)] == [9, 10, 0, 11]


# --- the held-out side -----------------------------------------------------------------------------------------------


def numbers(data: JsonlDataset) -> set[int]:
    return {item["meta"]["n"] for item in data}


def test_the_sides_share_no_document_and_make_up_all(tmp_path):
    path = write(tmp_path / "a.jsonl", 3000)
    train, held = (numbers(JsonlDataset(path, side, held_out=0.1)) for side in ("train", "held_out"))
    assert train | held == set(range(3000)) and not train & held
    assert 230 < len(held) < 370  # 4 standard deviations
    other = numbers(JsonlDataset(path, "held_out", held_out=0.1, seed=1))
    assert len(other & held) < 70  # chance would have 30
    assert held < numbers(JsonlDataset(path, "held_out", held_out=0.2))


def test_the_side_hangs_on_the_text_alone(tmp_path):
    whole = write(tmp_path / "whole.jsonl", 400)
    parts = [write(tmp_path / "z.jsonl", 150, first=250), write(tmp_path / "y.jsonl", 250)]
    assert numbers(JsonlDataset(whole, "held_out", held_out=0.3)) == numbers(
        JsonlDataset(parts, "held_out", held_out=0.3)
    )


@pytest.mark.parametrize(("share", "count"), [(0.0, 0), (1.0, 50)])
def test_none_or_all_can_be_held_out(tmp_path, share, count):
    path = write(tmp_path / "a.jsonl", 50)
    held, train = (JsonlDataset(path, side, held_out=share) for side in ("held_out", "train"))
    assert (len(held), len(train)) == (count, 50 - count) and len(list(held)) == count


def test_the_split_is_the_same_tomorrow(tmp_path):
    path = write(tmp_path / "a.jsonl", 60)
    assert sorted(numbers(JsonlDataset(path, "held_out", held_out=0.1))) == GOLDEN


GOLDEN = [17, 21, 28, 33, 40, 42, 59]


# --- loaders ---------------------------------------------------------------------------------------------------------


def byte_tokenizer() -> PreTrainedTokenizerFast:
    """What transformers has, with a token for each byte."""
    letters = {letter: number for number, letter in enumerate(sorted(ByteLevel.alphabet()))}
    inner = Tokenizer(BPE(letters, []))
    inner.pre_tokenizer = ByteLevel(add_prefix_space=False)
    return PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="!")


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_workers_see_what_one_process_sees(tmp_path, method):
    data = JsonlDataset(write(tmp_path / "a.jsonl", 40), "all", tokenizer=byte_tokenizer())
    alone = [data.collate([data[i] for i in range(start, start + 8)]) for start in range(0, 40, 8)]
    loader = DataLoader(data, batch_size=8, num_workers=2, multiprocessing_context=method, collate_fn=data.collate)
    for mine, theirs in zip(alone, loader, strict=True):
        assert all(torch.equal(mine[name], theirs[name]) for name in ("input_ids", "attention_mask"))


def test_a_pickle_holds_paths_and_no_text(tmp_path):
    data = JsonlDataset(write(tmp_path / "a.jsonl", 500), held_out=0.5)
    pickled = pickle.dumps(data)
    assert len(pickled) < 2000 + 4 * len(data)
    assert list(pickle.loads(pickled)) == list(data)


def test_tokens_come_as_tensors_also_one_document_at_a_time(tmp_path):
    path = write(tmp_path / "a.jsonl", 3)
    data = JsonlDataset(path, "all", tokenizer=Letters(), max_tokens=12)
    assert data[1].dtype == torch.int64 and data[1].tolist() == [ord(letter) for letter in row(1)["text"]][:12]
    shapes = [batch.shape for batch in DataLoader(data, batch_size=1)]
    assert shapes == [(1, 12)] * 3
    full = JsonlDataset(path, "all", tokenizer=Letters())
    batch = full.collate([full[0], full[2]])
    length = len(row(0)["text"])
    assert batch["attention_mask"].sum(1).tolist() == [length, length + 2]
    assert batch["input_ids"][0, length:].tolist() == [Letters.pad_token_id] * 2
    assert next(iter(DataLoader(full, batch_size=1, collate_fn=full.collate)))["input_ids"].shape == (1, length)
    plain = JsonlDataset(path, "all")
    assert next(iter(DataLoader(plain, batch_size=2, collate_fn=plain.collate))) == [row(0), row(1)]


# --- the index -------------------------------------------------------------------------------------------------------


def test_the_index_is_made_once_and_again_when_it_must_be(tmp_path, monkeypatch):
    path, made = write(tmp_path / "a.jsonl", 5), []
    scan = jsonl._scan
    monkeypatch.setattr(jsonl, "_scan", lambda *given: made.append(1) or scan(*given))
    for expected, fields in [(1, {}), (1, {}), (1, {"seed": 3}), (2, {"min_characters": 11}), (2, {})]:
        JsonlDataset(path, **fields)
        assert len(made) == expected
    os.utime(path, ns=(1, 1))
    JsonlDataset(path)
    assert len(made) == 3
    write(path, 6)
    assert len(JsonlDataset(path, "all")) == 6 and len(made) == 4


def test_an_index_is_small_and_goes_where_it_is_told(tmp_path):
    path = write(tmp_path / "a.jsonl", 300)
    JsonlDataset(path, cache=tmp_path / "indexes")
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith(".")] == []
    (index,) = (tmp_path / "indexes").glob("*.npy")
    assert index.stat().st_size <= 24 * 300 + 128


def test_a_file_that_changed_is_not_read_at_old_offsets(tmp_path):
    path = write(tmp_path / "a.jsonl", 5)
    pickled = pickle.dumps(JsonlDataset(path))
    write(path, 6)
    with pytest.raises(UserError, match="changed since its index was made; make the dataset again"):
        pickle.loads(pickled)


# --- what is wrong ---------------------------------------------------------------------------------------------------

BAD = [
    ('{"text": "cut', "not JSON: unexpected end of data at character"),
    ("[1, 2]", "a list; an object with the field 'text' is needed"),
    ('{"txt": "a"}', r"no field 'text' \(known: txt\)"),
    ('{"text": 3}', "'text' is a int; a text is needed"),
]


@pytest.mark.parametrize(("line", "reason"), BAD, ids=["cut", "list", "field", "number"])
def test_bad_lines_are_named_by_file_and_line(tmp_path, line, reason):
    path = tmp_path / "x.jsonl"
    path.write_text(f"{json.dumps(row(0))}\n\n{line}\n{json.dumps(row(1))}\n{line}\n")
    with pytest.raises(UserError, match=rf"x.jsonl:3: {reason}.*; 2 such lines in all; mend them, or set bad_lines="):
        JsonlDataset(path)
    data = JsonlDataset(path, "all", bad_lines="skip")
    assert list(data) == [row(0), row(1)] and [bad.line for bad in data.bad_lines] == [3, 5]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"held_out": 1.5}, "held_out: 1.5 is not between 0 and 1"),
        ({"split": "test"}, r"split: 'test' is unknown \(known: train, held_out, all\)"),
        ({"bad_lines": "drop"}, "bad_lines: 'drop' is unknown"),
        ({"files": "none.jsonl"}, "files: can't read .*none.jsonl: No such file or directory"),
    ],
    ids=["share", "split", "bad-lines", "missing"],
)
def test_impossible_values_are_refused(tmp_path, fields, message):
    with pytest.raises(UserError, match=message):
        JsonlDataset(**{"files": write(tmp_path / "a.jsonl", 2), **fields})


def test_packed_files_are_refused(tmp_path):
    for magic, packer in jsonl._PACKED.items():
        path = tmp_path / packer
        path.write_bytes(magic + bytes(20))
        with pytest.raises(UserError, match=f"is packed with {packer}, .* unpack it"):
            JsonlDataset(path)
        assert [entry.name for entry in tmp_path.iterdir()] == [packer]
        path.unlink()


def test_a_folder_that_cannot_hold_an_index_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cache: can't write the index of .* name a folder that can be written to"):
        JsonlDataset(write(tmp_path / "a.jsonl", 2), cache=tmp_path / "file")


def test_an_empty_file_holds_no_documents(tmp_path):
    for name, content in {"empty": "", "blank": "\n \n", "short": '{"text": "a"}\n'}.items():
        (tmp_path / name).write_text(content)
    data = JsonlDataset([tmp_path / "empty", tmp_path / "blank", tmp_path / "short"], "all")
    assert len(data) == 0 and list(data) == [] and list(pickle.loads(pickle.dumps(data))) == []
    assert len(JsonlDataset([])) == 0
