"""Checks a corpus on the Hub: what is to be made again is fetched, of the rest the Hub's own hashes are compared."""

from pathlib import Path
from typing import Any

from hubkit.corpora.checking import Finding
from hubkit.corpora.manifest import MANIFEST, ShardRecord, read_manifest
from hubkit.corpora.verify import UNREAD, Elsewhere, chosen, verify
from hubkit.errors import UserError
from hubkit.hub import resolve
from hubkit.hub_errors import explained
from hubkit.hub_patience import hub_api


def verify_repo(repo: str, revision: str | None, shards: int | None = 1, **options: Any) -> list[Finding]:
    """Check a corpus on the Hub: the chosen shards are downloaded, of the others the Hub's own sha256 is compared.

    Args:
        repo: ``owner/name`` of a dataset.
        revision: Tag, branch or commit; None is the newest.
        shards: As for :func:`hubkit.corpora.verify.verify`.
        **options: The others of it.

    Raises:
        UserError: The Hub has no such repository or revision, or it was not made by hubkit.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.hf_api import RepoFile

    commit = resolve(repo, revision).revision
    manifest = read_manifest(fetch_manifest(repo, commit))
    with explained(repo):
        files = [part.record.file for part in chosen(manifest, shards)]
        tree = hub_api().list_repo_tree(repo, recursive=True, repo_type="dataset", revision=commit)
        there = {entry.path: entry for entry in tree if isinstance(entry, RepoFile)}
        folder = Path(snapshot_download(repo, repo_type="dataset", revision=commit, allow_patterns=[MANIFEST, *files]))

    def compare(record: ShardRecord) -> Finding:
        entry = there.get(record.file)
        if entry is None:
            return Finding(record.file, "wrong", "it is missing")
        if entry.size != record.bytes or (entry.lfs and entry.lfs.sha256 != record.file_sha256):
            return Finding(record.file, "wrong", "its bytes are not the recorded ones")
        known = "hash" if entry.lfs else "size"
        more = "--shards all fetches it" if manifest.origin == "files" else UNREAD
        return Finding(record.file, "intact", f"only its {known} on the Hub was compared; {more}")

    data = [file for file in there if file.startswith("data/")]
    return verify(folder, shards, elsewhere=Elsewhere(compare, data), **options)


def fetch_manifest(repo: str, commit: str) -> Path:
    """Download the manifest of a corpus at a commit, and return the folder that it is in.

    Raises:
        UserError: It was not published by hubkit.
    """
    from huggingface_hub import hf_hub_download

    with explained(repo):
        if not hub_api().file_exists(repo, MANIFEST, repo_type="dataset", revision=commit):
            raise UserError(
                f"{repo} has no {MANIFEST} at {commit[:12]}: hubkit did not publish it, so nothing is known"
            )
        return Path(hf_hub_download(repo, MANIFEST, repo_type="dataset", revision=commit)).parent
