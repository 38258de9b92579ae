"""Waits where a Hub asks for it: below its client, so that every question of huggingface_hub and datasets is covered.

The client itself repeats listings and uploads; what it asks once, such as for a commit or a tag, would fail at the
first 429 of a busy hour.
"""

import logging
import time
from functools import cache
from itertools import count
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx2

PATIENCE = 300.0
"""Seconds that one question waits, all in all; a Hub that asks for more has its answer shown to the user."""

_UNDONE = (429, 503)
"""Answers of a Hub that has not begun: any question may be asked again."""
_PERHAPS_DONE = (500, 502, 504)
"""Answers after which only a question without consequences may be asked again."""
_TRIES = 6
_LONG = 5.0
"""From so many seconds on, the user is told why nothing happens."""
_ASKING = ("/paths-info/", "/preupload/", "/info/lfs/objects/batch")
"""Paths of the Hub's protocol that are asked by POST and change nothing."""

_log = logging.getLogger("hubkit")


@cache
def be_patient() -> None:
    """Have huggingface_hub's client wait for a Hub that is busy; a second call changes nothing."""
    import httpx2
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils._http import default_client_factory

    class Patient(httpx2.Client):
        """Sends a question again where that is safe and of use."""

        def send(self, request: httpx2.Request, **options: Any) -> httpx2.Response:
            waited = 0.0
            for attempt in count(1):
                try:
                    response = super().send(request, **options)
                except httpx2.TransportError as error:
                    # Nobody there at all: the address may be wrong, which one should hear at once.
                    unreachable = isinstance(error, httpx2.ConnectError | httpx2.UnsupportedProtocol)
                    if unreachable or not _is_harmless(request) or attempt == _TRIES:
                        raise
                    wait, why = _growing(attempt), type(error).__name__
                else:
                    asked = _asked_to_wait(request, response, attempt)
                    if asked is None or attempt == _TRIES or waited + asked > PATIENCE:
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
