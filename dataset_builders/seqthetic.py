"""Seqthetic: mixtures of domains of synthetic sequences, such as copies, sorted numbers and random languages.

A corpus is a mixture of domains (see :mod:`hubkit.sequences`) over a budget of tokens. Sequence *i* of a domain is a
pure function of (seed, version, split, the domain's name, i). Row by row, the domain that lacks most tokens for its
ratio has its turn. That needs the lengths of all sequences and nothing else of them, and so is the preparation.

A row is a sequence as ids, between an optional promoter (a prefix that announces the domain) and optional special
tokens; the parts of it to learn, as [start, end) pairs in one flat list; and the name of its domain.
"""

import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from hubkit.corpora.builder import Block, CorpusBuilder
from hubkit.corpora.hashing import BLOCK_ROWS
from hubkit.draws import halves
from hubkit.errors import UserError
from hubkit.randomness import generator, stream_key
from hubkit.resources import load_module
from hubkit.sequences.base import BaseDomain
from hubkit.sequences.budget import counts_before, take_turns
from hubkit.sequences.config_files import read_config
from hubkit.sequences.rows import Part, assemble

# One name, whatever name this file goes by: worker processes find the module of the spec again by it.
spec = load_module(Path(__file__).with_name("_seqthetic_spec.py"), "hubkit_seqthetic_spec")
SeqtheticSpec = spec.SeqtheticSpec

# --- named configs ---------------------------------------------------------------------------------------------------


def _config(*domains: dict[str, Any] | str, **fields: Any) -> SeqtheticSpec:
    return SeqtheticSpec.build({"domains": list(domains), **fields})


_ORIGINAL = (
    "identity",
    {"domain": "identity", "name": "reverse", "reverse": True},
    "duplicate",
    "deduplicate",
    "delete",
    "sort_numbers",
    "sort_by_sequence",
    "find_array_element",
    "ngram",
)
CONFIGS = {
    "seqthetic-mixture": _config(*_ORIGINAL, promoter_length=2),
    "seqthetic-identity": _config("identity"),
    "seqthetic-mapping": _config(*_ORIGINAL[:5]),
    "seqthetic-sorting": _config(*_ORIGINAL[5:8]),
    "seqthetic-ngram": _config("ngram"),
    "seqthetic-fbm": _config("fbm"),
    "seqthetic-lime": _config("lime"),
    "seqthetic-tilt": _config("uniform", "unigram", "nesting_parentheses", "flat_parentheses"),
    "seqthetic-t5": _config("task"),
}

# --- the family ------------------------------------------------------------------------------------------------------


class Seqthetic(CorpusBuilder):
    """Mixtures of domains of synthetic sequences."""

    name = "seqthetic"
    version = "1"
    spec_type = SeqtheticSpec
    configs = CONFIGS
    libraries = ("numpy", "numba", "pyarrow")
    spec: SeqtheticSpec

    @property
    def schema(self) -> pa.Schema:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Ids have 16 bits where that is enough."""
        width = pa.uint16() if self.spec.ids.size <= 2**16 else pa.uint32()
        return pa.schema({"input_ids": pa.list_(width), "loss": pa.list_(pa.int32()), "domain": pa.string()})

    @property
    def summary(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """What the domains are, and what the columns hold."""
        names, kinds = self.spec.names, {type(domain).summary for domain in self.spec.domains}
        if len(kinds) == 1:
            what = f"Each row is a synthetic sequence of token ids, of one kind. {kinds.pop()}"
        else:
            what = (
                f"Each row is a synthetic sequence of token ids from one of {len(names)} domains, which are mixed by "
                f"their shares of the tokens: {', '.join(names[:-1])} and {names[-1]}."
            )
        return (
            f"{what} The column `loss` names the parts that are to be learnt, as [start, end) pairs one after the "
            "other, and `corpus.json` says which token has which id."
        )

    @classmethod
    def read_foreign(cls, text: str) -> dict[str, Any] | None:
        """Return the fields of a spec from a JSON config file of the original, or None where it is something else."""
        return read_config(text)

    # --- whose turn it is ---

    def pieces(self) -> Sequence[str]:
        """Each split is a piece of its own."""
        return tuple(self.spec.budgets)

    def prepare(self, piece: str, folder: Path) -> None:
        """Find out which domain each row of a split belongs to.

        Leaves `domains.npy` (uint16 (rows,): its position), `starts.npy` (int64 (blocks, domains): how many of its
        sequences come before each block) and `tokens.npy` (int64 (domains,)).

        Raises:
            UserError: The budget has no room for one sequence of each domain.
        """
        spec = self.spec
        order = self._order(piece)
        early_end = None if spec.order == "by_domain" else spec.limit
        lengths = _Lengths(self, piece, order)
        ratios = [spec.domains[position].ratio for position in order]
        turns = take_turns(ratios, spec.budgets[piece], lengths, early_end)
        if turns.refused is not None:
            self._check_all_there(piece, order, turns.domains, *turns.refused)
        domains, tokens = np.array(order, np.uint16)[turns.domains], np.zeros(len(order), np.int64)
        tokens[order] = turns.tokens
        if spec.order == "by_domain":
            ranks = np.argsort(order)[domains]
            domains = domains[np.argsort(ranks, kind="stable")][: spec.limit]
            if spec.limit:
                tokens = self._tokens_of(piece, domains)
        np.save(folder / "domains.npy", domains)
        np.save(folder / "starts.npy", counts_before(domains, len(order), BLOCK_ROWS))
        np.save(folder / "tokens.npy", tokens)

    def _order(self, split: str) -> list[int]:
        """Return the positions of the domains in the order in which they come first."""
        positions = list(range(len(self.spec.domains)))
        if not self.spec.shuffle_domains:
            return positions
        words = generator(stream_key(self.stream(split), "order"), 0).bit_generator.random_raw(len(positions))
        return np.argsort(words, kind="stable").tolist()

    def _tokens_of(self, split: str, domains: np.ndarray) -> np.ndarray:
        """Return how many tokens each domain has, from its number of rows."""
        lengths = _Lengths(self, split, range(len(self.spec.domains)))
        counts = np.bincount(domains, minlength=len(self.spec.domains)).tolist()
        return np.array([lengths(domain, 0, count).sum() for domain, count in enumerate(counts)], np.int64)

    def _check_all_there(self, split: str, order: list[int], turns: np.ndarray, turn: int, length: int) -> None:
        """Refuse a budget that ends before every domain has had a turn."""
        seen = set(np.unique(turns).tolist())
        absent = [
            place for place, position in enumerate(order) if self.spec.domains[position].ratio and place not in seen
        ]
        if absent:
            name, missing = self.spec.names[order[turn]], self.spec.names[order[absent[0]]]
            raise UserError(
                f"tokens: the {self.spec.budgets[split]} of {split} are spent before {missing} has a sequence "
                f"(the next, of {name}, has {length}); raise tokens{self._or_share(split)}, or shorten the sequences"
            )

    def _or_share(self, split: str) -> str:
        return "" if isinstance(self.spec.tokens, dict) else f" or shares.{split}"

    def join(self, pieces: Sequence[Path], folder: Path) -> None:
        """Put the splits side by side."""
        for split, piece in zip(self.pieces(), pieces, strict=True):
            shutil.copytree(piece, folder / split)

    # --- rows ---

    @cached_property
    def _turns(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """What the preparation found, by split: positions, starts and tokens."""
        files = ("domains.npy", "starts.npy", "tokens.npy")
        return {
            split: tuple(np.load(self.prepared / split / file, mmap_mode="r") for file in files)
            for split in self.pieces()
        }  # pyright: ignore[reportReturnType]

    @property
    def rows(self) -> Mapping[str, int]:
        """Rows of each split: as many as its budget buys."""
        return {split: len(domains) for split, (domains, _, _) in self._turns.items()}

    @property
    def row_bytes(self) -> int:
        """The mean over all rows: two or four bytes a token, and some for the rest."""
        tokens = sum(int(tokens.sum()) for _, _, tokens in self._turns.values())
        width = self.schema.field("input_ids").type.value_type.bit_width // 8
        return max(1, tokens * width // max(1, sum(self.rows.values()))) + 40

    def facts(self) -> dict[str, Any]:
        """Return rows and tokens of each domain, and which token has which id."""
        domains = {
            name: {
                "rows": sum(int(np.count_nonzero(turns == position)) for turns, _, _ in self._turns.values()),
                "tokens": sum(int(tokens[position]) for _, _, tokens in self._turns.values()),
            }
            for position, name in enumerate(self.spec.names)
        }
        return {"domains": domains, "ids": self.spec.ids.facts()}

    def block(self, split: str, start: int, stop: int) -> Block:
        """Return rows `start` to `stop` (exclusive) of a split."""
        domains, starts, _ = self._turns[split]
        base = start - start % BLOCK_ROWS
        turns = np.asarray(domains[base:stop])
        before = starts[base // BLOCK_ROWS]
        parts = [
            self._part(split, position, int(before[position]), turns, start - base)
            for position in np.unique(turns[start - base :]).tolist()
        ]
        return Block(assemble(parts, stop - start, self.schema))

    def _part(self, split: str, position: int, first: int, turns: np.ndarray, skip: int) -> Part:
        """Return a domain's share of some rows.

        Args:
            split: The split.
            position: The domain.
            first: How many of its sequences come before `turns`.
            turns: Whose turn it is, from the beginning of a block.
            skip: How many of the turns are not asked for.
        """
        mine = np.flatnonzero(turns == position)
        skipped = int(np.searchsorted(mine, skip))
        indices = np.arange(first + skipped, first + len(mine), dtype=np.uint64)
        name, domain = self.spec.names[position], self.spec.domains[position]
        sequences = domain.generate(self.key(split, name), indices)
        return Part(name, mine[skipped:] - skip, sequences, *self._frames[name])

    def key(self, split: str, name: str) -> tuple[np.uint64, np.uint64]:
        """Return the key of a domain's sequences in a split; it hangs on no other domain."""
        return halves(stream_key(self.spec.seed, self.name, self.version, split, name))

    @cached_property
    def _frames(self) -> dict[str, tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """By domain: the id of each local id, and what comes before and after each sequence."""
        spec, ids = self.spec, self.spec.ids
        begin = [] if spec.begin is None else [ids.specials[spec.begin]]
        end = [] if spec.end is None else [ids.specials[spec.end]]
        return {
            name: (
                ids.lookup(name, domain),
                np.array([*begin, *ids.promoters[name]], np.uint32),
                np.array(end, np.uint32),
            )
            for name, domain in zip(spec.names, spec.domains, strict=True)
        }

    def frame(self, name: str) -> int:
        """Return how many tokens a row of a domain has beside its sequence."""
        _, prefix, suffix = self._frames[name]
        return len(prefix) + len(suffix)


class _Lengths:
    """How long the rows of each domain are, in the order in which the domains come."""

    def __init__(self, builder: Seqthetic, split: str, order: Sequence[int]):
        self.domains: list[BaseDomain] = [builder.spec.domains[position] for position in order]
        names = [builder.spec.names[position] for position in order]
        self.keys = [builder.key(split, name) for name in names]
        self.frames = [builder.frame(name) for name in names]

    def __call__(self, domain: int, start: int, stop: int) -> np.ndarray:
        indices = np.arange(start, stop, dtype=np.uint64)
        return self.domains[domain].lengths(self.keys[domain], indices) + self.frames[domain]


BUILDER = Seqthetic
