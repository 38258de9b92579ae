"""Fills the masks of a text with a masked language model; knows nothing of the page around it."""

import unicodedata
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from transformers import AutoModelForMaskedLM

from loading import load
from settings import Pin

MAX_CHARACTERS = 100_000
"""Longer text is refused before it is tokenized."""
MAX_MASKS = 16
"""Masks that one text may have."""
TOP = 10
"""Tokens that are reported for each mask."""
MAX_EDITS = 16
"""Tokens that may differ from the original world before its hidden values stop being shown."""

_AROUND = 10  # characters shown on either side of a mask or of a character that is refused


class Refused(ValueError):
    """The text can't be filled; the message is written for the visitor who typed it."""


@dataclass(frozen=True)
class Encoded:
    """A text as token ids, each with the range of characters that it came from."""

    ids: list[int]
    offsets: list[tuple[int, int]]
    masks: list[int]
    """Where in `ids` the masks stand."""


class Filler:
    """A masked language model and its tokenizer.

    Args:
        tokenizer: A fast tokenizer with a mask token.
        model: A model with a masked-language head; put in evaluation mode.
    """

    def __init__(self, tokenizer: Any, model: Any) -> None:
        if not tokenizer.is_fast or tokenizer.mask_token is None:
            raise ValueError("the tokenizer must be a fast one with a mask token")
        self.tokenizer = tokenizer
        self.model = model.eval()
        self.mask: str = tokenizer.mask_token

    @classmethod
    def load(cls, pin: Pin) -> "Filler":
        """Load a published model at its commit."""
        return cls(*load(pin, AutoModelForMaskedLM))

    @cached_property
    def limit(self) -> int | None:
        """The most tokens that the model can read, or None where its config names none."""
        positions = getattr(self.model.config, "max_position_embeddings", None)
        if positions is None:
            return None
        embeddings = getattr(self.model.base_model, "embeddings", None)
        table = getattr(embeddings, "position_embeddings", None)
        padding = getattr(table, "padding_idx", None)
        # RoBERTa counts its positions from the one after the padding token's id; BERT from 0.
        return positions if padding is None else positions - padding - 1

    def encode(self, text: str) -> Encoded:
        """Return the tokens of a text.

        Raises:
            Refused: It has characters that the vocabulary can't spell.
        """
        try:
            encoding = self.tokenizer(text, return_offsets_mapping=True, verbose=False)
        except Exception as error:  # tokenizers raises plain Exception
            raise Refused(self._name_foreign(text)) from error
        ids = encoding["input_ids"]
        masks = [at for at, token in enumerate(ids) if token == self.tokenizer.mask_token_id]
        return Encoded(ids, encoding["offset_mapping"], masks)

    def count_tokens(self, text: str) -> int:
        """Return how many tokens a piece of text takes, without those that a tokenizer puts around a whole text."""
        return len(self.tokenizer(text, add_special_tokens=False)["input_ids"])

    def check(self, text: str) -> Encoded:
        """Return the tokens of a text that can be filled.

        Raises:
            Refused: It is empty, foreign or too long, or has no mask or too many.
        """
        mask = self.mask
        if not text.strip():
            raise Refused(f"There is nothing to fill: type a world, or pick an example. {mask} marks a token to fill.")
        if len(text) > MAX_CHARACTERS:
            raise Refused(f"The text is {len(text):,} characters long; at most {MAX_CHARACTERS:,} are read.")
        encoded = self.encode(text)
        if not encoded.masks:
            raise Refused(f"There is no mask in the text: write {mask} in place of a token, or press “Mask σ”.")
        if len(encoded.masks) > MAX_MASKS:
            raise Refused(f"The text has {len(encoded.masks)} masks; at most {MAX_MASKS} are filled at once.")
        if self.limit is not None and len(encoded.ids) > self.limit:
            raise Refused(f"The text is {len(encoded.ids):,} tokens long; this model reads at most {self.limit:,}.")
        return encoded

    def fill(self, text: str, top: int = TOP) -> dict[str, Any]:
        """Fill each mask by itself, given all the rest.

        Args:
            text: What to fill.
            top: How many tokens to report for each mask.

        Returns:
            What JSON can hold: ``masks``, in the order of the text, each with its 1-based ``index``, its ``start``
            in the text, the ``context`` around it, the token it was ``filled`` with and its ``tokens`` by
            probability; ``filled``, the whole text with its masks filled; and ``length`` in tokens.

        Raises:
            Refused: The text can't be filled.
        """
        encoded = self.check(text)
        probabilities = self._predict(encoded)
        masks = []
        for index, (position, row) in enumerate(zip(encoded.masks, probabilities, strict=True), 1):
            start, end = encoded.offsets[position]
            tokens = self._rank(row, top)
            masks.append(
                {
                    "index": index,
                    "start": start,
                    "context": _excerpt(text, start, end),
                    "filled": self._best(row),
                    "tokens": tokens,
                }
            )
        filled = self._write(text, encoded, [mask["filled"] for mask in masks])
        return {"masks": masks, "filled": filled, "length": len(encoded.ids)}

    def hidden(self, original: str, text: str) -> list[str | None]:
        """Return what stood in `original` at each mask of `text`, as far as that is known.

        Both must have the same number of tokens and differ in a few places at most, so that a visitor may change the
        rest of the world and still compare. None stands for an unknown value; an empty list for unrelated texts.
        """
        try:
            before, after = self.encode(original), self.encode(text)
        except Refused:
            return []
        pairs = list(zip(before.ids, after.ids, strict=False))
        mask = self.tokenizer.mask_token_id
        edits = sum(new not in (old, mask) for old, new in pairs)
        if len(before.ids) != len(after.ids) or edits > MAX_EDITS:
            return []
        return [None if old == mask else self._spell(old) for old, new in pairs if new == mask]

    def _predict(self, encoded: Encoded) -> torch.Tensor:
        """Return the probabilities of all tokens, a row for each mask."""
        ids = torch.tensor([encoded.ids], device=self.model.device)
        with torch.inference_mode():
            logits = self.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits
        return logits[0, encoded.masks].float().softmax(-1).cpu()

    def _rank(self, row: torch.Tensor, top: int) -> list[dict[str, Any]]:
        best = row.topk(min(top, len(row)))
        pairs = zip(best.indices.tolist(), best.values.tolist(), strict=True)
        return [{"token": self._spell(token), "probability": probability} for token, probability in pairs]

    def _best(self, row: torch.Tensor) -> str:
        """Return the likeliest token that text can hold: a mask or padding would leave the text unfilled."""
        allowed = row.clone()
        allowed[self.tokenizer.all_special_ids] = -1
        return self._spell(int(allowed.argmax()))

    def _spell(self, token: int) -> str:
        text = self.tokenizer.decode([token]).strip()
        return text or str(self.tokenizer.convert_ids_to_tokens(token))

    def _write(self, text: str, encoded: Encoded, tokens: list[str]) -> str:
        """Write the tokens over the masks; from the last to the first, so that offsets stay true."""
        for position, token in reversed(list(zip(encoded.masks, tokens, strict=True))):
            start, end = encoded.offsets[position]
            space = " " * (len(text[start:end]) - len(text[start:end].lstrip()))  # some mask tokens take it along
            text = text[:start] + space + token + text[end:]
        return text

    def _name_foreign(self, text: str) -> str:
        """Say which character the vocabulary can't spell."""
        at = self._find_foreign(text)
        if at is None:
            return "The text has a character that this model’s vocabulary can’t spell."
        character = text[at]
        shown = f"“{character}” " if character.isprintable() else ""
        name = unicodedata.name(character, "").lower() or f"U+{ord(character):04X}"
        where = _excerpt(text, at, at + 1)
        return f"Character {at + 1}, {shown}({name}), is foreign to this model’s vocabulary: {where}"

    def _find_foreign(self, text: str) -> int | None:
        try:
            text.encode()
        except UnicodeEncodeError as error:  # half a surrogate pair, which no tokenizer takes
            return error.start
        vocabulary = self.tokenizer.get_vocab()
        backend = self.tokenizer.backend_tokenizer.pre_tokenizer
        pieces = backend.pre_tokenize_str(text) if backend else []
        return next((start for piece, (start, _) in pieces if piece not in vocabulary), None)


def _excerpt(text: str, start: int, end: int) -> str:
    """Return a range of a text with a little around it, on one line."""
    left, right = max(0, start - _AROUND), min(len(text), end + _AROUND)
    middle = " ".join(text[left:right].encode("utf-8", "replace").decode().split())
    return f"{'…' if left else ''}{middle}{'…' if right < len(text) else ''}"
