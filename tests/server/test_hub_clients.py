"""Unmodified programs of others, each in its own process, with nothing set but the environment."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hubkit.server import process

HF = Path(sys.executable).with_name("hf")


@pytest.fixture
def environment(hub, tmp_path) -> dict[str, str]:
    """The variables that the server hands out, with caches of this test alone."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    quiet = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_PROGRESS_BARS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return {**inherited, **process.client_environment(hub.root), **quiet}


def run(command: list[str], environment: dict[str, str], cwd: Path) -> str:
    result = subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, check=False, timeout=120)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def test_the_hf_command_line(hub, environment, tmp_path):
    folder = tmp_path / "folder"
    (folder / "data").mkdir(parents=True)
    (folder / "README.md").write_text("---\nlicense: mit\n---\n# Hi\n")
    (folder / "data" / "x.bin").write_bytes(bytes(range(256)) * 100)
    (folder / "empty").touch()

    def hf(*arguments: str) -> str:
        return run([str(HF), *arguments], environment, tmp_path)

    assert "lab" in hf("auth", "whoami")
    hf("repos", "create", "lab/cli", "--repo-type", "dataset", "--private")
    assert f"{hub.url}/datasets/lab/cli/commit/" in hf("upload", "lab/cli", "folder", ".", "--repo-type", "dataset")
    hf("repos", "tag", "create", "lab/cli", "v1", "--repo-type", "dataset", "-m", "first")
    assert "lab/cli" in hf("datasets", "ls", "--author", "lab", "--search", "cli", "--format", "json")
    hf("download", "lab/cli", "--repo-type", "dataset", "--revision", "v1", "--local-dir", "down")
    for file in ("README.md", "data/x.bin", "empty"):
        assert (tmp_path / "down" / file).read_bytes() == (folder / file).read_bytes()
    hf("repos", "delete", "lab/cli", "--repo-type", "dataset", "--yes")
    assert not hub.api().repo_exists("lab/cli", repo_type="dataset")


DATASETS = """
import json, sys
from datasets import Dataset, load_dataset
repo = sys.argv[1]
rows = [{"number": n, "word": f"w{n}"} for n in range(100)]
Dataset.from_list(rows).push_to_hub(repo, private=True)
first = load_dataset(repo, split="train")
streamed = list(load_dataset(repo, split="train", streaming=True))
Dataset.from_list(rows[:7]).push_to_hub(repo, config_name="small", split="test")
small = load_dataset(repo, "small", split="test", revision="main")
print(json.dumps([first.to_list() == rows, streamed == rows, small.to_list() == rows[:7]]))
"""


def test_datasets_pushes_loads_and_streams(hub, environment, tmp_path):
    output = run([sys.executable, "-c", DATASETS, "lab/pushed"], environment, tmp_path)
    assert json.loads(output.splitlines()[-1]) == [True, True, True]
    info = hub.api().dataset_info("lab/pushed")
    assert info.private
    assert [config["config_name"] for config in info.card_data.configs] == ["default", "small"]


TRANSFORMERS = """
import json, sys, torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import AutoModelForMaskedLM, AutoTokenizer, PreTrainedTokenizerFast, RobertaConfig, RobertaForMaskedLM
from transformers import pipeline
repo = sys.argv[1]
words = {word: n for n, word in enumerate(["<pad>", "<unk>", "<mask>", "a", "b", "c"])}
plain = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
plain.pre_tokenizer = pre_tokenizers.Whitespace()
special = dict(unk_token="<unk>", pad_token="<pad>", mask_token="<mask>")
tokenizer = PreTrainedTokenizerFast(tokenizer_object=plain, **special)
config = RobertaConfig(vocab_size=6, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8,
                       max_position_embeddings=16, pad_token_id=0)
model = RobertaForMaskedLM(config).eval()
model.push_to_hub(repo, private=True)
tokenizer.push_to_hub(repo)
again = AutoModelForMaskedLM.from_pretrained(repo).eval()
ids = AutoTokenizer.from_pretrained(repo)("a b c", return_tensors="pt")["input_ids"]
same = torch.equal(model(ids).logits, again(ids).logits)
found = pipeline(model=repo)("a <mask> c")
print(json.dumps([same, ids.tolist(), len(found)]))
"""


@pytest.mark.slow
def test_transformers_pushes_and_loads(hub, environment, tmp_path):
    output = run([sys.executable, "-c", TRANSFORMERS, "lab/tiny"], environment, tmp_path)
    assert json.loads(output.splitlines()[-1]) == [True, [[3, 4, 5]], 5]
    info = hub.api().model_info("lab/tiny")
    assert (info.pipeline_tag, info.library_name) == ("fill-mask", "transformers")


def test_snapshots_and_the_file_system(hub, tmp_path):
    from huggingface_hub import HfFileSystem, snapshot_download

    repo_id = hub.new()
    lines = [{"key": "file", "value": {"path": f"d/{n}.txt", "content": str(n)}} for n in range(5)]
    commit = hub.commit(repo_id, lines).json()["commitOid"]
    where = {"repo_type": "dataset", "endpoint": hub.url, "token": hub.token}
    local = snapshot_download(repo_id, allow_patterns="d/*", cache_dir=tmp_path, **where)
    assert local.endswith(commit)
    assert sorted(path.name for path in Path(local, "d").iterdir()) == [f"{n}.txt" for n in range(5)]
    files = HfFileSystem(endpoint=hub.url, token=hub.token, skip_instance_cache=True)
    assert files.glob(f"datasets/{repo_id}/**/3.txt") == [f"datasets/{repo_id}/d/3.txt"]
    with files.open(f"datasets/{repo_id}/new.bin", "wb") as file:
        file.write(bytes(range(256)) * 5000)
    with files.open(f"datasets/{repo_id}/new.bin", "rb", block_size=4096) as file:
        file.seek(1000)
        assert file.read(5) == bytes(range(232, 237))
    assert files.info(f"datasets/{repo_id}/new.bin")["size"] == 256 * 5000
