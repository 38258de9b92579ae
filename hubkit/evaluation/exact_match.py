"""Does a model write the right answer, to the last character?

A row asks what its training asked: everything up to the separator (`objective.learn_after`) is given, and the model
writes what follows, its likeliest token each time, until it ends the row. (With `learn: marked`, the marked piece is
to be written, given all before it.) An answer that goes on after the right one is wrong; so is one that stops early.

How to read the answers: the baseline is the better one of two that need no model, copying the input, and always writing
the commonest right answer of the very rows that are asked about.
"""

import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hubkit.data.objectives.causal import Causal, CausalSpec
from hubkit.data.reading import ReadingSpec, Sequences
from hubkit.errors import UserError
from hubkit.evaluation.metrics.exact_match.scores import by_length, score
from hubkit.evaluation.results import DIGITS, Shown, result
from hubkit.evaluation.subject import Subject

if TYPE_CHECKING:
    import numpy as np

    from hubkit.evaluation.answering import Question

NAME = "exact_match"
FAILURES = 10
"""Wrong answers that are shown, each once."""
_SHOWN = (Shown("exact_match", "exact match", "exact_match"), Shown("error_rate", "error rate", "error_rate"))


class Answered(NamedTuple):
    """A question and its answer as text."""

    input: str
    """Without what begins a row, and without the separator."""
    length: int
    """Tokens of that."""
    right: str
    """With what ends a row."""
    written: str


def exact_match(subject: Subject) -> list[dict[str, Any]]:
    """Return the result of the evaluation.

    Raises:
        UserError: The model is no causal one that reads forward, its recipe doesn't say where an answer begins, or the
            test split can't be read as the training was.
    """
    spec, reading = check(subject)
    objective = spec.make(subject.tokenizer)
    data = subject.dataset
    with tempfile.TemporaryDirectory() as spare:
        test = data.load(subject.commit.revision, data.test, subject.tokenizer, Path(spare), objective.framing)
        sequences = reading.make(test, objective.more, f"{subject.commit.repo} {data.test}")
        answered, skipped = _ask(subject, objective, sequences)
    ending = _ending(subject, objective)
    name, baseline = _baseline(answered, ending)
    written, right = [a.written for a in answered], [a.right for a in answered]
    scores = score(written, right) | {"baseline_exact_match": baseline, "baseline_error_rate": 1 - baseline}
    table = by_length(written, right, [a.length for a in answered])
    return [
        result(
            subject,
            "text-generation",
            "Exact match",
            len(answered),
            skipped,
            scores,
            _SHOWN,
            baseline=name,
            by_length=[line | {"exact_match": round(line["exact_match"], DIGITS)} for line in table],
            failures=_failures(answered, ending),
        )
    ]


def check(subject: Subject) -> tuple[CausalSpec, ReadingSpec]:
    """Return what the model was asked for in training, and how its sequences were cut.

    Raises:
        UserError: It is a masked model, or its recipe doesn't say what is given and what is to be written.
    """
    spec, reading = subject.causal(NAME, "it continues no text; evaluate mask_filling")
    if spec.direction not in ("forward", "both"):
        raise UserError(
            f"evaluation {NAME}: the model was trained {spec.direction}, and the answer stands behind what is given; "
            "evaluate perplexity, or train with objective.direction=forward or both"
        )
    if spec.learn == "all" and spec.learn_after is None:
        raise UserError(
            f"evaluation {NAME}: the recipe asks for whole texts, so no row says where an answer begins; evaluate "
            "perplexity, or train with objective.learn_after, such as ','"
        )
    if reading.form != "rows":
        raise UserError(
            f"evaluation {NAME}: the recipe reads windows, which begin anywhere; evaluate perplexity, or train with "
            "reading.form=rows"
        )
    return spec, reading


def _ask(subject: Subject, objective: Causal, sequences: Sequences) -> tuple[list[Answered], int]:
    """Return the questions with their answers, and how many rows pose none."""
    from hubkit.evaluation.answering import answers, questions

    asked, skipped = questions(objective, sequences, subject.limit)
    if not asked:
        raise UserError(
            f"evaluation {NAME}: no row of {subject.commit.repo} {subject.dataset.test} has one piece to be written"
        )
    written = answers(subject.model, asked, objective.framing.end, progress=subject.progress)
    inputs = [_input(subject, objective, question) for question in asked]
    rights = [question.answer for question in asked]
    given, right, got = (_texts(subject, rows) for rows in (inputs, rights, written))
    return [Answered(*parts) for parts in zip(given, map(len, inputs), right, got, strict=True)], skipped


def _input(subject: Subject, objective: Causal, question: "Question") -> "np.ndarray":
    """Return what is given, without what begins a row and without the separator."""
    directions = getattr(subject.model.config, "direction_tokens", None) or {}
    ids = question.prompt
    begins = ids[0] in (subject.tokenizer.bos_token_id, *directions.values())
    return ids[int(begins) : len(ids) - int(ids[-1] == objective.framing.after)]


def _texts(subject: Subject, rows: Sequence["np.ndarray"]) -> list[str]:
    """Return what token ids spell, special tokens included: by them an answer says that it ends."""
    return subject.tokenizer.batch_decode(
        [row.tolist() for row in rows], skip_special_tokens=False, clean_up_tokenization_spaces=False
    )


def _ending(subject: Subject, objective: Causal) -> str:
    """Return what ends a row; nothing where nothing does."""
    end = objective.framing.end
    return "" if end is None else str(subject.tokenizer.decode([end]))


def _baseline(answered: Sequence[Answered], ending: str) -> tuple[str, float]:
    """Return the better one of two ways to answer without a model, in words, and its exact match."""
    right = [a.right for a in answered]
    commonest = Counter(right).most_common(1)[0][0]
    ways = {
        "copies the input": score([a.input + ending for a in answered], right)["exact_match"],
        f"always writes {commonest.removesuffix(ending)!r}": score([commonest] * len(right), right)["exact_match"],
    }
    return max(ways.items(), key=lambda way: way[1])


def _failures(answered: Sequence[Answered], ending: str) -> list[dict[str, Any]]:
    """Return the first wrong answers, without what ends a row; `ended` says whether the model wrote that."""
    wrong = list(dict.fromkeys(a for a in answered if a.written != a.right))[:FAILURES]
    return [
        {
            "input": a.input,
            "expected": a.right.removesuffix(ending),
            "got": a.written.removesuffix(ending),
            "ended": a.written.endswith(ending),
        }
        for a in wrong
    ]
