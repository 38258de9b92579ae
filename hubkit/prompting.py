"""A published model that answers prompts: found, loaded without running code of the Hub, and asked."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from hubkit.errors import UserError
from hubkit.models.loading import CAUSAL, architecture_files, auto_class, load_model, read_config

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from hubkit.models.streaming import Draft

TOP = 5
"""Tokens that are shown for a mask."""


class Guess(NamedTuple):
    """A token that a model would put in the place of a mask."""

    token: str
    probability: float


@dataclass(frozen=True)
class Generator:
    """A model with its tokenizer, in evaluation mode."""

    model: "PreTrainedModel"
    tokenizer: "PreTrainedTokenizerFast"
    kind: Literal["causal", "masked"]

    @cached_property
    def directions(self) -> tuple[str, ...]:
        """The directions that a causal model generates in, its own first.

        Raises:
            UserError: It was trained in an order that no text grows in.
        """
        from hubkit.models.directed_generation import direction_of

        if getattr(self.model.config, "direction", None) == "both":
            return "forward", "backward"
        try:
            return (direction_of(self.model.config),)
        except ValueError as error:
            raise UserError(str(error)) from None

    def stream(self, prompt: str, **settings: Any) -> "Iterator[Draft]":
        """Continue a prompt; see :func:`hubkit.models.streaming.stream` for the settings.

        Raises:
            UserError: A setting is out of range, or the model can't read the prompt.
        """
        from hubkit.models.streaming import stream

        try:
            return stream(self.model, self.tokenizer, prompt, **settings)
        except ValueError as error:
            raise UserError(str(error)) from None

    def fill(self, text: str, top: int = TOP) -> list[list[Guess]]:
        """Return the likeliest tokens of each mask of a text, each mask judged by itself.

        Raises:
            UserError: The text has no mask, is too long, or has a character that the vocabulary can't spell.
        """
        import torch

        ids = self._masked_ids(text)
        masks = [at for at, id in enumerate(ids) if id == self.tokenizer.mask_token_id]
        if not masks:
            raise UserError(f"text: it has no mask; write {self.tokenizer.mask_token} for each token to fill in")
        with torch.inference_mode():
            logits = self.model(input_ids=torch.tensor([ids], device=self.model.device)).logits
        best = logits[0, masks].float().softmax(-1).topk(min(top, logits.shape[-1]))
        return [
            [Guess(self._spelled(id), chance) for id, chance in zip(*row, strict=True)]
            for row in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def _masked_ids(self, text: str) -> list[int]:
        from hubkit.models.streaming import prompt_ids

        try:
            prompt_ids(self.tokenizer, text)
        except ValueError as error:
            raise UserError(str(error)) from None
        ids = self.tokenizer(text, verbose=False)["input_ids"]
        limit = self.tokenizer.model_max_length
        if len(ids) > limit:
            raise UserError(f"text: it takes {len(ids):,} tokens, and this model reads {limit:,}; shorten it")
        return ids

    def _spelled(self, id: int) -> str:
        return str(self.tokenizer.decode([id])).strip() or str(self.tokenizer.convert_ids_to_tokens(id))


def find_model(name: str, revision: str | None = None) -> Path:
    """Return the folder of a model: the one of that name, or what the Hub has under it.

    Args:
        name: A folder, or ``owner/name[@revision]``.
        revision: Of the repository, if `name` has none; None is its newest.

    Raises:
        UserError: There is none, a folder is asked for a revision, or there are two.
    """
    from hubkit.hub import fetch_model, resolve

    if Path(name).is_dir():
        if revision is not None:
            raise UserError(f"--revision: {name} is a folder and has none; leave it out")
        return Path(name)
    repo, _, named = name.partition("@")
    if named and revision is not None:
        raise UserError(f"--revision: {name} names one already; leave one of them out")
    return fetch_model(repo, resolve(repo, named or revision, "model").revision)


def load_generator(folder: Path, trust: bool = False) -> Generator:
    """Load a model that generates or fills masks; hubkit's own architectures by hubkit's own classes.

    Args:
        folder: Weights, config and tokenizer.
        trust: Run code that lies in the folder, where neither transformers nor hubkit has the architecture.

    Raises:
        UserError: The folder is no such model, is damaged, or needs code that is not trusted.
    """
    if read_config(folder).get("model_type") == "numeric_roberta":
        raise UserError("model: it reads numbers apart from its text, which no prompt gives; use hubkit evaluate")
    model = load_model(folder, trust)
    try:
        from transformers import AutoTokenizer

        # Told the config, it does not look for that of an architecture that transformers lacks.
        trusted = trust and not architecture_files(str(model.config.model_type))
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, config=model.config, trust_remote_code=trusted)
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"tokenizer: {folder} can't be loaded: {' '.join(str(error).split())}") from None
    return Generator(model, tokenizer, "causal" if auto_class(read_config(folder)) == CAUSAL else "masked")
