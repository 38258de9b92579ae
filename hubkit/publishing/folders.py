"""Finds out what a folder is by what it holds."""

from pathlib import Path

from hubkit.errors import UserError
from hubkit.publishing import corpus, model, space, tokenizer
from hubkit.publishing.sources import Source


def open_folder(folder: Path) -> Source:
    """Return the corpus, model, tokenizer, Space or rows in a folder.

    Raises:
        UserError: It is none of these, or one that isn't finished; says what is missing.
    """
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    if (folder / corpus.MANIFEST).is_file():
        return _corpus(folder)
    if space.is_space(folder):
        return space.SpaceSource(folder)
    if (folder / model.RUN).is_file() or (folder / model.CONFIG).is_file():
        return model.ModelSource(folder)
    if tokenizer.is_tokenizer(folder):
        return tokenizer.TokenizerSource(folder)
    return _corpus(folder)


def _corpus(folder: Path) -> Source:
    """Return the build or somebody's rows in a folder."""
    from hubkit.corpora.layout import WORK
    from hubkit.publishing.data_folder import DataFolder, is_data_folder
    from hubkit.publishing.data_layout import holds_rows

    manifest = folder / corpus.MANIFEST
    if manifest.is_file() and not is_data_folder(manifest):
        return corpus.CorpusSource(folder)
    if (folder / WORK).is_dir():
        raise UserError(f"{folder} holds an unfinished build (no {corpus.MANIFEST}): run the same `hubkit build` again")
    if holds_rows(folder):
        return DataFolder(folder)
    raise UserError(
        f"{folder} is not a build, a model, a Space or a folder of rows: a corpus has {corpus.MANIFEST} and data/, "
        f"a model has {model.CONFIG}, model.safetensors "
        f"and {model.RUN}, a Space has {space.APP}, {space.REQUIREMENTS} and {space.MANIFEST}, and rows are Parquet or "
        "JSON Lines, such as data/train.parquet"
    )
