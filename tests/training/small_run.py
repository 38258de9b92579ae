"""A run of some steps, in this process or in one that can be killed: `python small_run.py FOLDER STEPS CASE DIE_AT`."""

import hashlib
import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import torch
from accelerate import Accelerator
from accelerate.utils import set_seed

from hubkit.corpora.registry import find
from hubkit.data.batches import Batches, HeldOut, Source
from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.objectives.masked import MaskedSpec
from hubkit.data.objectives.numeric import NumericMaskedSpec
from hubkit.data.reading import ReadingSpec
from hubkit.data.tokens import tokenise
from hubkit.models.gpt_neox import GPTNeoXSpec
from hubkit.models.minigpt import MiniGPTSpec
from hubkit.models.numeric_roberta.spec import NumericRobertaSpec
from hubkit.models.recurrent import RecurrentSpec
from hubkit.models.roberta import RobertaSpec
from hubkit.tokenizers import make_tokenizer
from hubkit.training.loop import Loop
from hubkit.training.recipe import TrainingSpec

EVERY = 6
"""Steps between checkpoints."""
TRAINING = {
    "batch_size": 8,
    "learning_rate": 3e-3,
    "schedule": {"warmup_steps": 4},
    "log_every": 1,
    "evaluate_every": EVERY,
    "checkpoint_every": EVERY,
    "evaluation_rows": 16,
    "trackers": (),
}

# All with dropout where the architecture has it, so that a run hangs on the state of torch's generator.
MODELS: dict[str, Any] = {
    "roberta": RobertaSpec(hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2),
    "numeric_roberta": NumericRobertaSpec(
        hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2
    ),
    "minigpt": MiniGPTSpec(n_layer=1, n_head=2, n_embd=32, dropout=0.1),
    "minigpt modern": MiniGPTSpec(
        n_layer=1, n_head=2, n_embd=32, dropout=0.1, mlp="swiglu", position="rope", norm="rmsnorm", tie_embeddings=True
    ),
    "still": MiniGPTSpec(n_layer=1, n_head=2, n_embd=32),
    "gru": RecurrentSpec(cell="gru", hidden_size=32, num_hidden_layers=1, dropout=0.1),
    "lstm": RecurrentSpec(cell="lstm", hidden_size=32, num_hidden_layers=1, dropout=0.1),
    "gpt_neox": GPTNeoXSpec(
        hidden_size=32, num_hidden_layers=1, num_attention_heads=2, hidden_dropout=0.1, rotary_pct=0.5
    ),
}
OBJECTIVES: dict[str, Any] = {
    "masked": MaskedSpec(),
    "numeric": NumericMaskedSpec(),
    "forward": CausalSpec(),
    "backward": CausalSpec(direction="backward"),
    "both": CausalSpec(direction="both"),
    "permuted": CausalSpec(direction="permuted", permutation=(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)),
    "prefix": CausalSpec(learn_after=","),
}
WINDOWS = ReadingSpec(form="windows", length=16)
CASES = (
    "roberta masked", "numeric_roberta numeric", "minigpt forward", "minigpt backward", "minigpt both",
    "minigpt permuted", "minigpt prefix", "minigpt modern forward", "gru forward", "gru backward", "gru both",
    "lstm forward", "lstm backward", "gpt_neox forward", "gpt_neox backward", "gpt_neox prefix",
)  # fmt: skip
"""An architecture and an objective each."""


class Parts(NamedTuple):
    """What a loop is made of."""

    tokenizer: Any
    model: Any
    objective: Any
    sequences: Any


def pairs(count: int) -> list[str]:
    """Return rows of a rewriting corpus, whose rule doubles each A."""
    draw = random.Random(0)
    texts = ("".join(draw.choices("AB", k=draw.randint(1, 9))) for _ in range(count))
    return [f"{{{text},{text.replace('A', 'AA')}}}" for text in texts]


def worlds(count: int) -> list[str]:
    """Return worlds of ten steps."""
    return find("lorenz-tiny").builder.block("train", 0, count).rows["text"].to_pylist()


def make_parts(folder: Path, case: str) -> Parts:
    """Return the parts of a case, the weights as seed 0 draws them."""
    architecture, _, kind = case.rpartition(" ")
    spec, masked = OBJECTIVES[kind], kind in ("masked", "numeric")
    of_worlds = masked or kind == "both"
    tokenizer = make_tokenizer({"numeric": "numeric-lorenz"}.get(kind, "lorenz" if of_worlds else "characters:AB"))
    if spec.extra_tokens:
        tokenizer.add_special_tokens({"additional_special_tokens": list(spec.extra_tokens)})
    objective = spec.make(tokenizer)
    texts = worlds(96 if masked else 12) if of_worlds else pairs(192)
    tokens = tokenise(datasets.Dataset.from_dict({"text": texts}), "text", tokenizer, folder, objective.framing)
    reading = ReadingSpec() if masked or kind == "prefix" else WINDOWS
    sequences = reading.make(tokens, objective.more, "rows")
    set_seed(0)
    model = MODELS[architecture].make(tokenizer, int(sequences.lengths.max()))
    for name, value in spec.recorded(tokenizer).items():
        setattr(model.config, name, value)
    return Parts(tokenizer, model, objective, sequences)


def small_loop(
    folder: Path,
    steps: int,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
    case: str = "roberta masked",
    parts: Parts | None = None,
    accelerator: Accelerator | None = None,
    more_sets: dict[str, int] | None = None,
    **changes: Any,
) -> Loop:
    """Return a loop over a model of one narrow layer.

    Args:
        folder: Of the run.
        steps: Of the run.
        progress: Hears of each step.
        case: One of `CASES`.
        parts: Others than those of the case.
        accelerator: Another than that of one process.
        more_sets: Other evaluation sets: how many of the sequences each has.
        changes: Fields of `TrainingSpec`.
    """
    torch.set_num_threads(1)
    spec = TrainingSpec.model_validate({"steps": steps} | TRAINING | changes)
    accelerator = accelerator or Accelerator(cpu=True)
    parts = parts or make_parts(folder, case)
    training = Batches(
        [Source("rows", parts.sequences)], parts.objective, spec.batch_size, 0, spec.length_pool,
        accelerator.process_index, accelerator.num_processes, spec.micro_batch_size,
    )  # fmt: skip
    sets = {"validation": spec.evaluation_rows} | (more_sets or {})
    held_out = {
        name: HeldOut(parts.sequences, rows, parts.objective, spec.batch_size, seed=0) for name, rows in sets.items()
    }
    return Loop(spec, parts.model, training, held_out, accelerator, folder, {"name": "recipe"}, progress)


def measured(loop: Loop, **options: Any) -> dict[str, Any]:
    """Run a loop and return its losses and the sha256 of its final weights."""
    history = loop.run(**options).history
    weights = hashlib.sha256()
    for name, tensor in sorted(loop.accelerator.unwrap_model(loop.model).state_dict().items()):
        weights.update(name.encode() + tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    losses = {name: history.series(f"{name}_loss") for name in ("train", "validation")}
    return losses | {"weights": weights.hexdigest()}


def begun(work: Callable[..., object], *arguments: object) -> Any:
    """Begin some work, a function of a module, in a process of its own, and return that.

    It is forked from one that has the libraries and has trained nothing: once torch's autograd has threads, as it may
    have here from any test before, forks of it can't train.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["datasets", "hubkit.training.loop", "hubkit.models.minigpt.modeling_minigpt"])
    process = context.Process(target=work, args=arguments)
    root = str(Path(__file__).parents[__name__.count(".")])
    sys.path.append(root)  # pytest finds these modules without; what starts now inherits it
    try:
        process.start()
    finally:
        sys.path.remove(root)
    return process


def main() -> None:
    folder, steps, case, die_at = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

    def progress(what: str, done: int, total: int) -> None:
        if done == die_at:
            os.kill(os.getpid(), signal.SIGKILL)

    small_loop(folder, steps, progress, case).run()


if __name__ == "__main__":
    main()
