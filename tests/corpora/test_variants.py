"""What is written down of a family is read back as it was."""

import shutil
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from hubkit.corpora.registry import find
from hubkit.corpora.variants import vary
from hubkit.variations import read_variation

WALKS = Path(__file__).parent / "data" / "walks.py"
SEEDS = read_variation({"op": "set", "field": "seed", "to": [1]})
TEXTS = st.text() | st.sampled_from(
    ["1e-3", "~", "no", "0x1f", "2026-01-01", "a: b", "# c", "&a", "- x", "\x85", "\ufeff"]
)


@settings(max_examples=60, deadline=None)
@given(TEXTS, TEXTS, st.floats(0, 1e300, allow_subnormal=True))
def test_any_string_and_number_comes_back(tmp_path_factory, key, value, ratio):
    base = find("seqthetic-identity")
    changes = [
        {"op": "set", "field": "specials", "to": [["<pad>", key + "k", value + "v"]]},
        {"op": "set", "field": "domains.0.ratio", "to": [ratio / 1e300 + 1e-9]},
    ]
    family = vary(base, read_variation({"op": "zip", "of": changes}))
    folder = tmp_path_factory.mktemp("family")
    family.write(folder)
    (name,) = family.specs
    assert find(str(folder / f"{name}.yaml")).builder.spec == family.specs[name]
    shutil.rmtree(folder)


def test_a_builder_file_is_named_by_its_path_from_the_spec_file(tmp_path, monkeypatch):
    (tmp_path / "code").mkdir()
    shutil.copy(WALKS, tmp_path / "code")
    monkeypatch.chdir(tmp_path)
    vary(find("code/walks.py:walks-small"), SEEDS).write(Path("specs/deep"))
    assert "builder: ../../code/walks.py\n" in Path("specs/deep/seed=1.yaml").read_text()
    monkeypatch.chdir(tmp_path / "code")
    corpus = find("../specs/deep/seed=1.yaml")
    assert corpus.builder.spec.seed == 1
    assert Path(corpus.reference).resolve() == tmp_path / "code" / "walks.py"
