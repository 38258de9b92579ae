"""Fetches what a run needs from the Hub, for a machine that has no network.

Clusters often have none on their compute nodes. What is fetched lies in the Hub's own cache, complete and at a known
commit; with ``HF_HUB_OFFLINE=1`` a run on the node takes it from there, and nothing else.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hubkit.data.sources import DatasetSpec
from hubkit.errors import UserError
from hubkit.hub import MODEL_FILES, fetch_dataset, fetch_model, remember, resolve
from hubkit.tokenizers.loading import TOKENIZER_FILES
from hubkit.training.recipe import Recipe
from hubkit.training.starting import on_hub

_CACHES = {"HF_HUB_CACHE": "hub", "HF_DATASETS_CACHE": "datasets"}
"""Parts of the cache that may lie elsewhere than below HF_HOME, and where they lie by default."""


@dataclass(frozen=True)
class Fetched:
    """A repository in the cache."""

    kind: str
    """``dataset`` or ``model``."""
    repo: str
    revision: str
    """The commit, 40 hex digits."""
    release: str | None
    folder: Path
    files: int
    bytes: int


def prefetch(recipe: Recipe, datasets: Iterable[str] = (), models: Iterable[str] = ()) -> list[Fetched]:
    """Fetch all that a recipe reads from the Hub. hubkit's own tokenizers and its metrics travel with it.

    Args:
        recipe: What will be run.
        datasets: Other datasets, such as those to evaluate on, each ``OWNER/NAME`` or ``OWNER/NAME@REVISION``.
        models: Models, such as those to evaluate, named alike.

    Returns:
        What is in the cache now, each repository once at each commit: the recipe's datasets first, then the models that
        its tokenizer and its first weights come from.

    Raises:
        UserError: The Hub is down or has no such thing, or we are told to be offline; or a dataset lacks a config or
            a split that the recipe names.
    """
    from huggingface_hub import is_offline_mode

    if is_offline_mode():
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be fetched: unset it")
    fetched = []
    for data, splits in _read_splits(recipe):
        if data.repo is not None:
            fetched.append(_fetched(data.repo, data.revision, "dataset"))
            _check_splits(data, splits, fetched[-1].folder)
    named: list[tuple[str, str, Sequence[str] | None]] = [(name, "dataset", None) for name in datasets]
    if on_hub(recipe.tokenizer):
        named.append((recipe.tokenizer, "model", TOKENIZER_FILES))
    # After the tokenizer: of one that lies beside these weights, what is told in the end is all of the repository.
    own = [recipe.init_from] if recipe.init_from and on_hub(recipe.init_from) else []
    named += [(name, "model", MODEL_FILES) for name in (*own, *models)]
    for name, kind, files in named:
        repo, _, revision = name.partition("@")
        fetched.append(_fetched(repo, revision or None, kind, files))
    return list({(one.kind, one.repo, one.revision): one for one in fetched}.values())


def _read_splits(recipe: Recipe) -> Iterator[tuple[DatasetSpec, tuple[str, ...]]]:
    """Yield the datasets of a recipe, and the splits of each that a run reads."""
    own = recipe.dataset
    yield own, (own.train,) if own.held_out else (own.train, own.validation, own.test)
    for data in recipe.mix:
        yield data, (data.train,)
    for data in recipe.also_evaluate.values():
        yield data, (data.train if data.held_out else data.validation,)


def node_environment(recipe: Recipe) -> dict[str, str]:
    """Return the variables to set on the machine without a network; its disk must have the same cache."""
    import datasets.config
    from huggingface_hub import constants

    home = Path(constants.HF_HOME)
    places = {"HF_HUB_CACHE": constants.HF_HUB_CACHE, "HF_DATASETS_CACHE": datasets.config.HF_DATASETS_CACHE}
    moved = {name: str(place) for name, place in places.items() if Path(place) != home / _CACHES[name]}
    tracker = {"WANDB_MODE": "offline"} if "wandb" in recipe.training.trackers else {}
    return {"HF_HUB_OFFLINE": "1", "HF_HOME": str(home.absolute()), **moved, **tracker}


def _fetched(repo: str, revision: str | None, kind: str, files: Sequence[str] | None = None) -> Fetched:
    """Fetch a repository; of a model, the files of some patterns."""
    commit = resolve(repo, revision, kind)
    folder = fetch_dataset(repo, commit.revision) if files is None else fetch_model(repo, commit.revision, files)
    remember(commit, revision, kind)
    sizes = [os.stat(path).st_size for path in folder.rglob("*") if path.is_file()]
    return Fetched(kind, repo, commit.revision, commit.release, folder, len(sizes), sum(sizes))


def _check_splits(data: DatasetSpec, splits: Iterable[str], folder: Path) -> None:
    """Make sure, before a job waits in a queue for it, that the dataset has what the recipe reads."""
    import datasets
    from datasets.exceptions import DatasetsError

    try:
        builder = datasets.load_dataset_builder(str(folder), data.config)
    except (DatasetsError, ValueError, OSError) as error:
        said = " ".join(str(error).split())
        raise UserError(f"dataset: can't load config {data.config or 'default'!r} of {data.repo}: {said}") from None
    there = [str(split) for split in builder.config.data_files or {}]
    missing = [split for split in splits if split not in there]
    if missing:
        raise UserError(f"dataset: {data.repo} has no split {missing[0]!r} (it has {', '.join(there)})")
