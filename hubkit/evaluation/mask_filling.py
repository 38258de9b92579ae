"""Can a model recover what drove a Lorenz world, from everything else that is written in it?

Three questions a row of the test split. The first two are Microcosm's and ask for σ, the first parameter of the first
system: its integer part (`'params': [?.13, …`), and the whole number (`'params': [?.?, …`, one mask for each part).
The third asks for `step_multip`, how many steps of the integrator lie between two observations.

How to read the answers:

- The baselines know the training split and see nothing of the row. Microcosm's guesses the mean of σ: top-1 and top-2
  are the integers nearest to it, and the RMSE is that of the best constant (for the integer part, which lies half a
  unit lower, the mean of the integer parts).
- The first question can be answered without any dynamics. A float16 between 4 and 8 is written with other decimals than
  one between 8 and 16, and the decimals stay visible. So a second, strong baseline looks up in a table of the training
  split what integer part goes with the decimals; a model has understood something only where it beats that one.
- The other questions have no such hint: to beat the baseline there, a model must read the trajectory.
- `rmse` is of the most probable answer, as Microcosm measured it. The answer with the least RMSE is not the mode of
  what the model believes but its mean, so `expected_rmse` is that of the expected value over all answers allowed.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hubkit.batching import padded
from hubkit.errors import UserError
from hubkit.evaluation.batching import by_length
from hubkit.evaluation.guesses import Guesses
from hubkit.evaluation.metrics.mask_filling.scores import score
from hubkit.evaluation.worlds import DECIMALS, INTEGERS, MASK_ID, Truth, World, find_world
from hubkit.tokenizers.lorenz import VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

METRIC = Path(__file__).parent / "metrics" / "mask_filling"
"""The `evaluate` module; its arithmetic is used without the library, whose import takes seconds."""
CHUNK_ROWS = 1024
"""Rows that are tokenised and sorted by length together."""
BATCH_TOKENS = 1 << 14
"""Tokens of a forward pass, padding counted."""

_INTEGER_VALUES = np.array([float(VOCABULARY[id]) for id in INTEGERS])
_DECIMAL_VALUES = np.array([float(f"0.{VOCABULARY[id]}") for id in DECIMALS])


def ask_about_worlds(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    test: Sequence[str],
    guesses: Guesses,
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Ask the three questions of every world and score the answers.

    Args:
        model: A masked language model over the Lorenz vocabulary, on its device, in evaluation mode.
        tokenizer: The Lorenz tokenizer.
        test: Worlds, as text; read a slice at a time.
        guesses: What the training split leads to, for the baselines.
        batch_tokens: Tokens of a forward pass; one world is always read.
        progress: Hears (what, done, total).

    Returns:
        `rows`, `skipped` (rows that pose no question; see :func:`find_world`), and the scores `integer` (top_1, top_2,
        rmse, expected_rmse), `number` (rmse, expected_rmse) and `multip` (top_1, top_2), each with `baseline_…` beside
        it; those of `integer` also with `strong_baseline_…`. What else the metric gives is in there too.

    Raises:
        UserError: No row of the split poses the questions, or the model can't read one of them.
    """
    if len(tokenizer) != len(VOCABULARY) or tokenizer.mask_token_id != MASK_ID:
        raise UserError(
            "evaluation mask_filling: the model's tokenizer is not the Lorenz tokenizer of 142 ids; a model that reads "
            "numbers as numbers is asked by number_recovery"
        )
    truths: list[Truth] = []
    answers: list[Answers] = []
    for start in range(0, len(test), CHUNK_ROWS):
        for batch in _batches(_worlds(test[start : start + CHUNK_ROWS], tokenizer), batch_tokens):
            answers.append(_answers(model, batch))
            truths += (world.truth for world in batch)
        progress("evaluating", min(start + CHUNK_ROWS, len(test)), len(test))
    if not truths:
        raise UserError("evaluation mask_filling: no row of the test split holds a Lorenz world with σ in it")
    joined = Answers(*(np.concatenate(parts) for parts in zip(*answers, strict=True)))
    return {"rows": len(truths), "skipped": len(test) - len(truths)} | _scores(joined, truths, guesses)


class Answers(NamedTuple):
    """A model's answers about some worlds, float64 with a row a world: ranked guesses, or one expected value."""

    integer: np.ndarray
    integer_expected: np.ndarray
    number: np.ndarray
    number_expected: np.ndarray
    multip: np.ndarray


def _answers(model: "PreTrainedModel", worlds: list[World]) -> Answers:
    """Ask the three questions of some worlds."""
    (integer,) = ask(model, [world.integer_masked() for world in worlds], [INTEGERS])
    whole, decimals = ask(model, [world.number_masked() for world in worlds], [INTEGERS, DECIMALS])
    (multip,) = ask(model, [world.multip_masked() for world in worlds], [INTEGERS])
    return Answers(
        _ranked(integer, _INTEGER_VALUES),
        (integer @ _INTEGER_VALUES)[:, None],
        _ranked(whole, _INTEGER_VALUES)[:, :1] + _ranked(decimals, _DECIMAL_VALUES)[:, :1],
        (whole @ _INTEGER_VALUES + decimals @ _DECIMAL_VALUES)[:, None],
        _ranked(multip, _INTEGER_VALUES),
    )


def _ranked(probabilities: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Return the values of the two most probable answers, best first: (rows, 2); of equal ones the first counts."""
    return values[np.argsort(-probabilities, axis=1, kind="stable")[:, :2]]


def _scores(answers: Answers, truths: list[Truth], guesses: Guesses) -> dict[str, dict[str, float]]:
    """Return the scores of each question, with those of its baselines beside them."""
    integers, sigmas, multips = ([getattr(t, name) for t in truths] for name in ("integer", "sigma", "multip"))
    table = [guesses.given(truth.decimals) for truth in truths]
    constant = {"baseline": guesses.integers, "baseline_guess": guesses.integer_mean}
    integer = score(answers.integer, integers, **constant)
    strong = score([guess.best for guess in table], integers)
    number = score(answers.number, sigmas, baseline=[guesses.mean])
    multip = score(answers.multip, multips, baseline=guesses.multips)
    integer |= {f"strong_baseline_{name}": value for name, value in strong.items()}
    for scores, expected, truth in (
        (integer, answers.integer_expected, integers),
        (number, answers.number_expected, sigmas),
    ):
        scores["expected_rmse"] = score(expected, truth)["rmse"]
        scores["baseline_expected_rmse"] = scores["baseline_rmse"]
    integer["strong_baseline_expected_rmse"] = score([[guess.mean] for guess in table], integers)["rmse"]
    return {"integer": integer, "number": number, "multip": multip}


def ask(model: "PreTrainedModel", rows: Sequence[np.ndarray], allowed: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Return, for each mask of the rows, how probable the model finds each answer.

    Args:
        model: A masked language model.
        rows: Token ids, each row with as many masks as `allowed` has entries.
        allowed: Ids that may answer each mask; others get no share of the probability.

    Returns:
        For each mask float64 of shape (rows, ids allowed); each row sums to 1.

    Raises:
        UserError: A row is longer than the model can read.
    """
    import torch

    pad_id = model.config.pad_token_id
    ids, present = padded(rows, pad_id)
    limit = model.config.max_position_embeddings - pad_id - 1
    if ids.shape[1] > limit:
        raise UserError(
            f"evaluation mask_filling: a world of {ids.shape[1]} tokens is longer than the model reads ({limit}); "
            "evaluate it on worlds of the shape that it was trained on"
        )
    tokens, attended = (torch.from_numpy(array).to(model.device) for array in (ids, present.astype(np.int64)))
    with torch.inference_mode():
        logits = model(tokens, attention_mask=attended).logits[tokens == MASK_ID]
    logits = logits.double().cpu().numpy().reshape(len(rows), len(allowed), -1)
    return [_softmax(logits[:, mask][:, answers]) for mask, answers in enumerate(allowed)]


def _softmax(logits: np.ndarray) -> np.ndarray:
    shares = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shares / shares.sum(axis=1, keepdims=True)


def _worlds(texts: Sequence[str], tokenizer: "PreTrainedTokenizerFast") -> list[World]:
    encoded = tokenizer(list(texts), return_attention_mask=False, verbose=False)["input_ids"]
    return [world for ids in encoded if (world := find_world(np.array(ids))) is not None]


def _batches(worlds: list[World], batch_tokens: int) -> Iterator[list[World]]:
    """Give worlds of similar length together, so many that a batch stays within `batch_tokens`."""
    for numbers in by_length(np.array([len(world.ids) for world in worlds]), batch_tokens):
        yield [worlds[number] for number in numbers]
