"""`croissant.json`: what a dataset is, for programs that know no Hub: its files by sha256, its records, whence it came.

Croissant 1.1, https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html. What the Hub says by itself names the
same columns of the same configs; this says it of one release, whose files are found by its tag.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from hubkit.publishing.cards import citation, public
from hubkit.publishing.versions import Version

_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "arrayShape": "cr:arrayShape",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "containedIn": "cr:containedIn",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "description": {"@container": "@language"},
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isArray": "cr:isArray",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "name": {"@container": "@language"},
    "parentField": "cr:parentField",
    "path": "cr:path",
    "prov": "http://www.w3.org/ns/prov#",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""Appendix 1 of the specification, and the vocabulary of provenance."""

_NO_HASH = "https://github.com/mlcommons/croissant/issues/80"
"""What stands, on huggingface.co too, for the hash of a git repository, which has none."""

_TYPES = {"string": "sc:Text", "large_string": "sc:Text", "bool": "sc:Boolean", "image": "sc:ImageObject",
          "audio": "sc:AudioObject", "video": "sc:VideoObject"}  # fmt: skip
_NUMBER, _KINDS = re.compile(r"(u?int|float)(\d+)"), {"int": "Int", "uint": "UInt", "float": "Float"}
_DATES = ("date", "timestamp", "time", "duration")
_CHOOSE = "https://choosealicense.com/licenses/"
_LICENSES = {"agpl-3.0", "apache-2.0", "artistic-2.0", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc-by-4.0",
             "cc-by-sa-4.0", "cc0-1.0", "gpl-2.0", "gpl-3.0", "lgpl-2.1", "lgpl-3.0", "mit", "mpl-2.0",
             "unlicense"}  # fmt: skip
"""Those that the Hub, too, names by the address of their text."""


def croissant(
    manifest: Mapping[str, Any], card: Mapping[str, Any], repo: str, version: Version, hub: str, before: bytes | None
) -> bytes:
    """Return `croissant.json` of a release.

    Args:
        manifest: Its `corpus.json`.
        card: The front matter of its card.
        repo: ``OWNER/NAME``.
        version: Which release.
        hub: The Hub's address.
        before: The file as it is on the Hub; where it is of the same version, it says when that was published.
    """
    owner, title, url = repo.split("/", maxsplit=1)[0], str(card.get("pretty_name") or repo), f"{hub}/datasets/{repo}"
    described = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.1",
        "name": repo.split("/")[1],
        "alternateName": title,
        "description": manifest["summary"],
        "url": url,
        "version": str(version),
        "datePublished": _day_published(before, version) or datetime.now(UTC).date().isoformat(),
        "creator": {"@type": "sc:Organization", "name": owner, "url": f"{hub}/{owner}"},
        "citeAs": citation(repo, version.tag, title, "Dataset"),
        **_license(card),
        **({"keywords": tags} if (tags := [str(tag) for tag in card.get("tags") or ()]) else {}),
        **_provenance(manifest),
        "distribution": list(_distribution(manifest, url, version.tag)),
        "recordSet": list(_record_sets(manifest, card)),
    }
    return (json.dumps(described, indent=1, ensure_ascii=False) + "\n").encode()


def _day_published(before: bytes | None, version: Version) -> str | None:
    """Return the day that an earlier `croissant.json` gives for the same version; None where it gives none."""
    try:
        said = json.loads(before or b"null")
        return str(said["datePublished"]) if said["version"] == str(version) else None
    except (ValueError, TypeError, KeyError):
        return None


def _license(card: Mapping[str, Any]) -> dict[str, str]:
    license, link = card.get("license"), card.get("license_link")
    if isinstance(link, str) and link.startswith("http"):
        return {"license": link}
    if not isinstance(license, str) or license == "unknown":
        return {}
    return {"license": f"{_CHOOSE}{license}/" if license in _LICENSES else license}


def _provenance(manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return what made the rows, and of what; nothing of files that hubkit did not make."""
    if manifest["builder"] is None:
        return {}
    code, spec = manifest["code"], f"spec {manifest['spec_sha256']}"
    made = f"{manifest['builder']}, version {manifest['generator_version']}, {spec}"
    agent = {"@type": "prov:SoftwareAgent", "prov:label": f"hubkit {code.get('hubkit')}"}
    sources = [
        {"@id": f"urn:sha256:{source['sha256']}", "@type": "prov:Entity", "prov:label": public(source["name"])}
        for source in manifest["sources"]
    ]
    activity = {"@type": "prov:Activity", "prov:label": made, "prov:wasAssociatedWith": agent}
    return {"prov:wasGeneratedBy": activity, **({"prov:wasDerivedFrom": sources} if sources else {})}


def _distribution(manifest: Mapping[str, Any], url: str, tag: str) -> Iterator[dict[str, Any]]:
    """Yield the repository at its tag, the files, each with its hash, and the set of those of each split."""
    yield {
        "@type": "cr:FileObject",
        "@id": "repo",
        "name": "repo",
        "contentUrl": f"{url}/tree/{tag}",
        "encodingFormat": "git+https",
        "sha256": _NO_HASH,
    }
    for key, split in manifest["splits"].items():
        for shard in split["shards"]:
            yield {
                "@type": "cr:FileObject",
                "@id": shard["file"],
                "name": shard["file"],
                "contentUrl": f"{url}/resolve/{tag}/{quote(shard['file'])}",
                "contentSize": f"{shard['bytes']} B",
                "encodingFormat": _format(shard["file"]),
                "sha256": shard["file_sha256"],
            }
        files = [shard["file"] for shard in split["shards"]]
        if len(files) > 1:
            yield {
                "@type": "cr:FileSet",
                "@id": _files_of(key),
                "name": _files_of(key),
                "containedIn": {"@id": "repo"},
                "encodingFormat": _format(files[0]),
                "includes": files,
            }


def _format(file: str) -> str:
    return "application/x-parquet" if file.endswith(".parquet") else "application/jsonlines"


def _files_of(key: str) -> str:
    return f"files-of-{key.replace('/', '-')}"


def _record_sets(manifest: Mapping[str, Any], card: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the records of each split; their columns are those of its config's features."""
    infos = card.get("dataset_info") or []
    known = {info.get("config_name", "default"): info for info in (infos if isinstance(infos, list) else [infos])}
    for key, split in manifest["splits"].items():
        config, _, name = key.rpartition("/")
        config, files = config or "default", [shard["file"] for shard in split["shards"]]
        source = {"fileSet": {"@id": _files_of(key)}} if len(files) > 1 else {"fileObject": {"@id": files[0]}}
        place = f"{config}/{name}"
        features = known.get(config, {}).get("features") or []
        yield {
            "@type": "cr:RecordSet",
            "@id": place,
            "name": place,
            "description": f"{split['rows']} rows; the sha256 of their canonical encoding is {split['rows_sha256']}.",
            "field": [_field(feature, place, source, feature["name"], ()) for feature in features],
        }


def _field(
    feature: Mapping[str, Any], above: str, source: Mapping[str, Any], column: str, path: Sequence[str]
) -> dict[str, Any]:
    """Return the description of a column, or of a part of one, given its feature as the card spells it."""
    place = f"{above}/{feature['name']}"
    inner, lists = _unwrapped(feature)
    where: dict[str, Any] = {**source, "extract": {"column": column}}
    if path:
        where["transform"] = {"jsonPath": "$." + ".".join(path)}
    field: dict[str, Any] = {"@type": "cr:Field", "@id": place, "name": feature["name"]}
    if isinstance(inner, list):
        field["subField"] = [_field(part, place, source, column, (*path, part["name"])) for part in inner]
    else:
        field["dataType"] = inner
    if lists:
        field |= {"isArray": True, "arrayShape": ",".join(["-1"] * lists)}
    return field | ({} if isinstance(inner, list) and not lists else {"source": where})


def _unwrapped(feature: Mapping[str, Any]) -> tuple[str | list[Mapping[str, Any]], int]:
    """Return the type of a feature's values, or the features they consist of, and how many lists are around them."""
    kind: Any = feature.get("dtype") or {key: value for key, value in feature.items() if key != "name"}
    lists = 0
    while isinstance(kind, Mapping):
        inside = next((kind[word] for word in ("list", "sequence", "large_list") if word in kind), None)
        if inside is not None:
            kind, lists = inside, lists + 1
        elif "struct" in kind:
            kind = kind["struct"]
        elif "class_label" in kind:
            return "sc:Integer", lists
        else:
            kind = kind.get("dtype", "string")
    return (kind if isinstance(kind, list) else _data_type(str(kind))), lists


def _data_type(name: str) -> str:
    if name in _TYPES:
        return _TYPES[name]
    number = _NUMBER.fullmatch(name)
    if number:
        return f"cr:{_KINDS[number[1]]}{number[2]}"
    return "sc:Date" if name.startswith(_DATES) else "sc:Text"
