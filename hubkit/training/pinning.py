"""A recipe as its model repository offers it to those who train it again."""

from typing import TYPE_CHECKING, Any

from hubkit.hub import Commit
from hubkit.tokenizers.loading import is_own
from hubkit.training.recipe import Recipe

if TYPE_CHECKING:
    from hubkit.training.loading import Pins

TOKENIZER = "./tokenizer.json"
"""The tokenizer that lies beside a recipe."""


def pinned(recipe: Recipe, pins: "Pins") -> dict[str, Any]:
    """Return what `recipe.json` holds: `hubkit train recipe.json` makes the same model from it, anywhere.

    Every revision is the commit that it was resolved to, a tokenizer of this machine is the one beside the file, and
    where the author published is left out. Data and weights of this machine keep their names, by which nobody finds
    them.

    Args:
        recipe: What was trained.
        pins: What its names meant.
    """
    shown = recipe.published()
    del shown["publish_to"]
    read = (shown["dataset"], *shown["mix"], *shown["also_evaluate"].values())
    for data, pin in zip(read, (*pins.datasets, *pins.evaluated.values()), strict=True):
        if isinstance(pin, Commit):
            data["revision"] = pin.revision
    if pins.tokenizer is not None:
        shown["tokenizer"] = f"{pins.tokenizer.repo}@{pins.tokenizer.revision}"
    elif not is_own(recipe.tokenizer):
        shown["tokenizer"] = TOKENIZER
    if pins.init_from is not None:
        shown["init_from"] = f"{pins.init_from.repo}@{pins.init_from.revision}"
    return shown
