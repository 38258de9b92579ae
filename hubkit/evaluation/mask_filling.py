"""Can the model recover σ, the first parameter of the first system, from everything else in the world?

Two questions a row of the test split (Microcosm's): the integer part masked (`'params': [?.13, …`), and the whole
number masked (`'params': [?.?, …`, one mask for each part). The baseline guesses the mean of σ over the training split.
In the first question the decimals that stay visible tell something by themselves: a float16 between 4 and 8 is written
with other decimals than one between 8 and 16, so a model may beat the baseline before it has understood the dynamics.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from hubkit.errors import UserError
from hubkit.batching import padded
from hubkit.tokenizers.lorenz import MASK, VOCABULARY

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

METRIC = Path(__file__).parent / "metrics" / "mask_filling.py"

_PARAMS = VOCABULARY.index("'params':")
_DOT, _COMMA, _MASK = (VOCABULARY.index(token) for token in (".", ",", MASK))
# What can stand for decimals: a digit or a pair of digits. An integer part has no leading zero.
DECIMALS = np.array([i for i, token in enumerate(VOCABULARY) if token.isdigit() and len(token) <= 2])
INTEGERS = np.array([i for i in DECIMALS if VOCABULARY[i] == str(int(VOCABULARY[i]))])


@dataclass(frozen=True)
class Question:
    """One world with σ's place in it."""

    ids: np.ndarray
    """Token ids of the whole world."""
    place: int
    """Index of σ's integer part; the dot follows, then the decimals."""
    end: int
    """Index after σ's last decimal."""
    integer: int
    sigma: float

    def integer_masked(self) -> np.ndarray:
        """Return the ids with the integer part masked, the decimals left to see."""
        ids = self.ids.copy()
        ids[self.place] = _MASK
        return ids

    def number_masked(self) -> np.ndarray:
        """Return the ids with integer part and decimals masked, one mask each."""
        return np.concatenate([self.ids[: self.place], [_MASK, _DOT, _MASK], self.ids[self.end :]])


def find_sigma(ids: np.ndarray) -> Question | None:
    """Return the question that a world's token ids pose, or None where σ is not written as digits, dot, digits."""
    places = np.flatnonzero(ids == _PARAMS)
    if not len(places):
        return None
    place = int(places[0]) + 2  # after the key comes a bracket
    commas = np.flatnonzero(ids[place:] == _COMMA)
    if not len(commas):
        return None
    end = place + int(commas[0])
    pieces = [VOCABULARY[id] for id in ids[place:end]]
    written = "".join(pieces)
    if len(pieces) < 3 or pieces[1] != "." or ids[place] not in INTEGERS or not written.replace(".", "", 1).isdigit():
        return None
    return Question(ids, place, end, int(pieces[0]), float(written))


def ask_for_sigma(  # noqa: PLR0913
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    test: Sequence[str],
    train_sigmas: Iterable[float],
    batch_size: int = 64,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Ask both questions of every world and score the answers.

    Args:
        model: A masked language model over the Lorenz vocabulary, on its device.
        tokenizer: The Lorenz tokenizer.
        test: Worlds, as text.
        train_sigmas: σ of the training split's worlds, for the baseline.
        batch_size: Worlds a forward pass.
        progress: Hears (what, done, total).

    Returns:
        `rows`, `skipped` (worlds whose σ is not written plainly), and the scores `integer` (top_1, top_2, rmse) and
        `number` (rmse), each with `baseline_…` beside it.

    Raises:
        UserError: No world of the split poses the question, or the model can't read one of them.
    """
    import evaluate

    if len(tokenizer) != len(VOCABULARY) or tokenizer.mask_token_id != _MASK:
        raise UserError("evaluation mask_filling: the model's tokenizer is not the Lorenz tokenizer of 142 ids")
    encoded = (np.array(row) for row in tokenizer(list(test), return_attention_mask=False, verbose=False)["input_ids"])
    questions = [question for ids in encoded if (question := find_sigma(ids)) is not None]
    if not questions:
        raise UserError("evaluation mask_filling: no row of the test split holds a Lorenz world with σ in it")
    mean = float(np.mean(list(train_sigmas)))
    metric = evaluate.load(str(METRIC))
    total, done = 2 * len(questions), 0

    def ask(rows: list[np.ndarray], allowed: Sequence[np.ndarray]) -> list[list[list[str]]]:
        nonlocal done
        answers = []
        for start in range(0, len(rows), batch_size):
            answers += best_tokens(model, rows[start : start + batch_size], tokenizer.pad_token_id, allowed)
            done += len(rows[start : start + batch_size])
            progress("evaluating", done, total)
        return answers

    integers = ask([q.integer_masked() for q in questions], [INTEGERS])
    numbers = ask([q.number_masked() for q in questions], [INTEGERS, DECIMALS])
    integer = metric.compute(
        predictions=[[int(token) for token in masks[0]] for masks in integers],
        references=[q.integer for q in questions],
        baseline=_nearest_integers(mean),
        baseline_guess=mean - 0.5,  # an integer part lies half a unit below its number, on average
    )
    number = metric.compute(
        predictions=[[float(f"{whole[0]}.{decimals[0]}")] for whole, decimals in numbers],
        references=[q.sigma for q in questions],
        baseline=[mean],
    )
    assert integer is not None and number is not None
    return {
        "rows": len(questions),
        "skipped": len(test) - len(questions),
        "integer": integer,
        "number": {name: value for name, value in number.items() if name.endswith("rmse")},
    }


def best_tokens(
    model: "PreTrainedModel", rows: Sequence[np.ndarray], pad_id: int, allowed: Sequence[np.ndarray], best: int = 2
) -> list[list[list[str]]]:
    """Return, for each row and each of its masks, the most probable tokens, best first.

    Args:
        model: A masked language model.
        rows: Token ids, each row with as many masks as `allowed` has entries.
        pad_id: Fills short rows.
        allowed: Ids that may answer each mask.
        best: How many tokens.

    Raises:
        UserError: A row is longer than the model can read.
    """
    import torch

    ids, present = padded(rows, pad_id)
    limit = model.config.max_position_embeddings - pad_id - 1
    if ids.shape[1] > limit:
        raise UserError(f"a world of {ids.shape[1]} tokens is longer than the model reads ({limit})")
    with torch.inference_mode():
        tensors = (torch.from_numpy(array).to(model.device) for array in (ids, present.astype(np.int64)))
        logits = model(*tensors).logits.float().cpu().numpy()
    where = np.nonzero(ids == _MASK)
    asked = logits[where].reshape(len(rows), len(allowed), -1)
    ranked = [ids_[np.argsort(-asked[:, mask][:, ids_], axis=1, kind="stable")[:, :best]] for mask, ids_ in enumerate(allowed)]
    return [[[VOCABULARY[id] for id in ranks[row]] for ranks in ranked] for row in range(len(rows))]


def _nearest_integers(mean: float) -> list[int]:
    """Return the mean's integer part and the next likely one: what somebody guesses who knows nothing else."""
    return [int(mean), int(mean) + 1 if mean % 1 >= 0.5 else int(mean) - 1]
