"""A recipe: everything that determines a run, in one YAML file with `key=value` overrides."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from hubkit.data.objectives import ObjectiveSpec
from hubkit.data.reading import ReadingSpec
from hubkit.data.sources import DatasetSpec
from hubkit.errors import UserError
from hubkit.models import ModelSpec
from hubkit.provenance import end_of_path
from hubkit.resources import resource
from hubkit.specs import Spec, canonical_json, read_mapping
from hubkit.tokenizers import TOKENIZERS
from hubkit.tokenizers.loading import is_own
from hubkit.training.foreign import read_foreign
from hubkit.training.schedules import ScheduleSpec
from hubkit.training.stopping import EarlyStopSpec

Positive = Annotated[int, Field(gt=0)]
Count = Annotated[int, Field(ge=0)]


class TrainingSpec(Spec):
    """How long and how fast."""

    steps: Positive | None = None
    """Optimizer steps of the run; or say `epochs`."""
    epochs: Annotated[float, Field(gt=0)] | None = None
    """Times that the training data is read; of a mixture, the source that takes longest."""
    batch_size: Positive
    """Sequences an optimizer step, over all processes."""
    micro_batch_size: Positive | None = None
    """Sequences that a process puts through the model at once; the gradients of several are added up. None is its whole
    share of the batch. Lower it where memory is short."""
    length_pool: Positive = 32
    """Rows of so many batches are sorted by length together, which saves padding. The rows of a batch are then alike,
    from which a short run learns less: 1 leaves the order to chance. A mixture's order is always left to chance."""
    learning_rate: Annotated[float, Field(gt=0)]
    schedule: ScheduleSpec = ScheduleSpec()
    adam_betas: tuple[Annotated[float, Field(ge=0, lt=1)], Annotated[float, Field(ge=0, lt=1)]] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    """Of matrices and embeddings; gains and biases have none."""
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    precision: Literal["fp32", "bf16", "fp16", "bf16_weights"] = "fp32"
    """bf16 and fp16 compute in that type, and the weights stay in fp32. With bf16_weights the model holds them in bf16
    and the optimizer in fp32: a tenth faster on a GPU."""
    loss_chunk: Positive | None = 16384
    """Tokens of which a causal model holds the logits at once, the largest numbers of a step; None holds all."""
    compile: bool = False
    """Compile the model with torch.compile: slow to start, faster on a GPU."""
    seed: Count = 0
    log_every: Positive = 50
    evaluate_every: Positive = 500
    evaluate_at_start: bool = False
    """Also before the first step."""
    evaluation_rows: Positive = 512
    """Sequences of an evaluation set for the loss during training; the final evaluation reads the whole test split."""
    snippet_every: Positive | None = None
    """Steps between continuations of validation texts that the run writes into `snippets.md`; None writes none."""
    checkpoint_every: Positive = 1000
    keep_checkpoints: Positive = 2
    backup_every: Positive | None = None
    """Checkpoints at multiples of so many steps are kept for good."""
    keep: Literal["last", "best"] = "last"
    """Which weights the model folder gets: those of the last step, or of the evaluation with the lowest loss."""
    early_stop: EarlyStopSpec | None = None
    max_minutes: Annotated[float, Field(gt=0)] | None = None
    """Wall-clock time of training, that before a resume included; then the run ends as if its steps were done."""
    deterministic: bool = False
    """On a GPU: only operations that give the same bits each time, so that resuming is exact; slower. A CPU's are."""
    trackers: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    loader_workers: Count = 0
    """Processes that prepare batches for each training process; 0 prepares them between the steps."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("say either steps or epochs: how long the run is")
        if self.steps is not None:
            self.schedule.check(self.steps)
        return self


_INDECISIVE = {
    "trackers", "loader_workers", "checkpoint_every", "keep_checkpoints", "backup_every", "snippet_every", "keep",
    "max_minutes", "micro_batch_size", "compile", "loss_chunk",
}  # fmt: skip
"""Fields of `TrainingSpec` that no loss depends on, but for the order in which the same numbers are added."""


_SUFFIXES = (".yaml", ".yml", ".json", ".jsonc", ".py")
"""What the file of a recipe ends in; the last two are foreign ones."""


class Recipe(Spec):
    """A whole run."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    dataset: DatasetSpec
    """What the model learns; its validation and test splits are those of the run."""
    mix: tuple[DatasetSpec, ...] = ()
    """Other datasets whose training splits are mixed in, by the ratios of all; one that is exhausted begins again."""
    also_evaluate: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")], DatasetSpec] = Field(default_factory=dict)
    """Other validation splits whose losses are noted during training, by the names they get in the logs."""
    tokenizer: str
    """One of hubkit's by name, a folder, a `tokenizer.json`, or OWNER/NAME[@REVISION] on the Hub."""
    extra_tokens: tuple[Annotated[str, Field(min_length=1)], ...] | Positive = ()
    """Special tokens that the tokenizer gets; a number N stands for `<meta_lang_0>` to `<meta_lang_N-1>`."""
    model: ModelSpec
    init_from: str | None = None
    """Weights to begin with: folder, OWNER/NAME[@REVISION] on the Hub, or s3://BUCKET/FOLDER; the optimizer is new."""
    objective: ObjectiveSpec
    reading: ReadingSpec = ReadingSpec()
    training: TrainingSpec
    evaluations: tuple[Literal["mask_filling", "number_recovery", "perplexity", "exact_match"], ...] = ()
    """Evaluations on the test split after training."""
    publish_to: str | None = None
    """Model repository on the Hub; None keeps the run local."""
    private: bool = False
    output: Path | None = None
    """Folder of the run; None is `runs/NAME`. Where processes run on several machines, all of them see it."""
    resume: bool = True
    """Go on from the newest checkpoint in the folder; false starts over."""
    further: Positive | None = None
    """Train so many steps beyond the newest checkpoint, whatever `training.steps` says; the schedule stays where it
    ended. Interrupted, the same command makes the steps that are left."""

    @field_validator("tokenizer")
    @classmethod
    def _tokenizer_is_known(cls, name: str) -> str:
        if not is_own(name) and "/" not in name and not Path(name).exists():
            known = ", ".join(sorted(TOKENIZERS))
            raise ValueError(
                f"there is no such tokenizer (known: {known}, characters:SYMBOLS, ids:NUMBER; a folder; or OWNER/NAME "
                "on the Hub)"
            )
        return name

    @field_validator("publish_to")
    @classmethod
    def _repository_has_an_owner(cls, repo: str | None) -> str | None:
        # What would else be found out after the training.
        if repo is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", repo):
            raise ValueError("not a repository; write OWNER/NAME")
        return repo

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if self.model.kind != self.objective.kind:
            raise ValueError(
                f"objective.name: {self.model.architecture} is a {self.model.kind} model, and the objective "
                f"{self.objective.name} is for {self.objective.kind} ones; change one of them"
            )
        if self.tokenizer.startswith("numeric-") and self.objective.kind != "numeric":
            raise ValueError(
                f"tokenizer: {self.tokenizer} keeps of a number only that there is one, and {self.model.architecture} "
                "is not told which; use tokenizer=lorenz, or a numeric_roberta with objective.name=numeric_masked"
            )
        away = next((data.name for data in self.read if data.repo is None), None)
        if away is not None and (self.evaluations or self.publish_to):
            field = "evaluations" if self.evaluations else "publish_to"
            raise ValueError(
                f"{field}: {away} is on this machine, where nobody else finds what the model was made of; publish it "
                f"and name it by dataset.repo, or leave {field} out"
            )
        if "validation" in self.also_evaluate:
            raise ValueError("also_evaluate.validation: this is the name of the dataset's own; take another")
        return self

    @model_validator(mode="after")
    def _streams_fit(self) -> Self:
        name = next((data.name for data in self.read if data.streaming), None)
        if name is not None:
            unknown = f"of {name}, which is a stream, is only known once it was read; say"
            if self.reading.form == "rows" and self.reading.length is None:
                raise ValueError(f"reading.length: the longest row {unknown} how many tokens there may be, such as 512")
            if self.reading.form == "windows" and self.training.epochs is not None:
                raise ValueError(f"training.epochs: the number of windows {unknown} training.steps instead")
            if self.training.loader_workers:
                raise ValueError(
                    f"training.loader_workers: {name} is a stream, which a thread of the training reads ahead; set it "
                    "to 0"
                )
        for other, data in self.also_evaluate.items():
            if data.streaming:
                raise ValueError(f"also_evaluate.{other}.streaming: evaluation sets are fetched whole; leave it out")
        return self

    @property
    def added_tokens(self) -> tuple[str, ...]:
        """Special tokens that the tokenizer gets, those of the objective included."""
        extra = self.extra_tokens
        named = tuple(f"<meta_lang_{number}>" for number in range(extra)) if isinstance(extra, int) else extra
        return tuple(dict.fromkeys((*named, *self.objective.extra_tokens)))

    @property
    def read(self) -> tuple[DatasetSpec, ...]:
        """The datasets that training reads."""
        return (self.dataset, *self.mix)

    def identity(self, revisions: Mapping[str, str]) -> str:
        """Return the sha256 of what :meth:`decisive` returns: equal for two, the same run."""
        return hashlib.sha256(canonical_json(self.decisive(revisions)).encode()).hexdigest()

    def decisive(self, revisions: Mapping[str, str]) -> dict[str, Any]:
        """Return all that decides the losses and when they are noted: fields, and the `revisions` that were resolved.

        Args:
            revisions: By field, the commits that the revisions of `dataset`, `mix` and `also_evaluate` resolved to, and
                those of `tokenizer` and `init_from`, or the hash of what lies there.
        """
        fields = {
            "dataset", "mix", "also_evaluate", "tokenizer", "extra_tokens", "model", "init_from", "objective",
            "reading", "training",
        }  # fmt: skip
        decisive = self.model_dump(mode="json", include=fields)
        for data in (decisive["dataset"], *decisive["mix"], *decisive["also_evaluate"].values()):
            del data["revision"]
        for field in _INDECISIVE:
            del decisive["training"][field]
        if self.training.schedule.is_endless:
            # Then a run of more steps begins as one of fewer, and can go on from its checkpoint.
            del decisive["training"]["steps"], decisive["training"]["epochs"]
        return decisive | {"revisions": dict(revisions)}

    def published(self) -> dict[str, Any]:
        """Return the recipe as the model repository shows it: without what only concerns this machine."""
        shown = self.model_dump(mode="json", exclude={"output", "resume", "private", "further"})
        if Path(shown["tokenizer"]).expanduser().exists():
            shown["tokenizer"] = Path(shown["tokenizer"]).name
        if self.init_from is not None and Path(self.init_from).expanduser().exists():
            # The dot, because nobody shall take it for a repository.
            shown["init_from"] = f"./{end_of_path(Path(self.init_from))}"
        return shown

    @property
    def folder(self) -> Path:
        """Where the run keeps checkpoints, logs and the finished model."""
        return self.output or Path("runs") / self.name


def recipes() -> list[str]:
    """Return the names of the recipes that travel with hubkit."""
    return sorted(path.stem for path in resource("scripts", "recipes").glob("*.yaml"))


def read_recipe(target: str, overrides: Iterable[str] = ()) -> Recipe:
    """Return a recipe by name or by path, with overrides applied.

    Args:
        target: One of :func:`recipes`, a YAML or JSON file, or a configuration file that
            :mod:`hubkit.training.foreign` understands.
        overrides: Assignments such as ``training.steps=100``; of a foreign file, to the fields of the recipe that it
            becomes.

    Raises:
        UserError: There is none of that name; an unknown field; an impossible value.
    """
    path = Path(target)
    if path.suffix not in _SUFFIXES:
        if target not in recipes():
            known = ", ".join(recipes())
            raise UserError(f"recipe: {target!r} is unknown (known: {known}; or the path of a .yaml file)")
        path = resource("scripts", "recipes") / f"{target}.yaml"
    values = read_foreign(path)
    values = _with_tokenizer_beside(path, read_mapping(path)) if values is None else values
    return Recipe.build(values, overrides, origin=f"recipe {target}")


def _with_tokenizer_beside(path: Path, values: dict[str, Any]) -> dict[str, Any]:
    """Return a recipe's values; a tokenizer such as ``./tokenizer.json`` that lies beside the file is found there.

    So a model repository's `recipe.json` works in whatever folder it was downloaded to.
    """
    name = values.get("tokenizer")
    if isinstance(name, str) and name.startswith("./") and (path.parent / name).exists():
        return values | {"tokenizer": str(path.parent / name)}
    return values
