"""Draws the figures of the page as SVG that takes the colour and the fonts of the page, light or dark."""

import io
import math
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from html import escape
from typing import Any

import matplotlib
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

Rows = Sequence[Sequence[float | None]]
"""A row for each step, a column for each dimension; None leaves a gap."""

COLORS = ("#3b82f6", "#f97316", "#10b981", "#a855f7", "#ef4444", "#06b6d4", "#eab308", "#ec4899", "#84cc16", "#64748b")
BAR, TRUTH = "#6366f1", "#f59e0b"
"""Middle tones: they stand out from a white page and from a black one."""

_WIDTH = 5.4  # inches; the page scales all figures to one column, and so their letters stay of one size
_INK = "#010203"  # no other part has this colour: it becomes the page's text colour
_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none", "font.size": 9, "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _INK,
    "xtick.color": _INK, "ytick.color": _INK, "axes.spines.top": False, "axes.spines.right": False,
    "axes.linewidth": 0.6, "grid.color": _INK, "grid.alpha": 0.12, "grid.linewidth": 0.6, "axes.axisbelow": True,
    "legend.frameon": False, "lines.linewidth": 1.6,
}  # fmt: skip
_LOCK = threading.Lock()  # matplotlib's settings are global, and gradio answers in threads


def bars(tokens: Sequence[tuple[str, float]], truth: str | None = None) -> str:
    """Return a bar chart of tokens and their probabilities, the likeliest on top.

    Args:
        tokens: Each token with its probability, 0 to 1, falling.
        truth: The token that was hidden, if known; its bar has another colour.
    """
    with _figure(_WIDTH, 0.6 + 0.29 * max(3, len(tokens))) as figure:
        axes = figure.add_subplot()
        percents = [100 * probability for _, probability in tokens]
        places = range(len(tokens))
        colors = [TRUTH if token == truth else BAR for token, _ in tokens]
        notes = [
            percent(value / 100) + ("  truth" if token == truth else "")
            for value, (token, _) in zip(percents, tokens, strict=True)
        ]
        drawn = axes.barh(places, percents, color=colors, height=0.68)
        axes.set_yticks(places, [token for token, _ in tokens], parse_math=False)
        axes.tick_params(axis="y", length=0, labelsize=10, labelfontfamily="monospace")
        axes.invert_yaxis()
        axes.bar_label(drawn, notes, padding=4)
        axes.set_xlim(0, max(percents, default=1) * 1.2)
        axes.set_xlabel("probability in %")
        axes.spines["left"].set_visible(False)
        axes.grid(axis="x")
        label = ", ".join(f"{token} {percent(probability)}" for token, probability in tokens)
        return _svg(figure, f"Bar chart of the likeliest tokens: {label}")


def steps(values: Rows, guesses: Mapping[tuple[int, int], float]) -> str:
    """Return the trajectory over time, a line for each dimension; filled numbers are rings in its gaps.

    Args:
        values: The data.
        guesses: Filled numbers by step and dimension.
    """
    with _figure(_WIDTH, 3.5) as figure:
        axes = figure.add_subplot()
        for dim, column in enumerate(_columns(values)):
            color = COLORS[dim % len(COLORS)]
            axes.plot(column, color=color, label=f"dim {dim + 1}", marker=".", markersize=4)
            points = [(step, value) for (step, at), value in guesses.items() if at == dim]
            if points:
                axes.plot(*zip(*points, strict=True), "o", mfc="none", mec=color, ms=9, mew=2)
        axes.set_xlabel("step")
        axes.set_ylabel("value")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid()
        if len(values[0]) <= len(COLORS):
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1), ncols=5, columnspacing=1.2, handlelength=1.4)
        return _svg(figure, f"Trajectory of {len(values)} steps in {len(values[0])} dimensions; {len(guesses)} filled")


def orbit(values: Rows, guesses: Mapping[tuple[int, int], float]) -> str:
    """Return the path through space: in 3-D where there are three dimensions, else of the first two.

    Args:
        values: The data, of at least two dimensions.
        guesses: Filled numbers by step and dimension.
    """
    solid = len(values[0]) == 3
    chosen = range(3 if solid else 2)
    complete = [[guesses.get((step, dim), row[dim]) for dim in chosen] for step, row in enumerate(values)]
    filled = [complete[step] for step in sorted({step for step, dim in guesses if dim in chosen})]
    with _figure(_WIDTH, 3.5, constrained=not solid) as figure:
        axes: Any = figure.add_subplot(projection="3d" if solid else None)
        axes.plot(*_columns(complete), color=COLORS[0], marker=".", markersize=4)
        axes.plot(*_columns(complete[:1]), "s", color=COLORS[0], ms=6, label="first step")
        if filled:
            axes.plot(*_columns(filled), "o", mfc="none", mec=TRUTH, ms=9, mew=2, ls="none", label="filled")
        axes.set_xlabel("dim 1")
        axes.set_ylabel("dim 2")
        if solid:
            _dress_space(axes)
        else:
            axes.grid()
        figure.legend(loc="upper center", ncols=2)
        return _svg(figure, f"Path through {'three' if solid else 'the first two'} dimensions")


def percent(probability: float) -> str:
    """Return a probability for readers: ``82.4 %``, ``<0.1 %``."""
    return f"{100 * probability:.1f} %" if probability >= 0.0005 else "<0.1 %"


def _columns(rows: Rows) -> list[list[float]]:
    return [[math.nan if value is None else value for value in column] for column in zip(*rows, strict=True)]


def _dress_space(axes: Any) -> None:
    axes.set_zlabel("dim 3")
    axes.set_position((0, 0.11, 1, 0.82))
    axes.set_box_aspect((4, 4, 3), zoom=1.12)
    axes.tick_params(labelsize=8, pad=0)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MaxNLocator(5))
        axis.set_pane_color((0, 0, 0, 0))
        axis.line.set_linewidth(0.6)
        axis._axinfo["grid"].update(color=(*to_rgb(_INK), 0.15), linewidth=0.6)  # no public setter


@contextmanager
def _figure(width: float, height: float, constrained: bool = True) -> Iterator[Figure]:
    # The constrained layout takes no heed of what stands around a 3-D box: such figures place it themselves.
    with _LOCK, matplotlib.rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained" if constrained else None)


def _svg(figure: Figure, label: str) -> str:
    """Return a figure as an SVG element for the middle of a page."""
    buffer = io.StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<style.*?</style>", "", text, flags=re.S)  # it would apply to the whole page
    text = re.sub(r' id="(?![mp][0-9a-f]{10}")[^"]*"', "", text)  # two figures of a page would share these
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    text = text.replace(_INK, "currentColor")
    return f'<div class="figure" role="img" aria-label="{escape(label)}">{text}</div>'
