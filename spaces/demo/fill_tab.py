"""The tab "Fill masks": a world to edit, the model's answer to its masks, and its trajectory."""

from collections.abc import Sequence
from html import escape
from typing import Any, NamedTuple

import gradio as gr
from gradio.events import api

import plots
import worlds
from examples import Example
from filling import Filler, Refused
from status import line

INTRODUCTION = (
    "A world is one or more Lorenz systems and what was observed of them. Hide numbers behind "
    "<code>{mask}</code> – each stands for one token: a digit or a pair of digits – and the model infers them "
    "from the rest."
)
WAITING = '<p class="quiet waiting">Press <b>Fill masks</b> to see what the model puts in their place.</p>'


class Inputs(NamedTuple):
    """What the visitor edits and presses."""

    text: gr.Textbox
    fill: gr.Button
    sigma: gr.Button
    clear: gr.Button
    samples: gr.Dataset
    status: gr.HTML


class Outputs(NamedTuple):
    """What an answer is shown in, in the order in which `_show` returns it."""

    status: gr.HTML
    answer: gr.State
    masks: gr.HTML
    chosen: gr.Dropdown
    chart: gr.HTML
    table: gr.HTML
    filled: gr.Textbox
    trajectory: gr.HTML


def build(filler: Filler, examples: Sequence[Example]) -> None:
    """Lay the tab out inside the current tab of a page and wire it.

    Args:
        filler: The model.
        examples: Worlds to start from; the first is shown at once.
    """
    first = examples[0]
    original = gr.State(first.original)
    gr.HTML(f'<p class="introduction">{INTRODUCTION.format(mask=escape(filler.mask))}</p>')
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=320):
            inputs = _lay_inputs(first, examples)
            filled = gr.Textbox(
                label="Filled world", lines=4, max_lines=12, visible=False, buttons=["copy"], elem_id="filled"
            )
        with gr.Column(scale=1, min_width=320):
            shown = _lay_answer()
    trajectory = gr.HTML(_draw(first.text, filler.mask), elem_id="trajectory")
    outputs = Outputs(inputs.status, *shown, filled, trajectory)
    _wire(filler, examples, inputs, outputs, original)


def _lay_inputs(first: Example, examples: Sequence[Example]) -> Inputs:
    text = gr.Textbox(
        first.text,
        label="World",
        lines=10,
        max_lines=10,
        placeholder="{'description': {'num_sys': 1, 'sys0': {'params': [?.05, …",
        elem_id="world",
        html_attributes=gr.InputHTMLAttributes(spellcheck=False, autocapitalize="off", autocorrect="off"),
    )
    with gr.Row(elem_classes="buttons"):
        fill = gr.Button("Fill masks", variant="primary", elem_id="fill", min_width=90)
        sigma = gr.Button("Mask σ", elem_id="sigma", min_width=90)
        clear = gr.Button("Clear", elem_id="clear", min_width=90)
    status = gr.HTML("", elem_id="status")
    samples = gr.Dataset(
        label="Examples",
        components=[text],
        samples=[[example.text] for example in examples],
        sample_labels=[example.label for example in examples],
        type="index",
        elem_id="examples",
    )
    return Inputs(text, fill, sigma, clear, samples, status)


def _lay_answer() -> tuple[gr.State, gr.HTML, gr.Dropdown, gr.HTML, gr.HTML]:
    answer = gr.State(None)
    masks = gr.HTML(WAITING, elem_id="masks")
    chosen = gr.Dropdown(label="Probabilities at", choices=[], visible=False, elem_id="chosen", filterable=False)
    chart = gr.HTML("", elem_id="chart")
    table = gr.HTML("", elem_id="table")
    return answer, masks, chosen, chart, table


def _wire(filler: Filler, examples: Sequence[Example], inputs: Inputs, outputs: Outputs, original: gr.State) -> None:
    """Say what each control does. Only `/fill` is public: the rest belongs to this page."""

    def fill(text: str) -> dict[str, Any]:
        """Fill the masks of a text; each mask gets its likeliest tokens with their probabilities."""
        try:
            return filler.fill(text)
        except Refused as refusal:
            raise gr.Error(str(refusal)) from refusal

    api(fill, api_name="fill", concurrency_limit=1, concurrency_id="model")
    gr.on(
        [inputs.fill.click, inputs.text.submit],
        lambda text, known: _show(filler, text, known),
        [inputs.text, original],
        list(outputs),
        api_visibility="private",
        show_progress="minimal",
        show_progress_on=outputs.masks,
        concurrency_limit=1,
        concurrency_id="model",
    )
    quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    edited = [inputs.text, original, *outputs]
    outputs.chosen.input(_choose, [outputs.answer, outputs.chosen], [outputs.chart, outputs.table], **quiet)
    inputs.sigma.click(
        lambda text, known: _hide(filler, text, known), [inputs.text, original], [inputs.text, original, inputs.status],
        **quiet,
    )  # fmt: skip
    inputs.clear.click(lambda: ("", "", *_nothing("")), None, edited, **quiet)
    inputs.samples.click(
        lambda at: (examples[at].text, examples[at].original, *_nothing(_draw(examples[at].text, filler.mask))),
        inputs.samples,
        edited,
        **quiet,
    )


def _show(filler: Filler, text: str, original: str) -> tuple[Any, ...]:
    """Fill a text and return what each part of `Outputs` becomes."""
    text = text or ""
    try:
        answer = filler.fill(text)
    except Refused as refusal:
        return (line(str(refusal), "error"), *_nothing(_draw(text, filler.mask, quiet=True))[1:])
    hidden = filler.hidden(original, text) if original else []
    for at, mask in enumerate(answer["masks"]):
        mask["truth"] = hidden[at] if at < len(hidden) else None
    count = len(answer["masks"])
    choices = [(f"Mask {mask['index']}:  {mask['context']}", mask["index"]) for mask in answer["masks"]]
    return (
        line(f"{count} mask{'s' if count > 1 else ''} filled; {answer['length']:,} tokens read."),
        answer,
        _mask_table(answer["masks"]),
        gr.Dropdown(choices=choices, value=1, visible=True),
        *_choose(answer, 1),
        gr.Textbox(answer["filled"], visible=True),
        _draw(text, filler.mask, answer["filled"]),
    )


def _nothing(trajectory: str) -> tuple[Any, ...]:
    """Return what `Outputs` becomes when there is no answer."""
    chosen = gr.Dropdown(choices=[], value=None, visible=False)
    return ("", None, WAITING, chosen, "", "", gr.Textbox("", visible=False), trajectory)


def _hide(filler: Filler, text: str, original: str) -> tuple[str, str, str]:
    """Mask σ; a world without masks becomes the one that its predictions are compared with."""
    try:
        masked = worlds.mask_sigma(text or "", filler.mask, filler.count_tokens)
    except ValueError as problem:
        return text, original, line(str(problem), "error")
    return masked, original if filler.mask in text else text, ""


def _choose(answer: dict[str, Any] | None, index: int | None) -> tuple[str, str]:
    """Return the chart and the table of one mask."""
    if not answer or not index:
        return "", ""
    mask = answer["masks"][index - 1]
    pairs = [(token["token"], token["probability"]) for token in mask["tokens"]]
    return plots.bars(pairs, mask["truth"]), _token_table(pairs, mask["truth"])


def _mask_table(masks: Sequence[dict[str, Any]]) -> str:
    """Return a row for each mask: what the model puts there, and what stood there where that is known."""
    known = any(mask["truth"] is not None for mask in masks)
    rows = []
    for mask in masks:
        probability = next((pair["probability"] for pair in mask["tokens"] if pair["token"] == mask["filled"]), 0.0)
        cells = [str(mask["index"]), f"<code>{escape(mask['context'])}</code>"]
        cells += [f'<b class="token">{escape(mask["filled"])}</b>', plots.percent(probability)]
        if known:
            cells.append(_verdict(mask["filled"], mask["truth"]))
        rows.append(cells)
    head = ["Mask", "Where", "Prediction", "Probability"] + ["Truth"] * known
    return _table(head, rows)


def _verdict(filled: str, truth: str | None) -> str:
    if truth is None:
        return "–"
    right = filled == truth
    sign = '<span class="right">✓ right</span>' if right else '<span class="wrong">✗ missed</span>'
    return f'<b class="token">{escape(truth)}</b> {sign}'


def _token_table(pairs: Sequence[tuple[str, float]], truth: str | None) -> str:
    rows = []
    for rank, (token, probability) in enumerate(pairs, 1):
        mark = ' <span class="truth">truth</span>' if token == truth else ""
        rows.append([str(rank), f"<code>{escape(token)}</code>{mark}", plots.percent(probability)])
    table = _table(["Rank", "Token", "Probability"], rows)
    return f"<details><summary>Table of the {len(rows)} likeliest tokens</summary>{table}</details>"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return an HTML table; the cells are HTML already."""
    top = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="scroll"><table class="tidy"><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _draw(text: str, mask: str, filled: str | None = None, quiet: bool = False) -> str:
    """Return the trajectory of a world, or (unless `quiet`) why it can't be drawn."""
    try:
        trajectory = worlds.read_trajectory(text, mask, filled)
    except ValueError as problem:
        if quiet:
            return ""
        return f'<h3>Trajectory</h3><p class="quiet">It can’t be drawn. {escape(str(problem))}</p>'
    figures = plots.steps(trajectory.values, trajectory.guesses)
    if len(trajectory.values[0]) > 1:
        figures += plots.orbit(trajectory.values, trajectory.guesses)
    note = f'<p class="quiet">{escape(trajectory.note)}</p>' if trajectory.note else ""
    return f'<h3>Trajectory</h3>{note}<div class="figures">{figures}</div>'
