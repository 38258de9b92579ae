"""What a mixture of domains is described by, and which descriptions are refused."""

from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from hubkit.corpora.builder import CorpusSpec, SplitName
from hubkit.sequences import AnyDomain
from hubkit.sequences.budget import Size, split_budget
from hubkit.sequences.ids import Ids, assign_ids

SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}
"""How the splits share one budget, if not told otherwise."""


class SeqtheticSpec(CorpusSpec):
    """A mixture of domains, and how its rows are written down."""

    builder: Literal["seqthetic"] = "seqthetic"
    domains: Annotated[tuple[AnyDomain, ...], Field(max_length=1000)] = ("identity",)  # pyright: ignore
    """The domains with their parameters; a bare name stands for its defaults."""
    tokens: Size | Annotated[dict[SplitName, Size], Field(min_length=1)] = 1_000_000
    """The budget, every token of a row counted: of all splits together (``5M``), or of each (``{train: 5M, …}``)."""
    shares: Annotated[dict[SplitName, Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=1)] | None = None
    """How the splits share one budget, in proportion; None is `SHARES`."""
    order: Literal["mixed", "by_domain"] = "mixed"
    """Domains take turns; or all rows of one come before those of the next, and a larger budget moves rows."""
    shuffle_domains: bool = False
    """Whether the order of the domains is drawn from the seed, for each split."""
    specials: tuple[Annotated[str, Field(min_length=1)], ...] = ("<pad>", "<s>", "</s>")
    """Names of the ids from 0 on that a tokenizer keeps for itself."""
    offset: Annotated[int, Field(ge=0, le=2**30)] | None = None
    """The first id that a sequence may have; None follows the specials."""
    begin: str | None = None
    """The special that begins every row."""
    end: str | None = None
    """The special that ends every row; it is learnt where the token before it is."""
    delimiters: Literal["shared", "own"] = "shared"
    """Whether domains share delimiters and other structural tokens of one name."""
    content: Literal["shared", "own"] = "shared"
    """Whether domains share the ids of their content."""
    marker_room: Annotated[int, Field(ge=0, le=2**16)] = 64
    """Ids kept for structural tokens, so that more domains leave content where it is."""
    promoter_length: Annotated[int, Field(ge=0, le=64)] = 0
    """Tokens that announce a domain before each of its sequences; 0 is none."""
    promoter_vocabulary: Annotated[int, Field(ge=1, le=2**16)] = 64
    """Ids that promoters are made of; nothing else has them."""
    limit: Annotated[int, Field(gt=0)] | None = None
    """Keep at most so many rows of each split."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, values: Any) -> Any:
        """Take one domain for a list of it, and bare names of domains, which the union of them can't tell apart."""
        if isinstance(values, Mapping):
            domains = values.get("domains", "identity")
            domains = domains if isinstance(domains, list | tuple) else [domains]
            return {**values, "domains": [{"domain": d} if isinstance(d, str) else d for d in domains]}
        return values

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if not self.domains:
            raise ValueError("domains: there are none; name at least one")
        names = [domain.name for domain in self.domains]
        twice = next((name for name in names if name and names.count(name) > 1), None)
        if twice:
            raise ValueError(f"domains: the name {twice!r} stands twice; give each domain a name of its own")
        if not any(domain.ratio for domain in self.domains):
            raise ValueError("domains: the ratios sum to 0; give at least one domain a ratio above 0")
        if isinstance(self.tokens, dict) and self.shares is not None:
            raise ValueError("shares: tokens gives each split its own budget; leave shares out")
        self._check_specials()
        if self.ids.size > 2**32 - 1:
            raise ValueError(f"offset: ids up to {self.ids.size - 1} don't fit 32 bits; lower offset or vocabularies")
        return self

    def _check_specials(self) -> None:
        if len(set(self.specials)) < len(self.specials):
            raise ValueError("specials: a name stands twice; give each special one of its own")
        if self.offset is not None and self.offset < len(self.specials):
            raise ValueError(
                f"offset: {self.offset} is among the ids of the {len(self.specials)} specials; set it to "
                f"{len(self.specials)} or more, or name fewer specials"
            )
        for field in ("begin", "end"):
            special = getattr(self, field)
            if special is not None and special not in self.specials:
                raise ValueError(f"{field}: {special!r} is not among specials; add it there, or leave {field} out")

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The name of each domain: its own, or its kind's, with a number where several would have the same."""
        given: list[str] = [domain.name for domain in self.domains if domain.name]
        names = []
        for domain in self.domains:
            name, number = domain.name or domain.domain, 1
            while domain.name is None and name in [*given, *names]:
                number += 1
                name = f"{domain.domain}_{number}"
            names.append(name)
        return tuple(names)

    @cached_property
    def ids(self) -> Ids:
        """Which token has which id."""
        return assign_ids(
            dict(zip(self.names, self.domains, strict=True)),
            self.specials,
            len(self.specials) if self.offset is None else self.offset,
            self.marker_room,
            self.delimiters,
            self.content,
            self.promoter_length,
            self.promoter_vocabulary,
            self.seed,
        )

    @property
    def budgets(self) -> dict[str, int]:
        """Tokens of each split."""
        return self.tokens if isinstance(self.tokens, dict) else split_budget(self.tokens, self.shares or SHARES)

    def limited(self, rows: int) -> dict[str, Any]:
        """Return a smaller limit."""
        return {"limit": min(rows, self.limit or rows)}
