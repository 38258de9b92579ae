"""An `evaluate` module: how well ranked guesses hit a number. Needs nothing of hubkit, so it can be loaded by path."""

import datasets
import evaluate
import numpy as np

_DESCRIPTION = """\
Scores guesses of a number. Each prediction is a list of guesses, best first, of one length; each reference is the true
number. Reports the share of references among the first one and two guesses, and the root mean squared error of the
first guess; with `baseline`, the same for that fixed list of guesses.
"""

_INPUTS = """\
predictions: list of lists of numbers, guesses from the most to the least probable.
references: list of numbers.
baseline: list of numbers, the guesses of somebody who sees nothing (optional).
baseline_guess: what the baseline's RMSE is taken of (default: the first of `baseline`).
"""


class MaskFilling(evaluate.Metric):
    """Top-1 and top-2 accuracy and RMSE of ranked guesses."""

    def _info(self):
        features = datasets.Features(
            {"predictions": datasets.Sequence(datasets.Value("float64")), "references": datasets.Value("float64")}
        )
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(self, predictions, references, baseline=None, baseline_guess=None):
        truth = np.asarray(references, dtype=np.float64)
        scores = _scores(np.asarray(predictions, dtype=np.float64), truth)
        if baseline is not None:
            same = np.broadcast_to(np.asarray(baseline, dtype=np.float64), (len(truth), len(baseline)))
            scores |= {f"baseline_{name}": value for name, value in _scores(same, truth).items()}
            if baseline_guess is not None:
                scores["baseline_rmse"] = _rmse(baseline_guess, truth)
        return scores


def _scores(guesses, truth):
    """Return top-1, top-2 (where there are two guesses) and RMSE of guesses (rows, ranks) against truth (rows,)."""
    hits = guesses == truth[:, None]
    scores = {"top_1": float(hits[:, 0].mean())}
    if guesses.shape[1] > 1:
        scores["top_2"] = float(hits[:, :2].any(axis=1).mean())
    return scores | {"rmse": _rmse(guesses[:, 0], truth)}


def _rmse(guess, truth):
    return float(np.sqrt(np.mean((guess - truth) ** 2)))
