"""What an evaluation is about: a model folder with its lineage, and the split that its questions come from."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.reading import ReadingSpec
from hubkit.data.sources import DatasetSpec
from hubkit.errors import UserError
from hubkit.hub import Commit, resolve

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Subject:
    """A model and what it is asked about."""

    folder: Path
    """Weights, config, tokenizer and `run.json`."""
    lineage: Mapping[str, Any]
    """What `run.json` says."""
    commit: Commit
    """The dataset that the questions come from."""
    limit: int | None = None
    """Ask only about so many sequences of its test split, the first ones; None is all."""
    progress: Progress = lambda what, done, total: None
    """Hears (what, done, total)."""

    @property
    def recipe(self) -> Mapping[str, Any]:
        """What the model was trained by."""
        return self.lineage["recipe"]

    @cached_property
    def dataset(self) -> DatasetSpec:
        """How the dataset of the questions is read: as that of the training."""
        return self._trained_by.model_copy(update={"repo": self.commit.repo, "folder": None, "tokens": None})

    @property
    def known(self) -> tuple[DatasetSpec, Commit]:
        """The dataset whose training split the model knows; where no repository holds it, that of the questions.

        Of a mixture it is the one that the test split is of.
        """
        commit = _first_dataset(self.lineage)
        return (self.dataset, self.commit) if commit is None else (self._trained_by, commit)

    @cached_property
    def _trained_by(self) -> DatasetSpec:
        return DatasetSpec.build(self.recipe["dataset"], origin=f"{self.folder}/run.json, dataset")

    @cached_property
    def tokenizer(self) -> "PreTrainedTokenizerFast":
        """The model's tokenizer."""
        from hubkit.tokenizers.loading import load_tokenizer

        return load_tokenizer(str(self.folder))

    @cached_property
    def model(self) -> "PreTrainedModel":
        """The model, on its device, in evaluation mode."""
        from transformers.utils.logging import disable_progress_bar

        from hubkit.models.loading import load_model

        disable_progress_bar()  # of loading the weights, which takes no time
        return load_model(self.folder)

    def causal(self, evaluation: str, instead: str) -> tuple[CausalSpec, ReadingSpec]:
        """Return what the model was asked for in training, and how its sequences were cut.

        Args:
            evaluation: Who asks, for messages.
            instead: What to do about a model that is not causal, for messages.

        Raises:
            UserError: It is a masked model.
        """
        objective, where = self.recipe["objective"], f"{self.folder}/run.json"
        if objective["name"] != "causal":
            raise UserError(
                f"evaluation {evaluation}: {self.lineage['name']} was trained to fill masks (objective "
                f"{objective['name']}); {instead}"
            )
        reading = ReadingSpec.build(self.recipe["reading"], origin=f"{where}, reading")
        return CausalSpec.build(objective, origin=f"{where}, objective"), reading


def find_subject(
    folder: Path, dataset: str | None, revision: str | None, limit: int | None, progress: Progress
) -> Subject:
    """Return what is to be evaluated.

    Args:
        folder: A model folder with its `run.json`.
        dataset: Another dataset of the same kind; None is the one of the lineage, at its commit.
        revision: Of `dataset`; None is its newest.
        limit: Ask only about so many sequences of the test split.
        progress: Hears (what, done, total).

    Raises:
        UserError: The folder has no lineage, its dataset is no repository, or the Hub has no such dataset.
    """
    lineage = _read_lineage(folder)
    commit = _first_dataset(lineage) if dataset is None else resolve(dataset, revision)
    if commit is None:
        raise UserError(
            f"{lineage['name']} was trained on {lineage['datasets'][0].get('path')}, which is no repository; publish "
            "it, and name it by --dataset OWNER/NAME"
        )
    return Subject(folder, lineage, commit, limit, progress)


def _first_dataset(lineage: Mapping[str, Any]) -> Commit | None:
    """Return the dataset that a lineage begins with, or None where no repository holds it."""
    first = lineage["datasets"][0]
    return Commit(first["repo"], first["revision"], first["release"]) if "repo" in first else None


def _read_lineage(folder: Path) -> dict[str, Any]:
    try:
        lineage = json.loads((folder / "run.json").read_bytes())
        recipe = lineage["recipe"]
        if lineage["name"] and recipe["dataset"] and recipe["objective"]["name"]:
            _first_dataset(lineage)
            return lineage
    except (OSError, ValueError, KeyError, IndexError, TypeError):
        pass
    raise UserError(f"{folder} has no readable run.json, so it is not a model that hubkit trained")
