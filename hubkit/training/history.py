"""What a run measured on its way: losses by step, kept, resumed, and drawn as CSV and PNG."""

import csv
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hubkit.files import atomic_path, write_atomic

COLUMNS = ("step", "train_loss", "validation_loss", "learning_rate")
"""What every run notes; losses of other evaluation sets follow, as `validation_loss_NAME`."""


@dataclass
class History:
    """One record a logged step; a missing value is None."""

    records: list[dict[str, Any]] = field(default_factory=list)

    def add(self, step: int, **values: float) -> None:
        """Note values of a step; a step may be noted in several calls."""
        if not self.records or self.records[-1]["step"] != step:
            self.records.append({"step": step})
        self.records[-1].update(values)

    def series(self, name: str) -> tuple[list[int], list[float]]:
        """Return the steps at which a value was noted, and the values."""
        points = [(r["step"], r[name]) for r in self.records if r.get(name) is not None]
        return [step for step, _ in points], [value for _, value in points]

    def latest(self, name: str) -> float | None:
        """Return the value that was noted last, or None."""
        return next((r[name] for r in reversed(self.records) if r.get(name) is not None), None)

    def write(self, folder: Path, title: str) -> None:
        """Write `curve.csv` and `curve.png`."""
        text = io.StringIO()
        others = {name for record in self.records for name in record} - set(COLUMNS)
        columns = (*COLUMNS, *sorted(others))
        writer: csv.DictWriter[Any] = csv.DictWriter(text, columns, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        write_atomic(folder / "curve.csv", text.getvalue())
        self._draw(folder / "curve.png", title)

    def _draw(self, path: Path, title: str) -> None:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot(*self.series("train_loss"), color="#4c78a8", linewidth=1.2, label="training")
        axes.plot(*self.series("validation_loss"), color="#e45756", marker="o", markersize=3, label="validation")
        axes.set(xlabel="optimizer steps", ylabel="loss (nats a token)", title=title)
        axes.grid(alpha=0.3)
        axes.legend(frameon=False)
        with atomic_path(path) as temporary:
            # Without the version in its metadata, the same curve gives the same file.
            figure.savefig(temporary, format="png", dpi=150, metadata={"Software": None})
