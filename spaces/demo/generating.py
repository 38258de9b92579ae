"""Generates text with a causal language model; knows nothing of the page around it."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from hubkit_models.directed_generation import direction_of  # pyright: ignore[reportMissingImports]
from hubkit_models.streaming import (  # pyright: ignore[reportMissingImports]
    Draft,
    context_length,
    stream,
)
from transformers import AutoModelForCausalLM

from loading import load
from settings import Pin

MAX_CHARACTERS = 100_000
"""A longer prompt is refused before it is tokenized."""
MAX_TOKENS = 512
"""The most that are generated at once."""


class Refused(ValueError):
    """The prompt can't be continued; the message is written for the visitor who typed it."""


class Generator:
    """A causal language model and its tokenizer.

    Args:
        tokenizer: Its tokenizer.
        model: The model, in evaluation mode.

    Raises:
        ValueError: The model reads its tokens in an order that no text grows in.
    """

    def __init__(self, tokenizer: Any, model: Any) -> None:
        self.tokenizer, self.model = tokenizer, model
        both = getattr(model.config, "direction", None) == "both"
        self.directions: tuple[str, ...] = ("forward", "backward") if both else (direction_of(model.config),)

    @classmethod
    def load(cls, pin: Pin) -> "Generator":
        """Load a published model at its commit."""
        return cls(*load(pin, AutoModelForCausalLM))

    @cached_property
    def limit(self) -> int | None:
        """The most tokens that the model reads, or None where its config names none."""
        return context_length(self.model.config)

    @cached_property
    def most(self) -> int:
        """The most tokens that can be asked for."""
        return MAX_TOKENS if self.limit is None else max(1, min(MAX_TOKENS, self.limit - 1))

    def stream(self, prompt: str, max_new_tokens: int, **settings: Any) -> Iterator[Draft]:
        """Return the growing text; see hubkit_models/streaming.py for the settings.

        Raises:
            Refused: The prompt is too long or foreign, or a setting is out of range.
        """
        if len(prompt) > MAX_CHARACTERS:
            raise Refused(f"The prompt is {len(prompt):,} characters long; at most {MAX_CHARACTERS:,} are read.")
        if max_new_tokens > MAX_TOKENS:
            raise Refused(f"{max_new_tokens:,} tokens are too many at once; ask for {MAX_TOKENS:,} at most.")
        try:
            return stream(self.model, self.tokenizer, prompt, max_new_tokens=max_new_tokens, **settings)
        except ValueError as error:
            field, _, said = str(error).partition(": ")
            raise Refused(f"{field.replace('_', ' ').capitalize()}: {said}.") from error
