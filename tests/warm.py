"""A shell in which `hubkit` starts at once: `python warm.py SOCKET` waits, with all that is slow to import in memory.

Each command is a process of its own with its own arguments, folder, environment and output, as in any shell; it only
begins as a copy of one that has imported the libraries already. What is being tested must not hang on that: a command
whose start is the point, or that needs other settings of huggingface_hub, is started as usual.
"""

import array
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = """#!{python} -IS
import array, json, os, socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]).encode()
server.sendmsg([len(asked).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))])
server.sendall(asked)
sys.exit(int(server.recv(8) or b"70"))
"""


@contextmanager
def warm(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Give a folder for PATH whose `hubkit` starts at once, with an environment's settings of huggingface_hub."""
    address, bin = folder / "socket", folder / "bin"
    bin.mkdir(parents=True)
    (bin / "hubkit").write_text(CLIENT.format(python=sys.executable, address=str(address)))
    (bin / "hubkit").chmod(0o755)
    command = [sys.executable, __file__, str(address)]
    server = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None and server.stdout.readline() == "ready\n"
        yield bin
    finally:
        server.terminate()
        server.wait()
        if server.stdout:
            server.stdout.close()


def serve(address: str) -> None:
    """Answer each connection by a process; print "ready" before the first."""
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while True:
            asking, _ = listening.accept()
            with asking:
                size, ancillary, _, _ = asking.recvmsg(8, socket.CMSG_SPACE(3 * 4))
                streams = array.array("i", ancillary[0][2]) if ancillary else array.array("i")
                asked = asking.makefile("rb").read(int.from_bytes(size, "big"))
                child = os.fork()
                if child == 0:
                    arguments, folder, environment = json.loads(asked)
                    become(arguments, folder, environment, list(streams))
                for stream in streams:
                    os.close(stream)
                status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
                asking.sendall(str(status if status >= 0 else 128 - status).encode())


def become(arguments: list[str], folder: str, environment: dict[str, str], streams: list[int]) -> None:
    """Be `hubkit` with these arguments; ends this process."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    sys.argv = ["hubkit", *arguments]
    from hubkit import cli

    try:
        cli.main()
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import what commands import, and serve."""
    from hubkit.train import calm_threads

    calm_threads()
    import datasets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    from transformers import RobertaForMaskedLM, TextGenerationPipeline  # noqa: F401

    import hubkit.corpora.build
    import hubkit.corpora.checking
    import hubkit.publishing
    import hubkit.training.launching
    import hubkit.training.run  # noqa: F401
    from hubkit import cli  # noqa: F401

    serve(sys.argv[1])


if __name__ == "__main__":
    main()
