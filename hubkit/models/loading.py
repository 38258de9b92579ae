"""Loads trained models: hubkit's own architectures by hubkit's own classes, and no code of a Hub without being told."""

import importlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hubkit.errors import UserError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

MODELS = Path(__file__).parent
CAUSAL, MASKED = "AutoModelForCausalLM", "AutoModelForMaskedLM"
_HEADS = {"ForCausalLM": CAUSAL, "LMHeadModel": CAUSAL, "ForMaskedLM": MASKED}


def load_model(folder: Path, trust: bool = False) -> "PreTrainedModel":
    """Load a causal or masked language model, on the GPU if there is one, in evaluation mode.

    Args:
        folder: Weights and config.
        trust: Run code that lies in the folder, where neither transformers nor hubkit has the architecture.

    Raises:
        UserError: The folder is no such model, is damaged, or needs code that is not trusted.
    """
    import torch
    from huggingface_hub.errors import StrictDataclassError
    from safetensors import SafetensorError

    config = read_config(folder)
    auto = auto_class(config)
    if auto is None:
        heads = ", ".join(config.get("architectures") or ()) or "no head"
        raise UserError(f"model: {folder} has {heads}; a causal or a masked language model is needed")
    loader = _own_class(config) or _stock_class(config, auto, trust)
    options: dict[str, Any] = {"trust_remote_code": True} if trust else {}
    try:
        model, found = loader.from_pretrained(folder, use_safetensors=True, output_loading_info=True, **options)
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, StrictDataclassError) as error:
        raise UserError(f"model: {folder} can't be loaded: {' '.join(str(error).split())}") from None
    if found["missing_keys"]:
        # transformers would draw them anew and only warn.
        missing = ", ".join(sorted(found["missing_keys"])[:3])
        raise UserError(f"model: {folder} lacks weights of this architecture ({missing}); save or fetch it again")
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def architecture_files(architecture: str) -> list[Path]:
    """Return the files that an architecture of hubkit's own consists of, and that stand alone; none for a stock one."""
    folder = MODELS / architecture
    if not architecture.isidentifier() or not (folder / f"modeling_{architecture}.py").is_file():
        return []
    return sorted(folder.glob(f"*_{architecture}.py"))


def read_config(folder: Path) -> dict[str, Any]:
    """Return a model's `config.json`.

    Raises:
        UserError: The folder has none, or it is no JSON object.
    """
    path = folder / "config.json"
    try:
        config = json.loads(path.read_bytes())
    except OSError:
        raise UserError(f"model: {folder} has no config.json; name a folder that save_pretrained wrote") from None
    except ValueError as error:
        raise UserError(f"model: {path} is not valid JSON ({error}); save the model again") from None
    if not isinstance(config, dict):
        raise UserError(f"model: {path} is not an object; save the model again")
    return config


def auto_class(config: dict[str, Any]) -> str | None:
    """Return the transformers class that loads a model by what its head is for; None where it neither writes nor fills.

    Args:
        config: Its `config.json`.
    """
    for name in config.get("architectures") or ():
        for ending, auto in _HEADS.items():
            if str(name).endswith(ending):
                return auto
    return None


def _own_class(config: dict[str, Any]) -> Any:
    """Return the class of an architecture of hubkit's own; None for another one."""
    from transformers import PreTrainedModel

    architecture = str(config.get("model_type"))
    if not architecture_files(architecture):
        return None
    module = importlib.import_module(f"hubkit.models.{architecture}.modeling_{architecture}")
    name = config["architectures"][0]
    found = getattr(module, name, None)
    if not (isinstance(found, type) and issubclass(found, PreTrainedModel)):
        raise UserError(f"model: hubkit's {architecture} has no {name}; save the model again")
    return found


def _stock_class(config: dict[str, Any], auto: str, trust: bool) -> Any:
    """Return the class of transformers that loads an architecture; refuse one that would run code of its repository."""
    import transformers

    architecture = config.get("model_type")
    if architecture not in transformers.CONFIG_MAPPING and config.get("auto_map") and not trust:
        files = ", ".join(sorted({f"{str(name).partition('.')[0]}.py" for name in config["auto_map"].values()}))
        raise UserError(
            f"model: its architecture {architecture} is code of its own repository ({files}), and hubkit runs no code "
            "that it finds there; read it, then add --trust-remote-code"
        )
    return getattr(transformers, auto)
