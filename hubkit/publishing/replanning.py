"""Plans and applies, and plans again where somebody commits in between, so that what they wrote is in the release."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from hubkit.hub_errors import Moved
from hubkit.publishing.applying import Release, apply
from hubkit.publishing.plans import Plan
from hubkit.publishing.progress import Progress

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PLANS = 4
"""How many are made; a repository that moves faster is left alone."""


def publish(
    make: Callable[[], Plan],
    api: "HfApi | None" = None,
    progress: Progress = lambda step: None,
    *,
    first: Plan | None = None,
) -> Release:
    """Make a plan and apply it; if the repository moves meanwhile, show a new plan and apply that.

        publish(lambda: plan(folder, "lab/numbers"))

    Args:
        make: Makes a plan of the repository as it is now.
        api: The Hub's client, for the same Hub as the plan's.
        progress: Hears of each step, and of a new plan as text.
        first: The plan to begin with, if it was made already.

    Returns:
        What is on the Hub now.

    Raises:
        Moved: The repository moved under every plan.
        UserError: As `make` and :func:`hubkit.publishing.apply`.
    """
    planned = first or make()
    for _ in range(PLANS - 1):
        try:
            return apply(planned, api, progress)
        except Moved as moved:
            planned = make()
            progress(f"{moved.what}; this is the new plan:\n{planned.render().rstrip()}")
    return apply(planned, api, progress)
