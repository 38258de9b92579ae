"""A shell in which `hubkit` starts at once: `python warm.py SOCKET` waits, with all that is slow to import in memory.

Each command is a process of its own with its own arguments, folder, environment and output, as in any shell; it only
begins as a copy of one that has imported the libraries already. So do the commands of hubkit that such a command starts
in its turn. What is being tested must not hang on that: a command whose start is the point, that is to hear signals, or
that needs other settings of huggingface_hub, is started as usual.
"""

import array
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLIENT = """#!{python} -IS
import array, json, os, socket, sys
program, *arguments = sys.argv
module = "hubkit" if program.endswith("hubkit") else arguments[1] if arguments[:1] == ["-m"] else ""
if module not in {modules!r}:
    os.execv({python!r}, [{python!r}, *arguments])
arguments = arguments if program.endswith("hubkit") else arguments[2:]
server = socket.socket(socket.AF_UNIX)
server.connect({address!r})
asked = json.dumps([module, arguments, os.getcwd(), dict(os.environ)]).encode()
server.sendmsg([len(asked).to_bytes(8, "big")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", (0, 1, 2)))])
server.sendall(asked)
sys.exit(int(server.recv(8) or b"70"))
"""
"""What `hubkit` is in such a shell, and what commands in it take for Python."""
MODULES = ("hubkit", "hubkit.publishing.loading")
"""What starts at once, also by `python -m`; all else that is asked of Python is left to it."""


@contextmanager
def warm(folder: Path, environment: dict[str, str]) -> Iterator[Path]:
    """Give a folder for PATH whose `hubkit` starts at once, with an environment's settings of huggingface_hub."""
    address, bin = folder / "socket", folder / "bin"
    bin.mkdir(parents=True)
    for path in (bin / "hubkit", folder / "python"):
        path.write_text(CLIENT.format(python=sys.executable, modules=MODULES, address=str(address)))
        path.chmod(0o755)
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
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those processes
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(address)
        listening.listen()
        print("ready", flush=True)
        while True:
            asking, _ = listening.accept()
            with asking:
                if os.fork() == 0:
                    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                    listening.close()
                    answer(asking, str(Path(address).with_name("python")))


def answer(asking: socket.socket, python: str) -> None:
    """Run the command that a connection asks for, and tell its exit status; ends this process."""
    size, ancillary, _, _ = asking.recvmsg(8, socket.CMSG_SPACE(3 * 4))
    streams = array.array("i", ancillary[0][2])
    module, arguments, folder, environment = json.loads(asking.makefile("rb").read(int.from_bytes(size, "big")))
    child = os.fork()
    if child == 0:
        asking.close()
        become(module, arguments, folder, environment, list(streams), python)
    for stream in streams:
        os.close(stream)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    asking.sendall(str(status if status >= 0 else 128 - status).encode())
    os._exit(0)


def become(
    module: str, arguments: list[str], folder: str, environment: dict[str, str], streams: list[int], python: str
) -> None:
    """Be `python -m` some module with these arguments; ends this process."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ |= environment
    sys.argv, sys.executable = [module, *arguments], python
    warnings.filterwarnings("ignore", ".* found in sys.modules", RuntimeWarning)
    try:
        if module == "hubkit":
            from hubkit import cli

            cli.main()
        else:
            runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    else:
        code = 0
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def main() -> None:
    """Import what commands import, and serve."""
    from hubkit.cores import calm_threads

    calm_threads()
    import datasets  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    from transformers import GPTNeoXForCausalLM, RobertaForMaskedLM, TextGenerationPipeline  # noqa: F401

    import hubkit.corpora.build
    import hubkit.corpora.checking
    import hubkit.models.minigpt.modeling_minigpt
    import hubkit.models.numeric_roberta.modeling_numeric_roberta
    import hubkit.publishing
    import hubkit.publishing.loading
    import hubkit.training.launching
    import hubkit.training.run  # noqa: F401
    from hubkit import cli  # noqa: F401

    serve(sys.argv[1])


if __name__ == "__main__":
    main()
