"""`hubkit vary` as a user types it: specs that `hubkit build` takes, for every family, and refusals in one line."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from hubkit.cli import app
from hubkit.corpora.registry import builders, find
from hubkit.corpora.variants import INDEX, vary
from hubkit.errors import UserError
from hubkit.specs import read_yaml
from hubkit.variations import read_variation

WALKS = Path(__file__).parent.parent / "corpora" / "data" / "walks.py"
DOCUMENTS = Path(__file__).parent.parent / "dataset_builders" / "data" / "text" / "documents.jsonl"
HUBKIT = Path(sys.executable).parent / "hubkit"
SEEDS = {"op": "set", "field": "seed", "to": [0, 1]}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs the command line in an empty folder; it raises what the last line would say."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments, variation=None):
        if variation is not None:
            Path("v.yaml").write_text(json.dumps(variation))
        done = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if done.exception:
            raise done.exception
        return done

    return run


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir()}


# --- what it makes ---------------------------------------------------------------------------------------------------


def test_each_member_has_a_file_and_a_line_and_the_index_knows_them(run):
    variation = {"op": "product", "of": [{"op": "mul", "field": "num_steps", "by": [1, 2]}, SEEDS]}
    done = run("vary", "lorenz-tiny", "v.yaml", "-o", "fam", "--set", "splits={train: 8}", variation=variation)
    index = json.loads(Path("fam", INDEX).read_text())
    names = [f"num_steps-mul-{by},seed={seed}" for by in (1, 2) for seed in (0, 1)]
    assert sorted(contents("fam")) == sorted([*(f"{name}.yaml" for name in names), INDEX])
    assert list(index["members"]) == names
    assert index["variation"] == variation
    steps = index["base"]["spec"]["num_steps"]
    assert [member["differences"] for member in index["members"].values()] == [
        {}, {"seed": 1}, {"num_steps": 2 * steps}, {"seed": 1, "num_steps": 2 * steps},
    ]  # fmt: skip
    for name, member in index["members"].items():
        spec = find(f"fam/{member['file']}").builder.spec
        assert spec.sha256 == member["sha256"]
        assert f"{name}  spec {member['sha256'][:16]}  " in done.stdout
    assert done.stdout.splitlines()[0].endswith("  as it was")
    assert done.stdout.splitlines()[3].endswith(f"  seed=1, num_steps={2 * steps}")
    assert done.stderr.splitlines() == ["fam: 4 specs", f"next: hubkit build fam/{names[0]}.yaml -o FOLDER"]


def test_a_member_is_built_to_what_the_index_says(run):
    run("vary", f"{WALKS}:walks-small", "v.yaml", "-o", "fam", "--set", "splits={train: 50}", variation=SEEDS)
    index = json.loads(Path("fam", INDEX).read_text())
    for name, member in index["members"].items():
        run("build", f"fam/{name}.yaml", "-o", f"corpus-{name}", "--workers", "1")
        manifest = json.loads(Path(f"corpus-{name}", "corpus.json").read_text())
        assert manifest["spec_sha256"] == member["sha256"]
        assert manifest["spec"]["seed"] == (1 if name == "seed=1" else 0)


def test_the_index_as_json_is_all_there_is_on_stdout(run):
    done = run("vary", "rewriting-copy", "v.yaml", "-o", "fam", "--json", variation=SEEDS)
    assert done.stdout == Path("fam", INDEX).read_text()


FAMILIES = {
    "lorenz": ("lorenz-tiny", {}, {"op": "mul", "field": "splits", "by": [1, 0.5]}, {"splits.train": 8000}),
    "rewriting": (
        "rewriting-sort", {},
        {"op": "set", "field": "rule.markov.2.replacement", "to": ["BC", ""]}, {"rule.markov.2.replacement": ""},
    ),
    "seqthetic": (
        "seqthetic-mixture", {},
        {"op": "set", "field": "domains.0.vocabulary.size", "to": [1000, 2000]}, {"domains.0.vocabulary.size": 2000},
    ),
    "text": (
        "text", {"files": str(DOCUMENTS)},
        {"op": "set", "field": "licences.Pile-CC", "to": ["mit", "1e-3"]}, {"licences.Pile-CC": "1e-3"},
    ),
    "tokens": (
        "tokens", {"corpus": "somewhere", "tokenizer": "lorenz"},
        {"op": "set", "field": "tokenizer", "to": ["lorenz", "a: b"]}, {"tokenizer": "a: b"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_varies(run, family):
    target, fields, variation, differs = FAMILIES[family]
    given = [part for field, value in fields.items() for part in ("--set", f"{field}={value}")]
    run("vary", target, "v.yaml", "-o", "fam", *given, variation=variation)
    members = json.loads(Path("fam", INDEX).read_text())["members"]
    last = list(members.values())[-1]
    assert {field: last["differences"][field] for field in differs} == differs
    for member in members.values():
        assert find(f"fam/{member['file']}").builder.spec.sha256 == member["sha256"]


def test_every_named_config_is_written_down_and_read_back(tmp_path):
    for builder in builders().values():
        for name in builder.configs:
            base = find(name, ["files=['x.jsonl']"] if builder.name == "text" else [])
            vary(base, read_variation(SEEDS)).write(tmp_path / name)
            assert find(str(tmp_path / name / "seed=0.yaml")).builder.spec == base.builder.spec


def test_a_foreign_config_file_and_a_manifest_vary_too(run):
    Path("seqthetic.json").write_text('{"domains": [{"domain": "Identity",}], "total_tokens": "2K",}')
    run("vary", "seqthetic.json", "v.yaml", "-o", "one", variation={"op": "mul", "field": "tokens", "by": [2]})
    assert read_yaml(Path("one/tokens-mul-2.yaml").read_text())["tokens"] == 4000
    run("build", "one/tokens-mul-2.yaml", "-o", "corpus", "--workers", "1")
    run("vary", "corpus/corpus.json", "v.yaml", "-o", "two")
    assert read_yaml(Path("two/tokens-mul-2.yaml").read_text())["tokens"] == 8000


# --- done again, or refused ------------------------------------------------------------------------------------------


def test_a_second_run_changes_nothing_and_one_that_was_cut_short_is_finished(run):
    first = run("vary", "rewriting-copy", "v.yaml", "-o", "fam", variation=SEEDS)
    made = contents("fam")
    times = {path: path.stat().st_mtime_ns for path in Path("fam").iterdir()}
    again = run("vary", "rewriting-copy", "v.yaml", "-o", "fam")
    assert again.stdout == first.stdout
    assert again.stderr.startswith("fam: 2 specs, all of them there already\n")
    assert {path: path.stat().st_mtime_ns for path in Path("fam").iterdir()} == times
    for name in ("seed=1.yaml", INDEX):
        Path("fam", name).unlink()
    assert run("vary", "rewriting-copy", "v.yaml", "-o", "fam").stderr.startswith("fam: 2 specs\n")
    assert contents("fam") == made


def test_nothing_that_says_something_else_is_overwritten(run):
    run("vary", "rewriting-copy", "v.yaml", "-o", "fam", variation=SEEDS)
    made = contents("fam")
    others = SEEDS | {"to": [1, 2]}
    with pytest.raises(UserError, match=r"^out: fam holds another family \(family\.json differs\); name another"):
        run("vary", "rewriting-copy", "v.yaml", "-o", "fam", variation=others)
    assert contents("fam") == made
    shutil.copytree("fam", "edited")
    Path("edited/seed=1.yaml").write_text("mine")
    Path("edited/seed=0.yaml").unlink()
    with pytest.raises(UserError, match=r"^out: edited/seed=1\.yaml is there and says something else; move it away"):
        run("vary", "rewriting-copy", "v.yaml", "-o", "edited", variation=SEEDS)
    assert not Path("edited/seed=0.yaml").exists()
    with pytest.raises(UserError, match=r"^out: v\.yaml is a file; name a folder"):
        run("vary", "rewriting-copy", "v.yaml", "-o", "v.yaml")
    Path("blocked/seed=0.yaml").mkdir(parents=True)
    with pytest.raises(UserError, match=r"^out: blocked/seed=0\.yaml: Is a directory; name another folder"):
        run("vary", "rewriting-copy", "v.yaml", "-o", "blocked")


@pytest.mark.parametrize(
    ("target", "variation", "message"),
    [
        ("rewriting-copi", SEEDS, "config: 'rewriting-copi' is unknown"),
        ("rewriting-copy", {"op": "set", "field": "sede", "to": [1]}, r"sede=1: sede is not a field \(known: alphabet"),
        ("rewriting-copy", {"op": "add", "field": "max_length", "by": [-8, -9]}, "^max_length-add--9: max_length=0 is"),
        (
            "rewriting-sort",
            {"op": "set", "field": "rule.markov.0", "to": ["AB -> AB"]},
            r"rule\.markov\.0=item0: rule: .* does not halt",
        ),
        ("rewriting-copy", SEEDS | {"op": "pow"}, r"^v\.yaml: variation\.op: 'pow' is unknown \(known: mul, "),
        ("rewriting-copy", ["mul"], "v.yaml holds a list; a mapping of fields to values is needed"),
    ],
)
def test_what_is_wrong_is_named_and_nothing_written(run, target, variation, message):
    with pytest.raises(UserError, match=message):
        run("vary", target, "v.yaml", "-o", "fam", variation=variation)
    assert not Path("fam").exists()


def test_a_refusal_is_one_line_and_the_help_shows_the_form(tmp_path):
    environment = os.environ | {"COLUMNS": "200", "NO_COLOR": "1"}
    wrong = [HUBKIT, "vary", "rewriting-copy", "none.yaml", "-o", "fam"]
    done = subprocess.run(wrong, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "hubkit: can't read none.yaml: No such file or directory\n"
    done = subprocess.run([HUBKIT, "vary", "--help"], env=environment, capture_output=True, text=True, check=True)
    for op in ("mul", "set", "insert", "remove", "shuffle", "zip"):
        assert f" op: {op}" in done.stdout
    assert "at: [0, 1]" in done.stdout
