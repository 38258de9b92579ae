"""What the rooms of our own architectures share: classes that load torch when asked for, and a registry of models."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return a package's `__getattr__`, which imports a module with the first name that is asked of it.

    Args:
        package: Its name.
        homes: The module of each public name.
    """

    def __getattr__(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(import_module(f"{package}.{homes[name]}"), name)

    return __getattr__


def register(architecture: str) -> None:
    """Make transformers' Auto classes load an architecture by hubkit's own code, with no trust in code from a Hub.

    Args:
        architecture: Its room in `hubkit.models`, such as ``minigpt``.
    """
    import transformers

    module = import_module(f"hubkit.models.{architecture}.modeling_{architecture}")
    for model in vars(module).values():
        if isinstance(model, type) and issubclass(model, transformers.PreTrainedModel) and model._auto_class:
            config: Any = model.config_class
            transformers.AutoConfig.register(config.model_type, config, exist_ok=True)
            getattr(transformers, model._auto_class).register(config, model, exist_ok=True)
