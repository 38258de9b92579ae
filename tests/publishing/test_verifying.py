"""A release is verified from the Hub, by a process that has the builder; what somebody changed there is found."""

import json
import subprocess
import sys
from pathlib import Path

from hubkit.corpora.build import build
from hubkit.corpora.registry import find


def hubkit(hub, *arguments, cwd):
    return subprocess.run(
        [Path(sys.executable).parent / "hubkit", *map(str, arguments)],
        cwd=cwd,
        env=hub.process_environment | {"HF_HOME": str(cwd / "cache")},
        capture_output=True,
        text=True,
    )


def verified(hub, *arguments, cwd):
    done = hubkit(hub, "verify", *arguments, "--json", cwd=cwd)
    assert done.returncode in (0, 1), done.stderr
    found = json.loads(done.stdout)
    assert (done.returncode == 1) == (found["verdict"] == "wrong")
    return found["verdict"], {finding["file"]: finding["verdict"] for finding in found["findings"]}, found["findings"]


def test_a_release_on_the_hub(hub, api, repo, tmp_path):
    folder = tmp_path / "corpus"
    build(find("lorenz-tiny", limit=2500), folder, workers=1, shard_rows=1024)
    published = hubkit(hub, "publish", folder, repo, cwd=tmp_path)
    assert published.returncode == 0, published.stderr
    verdict, files, _ = verified(hub, repo, "--revision", "v1.0.0", "--shards", "all", cwd=tmp_path)
    assert verdict == "regenerated"
    assert len(files) == 7
    verdict, files, _ = verified(hub, repo, cwd=tmp_path)
    assert verdict == "intact", "of most shards only the Hub's own hash was compared"
    assert sorted(files.values()) == ["intact"] * 4 + ["regenerated"] * 3

    for operation in ("replace", "delete"):
        shard = sorted(file for file, said in files.items() if said == "intact")[0 if operation == "replace" else 1]
        if operation == "replace":
            other = next(path for path in (folder / "data").iterdir() if path.name not in shard).read_bytes()
            api.upload_file(path_or_fileobj=other, path_in_repo=shard, repo_id=repo, repo_type="dataset")
        else:
            api.delete_file(shard, repo, repo_type="dataset")
        verdict, _, findings = verified(hub, repo, cwd=tmp_path)
        assert verdict == "wrong"
        reasons = {finding["file"]: finding["reason"] for finding in findings if finding["verdict"] == "wrong"}
        assert reasons[shard] == ("its bytes are not the recorded ones" if operation == "replace" else "it is missing")
    assert verified(hub, repo, "--revision", "v1.0.0", cwd=tmp_path)[0] == "intact", "the release is as it was"


def test_a_repository_that_hubkit_did_not_make(hub, api, repo, tmp_path):
    api.create_repo(repo, repo_type="dataset")
    done = hubkit(hub, "verify", repo, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{repo} has no corpus.json at" in done.stderr
    done = hubkit(hub, "verify", "lab/nothing-of-that-name", cwd=tmp_path)
    assert done.returncode == 1
    assert "lab/nothing-of-that-name" in done.stderr
    assert "Traceback" not in done.stderr
