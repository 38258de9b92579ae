"""kill -9 at random moments of a build of each family, gone on with by another number of workers: the same rows."""

import gzip
import json
import random
import signal
import subprocess
import time
from contextlib import suppress

import pytest

from hubkit.corpora.build import build
from hubkit.corpora.layout import WORK
from hubkit.corpora.manifest import read_manifest
from hubkit.corpora.registry import find

KILLS = 5
"""Of one build, at most; `make test` makes do with two, so that each family is gone on with more than once."""
FAMILIES = ("lorenz", "rewriting", "seqthetic", "text", "tokens")


@pytest.fixture(scope="module")
def documents(tmp_path_factory):
    """Files of made-up text, one of them compressed, with some documents that stand twice."""
    folder, words = tmp_path_factory.mktemp("documents"), random.Random(3)
    vocabulary = ["".join(words.choices("abcdefghij", k=words.randint(1, 9))) for _ in range(2000)]
    texts = [" ".join(words.choices(vocabulary, k=words.randint(20, 400))) for _ in range(6000)]
    for part in range(4):
        own = texts[part * 1500 : (part + 1) * 1500] + texts[:50]
        lines = "".join(json.dumps({"text": text, "meta": {"pile_set_name": f"Set {part}"}}) + "\n" for text in own)
        path = folder / f"{part}.jsonl"
        path.write_text(lines)
    (folder / "4.jsonl.gz").write_bytes(gzip.compress(path.read_bytes()))
    path.unlink()
    return folder


@pytest.fixture(scope="module")
def corpora(documents, tmp_path_factory):
    """What to build of each family, and the row hashes of an undisturbed build by one worker with its time."""
    text = f"files=[{documents}]"
    worlds = tmp_path_factory.mktemp("worlds") / "corpus"
    build(find("lorenz-tiny"), worlds, workers=2)
    targets = {
        "lorenz": ("lorenz-xsmall", ["splits.train=60000", "splits.validation=3000", "splits.test=3000"]),
        "rewriting": ("rewriting-sort", ["train=120000", "validation=20000", "max_length=20"]),
        "seqthetic": ("seqthetic-mixture", ["tokens=8M"]),
        "text": ("text", [text, "shares={train: 0.9, test: 0.1}"]),
        "tokens": ("tokens", [f"corpus={worlds}", "tokenizer=lorenz"]),
    }
    found = {}

    def of(family):
        if family not in found:
            target, overrides = targets[family]
            folder = tmp_path_factory.mktemp(family) / "corpus"
            began = time.perf_counter()
            manifest = build(find(target, overrides), folder, workers=1, shard_rows=1024)
            found[family] = target, overrides, hashes(manifest), time.perf_counter() - began
        return found[family]

    return of


def hashes(manifest):
    return {name: (split.rows, split.rows_sha256) for name, split in manifest.splits.items()}


def disturbed(command, folder, corpora, family, moment, kills):
    """Build with up to so many kills, each run with another number of workers; return how many hit."""
    target, overrides, expected, seconds = corpora(family)
    settings = [argument for override in overrides for argument in ("--set", override)]
    hit = 0
    for attempt in range(kills + 1):
        workers = moment.choice((1, 2, 3))
        run = command("build", target, *settings, "-o", folder, "--shard-rows", "1024", "--workers", workers)
        if attempt < kills:
            # Once it has begun, anywhere in what takes one worker `seconds`; the first time early on.
            run.wait_until(lambda run=run: (folder / WORK).is_dir() or run.process.poll() is not None)
            with suppress(subprocess.TimeoutExpired):
                run.process.wait(timeout=moment.uniform(0, 0.1 * seconds if hit == 0 else 2 + seconds))
            if run.process.poll() is None:
                run.signal(signal.SIGKILL, everyone=moment.random() < 0.5)
                hit += 1
        status = run.finish()
        run.all_gone()
        if status == 0:
            break
        assert status == -signal.SIGKILL, run.stderr
    manifest = read_manifest(folder)
    assert hashes(manifest) == expected
    assert {path.name for path in folder.iterdir()} == {"corpus.json", "data", *manifest.reports}
    return hit


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_is_killed_and_gone_on_with(command, tmp_path, corpora, family):
    moment = random.Random(f"{family} 1")
    # Where other work ran beside the first build and none beside this one, a kill may come too late.
    assert any(disturbed(command, tmp_path / f"corpus-{again}", corpora, family, moment, 2) for again in range(3))


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_hundred_kills_of_a_family(command, tmp_path, corpora, family):
    moment, kills = random.Random(f"{family} 100"), 0
    while kills < 100:
        kills += disturbed(command, tmp_path / f"corpus-{kills}", corpora, family, moment, KILLS)
