"""The repositories around the cards in `data`: the few files that each card speaks of."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

DATA = Path(__file__).parent / "data"
NAMES = {
    "trainer": "lab/review-classifier",
    "trl": "lab/tiny-chat",
    "distilabel": "lab/instructions",
    "push_to_hub": "lab/pages",
    "by_hand": "lab/counting",
}


def furnish(tool: str, folder: Path, card: str) -> Path:
    """Write a repository with one of the cards in `data`; `card` is ``before`` or ``after``."""
    folder.mkdir(parents=True)
    for path in {"trainer": ["model.safetensors"], "trl": ["model.safetensors"], "distilabel": ["pipeline.yaml"],
                 "push_to_hub": [], "by_hand": ["app.py", "shot.png", "LICENSE"]}[tool]:  # fmt: skip
        (folder / path).write_bytes(b"x")
    if tool == "distilabel":
        for split, rows in {"train": 40, "test": 4}.items():
            texts = [str(i) for i in range(rows)]
            write_parquet(folder / f"data/{split}-00000-of-00001.parquet", instruction=texts, generation=texts)
    if tool == "push_to_hub":
        for i in range(3):
            write_parquet(folder / f"data/train-{i:05d}-of-00003.parquet", text=["page"] * 10, id=range(10))
    (folder / "README.md").write_bytes((DATA / tool / f"{card}.md").read_bytes())
    return folder


def write_parquet(file: Path, **columns: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({name: pa.array(values) for name, values in columns.items()}), file)
