"""Domains of synthetic sequences, one small file a group of them, and the registry of all."""

from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from hubkit.sequences import fbm, lime, mapping, ngram, shortening, sorting, tasks, tilt
from hubkit.sequences.base import BaseDomain, by_name

_GROUPS = mapping, shortening, sorting, ngram, fbm, lime, tilt, tasks
DOMAINS = by_name(tuple(domain for group in _GROUPS for domain in group.DOMAINS))
"""Every kind of domain by its name, in the order of the gallery."""

if TYPE_CHECKING:
    AnyDomain = BaseDomain
else:
    AnyDomain = Annotated[reduce(or_, DOMAINS.values()), Field(discriminator="domain")]
    """Any of them, told apart by its `domain` field."""
