"""Tiny models and corpora on disk, as a training leaves them; no Hub is needed to evaluate them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.reading import ReadingSpec, Sequences
from hubkit.data.tokens import tokenise
from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.tokenizers import save_tokenizer
from hubkit.tokenizers.characters import character_tokenizer

TOKENIZER = character_tokenizer("AB")
WHOLE_ROWS = ReadingSpec()
PLAIN = ["AB,AAB", "B,B", "BBA,BBAA", "AA,AAAA", "A,AA", "BA,BAA", "B,B"]
PAIRS = [f"{{{text}}}" for text in PLAIN]


def plain_tokenizer() -> PreTrainedTokenizerFast:
    """Return a tokenizer of two letters whose texts do not say themselves where they begin and end."""
    vocabulary = {token: id for id, token in enumerate(["<end>", ",", "A", "B", "<begin>"])}
    backend = Tokenizer(models.WordLevel(vocabulary, unk_token=None))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), behavior="isolated")
    backend.decoder = decoders.Fuse()
    return PreTrainedTokenizerFast(tokenizer_object=backend, bos_token="<begin>", eos_token="<end>")


def tokenizer_of(spec: CausalSpec) -> Any:
    """Return a tokenizer of two letters; of both directions the plain one, with the tokens that name them."""
    tokenizer = plain_tokenizer() if spec.direction == "both" else character_tokenizer("AB")
    if spec.extra_tokens:
        tokenizer.add_special_tokens({"additional_special_tokens": list(spec.extra_tokens)})
    return tokenizer


def sequences_of(
    rows: Sequence[str],
    spec: CausalSpec,
    folder: Path,
    reading: ReadingSpec = WHOLE_ROWS,
    loss: Sequence[Sequence[int]] = (),
) -> Sequences:
    """Return rows as a model reads them."""
    tokenizer = tokenizer_of(spec)
    objective = spec.make(tokenizer)
    marks = {"loss": [list(pairs) for pairs in loss]} if loss else {}
    split = datasets.Dataset.from_dict({"text": list(rows)} | marks)
    return reading.make(tokenise(split, "text", tokenizer, folder, objective.framing), objective.more, "rows")


def tiny(tokenizer: Any = TOKENIZER, seed: int = 0, **shape: Any) -> MiniGPTForCausalLM:
    """Return a model with fresh weights, large enough that its answers differ."""
    torch.manual_seed(seed)
    shape = {"n_layer": 1, "n_head": 2, "n_embd": 16, "block_size": 32, "initializer_range": 0.5} | shape
    config = MiniGPTConfig(
        vocab_size=len(tokenizer), bos_token_id=tokenizer.bos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id, **shape,
    )  # fmt: skip
    return MiniGPTForCausalLM(config).eval()


def write_corpus(folder: Path, splits: Mapping[str, Sequence[str]], loss: Sequence[Sequence[int]] = ()) -> None:
    """Write a dataset that `load_dataset` takes by its path; `loss` is a column of each split, as long as it is."""
    folder.mkdir(parents=True)
    for split, rows in splits.items():
        marks = {"loss": pa.array(loss, pa.list_(pa.int32()))} if loss else {}
        pq.write_table(pa.table({"text": list(rows)} | marks), folder / f"{split}-00000-of-00001.parquet")


def write_model(
    folder: Path,
    corpus: Path,
    objective: Mapping[str, Any],
    reading: Mapping[str, Any] | None = None,
    evaluations: Sequence[str] = (),
    dataset: Mapping[str, Any] | None = None,
) -> None:
    """Write a model folder with its lineage."""
    spec = CausalSpec.build(objective) if objective.get("name", "causal") == "causal" else CausalSpec()
    tokenizer = tokenizer_of(spec)
    model = tiny(tokenizer)
    for name, value in spec.recorded(tokenizer).items():
        setattr(model.config, name, value)
    model.save_pretrained(folder)
    save_tokenizer(tokenizer, folder)
    recipe = {
        "dataset": {"repo": str(corpus), **(dataset or {})},
        "objective": {"name": "causal", **objective},
        "reading": reading or {},
        "evaluations": list(evaluations),
    }
    commit = {"repo": str(corpus), "revision": "a" * 40, "release": None}
    (folder / "run.json").write_text(json.dumps({"name": "small", "recipe": recipe, "datasets": [commit]}))
