"""What has changed since a build was begun or finished: its sources, and the code of its builder."""

import shutil
from collections.abc import Mapping

import pyarrow as pa
import pytest

from hubkit.corpora.build import begin, build
from hubkit.corpora.builder import CorpusBuilder, CorpusSpec, CountedSpec, Source
from hubkit.corpora.registry import Corpus, find
from hubkit.errors import UserError


class Sized(CorpusBuilder):
    """Rows of one file, of which it knows the size."""

    name, version, spec_type = "sized", "1", CountedSpec
    schema = pa.schema({"text": pa.string()})
    configs: Mapping[str, CorpusSpec] = {}
    summary = "Each row is nothing. It comes from a file."
    size = 3

    def row(self, seed):
        return {"text": ""}

    def sources(self):
        return [Source("a.txt", 3, "0" * 64)]

    def sizes(self):
        return {"a.txt": self.size}


def test_a_finished_build_of_sources_that_have_changed_since_is_refused(tmp_path, monkeypatch):
    sized = Corpus(Sized(CountedSpec(builder="sized", splits={"train": 10})), "sized")
    made = build(sized, tmp_path / "corpus")
    assert build(sized, tmp_path / "corpus") == made
    monkeypatch.setattr(Sized, "size", 1234)
    with pytest.raises(
        UserError, match=r"was built when a\.txt had 3 bytes, and now it has 1,234; choose another folder"
    ):
        build(sized, tmp_path / "corpus")


def test_a_builder_file_that_has_changed_since_is_noticed(tmp_path, walks):
    """Whoever edits a builder and forgets to raise its version would be shown the old rows, or a mixture."""
    mine = shutil.copy(walks, tmp_path / "mine.py")
    folder, begun = tmp_path / "corpus", tmp_path / "begun"
    build(find(str(mine), limit=10), folder)
    begin(find(str(mine), limit=10), begun)
    mine.write_text(mine.read_text() + "\n# edited\n")
    with pytest.raises(UserError, match=r"was built by other code of .*mine\.py \(builder_file_sha256 "):
        build(find(str(mine), limit=10), folder)
    with pytest.raises(UserError, match=r"was begun with builder_file_sha256 .* and would go on with"):
        build(find(str(mine), limit=10), begun)
