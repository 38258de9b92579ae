"""Verification: which verdict, and what it says is wrong."""

import hashlib
import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from hubkit.corpora.build import build
from hubkit.corpora.manifest import read_manifest
from hubkit.corpora.registry import find, load
from hubkit.corpora.verify import chosen, verify, weakest
from hubkit.errors import UserError
from hubkit.specs import canonical_json

SECOND = "data/train-00001-of-00003.parquet"


@pytest.fixture
def copy(tmp_path, finished):
    return shutil.copytree(finished, tmp_path / "corpus")


def edit(folder, change):
    """Change the manifest as somebody would who wants nobody to notice."""
    manifest = json.loads((folder / "corpus.json").read_text())
    change(manifest)
    (folder / "corpus.json").write_text(json.dumps(manifest))


def rewrite(path, change=lambda table: table, **options):
    table = pq.read_table(path)
    pq.write_table(change(table).cast(table.schema), path, **options)


def wrong(findings):
    return {finding.file: finding.reason for finding in findings if finding.verdict == "wrong"}


def check(folder, walks, shards=None, **options):
    return verify(folder, shards, builder_file=str(walks), **options)


def test_a_good_corpus_is_regenerated(finished, walks):
    findings = check(finished, walks)
    assert [(finding.verdict, finding.reason) for finding in findings] == [("regenerated", "")] * 4
    assert weakest(findings) == "regenerated"


def test_two_workers_find_the_same(finished, walks):
    heard = []
    findings = check(finished, walks, workers=2, progress=lambda what, done, total: heard.append((done, total)))
    assert findings == check(finished, walks)
    assert heard[-1] == (6500, 6500)


@pytest.mark.parametrize(("small", "processes"), [(32 << 20, 1), (1, 2)], ids=["little to do", "enough to do"])
def test_processes_are_started_where_there_is_enough_to_do(finished, walks, monkeypatch, small, processes):
    calls = []
    monkeypatch.setattr("hubkit.corpora.verify.SMALL_BYTES", small)
    monkeypatch.setattr("hubkit.corpora.verify.usable_cores", lambda: 2)
    monkeypatch.setattr(
        "hubkit.corpora.executors.Workers._share", lambda self, todo, told: calls.append(self._workers) or 0
    )
    assert weakest(check(finished, walks, workers=None)) == "regenerated"
    assert calls == [processes]


def test_of_shards_that_are_not_chosen_the_files_are_compared(copy, walks):
    findings = check(copy, walks, shards=1)
    assert sorted(finding.verdict for finding in findings) == ["intact", "intact", "regenerated", "regenerated"]
    assert weakest(findings) == "intact"
    unread = next(finding.file for finding in findings if finding.verdict == "intact")
    with (copy / unread).open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"?")
    assert list(wrong(check(copy, walks, shards=1))) == [unread]


@pytest.mark.parametrize(("shards", "count"), [(1, 2), (2, 3), (3, 4), (99, 4), (None, 4)])
def test_shards_are_chosen_from_each_split(finished, shards, count):
    parts = chosen(read_manifest(finished), shards)
    assert len({part.record.file for part in parts}) == len(parts) == count
    assert {part.split for part in parts} == {"train", "test"}


def test_a_changed_row_is_named(copy, walks):
    def change(table):
        ends = table["end"].to_pylist()
        ends[1500] += 1
        return table.set_column(1, "end", pa.array(ends))

    was = pq.read_table(copy / SECOND)["end"][1500].as_py()
    rewrite(copy / SECOND, change)
    assert wrong(check(copy, walks)) == {SECOND: f"row 3548 of train differs in end: {was + 1} instead of {was}"}
    assert wrong(verify(copy, None)) == {SECOND: "neither its bytes nor its rows are the recorded ones"}


def test_rows_in_another_order_too_many_and_too_few(copy, walks):
    rewrite(copy / SECOND, lambda table: table.take(list(reversed(range(len(table))))))
    assert "row 2048 of train differs in text" in wrong(check(copy, walks))[SECOND]
    shutil.copy(copy / "data/train-00000-of-00003.parquet", copy / SECOND)
    rewrite(copy / "data/train-00000-of-00003.parquet", lambda table: pa.concat_tables([table, table.slice(0, 5)]))
    rewrite(copy / "data/train-00002-of-00003.parquet", lambda table: table.slice(0, 900))
    rewrite(copy / "data/test-00000-of-00001.parquet", lambda table: table.slice(0, 1024))
    found = wrong(check(copy, walks))
    assert found["data/train-00000-of-00003.parquet"] == "more rows than 2,048"
    assert found["data/train-00002-of-00003.parquet"] == "900 rows from row 4096 of train on instead of 904"
    assert found["data/test-00000-of-00001.parquet"] == "fewer rows than 1,500"
    assert len(found) == 4


def test_the_same_rows_by_another_writer_are_the_same_rows(copy, walks):
    rewrite(copy / SECOND, compression="snappy")
    finding = next(finding for finding in check(copy, walks) if finding.file == SECOND)
    assert (finding.verdict, finding.reason) == (
        "regenerated",
        "its rows are the recorded ones, and its bytes are not: another writer made the file",
    )
    finding = next(finding for finding in verify(copy, None) if finding.file == SECOND)
    assert finding.verdict == "intact"
    assert "another writer" in finding.reason


def test_every_byte_counts(copy, walks):
    """A flipped bit in the data, in the footer, and a file cut short are each noticed, by whatever they break."""
    path = copy / SECOND
    good = path.read_bytes()
    for place in [len(good) // 3, len(good) - 20, len(good) - 1]:
        bad = bytearray(good)
        bad[place] ^= 0x10
        path.write_bytes(bad)
        finding = next(finding for finding in check(copy, walks) if finding.file == SECOND)
        assert finding.reason, "at least that another writer made the file, where no row is touched"
    path.write_bytes(good[:100])
    assert "it is damaged" in wrong(check(copy, walks))[SECOND]
    path.unlink()
    assert wrong(check(copy, walks)) == wrong(verify(copy, None)) == {SECOND: "it is missing"}


def test_a_spec_that_is_not_its_hash(copy, walks):
    edit(copy, lambda manifest: manifest["spec"].update(steps=9))
    found = wrong(check(copy, walks))
    assert found["corpus.json"] == "its spec is not the one that spec_sha256 is of"
    assert "row 0 of train differs in text" in found["data/train-00000-of-00003.parquet"]


def test_a_wrong_spec_with_the_right_hash(copy, walks):
    def change(manifest):
        manifest["spec"]["seed"] = 1
        manifest["spec_sha256"] = hashlib.sha256(canonical_json(manifest["spec"]).encode()).hexdigest()

    edit(copy, change)
    found = wrong(check(copy, walks))
    assert len(found) == 4
    assert "corpus.json" not in found
    assert weakest(verify(copy, None)) == "intact", "without the builder nobody can tell"


def test_hashes_that_are_of_other_rows(copy, walks):
    def change(manifest):
        manifest["splits"]["train"]["shards"][1]["rows_sha256"] = "0" * 64
        manifest["splits"]["test"]["rows_sha256"] = "1" * 64

    edit(copy, change)
    assert wrong(check(copy, walks)) == {
        SECOND: "its rows are those of the spec, and the manifest records another hash of them",
        "corpus.json": "rows_sha256 of test is not of its rows",
    }
    edit(copy, lambda manifest: manifest["splits"]["test"].update(rows=1499))
    assert wrong(check(copy, walks))["corpus.json"] != ""


def test_another_generator_is_named(copy, walks, monkeypatch):
    monkeypatch.setattr(load(str(walks)), "version", "2")
    (reason,) = {finding.reason for finding in check(copy, walks)}
    assert reason.startswith("generator version 1 of walks made the rows, and here is 2; hubkit ")
    assert weakest(check(copy, walks)) == "intact"


def test_other_numerics_are_named(copy, walks, monkeypatch):
    monkeypatch.setattr(load(str(walks)), "numerics", lambda self: {"lapack": "here"})
    (reason,) = {finding.reason for finding in check(copy, walks)}
    assert reason == "the rows hang on {}, and here is {'lapack': 'here'}"


def test_code_that_came_with_the_corpus_is_not_run(copy, tmp_path, monkeypatch):
    (copy / "evil.py").write_text("raise SystemExit('it ran')")
    edit(copy, lambda manifest: manifest.update(builder=str(copy / "evil.py")))
    (reason,) = {finding.reason for finding in verify(copy, None)}
    assert "is not installed" in reason or "no builder" in reason


def test_what_can_not_be_asked(copy, walks, tmp_path):
    with pytest.raises(UserError, match="shards: 0 is less than one"):
        check(copy, walks, shards=0)
    with pytest.raises(UserError, match="is not a build"):
        verify(tmp_path / "nothing", None)
    with pytest.raises(UserError, match=r"builder file .*nowhere\.py does not exist"):
        verify(copy, None, builder_file=str(tmp_path / "nowhere.py"))


def test_the_command_says_it_with_its_status(copy, walks, command):
    good = command("verify", copy, "--shards", "all", "--builder", walks)
    assert good.finish() == 0, good.stderr
    assert good.stdout.count("regenerated  data/") == 4
    assert good.stderr.endswith(": regenerated\n")
    (copy / SECOND).unlink()
    bad = command("verify", copy, "--builder", walks, "--json")
    assert bad.finish() == 1
    assert json.loads(bad.stdout)["verdict"] == "wrong"
    refused = command("verify", copy, "--shards", "some")
    assert refused.finish() == 1
    assert refused.stderr == "hubkit: shards: 'some' is neither a number nor all\n"


def test_lorenz_is_regenerated(tmp_path):
    build(find("lorenz-tiny", limit=1500), tmp_path / "corpus", workers=1)
    assert weakest(verify(tmp_path / "corpus", None)) == "regenerated"
