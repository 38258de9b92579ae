"""The rules, a file a subject; importing this fills the table of them in `hubkit.cards.findings`."""

from hubkit.cards.rules import (  # noqa: F401 - each enters its rules into the table
    configs,
    evaluations,
    fields,
    front_matter,
    links,
    prose,
    references,
    sizes,
    snippets,
    space,
    values,
)
