"""Token corpora: the source's rows in order, as the ids of `tokenizers`; and tokens that somebody made before."""

import sys
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from hubkit.corpora.build import build
from hubkit.corpora.hashing import block_digest
from hubkit.corpora.job import prepare
from hubkit.corpora.manifest import read_manifest
from hubkit.corpora.registry import find, restore
from hubkit.errors import UserError
from hubkit.files import file_sha256
from hubkit.tokenizers import make_tokenizer, save_tokenizer, tokenizer_sha256
from hubkit.tokenizers.bpe import train_bpe
from hubkit.tokenizers.encoding import Encoder

WORDS = [
    "the", "cat", "sat", "on", "mat", "naïve", "猫", "🙂", "theatre", "123", "4567", "it's", "<|endoftext|>", "\n\n",
    "def", "x():", "==", "aaaa",
]  # fmt: skip
ROWS = 2500


def text(row: int) -> str:
    """Return a text of 0 to 39 words that the row's number tells."""
    return " ".join(WORDS[(row * 7 + at * at * 3) % len(WORDS)] for at in range(row * 31 % 40))


TEXTS = [text(row) for row in range(ROWS)]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    save_tokenizer(train_bpe(TEXTS[:500], 320), folder)
    return folder


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    """A folder of somebody's Parquet: train in three files with odd row groups, test in one."""
    folder = tmp_path_factory.mktemp("source") / "somebody"
    (folder / "data").mkdir(parents=True)
    for part, (start, stop) in enumerate([(0, 900), (900, 901), (901, 2300)]):
        write(folder / f"data/train-{part:05d}-of-00003.parquet", start, stop)
    write(folder / "data/test-00000-of-00001.parquet", 2300, ROWS)
    (folder / "README.md").write_text("---\nlicense: cc-by-4.0\n---\nSomebody's.\n")
    return folder


def write(path: Path, start: int, stop: int) -> None:
    columns = {
        "text": TEXTS[start:stop],
        "domain": pa.array([f"d{row % 3}" for row in range(start, stop)]).dictionary_encode(),
        "number": list(range(start, stop)),
    }
    pq.write_table(pa.table(columns), path, row_group_size=333)


@pytest.fixture
def opened(corpus, tokenizer, tmp_path):
    """Return a function that gives a prepared builder."""

    def opened(*overrides: str, source: Path | str = corpus, rules: Path | str = tokenizer):
        given = [f"corpus={source}", f"tokenizer={rules}", *overrides]
        builder = find("tokens", given).builder
        prepare(builder, tmp_path / f"prepared{len(list(tmp_path.iterdir()))}")
        return builder

    return opened


def ids_of(builder, split: str, start: int, stop: int) -> list[list[int]]:
    rows = builder.block(split, start, stop).rows
    assert rows.schema == builder.schema
    rows.validate(full=True)
    return rows["input_ids"].to_pylist()


def expected(tokenizer: Path, texts: list[str], bos: int | None = 0) -> list[list[int]]:
    ids, offsets = Encoder(tokenizer, fast=False).encode_batch(texts)
    begin = [] if bos is None else [bos]
    return [begin + ids[a:b].tolist() for a, b in pairwise(offsets)]


# --- rows ------------------------------------------------------------------------------------------------------------


def test_rows_are_the_source_s_rows_in_order(opened, tokenizer):
    builder = opened()
    assert dict(builder.rows) == {"train": 2300, "test": 200}
    train = [row for start in range(0, 2300, 1024) for row in ids_of(builder, "train", start, min(start + 1024, 2300))]
    assert train == expected(tokenizer, TEXTS[:2300])
    assert ids_of(builder, "test", 0, 200) == expected(tokenizer, TEXTS[2300:])
    assert builder.facts()["encoder"] == "tiktoken"


def test_special_tokens_of_the_text_are_not_the_one_that_begins_a_document(opened):
    rows = ids_of(opened(), "train", 0, 1024)
    assert any("<|endoftext|>" in text for text in TEXTS[:1024])
    assert all(row.count(0) == 1 and row[0] == 0 for row in rows)


@pytest.mark.parametrize(("start", "stop"), [(0, 1), (899, 902), (1024, 2048), (2299, 2300), (333, 1700)])
def test_a_row_does_not_depend_on_what_was_asked_for_before(opened, start, stop):
    builder, whole = opened(), opened()
    ids_of(builder, "train", 500, 1000)
    pieces, step = [], (stop - start + 1) // 2
    for first in range(start, stop, step):
        pieces += ids_of(builder, "train", first, min(first + step, stop))
    assert pieces == ids_of(whole, "train", 0, 2300)[start:stop]


def test_these_rows_never_change(opened):
    # From `block_digest`; another value means another tokenizer by the same training, or other ids.
    rows = opened("eos=<|endoftext|>", "keep=[domain]").block("train", 0, 64).rows
    assert block_digest(rows).hex()[:32] == "41c1de19755a4c62527cfe83e651464e"


@pytest.mark.parametrize(
    ("overrides", "begin", "end"),
    [([], [0], []), (["bos=none"], [], []), (["eos=auto"], [0], [0]), (["bos=none", "eos=Ġ"], [], ["Ġ"])],
)
def test_tokens_around_documents(opened, tokenizer, overrides, begin, end):
    builder = opened(*overrides)
    end = [Encoder(tokenizer).token_id(token) if isinstance(token, str) else token for token in end]
    plain = expected(tokenizer, TEXTS[:100], None)
    assert ids_of(builder, "train", 0, 100) == [begin + row + end for row in plain]


def test_columns_are_passed_on(opened):
    builder = opened("keep=[number, domain, text]")
    rows = builder.block("train", 890, 910).rows
    assert rows.schema.names == ["input_ids", "number", "domain", "text"]
    assert rows["number"].to_pylist() == list(range(890, 910))
    assert rows["domain"].to_pylist() == [f"d{row % 3}" for row in range(890, 910)]
    assert rows["text"].to_pylist() == TEXTS[890:910]


def test_ids_are_as_narrow_as_the_vocabulary_allows(opened, tmp_path):
    assert opened().schema.field("input_ids").type == pa.list_(pa.uint16())
    assert opened("dtype=uint32").schema.field("input_ids").type == pa.list_(pa.uint32())
    full = opened(rules=words(tmp_path / "full.json", 1 << 16), source=source_of(tmp_path / "words", ["w65535 w1"]))
    assert full.block("train", 0, 1).rows["input_ids"].to_pylist() == [[65535, 1]]
    assert full.schema.field("input_ids").type == pa.list_(pa.uint16())
    large = words(tmp_path / "large.json", (1 << 16) + 1)
    assert opened(rules=large).schema.field("input_ids").type == pa.list_(pa.uint32())
    message = "dtype: uint16 holds ids below 65536, and the tokenizer has 65537; set dtype=auto"
    with pytest.raises(UserError, match=message):
        opened("dtype=uint16", rules=large)


def words(path: Path, count: int) -> Path:
    """Write a tokenizer of so many words."""
    backend = Tokenizer(models.WordLevel({f"w{n}": n for n in range(count)}, unk_token="w0"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    backend.save(str(path))
    return path


def test_lorenz_worlds_with_their_own_tokenizer(opened, tmp_path):
    build(find("lorenz-tiny", ["splits={train: 8}"]), tmp_path / "worlds", workers=1)
    builder = opened(source=tmp_path / "worlds", rules="lorenz")
    worlds = pq.read_table(tmp_path / "worlds" / "data")["text"].to_pylist()
    assert ids_of(builder, "train", 0, 8) == make_tokenizer("lorenz")(worlds)["input_ids"]
    assert (builder.facts()["encoder"], builder.origin, builder.license) == ("lorenz", "generated", "apache-2.0")


# --- builds ----------------------------------------------------------------------------------------------------------


def test_a_build_says_what_it_was_made_of(corpus, tokenizer, tmp_path):
    made = build(find("tokens", [f"corpus={corpus}", f"tokenizer={tokenizer}"]), tmp_path / "out", workers=1)
    assert {split: record.rows for split, record in made.splits.items()} == {"train": 2300, "test": 200}
    assert (made.license, made.origin) == ("cc-by-4.0", "found")
    files = [f"data/train-{part:05d}-of-00003.parquet" for part in range(3)]
    named = {source.name: source for source in made.sources}
    assert set(named) == {f"corpus/{file}" for file in [*files, "data/test-00000-of-00001.parquet"]} | {
        "tokenizer/tokenizer.json",
        "tokenizer/tokenizer_config.json",
    }
    for file in files:
        source = named[f"corpus/{file}"]
        assert (source.bytes, source.sha256) == ((corpus / file).stat().st_size, file_sha256(corpus / file))
    assert made.facts == {
        "vocabulary": 320, "bos": 0, "eos": None, "tokenizer": tokenizer.name, "encoder": "tiktoken",
        "tokenizer_sha256": Encoder(tokenizer).sha256,
    }  # fmt: skip
    assert "of somebody as token ids" in made.summary
    ids = pq.read_table(sorted((tmp_path / "out/data").glob("train-*"))[0])["input_ids"].to_pylist()
    assert ids == expected(tokenizer, TEXTS[:2300])


@pytest.mark.parametrize("bos", ["auto", "<|endoftext|>", "none"])
def test_sources_that_are_found_again_give_the_same_rows(opened, corpus, tokenizer, tmp_path, bos):
    """Under the names that the sources are recorded by, wherever they lie."""
    builder, found = opened(f"bos={bos}"), tmp_path / "found"
    for source in builder.sources():
        place, name = source.name.split("/", 1)
        (found / source.name).parent.mkdir(parents=True, exist_ok=True)
        (found / source.name).symlink_to({"corpus": corpus, "tokenizer": tokenizer}[place] / name)
    located = builder.spec.located(found, [source.name for source in builder.sources()])
    again = opened(f"bos={bos}", source=located["corpus"], rules=located["tokenizer"])
    assert ids_of(again, "train", 0, 1024) == ids_of(builder, "train", 0, 1024)
    assert [row[:1] == [0] for row in ids_of(again, "test", 0, 3)] == [bos != "none"] * 3


def test_rows_that_are_written_with_their_own_marks_are_tokens_of_one_symbol_each(opened, tmp_path):
    rows = ["{AB,AAB}", "{B,B}"]
    builder = opened(source=source_of(tmp_path / "pairs", rows), rules="characters:AB")
    assert ids_of(builder, "train", 0, 2) == [["AB{},".index(symbol) for symbol in row] for row in rows]
    assert ids_of(builder, "train", 0, 2) == make_tokenizer("characters:AB")(rows)["input_ids"]
    assert builder.facts()["tokenizer_sha256"] == tokenizer_sha256(make_tokenizer("characters:AB"))
    with pytest.raises(UserError, match=r"column: train: text 0 \('\{C,C\}'\) can't be encoded"):
        opened(source=source_of(tmp_path / "others", ["{C,C}"]), rules="characters:AB").block("train", 0, 1)


def test_a_corpus_of_hubkit_s_own_is_a_source_too(corpus, tokenizer, tmp_path):
    arguments = [f"tokenizer={tokenizer}", "splits=[train]"]
    # A corpus of tokens that keeps its text is itself a corpus with a manifest.
    first = build(find("tokens", [f"corpus={corpus}", "keep=[text]", *arguments]), tmp_path / "1", 1, 1024)
    second = build(find("tokens", [f"corpus={tmp_path / '1'}", *arguments]), tmp_path / "2", 1)
    plain = build(find("tokens", [f"corpus={corpus}", *arguments]), tmp_path / "3", 1)
    assert len(first.splits["train"].shards) == 3
    assert second.splits["train"].rows_sha256 == plain.splits["train"].rows_sha256
    assert second.license == "cc-by-4.0"


def test_a_limit_keeps_the_first_rows(corpus, tokenizer, tmp_path):
    given = [f"corpus={corpus}", f"tokenizer={tokenizer}"]
    made = build(find("tokens", given, limit=5), tmp_path / "out", workers=1)
    assert {split: record.rows for split, record in made.splits.items()} == {"train": 5, "test": 5}
    assert find("tokens", [*given, "max_rows=3"], limit=5).builder.spec.max_rows == 3


def test_another_process_goes_on_from_the_preparation_alone(opened, corpus):
    builder = opened()
    other = restore("tokens", builder.spec.model_dump(mode="json") | {"tokenizer": "gone/gone"})
    other.prepared = builder.prepared
    assert ids_of(other, "train", 0, 50) == ids_of(builder, "train", 0, 50)


# --- what is wrong is named ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["column=nothing"], r"column: .* has no 'nothing' \(it has text, domain, number\)"),
        (["column=number"], "column: 'number' of .* holds int64; name a column of text"),
        (["splits=[dev]"], r"splits: .* has no 'dev' \(it has train, test\)"),
        (["splits=[]"], "splits: "),
        (["keep=[nothing]"], r"keep: .* has no 'nothing'"),
        (["keep=[input_ids]"], "keep: 'input_ids' is the name of the ids; rename"),
        (["keep=[text, text]"], "keep: .* names a column twice; once is enough"),
        (["bos=nothing"], "bos: the tokenizer has no token 'nothing'; name one that it has, or set bos=none"),
        (["eos=nothing"], "eos: the tokenizer has no token 'nothing'; name one that it has, or set eos=none"),
        (["revision=v1"], "revision: .* is on this machine and has none; leave it out"),
        (["max_rows=0"], "max_rows: "),
        (["dtype=int8"], "dtype: "),
        (["tokenizer=nothing"], "tokenizer: 'nothing' is no folder, no file and no repository"),
        (["corpus=nothing"], "corpus: 'nothing' is no folder, no file and no repository OWNER/NAME; check the path"),
    ],
)
def test_the_field_that_is_wrong_is_named(corpus, tokenizer, tmp_path, overrides, message):
    with pytest.raises(UserError, match=message):
        build(find("tokens", [f"corpus={corpus}", f"tokenizer={tokenizer}", *overrides]), tmp_path / "out", workers=1)


def source_of(folder: Path, texts: list) -> Path:
    folder.mkdir()
    pq.write_table(pa.table({"text": pa.array(texts, pa.string())}), folder / "any.parquet")
    return folder


def test_a_row_without_text_is_named(opened, tmp_path):
    builder = opened(source=source_of(tmp_path / "null", ["a"] * 5 + [None, "b"]))
    with pytest.raises(UserError, match="column: row 5 of train has no text; leave such rows out of the source"):
        builder.block("train", 2, 7)


def test_a_text_that_can_t_be_spelled_is_named(opened, tmp_path):
    builder = opened(source=source_of(tmp_path / "odd", ["[1]", "[2]", "no world"]), rules="lorenz")
    with pytest.raises(UserError, match=r"column: train: text 2 \('no world'\) can't be encoded"):
        builder.block("train", 1, 3)


def test_sources_that_are_damaged_or_change_are_refused(opened, tmp_path, corpus, tokenizer):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no Parquet; make a corpus of it first"):
        opened(source=tmp_path / "empty")
    (tmp_path / "lines.jsonl").write_text("{}")
    with pytest.raises(UserError, match=r"lines.jsonl is not Parquet; make a corpus of it first"):
        opened(source=tmp_path / "lines.jsonl")
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(UserError, match=r"bad.parquet is not Parquet \(.*\); replace it"):
        opened(source=tmp_path / "bad.parquet")
    builder = opened(source=source_of(tmp_path / "changes", ["a"] * 9))
    pq.write_table(pa.table({"text": [str(row) for row in range(9)]}), tmp_path / "changes" / "any.parquet")
    with pytest.raises(UserError, match="is not the file that it was; build into an empty folder"):
        builder.block("train", 0, 9)
    build(find("tokens", [f"corpus={corpus}", f"tokenizer={tokenizer}", "keep=[text]"]), tmp_path / "ours", workers=1)
    shard = next((tmp_path / "ours/data").glob("test-*"))
    good = shard.read_bytes()
    shard.write_bytes(good[:50] + bytes([good[50] ^ 1]) + good[51:])
    with pytest.raises(UserError, match=r"is not the file that its corpus.json describes; build that corpus again"):
        opened(source=tmp_path / "ours")
    (tmp_path / "cut.parquet").write_bytes(good[:-9] + b"x" + good[-8:])
    with pytest.raises(UserError, match=r"parquet is damaged \(.*\); replace it"):
        opened(source=tmp_path / "cut.parquet")


# --- tokens that somebody made before --------------------------------------------------------------------------------

TOKENS = np.arange(100_003, dtype=np.int64) * 7919 % 320


@pytest.fixture
def flat(tmp_path) -> Path:
    """A file of tokens beside things that are none."""
    with h5py.File(tmp_path / "old.h5", "w") as file:
        file.create_dataset("group/tokens", data=TOKENS, chunks=(4096,))
        file.create_dataset("matrix", data=np.zeros((3, 3), np.int64))
        file.create_dataset("losses", data=np.zeros(3))
    return tmp_path / "old.h5"


def test_old_tokens_are_cut_into_chunks_and_contiguous_splits(opened, flat):
    builder = opened("chunk=1000", "shares={train: 3, test: 1}", source=flat)
    assert dict(builder.rows) == {"train": 76, "test": 25}
    rows = ids_of(builder, "train", 0, 76) + ids_of(builder, "test", 0, 20) + ids_of(builder, "test", 20, 25)
    assert [len(row) for row in rows] == [1000] * 100 + [3]
    assert np.array_equal(np.concatenate(rows), TOKENS)
    assert builder.schema.field("input_ids").type == pa.list_(pa.uint16())
    assert builder.facts()["tokens"] == 100_003
    assert (builder.sources()[0].name, builder.sources()[0].sha256) == ("corpus/old.h5", file_sha256(flat))


def test_a_build_of_old_tokens(flat, tokenizer, tmp_path):
    corpus = find("tokens", [f"corpus={flat}", f"tokenizer={tokenizer}", "chunk=100"])
    made = build(corpus, tmp_path / "out", workers=1)
    assert {split: record.rows for split, record in made.splits.items()} == {"train": 981, "validation": 20}
    assert read_manifest(tmp_path / "out").facts["tokens"] == 100_003


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["dataset=nothing"], r"dataset: .* has no 'nothing' of one dimension \(it has group/tokens\)"),
        (["chunk=0"], "chunk: "),
        (["chunk=100000"], "shares: validation=0.02 of 2 chunks is none; raise it, lower chunk, or leave it out"),
        (["shares={train: 0}"], "shares.train: "),
        (["keep=[text]"], "keep: .* has no columns; leave keep out"),
        (["splits=[train]"], "splits: of an .h5 file, shares says which splits there are; leave splits out"),
        (["corpus=nothing.h5"], "corpus: can't read nothing.h5 as HDF5: .*; check the path"),
    ],
)
def test_what_is_wrong_with_old_tokens_is_named(opened, flat, overrides, message):
    with pytest.raises(UserError, match=message):
        opened(*overrides, source=flat)


def test_two_rows_of_integers_are_told_apart_by_name(opened, flat):
    with h5py.File(flat, "a") as file:
        file.create_dataset("more", data=np.ones(50, np.uint8))
    with pytest.raises(UserError, match=r"dataset: which one of .* holds the tokens\? \(it has group/tokens, more\)"):
        opened(source=flat)
    assert ids_of(opened("dataset=more", "shares={all_of_it: 1}", source=flat), "all_of_it", 0, 1) == [[1] * 50]


@pytest.mark.parametrize("token", [320, -1])
def test_a_token_beyond_the_vocabulary_is_named(opened, flat, token):
    with h5py.File(flat, "a") as file:
        file["group/tokens"][70_001] = token
    builder = opened("chunk=1000", "shares={train: 1}", source=flat)
    assert len(ids_of(builder, "train", 0, 70)) == 70
    with pytest.raises(
        UserError, match=f"token 70001 of .* is {token}, and the tokenizer has the ids 0 to 319; name the"
    ):
        builder.block("train", 0, 101)


def test_without_h5py_its_extra_is_named(opened, flat, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(UserError, match=r"corpus: reading .*old.h5 needs h5py; pip install 'hubkit\[h5\]'"):
        opened(source=flat)
