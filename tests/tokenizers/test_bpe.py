"""Training a byte-level BPE: the same texts give the same file, and it loads without hubkit."""

import json
import os
import subprocess
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from hubkit.cli import tokenizers as cli
from hubkit.errors import UserError
from hubkit.tokenizers import tokenizer_sha256
from hubkit.tokenizers.bpe import RECORD, check_settings, save_trained, train_bpe
from hubkit.tokenizers.merging import WORDS, byte_letters

LINES = ["the cat sat on the mat", "the theatre is there, the cats' too", "naïve café 猫 🙂", "x <|endoftext|> y"] * 5


def test_ids_are_special_tokens_then_bytes_then_merges():
    tokenizer = train_bpe(LINES, 300, ["<|endoftext|>", "<|pad|>"])
    vocabulary = tokenizer.get_vocab()
    tokens = sorted(vocabulary, key=vocabulary.__getitem__)
    assert tokens[:2] == ["<|endoftext|>", "<|pad|>"]
    assert tokens[2:258] == sorted(byte_letters())
    assert len(tokens) == len(tokenizer) == 300
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.unk_token) == (0, 0, None)
    assert tokenizer.backend_tokenizer.normalizer is None
    assert tokenizer("any text\x00 at all: \U0010ffff é", add_special_tokens=True)["input_ids"]


def test_merges_are_those_of_the_definition():
    # Slowly: count pairs in words, merge the most frequent, of equals the one with the lower ids.
    import re

    pattern = WORDS.replace(r"\p{L}", "a-z").replace(r"\p{N}", "0-9").replace(r" ?a-z+", " ?[a-z]+")
    pattern = pattern.replace(r" ?0-9+", " ?[0-9]+")
    texts = ["abab abc bcbc cab", "cabbage abacus bab", "abc abc cba"] * 2
    letters, ids = byte_letters(), {}
    for letter in sorted(letters):
        ids[letter] = 1 + len(ids)
    words = Counter(
        tuple(letters[byte] for byte in word.encode()) for text in texts for word in re.findall(pattern, text)
    )
    merges = []
    while len(merges) < 14:
        pairs = Counter()
        for word, count in words.items():
            for pair in pairwise(word):
                pairs[pair] += count
        best = min(pairs, key=lambda pair: (-pairs[pair], ids[pair[0]], ids[pair[1]]))
        if pairs[best] < 2:
            break
        merges.append(best)
        ids.setdefault("".join(best), 1 + len(ids))
        words = Counter({merged(word, best): count for word, count in words.items()})
    assert len(merges) == 14
    found = json.loads(train_bpe(texts, 257 + len(merges)).backend_tokenizer.to_str())["model"]["merges"]
    assert [tuple(merge) for merge in found] == merges


def merged(word: tuple[str, ...], pair: tuple[str, str]) -> tuple[str, ...]:
    parts, at = [], 0
    while at < len(word):
        width = 2 if word[at : at + 2] == pair else 1
        parts.append("".join(word[at : at + width]))
        at += width
    return tuple(parts)


def test_special_tokens_in_the_texts_are_ordinary_text():
    assert "text" in "".join(train_bpe(["<|endoftext|>"] * 50, 270).get_vocab().keys() - {"<|endoftext|>"})


def test_one_endless_word_does_not_hold_training_up():
    state, letters = 1, []
    for _ in range(400_000):
        state = state * 1103515245 + 12345 & 0x7FFFFFFF
        letters.append("abcdefghijklmnop"[state >> 16 & 15])
    assert len(train_bpe(["".join(letters)], 1500)) == 1500


@pytest.mark.parametrize(
    ("vocabulary", "special", "message"),
    [
        (257, ["a", "b"], r"vocab-size: 257 is less than the 256 bytes and 2 special tokens; take at least 258"),
        (1 << 31, ["a"], r"vocab-size: 2147483648 is more than ids can number; take less"),
        (300, [" "], r"special: ' ' is empty; name a token such as <\|endoftext\|>"),
        (300, ["a", "b", "a"], r"special: 'a' is named twice; once is enough"),
    ],
)
def test_impossible_settings_are_refused(vocabulary, special, message):
    with pytest.raises(UserError, match=message):
        check_settings(vocabulary, special)
    with pytest.raises(UserError, match=message):
        train_bpe(LINES, vocabulary, special)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_no_text_is_refused(texts):
    with pytest.raises(UserError, match="corpus: there is no text to train on; name another column or split"):
        train_bpe(texts, 300)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    with pytest.raises(UserError, match=r"is not empty; name another folder"):
        save_trained(train_bpe(LINES, 270), tmp_path, {})
    with pytest.raises(UserError, match=r"mine.txt is a file; name a folder"):
        save_trained(train_bpe(LINES, 270), tmp_path / "mine.txt", {})
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def corpus(tmp_path):
    """A folder of Parquet in two files, with a row that has no text."""
    folder = tmp_path / "corpus" / "data"
    folder.mkdir(parents=True)
    for part in range(2):
        rows = [*LINES, None, str(part) * 9]
        path = folder / f"train-{part:05d}-of-00002.parquet"
        pq.write_table(pa.table({"text": rows, "n": list(range(len(rows)))}), path, row_group_size=7)
    return folder.parent


@pytest.fixture
def run(monkeypatch, tmp_path):
    app = typer.Typer()
    cli.register(app)
    app.command("another")(lambda: None)
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object):
        return CliRunner().invoke(app, ["tokenizer", "train", *(str(argument) for argument in arguments)])

    return run


def test_the_command_trains_on_a_folder_and_records_what_it_did(run, corpus, tmp_path):
    done = run(corpus, "-o", tmp_path / "out", "--vocab-size", 290, "--json")
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert json.loads(done.stdout) == record
    assert record["rows"] == 42
    assert record["settings"] == {"vocab_size": 290, "special": ["<|endoftext|>"], "limit": None}
    assert list(record["corpus"]["files"]) == ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet"]
    assert "2 rows had no text and were left out" in done.stderr
    expected = train_bpe([*LINES, "0" * 9, *LINES, "1" * 9], 290)
    assert record["tokenizer_sha256"] == tokenizer_sha256(expected)


def test_json_lines_and_a_limit(run, tmp_path):
    lines = tmp_path / "lines.jsonl"
    lines.write_text("".join(json.dumps({"text": line}) + "\n" for line in LINES))
    done = run(lines, "-o", "out", "--vocab-size", 5000, "--limit", 3)
    assert done.exit_code == 0, done.output
    record = json.loads((tmp_path / "out" / RECORD).read_text())
    assert (record["rows"], record["settings"]["limit"]) == (3, 3)
    assert f"for {record['vocabulary']:,} ids only, of 5,000 asked for" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vocab-size", 9], "vocab-size: 9 is less than"),
        (["--column", "nothing"], r"column: .* has no 'nothing' \(it has text, n\)"),
        (["--column", "n"], "column: 'n' of .* holds int64; name a column of text"),
        (["--split", "test"], r"split.*: .* has no 'test' \(it has train\)"),
        (["--limit", 0], "limit: 0 rows is less than one; raise it or leave it out"),
        (["--revision", "v1"], "revision: .* is on this machine and has none; leave it out"),
    ],
)
def test_the_command_names_the_field_that_is_wrong(run, corpus, arguments, message):
    done = run(corpus, "-o", "out", *arguments)
    assert isinstance(done.exception, UserError)
    with pytest.raises(UserError, match=message):
        raise done.exception
    assert not Path("out").exists()


def test_a_corpus_that_is_not_there_is_named(run):
    done = run("no/such/folder", "-o", "out")
    assert str(done.exception) == (
        "corpus: 'no/such/folder' is no folder, no file and no repository OWNER/NAME; check the path"
    )


TRAIN = """
import sys
from pathlib import Path
from hubkit.tokenizers.bpe import save_trained, train_bpe
lines = [f"{n * 7919 % 1000} {'abcdefg'[n % 7] * (n % 5)} the {n % 97}cat" for n in range(3000)]
save_trained(train_bpe(lines, 600), Path(sys.argv[1]), {})
"""

LOAD = """
import sys
from transformers import AutoTokenizer, PreTrainedTokenizerFast
tokenizer = AutoTokenizer.from_pretrained(sys.argv[1])
assert isinstance(tokenizer, PreTrainedTokenizerFast), type(tokenizer)
assert tokenizer.decode(tokenizer("the 7cat, naïve")["input_ids"]) == "the 7cat, naïve"
assert tokenizer.convert_tokens_to_ids(tokenizer.bos_token) == 0
assert not [name for name in sys.modules if name.partition(".")[0] == "hubkit"]
"""


def test_other_processes_and_threads_make_the_same_and_it_loads_without_hubkit(tmp_path):
    def python(code: str, folder: Path, **environment: str) -> None:
        subprocess.run([sys.executable, "-c", code, str(folder)], check=True, env=os.environ | environment)

    python(TRAIN, tmp_path / "one", RAYON_NUM_THREADS="1", PYTHONHASHSEED="1")
    python(TRAIN, tmp_path / "two", RAYON_NUM_THREADS="4", PYTHONHASHSEED="2")
    files = [sorted(path.name for path in (tmp_path / name).iterdir()) for name in ("one", "two")]
    assert files[0] == files[1] == ["tokenizer.json", "tokenizer_config.json", RECORD]
    for name in files[0]:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    python(LOAD, tmp_path / "one", HF_HUB_OFFLINE="1")
