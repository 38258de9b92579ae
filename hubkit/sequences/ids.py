"""Which token has which id in a mixture: specials, structural tokens, promoters, content, in this order.

The room of structural tokens has a fixed size, promoters have a vocabulary of their own, and content that is not shared
follows in the order of the domains. So a domain that is added at the end leaves the ids of the others alone, and no
promoter can be mistaken for a delimiter or for content.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from hubkit.draws import below, halves, seed
from hubkit.kernels import kernel
from hubkit.randomness import stream_key
from hubkit.sequences.base import BaseDomain

_MOST_TRIES = 1000


@dataclass(frozen=True)
class Ids:
    """The ids of a mixture."""

    specials: Mapping[str, int]
    markers: Mapping[str, int]
    """Structural tokens; a domain's own one is called ``domain.marker``."""
    promoters: Mapping[str, tuple[int, ...]]
    """The prefix of each domain."""
    content: Mapping[str, tuple[int, int]]
    """First id and number of ids of each domain."""
    size: int
    """One more than the greatest id."""

    def lookup(self, name: str, domain: BaseDomain) -> np.ndarray:
        """Return the id of each local id of a domain, as uint32 (content + markers,)."""
        first, count = self.content[name]
        own = [self.markers.get(f"{name}.{marker}", self.markers.get(marker, -1)) for marker in domain.markers]
        assert -1 not in own
        return np.concatenate([np.arange(first, first + count), own]).astype(np.uint32)

    def facts(self) -> dict[str, Any]:
        """Return all of it as plain data, for the manifest and for whoever makes the tokenizer."""
        return {
            "size": self.size,
            "specials": dict(self.specials),
            "markers": dict(self.markers),
            "promoters": {name: list(ids) for name, ids in self.promoters.items() if ids},
            "content": {name: list(place) for name, place in self.content.items()},
        }


def assign_ids(
    domains: Mapping[str, BaseDomain],
    specials: Sequence[str],
    offset: int,
    marker_room: int,
    delimiters: Literal["shared", "own"],
    content: Literal["shared", "own"],
    promoter_length: int,
    promoter_vocabulary: int,
    corpus_seed: int,
) -> Ids:
    """Return the ids of a mixture.

    Args:
        domains: The domains by name, in order.
        specials: Names of the ids from 0 on.
        offset: The first id that is no special.
        marker_room: How many ids structural tokens have to share.
        delimiters: Whether domains share structural tokens of one name.
        content: Whether domains share content ids.
        promoter_length: How many tokens announce a domain.
        promoter_vocabulary: How many ids promoters are made of.
        corpus_seed: What promoters are drawn from, beside the domain's name.

    Raises:
        ValueError: There is not room enough for structural tokens or promoters; names field and mend.
    """
    own = delimiters == "own"
    names = [f"{name}.{marker}" if own else marker for name, domain in domains.items() for marker in domain.markers]
    markers = {marker: offset + place for place, marker in enumerate(dict.fromkeys(names))}
    if len(markers) > marker_room:
        raise ValueError(f"marker_room: {marker_room} ids are too few for {len(markers)} structural tokens; raise it")
    first = offset + marker_room
    promoters = draw_promoters(list(domains), first, promoter_length, promoter_vocabulary, corpus_seed)
    first += promoter_vocabulary if promoter_length else 0
    places, end = {}, first
    for name, domain in domains.items():
        places[name] = (end if content == "own" else first, domain.content)
        end = sum(places[name]) if content == "own" else max(end, first + domain.content)
    return Ids({name: place for place, name in enumerate(specials)}, markers, promoters, places, end)


def draw_promoters(
    names: Sequence[str], first: int, length: int, vocabulary: int, corpus_seed: int
) -> dict[str, tuple[int, ...]]:
    """Return a prefix for each domain: `length` ids from `first` on, drawn by seed and name, no two the same.

    Raises:
        ValueError: There are not so many different ones.
    """
    if length and vocabulary**length < len(names):
        raise ValueError(
            f"promoter_vocabulary: {vocabulary} ids make {vocabulary**length} promoters of length {length}, and there "
            f"are {len(names)} domains; raise promoter_vocabulary or promoter_length"
        )
    taken: dict[tuple[int, ...], str] = {}
    for name in names if length else ():
        for attempt in range(_MOST_TRIES * vocabulary):
            key = halves(stream_key(corpus_seed, "promoter", name))
            promoter = tuple((first + _promoter(*key, attempt, length, vocabulary)).tolist())
            if promoter not in taken:
                taken[promoter] = name
                break
    promoters = {name: promoter for promoter, name in taken.items()}
    return {name: promoters[name] if length else () for name in names}


@kernel
def _promoter(key_low, key_high, attempt, length, vocabulary):
    state, places = np.empty(4, np.uint64), np.empty(length, np.int64)
    seed(state, key_low, key_high, 0, attempt)
    for i in range(length):
        places[i] = below(state, vocabulary)
    return places
