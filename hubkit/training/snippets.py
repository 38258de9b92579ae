"""What the model writes while it learns: the same beginnings of validation texts, continued at each look."""

from typing import TYPE_CHECKING, Any

from hubkit.data.objectives.causal import CausalSpec
from hubkit.data.reading import Sequences
from hubkit.models.directed_generation import direction_of, turned
from hubkit.models.streaming import stream

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

TEXTS, SHOWN, WRITTEN = 3, 24, 48
"""How many texts, tokens of each that are given, and tokens that the model writes at most."""


class Snippets:
    """Continuations of validation texts, in reading order whichever way the model writes."""

    def __init__(self, tokenizer: "PreTrainedTokenizerFast", sequences: Sequences, objective: CausalSpec):
        """Take the texts from the first validation sequences."""
        self.tokenizer, self.objective = tokenizer, objective
        self.texts = [sequences[number].ids for number in range(min(TEXTS, len(sequences)))]

    def __call__(self, model: Any, step: int) -> str:
        """Return what the model writes now, greedily: a Markdown list; what was given stands in bold."""
        if self.objective.direction == "permuted":
            return "Nothing: no text grows in a permuted order."
        direction = direction_of(model.config)
        lines = []
        for ids in self.texts:
            given = turned(turned(ids, direction)[: min(SHOWN, len(ids) // 2)], direction)
            prompt = str(self.tokenizer.decode(given))
            *_, last = stream(model, self.tokenizer, prompt, direction, max_new_tokens=WRITTEN, temperature=0.0)
            lines.append(f"- {last.text!r} (given: {prompt!r})")
        return "\n".join(lines)
