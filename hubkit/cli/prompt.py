"""`hubkit prompt`: type to a model in the terminal."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hubkit.cli.output import next_step, say, show
from hubkit.errors import UserError

if TYPE_CHECKING:
    from hubkit.models.streaming import Draft
    from hubkit.prompting import Generator


_GROWTH = ("max_new_tokens", "temperature", "top_k", "top_p", "seed", "direction")
"""Options that say how a text grows, which a masked model does not write."""


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command("prompt")(prompt)


def prompt(
    context: typer.Context,
    model: Annotated[str, typer.Argument(help="OWNER/NAME[@REVISION] on the Hub, or a model folder.")],
    text: Annotated[
        str | None, typer.Argument(help="What to continue (default: asked for, or lines of stdin).")
    ] = None,
    revision: Annotated[str | None, typer.Option(help="Revision of the model (default: newest).")] = None,
    max_new_tokens: Annotated[int, typer.Option(min=1, help="Tokens to generate, at most.")] = 100,
    temperature: Annotated[float, typer.Option(min=0, help="0 takes the likeliest token each time.")] = 1.0,
    top_k: Annotated[int, typer.Option(min=0, help="Draw from so many likeliest tokens; 0 is all.")] = 0,
    top_p: Annotated[float, typer.Option(help="Draw from the likeliest tokens of this total probability.")] = 1.0,
    seed: Annotated[int | None, typer.Option(help="The same seed, the same text (default: a new one).")] = None,
    direction: Annotated[
        str | None, typer.Option(help="forward or backward, for a model of both (default: the model's own).")
    ] = None,
    trust_remote_code: Annotated[
        bool, typer.Option("--trust-remote-code", help="Run code that the model brings along.")
    ] = False,
) -> None:
    """Continue a text with a model, or fill its masks.

    A backward model writes what comes before the text. Without TEXT each line that you type is one prompt; Ctrl-D ends.
    The text is taken as it is: a model of rows like {AAB,AAAAB} is asked by {AAB,
    """
    from transformers.utils.logging import disable_progress_bar

    from hubkit.prompting import find_model, load_generator

    disable_progress_bar()  # of the weights, which would stand above the first line
    generator = load_generator(find_model(model, revision), trust_remote_code)
    if generator.kind == "masked":
        _refuse_settings(context)
    settings = {
        "max_new_tokens": max_new_tokens, "temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed,
        "direction": direction,
    }  # fmt: skip
    if text is None and sys.stdin.isatty():
        _talk(generator, settings)
        return
    try:
        for line in sys.stdin if text is None else [text]:
            _answer(generator, line.rstrip("\n"), settings)
    except KeyboardInterrupt:  # what there is has been printed
        raise typer.Exit(130) from None
    if text is not None:
        local = Path(model).is_dir()
        next_step(f"hubkit publish {model} OWNER/NAME" if local else f"hubkit space deploy OWNER/SPACE --model {model}")


def _refuse_settings(context: typer.Context) -> None:
    """Refuse options about how a text grows, for a model that fills masks.

    Raises:
        UserError: Names the first that was given.
    """
    for parameter in context.command.params:
        name = parameter.name or ""
        source = context.get_parameter_source(name)
        if name in _GROWTH and source is not None and source.name != "DEFAULT":
            option = parameter.opts[0]
            raise UserError(
                f"{option}: this model fills masks and writes no text, so it means nothing here; leave it out"
            )


def _talk(generator: "Generator", settings: dict[str, Any]) -> None:
    """Answer line after line until the user has enough; a wrong line is explained and the next one asked for."""
    say(_welcome(generator))
    while True:
        try:
            line = input("> ")
        except (EOFError, KeyboardInterrupt):
            say()
            return
        try:
            _answer(generator, line, settings)
        except UserError as error:
            say(f"hubkit: {error}")
        except KeyboardInterrupt:  # the answer is long enough
            say()


def _welcome(generator: "Generator") -> str:
    if generator.kind == "masked":
        return f"Write {generator.tokenizer.mask_token} for each token to fill in. Ctrl-D ends."
    grows = " and ".join(
        {"forward": "what follows your line", "backward": "what comes before your line"}[direction]
        for direction in generator.directions
    )
    return f"The model writes {grows}. Ctrl-C stops an answer, Ctrl-D ends."


def _answer(generator: "Generator", text: str, settings: dict[str, Any]) -> None:
    """Print what the model makes of a text."""
    if generator.kind == "masked":
        for number, guesses in enumerate(generator.fill(text), 1):
            show("\t".join([f"mask {number}", *(f"{guess.token} {guess.probability:.1%}" for guess in guesses)]))
        return
    backward = (settings["direction"] or generator.directions[0]) == "backward"
    drafts = generator.stream(text, **settings)
    if not backward:
        _append(drafts, text)
    elif sys.stdout.isatty():
        _redraw(drafts)
    else:
        show([draft.text for draft in drafts][-1])


def _append(drafts: "Iterator[Draft]", prompt: str) -> None:
    """Print a text that grows to the right."""
    written = 0
    _write(prompt)
    try:
        for draft in drafts:
            _write(draft.new[written:])
            written = len(draft.new)
    finally:
        _write("\n")


def _redraw(drafts: "Iterator[Draft]") -> None:
    """Print a text that grows to the left: its beginning on one line that is written again, then all of it."""
    draft = None
    try:
        for draft in drafts:
            width = shutil.get_terminal_size().columns - 1
            _write("\r\x1b[K" + " ".join(draft.text.split())[:width])
    finally:
        _write("\r\x1b[K" + (draft.text if draft else "") + "\n")


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()
