"""The arithmetic of perplexity. Needs numpy alone, so that it costs no import of `evaluate`."""

import numpy as np

Z = 1.959963984540054
"""Standard deviations on either side of the mean that hold 95 % of a normal distribution."""


def score(predictions, references, text_bytes=None, baseline=None):
    """Return how well a model predicts some sequences.

    Args:
        predictions: Negative log-likelihood of each sequence, in nats: the sum over its tokens.
        references: Tokens of each sequence that were predicted, at least one.
        text_bytes: Bytes of the text that these tokens spell; None leaves out the bits a byte.
        baseline: Nats a token of whoever the model is compared with; None leaves out the comparison.

    Returns:
        `nll` (nats a token: each token counts the same, each sequence by its length), `perplexity` (e to the `nll`),
        `bits_per_byte`, and `sequences` and `tokens`. Of the three also `…_low` and `…_high`: a confidence interval of
        95 % for the mean over texts of this kind, from the variance between sequences (that of a ratio of two sums:
        Cochran, "Sampling Techniques", 1977, section 6.4). One sequence alone tells none. And `baseline_…`.

    Raises:
        ValueError: There is no sequence, one has no token, or a likelihood is not finite.
    """
    nats, tokens = np.asarray(predictions, np.float64), np.asarray(references, np.int64)
    if not len(nats) or tokens.min() < 1:
        raise ValueError("references: there is no sequence, or one without a token; leave such sequences out")
    if not np.isfinite(nats).all():
        raise ValueError(f"predictions: {nats[~np.isfinite(nats)][0]} is no log-likelihood; look for NaN in the model")
    total = int(tokens.sum())
    mean = float(nats.sum() / total)
    bounds = {"": mean}
    if len(nats) > 1:
        error = float(np.sqrt(len(nats) / (len(nats) - 1) * np.square(nats - mean * tokens).sum()) / total)
        bounds |= {"_low": max(0.0, mean - Z * error), "_high": mean + Z * error}
    scores: dict[str, float] = {"sequences": len(nats), "tokens": total}
    for suffix, nll in bounds.items():
        scores |= {f"{name}{suffix}": value for name, value in _kinds(nll, total, text_bytes).items()}
    if baseline is not None:
        scores |= {f"baseline_{name}": value for name, value in _kinds(baseline, total, text_bytes).items()}
    return scores


def _kinds(nll, tokens, text_bytes):
    """Return nats a token, and what other people write for them."""
    kinds = {"nll": float(nll), "perplexity": float(np.exp(nll))}
    return kinds if text_bytes is None else kinds | {"bits_per_byte": float(nll * tokens / np.log(2) / text_bytes)}
