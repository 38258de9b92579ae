"""hubkit: from one written-down spec to a corpus, a model and a demo on the Hugging Face Hub."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

__all__ = ["publish_rows", "verify_rows"]  # pyright: ignore[reportUnsupportedDunderAll] - __getattr__ has them


def __getattr__(name: str) -> Any:
    """Load what notebooks call only when it is called for: `import hubkit` itself stays quick."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("hubkit.publishing.rows"), name)
