"""The tab "Generate": a prompt, how to draw, and the text that grows out of it in reading order."""

import secrets
import time
from collections.abc import Iterator, Sequence
from html import escape
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import api
from hubkit_models.streaming import Draft  # pyright: ignore[reportMissingImports]

from examples import Prompt
from generating import Generator, Refused
from status import line

INTRODUCTIONS = {
    ("forward",): "The model continues your text: it writes what follows.",
    ("backward",): (
        "This model reads text from its end: <b>your text is how it ends, and the model writes what comes before "
        "it</b>. The text grows to the left, and is shown in reading order."
    ),
    ("forward", "backward"): (
        "This model reads both ways. Forward, it writes what follows your text; <b>backward, your text is how it ends "
        "and the model writes what comes before it</b>. Either way it is shown in reading order."
    ),
}
WAITING = '<p class="quiet waiting">Press <b>Generate</b> to see what the model makes of your text.</p>'
ENDS = {
    "token": "the model ended the text",
    "string": "a stop string came",
    "length": "that is as many as you asked for",
    "context": "that is all that the model can read at once",
}
PAUSE = 0.05
"""Seconds between two updates of the page at least."""
TOKENS, TEMPERATURE = 100, 0.8
"""What the page proposes; where prompts have answers, the likeliest token each time."""


class Inputs(NamedTuple):
    """What the visitor edits, in the order in which `_show` takes it."""

    prompt: gr.Textbox
    direction: gr.Radio
    tokens: gr.Slider
    temperature: gr.Slider
    top_k: gr.Slider
    top_p: gr.Slider
    seed: gr.Number


class Buttons(NamedTuple):
    """What the visitor presses."""

    generate: gr.Button
    stop: gr.Button
    clear: gr.Button


def build(generator: Generator, examples: Sequence[Prompt]) -> None:
    """Lay the tab out inside the current tab of a page and wire it.

    Args:
        generator: The model.
        examples: Prompts to start from; the first is shown at once.
    """
    first = examples[0] if examples else Prompt("", "")
    truth = gr.State(first)
    gr.HTML(f'<p class="introduction">{INTRODUCTIONS[generator.directions]}</p>')
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=320):
            prompt, buttons = _lay_prompt(generator, first)
            samples = gr.Dataset(
                label="Examples",
                components=[prompt],
                samples=[[example.prompt] for example in examples],
                sample_labels=[example.label for example in examples],
                type="index",
                elem_id="prompts",
                visible=bool(examples),
            )
            inputs = Inputs(prompt, *_lay_settings(generator, greedy=bool(first.truth)))
        with gr.Column(scale=1, min_width=320):
            status = gr.HTML("", elem_id="progress")
            text = gr.HTML(WAITING, elem_id="continuation")
    _wire(generator, examples, inputs, buttons, samples, truth, [status, text])


def _lay_prompt(generator: Generator, first: Prompt) -> tuple[gr.Textbox, Buttons]:
    prompt = gr.Textbox(
        first.prompt,
        label="How the text ends" if generator.directions == ("backward",) else "Your text",
        lines=3,
        max_lines=10,
        elem_id="prompt",
        html_attributes=gr.InputHTMLAttributes(spellcheck=False, autocapitalize="off", autocorrect="off"),
    )
    with gr.Row(elem_classes="buttons"):
        generate = gr.Button("Generate", variant="primary", elem_id="generate", min_width=90)
        stop = gr.Button("Stop", elem_id="stop", min_width=90)
        clear = gr.Button("Clear", elem_id="clear-prompt", min_width=90)
    return prompt, Buttons(generate, stop, clear)


def _lay_settings(generator: Generator, greedy: bool) -> tuple[Any, ...]:
    directions = generator.directions
    direction = gr.Radio(
        list(directions), value=directions[0], label="Direction", visible=len(directions) > 1, elem_id="direction"
    )
    most = generator.most
    with gr.Row():
        tokens = gr.Slider(
            1, most, min(TOKENS, most), step=1, label="Length", info="tokens, at most", elem_id="tokens", min_width=150
        )
        temperature = gr.Slider(
            0, 2, 0 if greedy else TEMPERATURE, step=0.05, label="Temperature", elem_id="temperature", min_width=150,
            info="0: the likeliest token",
        )  # fmt: skip
    with gr.Accordion("More settings", open=False), gr.Row():
        top_k = gr.Slider(0, 100, 0, step=1, label="Top k", info="0: all tokens", elem_id="top-k", min_width=120)
        top_p = gr.Slider(0.05, 1, 1, step=0.05, label="Top p", info="1: all tokens", elem_id="top-p", min_width=120)
        seed = gr.Number(None, label="Seed", info="empty: a new one", precision=0, elem_id="seed", min_width=120)
    return direction, tokens, temperature, top_k, top_p, seed


def _wire(
    generator: Generator,
    examples: Sequence[Prompt],
    inputs: Inputs,
    buttons: Buttons,
    samples: gr.Dataset,
    truth: gr.State,
    outputs: list[Any],
) -> None:
    """Say what each control does. Only `/generate` is public: the rest belongs to this page."""

    def generate(
        prompt: str,
        max_new_tokens: int = TOKENS,
        temperature: float = TEMPERATURE,
        top_k: int = 0,
        top_p: float = 1.0,
        seed: int | None = None,
        direction: str | None = None,
    ) -> dict[str, Any]:
        """Continue a text: all of it in reading order, what is new, how many tokens, and why it ended."""
        try:
            drafts = generator.stream(
                prompt, max_new_tokens=max_new_tokens, temperature=temperature, top_k=top_k, top_p=top_p, seed=seed,
                direction=direction,
            )  # fmt: skip
        except Refused as refusal:
            raise gr.Error(str(refusal)) from refusal
        return [draft._asdict() for draft in drafts][-1]

    def show(*values: Any) -> Iterator[tuple[str, str]]:
        yield from _show(generator, *values)

    api(generate, api_name="generate", concurrency_limit=1, concurrency_id="model")
    started = gr.on(
        [buttons.generate.click, inputs.prompt.submit],
        show,
        [truth, *inputs],
        outputs,
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=1,
        concurrency_id="model",
    )
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    buttons.stop.click(lambda: line("Stopped."), None, outputs[0], cancels=[started], **quiet)
    buttons.clear.click(
        lambda: ("", Prompt("", ""), "", WAITING), None, [inputs.prompt, truth, *outputs], cancels=[started], **quiet
    )
    samples.click(
        lambda at: (examples[at].prompt, examples[at], "", WAITING), samples, [inputs.prompt, truth, *outputs],
        cancels=[started], **quiet,
    )  # fmt: skip


def _show(
    generator: Generator, known: Prompt, prompt: str, direction: str, tokens: int, temperature: float, top_k: int,
    top_p: float, seed: int | None,
) -> Iterator[tuple[str, str]]:  # fmt: skip
    """Yield the status and the text while it grows."""
    seed = secrets.randbelow(1 << 31) if seed is None else int(seed)
    began = shown = time.monotonic()
    try:
        drafts = generator.stream(
            prompt or "", max_new_tokens=int(tokens), temperature=temperature, top_k=int(top_k), top_p=top_p, seed=seed,
            direction=direction,
        )  # fmt: skip
    except Refused as refusal:
        yield line(str(refusal), "error"), WAITING
        return
    yield line("Reading …"), _text(prompt, "", direction)
    for draft in drafts:
        now = time.monotonic()
        if draft.ended:
            yield (
                line(_account(draft, now - began, seed if temperature else None)),
                _final(draft, prompt, direction, known),
            )
        elif now - shown > PAUSE:
            shown = now
            yield line(f"{draft.tokens:,} tokens …"), _text(prompt, draft.new, direction)


def _account(draft: Draft, seconds: float, seed: int | None) -> str:
    """Return what the visitor should know of a finished text."""
    count = f"{draft.tokens:,} token{'' if draft.tokens == 1 else 's'}"
    drawn = "" if seed is None else f" Seed {seed}."
    return f"{count} in {seconds:.1f} s: {ENDS[draft.ended]}.{drawn}"


def _final(draft: Draft, prompt: str, direction: str, known: Prompt) -> str:
    """Return the finished text, and whether it is what an example asked for."""
    text = _text(prompt, draft.new, direction)
    if not known.truth or prompt != known.prompt:
        return text
    right = draft.new.endswith(known.truth) if direction == "backward" else draft.new == known.truth
    verdict = '<span class="right">✓ right</span>' if right else '<span class="wrong">✗ missed</span>'
    return f'{text}<p class="verdict">Truth <b class="token">{escape(known.truth)}</b> {verdict}</p>'


def _text(prompt: str, new: str, direction: str) -> str:
    typed, written = f'<span class="typed">{escape(prompt)}</span>', f'<span class="written">{escape(new)}</span>'
    parts = (written, typed) if direction == "backward" else (typed, written)
    return f'<p class="grown">{"".join(parts)}</p>'
