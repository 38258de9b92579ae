"""Snippets run as a stranger would run them."""

import time
from pathlib import Path

import pytest

from hubkit.cards.card import Card
from hubkit.cards.checking import check_card
from hubkit.cards.running import environment, run_snippet

from .test_rules import MODEL, Named


def fails(body: str, seconds: float = 60) -> list[tuple[int, str]]:
    card = Card(f"---\n{MODEL}---\n\n{body}", "model", Named("x"), seconds=seconds)
    found = check_card(card, run=True).findings
    return [(finding.flaw.line, finding.flaw.message) for finding in found if finding.rule == "snippet-run"]


def block(code: str) -> str:
    return f"```python\n{code}\n```\n\n"


def test_nothing_runs_unless_asked_for(tmp_path):
    code = block(f"open({str(tmp_path / 'was-here')!r}, 'w')")
    card = Card(f"---\n{MODEL}---\n\n{code}", "model", Named("x"))
    assert check_card(card).findings == () and not (tmp_path / "was-here").exists()
    assert fails(code) == [] and (tmp_path / "was-here").exists()


def test_the_line_that_fails_is_named():
    assert fails(block("x = 1\n\nx['a']")) == [(10, "the snippet fails: TypeError: 'int' object is not subscriptable")]


def test_a_snippet_may_go_on_where_the_one_before_it_ended():
    assert fails(block("x = 1") + "and then\n\n" + block("print(x)")) == []
    assert fails(block("x = 1") + block("print(x)\nprint(y)")) == [
        (13, "the snippet fails: NameError: name 'y' is not defined")
    ]


def test_a_status_is_a_failure_too():
    assert fails(block("import sys\nsys.exit(3)")) == [(8, "the snippet fails: it ended with status 3")]
    assert fails(block("import os\nos.kill(os.getpid(), 9)")) == [(8, "the snippet fails: it was killed by signal 9")]


def test_what_never_ends_is_ended_with_its_children(tmp_path):
    code = f"import subprocess\nsubprocess.run(['sh', '-c', 'sleep 3; touch {tmp_path}/late'])"
    began = time.monotonic()
    assert fails(block(code), seconds=1) == [(8, "the snippet fails: it had not ended after 1 s")]
    assert time.monotonic() - began < 20
    time.sleep(3)
    assert not (tmp_path / "late").exists()


def test_it_reads_no_token_and_no_terminal(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_" + "a" * 34)
    monkeypatch.setenv("MY_SECRET", "x")
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("HF_HUB_CACHE", "/somebody/cache")
    code = (
        "import os, sys\nfrom pathlib import Path\nfrom huggingface_hub import constants, get_token\n"
        "assert get_token() is None and 'MY_SECRET' not in os.environ\n"
        "assert constants.ENDPOINT == 'http://127.0.0.1:1'\n"
        "assert str(Path.home()) in constants.HF_HUB_CACHE\nassert sys.stdin.read() == ''\n"
    )
    assert run_snippet(code, tmp_path, 60) is None


def test_a_token_that_a_snippet_prints_is_not_repeated(tmp_path):
    failure = run_snippet("raise ValueError('hf_' + 'a' * 34)", tmp_path, 60)
    assert failure is not None and failure.reason == "ValueError: ***"


@pytest.mark.parametrize("name", ["HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "OPENAI_API_KEY", "DB_PASSWORD", "NPM_AUTH"])
def test_secrets_stay_here(name, monkeypatch):
    monkeypatch.setenv(name, "x")
    assert name not in environment(Path("/nowhere"))
