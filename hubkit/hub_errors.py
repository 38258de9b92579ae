"""Turns what the Hub's client raises into one line that a person can act on, and never shows a token."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from hubkit.errors import UserError

_SECRETS = re.compile(r"\b(?:hf|hubkit|api)_[A-Za-z0-9_-]{6,}|(?i:bearer|basic)\s+[^\s'\"]+|(?<=://)[^/@\s]+(?=@)")

AGAIN = "run the same command again"


class Moved(UserError):
    """A repository is no longer what a plan was made for; a new plan takes up what is there now."""

    def __init__(self, what: str):
        super().__init__(f"{what}: {AGAIN}")
        self.what = what
        """What happened, in words and without the mend."""


def moved_on(repo: str) -> Moved:
    """Return the error for a main branch that has a new commit since the plan was made."""
    return Moved(f"{repo} has moved on since the plan was made")


_BY_STATUS = {
    400: "the Hub at {hub} refused the request{said}",
    403: "the token may not write to {repo} on the Hub at {hub}{said}: it needs the write role for that owner",
    409: "the Hub at {hub} is busy with another change of {repo}: " + AGAIN,
    413: "the Hub at {hub} finds a file or the commit too large{said}",
    429: "the Hub at {hub} answers too many requests of yours: wait a few minutes, then " + AGAIN,
    507: "the disk of the Hub at {hub} is full; nothing was released: free some space there, then " + AGAIN,
}


def explain(error: BaseException, repo: str = "the repository") -> UserError:
    """Return the error to show for one that huggingface_hub, httpx or the file system raised.

    Args:
        error: What was raised; a `UserError` comes back as it is.
        repo: The repository that was worked on, for the message.
    """
    import httpx2
    from huggingface_hub import constants, errors

    if isinstance(error, UserError):
        return error
    if type(error) is RuntimeError and error.__cause__ is not None:  # "Error while uploading 'x' to the Hub."
        return explain(error.__cause__, repo)
    if isinstance(error, errors.HFValidationError):
        text = f"{redact(str(error))} Write OWNER/NAME"
    elif isinstance(error, errors.OfflineModeIsEnabled):
        text = f"HF_HUB_OFFLINE is set, so nothing can be sent to a Hub: unset it, then {AGAIN}"
    elif isinstance(error, errors.LocalTokenNotFoundError):
        text = "no token to publish with: set HF_TOKEN or type `hf auth login`"
    elif isinstance(error, errors.HfHubHTTPError) and error.response.status_code == 412:
        return moved_on(repo)
    elif isinstance(error, errors.HfHubHTTPError):
        text = _answered(error, repo)
    elif isinstance(error, (httpx2.HTTPError, httpx2.InvalidURL)):
        text = _unanswered(error)
    elif isinstance(error, OSError) and error.errno == errno.ENOSPC:
        text = f"the disk of this machine is full, where HF_HOME lies or beside it: free some space, then {AGAIN}"
    elif isinstance(error, OSError) and error.filename:
        text = f"can't read {error.filename}: {error.strerror}"
    elif "xet-write-token" in str(error):
        text = f"the Hub at {constants.ENDPOINT} takes no uploads through Xet: set HF_HUB_DISABLE_XET=1, then {AGAIN}"
    else:
        text = f"the Hub's client failed at {repo}: {redact(str(error)) or type(error).__name__}; {AGAIN}"
    return UserError(text)


@contextmanager
def explained(repo: str) -> Iterator[None]:
    """Run calls of the Hub's client; whatever they raise for reasons outside hubkit becomes a `UserError`."""
    import httpx2

    try:
        yield
    except UserError:
        raise
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise explain(error, repo) from None  # such errors quote requests, and requests carry the token
    except (OSError, RuntimeError, ValueError) as error:
        raise explain(error, repo) from error


def passes(error: BaseException) -> bool:
    """Tell whether the same question may be answered a little later: the network failed, or the Hub is overloaded."""
    import httpx2
    from huggingface_hub import errors

    if isinstance(error, errors.HfHubHTTPError):
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    return isinstance(error, httpx2.TransportError)


def redact(text: str) -> str:
    """Return a text on one line, with everything that looks like a token, or is the current one, made ``***``."""
    from huggingface_hub import get_token

    token = get_token()
    if token:
        text = text.replace(token, "***")
    return " ".join(_SECRETS.sub("***", text).split())


def _answered(error: Any, repo: str) -> str:
    """Say what an HTTP status means for somebody who publishes."""
    from huggingface_hub import errors

    response = error.response
    status, hub = response.status_code, _hub(error)
    said = redact(error.server_message or "")
    if status == 401:
        if "authorization" not in response.request.headers:
            return f"the Hub at {hub} wants a token for {repo}: set HF_TOKEN or type `hf auth login`"
        return f"the Hub at {hub} refused the token: set a valid HF_TOKEN or type `hf auth login`"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"the Hub at {hub} has no {repo}, or this token may not see it"
    if isinstance(error, errors.RevisionNotFoundError):
        return f"the Hub at {hub} does not have that revision of {repo}{': ' + said if said else ''}"
    known = _BY_STATUS.get(status)
    if known is None:
        kind = "failed" if status >= 500 else "refused the request"
        known = f"the Hub at {{hub}} {kind} (HTTP {status}){{said}}: {AGAIN}"
    return known.format(hub=hub, repo=repo, said=f" ({said})" if said else "")


def _unanswered(error: Any) -> str:
    """Say why there was no answer at all."""
    import httpx2

    hub = _hub(error)
    if isinstance(error, httpx2.TimeoutException):
        return f"the Hub at {hub} did not answer in time: {AGAIN}"
    if isinstance(error, httpx2.ConnectError):
        return f"can't reach the Hub at {hub} ({redact(str(error))}): is it running, and is HF_ENDPOINT right?"
    if isinstance(error, httpx2.LocalProtocolError):  # quotes the header, token and all
        return "the token holds characters that can't be sent: set HF_TOKEN again, without spaces or line breaks"
    if isinstance(error, (httpx2.UnsupportedProtocol, httpx2.InvalidURL)):
        return f"HF_ENDPOINT is not an address: {hub} (write http://HOST:PORT or https://HOST)"
    return f"the connection to the Hub at {hub} broke off ({redact(str(error)) or type(error).__name__}): {AGAIN}"


def _hub(error: Any) -> str:
    """Return the address of the Hub that an error speaks of."""
    from huggingface_hub import constants

    try:
        # The client's own errors lose their `request`, and those without an answer have no `response`.
        url = urlsplit(str(getattr(error, "response", error).request.url))
    except (RuntimeError, AttributeError):
        return redact(constants.ENDPOINT)
    return redact(f"{url.scheme}://{url.netloc}")
