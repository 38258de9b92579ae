"""The command line: one file a group of verbs; each parses, calls and prints, and holds no logic."""

import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from hubkit import __version__
from hubkit.cli import (
    card,
    corpora,
    hub,
    lineage,
    models,
    prefetch,
    prompt,
    publishing,
    quickstart,
    releases,
    space,
    tokenizers,
    train,
    vary,
)
from hubkit.cli.output import set_up_libraries
from hubkit.ending import orderly_end
from hubkit.errors import UserError


class _Verbs(TyperGroup):
    """All commands; what stops one of them ends here, because Typer would end it without a word."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            fail("interrupted; the same command continues or starts over, nothing is lost", 130)
        except BrokenPipeError:
            # The reader of a pipe, such as `head`, has seen enough; there is nobody left to print to.
            with suppress(OSError):
                sys.stdout.close()
            sys.exit(141)


app = typer.Typer(
    name="hubkit",
    cls=_Verbs,
    help="From one written-down spec to a corpus, a model and a demo on the Hugging Face Hub.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(shown: bool) -> None:
    if shown:
        typer.echo(f"hubkit {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


quickstart.register(app)
corpora.register(app)
vary.register(app)
publishing.register(app)
releases.register(app)
train.register(app)
models.register(app)
prompt.register(app)
tokenizers.register(app)
prefetch.register(app)
lineage.register(app)
app.add_typer(card.app, name="card")
app.add_typer(space.app, name="space")
app.add_typer(hub.app, name="hub")


def main() -> None:
    """Run the command line; what a user can mend ends in one line on stderr and a non-zero exit status.

    SIGTERM and SIGHUP end it as Ctrl-C does, with what it started and its temporary folders.
    """
    set_up_libraries()
    try:
        with orderly_end():
            app()
    except UserError as error:
        fail(str(error), 1)


def fail(message: str, status: int) -> NoReturn:
    """Print one line on stderr and exit."""
    print(f"hubkit: {message}", file=sys.stderr)
    sys.exit(status)
