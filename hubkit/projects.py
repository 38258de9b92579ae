"""A project: corpora, tokenizers, models and Spaces that belong together, published in the order in which they pin."""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from hubkit.errors import UserError
from hubkit.publishing import Plan, Release, plan, publish
from hubkit.publishing.model import RUN
from hubkit.specs import Spec, read_mapping

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Kind = Literal["corpus", "tokenizer", "model", "space"]
Models = Annotated[tuple[str, ...], Field(min_length=1)]


class SpaceSpec(Spec):
    """A Space that is composed when it is published, of models as they are then."""

    models: Models
    """OWNER/NAME or OWNER/NAME@REVISION: one that fills masks, one that generates, or both."""
    title: str | None = None
    """Of the page; None names it after the models."""


class ProjectSpec(Spec):
    """What is published where: repositories, and the folders that they are made of, relative to the project's file."""

    private: bool = False
    """Create repositories as private ones."""
    corpora: dict[str, Path] = Field(default_factory=dict)
    """By repository: folders of `hubkit build`, or of Parquet or JSON Lines."""
    tokenizers: dict[str, Path] = Field(default_factory=dict)
    models: dict[str, Path] = Field(default_factory=dict)
    """By repository: folders of `hubkit train`, `runs/NAME/model`."""
    spaces: dict[str, Path | SpaceSpec] = Field(default_factory=dict)
    """By repository: a folder, or what to compose the Space of."""


@dataclass(frozen=True)
class Step:
    """One repository of a project, and what will happen to it."""

    kind: Kind
    repo: str
    made_of: Path | SpaceSpec
    plan: Plan | None
    """None for a Space whose models are not yet what they will be: it is composed once they are published."""
    remarks: tuple[str, ...] = ()
    """What the user should know, such as that a model was trained on an older release."""

    def render(self) -> str:
        """Return the step as text for people."""
        shown = self.plan.render() if self.plan else f"{self.kind} {self.repo}\n"
        return shown + "".join(f"  note: {remark}\n" for remark in self.remarks)

    def to_json(self) -> dict[str, Any]:
        """Return the step as plain data for scripts."""
        made = self.plan.to_json() if self.plan else None
        return {"repo": self.repo, "kind": self.kind, "plan": made, "remarks": list(self.remarks)}


def plan_project(path: Path, api: "HfApi | None" = None) -> list[Step]:
    """Work out what publishing a project would do, in the order in which it is done; nothing is changed.

    Args:
        path: A YAML file of :class:`ProjectSpec`.
        api: The Hub's client; by default one that takes endpoint and token from the environment.

    Raises:
        UserError: The file can't be read or says something impossible, a folder is missing, unfinished or of another
            kind, or a repository is named twice. So nothing is sent of a project that can't be published whole.
    """
    spec = ProjectSpec.build(read_mapping(path), origin=f"project {path}")
    steps: list[Step] = []
    for kind, repo, made_of in _named(spec, path):
        if isinstance(made_of, Path):
            made = _planned(made_of, path, repo, spec.private, api)
            if made.kind != kind:
                raise UserError(f"project {path}: {made_of} holds a {made.kind}, and {repo} is listed as a {kind}")
            steps.append(Step(kind, repo, made_of, made, tuple(_outdated(kind, _folder(made_of, path), steps))))
            continue
        changing = {step.repo for step in steps if step.kind == "model" and step.plan and step.plan.tag}
        waits = [model for model in made_of.models if model in changing]
        made = None if waits else _planned(made_of, path, repo, spec.private, api)
        steps.append(Step(kind, repo, made_of, made, tuple(f"composed once {model} is published" for model in waits)))
    return steps


def publish_project(
    path: Path, api: "HfApi | None" = None, progress: Callable[[str], None] = lambda step: None
) -> Iterator[Release]:
    """Publish a project's repositories one after the other; what is on the Hub already is left as it is.

    A call that was interrupted is made again: it goes on with what is missing.

    Args:
        path: A YAML file of :class:`ProjectSpec`.
        api: As in :func:`plan_project`.
        progress: Hears of each step.

    Yields:
        What each repository is afterwards.

    Raises:
        UserError: As :func:`plan_project` and :func:`hubkit.publishing.apply`.
    """
    private = ProjectSpec.build(read_mapping(path), origin=f"project {path}").private
    for step in plan_project(path, api):
        progress(f"{step.kind} {step.repo}")
        for remark in step.remarks if step.plan else ():
            progress(f"note: {remark}")
        make = partial(_planned, step.made_of, path, step.repo, private, api)
        yield publish(make, api, progress, first=step.plan)


def _named(spec: ProjectSpec, path: Path) -> list[tuple[Kind, str, Path | SpaceSpec]]:
    """Return kind, repository and contents in the order of publishing."""
    groups: list[tuple[Kind, Any]] = [
        ("corpus", spec.corpora), ("tokenizer", spec.tokenizers), ("model", spec.models), ("space", spec.spaces),
    ]  # fmt: skip
    found: list[tuple[Kind, str, Path | SpaceSpec]] = [
        (kind, repo, made_of) for kind, group in groups for repo, made_of in group.items()
    ]
    if not found:
        raise UserError(f"project {path}: it names no repository; write corpora, tokenizers, models or spaces")
    twice = next((repo for repo in spec.tokenizers if repo in spec.models), None)
    if twice is not None:
        raise UserError(f"project {path}: {twice} is a tokenizer and a model; give one of them another name")
    return found


def _outdated(kind: Kind, folder: Path, before: list[Step]) -> Iterator[str]:
    """Say where a model was trained on another release of a corpus than the one that the project publishes."""
    corpora = {step.repo: step.plan for step in before if step.kind == "corpus" and step.plan}
    for pin in json.loads((folder / RUN).read_bytes())["datasets"] if kind == "model" else ():
        corpus = corpora.get(pin["repo"])
        if corpus is not None and pin.get("release") != f"v{corpus.version}":
            was = pin.get("release") or pin["revision"][:12]
            yield f"trained on {was} of {corpus.repo}, which is v{corpus.version} now; train it again to follow"


@contextmanager
def _space(spec: SpaceSpec) -> Iterator[Path]:
    """Compose a Space in a folder that is gone afterwards."""
    from hubkit.demo import compose_space

    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "space"
        compose_space(spec.models, folder, spec.title)
        yield folder


def _folder(made_of: Path, project: Path) -> Path:
    return project.parent / made_of.expanduser()


def _planned(made_of: Path | SpaceSpec, project: Path, repo: str, private: bool, api: "HfApi | None") -> Plan:
    """Plan a repository. A Space that is composed shows models as they are now; its files are read into the plan."""
    if isinstance(made_of, Path):
        return plan(_folder(made_of, project), repo, private=private, api=api)
    with _space(made_of) as folder:
        made = plan(folder, repo, private=private, api=api)
        files = (
            replace(file, source=file.source.read_bytes() if isinstance(file.source, Path) else file.source)
            for file in made.files
        )
        return replace(made, files=tuple(files))
