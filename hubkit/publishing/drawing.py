"""Draws the plots of a card as PNG. The same numbers and the same matplotlib give the same bytes."""

import io
import math
import re
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from hubkit.corpora.histogram import BITS, bin_stop, coarser
from hubkit.publishing.plots import MOST_SPLITS, ClassPlot, LengthPlot, Plot
from hubkit.publishing.sources import PICTURES, Content, content_of_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLORS = ("#4c78a8", "#f58518", "#54a24b", "#e45756", "#72b7b2", "#b279a2", "#9d755d", "#bab0ac")
assert len(_COLORS) >= MOST_SPLITS
_BARS = 60
_WIDE = 8
"""Lengths of which the greatest is so many times the least are shown on a logarithmic scale."""

_LABEL = 28
"""Characters of a name beside an axis."""


def drawn(plots: Sequence[Plot]) -> list[Content]:
    """Return the pictures of plots, in their order; none of it imports matplotlib where there are no plots."""
    if not plots:
        return []
    taken: set[str] = set()
    return [content_of_bytes(_path(plot, taken), _png(plot)) for plot in plots]


def _path(plot: Plot, taken: set[str]) -> str:
    """Return where a plot lies: a name of letters and digits that no other plot has."""
    words = "-".join(filter(None, (plot.kind, plot.config, plot.column)))
    name = re.sub(r"[^A-Za-z0-9]+", "-", words).strip("-")
    ends = ["", *(f"-{index}" for index in range(2, len(taken) + 2))]
    path = next(path for end in ends if (path := f"{PICTURES}/{name}{end}.png") not in taken)
    taken.add(path)
    return path


def _png(plot: Plot) -> bytes:
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    settings = {key: value for key, value in matplotlib.rcParamsDefault.items() if key != "backend"}
    settings["text.parse_math"] = False  # a $ in a name begins no formula
    with matplotlib.rc_context(cast("dict", settings)), warnings.catch_warnings():  # and nobody's matplotlibrc counts
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        height = 3.2 if isinstance(plot, LengthPlot) else 1.2 + 0.14 * len(plot.values) * (len(plot.splits) + 1)
        figure = Figure(figsize=(7, min(height, 12)), layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        if isinstance(plot, LengthPlot):
            _lengths(axes, plot)
        else:
            _classes(axes, plot)
        axes.set_title(_short(f"{plot.config}: {plot.column}" if plot.config else plot.column), fontsize="medium")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", alpha=0.3)
        axes.set_axisbelow(True)
        if len(plot.splits) > 1:
            axes.legend(frameon=False, fontsize="small")
        image = io.BytesIO()
        figure.savefig(image, format="png", dpi=120, metadata={"Software": None})
    return image.getvalue()


def _lengths(axes: "Axes", plot: LengthPlot) -> None:
    """Draw a histogram of each split; each has the area 1, whatever the width of its bars."""
    least = min(lengths["min"] for lengths in plot.splits.values())
    greatest = max(lengths["max"] for lengths in plot.splits.values())
    place = _log_place if greatest >= _WIDE * max(8, least) else _linear_place
    bits = _bits(plot, least, greatest)
    for (split, lengths), color in zip(plot.splits.items(), _COLORS, strict=False):
        starts = coarser(lengths["histogram"], bits)
        edges = [*_bars(min(starts), max(starts), bits), bin_stop(max(starts), bits)]
        places, rows = [place(edge) for edge in edges], sum(starts.values())
        heights = [
            starts.get(start, 0) / rows / (right - left)
            for start, left, right in zip(edges, places, places[1:], strict=False)
        ]
        axes.stairs(heights, places, fill=True, color=color, alpha=0.25)
        axes.stairs(heights, places, color=color, linewidth=1.2, label=_short(split))
    if place is _log_place:
        ticks = _ticks(least, greatest)
        axes.set_xticks([_log_place(tick) for tick in ticks], [f"{tick:,}" for tick in ticks])
    axes.set(xlabel=plot.unit, ylabel="share of rows, by area", ylim=(0, None), yticks=[])


def _bits(plot: LengthPlot, least: int, greatest: int) -> int:
    """Return how finely to cut an octave: so that there are neither too many bars nor too few rows for them."""
    rows = max(sum(lengths["histogram"].values()) for lengths in plot.splits.values())
    most = min(_BARS, max(8, 2 * math.isqrt(rows)))
    return next((bits for bits in range(BITS, 0, -1) if len(_bars(least, greatest, bits)) <= most), 0)


def _bars(least: int, greatest: int, bits: int) -> list[int]:
    """Return where the bars from that of one length to that of another begin."""
    starts = [next(iter(coarser({least: 1}, bits)))]
    while (stop := bin_stop(starts[-1], bits)) <= greatest:
        starts.append(stop)
    return starts


def _linear_place(length: int) -> float:
    return length - 0.5


def _log_place(length: int) -> float:
    """Return where a length stands on a logarithmic scale; 0, which has no place on one, is left of 1."""
    return math.log2(length) if length else -1.0


def _ticks(least: int, greatest: int) -> list[int]:
    """Return round numbers on a logarithmic scale, six or so."""
    exponents = range(len(str(greatest)) + 1)
    for digits in ((1, 2, 5), (1, 3), (1,)):
        ticks = [digit * 10**exponent for exponent in exponents for digit in digits]
        ticks = [tick for tick in ticks if max(1, least) <= tick <= greatest]
        if len(ticks) <= 8:
            break
    return [0, *ticks] if least == 0 else ticks


def _classes(axes: "Axes", plot: ClassPlot) -> None:
    """Draw a bar for each value and split: the share of the split's rows that have the value."""
    thickness = 0.8 / len(plot.splits)
    for index, ((split, shares), color) in enumerate(zip(plot.splits.items(), _COLORS, strict=False)):
        places = [row + thickness * (index + 0.5) - 0.4 for row in range(len(shares))]
        axes.barh(places, [share * 100 for share in shares], thickness, color=color, label=_short(split))
    axes.set_yticks(range(len(plot.values)), [_short(value) for value in plot.values], fontsize="small")
    axes.invert_yaxis()
    axes.set(xlabel="% of the rows of a split")


def _short(name: str) -> str:
    """Return a name as it fits beside an axis, on one line."""
    name = " ".join(name.split())
    return name if len(name) <= _LABEL else name[: _LABEL - 1] + "…"
