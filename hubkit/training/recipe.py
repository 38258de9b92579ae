"""A recipe: everything that determines a run, in one YAML file with `key=value` overrides."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hubkit.errors import UserError
from hubkit.models import ModelSpec
from hubkit.resources import resource
from hubkit.specs import Spec, canonical_json, read_mapping
from hubkit.training.objectives import ObjectiveSpec

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class DatasetSpec(Spec):
    """Where the rows come from: a dataset on the Hub (or a folder), by name and revision."""

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
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    loader_workers: Count = 0

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.schedule.warmup_steps >= self.steps:
            raise ValueError(f"schedule.warmup_steps {self.schedule.warmup_steps} is not less than steps {self.steps}")
        return self


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
    """Folder of the run; None is `runs/NAME`."""
    resume: bool = True
    """Go on from the newest checkpoint in the folder; false starts over."""

    def identity(self, dataset_revision: str) -> str:
        """Return the sha256 of all that decides the losses: equal for two recipes, the same run.

        Args:
            dataset_revision: The commit that `dataset.revision` resolved to.
        """
        decisive = self.model_dump(mode="json", include={"dataset", "tokenizer", "model", "objective", "training"})
        decisive["dataset"]["revision"] = dataset_revision
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
            raise UserError(f"recipe: {target!r} is unknown (known: {', '.join(recipes())}; or the path of a .yaml file)")
        path = resource("scripts", "recipes") / f"{target}.yaml"
    return Recipe.build(read_mapping(path), overrides, origin=f"recipe {target}")
