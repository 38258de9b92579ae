"""hubkit's own cards pass its own rules, and their code runs as printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubkit.cards.card import open_card
from hubkit.cards.checking import check_card
from hubkit.corpora.build import build
from hubkit.corpora.registry import find
from hubkit.publishing import apply, plan
from hubkit.publishing.folders import open_folder
from hubkit.publishing.merging import merge_card
from hubkit.publishing.versions import Version
from hubkit.resources import load_module
from hubkit.tokenizers import make_tokenizer, save_tokenizer

folders = load_module(Path(__file__).parents[1] / "publishing" / "folders.py", "folders_to_publish")
PIN = {"repo": "lab/counting-roberta", "revision": folders.COMMIT}
MADE = {
    "corpus": lambda folder: folders.make_corpus(folder, {"train": 3000, "test": 100}),
    "corpus of text": lambda folder: folders.make_corpus(
        folder, {"train": 5}, origin="found", sources=[{"name": "/home/ada/a.txt", "bytes": 5, "sha256": "6" * 64}]
    ),
    "built corpus": lambda folder: built(folder),
    "rows of somebody": lambda folder: rows_of_somebody(folder),
    "tokenizer": lambda folder: tokenizer(folder),
    "model": folders.make_model,
    "evaluated model": lambda folder: folders.make_evaluation(folders.make_model(folder)),
    "backward model": lambda folder: causal(folder, direction="backward"),
    "model of both directions": lambda folder: causal(folder, direction="both"),
    "model of a tokenizer on the Hub": lambda folder: causal(
        folder, tokenizer={"name": "lab/bpe", "revision": folders.COMMIT, "sha256": "8" * 64}
    ),
    "further trained model": lambda folder: causal(folder, init_from=PIN),
    "space": lambda folder: folders.make_space(folder, [PIN], datasets=[PIN]),
}


def built(folder: Path) -> Path:
    """Return a build of a few rows, with statistics to plot."""
    corpus = find("seqthetic", ["domains=[identity, duplicate]", "tokens=9K"])
    build(corpus, folder, workers=1)
    return folder


def rows_of_somebody(folder: Path) -> Path:
    (folder / "data").mkdir(parents=True)
    rows = [{"text": "word " * (index % 30), "label": "ab"[index % 2]} for index in range(120)]
    (folder / "README.md").write_text("---\nlicense: mit\n---\n")
    (folder / "data" / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def tokenizer(folder: Path) -> Path:
    save_tokenizer(make_tokenizer("characters:AB"), folder)
    return folder


def causal(folder: Path, **changes) -> Path:
    folders.make_model(folder, **changes)
    config = {"model_type": "minigpt", "architectures": ["MiniGPTForCausalLM"], "auto_map": {"AutoConfig": "x"}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("what", MADE)
def test_nothing_is_found_in_a_card_of_ours(what, tmp_path):
    folder = MADE[what](tmp_path / "made")
    there = dict.fromkeys(("config.json", "model.safetensors"))
    source = open_folder(folder)
    facts = source.card("lab/counting", Version(1, 0, 0), lambda *_: there)
    (folder / "README.md").write_bytes(merge_card(source.readme(), facts))
    for file in facts.beside:
        (folder / file.path).parent.mkdir(exist_ok=True)
        (folder / file.path).write_bytes(file.source)
    report = check_card(open_card(str(folder), name="lab/counting"))
    assert [str(finding) for finding in report.findings] == []
    assert report.card.unchecked == []


def make_real_model(folder: Path, corpus: dict[str, str]) -> Path:
    """Write a model that loads and fills masks, badly."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM

    torch.set_num_threads(1)
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "train", "test", *map(str, range(10))]
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    special = {
        "unk_token": "<unk>",
        "pad_token": "<pad>",
        "mask_token": "<mask>",
        "bos_token": "<s>",
        "eos_token": "</s>",
    }
    folders.make_model(folder, datasets=[{**corpus, "splits": {"train": 16, "test": 4}}])
    config = RobertaConfig(
        vocab_size=len(words), hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
        max_position_embeddings=32, pad_token_id=1, bos_token_id=0, eos_token_id=2,
    )  # fmt: skip
    RobertaForMaskedLM(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_the_code_of_our_cards_runs_as_printed(here, tmp_path):
    folders.make_corpus(tmp_path / "corpus", {"train": 50, "test": 10})
    corpus = apply(plan(tmp_path / "corpus", "lab/cards-counting", api=here), here)
    pin = {"repo": corpus.repo, "revision": corpus.commit, "release": corpus.tag}
    make_real_model(tmp_path / "model", pin)
    apply(plan(tmp_path / "model", "lab/cards-model", api=here), here)
    settings = {"HF_ENDPOINT": here.endpoint, "HF_TOKEN": str(here.token), "HF_HUB_DISABLE_XET": "1"}
    for repo, kind, blocks in (("lab/cards-counting", "dataset", 2), ("lab/cards-model", "model", 1)):
        card = open_card(repo, api=here)
        assert (card.kind, [block.language for block in card.body.blocks].count("python")) == (kind, blocks)
        command = [sys.executable, "-m", "hubkit", "card", "check", repo, "--run", "--strict", "--timeout", "200"]
        done = subprocess.run(command, env=os.environ | settings, capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (0, ""), done.stderr
        assert f"{repo} ({kind}): 0 errors, 0 warnings" in done.stderr
