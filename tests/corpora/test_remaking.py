"""What may be made again: sources are found by their hash, and a hostile manifest leads nowhere."""

import hashlib
import json
import shutil
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.corpora.verify import verify, weakest
from hubkit.errors import UserError
from hubkit.specs import canonical_json

from .test_verify import check, edit, wrong

OUTSIDE = "and nothing is read but what --sources names"


@pytest.fixture
def copy(tmp_path, finished):
    return shutil.copytree(finished, tmp_path / "corpus")


@pytest.fixture(scope="module")
def documents(tmp_path_factory) -> Path:
    """Three files of text, two of which are equal."""
    folder = tmp_path_factory.mktemp("documents")
    for name, first in (("a", 0), ("b", 0), ("c", 50)):
        lines = (json.dumps({"text": f"document number {first + number}"}) for number in range(50))
        (folder / f"{name}.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def text(documents, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("text") / "corpus"
    build(find("text", [f"files=[{documents}]", "shares={train: 1}"]), folder, workers=1)
    return folder


@pytest.fixture
def claim(text, tmp_path):
    """Make a corpus whose manifest says other things, its spec among them with the right hash."""

    def claim(spec=None, **fields):
        folder = shutil.copytree(text, tmp_path / "hostile", dirs_exist_ok=True)

        def change(manifest):
            manifest.update(fields)
            manifest["spec"] = spec if spec is not None else manifest["spec"]
            manifest["spec_sha256"] = hashlib.sha256(canonical_json(manifest["spec"]).encode()).hexdigest()

        edit(folder, change)
        return folder

    return claim


def reason(folder, **options) -> str:
    """Return why the only shard is no better than intact."""
    (finding,) = verify(folder, None, **options)
    assert finding.verdict == "intact"
    return finding.reason


def test_sources_are_found_by_their_content_two_equal_ones_too(text, documents, tmp_path):
    other = tmp_path / "elsewhere" / "deeper"
    other.mkdir(parents=True)
    shutil.copy(documents / "a.jsonl", other / "first")
    shutil.copy(documents / "c.jsonl", other / "second")
    assert weakest(verify(text, None, sources=[tmp_path / "elsewhere"])) == "rederived"
    (other / "second").unlink()
    assert reason(text, sources=[tmp_path / "elsewhere"]).startswith("1 of 3 sources were not found (c.jsonl, sha256 ")
    with pytest.raises(UserError, match=r"sources: .*/nowhere is not there; check the path"):
        verify(text, None, sources=[tmp_path / "nowhere"])


def test_relative_places_of_sources_are_those_of_the_user(text, documents, monkeypatch):
    monkeypatch.chdir(documents.parent)
    assert weakest(verify(text, None, sources=[Path(documents.name)])) == "rederived"
    assert Path.cwd() == documents.parent


@pytest.mark.parametrize("origin", ["generated", "found"])
@pytest.mark.parametrize(
    "place", ["secret.jsonl", "{}/secret.jsonl", "~/secret.jsonl", "../secret.jsonl", "file://{}/s"]
)
def test_a_spec_that_leads_to_files_of_this_machine_is_not_followed(claim, tmp_path, monkeypatch, origin, place):
    (tmp_path / "secret.jsonl").write_text('{"text": "top secret"}\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = claim({"files": [place.format(tmp_path)]}, origin=origin, sources=[])
    said = reason(folder)
    assert any(why in said for why in (OUTSIDE, "does not exist", "names no source"))
    assert str(tmp_path / "secret.jsonl") not in said or OUTSIDE in said


def test_sources_do_not_bring_others_with_them(claim, text, documents, tmp_path):
    pairs = tmp_path / "pairs"
    Path(f"{pairs}_train.txt").write_text("ab,ba\n")
    assert OUTSIDE in reason(
        claim({"builder": "rewriting", "files": str(pairs)}, builder="rewriting", origin="generated", sources=[])
    )
    known = json.loads((text / "corpus.json").read_text())["sources"]
    tokens = {"builder": "tokens", "corpus": f"{tmp_path}/x.h5", "tokenizer": "lorenz"}
    assert OUTSIDE in reason(claim(tokens, builder="tokens", sources=known), sources=[documents])
    tokens = {"builder": "tokens", "corpus": "x", "tokenizer": f"{tmp_path}/tokenizer.json"}
    assert OUTSIDE in reason(claim(tokens, builder="tokens", sources=known), sources=[documents])


@pytest.mark.parametrize("name", ["../up.jsonl", "/etc/mtab", "a/../../b", "", ".", "x\0y", "n" * 300, "a\nb"])
def test_a_source_has_its_place_in_a_folder(claim, text, documents, name):
    sources = json.loads((text / "corpus.json").read_text())["sources"]
    sources[0]["name"] = name
    assert "which leads out of its folder" in reason(claim(sources=sources), sources=[documents])


@pytest.mark.parametrize("names", [("a", "a", "c"), ("a", "a/b", "c"), ("a/b", "a", "c")])
def test_sources_that_can_not_lie_beside_each_other(claim, text, documents, names):
    sources = json.loads((text / "corpus.json").read_text())["sources"]
    sources = [source | {"name": name} for source, name in zip(sources, names, strict=True)]
    assert "can't lie beside the others" in reason(claim(sources=sources), sources=[documents])


# --- what a manifest may claim ---------------------------------------------------------------------------------------


def test_a_corpus_that_was_cut_is_not_that_of_its_spec(copy, walks):
    """Whole shards are gone, and the manifest agrees: only the spec knows."""

    def change(manifest):
        manifest["splits"] = {"test": manifest["splits"]["test"]}

    edit(copy, change)
    shutil.rmtree(copy / "data" / "train", ignore_errors=True)
    for path in (copy / "data").glob("train-*"):
        path.unlink()
    assert wrong(check(copy, walks)) == {"corpus.json": "its spec gives 5,000 rows of train, and there are 0"}
    edit(copy, lambda manifest: manifest["columns"].pop())
    assert any("its columns are" in finding.reason for finding in check(copy, walks))


def test_a_file_that_nobody_made_is_wrong(copy, walks):
    """`datasets` would read it with the others."""
    shutil.copy(copy / "data/test-00000-of-00001.parquet", copy / "data/train-more.parquet")
    assert wrong(check(copy, walks)) == {"data/train-more.parquet": "it is not in corpus.json"}


def test_a_shard_under_the_name_of_another(copy, walks):
    def change(manifest):
        train, test = manifest["splits"]["train"]["shards"], manifest["splits"]["test"]["shards"]
        test[0]["file"], train[0]["file"] = train[0]["file"], test[0]["file"]

    edit(copy, change)
    assert "the shards of test are not named as its shards are, in order" in [f.reason for f in verify(copy, None)]


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("splits",), {}),
        (("splits", "test", "rows"), -1),
        (("splits", "test", "rows"), 10**30),
        (("splits", "test", "shards"), []),
        (("splits", "test", "shards", 0, "file"), "data/../../etc/passwd"),
        (("splits", "../test"), {}),
        (("spec", "seed"), float("nan")),
    ],
)
def test_a_manifest_that_makes_no_sense_is_damaged(copy, walks, place, value):
    def change(manifest):
        for key in place[:-1]:
            manifest = manifest[key]
        manifest[place[-1]] = value

    edit(copy, change)
    with pytest.raises(UserError, match=r"corpus\.json is damaged at .*build into an empty folder"):
        check(copy, walks)


def test_a_manifest_that_can_not_be_read(copy):
    (copy / "corpus.json").unlink()
    (copy / "corpus.json").mkdir()
    with pytest.raises(UserError, match=r"can't read .*corpus\.json: Is a directory"):
        verify(copy, None)


def test_what_a_manifest_says_does_not_steer_the_terminal(copy):
    edit(copy, lambda manifest: manifest.update(builder="walks", generator_version="\x1b[2J", spec={"\x1b]0;": 1}))
    assert all(finding.reason.isprintable() for finding in verify(copy, None))
    edit(copy, lambda manifest: manifest.update(builder="lorenz", generator_version="\x1b[2J\u202e"))
    assert "generator version \\x1b[2J\\u202e of lorenz" in verify(copy, None)[0].reason


def test_rows_that_the_builder_fails_on_are_not_wrong(copy, walks, monkeypatch):
    monkeypatch.setenv("WALKS_FAIL_AT", "3000")
    verdicts = {finding.file: (finding.verdict, finding.reason) for finding in check(copy, walks)}
    verdict, why = verdicts.pop("data/train-00001-of-00003.parquet")
    assert verdict == "intact"
    assert why.startswith("its rows can't be made again: walks failed on rows 2048 to 3071 of train: Strange")
    assert set(verdicts.values()) == {("regenerated", "")}


def test_columns_that_have_no_hash_are_damage(copy, walks):
    path = copy / "data/test-00000-of-00001.parquet"
    table = pq.read_table(path)
    pairs = [[("key", 1)]] * len(table)
    import pyarrow as pa

    pq.write_table(table.append_column("map", pa.array(pairs, pa.map_(pa.string(), pa.int8()))), path)
    assert set(wrong(verify(copy, None))) == {"data/test-00000-of-00001.parquet"}
