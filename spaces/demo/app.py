"""The page of the demo: one tab for each thing that its models can do.

Runs from a folder that `hubkit space deploy` composed, which holds copies of the code of its models: on a bare Hugging
Face Space, and on any machine with `python app.py`. `space.json` or HUBKIT_SPACE_MODEL says which model to show (see
settings.py).
"""

import os

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # read when gradio is imported: no request leaves for telemetry

import sys
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
from gradio.themes import Default
from gradio.themes.utils.fonts import LocalFont
from huggingface_hub import constants

import fill_tab
import generate_tab
from examples import find_examples, find_prompts
from filling import Filler
from generating import Generator
from loading import head_of, read_config
from settings import Pin, Settings, SettingsError, read_settings

# Gradio's own copies, so that no font is fetched; its semibold ones lack most letters, hence 700.
FONT = (LocalFont("IBM Plex Sans", weights=(400, 700)), "system-ui", "sans-serif")
MONO = (LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace")
HERE = Path(__file__).resolve().parent


class Tab(NamedTuple):
    """What the page can do with models of one kind."""

    label: str
    load: Callable[[Pin], Any]
    build: Callable[[Any, Settings], None]


def _build_fill(filler: Filler, settings: Settings) -> None:
    data = next(iter(settings.datasets), None)
    fill_tab.build(filler, find_examples(HERE, data, filler.mask, filler.count_tokens))


def _build_generate(generator: Generator, settings: Settings) -> None:
    generate_tab.build(generator, find_prompts(HERE))


TABS = {
    "CausalLM": Tab("Generate", Generator.load, _build_generate),
    "MaskedLM": Tab("Fill masks", Filler.load, _build_fill),
}
"""By the head that a model's config names, as in RobertaForMaskedLM."""


def load_tabs(settings: Settings) -> dict[str, Any]:
    """Return the models that the page can show, loaded, by their key in `TABS`.

    Raises:
        SettingsError: A model can't be loaded, or none has a tab.
    """
    loaded: dict[str, Any] = {}
    for pin in settings.models:
        try:
            head = head_of(read_config(pin))
            if head not in TABS or head in loaded:
                print(f"{pin}: no tab for it ({head or 'no head'}); left out", file=sys.stderr)
                continue
            loaded[head] = TABS[head].load(pin)
        except (OSError, ValueError) as error:
            raise SettingsError(f"The model {pin} can't be loaded: {error}") from error
    if not loaded:
        raise SettingsError(f"None of the models fits a tab of this Space ({', '.join(TABS)}).")
    return loaded


def build_page(settings: Settings, loaded: dict[str, Any]) -> gr.Blocks:
    """Return the page.

    Args:
        settings: Its title, and the repositories that its foot names.
        loaded: Models by their key in `TABS`.
    """
    with gr.Blocks(title=settings.title) as page:
        gr.HTML(f"<h1>{escape(settings.title)}</h1>", elem_id="title")
        with gr.Tabs():
            for head, model in loaded.items():
                with gr.Tab(TABS[head].label, id=head):
                    TABS[head].build(model, settings)
        gr.HTML(_foot(settings), elem_id="foot")
    return page


def _foot(settings: Settings) -> str:
    pins = (*settings.models, *settings.datasets)
    parts = [f"{pin.kind.capitalize()} {pin.link(constants.ENDPOINT)}" for pin in pins]
    return f"<p>{' · '.join(parts)}</p>"


def launch(page: gr.Blocks) -> None:
    """Serve the page until the process is stopped."""
    # A Space is reached from outside its container; elsewhere a page is for its own machine unless told otherwise.
    host = "0.0.0.0" if os.environ.get("SPACE_ID") else "127.0.0.1"  # noqa: S104
    page.queue(max_size=32).launch(
        server_name=os.environ.get("GRADIO_SERVER_NAME", host),
        theme=Default(primary_hue="indigo", neutral_hue="slate", font=FONT, font_mono=MONO),
        css_paths=HERE / "style.css",
        footer_links=["api", "settings"],
        ssr_mode=False,
    )


def main() -> None:
    """Read the settings, load the models and serve the page."""
    try:
        settings = read_settings(HERE)
        loaded = load_tabs(settings)
    except SettingsError as error:
        sys.exit(str(error))
    launch(build_page(settings, loaded))


if __name__ == "__main__":
    main()
