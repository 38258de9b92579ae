"""The chain from spec to demo, as its users meet it: plain clients, the command line, a browser."""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from contextlib import suppress

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
has_learnt = pytest.mark.parametrize("chain", [pytest.param("complete", marks=pytest.mark.soak)], indirect=True)
"""Only a quickstart that is not brief."""

LOAD = """
from datasets import load_dataset
rows = load_dataset("lab/lorenz-tiny")
print({split: data.num_rows for split, data in rows.items()})
first = next(iter(load_dataset("lab/lorenz-tiny", revision="v1.0.0", split="train", streaming=True)))
print(first == rows["train"][0], sorted(first))
"""

FILL = """
import ast
from datasets import load_dataset
from transformers import pipeline
fill = pipeline("fill-mask", model="lab/lorenz-tiny-roberta")
world = load_dataset("lab/lorenz-tiny", split="test")[0]["text"]
before, key, after = world.partition("'params': [")
answers = fill(before + key + "?" + after[after.index("."):])
print([a["token_str"] for a in answers])
print(sum(a["score"] for a in answers) <= 1.0001, answers[0]["score"] >= answers[1]["score"])
print(ast.literal_eval(answers[0]["sequence"])["description"]["num_sys"])
"""

WRITE = """
from transformers import pipeline
write = pipeline("text-generation", model="lab/double-a-minigpt", trust_remote_code=True)
print(write("{BABBA,", max_new_tokens=12, do_sample=False)[0]["generated_text"])
"""

PINS = """
import json
from huggingface_hub import HfApi, hf_hub_download
api = HfApi()
tags = {kind: {t.name: t.target_commit for t in api.list_repo_refs(repo, repo_type=kind).tags}
        for kind, repo in [("dataset", "lab/lorenz-tiny"), ("model", "lab/lorenz-tiny-roberta"), ("space", "lab/demo")]}
run = json.load(open(hf_hub_download("lab/lorenz-tiny-roberta", "run.json")))
space = json.load(open(hf_hub_download("lab/demo", "space.json", repo_type="space")))
info = api.model_info("lab/lorenz-tiny-roberta")
result = info.card_data.eval_results[0]
print(json.dumps({
    "tags": tags, "trained on": run["datasets"][0], "space pins": space["models"][0],
    "card": [info.pipeline_tag, info.card_data.datasets, result.dataset_revision, result.dataset_split],
    "by dataset": [m.id for m in api.list_models(filter="dataset:lab/lorenz-tiny")],
}))
"""


def test_quickstart_says_what_it_made_and_how_well_its_models_do(chain):
    for title in (
        "Recover σ: integer part masked +top-1 accuracy",
        "Exact match +exact match",
        "Perplexity +perplexity",
    ):
        assert re.search(rf"^{title} +\d+\.\d+ +\d", chain.stdout, re.MULTILINE)
    made = ("/datasets/lab/lorenz-tiny", "/lab/lorenz-tiny-roberta", "/datasets/lab/double-a", "/lab/double-a-minigpt")
    for path in (*made, "/spaces/lab/demo"):
        assert re.search(rf"http://127\.0\.0\.1:\d+{path}$", chain.stdout, re.MULTILINE)
    brief = [word for word in chain.command if word == "--brief"]
    assert f"next: {' '.join(['hubkit quickstart', *brief, '--serve'])}" in chain.stderr


@has_learnt
def test_the_models_have_learnt_what_they_should(chain):
    rows = re.findall(r"^Recover σ: integer part masked +(\S.*?) +([\d.]+) +([\d.]+)$", chain.stdout, re.MULTILINE)
    scores = {name: (float(value), float(baseline)) for name, value, baseline in rows}
    assert scores["top-1 accuracy"][0] > scores["top-1 accuracy"][1]
    assert scores["RMSE"][0] < scores["RMSE"][1]
    assert re.search(r"^Exact match +exact match +1\.0000 ", chain.stdout, re.MULTILINE)
    assert chain.python(WRITE).splitlines()[-1].startswith("{BABBA,BAABBAA")
    written = chain.hubkit("prompt", "lab/double-a-minigpt", "--temperature", 0, "{ABBAB,")
    assert written.stdout.strip() == "{ABBAB,AABBAAB"


def test_plain_datasets_loads_the_corpus_whole_and_streaming(chain):
    rows, same = chain.python(LOAD).splitlines()
    assert rows == "{'train': 16000, 'validation': 2000, 'test': 2000}"
    assert same == "True ['init_point', 'params', 'step_multip', 'text']"


def test_plain_transformers_fills_a_mask(chain):
    tokens, ordered, systems = chain.python(FILL).splitlines()
    assert all(token.strip().isdigit() for token in json.loads(tokens.replace("'", '"')))
    assert ordered == "True True"
    assert systems == "1"


def test_plain_transformers_and_the_terminal_write_the_same(chain):
    options = ("--temperature", 0, "--max-new-tokens", 12)
    written = chain.hubkit("prompt", "lab/double-a-minigpt", *options, "{BABBA,").stdout.strip()
    assert chain.python(WRITE).splitlines()[-1].partition("}")[0] == written.partition("}")[0]
    assert len(written) > len("{BABBA,")


def test_hf_downloads_what_the_manifest_says(chain, tmp_path):
    done = chain.run(chain.bin / "hf", "download", "lab/lorenz-tiny", "--repo-type", "dataset", "--local-dir", tmp_path)
    assert done.returncode == 0, done.stderr
    from hubkit.corpora.hashing import rows_sha256_of_parquet
    from hubkit.corpora.manifest import read_manifest

    manifest = read_manifest(tmp_path)
    for split in manifest.splits.values():
        assert rows_sha256_of_parquet([tmp_path / shard.file for shard in split.shards]) == split.rows_sha256


def test_every_repository_names_the_one_before_by_commit(chain):
    facts = json.loads(chain.python(PINS))
    tags = facts["tags"]
    assert facts["trained on"]["revision"] == tags["dataset"]["v1.0.0"]
    assert facts["trained on"]["release"] == "v1.0.0"
    assert facts["space pins"]["revision"] == tags["model"]["v1.0.0"]
    pipeline, datasets, revision, split = facts["card"]
    assert (pipeline, datasets, split) == ("fill-mask", ["lab/lorenz-tiny"], "test")
    assert revision == tags["dataset"]["v1.0.0"]
    assert facts["by dataset"] == ["lab/lorenz-tiny-roberta"]


def test_a_second_quickstart_makes_nothing_twice(chain):
    before = chain.python(PINS)
    done = chain.run(*chain.command, env=chain.environment)
    assert done.returncode == 0, done.stderr
    assert "was running" in done.stderr
    assert chain.python(PINS) == before
    assert chain.hubkit("hub", "status").returncode == 0, "a Hub that was running before goes on running"


def test_evaluate_from_the_hub_gives_the_published_numbers(chain):
    done = chain.hubkit("evaluate", "lab/double-a-minigpt", "--json")
    assert done.returncode == 0, done.stderr
    published = chain.python(
        "from huggingface_hub import hf_hub_download\n"
        "print(open(hf_hub_download('lab/double-a-minigpt', 'evaluation.json')).read())"
    )
    assert json.loads(done.stdout) == json.loads(published)


@pytest.mark.browser
def test_the_space_runs_from_the_hub_and_shows_both_models_in_a_browser(chain, browser, tmp_path):
    url = f"http://127.0.0.1:{_free_port()}"
    with (tmp_path / "log").open("w") as log:
        command = [chain.bin / "hubkit", "space", "run", "lab/demo", "--port", url.rpartition(":")[2]]
        served = subprocess.Popen(
            command, cwd=tmp_path, env=chain.environment, stdout=log, stderr=log, start_new_session=True
        )
        try:
            _wait(url, served)
            page = browser.new_page(viewport={"width": 1280, "height": 1400})
            page.goto(url)
            page.get_by_role("button", name="Fill masks").click()
            page.locator("#chart svg").wait_for(timeout=30_000)
            assert "lab/lorenz-tiny-roberta@" in page.locator("#foot").inner_text()
            page.screenshot(path=tmp_path / "space.png", full_page=True)
            page.get_by_role("tab", name="Generate").click()
            page.fill("#temperature input[type=number]", "0")
            page.press("#temperature input[type=number]", "Tab")
            page.click("#generate")
            page.locator("#progress p", has_text=" s: ").wait_for()
            verdict = page.locator("#continuation .verdict").inner_text()
            assert "✓ right" in verdict or ("--brief" in chain.command and "✗ missed" in verdict)
            page.close()
        finally:
            served.send_signal(signal.SIGINT)
            try:
                status = served.wait(30)
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(served.pid, signal.SIGKILL)
        assert status == 0
    assert (tmp_path / "space.png").stat().st_size > 20_000


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(url: str, process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and process.poll() is None:
        try:
            urllib.request.urlopen(url, timeout=5)
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the Space did not start")
