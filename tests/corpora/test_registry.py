"""How a corpus is named: by a config, a spec file, a builder file, a manifest, a plug-in; and every way to be wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from hubkit.corpora import registry
from hubkit.corpora.build import build
from hubkit.corpora.builder import CorpusBuilder, CountedSpec
from hubkit.corpora.registry import builders, families, find, load, restore
from hubkit.errors import UserError

# --- what can be named -----------------------------------------------------------------------------------------------


def test_a_named_config():
    corpus = find("lorenz-tiny")
    assert (corpus.reference, corpus.config) == ("lorenz", "lorenz-tiny")
    assert corpus.builder.spec == builders()["lorenz"].configs["lorenz-tiny"]


def test_a_builder_file_means_its_first_config(walks):
    corpus = find(str(walks))
    assert (corpus.reference, corpus.config) == (str(walks), "walks-small")
    assert find(f"{walks}:walks-long").builder.spec.splits == {"train": 3000}


def test_overrides_and_limits_make_another_spec_without_a_name(walks):
    assert find(str(walks), ["steps=8"]).config == "walks-small", "the same value is the same spec"
    assert find(str(walks), ["steps=9"]).config is None
    assert find(str(walks), ["splits.train=10"]).builder.spec.splits == {"train": 10, "test": 1500}
    limited = find(str(walks), limit=2000)
    assert (limited.builder.spec.splits, limited.config) == ({"train": 2000, "test": 1500}, None)
    assert find(str(walks), limit=5000).config == "walks-small"


def test_a_spec_file_with_a_config(tmp_path, walks):
    path = tmp_path / "mine.yaml"
    path.write_text("config: lorenz-tiny\nseed: 7\n")
    corpus = find(str(path), ["num_steps=12"])
    assert (corpus.builder.spec.seed, corpus.builder.spec.num_steps) == (7, 12)
    assert (corpus.builder.spec.max_sys, corpus.config) == (1, None)
    path.write_text("config: lorenz-tiny\n")
    assert find(str(path)).config == "lorenz-tiny"
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "walk.py").write_bytes(walks.read_bytes())
    path.write_text("config: sub/walk.py:walks-long\nsteps: 3\n")
    assert find(str(path)).builder.spec.steps == 3, "a builder's path is relative to the spec"


def test_a_spec_file_with_a_builder(tmp_path, walks):
    path = tmp_path / "mine.yml"
    path.write_text("builder: lorenz\nsplits: {train: 5}\n")
    assert find(str(path)).builder.spec.splits == {"train": 5}
    (tmp_path / "walk.py").write_bytes(walks.read_bytes())
    path.write_text("builder: walk.py\nsplits: {train: 5}\nsteps: 4\n")
    corpus = find(str(path))
    assert (corpus.reference, corpus.builder.spec.builder) == (str(tmp_path / "walk.py"), "walks")
    assert restore(corpus.reference, corpus.builder.spec.model_dump()).spec == corpus.builder.spec


def test_a_manifest_names_the_corpus_that_it_describes(tmp_path):
    first = build(find("lorenz-tiny", ["num_steps=2", "normalize=false"], limit=3), tmp_path / "a", workers=1)
    again = build(find(str(tmp_path / "a" / "corpus.json")), tmp_path / "b", workers=1)
    assert again == first
    assert set(first.code) == {"hubkit", "commit", "modified"}


def test_a_manifest_of_another_generator_is_refused(tmp_path):
    manifest = {"spec": {"builder": "lorenz", "splits": {"train": 5}}, "generator_version": "0"}
    (tmp_path / "corpus.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=r"generator_version 0 of lorenz made these rows, and here is 1"):
        find(str(tmp_path / "corpus.json"))


def test_two_builder_files_of_one_name_stay_apart(tmp_path, walks):
    for folder, name in (("a", "walks-a"), ("b", "walks-b")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "walk.py").write_text(walks.read_text().replace("walks-small", name))
    references = [str(tmp_path / folder / "walk.py") for folder in "aba"]
    assert [find(reference).config for reference in references] == ["walks-a", "walks-b", "walks-a"]


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("lorenz-tinny", r"config: 'lorenz-tinny' is unknown \(known: .*lorenz-tiny, .*; or a \.yaml spec, or"),
        ("", r"config: '' is unknown"),
        ("nowhere.py", r"builder file nowhere\.py does not exist"),
        ("nowhere.yaml", r"can't read nowhere\.yaml: No such file"),
        ("WALKS:walks-huge", r"config: walks has no 'walks-huge' \(known: walks-small, walks-long\)"),
    ],
)
def test_unknown_targets_are_refused(walks, target, message):
    with pytest.raises(UserError, match=message):
        find(target.replace("WALKS", str(walks)))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("seed: 3\n", r"mine\.yaml: builder is missing \(a family such as \w+, or config: NAME\)"),
        ("builder: fern\n", r"builder: 'fern' is unknown \(known: .*lorenz.*; or the path of a \.py builder\)"),
        ("builder: ../fern\n", r"builder: '\.\./fern' is unknown"),
        ("builder: _lorenz_kernels\n", r"builder: '_lorenz_kernels' is unknown"),
        ("builder: fern.py\n", r"builder file .*fern\.py does not exist"),
        ("config: fern\n", r"config: 'fern' is unknown"),
        ("config: mine.yaml\n", r"config: 'mine\.yaml' is another spec file; give the name of a config"),
        ("builder: lorenz\n", r"splits is missing"),
        ("builder: lorenz\nsplits: {}\n", r"splits: .*at least 1"),
        ("builder: lorenz\nsplits: {train: 0}\n", r"splits\.train: .*greater than 0 \(got 0\)"),
        ("builder: lorenz\nsplits: {Train: 5}\n", r"splits\.Train.*pattern"),
        ("builder: lorenz\nsplits: {a-b: 5}\n", r"splits\.a-b.*pattern"),
        ("builder: lorenz\nsplits: {all: 5}\n", r"splits\.all.*'all' means every split"),
        ("builder: lorenz\nsplits: {train: 5}\nseed: -1\n", r"seed: .*greater than or equal to 0 \(got -1\)"),
        (
            "builder: lorenz\nsplits: {train: 5}\nnum_step: 5\n",
            r"mine\.yaml: num_step is not a field \(known: .*num_steps",
        ),
        ("config: lorenz-tiny\nbuilder: walks\n", r"mine\.yaml: builder: .*'lorenz' \(got 'walks'\)"),
    ],
)
def test_impossible_spec_files_are_refused(tmp_path, content, message):
    (tmp_path / "mine.yaml").write_text(content)
    with pytest.raises(UserError, match=message):
        find(str(tmp_path / "mine.yaml"))


@pytest.mark.parametrize("limit", [0, -5])
def test_a_limit_of_no_rows_is_refused(walks, limit):
    with pytest.raises(UserError, match=rf"limit: {limit} rows is less than one"):
        find(str(walks), limit=limit)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("BUILDER = Walks", ""), r"walk\.py: it does not say which class it offers: end it with `BUILDER = "),
        (("BUILDER = Walks", "BUILDER = Walks(None)"), r"does not say which class it offers"),
        (("BUILDER = Walks", "BUILDER = WalkSpec"), r"does not say which class it offers"),
        (("name, version, spec_type = ", "name, _, spec_type = "), r"walk\.py: Walks does not state version"),
        (("    summary =", "    _ ="), r"walk\.py: Walks does not state summary"),
        (
            ('name, version, spec_type = "walks"', 'name, version, spec_type = "runs"'),
            r"configs say builder: walks, and it is runs",
        ),
        (("configs = CONFIGS", "configs = {}"), r"config: walks has none; write a \.yaml spec"),
    ],
)
def test_files_that_are_no_builder_are_refused(tmp_path, walks, change, message):
    text = walks.read_text()
    assert change[0] in text
    (tmp_path / "walk.py").write_text(text.replace(*change))
    with pytest.raises(UserError, match=message):
        find(str(tmp_path / "walk.py"))


def test_a_builder_file_that_fails_to_import_keeps_its_traceback_and_can_be_mended(tmp_path, walks):
    path = tmp_path / "walk.py"
    path.write_text("import no_such_library\n")
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        find(str(path))
    path.write_bytes(walks.read_bytes())
    assert find(str(path)).config == "walks-small"


# --- rows one by one -------------------------------------------------------------------------------------------------


class Odd(CorpusBuilder):
    name, version, spec_type = "odd", "1", CountedSpec
    schema = pa.schema({"text": pa.string(), "n": pa.int64()})
    summary = ""

    def __init__(self, row):
        super().__init__(CountedSpec(builder="odd", splits={"train": 10}))
        self.made = row

    def row(self, seed):
        return self.made


@pytest.mark.parametrize("row", [{"text": "a"}, {"text": "a", "n": 1, "m": 2}, {"txet": "a", "n": 1}])
def test_a_row_with_other_columns_than_the_schema_is_refused(row):
    """Arrow would drop what is too much and make null what is missing."""
    with pytest.raises(UserError, match=r"row 5 of train has \[.*\] and the schema of odd \['n', 'text'\]"):
        Odd(row).block("train", 5, 6)


def test_a_row_that_is_always_rejected_is_refused():
    with pytest.raises(UserError, match=r"row 5 of train: 1000 draws in a row were rejected"):
        Odd(None).block("train", 5, 6)


# --- plug-ins --------------------------------------------------------------------------------------------------------


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.environment = os.environ | {"PYTHONPATH": str(folder)}

    def install(self, name: str, value: str, source: str) -> None:
        """Install a distribution of one module with an entry point."""
        info = self.folder / f"{name}_plugin-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}-plugin\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{registry.ENTRY_POINTS}]\n{name} = {value}\n")
        (self.folder / f"{value.partition(':')[0]}.py").write_text(source)

    def run(self, *command: object) -> subprocess.CompletedProcess[str]:
        """Run a command that sees these packages."""
        line = [str(part) for part in command]
        return subprocess.run(line, env=self.environment, cwd=self.folder, capture_output=True, text=True)


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path / "site")


def test_plugins_are_found_by_name_and_a_broken_one_is_warned_of(site, walks):
    site.install("walks", "walks_plugin:Walks", walks.read_text())
    site.install("ruin", "ruin_plugin:Ruin", "import no_such_library\n")
    site.install(
        "lorenz", "thief_plugin:Thief", "raise SystemExit('a plug-in must not take the place of an own family')\n"
    )
    site.install("mislaid", "mislaid_plugin:Walks", walks.read_text())
    site.install("nothing", "nothing_plugin:n", "n = 3\n")
    done = site.run(
        sys.executable,
        "-c",
        "from hubkit.corpora.registry import *\n"
        "from hubkit.errors import UserError\n"
        "print({'mislaid', 'nothing', 'ruin', 'walks'} < set(families()))\n"
        "print(sorted({'mislaid', 'nothing', 'ruin', 'walks'} & set(builders())))\n"
        "corpus = find('walks-long')\n"
        "print(corpus.reference, corpus.config, corpus.builder.block('train', 0, 3).rows.num_rows)\n"
        "print(restore('walks', corpus.builder.spec.model_dump()).spec == corpus.builder.spec)\n"
        "print(find('lorenz-tiny').reference)\n"
        "for name in ('ruin', 'mislaid', 'nothing'):\n"
        "    try: load(name)\n"
        "    except UserError as error: print(error)\n",
    )
    assert done.returncode == 0, done.stderr
    known, loaded, corpus, same, own, ruin, mislaid, nothing = done.stdout.splitlines()
    assert (known, loaded) == ("True", "['walks']")
    assert (corpus, same, own) == ("walks walks-long 3", "True", "lorenz")
    assert "plug-in ruin (ruin_plugin:Ruin, of ruin-plugin) can't be loaded: ModuleNotFoundError" in ruin
    assert "'mislaid' is registered under that name and calls itself 'walks'" in mislaid
    assert "plug-in nothing" in nothing
    assert "must name a CorpusBuilder" in nothing
    assert "UserWarning: plug-in ruin" in done.stderr


def test_of_two_configs_with_one_name_the_own_is_meant(site, walks):
    site.install("walks", "walks_plugin:Walks", walks.read_text().replace("walks-small", "lorenz-tiny"))
    code = (
        "from hubkit.corpora.registry import find; print(find('lorenz-tiny').reference, find('walks-long').reference)"
    )
    assert site.run(sys.executable, "-c", code).stdout == "lorenz walks\n"


def test_a_plugin_builds_in_worker_processes(site, walks, tmp_path):
    site.install("walks", "walks_plugin:Walks", walks.read_text())
    hubkit = Path(sys.executable).parent / "hubkit"
    command = [hubkit, "build", "walks-small", "-o", "out", "--workers", "2", "--shard-rows", "3072", "--json"]
    done = site.run(*command)
    assert done.returncode == 0, done.stderr
    wanted = build(find(str(walks)), tmp_path / "wanted", workers=1).splits["train"].rows_sha256
    manifest = json.loads(done.stdout)
    assert manifest["splits"]["train"]["rows_sha256"] == wanted
    assert manifest["code"]["plugin"] == "walks-plugin 1.0"


def test_own_families_are_known():
    assert "lorenz" in families()
    assert load("lorenz").name == "lorenz"


def test_only_the_family_that_is_asked_for_is_loaded(monkeypatch):
    loaded = []
    monkeypatch.setattr(registry, "load", lambda name: loaded.append(name) or load(name))
    assert find("lorenz-tiny").config == "lorenz-tiny"
    assert find("lorenz", ["splits.train=3"]).builder.name == "lorenz"
    assert loaded == ["lorenz", "lorenz"]
    with pytest.raises(UserError, match="unknown"):
        find("lorenz-tinny")
    assert set(loaded) == set(families())


def test_a_manifest_does_not_lead_to_code(tmp_path):
    (tmp_path / "evil.py").write_text("raise SystemExit('it ran')")
    path = tmp_path / "corpus.json"
    path.write_text(json.dumps({"generator_version": "1", "spec": {"builder": str(tmp_path / "evil.py")}}))
    with pytest.raises(UserError, match=r"builder: '.*evil\.py' is not installed here; write a \.yaml spec"):
        find(str(path))
