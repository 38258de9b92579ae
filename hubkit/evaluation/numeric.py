"""Can a model that reads numbers as numbers recover what drove a Lorenz world, from everything else written in it?

The question is Microcosm's: the whole number σ, the first parameter of the first system, is hidden by one mask, and the
model's head for numbers answers. Nothing of the number stays visible, so to beat the baseline a model must read the
trajectory. The baseline knows the training split and sees nothing of the row: it guesses the mean of σ, so its RMSE is
about the standard deviation of σ.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from hubkit.batching import padded
from hubkit.errors import UserError
from hubkit.evaluation.batching import by_length
from hubkit.evaluation.guesses import Guesses
from hubkit.evaluation.mask_filling import BATCH_TOKENS, CHUNK_ROWS
from hubkit.evaluation.metrics.mask_filling.scores import score
from hubkit.models.numeric_roberta.numbers_numeric_roberta import Numbers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

    from hubkit.models.numeric_roberta.modeling_numeric_roberta import NumericRobertaForMaskedLM

PARAMS = "'params':"


class Question(NamedTuple):
    """A world with σ hidden."""

    ids: np.ndarray
    """int64 (tokens,), the mask token where σ stands."""
    values: np.ndarray
    """float32 (tokens,), 1 where no number stands or σ is hidden."""
    place: int
    """Index of the mask."""
    sigma: float
    """What stands there, as the text says it."""


def recover_numbers(
    model: "NumericRobertaForMaskedLM",
    tokenizer: "PreTrainedTokenizerFast",
    test: Sequence[str],
    guesses: Guesses,
    batch_tokens: int = BATCH_TOKENS,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Ask for σ of every world and score the answers.

    Args:
        model: A numeric masked model, on its device, in evaluation mode.
        tokenizer: The one that it was trained with.
        test: Worlds, as text; read a slice at a time.
        guesses: What the training split leads to, for the baseline.
        batch_tokens: Tokens of a forward pass; one world is always read.
        progress: Hears (what, done, total).

    Returns:
        `rows`, `skipped` (rows without a number after ``'params': [``), and `number`: `rmse` of the answers and
        `baseline_rmse` of the mean guess, in the units of σ.

    Raises:
        UserError: No row of the split poses the question, or the model can't read one of them.
    """
    numbers, answers, truths = _reader(tokenizer), [], []
    for start in range(0, len(test), CHUNK_ROWS):
        questions = [q for text in test[start : start + CHUNK_ROWS] if (q := find_sigma(text, numbers)) is not None]
        for chosen in by_length(np.array([len(question.ids) for question in questions]), batch_tokens):
            batch = [questions[number] for number in chosen]
            answers.append(answer(model, batch))
            truths += (question.sigma for question in batch)
        progress("evaluating", min(start + CHUNK_ROWS, len(test)), len(test))
    if not truths:
        raise UserError("evaluation number_recovery: no row of the test split holds a Lorenz world with σ in it")
    scores = score(np.concatenate(answers)[:, None], truths, baseline=[guesses.mean])
    number = {name: scores[name] for name in ("rmse", "baseline_rmse")}
    return {"rows": len(truths), "skipped": len(test) - len(truths), "number": number}


def find_sigma(text: str, numbers: Numbers) -> Question | None:
    """Return a world with σ of its first system hidden; None where no number is the first of a list of parameters.

    Raises:
        UserError: The tokenizer can't read the text.
    """
    try:
        ids, values = (np.array(column) for column in numbers.encode(text))
    except ValueError as error:
        raise UserError(f"evaluation number_recovery: {error}") from None
    params = np.flatnonzero(ids == numbers.tokenizer.convert_tokens_to_ids(PARAMS))
    place = int(params[0]) + 2 if len(params) else len(ids)  # after the key comes a bracket
    if place >= len(ids) or ids[place] != numbers.token_id:
        return None
    sigma, values = float(values[place]), values.astype(np.float32)
    ids[place], values[place] = numbers.tokenizer.mask_token_id, 1
    return Question(ids, values, place, sigma)


def answer(model: "NumericRobertaForMaskedLM", questions: Sequence[Question]) -> np.ndarray:
    """Return the model's numbers for σ: float64 (questions,).

    Raises:
        UserError: A world is longer than the model can read.
    """
    import torch

    pad_id = model.config.pad_token_id
    assert pad_id is not None
    ids, present = padded([question.ids for question in questions], pad_id)
    limit = model.config.max_position_embeddings - pad_id - 1
    if ids.shape[1] > limit:
        raise UserError(
            f"evaluation number_recovery: a world of {ids.shape[1]} tokens is longer than the model reads ({limit}); "
            "evaluate it on worlds of the shape that it was trained on"
        )
    values = np.ones(ids.shape, np.float32)
    values[present] = np.concatenate([question.values for question in questions])
    arrays = {"input_ids": ids, "values": values, "attention_mask": present.astype(np.int64)}
    with torch.inference_mode():
        numbers = model(**{name: torch.from_numpy(array).to(model.device) for name, array in arrays.items()}).numbers
    return numbers.double().cpu().numpy()[np.arange(len(questions)), [question.place for question in questions]]


def _reader(tokenizer: "PreTrainedTokenizerFast") -> Numbers:
    try:
        numbers = Numbers(tokenizer)
    except ValueError:
        numbers = None
    if numbers is None or PARAMS not in tokenizer.get_vocab():
        raise UserError(
            "evaluation number_recovery: the model's tokenizer is not the one of numbers in Lorenz worlds; "
            "train with tokenizer=numeric-lorenz, or ask for the evaluation mask_filling"
        )
    return numbers
