"""An `evaluate` module: how well a language model predicts text. It needs nothing of hubkit: load it by path."""

import datasets
import evaluate

from .scores import score

_DESCRIPTION = """\
Perplexity of a language model, from the log-likelihoods that it gave: nats a token, perplexity, and bits a byte of
text, with confidence intervals from the variance between sequences. It runs no model: whoever does gives the
likelihoods, so it fits any architecture, any direction, and any way to cut text into sequences.
"""

_INPUTS = """\
predictions: list of numbers, the negative log-likelihood of each sequence in nats (the sum over its tokens).
references: list of integers, how many tokens of each sequence were predicted.
text_bytes: integer, how many bytes of text these tokens spell (optional; gives bits_per_byte).
baseline: number, nats a token of whoever the model is compared with (optional).
"""


class Perplexity(evaluate.Metric):
    """Nats a token, perplexity and bits a byte."""

    def _info(self):
        features = datasets.Features({"predictions": datasets.Value("float64"), "references": datasets.Value("int64")})
        return evaluate.MetricInfo(description=_DESCRIPTION, citation="", inputs_description=_INPUTS, features=features)

    def _compute(self, predictions, references, text_bytes=None, baseline=None):
        return score(predictions, references, text_bytes, baseline)
