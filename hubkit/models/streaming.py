"""Streams text out of a causal language model, token by token and in reading order.

One loop for every model: it feeds a token at a time where the model keeps a cache, and the whole text where it doesn't.
This file stands alone with the one beside it (torch and transformers), because a Space runs a copy of both.
"""

import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

import torch

from .directed_generation import direction_of, fed_ids, turned

End = Literal["", "token", "string", "length", "context"]

_CACHES = ("past_key_values", "cache_params")
_BROKEN = "\ufffd"  # what a decoder writes for bytes that are no character yet


def prompt_ids(tokenizer: Any, prompt: str) -> list[int]:
    """Return the tokens of a prompt in reading order, with nothing put around them.

    Raises:
        ValueError: The vocabulary can't spell it; the message names the first such character.
    """

    def spelled(text: str) -> list[int] | None:
        try:
            ids = tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]
        except Exception:  # tokenizers raises plain Exception
            return None
        return None if unknown is not None and unknown in ids else ids

    # Where the unknown token is one that begins or ends texts, as GPT-2's, it may well be meant.
    unknown = tokenizer.unk_token_id
    unknown = None if unknown in (tokenizer.bos_token_id, tokenizer.eos_token_id) else unknown
    ids = spelled(prompt)
    if ids is not None:
        return ids
    at = next((at for at, character in enumerate(prompt) if spelled(character) is None), None)
    what = "it has a character" if at is None else f"character {at + 1}, {prompt[at]!r}, is one"
    raise ValueError(f"prompt: {what} that the model's vocabulary can't spell; leave it out")


def context_length(config: Any) -> int | None:
    """Return the most tokens that a model reads, or None where its config names no limit."""
    names = ("max_position_embeddings", "n_positions", "block_size")
    return next((value for name in names if (value := getattr(config, name, None)) is not None), None)


class Draft(NamedTuple):
    """A text while it grows."""

    text: str
    """Prompt and what was generated, in reading order."""
    new: str
    """What was generated."""
    tokens: int
    """How many tokens were generated."""
    ended: End = ""
    """Why it grows no further: a stop token, a stop string, the length that was asked for, or the model's context."""


def stream(
    model: Any,
    tokenizer: Any,
    prompt: str,
    direction: str | None = None,
    max_new_tokens: int = 100,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int | None = None,
    stop: Sequence[str] = (),
) -> Iterator[Draft]:
    """Return an iterator over the growing text, which ends with a draft that says why.

    It computes a token when asked for the next draft and holds no thread, so whoever stops asking stops it. Stop tokens
    are the model's own; they are not shown.

    Args:
        model: A causal language model in evaluation mode.
        tokenizer: Its tokenizer.
        prompt: How the text begins; for backward, how it ends.
        direction: ``forward`` or ``backward``; None is the model's own.
        max_new_tokens: How many tokens to generate at most.
        temperature: 0 takes the likeliest token each time; less than 1 sharpens, more than 1 flattens.
        top_k: Draw from so many likeliest tokens; 0 is all.
        top_p: Draw from the likeliest tokens that together have this probability; 1 is all.
        seed: The same seed gives the same text; None draws one.
        stop: Texts that end the generation; not shown.

    Raises:
        ValueError: A setting is out of range, or the model can't read the prompt.
    """
    _check(model, max_new_tokens, temperature, top_k, top_p)
    direction = direction_of(model.config, direction)
    ids = prompt_ids(tokenizer, prompt)
    fed = fed_ids(ids, model.config, direction)
    limit = context_length(model.config)
    if limit is not None and len(fed) >= limit:
        raise ValueError(f"prompt: it takes {len(fed):,} tokens, and this model reads {limit:,}; shorten it")
    most: tuple[int, End] = (max_new_tokens, "length")
    if limit is not None and limit - len(fed) < max_new_tokens:
        most = (limit - len(fed), "context")
    generator = torch.Generator()
    generator.seed() if seed is None else generator.manual_seed(seed)

    def choose(logits: torch.Tensor) -> int:
        return _draw(logits, temperature, top_k, top_p, generator)

    write = _Writer(tokenizer, prompt, ids, direction, tuple(stop))
    return _drafts(_tokens(model, fed, choose), _stop_tokens(model), write, *most)


def _check(model: Any, max_new_tokens: int, temperature: float, top_k: int, top_p: float) -> None:
    if model.training:
        raise ValueError("model: it is in training mode, with dropout; call model.eval() first")
    if max_new_tokens < 1:
        raise ValueError(f"max_new_tokens: {max_new_tokens} is less than 1")
    if not 0 <= temperature < float("inf"):
        raise ValueError(f"temperature: {temperature} is not 0 or more; 0 takes the likeliest token")
    if top_k < 0:
        raise ValueError(f"top_k: {top_k} is less than 0; 0 draws from all tokens")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p: {top_p} is not above 0 and at most 1; 1 draws from all tokens")


def _drafts(
    tokens: Iterator[int], stop_tokens: frozenset[int], write: "_Writer", most: int, why: End
) -> Iterator[Draft]:
    """Yield the text after each token that completes a character, and once more when it ends."""
    new: list[int] = []
    for token in tokens:
        if token in stop_tokens:
            yield write(new, "token")
            return
        new.append(token)
        draft = write(new, why if len(new) == most else "")
        yield draft
        if draft.ended:
            return


class _Writer:
    """Writes tokens as text in reading order: what is new, beside the prompt as it was typed."""

    def __init__(self, tokenizer: Any, prompt: str, ids: list[int], direction: str, stop: tuple[str, ...]) -> None:
        self.tokenizer, self.prompt, self.ids, self.direction, self.stop = tokenizer, prompt, ids, direction, stop
        self.backward = direction == "backward"
        self.known = self._decode(ids)

    def __call__(self, new: list[int], ended: End) -> Draft:
        # Decoded with the prompt, because some decoders drop the space at the beginning of what they are given.
        read = turned(new, self.direction)
        whole = self._decode([*read, *self.ids] if self.backward else [*self.ids, *read])
        text = whole.removesuffix(self.known) if self.backward else whole.removeprefix(self.known)
        if not ended:  # the rest of a character may still come
            text = text.lstrip(_BROKEN) if self.backward else text.rstrip(_BROKEN)
        text, stopped = self._cut(text)
        full = text + self.prompt if self.backward else self.prompt + text
        return Draft(full, text, len(new), "string" if stopped else ended)

    def _cut(self, text: str) -> tuple[str, bool]:
        """Return a text up to the stop string that it meets first, and whether it met one."""
        if self.backward:
            ends = [text.rfind(stop) + len(stop) for stop in self.stop if stop in text]
            return (text[max(ends) :], True) if ends else (text, False)
        starts = [text.find(stop) for stop in self.stop if stop in text]
        return (text[: min(starts)], True) if starts else (text, False)

    def _decode(self, ids: list[int]) -> str:
        return self.tokenizer.decode(ids, skip_special_tokens=False, clean_up_tokenization_spaces=False)


def _tokens(model: Any, fed: list[int], choose: Callable[[torch.Tensor], int]) -> Iterator[int]:
    """Yield token after token; each is fed alone where the model keeps a cache, else the whole text again."""
    ids, pending, cache = list(fed), list(fed), {}
    short = {"logits_to_keep": 1} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}
    while True:
        token, cache = _step(model, pending, {**cache, **short}, choose)
        ids.append(token)
        pending = [token] if cache else ids
        yield token


@torch.inference_mode()
def _step(
    model: Any, pending: list[int], keywords: dict[str, Any], choose: Callable[[torch.Tensor], int]
) -> tuple[int, dict[str, Any]]:
    """Return the next token and the model's cache, empty if it keeps none."""
    output = model(input_ids=torch.tensor([pending], device=model.device), use_cache=True, **keywords)
    cache = {name: value for name in _CACHES if (value := getattr(output, name, None)) is not None}
    return choose(output.logits[0, -1].float().cpu()), cache


def _draw(logits: torch.Tensor, temperature: float, top_k: int, top_p: float, generator: torch.Generator) -> int:
    """Return a token id drawn from logits (vocabulary,) float32."""
    if temperature == 0:
        return int(logits.argmax())
    logits = logits / temperature
    if 0 < top_k < len(logits):
        logits = logits.masked_fill(logits < logits.topk(top_k).values[-1], -torch.inf)
    if top_p < 1:
        ordered, order = logits.softmax(-1).sort(descending=True)
        logits = logits.index_fill(0, order[ordered.cumsum(-1) - ordered >= top_p], -torch.inf)
    return int(torch.multinomial(logits.softmax(-1), 1, generator=generator))


def _stop_tokens(model: Any) -> frozenset[int]:
    """Return the ids that end a text."""
    for config in (getattr(model, "generation_config", None), model.config):
        ids = getattr(config, "eos_token_id", None)
        if ids is not None:
            return frozenset([ids] if isinstance(ids, int) else ids)
    return frozenset()
