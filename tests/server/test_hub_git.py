"""git clone and git fetch, with git itself."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(*arguments: object, cwd: Path | None = None, ok: bool = True) -> subprocess.CompletedProcess[str]:
    environment = {
        **os.environ,
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LFS_SKIP_SMUDGE": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    # The real credentials of whoever runs the tests must not take part.
    command = ["git", "-c", "credential.helper=", *map(str, arguments)]
    result = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=60)
    assert (result.returncode == 0) == ok, result.stderr
    return result


def text(path: str, content: str) -> dict:
    return {"key": "file", "value": {"path": path, "content": content}}


def with_token(hub, repo_id: str, token: str) -> str:
    return f"{hub.url.replace('://', f'://any:{token}@')}/datasets/{repo_id}"


@pytest.mark.parametrize("ending", ["", ".git"])
def test_clone_and_fetch(hub, tmp_path, ending):
    repo_id = hub.new()
    hub.commit(repo_id, [text(f"d/{number}.txt", str(number)) for number in range(300)])
    hub.api().create_tag(repo_id, tag="v1", tag_message="first", repo_type="dataset")
    git("clone", "-q", f"{hub.url}/datasets/{repo_id}{ending}", tmp_path / "work")
    assert (tmp_path / "work" / "d" / "299.txt").read_text() == "299"
    assert git("tag", cwd=tmp_path / "work").stdout == "v1\n"
    new = hub.commit(repo_id, [text("new.txt", "x")]).json()["commitOid"]
    git("pull", "-q", cwd=tmp_path / "work")
    assert git("rev-parse", "HEAD", cwd=tmp_path / "work").stdout.strip() == new
    git("clone", "-q", "--depth", 1, "--branch", "v1", f"{hub.url}/datasets/{repo_id}{ending}", tmp_path / "shallow")
    assert not (tmp_path / "shallow" / "new.txt").exists()
    git("-c", "protocol.version=0", "clone", "-q", f"{hub.url}/datasets/{repo_id}{ending}", tmp_path / "old")
    assert (tmp_path / "old" / "new.txt").exists()


def test_private_repos_take_a_token_as_password(hub, reader, tmp_path):
    repo_id = hub.new(private=True)
    refused = git("clone", f"{hub.url}/datasets/{repo_id}", tmp_path / "a", ok=False)
    assert "could not read Username" in refused.stderr or "terminal prompts disabled" in refused.stderr
    git("clone", "-q", with_token(hub, repo_id, reader), tmp_path / "b")
    assert (tmp_path / "b" / ".gitattributes").exists()
    git("clone", with_token(hub, repo_id, "wrong"), tmp_path / "c", ok=False)
    git("clone", with_token(hub, "lab/missing", reader), tmp_path / "d", ok=False)
    open_repo = hub.new()
    hub.api().update_repo_settings(open_repo, gated="auto", repo_type="dataset")
    git("clone", f"{hub.url}/datasets/{open_repo}", tmp_path / "e", ok=False)


def test_pushing_is_refused_clearly(hub, tmp_path):
    repo_id = hub.new()
    git("clone", "-q", with_token(hub, repo_id, hub.token), tmp_path / "work")
    git("-c", "user.name=x", "-c", "user.email=x@x", "commit", "-q", "--allow-empty", "-m", "x", cwd=tmp_path / "work")
    refused = git("push", cwd=tmp_path / "work", ok=False)
    assert "403" in refused.stderr
    assert len(hub.api().list_repo_commits(repo_id, repo_type="dataset")) == 1
    answer = hub.ask("POST", f"/datasets/{repo_id}.git/git-receive-pack", b"0000")
    assert (answer.status, "hf upload" in answer.json()["error"]) == (403, True)


def test_requests_that_are_no_git_are_refused(hub):
    base = f"/datasets/{hub.new()}.git"
    assert hub.ask("GET", f"{base}/info/refs").status == 403
    assert hub.ask("GET", f"{base}/info/refs?service=sh").status == 403
    assert hub.ask("GET", f"{base}/HEAD").status == 404
    assert hub.ask("POST", f"{base}/git-upload-pack", b"nonsense").body == b""
    assert hub.ask("POST", f"{base}/git-upload-pack", b"not gzip", Content_Encoding="gzip").status == 400
    bomb = gzip.compress(b"\0" * (33 << 20))
    assert hub.ask("POST", f"{base}/git-upload-pack", bomb, Content_Encoding="gzip").status == 413
