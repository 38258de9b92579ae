"""`hubkit card`, as people and continuous integration call it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from hubkit.cards.checking import RULES
from hubkit.cli.card import app

from .folders import furnish

ACTION = Path(__file__).parents[2] / ".github" / "actions" / "card-check"


def run(*words: object):
    return CliRunner().invoke(app, [str(word) for word in words])


def test_errors_fail_and_are_printed_with_file_line_and_mend(tmp_path):
    done = run("check", furnish("trl", tmp_path / "trl", "before"), "--repo", "lab/tiny-chat")
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert "README.md:25: error snippet-id pipeline: None is no repository" in done.stdout
    assert all(re.fullmatch(r"README\.md:\d+: (error|warning) [a-z-]+ .+; .+", line) for line in lines)
    assert "lab/tiny-chat (model): 13 errors, 4 warnings" in done.stderr


def test_a_good_card_passes_and_says_nothing_on_stdout(tmp_path):
    done = run("check", furnish("by_hand", tmp_path / "x", "after"), "--strict")
    assert (done.exit_code, done.stdout) == (0, "")
    assert done.stderr == f"space: 0 errors, 0 warnings\nnext: hubkit publish {tmp_path}/x OWNER/NAME\n"


def test_warnings_fail_only_where_that_is_asked_for(tmp_path):
    folder = furnish("push_to_hub", tmp_path / "x", "after")
    text = (folder / "README.md").read_text()
    (folder / "README.md").write_text(text.replace("license: odc-by\n", ""))
    assert run("check", folder).exit_code == 0
    assert run("check", folder, "--strict").exit_code == 1
    assert run("check", folder, "--strict", "--ignore", "license-missing").exit_code == 0


def test_json_for_scripts(tmp_path):
    done = run("check", furnish("distilabel", tmp_path / "x", "before"), "--json", "--repo", "lab/instructions")
    told = json.loads(done.stdout)
    assert (done.exit_code, told["repo"], told["type"]) == (1, "lab/instructions", "dataset")
    assert len(told["findings"]) == told["errors"] + told["warnings"]
    assert told["findings"][0] == {
        "file": "README.md",
        "line": 1,
        "severity": "warning",
        "rule": "license-missing",
        "message": "license is missing: without one nobody may use it",
        "mend": "add license",
    }


@pytest.mark.parametrize(
    ("files", "words", "said"),
    [
        ({}, (), "has no README.md: a repository's card is the README.md at its top"),
        ({"README.md": b"\xff"}, (), "is not UTF-8 text (at byte 0): save it as UTF-8"),
        ({"README.md": b"# x\n"}, (), "can't tell whether this is a model, a dataset or a Space: name it with --type"),
        ({"README.md": b"# x\n"}, ("--type", "model", "--ignore", "x"), "--ignore: there is no rule x"),
        ({"README.md": b"# x\n"}, ("--type", "model", "--repo", "x"), "has no owner: write OWNER/NAME"),
    ],
)
def test_what_can_not_be_read_is_another_status(tmp_path, files, words, said):
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    done = run("check", tmp_path, *words)
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in done.stderr


@pytest.mark.parametrize("target", ["nothing-here", "./a/b", "/nothing/here"])
def test_a_target_that_is_neither_folder_nor_repository(target):
    done = run("check", target)
    assert done.exit_code == 2
    assert f"{target} is neither a folder nor OWNER/NAME on the Hub" in done.stderr


def test_a_clone_knows_its_name(tmp_path):
    folder = furnish("distilabel", tmp_path / "x", "before")
    (folder / ".git").mkdir()
    remote = '[remote "origin"]\n\turl = https://ada:hf_x@huggingface.co/datasets/lab/instructions.git\n\tfetch = x\n'
    (folder / ".git/config").write_text(remote)
    done = run("check", folder / "README.md")
    assert "load_dataset loads ada/other-instructions, and this is lab/instructions" in done.stdout


def test_without_a_name_the_summary_says_what_was_not_checked(tmp_path):
    done = run("check", furnish("distilabel", tmp_path / "x", "after"))
    assert "dataset: 0 errors, 0 warnings; not checked: whether the snippets load this repository" in done.stderr


def test_the_rules_are_listed_with_a_sentence_each():
    lines = run("rules").stdout.splitlines()
    assert len(lines) == len(RULES) > 80
    assert all(re.fullmatch(r"[a-z-]+ +(error|warning) +[A-Za-z_.].*\.", line) for line in lines), lines
    assert {entry["name"] for entry in json.loads(run("rules", "--json").stdout)} == RULES.keys()


def test_the_command_starts_without_heavy_libraries(tmp_path):
    folder = furnish("by_hand", tmp_path / "x", "before")
    code = (
        "import sys\nfrom hubkit.cards.card import open_card\nfrom hubkit.cards.checking import check_card\n"
        f"check_card(open_card({str(folder)!r}))\n"
        "print([name for name in ('torch', 'transformers', 'datasets', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_action_calls_the_command_with_options_that_it_has(tmp_path):
    action = yaml.safe_load((ACTION / "action.yml").read_text())
    script = action["runs"]["steps"][-1]
    bin_folder = tmp_path / "hubkit" / "bin"
    bin_folder.mkdir(parents=True)
    (bin_folder / "hubkit").write_text(f'#!/bin/sh\nexec {sys.executable} -m hubkit "$@"\n')
    (bin_folder / "hubkit").chmod(0o755)
    inputs = {"target": furnish("trainer", tmp_path / "x", "after"), "type": "model", "repo": "lab/review-classifier"}
    chosen = {name: field["default"] for name, field in action["inputs"].items()} | inputs
    chosen |= {"strict": "true", "ignore": "license-missing body-empty"}
    expressions = {f"${{{{ inputs.{name} }}}}": str(value) for name, value in chosen.items()}
    environment = {name: expressions.get(text, text) for name, text in script["env"].items()}
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script["run"]],
        env={"PATH": "/usr/bin:/bin", "RUNNER_TEMP": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("lab/review-classifier (model): 0 errors, 0 warnings\n")


def test_the_actions_matcher_takes_findings_apart(tmp_path):
    (pattern,) = json.loads((ACTION / "findings.json").read_text())["problemMatcher"][0]["pattern"]
    lines = run("check", furnish("by_hand", tmp_path / "x", "before")).stdout.splitlines()
    matches = [re.match(pattern["regexp"], line) for line in lines]
    assert len(lines) > 20 and all(matches)
    assert {match[pattern["code"]] for match in matches if match} <= RULES.keys()
    assert {match[pattern["severity"]] for match in matches if match} == {"error", "warning"}
