"""Text to token ids and the values of its numbers, and back. Published with the weights; needs no more than they do."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

_BEYOND = float(np.finfo(np.float32).max) + 2.0**103
"""The least number that float32 rounds to infinity."""


class Numbers:
    """Reads texts for a model that takes numbers as values, with the tokenizer that was published with it.

    The tokenizer's normaliser replaces whatever is a number by one token. Its pattern is used here to collect the
    values, so that both agree on what a number is.
    """

    def __init__(self, tokenizer: Any):
        """Take the pattern of numbers from a tokenizer.

        Args:
            tokenizer: A `PreTrainedTokenizerFast` whose normaliser replaces a pattern by a token.

        Raises:
            ValueError: It has no such normaliser.
        """
        normalizer = json.loads(tokenizer.backend_tokenizer.to_str())["normalizer"] or {}
        if normalizer.get("type") != "Replace" or "Regex" not in normalizer["pattern"]:
            raise ValueError("tokenizer: it does not replace numbers by a token; load the one published with the model")
        self.tokenizer, self.token = tokenizer, normalizer["content"]
        self.token_id: int = tokenizer.convert_tokens_to_ids(self.token)
        self._pattern = re.compile(f"({normalizer['pattern']['Regex']})")
        # Between numbers the same few texts come again and again, so most are looked up.
        self._between = lru_cache(maxsize=1 << 14)(self._encode_between)

    def encode(self, text: str) -> tuple[list[int], list[float]]:
        """Return the ids of a text and the value that goes with each: a number's own, and 1 for other tokens.

        A number that is asked for is written as the mask token.

        Raises:
            ValueError: The vocabulary can't spell part of the text, or a number is beyond float32.
        """
        pieces = self._pattern.split(text)  # text between numbers at even places, numbers at odd ones
        ids, values = list(self._between(pieces[0])), [1.0] * len(self._between(pieces[0]))
        for number, after in zip(pieces[1::2], pieces[2::2], strict=True):
            following = self._between(after)
            ids.append(self.token_id)
            values.append(float(number))
            ids += following
            values += [1.0] * len(following)
        if values and max(map(abs, values)) >= _BEYOND:
            raise ValueError(f"number: {max(values, key=abs)} is beyond float32; scale the data")
        return ids, values

    def batch(self, texts: Sequence[str]) -> "dict[str, Any]":
        """Return texts as a model takes them, padded at the end to the longest.

        Returns:
            Tensors of shape (texts, longest): `input_ids` int64, `values` float32, `attention_mask` int64.

        Raises:
            ValueError: As :meth:`encode` says.
        """
        import torch

        rows = [self.encode(text) for text in texts]
        shape = (len(rows), max(len(ids) for ids, _ in rows))
        ids, values, present = torch.full(shape, self.tokenizer.pad_token_id), torch.ones(shape), torch.zeros(shape)
        for row, (tokens, numbers) in enumerate(rows):
            ids[row, : len(tokens)], values[row, : len(tokens)] = torch.tensor(tokens), torch.tensor(numbers)
            present[row, : len(tokens)] = 1
        return {"input_ids": ids, "values": values, "attention_mask": present.long()}

    def decode(self, ids: Sequence[int], values: Sequence[float]) -> str:
        """Return the text of ids and values: each number by the fewest digits that name its float32, no white space."""
        tokens = self.tokenizer.convert_ids_to_tokens([int(id) for id in ids])
        return "".join(
            written(value) if token == self.token else token for token, value in zip(tokens, values, strict=True)
        )

    def _encode_between(self, text: str) -> tuple[int, ...]:
        try:
            ids = self.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        except Exception:  # tokenizers raises nothing more special
            raise ValueError(
                f"text: {text!r} is not in the vocabulary; numbers stand between its keys, brackets and commas, and "
                f"{self.tokenizer.mask_token!r} stands for a whole number that is asked for"
            ) from None
        if self.token_id in ids:
            raise ValueError(f"text: {text!r} holds {self.token!r}, which stands for a number; write the number itself")
        return tuple(ids)


def written(value: float) -> str:
    """Return a number by the fewest digits that name its float32; a whole one without a point (``700``, ``8.13``)."""
    shortest = str(np.float32(value))
    return shortest.removesuffix(".0")
