"""An evaluation as text for people: scores beside their baselines, and what went wrong first."""

from collections.abc import Iterator, Mapping
from typing import Any

_LONGEST = 60
"""Characters of a text that are shown."""


def evaluation_table(evaluation: Mapping[str, Any]) -> str:
    """Return the results of an evaluation (the content of `evaluation.json`) as a table for people."""
    results = evaluation["results"]
    intervals = any("low" in metric for entry in results for metric in entry["metrics"])
    lines = [f"{'':<34}{'':<28}{'model':>10}{'baseline':>10}" + ("   95 % interval" if intervals else "")]
    for entry in results:
        lines += (_line(entry["task"]["name"], metric) for metric in entry["metrics"])
    for entry in results:
        lines += _remarks(entry)
    lines += dict.fromkeys(_rows(entry) for entry in results)
    for entry in results:
        lines += _by_length(entry)
        lines += _failures(entry)
    return "\n".join(lines)


def _line(name: str, metric: Mapping[str, Any]) -> str:
    baseline = f"{metric['baseline']:>10.4f}" if "baseline" in metric else f"{'none':>10}"
    interval = f"   {metric['low']:.4f} to {metric['high']:.4f}" if "low" in metric else ""
    return f"{name:<34}{metric['name']:<28}{metric['value']:>10.4f}{baseline}{interval}"


def _remarks(entry: Mapping[str, Any]) -> Iterator[str]:
    name = entry["task"]["name"]
    if "baseline" in entry:
        yield f"{name}, the baseline: {entry['baseline']}"
    strong = [f"{m['name']} {m['strong_baseline']:.4f}" for m in entry["metrics"] if "strong_baseline" in m]
    if "strong_baseline" in entry:
        yield f"{name}, {entry['strong_baseline']}: {', '.join(strong)}"


def _rows(entry: Mapping[str, Any]) -> str:
    data, skipped = entry["dataset"], entry["skipped"]
    others = f" ({skipped:,} others pose no question)" if skipped else ""
    tokens = f", {entry['tokens']:,} tokens" if "tokens" in entry else ""
    return f"{entry['rows']:,} rows{others}{tokens} of {data['repo']} {data['split']} at {data['revision'][:12]}"


def _by_length(entry: Mapping[str, Any]) -> Iterator[str]:
    if "by_length" not in entry:
        return
    yield f"\n{'tokens given':<14}{'rows':>8}{'right':>10}"
    for line in entry["by_length"]:
        lengths = str(line["from"]) if line["from"] == line["to"] else f"{line['from']} to {line['to']}"
        yield f"{lengths:<14}{line['rows']:>8,}{line['exact_match']:>10.4f}"


def _failures(entry: Mapping[str, Any]) -> Iterator[str]:
    if not entry.get("failures"):
        return
    yield "\nthe first wrong answers: what was given, what is right, what the model wrote"
    for failure in entry["failures"]:
        got = _short(failure["got"]) + ("" if failure["ended"] else " … (it does not end)")
        yield f"  {_short(failure['input'])}\n    right  {_short(failure['expected'])}\n    wrote  {got}"


def _short(text: str) -> str:
    return repr(text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…")
