"""What a rewriting corpus is described by, and which descriptions are refused."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from hubkit.corpora.builder import CorpusSpec
from hubkit.resources import load_module
from hubkit.specs import Spec
from hubkit.tokenizers.characters import check_symbols

rules = load_module(Path(__file__).with_name("_rewriting_rules.py"), "hubkit_rewriting_rules")

LONGEST = 1 << 16
"""Symbols of the longest string: a block of such rows still fits an Arrow column."""
MOST_SYMBOLS = 255
LEAST_SHARE = 100
"""A split has at least one in so many inputs, so that drawing one takes no longer than that."""

DRAWN = {"rule": "copy", "alphabet": "AB", "train": 10_000, "validation": 1_000, "test": 1_000}
"""What these fields are where nothing else is said, and rows are not read from files."""

_Rows = Annotated[int, Field(ge=0)]
_Length = Annotated[int, Field(ge=0, le=LONGEST)]


class Shares(Spec):
    """In which proportion inputs belong to the splits; a split that is left out keeps its inputs to itself."""

    train: Annotated[int, Field(ge=0, le=10**9)] = 80
    validation: Annotated[int, Field(ge=0, le=10**9)] = 10
    test: Annotated[int, Field(ge=0, le=10**9)] = 10

    def bounds(self, split: str) -> tuple[np.uint64, np.uint64]:
        """Return the first and the last hash of a split's inputs, both included."""
        shares = self.model_dump()
        names, total = list(shares), sum(shares.values())
        before = sum(shares[name] for name in names[: names.index(split)])
        first, after = ((part << 64) // total for part in (before, before + shares[split]))
        return np.uint64(first), np.uint64(after - 1)


def _markers(symbols: str) -> str:
    return symbols and check_symbols(symbols)


class RewritingSpec(CorpusSpec):
    """A corpus of pairs, drawn or read from files."""

    builder: Literal["rewriting"] = "rewriting"
    rule: Annotated[Any, BeforeValidator(rules.read_rule)] = None
    """What makes an output of an input; `copy` where nothing is said. With `files` there is none."""
    alphabet: Annotated[str, BeforeValidator(rules.worded), AfterValidator(check_symbols)] | None = None
    """The symbols that inputs are drawn from."""
    markers: Annotated[str, BeforeValidator(rules.worded), AfterValidator(_markers)] = ""
    """Further symbols that the rule reads or writes. (A Turing machine's blank need not be named.)"""
    min_length: _Length = 1
    """Symbols of the shortest input."""
    max_length: _Length = 9
    """Symbols of the longest input."""
    test_min_length: _Length | None = None
    """That of the test split, if it is another."""
    test_max_length: _Length | None = None
    """That of the test split, if it is another."""
    train: Annotated[int, Field(ge=1)] | None = None
    """Rows of this split. With `files`: the most that are taken of its file, and null takes all."""
    validation: _Rows | None = None
    """Rows of this split; 0 leaves it out."""
    test: _Rows | None = None
    """Rows of this split; 0 leaves it out."""
    shares: Shares = Shares()
    """In which proportion inputs belong to the splits. Rows of another proportion are other rows."""
    step_limit: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """An input on which the rule takes more steps is drawn again."""
    space_limit: Annotated[int, Field(ge=1, le=LONGEST)] = 4096
    """An input for which the rule needs a longer string, or more cells of tape, is drawn again."""
    least_halting: Annotated[float, Field(ge=0, le=1)] = 0.5
    """The rule is refused where fewer inputs than this share halt within the limits."""
    files: Annotated[str, Field(min_length=1)] | None = None
    """Read FILES_train.txt and FILES_val.txt, lines of ``input,output``, instead of drawing rows."""
    max_bad_lines: _Rows = 100
    """So many lines of a file may have another form; they are set aside. One more stops the build."""

    def located(self, folder: Path, names: Sequence[str]) -> dict[str, Any]:
        """Return what the names of the files begin with where they are."""
        return {"files": str(folder / str(self.files))}

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, values: Any) -> Any:
        if not isinstance(values, dict) or values.get("files") is not None:
            return values
        return DRAWN | values

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.files is not None:
            self._check_files()
            return self
        for name, usual in DRAWN.items():
            if getattr(self, name) is None:
                raise ValueError(f"{name}: there is none; name one, or leave {name} out for {usual!r}")
        self._check_symbols()
        for split in self.splits:
            self._check_lengths(split)
            share, total = getattr(self.shares, split), sum(self.shares.model_dump().values())
            if share * LEAST_SHARE < total:
                raise ValueError(
                    f"shares.{split}={share} of {total} is too little to draw rows from; make it "
                    f"{-(-total // (LEAST_SHARE - 1))} or more" + (f", or set {split}=0" if split != "train" else "")
                )
        return self

    def _check_files(self) -> None:
        """Refuse what has no meaning where rows are read."""
        meant = {"builder", "seed", "files", "max_bad_lines", "train", "validation"}
        for name, field in type(self).model_fields.items():
            if name not in meant and getattr(self, name) != field.get_default():
                raise ValueError(f"{name}: files={self.files!r} says what the rows are; leave {name} or files out")

    def _check_symbols(self) -> None:
        """Refuse a rule that doesn't fit the alphabet."""
        rule, alphabet = self.made, self.alphabet or ""
        blank = rule.turing.blank if isinstance(rule, rules.Turing) else ""
        for name, symbols in (("blank", blank), ("markers", self.markers)):
            both = set(symbols) & set(alphabet)
            if both:
                raise ValueError(f"{name}: {min(both)!r} is in alphabet={alphabet!r} too; take another symbol")
        unknown = sorted(set(rule.symbols()) - set(self.symbols))
        if unknown:
            raise ValueError(
                f"rule: {unknown[0]!r} is not in alphabet={alphabet!r}; add it there, or to markers if inputs don't "
                "have it"
            )
        unused = sorted(set(self.markers) - set(rule.symbols()))
        if unused:
            raise ValueError(f"markers: the rule doesn't have {unused[0]!r}; remove it")
        if len(self.symbols) > MOST_SYMBOLS:
            raise ValueError(f"alphabet: {len(self.symbols)} symbols in all are more than {MOST_SYMBOLS}; take fewer")
        check_symbols(self.symbols)

    def _check_lengths(self, split: str) -> None:
        """Refuse lengths that contradict each other or leave the rule no room."""
        least, most = self.lengths(split)
        name = "test_max_length" if split == "test" and self.test_max_length is not None else "max_length"
        if least > most:
            raise ValueError(f"{name}={most} is less than the shortest input of {split}, {least}; raise it to {least}")
        growth = self.made.growth() if isinstance(self.made, rules.Markov) and self.made.single_pass else 1
        if most * growth > self.space_limit:
            room = f"; raise space_limit to {most * growth}" if most * growth <= LONGEST else ""
            raise ValueError(
                f"{name}={most} may need {most * growth} symbols, more than space_limit={self.space_limit}"
                f"{room or f'; lower {name}'}"
            )

    @property
    def made(self) -> Any:
        """The rule with all its lines, also where it has a name; not with `files`."""
        return rules.NAMED[self.rule] if isinstance(self.rule, str) else self.rule

    @property
    def symbols(self) -> str:
        """All symbols that a string may have, those of inputs first; not with `files`."""
        blank = self.made.turing.blank if isinstance(self.made, rules.Turing) else ""
        return f"{self.alphabet}{self.markers}{blank if blank not in self.markers else ''}"

    @property
    def splits(self) -> dict[str, int]:
        """Rows of each split that there is, in order; not with `files`."""
        splits = {"train": self.train or 0, "validation": self.validation or 0, "test": self.test or 0}
        return {split: rows for split, rows in splits.items() if rows}

    def lengths(self, split: str) -> tuple[int, int]:
        """Return the lengths of a split's shortest and longest inputs."""
        least, most = self.min_length, self.max_length
        if split == "test":
            least = least if self.test_min_length is None else self.test_min_length
            most = most if self.test_max_length is None else self.test_max_length
        return least, most

    def limited(self, rows: int) -> dict[str, Any]:
        """Return smaller splits."""
        splits = ("train", "validation") if self.files is not None else ("train", "validation", "test")
        old = {split: getattr(self, split) for split in splits}
        return {split: rows if count is None else min(count, rows) for split, count in old.items()}
