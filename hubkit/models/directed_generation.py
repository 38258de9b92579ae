"""Generation that knows which way a model reads: text always goes in and comes out in reading order.

A forward model saw ``[BOS]`` and the tokens of a text; a backward one saw ``[BOS]`` and the same tokens from last to
first, so it continues a text to the left. A model of both directions is told by the first token which way it goes.
Which it is stands in the model's config: `direction`, and for both `direction_tokens`.

This file stands alone (torch and transformers), because it is published with the weights: that is how
``pipeline("text-generation", model=REPO, trust_remote_code=True)`` turns the tokens of a backward model by itself.
"""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from transformers import TextGenerationPipeline
from transformers.pipelines.text_generation import ReturnType


def turned(ids: Any, direction: str) -> Any:
    """Return token ids in the order in which a model of that direction reads them; its own inverse.

    Args:
        ids: A list, a numpy array or a torch tensor; of these the last dimension is turned.
        direction: ``forward`` leaves them, ``backward`` reverses them.

    Raises:
        ValueError: It is another direction.
    """
    if direction == "forward":
        return ids
    if direction != "backward":
        raise ValueError(f"direction: {direction!r} can't turn a text; use forward or backward")
    if isinstance(ids, torch.Tensor):
        return ids.flip(-1)
    # A copy, because torch takes no numpy array with negative strides.
    return ids[::-1] if isinstance(ids, list | tuple) else ids[..., ::-1].copy()


def direction_of(config: Any, asked: str | None = None) -> Literal["forward", "backward"]:
    """Return the direction that a model generates in.

    Args:
        config: The model's config.
        asked: What the user wants; None is the model's own, which for a model of both directions is forward.

    Raises:
        ValueError: The model was not trained in that direction, or in an order that no text grows in.
    """
    trained = getattr(config, "direction", None) or "forward"
    if trained == "permuted":
        raise ValueError(
            "direction: this model was trained on the tokens of a window in a permuted order, so no prompt is the "
            "beginning of what it reads; it can score texts, not generate them"
        )
    can = ("forward", "backward") if trained == "both" else (trained,)
    if asked not in (None, *can):
        raise ValueError(f"direction: this model was trained {trained}, not {asked}; use {' or '.join(can)}")
    return asked or can[0]  # pyright: ignore[reportReturnType]


def fed_ids(ids: Sequence[int], config: Any, direction: str) -> list[int]:
    """Return what the model reads for a prompt: its first token, unless it is there, and the turned prompt.

    Args:
        ids: Tokens of the prompt, in reading order.
        config: The model's config.
        direction: ``forward`` or ``backward``, as `direction_of` gives it.

    Raises:
        ValueError: The prompt is empty, and the model has no first token that stands for that.
    """
    starts = getattr(config, "direction_tokens", None) or {}
    first = starts.get(direction, getattr(config, "bos_token_id", None))
    fed = turned(list(ids), direction)
    if first is not None and fed[:1] != [first]:
        fed.insert(0, first)
    if not fed:
        raise ValueError("prompt: it is empty, and this model has no token that begins a text; type something")
    return fed


class DirectedTextGenerationPipeline(TextGenerationPipeline):
    """`text-generation` in the direction that the model was trained in.

    For a backward model the prompt is how the text ends: it returns what comes before it, followed by the prompt. The
    token that begins texts is put in front as in training. A model of both directions takes ``direction="backward"``
    beside the usual keywords of `TextGenerationPipeline`.

    Raises:
        ValueError: The model was trained in a permuted order, or not in the direction that is asked for; the prompt is
            a chat; or a keyword is used that only makes sense forward (`prefix`, `handle_long_generation`).
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        direction_of(self.model.config)  # a permuted model is refused at once

    def check_model_type(self, supported_models: Any) -> None:
        """Take any model: it comes with the repository that names this class."""

    def _sanitize_parameters(self, direction: str | None = None, **kwargs: Any) -> tuple[dict, dict, dict]:
        for name in ("prefix", "handle_long_generation"):
            if kwargs.get(name) is not None:
                raise ValueError(f"{name}: this pipeline doesn't know it; leave it out and change the prompt instead")
        parameters = super()._sanitize_parameters(**kwargs)
        for part in (parameters[0], parameters[2]) if direction is not None else ():
            part["direction"] = direction
        return parameters

    def preprocess(self, prompt_text: Any, direction: str | None = None, **kwargs: Any) -> Any:
        """Return the ids that the model reads, (1, T) int64."""
        if not isinstance(prompt_text, str):
            raise ValueError("prompt: a chat has a fixed order; give a text")
        direction = direction_of(self.model.config, direction)
        inputs: Any = super().preprocess(prompt_text, **{**kwargs, "add_special_tokens": False})
        ids = fed_ids([int(id) for id in inputs["input_ids"][0]], self.model.config, direction)
        inputs["input_ids"] = torch.tensor([ids])
        inputs["attention_mask"] = torch.ones_like(inputs["input_ids"])
        return inputs

    def postprocess(
        self, model_outputs: Any, return_type: Any = ReturnType.FULL_TEXT, direction: str | None = None, **kwargs: Any
    ) -> list[dict[str, Any]]:
        """Return the records of `TextGenerationPipeline`, their texts and ids in reading order."""
        direction = direction_of(self.model.config, direction)
        if direction == "forward":
            return super().postprocess(model_outputs, return_type=return_type, **kwargs)
        ids, length = model_outputs["generated_sequence"], model_outputs["input_ids"].shape[-1]
        if return_type == ReturnType.TENSORS:
            ids = turned(ids, direction)
        else:  # the texts are decoded from what follows the prompt
            ids = torch.cat([ids[..., :length], turned(ids[..., length:], direction)], dim=-1)
        outputs = {**model_outputs, "generated_sequence": ids, "prompt_text": None}
        records = super().postprocess(outputs, return_type=return_type, **kwargs)
        if return_type == ReturnType.FULL_TEXT:
            for record in records:
                record["generated_text"] += model_outputs["prompt_text"]
        return records


def add_pipeline(folder: Path) -> bool:
    """Have a saved model that doesn't read forward bring `DirectedTextGenerationPipeline` along.

    Copies this file into the folder and names it in `config.json`. The model itself loads as before, and with no trust
    in the folder's code if its architecture is a stock one.

    Args:
        folder: Where `save_pretrained` wrote the model.

    Returns:
        Whether the model needs it: false leaves a forward model as it is.
    """
    path = Path(folder) / "config.json"
    config = json.loads(path.read_text(encoding="utf-8"))
    if config.get("direction", "forward") == "forward":
        return False
    impl = f"{Path(__file__).stem}.{DirectedTextGenerationPipeline.__name__}"
    config["custom_pipelines"] = {"text-generation": {"impl": impl, "pt": ["AutoModelForCausalLM"]}}
    path.write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    shutil.copyfile(__file__, Path(folder) / Path(__file__).name)
    return True
