"""All that a run reads: which data a recipe means, and the sequences of its datasets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from hubkit.data.batches import Source
from hubkit.data.objectives.base import Objective
from hubkit.data.pools import Stream
from hubkit.data.reading import Sequences
from hubkit.data.sources import DatasetSpec, Pin
from hubkit.errors import UserError
from hubkit.hub import Commit
from hubkit.training.recipe import Recipe
from hubkit.training.starting import find_commit

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast


class Pins(NamedTuple):
    """What the revisions of a recipe mean now."""

    datasets: list[Pin]
    """Of those that training reads."""
    evaluated: dict[str, Pin]
    """Of the other validation splits, by their names."""
    tokenizer: Commit | None
    init_from: Commit | None

    @property
    def revisions(self) -> dict[str, str]:
        """The commits and hashes by the fields that name them."""
        own, *mix = self.datasets
        pins = {
            "dataset": own,
            **{f"mix.{number}": pin for number, pin in enumerate(mix)},
            **{f"also_evaluate.{name}": pin for name, pin in self.evaluated.items()},
            "tokenizer": self.tokenizer,
            "init_from": self.init_from,
        }
        return {field: pin.revision for field, pin in pins.items() if pin}


class Data(NamedTuple):
    """The sequences of a run."""

    training: list[Source]
    validation: dict[str, Sequences]
    """By name; the first, `validation`, is the dataset's own."""
    objective: Objective
    rows: list[dict[str, int]]
    """Rows of each split that was read, of each dataset of the training."""
    longest: int
    """Tokens that the model reads of the longest sequence, those of the test split included."""


def find_pins(recipe: Recipe) -> Pins:
    """Return what a recipe's names mean now: commits, and hashes of what lies on this machine.

    Raises:
        UserError: The Hub is down, or has no such repository or revision; or there is no such folder or file.
    """
    return Pins(
        [data.pin() for data in recipe.read],
        {name: data.pin() for name, data in recipe.also_evaluate.items()},
        find_commit(recipe.tokenizer),
        find_commit(recipe.init_from),
    )


def load_data(recipe: Recipe, tokenizer: "PreTrainedTokenizerFast", pins: Pins) -> Data:
    """Return the sequences of a recipe's datasets.

    Raises:
        UserError: A dataset has no such split or column, can't be tokenised, or doesn't fit the reading.
    """
    objective = recipe.objective.make(tokenizer)

    def read(data: DatasetSpec, pin: Pin, splits: Sequence[str]) -> dict[str, tuple[int, Any]]:
        """Return each split's number of rows, and its sequences."""
        if data.tokens is not None and recipe.reading.form == "rows":
            raise UserError("reading.form: a file of tokens is one long row; set form to windows, and their length")
        found = {}
        for split in dict.fromkeys(splits):
            if data.streaming and split == data.train:
                stream = data.stream(pin.revision, tokenizer, objective.framing, recipe.reading, objective.more)
                found[split] = stream.rows, stream
                continue
            rows = data.load(pin.revision, split, tokenizer, recipe.folder / "tokens", objective.framing)
            found[split] = len(rows), recipe.reading.make(rows, objective.more, f"{data.name} {split}")
        return found

    own = recipe.dataset
    # The test split of the dataset itself counts for the model's length.
    wanted = [(own.train, own.validation, own.test), *((data.train,) for data in recipe.mix)]
    made = [read(*each) for each in zip(recipe.read, pins.datasets, wanted, strict=True)]
    validation = {"validation": made[0][own.validation][1]}
    for name, data in recipe.also_evaluate.items():
        validation[name] = read(data, pins.evaluated[name], (data.validation,))[data.validation][1]
    return Data(
        [
            Source(f"{data.name} {data.train}", splits[data.train][1], data.ratio)
            for data, splits in zip(recipe.read, made, strict=True)
        ],
        validation,
        objective,
        [{name: rows for name, (rows, _) in splits.items()} for splits in made],
        max(_longest(sequences) for splits in made for _, sequences in splits.values()) - objective.more,
    )


def _longest(sequences: Sequences | Stream) -> int:
    return sequences.longest if isinstance(sequences, Stream) else int(sequences.lengths.max())
