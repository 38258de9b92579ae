"""Publishing: a folder becomes a tagged, verified release on a Hub, in two steps.

:func:`plan` compares a corpus, model or Space folder with its repository and says what would happen; :func:`apply` does
exactly that. :func:`publish` does both, and plans again where somebody commits in between. Versions are computed from
what changed (:mod:`.versions`), cards are merged (:mod:`.merging`), and what the Hub serves is verified before the tag
is made (:mod:`.applying`).
"""

from hubkit.publishing.applying import Release, apply
from hubkit.publishing.planning import plan
from hubkit.publishing.plans import Action, Plan, PlannedFile
from hubkit.publishing.replanning import publish

__all__ = ["Action", "Plan", "PlannedFile", "Release", "apply", "plan", "publish"]
