"""Rules of the rewriting family as they are written down, and as the compiled loops take them."""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, model_validator

from hubkit.resources import load_module
from hubkit.specs import Spec

kernels = load_module(Path(__file__).with_name("_rewriting_kernels.py"), "hubkit_rewriting_kernels")

_ARROW = re.compile(r"(\S*?)\s*->(\.?)\s*(\S*)")
_NO_TABLE = np.zeros((0, 0, 3), np.int64)
_MOVES = {"L": -1, "N": 0, "R": 1}


def worded(value: Any) -> Any:
    """Refuse what YAML took for a number or a truth value where text is meant."""
    if isinstance(value, bool | int | float):
        raise ValueError("YAML reads this as a number or a truth value; put it in quotes, such as \"'01'\"")
    return value


Text = Annotated[str, BeforeValidator(worded)]
"""Text that YAML may mistake for something else."""
Symbol = Annotated[Text, Field(min_length=1, max_length=1)]


def _some(lines: Any) -> Any:
    if lines is None or (isinstance(lines, Sequence) and not lines):
        raise ValueError("there is no line; write at least one")
    return lines


class Production(Spec):
    """One line of a rewriting system; also written ``"a -> b"`` (``"a ->. b"`` if terminal) or ``[a, b]``."""

    pattern: Text
    """What is replaced; empty, it fits at the start of every string."""
    replacement: Text
    terminal: bool = False
    """Whether the run ends after it."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            parts = _ARROW.fullmatch(value.strip())
            if not parts:
                raise ValueError("a production is written 'pattern -> replacement' ('->.' ends the run)")
            return {"pattern": parts[1], "replacement": parts[3], "terminal": parts[2] == "."}
        if isinstance(value, Sequence):
            if len(value) != 2:
                raise ValueError("a production is a pair: [pattern, replacement]")
            return dict(zip(("pattern", "replacement"), value, strict=True))
        return value

    def __str__(self) -> str:
        return f"{self.pattern} ->{'.' * self.terminal} {self.replacement}"


class Transition(Spec):
    """One line of a Turing machine's table; also written ``"state symbol -> write move next"`` or as a list of five."""

    state: Text
    symbol: Symbol
    """What the head reads."""
    write: Symbol
    move: Literal["L", "R", "N"]
    """Where the head goes: left, right, nowhere."""
    next: Text
    """The state that follows."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = [word for word in value.split() if word != "->"]
        if isinstance(value, Sequence):
            if len(value) != len(cls.model_fields):
                raise ValueError("a transition is written 'state symbol -> write move next', such as 'q 0 -> 1 R q'")
            return dict(zip(cls.model_fields, value, strict=True))
        return value


class Markov(Spec):
    """An ordered list of productions, run as a Markov algorithm: a semi-Thue system that leaves nothing to choose.

    In each step the first production that fits anywhere replaces its leftmost occurrence. The run ends where none fits,
    or after a terminal one (Markov, "Theory of Algorithms", 1954).
    """

    noun: ClassVar[str] = "a Markov algorithm"
    markov: Annotated[tuple[Production, ...], BeforeValidator(_some)]
    """The productions, first come first."""
    single_pass: bool = False
    """Go through the input once instead, from left to right, and rewrite it at each place by the first production that
    fits there; what was written is not looked at again, so that every run ends."""

    @model_validator(mode="after")
    def _possible(self) -> Self:
        for at, production in enumerate(self.markov):
            if self.single_pass and (production.terminal or not production.pattern):
                fault = "is terminal" if production.terminal else "has an empty pattern"
                raise ValueError(f"markov.{at}: '{production}' {fault}, which single_pass: true can't have; change it")
            for other in self.markov[:at]:
                first = production.pattern.find(other.pattern)
                if first == 0 or (first > 0 and not self.single_pass):
                    raise ValueError(
                        f"markov.{at}: '{production}' is never used, because '{other}' fits wherever it does and comes "
                        "first; remove one, or change their order"
                    )
        return self

    def symbols(self) -> str:
        """Return the symbols that the productions name."""
        return "".join(production.pattern + production.replacement for production in self.markov)

    def growth(self) -> int:
        """Return by how much a single pass may multiply the length of an input."""
        return max([1, *(-(-len(p.replacement) // max(1, len(p.pattern))) for p in self.markov)])

    def why_endless(self) -> str:
        """Return a production that a run may never be done with, as a remark, if one is easily named."""
        for production in self.markov:
            if not production.pattern and not production.terminal:
                return f"'{production}' fits every string, so "
            if production.pattern in production.replacement and not production.terminal:
                again = "makes its own pattern again (single_pass: true would rewrite an input once)"
                return f"'{production}' {again}, so "
        return ""

    def compiled(self, symbols: str) -> tuple[Any, ...]:
        """Return the rule as the loops take it; `symbols` has each symbol at the place of its number."""
        patterns, pattern_ends = _joined((production.pattern for production in self.markov), symbols)
        replacements, replacement_ends = _joined((production.replacement for production in self.markov), symbols)
        terminal = np.array([production.terminal for production in self.markov], np.bool_)
        kind = kernels.ONE_PASS if self.single_pass else kernels.MARKOV
        return kind, patterns, pattern_ends, replacements, replacement_ends, terminal, _NO_TABLE, 0


class Table(Spec):
    """A deterministic Turing machine with one tape that is endless both ways."""

    start: Text
    """The state that a run begins in, with the head on the input's first symbol."""
    halt: tuple[Text, ...] = ()
    """States that end a run; so does a symbol for which the table has no line."""
    blank: Symbol = "_"
    """What stands in a cell that nothing was written in. The output is the tape without the blanks at its two ends."""
    table: Annotated[tuple[Transition, ...], BeforeValidator(_some)]

    @model_validator(mode="after")
    def _possible(self) -> Self:
        states = {line.state for line in self.table}
        if self.start not in states:
            raise ValueError(
                f"start: the table has no line for {self.start!r}; name one of {', '.join(sorted(states))}"
            )
        seen = set()
        for at, line in enumerate(self.table):
            if line.state in self.halt:
                raise ValueError(f"table.{at}: {line.state!r} is a state of halt; remove the line, or it from halt")
            if line.next not in states and line.next not in self.halt:
                raise ValueError(f"table.{at}: next={line.next!r} is neither in the table nor in halt; add it to one")
            if (line.state, line.symbol) in seen:
                raise ValueError(f"table.{at}: a second line for {line.state!r} on {line.symbol!r}; remove one")
            seen.add((line.state, line.symbol))
        return self


class Turing(Spec):
    """A rule that a Turing machine carries out."""

    noun: ClassVar[str] = "a Turing machine"
    turing: Table

    def symbols(self) -> str:
        """Return the symbols that may stand on the tape beside those of the input, and those of the table."""
        return self.turing.blank + "".join(line.symbol + line.write for line in self.turing.table)

    def why_endless(self) -> str:
        """Return nothing: no line of a table is to blame alone."""
        return ""

    def compiled(self, symbols: str) -> tuple[Any, ...]:
        """Return the rule as the loops take it; `symbols` has each symbol at the place of its number."""
        machine = self.turing
        states = list(dict.fromkeys([machine.start, *(line.state for line in machine.table), *machine.halt]))
        table = np.full((len(states), len(symbols), 3), -1, np.int64)
        for line in machine.table:
            action = symbols.index(line.write), _MOVES[line.move], states.index(line.next)
            table[states.index(line.state), symbols.index(line.symbol)] = action
        none, ends, terminal = np.zeros(0, np.uint8), np.zeros(1, np.int64), np.zeros(0, np.bool_)
        return kernels.TURING, none, ends, none, ends, terminal, table, symbols.index(machine.blank)


def _joined(strings: Iterable[str], symbols: str) -> tuple[np.ndarray, np.ndarray]:
    """Return strings one after the other, as numbers of symbols (uint8), and where each ends, from 0 on (int64)."""
    strings = list(strings)
    numbers = np.array([symbols.index(symbol) for symbol in "".join(strings)], np.uint8)
    return numbers, np.cumsum([0, *map(len, strings)]).astype(np.int64)


class Single(Markov):
    """A single pass that may have nothing to rewrite."""

    markov: tuple[Production, ...] = ()
    single_pass: bool = True


NAMED = {
    "copy": Single(),
    "double_a": Single(markov=(Production(pattern="A", replacement="AA"),)),
}
"""Rules that have a name."""
IN_WORDS = {"copy": "the same again", "double_a": "each A doubled"}
"""What they make of an input."""


def read_rule(value: Any) -> Any:
    """Return the rule that a user wrote down: a name, a `Markov` or a `Turing`; nothing stays None.

    Raises:
        ValueError: It has no such form.
    """
    if isinstance(value, dict):
        for name, kind in (("markov", Markov), ("turing", Turing)):
            if name in value:
                return kind.build(value, origin=kind.noun)
    if value is None or isinstance(value, Markov | Turing) or (isinstance(value, str) and value in NAMED):
        return value
    raise ValueError(f"a rule is {', '.join(NAMED)}, {{markov: ['a -> b', …]}} or {{turing: {{start, halt, table}}}}")
