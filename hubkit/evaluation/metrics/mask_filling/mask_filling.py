"""An `evaluate` module: how well ranked guesses hit a number. Needs nothing of hubkit, so it can be loaded by path."""

import datasets
import evaluate

from .scores import score

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
        return score(predictions, references, baseline, baseline_guess)
