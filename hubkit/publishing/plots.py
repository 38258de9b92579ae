"""What the plots of a dataset card show, from the statistics of its manifest alone, so that no row is read again.

A column of few values gets their shares, any other text or list the histogram of its lengths.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hubkit.corpora.value_counts import MOST_VALUES
from hubkit.publishing.cards import number

MOST = 6
"""Plots of either kind in one card."""

_LEAST_SPAN = 4
"""Lengths that differ by less have no shape to look at."""

MOST_SPLITS = 8
"""Splits in one plot: the first ones of a config."""

_ROWS_A_CLASS = 5
"""Values that occur less often than this on average are hardly names of classes."""

Names = Mapping[tuple[str, str], Sequence[str]]
"""By config (empty for the default one) and column: what its whole numbers stand for."""


@dataclass(frozen=True)
class LengthPlot:
    """Lengths of a column."""

    config: str
    column: str
    unit: str
    """``characters`` or ``items``."""
    splits: Mapping[str, Mapping[str, Any]]
    """By split what the manifest says of its lengths, the histogram with numbers as keys."""

    kind = "lengths"

    @property
    def alt(self) -> str:
        """What one sees, in a sentence."""
        said = (
            f"{split} {number(lengths['min'])} to {number(lengths['max'])}, {number(lengths['mean'])} on average"
            for split, lengths in self.splits.items()
        )
        return f"Histogram of {_called(self)}, in {self.unit}: {'; '.join(said)}"


@dataclass(frozen=True)
class ClassPlot:
    """Shares of the values of a column."""

    config: str
    column: str
    values: Sequence[str]
    splits: Mapping[str, Sequence[float]]
    """By split the share of its rows that each value has."""

    kind = "values"

    @property
    def alt(self) -> str:
        """What one sees, in a sentence."""
        said = []
        for split, shares in self.splits.items():
            most, least = (shares.index(extreme(shares)) for extreme in (max, min))
            if shares[most] == shares[least]:
                said.append(f"in {split} all are as frequent")
            else:
                said.append(
                    f"in {split} {self.values[most]} is the most frequent ({_percent(shares[most])}), "
                    f"{self.values[least]} the least ({_percent(shares[least])})"
                )
        return f"Bar chart of the {len(self.values)} values of {_called(self)}: {'; '.join(said)}"


Plot = LengthPlot | ClassPlot


def plots_of(splits: Mapping[str, Mapping[str, Any]], names: Names) -> list[Plot]:
    """Return what there is to plot of a dataset.

    Args:
        splits: Those of its manifest, with their statistics.
        names: What the whole numbers of some columns stand for.
    """
    configs: dict[str, dict[str, Mapping[str, Any]]] = {}
    for key, split in splits.items():
        config, _, name = key.rpartition("/")
        shown = configs.setdefault(config, {})
        if len(shown) < MOST_SPLITS:
            shown[name] = split["statistics"]
    found: dict[str, list[Plot]] = {"lengths": [], "values": []}
    for config, statistics in configs.items():
        for plot in _of_config(config, statistics, names):
            found[plot.kind].append(plot)
    return [plot for plots in found.values() for plot in plots[:MOST]]


def label_names(info: Any) -> dict[tuple[str, str], list[str]]:
    """Return the names of labels that a card's `dataset_info` gives."""
    found = {}
    for entry in info if isinstance(info, list) else [info]:
        config = str(entry.get("config_name") or "default")
        for feature in entry.get("features") or ():
            kind = feature.get("dtype")
            if isinstance(kind, Mapping) and "class_label" in kind:
                labels = [str(name) for name in kind["class_label"]["names"].values()]
                found["" if config == "default" else config, feature["name"]] = labels
    return found


def _of_config(config: str, statistics: Mapping[str, Mapping[str, Any]], names: Names) -> Iterator[Plot]:
    for column in dict.fromkeys(column for columns in statistics.values() for column in columns):
        classes = _classes(config, column, statistics, names.get((config, column), ()))
        plot = classes or _lengths(config, column, statistics)
        if plot:
            yield plot


def _lengths(config: str, column: str, statistics: Mapping[str, Mapping[str, Any]]) -> LengthPlot | None:
    """Return a plot of lengths that are known by histogram and differ by more than a little."""
    for unit in ("characters", "items"):
        found = {split: (columns.get(column) or {}).get(unit) for split, columns in statistics.items()}
        known = {
            split: lengths | {"histogram": {int(start): count for start, count in lengths["histogram"].items()}}
            for split, lengths in found.items()
            if lengths and lengths.get("histogram")
        }
        ends = [end for lengths in known.values() for end in (lengths["min"], lengths["max"])]
        if known and max(ends) - min(ends) >= _LEAST_SPAN:
            return LengthPlot(config, column, unit, known)
    return None


def _classes(
    config: str, column: str, statistics: Mapping[str, Mapping[str, Any]], names: Sequence[str]
) -> ClassPlot | None:
    """Return a plot of values that are few in every split, and in all of them together, and occur again and again."""
    found = {split: (columns.get(column) or {}).get("values") or () for split, columns in statistics.items()}
    counts = {split: dict(pairs) for split, pairs in found.items()}
    values = list(dict.fromkeys(value for by_value in counts.values() for value in by_value))
    rows = sum(sum(by_value.values()) for by_value in counts.values())
    if not all(counts.values()) or not 2 <= len(values) <= MOST_VALUES or rows < _ROWS_A_CLASS * len(values):
        return None
    shares = {
        split: [by_value.get(value, 0) / sum(by_value.values()) for value in values]
        for split, by_value in counts.items()
    }
    return ClassPlot(config, column, [_text(value, names) for value in values], shares)


def _text(value: Any, names: Sequence[str]) -> str:
    """Return a value as people write it."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(names):
        return names[value]
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else json.dumps(value)


def _called(plot: Plot) -> str:
    return f"{plot.column} of {plot.config}" if plot.config else plot.column


def _percent(share: float) -> str:
    return f"{share * 100:.3g} %"
