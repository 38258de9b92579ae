"""Finds out what a folder is by what it holds."""

from pathlib import Path

from hubkit.errors import UserError
from hubkit.publishing import corpus, model, space
from hubkit.publishing.sources import Source


def open_folder(folder: Path) -> Source:
    """Return the corpus, model or Space in a folder.

    Raises:
        UserError: It is none of these, or one that isn't finished; says what is missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    if (folder / corpus.MANIFEST).is_file():
        return corpus.CorpusSource(folder)
    if space.is_space(folder):
        return space.SpaceSource(folder)
    if (folder / model.RUN).is_file() or (folder / model.CONFIG).is_file():
        return model.ModelSource(folder)
    if (folder / "data").is_dir():
        raise UserError(f"{folder} holds an unfinished build (no {corpus.MANIFEST}): run the same `hubkit build` again")
    raise UserError(
        f"{folder} is not a build, a model or a Space: a corpus has {corpus.MANIFEST} and data/, "
        f"a model has {model.CONFIG}, model.safetensors "
        f"and {model.RUN}, a Space has {space.APP}, {space.REQUIREMENTS} and {space.MANIFEST}"
    )
