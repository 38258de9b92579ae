"""One task of a stage in a process of its own: `python -m hubkit.corpora.cluster.rank FOLDER STAGE RANK WORLD`.

It ends when its standard input does, so that it never outlives the process that started it.
"""

import os
import sys
import threading
from pathlib import Path

from hubkit.corpora.cluster.failures import failure_noted
from hubkit.corpora.stages import run_stage
from hubkit.files import sweep_temporary


def run_rank(folder: Path, stage: str, rank: int, world: int) -> None:
    """Do one task's share of a stage; a failure is also written down in the folder.

    Raises:
        UserError: Doing the same again would fail the same.
        Exception: Whatever else went wrong.
    """
    with failure_noted(folder, stage, rank):
        run_stage(folder, stage, rank, world)
        if stage == "manifest":  # nobody writes any more; what killed tasks left half-written may go
            for place in (folder, folder / "data"):
                sweep_temporary(place)


def main() -> None:
    """Run the task that the command line names."""
    folder, stage, rank, world = sys.argv[1:]
    threading.Thread(target=_end_with_the_parent, daemon=True).start()
    run_rank(Path(folder), stage, int(rank), int(world))


def _end_with_the_parent() -> None:
    os.read(0, 1)
    os._exit(1)


if __name__ == "__main__":
    main()
