"""The text family: which documents become which rows, whatever files they come in; and what is told of the others."""

import bz2
import gzip
import json
import lzma
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hubkit.corpora.build import build
from hubkit.corpora.hashing import BLOCK_ROWS, block_digest, rows_sha256
from hubkit.corpora.registry import find
from hubkit.corpora.verify import verify
from hubkit.errors import UserError
from hubkit.resources import load_module, resource

text = load_module(resource("dataset_builders", "text.py"), "hubkit.dataset_builders.text")

DOCUMENTS = Path(__file__).parent / "data" / "text" / "documents.jsonl"
ROWS_SHA256 = "4062c8e91cace35dcff62503631113aa6f7797f7604677cf4eb2531de0f0a083"
"""Of the rows of `DOCUMENTS`, the splits one after the other."""
WAYS = {"": bytes, ".gz": gzip.compress, ".zst": zstandard.compress, ".xz": lzma.compress, ".bz2": bz2.compress}

Prepare = Callable[..., "text.Text"]


@pytest.fixture
def prepare(tmp_path_factory) -> Prepare:
    """Make a builder of fields of the spec, and do its preparation."""

    def prepare(files, **fields):
        builder = text.Text(text.TextSpec.build({"files": [str(file) for file in files]} | fields))
        folder = tmp_path_factory.mktemp("prepared")
        pieces = [folder / str(number) for number in range(len(builder.pieces()))]
        for path, name in zip(pieces, builder.pieces(), strict=True):
            path.mkdir()
            builder.prepare(name, path)
        builder.prepared = folder / "joined"
        builder.prepared.mkdir()
        builder.join(pieces, builder.prepared)
        return builder

    return prepare


def write(path: Path, documents, way: str = "") -> Path:
    """Write documents (texts, or whole records) as JSON Lines."""
    records = [{"text": document} if isinstance(document, str) else document for document in documents]
    path.write_bytes(WAYS[way]("".join(json.dumps(record) + "\n" for record in records).encode()))
    return path


def batches(builder) -> dict[str, pa.Table]:
    """All rows, by split."""
    return {
        split: pa.Table.from_batches([block.rows for block in builder.blocks(split, 0, rows)], builder.schema)
        for split, rows in builder.rows.items()
    }


def texts(builder) -> dict[str, list[str]]:
    return {split: table["text"].to_pylist() for split, table in batches(builder).items()}


# --- rows ------------------------------------------------------------------------------------------------------------


def test_golden(prepare):
    builder = prepare([DOCUMENTS], shares={"train": 2, "test": 1})
    assert builder.rows == {"train": 12, "test": 8}
    digests = [
        block_digest(block.rows) for split, rows in builder.rows.items() for block in builder.blocks(split, 0, rows)
    ]
    assert rows_sha256(digests) == ROWS_SHA256


def test_a_row_is_the_record(prepare, tmp_path):
    records = [
        {"text": "one", "meta": {"b": 2, "a": {"deep": [1]}}, "url": "u", "n": 2**80},
        {"text": "two", "meta": "{'pile_set_name': 'ArXiv'}"},
        {"text": "three", "meta": [None]},
        {"text": "four", "meta": None},
    ]
    builder = prepare([write(tmp_path / "some.jsonl", records)], shares={"train": 1})
    assert batches(builder)["train"].to_pylist() == [
        {"text": name, "meta": meta, "extra": extra, "domain": domain, "source": "some.jsonl"}
        for name, meta, extra, domain in [
            ("one", '{"a":{"deep":[1]},"b":2}', '{"n":1208925819614629174706176,"url":"u"}', "some"),
            ("two", "\"{'pile_set_name': 'ArXiv'}\"", None, "ArXiv"),
            ("three", "[null]", None, "some"),
            ("four", None, None, "some"),
        ]
    ]


def test_licences_of_the_sample_may_be_copied():
    allowed = {"public domain (US government work)", "CC0-1.0 / US public domain", "CC BY 2.5"}
    assert {json.loads(line)["meta"]["licence"] for line in DOCUMENTS.open()} == allowed


def test_the_same_rows_however_they_are_stored(prepare, tmp_path):
    expected, hashes = None, set()
    for way, compress in WAYS.items():
        folder = tmp_path / f"way{way}"
        folder.mkdir()
        (folder / f"documents.jsonl{way}").write_bytes(compress(DOCUMENTS.read_bytes()))
        builder = prepare([folder])
        rows = {split: table.drop(["source"]) for split, table in batches(builder).items()}
        expected = expected or rows
        assert rows == expected
        (source,) = builder.sources()
        assert source.bytes == (folder / f"documents.jsonl{way}").stat().st_size
        hashes.add(source.sha256)
    assert len(hashes) == len(WAYS)


def test_parts_are_one_source(prepare, tmp_path):
    content = gzip.compress(DOCUMENTS.read_bytes())
    (tmp_path / "x.jsonl.gz.000").write_bytes(content[:3000])
    (tmp_path / "x.jsonl.gz.001").write_bytes(content[3000:])
    builder = prepare([tmp_path], shares={"train": 1})
    assert builder.rows == {"train": 20}
    assert [source.bytes for source in builder.sources()] == [len(content)]
    assert set(batches(builder)["train"]["source"].to_pylist()) == {"x.jsonl.gz"}


def test_sources_are_named_below_what_they_share(prepare, tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "x.jsonl", [folder])
    builder = prepare([tmp_path], shares={"train": 1})
    assert batches(builder)["train"]["source"].to_pylist() == ["a/x.jsonl", "b/x.jsonl"]


# --- splits ----------------------------------------------------------------------------------------------------------


def test_a_document_keeps_its_split(prepare, tmp_path):
    words = [f"document {number}" for number in range(3000)]
    shares = {"train": 0.5, "validation": 0.25, "test": 0.25}
    alone = texts(prepare([write(tmp_path / "one.jsonl", words)], shares=shares))
    halves = [write(tmp_path / "b.jsonl", [*words[1000:2000], "x"]), write(tmp_path / "a.jsonl", ["y", *words[:1000]])]
    for split, rows in texts(prepare(halves, shares=shares)).items():
        assert set(rows) - {"x", "y"} == set(alone[split]) & set(words[:2000])
    assert [round(len(rows) / 300) for rows in alone.values()] == [5, 3, 2]


def test_seeds_differ(prepare, tmp_path):
    path = write(tmp_path / "one.jsonl", [f"document {number}" for number in range(1000)])
    first, second = (texts(prepare([path], seed=seed, shares={"a": 1, "b": 1}))["a"] for seed in (0, 1))
    assert 150 < len(set(first) & set(second)) < 350


def test_split_field(prepare, tmp_path):
    splits = ["test", "dev", "train", None, "all", "Train", 3, "validation", "train"]
    records = [{"text": f"document {number}", "meta": {"split": split}} for number, split in enumerate(splits)]
    builder = prepare([write(tmp_path / "a.jsonl", records)], split_field="meta.split")
    assert list(builder.rows.items()) == [("train", 2), ("validation", 1), ("test", 1), ("dev", 1)]
    assert texts(builder)["train"] == ["document 2", "document 8"]
    assert builder.facts()["quarantined"] == {"no split": 4}


def test_limit_keeps_the_first_rows(prepare):
    shares = {"train": 1, "test": 1}
    whole, some = (texts(prepare([DOCUMENTS], shares=shares, **limit)) for limit in ({}, {"limit": 3}))
    assert some == {split: rows[:3] for split, rows in whole.items()}
    assert text.TextSpec(files=("a",), limit=5).limited(9) == {"limit": 5}
    assert text.TextSpec(files=("a",)).limited(9) == {"limit": 9}


# --- which documents -------------------------------------------------------------------------------------------------


@given(st.lists(st.lists(st.text("abé", min_size=1, max_size=3), max_size=12), min_size=1, max_size=3))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_duplicates_go_the_first_stays(prepare, tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("files")
    paths = [write(folder / f"{number}.jsonl", documents) for number, documents in enumerate(files)]
    expected = list(dict.fromkeys(document for documents in files for document in documents))
    if not expected:
        with pytest.raises(UserError, match="files: no document is left"):
            prepare(paths)
        return
    builder = prepare(paths, shares={"train": 1})
    assert texts(builder)["train"] == expected
    assert builder.facts()["duplicates"] == sum(map(len, files)) - len(expected)


def test_near_duplicates_go_on_request(prepare, tmp_path):
    pytest.importorskip("datatrove")
    (one, other, *_) = (json.loads(line)["text"] for line in DOCUMENTS.open())
    path = write(tmp_path / "a.jsonl", [one, other, one.upper(), one])
    assert prepare([path], shares={"train": 1}).rows == {"train": 3}
    builder = prepare([path], shares={"train": 1}, near_duplicates="minhash")
    assert texts(builder)["train"] == [one, other]
    assert (builder.facts()["duplicates"], builder.facts()["near_duplicates"]) == (1, 1)
    assert "datatrove" in builder.libraries


def test_filters(prepare, tmp_path):
    path = write(tmp_path / "a.jsonl", ["a", "bb", "ccc", "dddd", "éé", "a"])
    builder = prepare([path], shares={"train": 1}, min_characters=2, max_characters=3)
    assert texts(builder)["train"] == ["bb", "ccc", "éé"]
    assert builder.facts()["filtered"] == {"max_characters": 1, "min_characters": 2}


def test_masking_comes_before_everything(prepare, tmp_path):
    path = write(tmp_path / "a.jsonl", ["by a@b.cc", "by d@e.ff", "no address, no d@e, more than 8 long"])
    builder = prepare([path], shares={"train": 1}, mask_emails=True, email_mask="[x]", max_characters=6)
    assert texts(builder)["train"] == ["by [x]"]
    assert (builder.facts()["duplicates"], builder.facts()["domains"]["a"]["masked"]) == (1, 1)


def test_masking_beside_the_text(prepare, tmp_path):
    records = [{"text": "x", "meta": {"by": ["\na@b.cc"]}, "url": "mailto:d@e.ff"}, {"text": "y", "meta": None}]
    builder = prepare([write(tmp_path / "a.jsonl", records)], shares={"train": 1}, mask_emails=True, email_mask='"')
    one, two = batches(builder)["train"].to_pylist()
    assert (json.loads(one["meta"]), json.loads(one["extra"])) == ({"by": ['\n"']}, {"url": 'mailto:"'})
    assert (two["meta"], two["extra"]) == (None, None)


# --- what is told ----------------------------------------------------------------------------------------------------


def test_facts_count_what_is_in_the_corpus(prepare):
    facts = prepare([DOCUMENTS, DOCUMENTS.parent], licences={"Wikinews": "cc-by-2.5"}).facts()
    documents = [json.loads(line) for line in DOCUMENTS.open()]
    assert set(facts["domains"]) == {document["meta"]["pile_set_name"] for document in documents}
    for name, domain in facts["domains"].items():
        own = [document["text"] for document in documents if document["meta"]["pile_set_name"] == name]
        assert (domain["documents"], domain["characters"]) == (len(own), sum(map(len, own)))
        assert domain["bytes"] == sum(len(text.encode()) for text in own)
        assert domain["words"] == sum(len(text.split()) for text in own)
        assert "tokens" not in domain
        assert "masked" not in domain
    assert facts["domains"]["Wikinews"]["licences"] == {"cc-by-2.5": 7}
    assert facts["domains"]["US Code"]["licences"] == {"public domain (US government work)": 7}


def test_tokens_by_a_tokenizer(prepare, tmp_path):
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.enable_truncation(2)
    tokenizer.add_special_tokens(["<|end of text|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    path = write(tmp_path / "a.jsonl", ["a b a", "a <|end of text|>"])
    for name in (tmp_path, tmp_path / "tokenizer.json"):
        assert prepare([path], count_tokens=str(name)).facts()["domains"]["a"]["tokens"] == 7
    with pytest.raises(UserError, match=r"count_tokens: .*a\.jsonl can't be loaded"):
        prepare([path], count_tokens=str(path))


BAD = b'{"text": "good"}\n{"text": 3}\n\n{"text": "cut\n{"text": "\xff"}\n{"text": "fine"}\n'


def test_quarantine(prepare, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(BAD)
    (tmp_path / "b.jsonl").write_bytes(gzip.compress(DOCUMENTS.read_bytes())[:-2000])
    builder = prepare([tmp_path], shares={"train": 1}, max_bad_files=1)
    lines = [json.loads(line) for line in builder.reports()["quarantine.jsonl"].open()]
    assert [(line["file"], line["line"]) for line in lines[:3]] == [("a.jsonl", 2), ("a.jsonl", 4), ("a.jsonl", 5)]
    assert [line["raw"] for line in lines[:3]] == ['{"text": 3}', '{"text": "cut', '{"text": "\\xff"}']
    assert all(line["reason"] for line in lines)
    assert lines[-1]["file"] == "b.jsonl"
    assert "cut short" in lines[-1]["reason"]
    assert sum(builder.facts()["quarantined"].values()) == len(lines) == 4
    assert texts(builder)["train"][:2] == ["good", "fine"]
    assert len(texts(builder)["train"]) > 3


def test_nothing_to_report(prepare):
    assert prepare([DOCUMENTS]).reports() == {}


def test_one_pattern_needs_no_list():
    assert text.TextSpec.build({}, ["files=data/*.jsonl"]).files == ("data/*.jsonl",)


def test_too_much_that_is_bad_stops(prepare, tmp_path):
    (tmp_path / "a.jsonl").write_bytes(BAD)
    with pytest.raises(UserError, match=r"max_bad: 3 of 5 records are bad, and 2 are borne \(.*raise.*a\.jsonl:2: "):
        prepare([tmp_path], max_bad=0, max_bad_share=0.5)
    assert prepare([tmp_path], max_bad=0, max_bad_share=0.6).rows
    assert prepare([tmp_path], max_bad=3, max_bad_share=0).rows


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"files": []}, "files: "),
        ({"files": ["nothing/*.jsonl"]}, "files: .*nothing"),
        ({"shares": {"train": 0}}, "shares.train: "),
        ({"shares": {"all": 1}}, "choose another name"),
        ({"min_characters": 9, "max_characters": 3}, "max_characters: 3 is less than min_characters=9.*raise it"),
        ({"min_characters": 10**6}, r'files: no document is left \(.*"min_characters":20.*mend'),
        ({"form": {"encoding": "klingon"}}, "form.encoding: no such encoding"),
        ({"near_duplicates": "simhash"}, "near_duplicates: .*minhash"),
    ],
)
def test_impossible_specs(prepare, fields, told):
    with pytest.raises(UserError, match=told):
        prepare(**{"files": [DOCUMENTS]} | fields)


def test_a_domain_field_of_too_many_values(prepare, tmp_path, monkeypatch):
    monkeypatch.setattr("hubkit.corpora.documents.index.MOST_NAMES", 3)
    path = write(tmp_path / "a.jsonl", [{"text": str(number), "url": str(number)} for number in range(4)])
    with pytest.raises(UserError, match="domain_field: there are more than 3 of them"):
        prepare([path], domain_field="url")
    assert prepare([path]).rows


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("b.jsonl.gz", gzip.compress(DOCUMENTS.read_bytes())[:-2000], "b.jsonl.gz: cut short: the gzip data end"),
        ("b.jsonl.gz", gzip.compress(DOCUMENTS.read_bytes())[:-8], "b.jsonl.gz: cut short"),
        ("b.jsonl", b"PK\x03\x04" + bytes(100), "b.jsonl: not text: it is a zip archive; unpack it"),
    ],
)
def test_a_file_that_cannot_be_read_to_its_end_stops(prepare, tmp_path, name, content, told):
    write(tmp_path / "a.jsonl", ["good"])
    (tmp_path / name).write_bytes(content)
    with pytest.raises(
        UserError, match=rf"max_bad_files: 1 of 2 files could not .* 0 are borne \({told}.*raise max_bad"
    ):
        prepare([tmp_path])
    assert texts(prepare([tmp_path], max_bad_files=1, shares={"train": 1}))["train"][0] == "good"


def test_trailing_bytes_break_no_file(prepare, tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(DOCUMENTS.read_bytes()) + b"rubbish")
    builder = prepare([tmp_path], shares={"train": 1})
    assert builder.rows == {"train": 20}
    assert builder.facts()["quarantined"] == {"trailing bytes": 1}


# --- spans of a big file ---------------------------------------------------------------------------------------------


@pytest.fixture
def small_spans(monkeypatch):
    monkeypatch.setattr("hubkit.reading.spans.SPAN_BYTES", 2000)


def told(builder):
    """All that a builder says."""
    reports = {name: path.read_bytes() for name, path in builder.reports().items()}
    return batches(builder), builder.facts(), builder.sources(), reports


@pytest.mark.parametrize("fields", [{}, {"near_duplicates": "minhash"}, {"limit": 700}])
def test_spans_change_nothing(prepare, tmp_path, request, fields):
    if fields.get("near_duplicates"):
        pytest.importorskip("datatrove")
    words = [f"document {number % 900} {'é' * (number % 50)} and so on, and on and on" for number in range(1000)]
    lines = write(tmp_path / "b.jsonl", words).read_bytes().splitlines()
    bad = [b'{"text": 3}', b"", b"no JSON"] * 3
    (tmp_path / "b.jsonl").write_bytes(b"\r\n".join([*bad, *lines[:500], *bad, *lines[500:], *bad]))
    write(tmp_path / "a.jsonl", ["one", "two"])
    write(tmp_path / "c.jsonl", ["three", "document 0  and so on, and on and on"])
    fields = fields | {"max_bad": 1000, "shares": {"train": 2, "test": 1}}
    whole = prepare([tmp_path], **fields)
    assert len(whole.pieces()) == 3
    expected = told(whole)
    request.getfixturevalue("small_spans")
    cut = prepare([tmp_path], **fields)
    assert len(cut.pieces()) > 20
    assert told(cut) == expected
    assert [line["line"] for line in map(json.loads, expected[3]["quarantine.jsonl"].splitlines())][-1] == 1027
    with pytest.raises(UserError, match=r"max_bad: 18 of 1,022 .*b\.jsonl:3: not JSON.*b\.jsonl:512: "):
        prepare([tmp_path], **fields | {"max_bad": 0, "max_bad_share": 0})


@pytest.mark.usefixtures("small_spans")
def test_spans_of_two_versions_are_refused(tmp_path):
    path = write(tmp_path / "a.jsonl", [f"document {number}" for number in range(200)])
    pieces = []
    for number, name in enumerate(text.Text(text.TextSpec(files=(str(path),))).pieces()):
        os.utime(path, ns=(number // 2, number // 2))
        builder = text.Text(text.TextSpec(files=(str(path),)))  # each in a process of its own
        pieces.append(tmp_path / str(number))
        pieces[-1].mkdir()
        builder.prepare(name, pieces[-1])
    with pytest.raises(UserError, match=r"files: a\.jsonl changed while it was read; run the same command again"):
        builder.join(pieces, tmp_path)


# --- rows anywhere ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def many(tmp_path_factory) -> Path:
    """Some blocks of short documents in three files."""
    folder = tmp_path_factory.mktemp("many")
    for number, way in enumerate([".gz", "", ".zst"]):
        write(
            folder / f"{number}.jsonl{way}",
            [f"{number} {document} {'x' * (document % 50)}" for document in range(2500)],
            way,
        )
    return folder


def test_rows_do_not_depend_on_where_one_begins(prepare, many):
    builder = prepare([many], shares={"train": 3, "test": 1})
    whole = texts(builder)
    assert sum(map(len, whole.values())) == 7500
    random = np.random.default_rng(0)
    for _ in range(40):
        split = ("train", "test")[random.integers(2)]
        start = int(random.integers(len(whole[split])))
        stop = int(random.integers(start, min(len(whole[split]), start + BLOCK_ROWS))) + 1
        stop = min(stop, len(whole[split]))
        assert builder.block(split, start, stop).rows["text"].to_pylist() == whole[split][start:stop]


def test_no_source_is_read_twice(prepare, tmp_path):
    path = write(tmp_path / "a.jsonl", ["one", "two"])
    builder = prepare([path], shares={"train": 1})
    path.unlink()
    assert builder.block("train", 1, 2).rows["text"].to_pylist() == ["two"]


def test_a_source_that_changes_while_it_is_read_is_refused(prepare, tmp_path, monkeypatch):
    path = write(tmp_path / "a.jsonl", ["one", "two"])
    monkeypatch.setattr(text, "mask_emails", lambda text, mask: (os.utime(path, ns=(1, 1)), (text, 0))[1])
    with pytest.raises(UserError, match="changed while it was read"):
        prepare([path], mask_emails=True)


# --- through the engine ----------------------------------------------------------------------------------------------


def test_two_workers_build_the_same_rows(prepare, many, tmp_path):
    shares = {"train": 3, "test": 1}
    builder = prepare([many], shares=shares)
    corpus = find("text", [f"files=[{many}]", f"shares={json.dumps(shares)}"])
    manifest = build(corpus, tmp_path / "out", workers=2, shard_rows=BLOCK_ROWS)
    assert {name: split.rows for name, split in manifest.splits.items()} == builder.rows
    for name, split in manifest.splits.items():
        digests = [block_digest(block.rows) for block in builder.blocks(name, 0, split.rows)]
        assert split.rows_sha256 == rows_sha256(digests)


@pytest.mark.usefixtures("small_spans")
def test_the_corpus_says_nothing_of_this_machine_and_is_derived_again(tmp_path):
    source, other = tmp_path / "given" / "deep", tmp_path / "elsewhere"
    source.mkdir(parents=True)
    for number in range(2):
        write(source / f"{number}.jsonl", [f"{number} {document}" for document in range(300)])
    corpus = find("text", [f"files=[{source}/1.jsonl, {source}/0*]", "shares={train: 2, test: 1}"])
    manifest = build(corpus, tmp_path / "out", workers=1)
    said = (tmp_path / "out" / "corpus.json").read_text()
    assert str(tmp_path) not in said
    assert (manifest.spec["files"], [source.name for source in manifest.sources]) == (["0.jsonl", "1.jsonl"],) * 2
    (other / "x").mkdir(parents=True)
    (source / "0.jsonl").rename(other / "x" / "1.jsonl")  # moved, and renamed to what the other was called
    (source / "1.jsonl").rename(other / "zero[1].txt")
    assert {finding.verdict for finding in verify(tmp_path / "out", sources=[other])} == {"rederived"}
    write(other / "zero[1].txt", ["another"])
    findings = verify(tmp_path / "out", sources=[other])
    assert {finding.verdict for finding in findings} == {"intact"}
    assert "1 of 2 sources were not found (1.jsonl" in str(findings)


MEASURED = """
import sys
from pathlib import Path
from hubkit.corpora.registry import find
builder = find("text", [f"files=[{sys.argv[1]}]"]).builder
folder = Path(sys.argv[2])
for name in ("piece", "joined"):
    (folder / name).mkdir()
builder.prepare(builder.pieces()[0], folder / "piece")
builder.join([folder / "piece"], folder / "joined")
builder.prepared = folder / "joined"
rows = sum(block.rows.num_rows for split, count in builder.rows.items() for block in builder.blocks(split, 0, count))
# Not getrusage: it begins with the peak of the process that this one was forked from.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(rows, int(peak.split()[1]) // 1000)
"""


def test_memory_does_not_grow_with_the_file(tmp_path):
    line = json.dumps({"text": "word " * 1200, "meta": {"id": 10**7}})
    peaks = []
    for documents in (2_000, 18_000):
        path, folder = tmp_path / f"{documents}.jsonl.zst", tmp_path / str(documents)
        folder.mkdir()
        with zstandard.open(path, "wt") as file:
            for number in range(documents):
                file.write(line.replace("word", f"word{number}", 1) + "\n")
        done = subprocess.run(
            [sys.executable, "-c", MEASURED, path, folder], capture_output=True, text=True, check=True
        )
        rows, peak = map(int, done.stdout.split())
        assert rows == documents
        peaks.append(peak)
    assert peaks[1] < 400  # MB; half of it is code, before anything is read
    assert peaks[1] - peaks[0] < 60, "for 100 MB more of text"


def test_no_process_of_a_build_takes_the_time_to_load_pandas(tmp_path):
    """Arrow loads it for some of what it has other ways to do; that would double what a process takes to start."""
    code = """
import sys
from pathlib import Path
from hubkit.corpora.build import build
from hubkit.corpora.registry import find
rows = build(find("text", [f"files=[{sys.argv[1]}]"]), Path(sys.argv[2]), workers=1).splits["train"].rows
print(rows > 1, "pandas" in sys.modules, "datasets" in sys.modules)
"""
    command = [sys.executable, "-c", code, str(DOCUMENTS), str(tmp_path / "corpus")]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "True False False\n"
