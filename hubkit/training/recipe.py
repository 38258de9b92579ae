"""A recipe: everything that determines a run, in one YAML file with `key=value` overrides."""

import hashlib
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hubkit.errors import UserError
from hubkit.models import ModelSpec
from hubkit.resources import resource
from hubkit.specs import Spec, canonical_json, read_mapping
from hubkit.tokenizers import TOKENIZERS
from hubkit.training.objectives import ObjectiveSpec

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class DatasetSpec(Spec):
    """Where the rows come from: a dataset on the Hub, by name and revision."""

    repo: str
    revision: str | None = None
    """Tag, branch or commit; None is the newest. The run records the commit that this resolved to."""
    config: str | None = None
    train: str = "train"
    validation: str = "validation"
    test: str = "test"
    column: str = "text"


class ScheduleSpec(Spec):
    """The learning rate over the steps."""

    name: Literal["constant", "linear", "cosine"] = "linear"
    warmup_steps: Count = 0


class TrainingSpec(Spec):
    """How long and how fast."""

    steps: Positive
    batch_size: Positive
    """Rows an optimizer step, over all processes."""
    length_pool: Positive = 32
    """Rows of so many batches are sorted by length together, which saves padding. The rows of a batch are then alike,
    from which a short run learns less: 1 leaves the order to chance."""
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: ScheduleSpec = ScheduleSpec()
    adam_betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    seed: Count = 0
    log_every: Positive = 50
    evaluate_every: Positive = 500
    evaluation_rows: Positive = 512
    """Validation rows for the loss during training; the final evaluation reads the whole test split."""
    checkpoint_every: Positive = 1000
    keep_checkpoints: Positive = 2
    deterministic: bool = False
    """On a GPU: only operations that give the same bits each time, so that resuming is exact; slower. A CPU's are."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    loader_workers: Count = 0
    """Processes that prepare batches for each training process; 0 prepares them between the steps."""

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.schedule.warmup_steps >= self.steps:
            raise ValueError(
                f"schedule.warmup_steps {self.schedule.warmup_steps} is not less than steps {self.steps}; "
                "lower it, or raise steps"
            )
        return self


_INDECISIVE = {"trackers", "loader_workers", "checkpoint_every", "keep_checkpoints"}
"""Fields of `TrainingSpec` that no loss depends on."""


class Recipe(Spec):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    dataset: DatasetSpec
    tokenizer: str
    model: ModelSpec
    objective: ObjectiveSpec
    training: TrainingSpec
    evaluations: tuple[Literal["mask_filling"], ...] = ()
    """Evaluations on the test split after training."""
    publish_to: str | None = None
    """Model repository on the Hub; None keeps the run local."""
    private: bool = False
    output: Path | None = None
    """Folder of the run; None is `runs/NAME`. Where processes run on several machines, all of them see it."""
    resume: bool = True
    """Go on from the newest checkpoint in the folder; false starts over."""

    @field_validator("tokenizer")
    @classmethod
    def _tokenizer_is_known(cls, name: str) -> str:
        if name not in TOKENIZERS:
            raise ValueError(f"there is no such tokenizer (known: {', '.join(sorted(TOKENIZERS))})")
        return name

    @field_validator("publish_to")
    @classmethod
    def _repository_has_an_owner(cls, repo: str | None) -> str | None:
        # What would else be found out after the training.
        if repo is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
            raise ValueError("not a repository; write OWNER/NAME")
        return repo

    def identity(self, dataset_revision: str) -> str:
        """Return the sha256 of all that decides the losses and when they are noted: equal for two, the same run.

        Args:
            dataset_revision: The commit that `dataset.revision` resolved to.
        """
        decisive = self.model_dump(mode="json", include={"dataset", "tokenizer", "model", "objective", "training"})
        decisive["dataset"]["revision"] = dataset_revision
        for field in _INDECISIVE:
            del decisive["training"][field]
        return hashlib.sha256(canonical_json(decisive).encode()).hexdigest()

    def published(self) -> dict[str, Any]:
        """Return the recipe as the model repository shows it: without what only concerns this machine."""
        return self.model_dump(mode="json", exclude={"output", "resume", "private"})

    @property
    def folder(self) -> Path:
        """Where the run keeps checkpoints, logs and the finished model."""
        return self.output or Path("runs") / self.name


def recipes() -> list[str]:
    """Return the names of the recipes that travel with hubkit."""
    return sorted(path.stem for path in resource("scripts", "recipes").glob("*.yaml"))


def read_recipe(target: str, overrides: Iterable[str] = ()) -> Recipe:
    """Return a recipe by name or by path of a YAML file, with overrides applied.

    Raises:
        UserError: There is none of that name; an unknown field; an impossible value.
    """
    path = Path(target)
    if path.suffix not in (".yaml", ".yml", ".json"):
        if target not in recipes():
            known = ", ".join(recipes())
            raise UserError(f"recipe: {target!r} is unknown (known: {known}; or the path of a .yaml file)")
        path = resource("scripts", "recipes") / f"{target}.yaml"
    return Recipe.build(read_mapping(path), overrides, origin=f"recipe {target}")
