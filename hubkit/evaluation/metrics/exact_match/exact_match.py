"""An `evaluate` module: how often answers are exactly right. Needs nothing of hubkit, so it can be loaded by path."""

import datasets
import evaluate

from .scores import by_length, score

_DESCRIPTION = """\
Exact match: the share of answers that are equal to the right ones to the last character, white space and case included,
with a confidence interval of 95 %, and the error rate, which is the rest.
"""

_INPUTS = """\
predictions: list of texts.
references: list of texts, the right ones.
lengths: list of integers, how long the questions are (optional; gives the exact match by length).
"""


class ExactMatch(evaluate.Metric):
    """The share of answers that are exactly right."""

    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("string"), "references": datasets.Value("string")})
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(self, predictions, references, lengths=None):
        scores = score(predictions, references)
        if lengths is None:
            return scores
        return scores | {"by_length": by_length(predictions, references, lengths)}
