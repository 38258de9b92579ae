"""The arithmetic of mask filling. Needs numpy alone, so that it costs no import of `evaluate`."""

import numpy as np


def score(predictions, references, baseline=None, baseline_guess=None):
    """Return how well ranked guesses hit numbers.

    Args:
        predictions: Guesses of each number, best first; as many for each.
        references: The numbers.
        baseline: Guesses of somebody who sees nothing, the same for all; None leaves out the comparison.
        baseline_guess: What the baseline's RMSE is taken of; None is the first of `baseline`.

    Returns:
        `top_1`, `top_2` (where there are two guesses) and `rmse` of the first guess, and the same as `baseline_…`.
    """
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
