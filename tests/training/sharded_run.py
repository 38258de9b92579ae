"""A run of one of several processes that share a model out, on processors: `accelerate launch … FOLDER STEPS DIE_AT`.

accelerate shares models out on GPUs alone, so it is told that there are some, which talk through gloo.
"""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.state import PartialState
from accelerate.utils import DistributedType

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

from hubkit.training.parallel import exchange, keep_precision
from tests.training.small_run import make_parts, small_loop

CHANGES = {"precision": "bf16", "evaluate_every": 4, "loss_chunk": 32}
"""Of the training. It evaluates between two checkpoints, and its loss has several chunks."""


def pretend() -> None:
    """Have accelerate take this processor for a GPU."""
    sharded = "ACCELERATE_USE_DEEPSPEED" not in os.environ
    kind = DistributedType.MULTI_GPU if sharded else DistributedType.MULTI_CPU

    def set_device(state: PartialState) -> None:
        state.device = torch.device("cpu")

    PartialState._prepare_backend = lambda *_, **__: ("gloo", kind)
    PartialState.set_device = set_device


def main() -> None:
    folder, steps, die_at = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    pretend()
    accelerator = Accelerator(kwargs_handlers=exchange(), mixed_precision="bf16")
    keep_precision(accelerator)

    def progress(what: str, done: int, total: int) -> None:
        if done == die_at:
            os._exit(9)

    parts = make_parts(folder / f"tokens-{accelerator.process_index}", "still forward")
    loop = small_loop(folder, steps, progress, parts=parts, accelerator=accelerator, **CHANGES)
    history = loop.run().history
    weights = loop.weights()
    if accelerator.is_main_process:
        torch.save(weights, folder / "weights.pt")
        losses = {name: history.series(f"{name}_loss")[1] for name in ("train", "validation")}
        (folder / "losses.json").write_text(json.dumps(losses | {"shared": accelerator.distributed_type.value}))
    accelerator.end_training()


if __name__ == "__main__":
    main()
