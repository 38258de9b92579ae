"""Examples for the page, cut out of rows that the model was not trained on."""

import re
from collections.abc import Sequence

_WORDS, _CHARACTERS = 8, 80  # of a prompt
_READ = 2000  # characters of a row that these are looked for in


def worlds(texts: Sequence[str]) -> list[dict[str, str]]:
    """Return worlds with σ's integer part masked, and what the mask hides."""
    examples = []
    for number, text in enumerate(texts, start=1):
        before, key, after = text.partition("'params': [")
        integer, dot, rest = after.partition(".")
        if key and dot and integer.isdigit():
            examples.append(
                {"label": f"Test world {number}", "text": f"{before}{key}?.{rest}", "truth": integer},
            )
    return examples


def prompts(texts: Sequence[str], direction: str) -> list[dict[str, str]]:
    """Return prompts cut out of rows: the question of a row ``{input,output}`` with its answer, else its first words.

    Args:
        texts: The rows.
        direction: Of the model; for backward a prompt is how a row ends.
    """
    backward = direction == "backward"
    examples = []
    for text in texts:
        pair = re.fullmatch(r"(\{[^{},]*)(,)([^{},]*)(\})", text)
        if pair:
            question, answer = (pair[1] + pair[2], pair[3]) if not backward else (pair[2] + pair[3] + pair[4], pair[1])
            examples.append({"label": question, "prompt": question, "truth": answer})
        elif words := (_last_words(text) if backward else _first_words(text)):
            examples.append({"label": words, "prompt": words})
    return examples


def _first_words(text: str) -> str:
    words = re.findall(r"\S+\s*", text[:_READ])[:_WORDS]
    return "".join(words).rstrip()[:_CHARACTERS]


def _last_words(text: str) -> str:
    words = re.findall(r"\s*\S+", text[-_READ:])[-_WORDS:]
    return "".join(words).lstrip()[-_CHARACTERS:]
