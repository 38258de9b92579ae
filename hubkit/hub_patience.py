"""Patience with a Hub, on two levels: of one question whose answer is "not now", and of work that outlasts an outage.

:func:`be_patient` sits below huggingface_hub's client, so that it covers every question, also those of `datasets` and
`transformers`. It waits where a Hub answers that it is busy, as long as it is told to and some minutes at most; the
client itself repeats listings and uploads, but what it asks once, such as for a commit or a tag, would fail at the
first 429 of a busy hour. Nobody there at all is told at once: the address may be wrong. :func:`hub_api` gives a client
that is patient so.

:func:`patiently` sits above the client, around a whole piece of reading. It waits also while there is nobody, because
a run that has read from a Hub for hours knows the address to be right, and is worth more than some minutes.
"""

import logging
import threading
import time
from collections.abc import Callable
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from hubkit import __version__
from hubkit.hub_errors import explained, passes

if TYPE_CHECKING:
    import httpx2
    from huggingface_hub import HfApi

PATIENCE = 300.0
"""Seconds that one question waits, all in all; a Hub that asks for more has its answer shown to the user."""

TRIES = "hubkit_tries"
"""Name of a request's extension that says how often to ask at most, where that is less than usual."""

_UNDONE = (429, 503)
"""Answers of a Hub that has not begun: any question may be asked again."""
_PERHAPS_DONE = (500, 502, 504)
"""Answers after which only a question without consequences may be asked again."""
_TRIES = 6
_LONG = 5.0
"""From so many seconds on, the user is told why nothing happens."""
_ASKING = ("/paths-info/", "/preupload/", "/info/lfs/objects/batch")
"""Paths of the Hub's protocol that are asked by POST and change nothing."""

_WAITS = (5.0, 15.0, 45.0, 90.0)
"""Seconds between the attempts of a piece of reading; each of its questions is asked several times by itself."""

_log = logging.getLogger("hubkit")

Answer = TypeVar("Answer")


def hub_api() -> "HfApi":
    """Return a client for the Hub of HF_ENDPOINT, with the token of HF_TOKEN or of `hf auth login`; it is patient."""
    from huggingface_hub import HfApi

    be_patient()
    return HfApi(library_name="hubkit", library_version=__version__)


@cache
def be_patient() -> None:
    """Have huggingface_hub's client wait for a Hub that is busy; a second call changes nothing."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    class Patient(httpx2.Client):
        """Sends a question again where that is safe and of use."""

        def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            tries = request.extensions.get(TRIES, _TRIES)
            waited = 0.0
            for attempt in count(1):
                try:
                    response = super().send(request, **options)
                except httpx2.TransportError as error:
                    # Nobody there at all: the address may be wrong, which one should hear at once.
                    unreachable = isinstance(error, httpx2.ConnectError | httpx2.UnsupportedProtocol)
                    if unreachable or not _is_harmless(request) or attempt == tries:
                        raise
                    wait, why = _growing(attempt), type(error).__name__
                else:
                    asked = _asked_to_wait(request, response, attempt)
                    if asked is None or attempt == tries or waited + asked > PATIENCE:
                        return response
                    response.close()
                    wait, why = asked, f"HTTP {response.status_code}"
                if wait >= _LONG:
                    _log.warning("the Hub at %s is busy (%s); asking again in %.0f s", request.url.host, why, wait)
                time.sleep(wait)
                waited += wait
            raise AssertionError("the last attempt returns or raises")

    def factory() -> httpx2.Client:
        usual = default_client_factory()
        return Patient(event_hooks=usual.event_hooks, follow_redirects=usual.follow_redirects, timeout=usual.timeout)

    set_client_factory(factory)


def patiently(repo: str, ask: Callable[[], Answer]) -> Answer:
    """Return what a piece of reading gives; it is done again for some minutes while the Hub can't be reached.

    Args:
        repo: What is read, for messages.
        ask: Reads it, whole and from the beginning.

    Raises:
        UserError: The Hub did not come back, or refuses.
    """
    with explained(repo):
        for wait in _WAITS:
            try:
                return ask()
            except Exception as error:
                if not passes(error) or not _rested(wait):
                    raise
        return ask()


def _rested(seconds: float) -> bool:
    """Wait, and tell whether the program still goes on: where it ends, a thread that waits would hold it up."""
    end = time.monotonic() + seconds
    while (goes_on := threading.main_thread().is_alive()) and (left := end - time.monotonic()) > 0:
        time.sleep(min(left, 0.5))
    return goes_on


def _asked_to_wait(request: "httpx2.Request", response: "httpx2.Response", attempt: int) -> float | None:
    """Return the seconds after which the same question may get another answer; None if it is not to be asked again."""
    status = response.status_code
    again = status in _UNDONE or (status in _PERHAPS_DONE and _is_harmless(request))
    if not again or not _is_whole(request):
        return None
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(response.headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    stated = response.headers.get("retry-after", "")
    return float(stated) if stated.isdecimal() else _growing(attempt)


def _is_harmless(request: "httpx2.Request") -> bool:
    asks = request.method in ("GET", "HEAD") or any(part in request.url.path for part in _ASKING)
    return asks and _is_whole(request)


def _is_whole(request: "httpx2.Request") -> bool:
    """Tell whether the body can be sent once more: a stream that was read can't."""
    import httpx2

    return isinstance(request.stream, httpx2.ByteStream)


def _growing(attempt: int) -> float:
    return min(8.0, 0.5 * 2 ** (attempt - 1))
