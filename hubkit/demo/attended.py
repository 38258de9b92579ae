"""Runs the app of the current folder for as long as whoever started it lives.

`python attended.py`, with a pipe as stdin. Nothing is ever written to the pipe; it ends with the process that holds its
other end, however that one ended. The app itself finds what it would if it were run by `python app.py`, and nothing of
hubkit.
"""

import os
import runpy
import signal
import sys
import threading
import time

_PATIENCE = 10.0
"""Seconds that an app which handles signals itself has to end."""


def _watch() -> None:
    """Wait until the pipe ends, then end this process."""
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_PATIENCE)
    os._exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_watch, daemon=True).start()
    sys.path[0] = os.getcwd()
    sys.argv = ["app.py"]
    runpy.run_path("app.py", run_name="__main__")
