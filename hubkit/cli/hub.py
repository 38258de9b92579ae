"""`hubkit hub …`: the embedded Hub."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from hubkit.cli.output import next_step, say, show, show_json
from hubkit.errors import UserError
from hubkit.server import process

app = typer.Typer(help="The embedded Hub: the Hub's own protocol, on this machine.", no_args_is_help=True)

Root = Annotated[Path | None, typer.Option("--root", help="The hub's folder (default: the user's own hub).")]
Host = Annotated[str, typer.Option(help="A loopback address.")]
Port = Annotated[int, typer.Option(help="0 takes a free one.")]


@contextmanager
def _explained() -> Iterator[None]:
    """The server's package knows nothing of hubkit's, so its errors are taken over here."""
    try:
        yield
    except process.HubError as error:
        raise UserError(str(error)) from None


@app.command()
def serve(root: Root = None, host: Host = "127.0.0.1", port: Port = process.DEFAULT_PORT) -> None:
    """Serve in the foreground until Ctrl-C."""
    with _explained():
        process.serve(
            root or process.default_root(), host, port, lambda status: say(f"serving {status.root} at {status.url}")
        )


@app.command()
def start(root: Root = None, host: Host = "127.0.0.1", port: Port = process.DEFAULT_PORT) -> None:
    """Start in the background; does nothing where it runs already."""
    with _explained():
        status = process.start(root or process.default_root(), host, port)
    show(status.url)
    next_step(f'eval "$(hubkit hub env{_same_root(root)})"')


@app.command()
def stop(root: Root = None) -> None:
    """Stop the one in the background."""
    with _explained():
        stopped = process.stop(root or process.default_root())
    say("stopped" if stopped else "no hub was running")


@app.command("status")
def status_(root: Root = None, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Say whether it runs, and where; exit status 3 where it does not."""
    given, root = root, root or process.default_root()
    with _explained():
        status = process.status(root)
    if as_json:
        show_json({"running": status is not None, "url": status.url if status else None, "root": str(root)})
    elif status:
        show(f"{status.url} serves {status.root} (process {status.pid}, since {status.started})")
    else:
        show(f"no hub serves {root}")
        next_step(f"hubkit hub start{_same_root(given)}")
    if status is None:
        raise typer.Exit(3)


@app.command()
def env(root: Root = None) -> None:
    """Print the shell lines that point every Hub client at it: eval "$(hubkit hub env)"."""
    with _explained():
        variables = process.client_environment(root or process.default_root())
    for name, value in variables.items():
        show(f"export {name}={shlex.quote(value)}")


def _same_root(root: Path | None) -> str:
    return f" --root {shlex.quote(str(root))}" if root else ""
