"""The evaluations of models of Lorenz worlds: what they read, and how their scores are reported."""

from typing import Any

from hubkit.errors import UserError
from hubkit.evaluation.guesses import Guesses, guesses_from
from hubkit.evaluation.results import Shown, result
from hubkit.evaluation.subject import Subject
from hubkit.hub import load_rows

_RMSE = Shown("rmse", "RMSE", "rmse")
_EXPECTED = Shown("rmse", "RMSE of the expected value", "expected_rmse")
_ASKED_BY = {"masked": "mask_filling", "numeric_masked": "number_recovery"}
"""The evaluation that asks for numbers as an objective does: digit by digit, or as values."""
_ACCURACIES = (Shown("accuracy", "top-1 accuracy", "top_1"), Shown("accuracy", "top-2 accuracy", "top_2"))


def mask_filling(subject: Subject) -> list[dict[str, Any]]:
    """Return the results of the mask-filling evaluation, one for each question.

    Raises:
        UserError: The model or the dataset is of another kind.
    """
    from hubkit.evaluation.mask_filling import ask_about_worlds

    check_masks(subject, "mask_filling")
    texts, guesses = _texts(subject), _guesses(subject)
    scores = ask_about_worlds(subject.model, subject.tokenizer, texts, guesses, progress=subject.progress)
    rows, skipped = scores["rows"], scores["skipped"]

    def answered(question: str, key: str, shown: tuple[Shown, ...], **more: Any) -> dict[str, Any]:
        return result(subject, "fill-mask", question, rows, skipped, scores[key], shown, **more)

    strong = "looked up by the decimals that stay visible"
    integer = (*_ACCURACIES, _RMSE, _EXPECTED)
    return [
        answered("Recover σ: integer part masked", "integer", integer, strong_baseline=strong),
        answered("Recover σ: whole number masked", "number", (_RMSE, _EXPECTED)),
        answered("Recover step_multip", "multip", _ACCURACIES),
    ]


def number_recovery(subject: Subject) -> list[dict[str, Any]]:
    """Return the result of the question to models that read numbers as numbers.

    Raises:
        UserError: The model or the dataset is of another kind.
    """
    from hubkit.evaluation.numeric import recover_numbers

    check_masks(subject, "number_recovery")
    model: Any = subject.model
    scores = recover_numbers(
        model, subject.tokenizer, _texts(subject), _guesses(subject), progress=subject.progress
    )  # fmt: skip
    question = "Recover σ: the number masked"
    return [result(subject, "fill-mask", question, scores["rows"], scores["skipped"], scores["number"], [_RMSE])]


def check_masks(subject: Subject, evaluation: str) -> None:
    """Refuse a model that fills no masks, or reads numbers in another way than the evaluation asks for them.

    Raises:
        UserError: Names the evaluation that fits.
    """
    objective, name = subject.recipe["objective"]["name"], subject.lineage["name"]
    if objective == "causal":
        raise UserError(
            f"evaluation {evaluation}: {name} was trained to continue text and fills no masks; "
            "evaluate perplexity or exact_match"
        )
    fitting = _ASKED_BY.get(objective)
    if fitting is not None and fitting != evaluation:
        raise UserError(f"evaluation {evaluation}: {name} was trained by objective {objective}; evaluate {fitting}")


def _texts(subject: Subject) -> Any:
    commit, dataset = subject.commit, subject.dataset
    test = load_rows(commit.repo, commit.revision, dataset.test, dataset.config, (dataset.column,))[dataset.column]
    return test if subject.limit is None else test[: subject.limit]


def _guesses(subject: Subject) -> Guesses:
    """Return what the training split leads to, read column by column: it may have a million rows."""
    from pyarrow.compute import call_function

    commit, dataset = subject.commit, subject.dataset
    train = load_rows(commit.repo, commit.revision, dataset.train, dataset.config, ("params", "step_multip")).data
    systems = call_function("list_element", [train.column("params"), 0])
    sigmas = call_function("list_element", [systems, 0])
    multips = call_function("list_element", [train.column("step_multip"), 0])
    return guesses_from(sigmas.to_pylist(), multips.to_pylist())
