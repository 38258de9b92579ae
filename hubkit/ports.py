"""Which port a server on this machine can have."""

import socket


def free_port(*wanted: int) -> int | None:
    """Return the first of these ports on 127.0.0.1 that nobody listens on (0: any), or None if all are taken."""
    for port in wanted:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return probe.getsockname()[1]
    return None
