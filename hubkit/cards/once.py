"""What several rules ask of a card is found out once."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from hubkit.cards.card import Card

T = TypeVar("T")


def once(function: "Callable[[Card], T]") -> "Callable[[Card], T]":
    """Have a function of a card remember its result with the card."""

    @wraps(function)
    def remembered(card: "Card") -> T:
        memory: dict[str, Any] = card.memory
        key = f"{function.__module__}.{function.__qualname__}"
        if key not in memory:
            memory[key] = function(card)
        return memory[key]

    return remembered
