"""What a rule is, what it finds, and the table of all rules."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hubkit.cards.card import Card

CARD = "README.md"
KINDS = ("model", "dataset", "space")


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """The Hub or a reader is told something wrong, or something does not work."""
    WARNING = "warning"
    """Something that readers or the Hub's filters miss."""


@dataclass(frozen=True)
class Flaw:
    """One place where a card breaks a rule, as the rule itself tells it."""

    line: int
    """Counted from 1."""
    message: str
    mend: str
    """What to do about it."""
    file: str = CARD


@dataclass(frozen=True)
class Finding:
    """A flaw, with the rule that found it."""

    rule: str
    severity: Severity
    flaw: Flaw

    def __str__(self) -> str:
        """Return ``README.md:LINE: error RULE message; the mend``."""
        flaw = self.flaw
        return f"{flaw.file}:{flaw.line}: {self.severity} {self.rule} {flaw.message}; {flaw.mend}"

    def to_json(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        flaw = self.flaw
        return {
            "file": flaw.file,
            "line": flaw.line,
            "severity": str(self.severity),
            "rule": self.rule,
            "message": flaw.message,
            "mend": flaw.mend,
        }


Check = Callable[["Card"], Iterable[Flaw]]


@dataclass(frozen=True)
class Rule:
    """One thing that holds in a good card."""

    name: str
    severity: Severity
    about: str
    """What holds, in one sentence."""
    check: Check
    kinds: tuple[str, ...] = KINDS
    """Types of repositories that it is asked of."""
    reads_fields: bool = False
    """Whether it has nothing to say of a card whose front matter is missing or can't be read."""
    runs: bool = False
    """Whether it runs code of the card, and so only where that was asked for."""


RULES: dict[str, Rule] = {}
"""All rules by name, in the order in which they are asked; `hubkit.cards.rules` fills it."""


def rule(severity: Severity, name: str, about: str, **options: Any) -> Callable[[Check], Check]:
    """Enter a function into the table of rules.

    Args:
        severity: How bad it is where the rule does not hold.
        name: Of lower-case words with hyphens.
        about: What holds, in one sentence.
        **options: The other fields of :class:`Rule`.
    """

    def enter(check: Check) -> Check:
        assert name not in RULES, f"two rules are called {name}"
        RULES[name] = Rule(name, severity, about, check, **options)
        return check

    return enter
