"""Puts what a checkout keeps at its top level inside the wheel's package; hubkit.resources finds it in either place."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

BUNDLED = ("dataset_builders", "model_cards", "spaces", "scripts/recipes")


class BundleHook(BuildHookInterface):
    """Maps folders into `hubkit/bundled` for a real wheel; an editable install reads them where they are."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folders to what the wheel includes."""
        if version == "standard":
            build_data["force_include"].update({folder: f"hubkit/bundled/{folder}" for folder in BUNDLED})
