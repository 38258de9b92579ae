"""Measure how fast a model writes on a CPU, one token at a time, beside transformers' GPT-2 of its size.

    python scripts/bench/generation.py [--widths 48 128 384 768] [--batch 1] [--prompt 16] [--tokens 40] [--threads 1]
        [--repeats 5]

Greedy `generate` with its cache, after a prompt, over GPT-2's vocabulary of 50,257. A width has a layer
and a head for each 64 of it (at least three layers and one head), and one table for embedding and head. The recurrent
models are as wide, with as many layers. The models take turns; a figure is the median, of all texts of the batch
together, the pass over the prompt included. Beside it stands the speed at which that reads the weights that a token
needs: the memory's speed bounds what one text can reach, and is measured too.
"""

import argparse
import os
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel

from hubkit.models.minigpt import MiniGPTConfig, MiniGPTForCausalLM
from hubkit.models.recurrent import RecurrentConfig, RecurrentForCausalLM
from machine import in_turns, print_machine

VOCABULARY = 50257


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure how fast a model writes on a CPU.")
    parser.add_argument("--widths", type=int, nargs="+", default=[48, 128, 384, 768])
    parser.add_argument("--batch", type=int, default=1, help="texts written at once (default: %(default)s)")
    parser.add_argument("--prompt", type=int, default=16, help="tokens of a prompt (default: %(default)s)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=40, help="new tokens of a turn (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.filterwarnings("ignore")
    print_machine("torch", "transformers")
    batch, tokens = arguments.batch, arguments.tokens
    print(f"{arguments.threads} threads, {batch} texts, prompts of {arguments.prompt} tokens")
    print("new tokens a second, how many times GPT-2's that is, and GB of weights read a second")
    for width in arguments.widths:
        made = models(width)
        stages = [writing(model, batch, arguments.prompt, tokens) for model in made.values()]
        memory = torch.zeros(2**26)
        *times, reading = in_turns([*stages, memory.sum], arguments.repeats)
        print(f"width {width}, {made['gpt2'].num_parameters():,} parameters as GPT-2")
        for (name, model), seconds in zip(made.items(), times, strict=True):
            rate = tokens / seconds
            print(f"    {name:<28}{batch * rate:>8,.1f}{times[0] / seconds:>8.2f}{rate * weights(model) / 1e9:>8.1f}")
        print(f"    {'a sum over memory':<44}{memory.nbytes / reading / 1e9:>8.1f}")
    print(f"load average at the end: {os.getloadavg()[0]:.2f} on {os.cpu_count()} cores")


def models(width: int) -> dict[str, PreTrainedModel]:
    """Return the models of a width by their names, GPT-2 first."""
    layers, heads = max(3, width // 64), max(1, width // 64)
    shape: dict[str, Any] = {"vocab_size": VOCABULARY, "n_layer": layers, "n_head": heads, "n_embd": width}
    modern: dict[str, Any] = {"position": "rope", "mlp": "swiglu", "norm": "rmsnorm"}
    tied: dict[str, Any] = {"tie_embeddings": True}
    recurrent: dict[str, Any] = {"vocab_size": VOCABULARY, "hidden_size": width, "num_hidden_layers": layers}
    made: dict[str, PreTrainedModel] = {
        "gpt2": GPT2LMHeadModel(GPT2Config(**shape)),
        "minigpt": MiniGPTForCausalLM(MiniGPTConfig(**shape, **tied)),
        "minigpt, rope swiglu rmsnorm": MiniGPTForCausalLM(MiniGPTConfig(**shape, **tied, **modern)),
    }
    for cell in ("gru", "lstm"):
        config = RecurrentConfig(cell=cell, **recurrent, tie_word_embeddings=True)
        made[f"recurrent, {cell}"] = RecurrentForCausalLM(config)
    return {name: model.eval() for name, model in made.items()}


def weights(model: PreTrainedModel) -> int:
    """Return the bytes of weights that each token needs: all but the table of positions (the other is the head too)."""
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    unread = sum(table.weight.nbytes for table in tables if len(table.weight) != VOCABULARY)
    return sum(weight.nbytes for weight in model.parameters()) - unread


def writing(model: PreTrainedModel, batch: int, length: int, tokens: int) -> Callable[[], object]:
    """Return what continues so many prompts of a length by so many tokens."""
    prompt = torch.arange(batch * length).view(batch, length) % VOCABULARY
    settings: dict[str, Any] = {
        "max_new_tokens": tokens,
        "min_new_tokens": tokens,
        "do_sample": False,
        "pad_token_id": 0,
    }
    generate = getattr(model, "generate")  # noqa: B009 (GenerationMixin's, which the type does not tell)
    return partial(generate, prompt, attention_mask=torch.ones_like(prompt), **settings)


if __name__ == "__main__":
    main()
