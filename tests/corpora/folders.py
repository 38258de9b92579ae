"""What a corpus folder holds, for tests that compare two of them."""

import re
from pathlib import Path


def content(folder: Path) -> dict[str, bytes]:
    """Return every file of a folder; the manifest without the commit of the code, which may move while tests run."""
    found = {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
    if "corpus.json" in found:
        found["corpus.json"] = re.sub(rb'"code": {[^}]*}', b"", found["corpus.json"])
    return found
