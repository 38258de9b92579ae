"""`python -m hubkit.server`: serve a hub in the foreground."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from hubkit.server.process import DEFAULT_PORT, HubError, Status, default_root, serve


def main(arguments: list[str] | None = None) -> int:
    """Serves until Ctrl-C; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m hubkit.server", description="Serve a hub on this computer.")
    parser.add_argument("--root", type=Path, default=None, help="the hub's folder (default: the user's own hub)")
    parser.add_argument("--host", default="127.0.0.1", help="a loopback address (default: 127.0.0.1)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help=f"0 takes a free one (default: {DEFAULT_PORT})")
    options = parser.parse_args(arguments)
    try:
        serve(options.root or default_root(), options.host, options.port, _announce)
    except HubError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _announce(status: Status) -> None:
    print(f"Serving {status.root} at {status.url} (Ctrl-C to stop)", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
