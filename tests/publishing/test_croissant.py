"""`croissant.json`: what Croissant 1.1 wants, and nothing that is not so."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from hubkit.publishing.croissant import croissant
from hubkit.publishing.folders import open_folder
from hubkit.publishing.merging import merge_card
from hubkit.publishing.versions import Version

from .folders import make_corpus

HUB = "https://hub.example"
RELEASE = Version(1, 2, 0)


def described(folder: Path, version: Version = RELEASE, before: bytes | None = None) -> dict[str, Any]:
    source = open_folder(folder)
    facts = source.card("lab/mine", version, lambda repo, kind, revision: {})
    readme = folder / "README.md"
    card = yaml.safe_load(
        merge_card(readme.read_bytes() if readme.exists() else None, facts).decode().split("---\n")[1]
    )
    text = source.described(card, "lab/mine", version, HUB, before)
    assert text is not None
    return json.loads(text)


def nested(folder: Path) -> Path:
    """Write rows of everything that has a feature."""
    table = pa.table(
        {
            "text": ["a"], "n": pa.array([1], pa.uint8()), "x": pa.array([1.5], pa.float32()), "yes": [True],
            "when": pa.array([0], pa.timestamp("s")), "many": [[[1, 2]]], "raw": [b"x"],
            "part": [{"a": "x", "b": [1]}], "parts": [[{"c": 2}]],
        }
    )  # fmt: skip
    (folder / "data").mkdir(parents=True)
    for index in range(2):
        pq.write_table(table, folder / f"data/train-{index:05d}-of-00002.parquet")
    pq.write_table(table, folder / "data/test-00000-of-00001.parquet")
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n")
    return folder


def test_a_release_is_described_with_its_files_by_sha256(corpus: Path) -> None:
    found = described(corpus)
    manifest = json.loads((corpus / "corpus.json").read_text())
    shards = [shard for split in manifest["splits"].values() for shard in split["shards"]]
    files = {file["@id"]: file for file in found["distribution"] if "contentSize" in file}
    assert {file: entry["sha256"] for file, entry in files.items()} == {s["file"]: s["file_sha256"] for s in shards}
    assert files[shards[0]["file"]]["contentUrl"] == f"{HUB}/datasets/lab/mine/resolve/v1.2.0/{shards[0]['file']}"
    assert (found["version"], found["url"]) == ("1.2.0", f"{HUB}/datasets/lab/mine")
    assert found["license"] == "https://choosealicense.com/licenses/apache-2.0/"
    assert "version v1.2.0" in found["citeAs"]
    assert found["prov:wasGeneratedBy"]["prov:label"] == f"counting, version 1, spec {'5' * 64}"
    assert "prov:wasDerivedFrom" not in found


def test_sources_are_named_by_their_hash_and_without_a_path(tmp_path: Path) -> None:
    source = {"name": "/home/me/news.txt", "bytes": 3, "sha256": "7" * 64}
    found = described(make_corpus(tmp_path / "c", {"train": 5}, sources=[source], origin="found"))
    [derived] = found["prov:wasDerivedFrom"]
    assert (derived["@id"], derived["prov:label"]) == (f"urn:sha256:{'7' * 64}", "…/news.txt")


def test_of_somebody_s_files_no_making_is_claimed_and_every_column_has_its_type(tmp_path: Path) -> None:
    found = described(nested(tmp_path))
    assert not [key for key in found if key.startswith("prov:")]
    train, test = found["recordSet"]
    assert (train["@id"], test["@id"]) == ("default/train", "default/test")
    fields = {field["name"]: field for field in train["field"]}
    assert {name: field.get("dataType") for name, field in fields.items()} == {
        "text": "sc:Text", "n": "cr:UInt8", "x": "cr:Float32", "yes": "sc:Boolean", "when": "sc:Date",
        "many": "cr:Int64", "raw": "sc:Text", "part": None, "parts": None,
    }  # fmt: skip
    assert (fields["many"]["isArray"], fields["many"]["arrayShape"]) == (True, "-1,-1")
    inner = {field["@id"]: field["source"] for field in fields["part"]["subField"]}
    assert inner["default/train/part/a"] == {
        "fileSet": {"@id": "files-of-train"},
        "extract": {"column": "part"},
        "transform": {"jsonPath": "$.a"},
    }
    assert test["field"][0]["source"]["fileObject"] == {"@id": "data/test-00000-of-00001.parquet"}


def test_the_same_release_is_described_in_the_same_bytes_on_any_day(corpus: Path) -> None:
    old = json.dumps({"version": "1.2.0", "datePublished": "2001-02-03"}).encode()
    assert described(corpus, before=old)["datePublished"] == "2001-02-03"
    assert described(corpus, Version(1, 3, 0), old)["datePublished"] > "2025"
    assert described(corpus, before=b"[1]")["datePublished"] > "2025"


@pytest.mark.parametrize(
    ("fields", "license"),
    [
        ({"license": "unknown"}, None),
        ({"license": "other", "license_link": "https://x.example/l"}, "https://x.example/l"),
        ({"license": "odc-by"}, "odc-by"),
        ({"license": ["mit"]}, None),
    ],
)
def test_a_licence_is_given_as_the_hub_gives_it(corpus: Path, fields: dict[str, Any], license: str | None) -> None:
    manifest = json.loads((corpus / "corpus.json").read_text())
    found = json.loads(croissant(manifest, fields, "lab/mine", Version(1, 0, 0), HUB, None))
    assert found.get("license") == license


@pytest.mark.parametrize("kind", ["built", "nested"])
def test_mlcroissant_finds_nothing_wrong(tmp_path: Path, kind: str) -> None:
    mlcroissant = pytest.importorskip("mlcroissant", reason="mlcroissant is not installed")
    folder = make_corpus(tmp_path / "c", {"train": 3000, "test": 9}) if kind == "built" else nested(tmp_path / "n")
    issues = mlcroissant.Dataset(described(folder)).metadata.ctx.issues
    assert (issues.errors, issues.warnings) == (set(), set())


def test_a_reference_leads_to_what_is_there(tmp_path: Path) -> None:
    found = described(nested(tmp_path))
    known = {entry["@id"] for entry in found["distribution"]}
    ids: list[str] = []

    def walk(field: dict[str, Any]) -> None:
        ids.append(field["@id"])
        source = field.get("source")
        if source:
            [where] = [source[kind]["@id"] for kind in ("fileSet", "fileObject") if kind in source]
            assert where in known
        for part in field.get("subField", ()):
            walk(part)

    for records in found["recordSet"]:
        for field in records["field"]:
            walk(field)
    assert len(ids) == len(set(ids)) == 2 * (9 + 3)
    for entry in found["distribution"]:
        assert entry.get("containedIn", {"@id": "repo"})["@id"] in known
