"""What people see of an evaluation."""

from typing import Any

from hubkit.evaluation.tables import evaluation_table

DATASET = {"repo": "lab/pairs", "revision": "0123456789abcdef", "split": "test"}


def entry(name: str, *metrics: dict[str, Any], **more: Any) -> dict[str, Any]:
    named = {"task": {"type": "text-generation", "name": name}, "dataset": DATASET, "metrics": list(metrics)}
    return named | {"rows": 1200, "skipped": 0} | more


def test_the_table_says_everything_once():
    match = {"name": "exact match", "value": 0.25, "low": 0.2, "high": 0.3, "baseline": 0.5}
    failure = {"input": "AB", "expected": "AAB", "got": "A" * 80, "ended": False}
    lengths = [
        {"from": 1, "to": 1, "rows": 1000, "exact_match": 1.0},
        {"from": 2, "to": 9, "rows": 200, "exact_match": 0.0},
    ]
    evaluation = {
        "results": [
            entry("Perplexity", {"name": "perplexity", "value": 2.5}, tokens=9000, skipped=3),
            entry("Exact match", match, baseline="copies the input", by_length=lengths, failures=[failure] * 2),
        ]
    }
    assert evaluation_table(evaluation).split("\n") == [
        "                                                                   model  baseline   95 % interval",
        "Perplexity                        perplexity                      2.5000      none",
        "Exact match                       exact match                     0.2500    0.5000   0.2000 to 0.3000",
        "Exact match, the baseline: copies the input",
        "1,200 rows (3 others pose no question), 9,000 tokens of lab/pairs test at 0123456789ab",
        "1,200 rows of lab/pairs test at 0123456789ab",
        "",
        "tokens given      rows     right",
        "1                1,000    1.0000",
        "2 to 9             200    0.0000",
        "",
        "the first wrong answers: what was given, what is right, what the model wrote",
        *["  'AB'", "    right  'AAB'", f"    wrote  '{'A' * 59}…' … (it does not end)"] * 2,
    ]


def test_equal_rows_are_counted_once_and_strong_baselines_named():
    metric = {"name": "RMSE", "value": 1.0, "baseline": 2.0, "strong_baseline": 0.5}
    plain = {"name": "RMSE", "value": 1.0, "baseline": 2.0}
    table = evaluation_table({"results": [entry("σ", metric, strong_baseline="looked up"), entry("step", plain)]})
    assert table.count("1,200 rows") == 1
    assert "σ, looked up: RMSE 0.5000\n" in table
    assert "interval" not in table, "none has one"


def test_line_ends_in_answers_stay_on_their_line():
    failure = {"input": "a\nb", "expected": "c", "got": "\t", "ended": True}
    table = evaluation_table({"results": [entry("Exact match", failures=[failure])]})
    assert "  'a\\nb'\n    right  'c'\n    wrote  '\\t'" in table
