"""Asks every rule of a card and gathers what they find."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

from hubkit.cards import rules  # noqa: F401 - fills the table
from hubkit.cards.card import Card
from hubkit.cards.findings import RULES, Finding, Rule, Severity
from hubkit.errors import UserError


@dataclass(frozen=True)
class Report:
    """What is wrong with a card."""

    card: Card
    findings: tuple[Finding, ...]
    """By file and line."""

    def count(self, severity: Severity) -> int:
        """Return the number of findings of one severity."""
        return sum(finding.severity is severity for finding in self.findings)

    def passes(self, strict: bool) -> bool:
        """Tell whether there is no error and, where that is asked for, no warning either."""
        return not (self.findings if strict else self.count(Severity.ERROR))

    @property
    def summary(self) -> str:
        """One line that says how much was found, and what was not looked at."""
        counts = ", ".join(_counted(self.count(severity), str(severity)) for severity in Severity)
        where = f"{self.card.name} ({self.card.kind})" if self.card.name else self.card.kind
        unchecked = f"; not checked: {', '.join(dict.fromkeys(self.card.unchecked))}" if self.card.unchecked else ""
        return f"{where}: {counts}{unchecked}"

    def to_json(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "repo": self.card.name,
            "type": self.card.kind,
            "errors": self.count(Severity.ERROR),
            "warnings": self.count(Severity.WARNING),
            "findings": [finding.to_json() for finding in self.findings],
            "unchecked": list(dict.fromkeys(self.card.unchecked)),
        }


def check_card(card: Card, *, run: bool = False, ignore: Collection[str] = ()) -> Report:
    """Ask every rule of a card.

    Args:
        card: From :func:`hubkit.cards.card.open_card`.
        run: Run the card's Python too. That is code that somebody else may have written: see `hubkit.cards.running`.
        ignore: Names of rules to leave out.

    Raises:
        UserError: A rule to ignore does not exist, or a file of the repository can't be read.
    """
    unknown = [name for name in ignore if name not in RULES]
    if unknown:
        raise UserError(f"--ignore: there is no rule {unknown[0]}: hubkit card rules lists them")
    found = [finding for rule in RULES.values() if rule.name not in ignore for finding in _ask(rule, card, run)]
    return Report(card, tuple(sorted(found, key=lambda finding: (finding.flaw.file, finding.flaw.line, finding.rule))))


def _ask(rule: Rule, card: Card, run: bool) -> Iterator[Finding]:
    blind = rule.reads_fields and not card.fields
    if card.kind not in rule.kinds or blind or (rule.runs and not run):
        return
    for flaw in rule.check(card):
        yield Finding(rule.name, rule.severity, flaw)


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
