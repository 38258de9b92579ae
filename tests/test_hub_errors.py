"""Errors of the client become one line that helps, and no token is ever in it."""

import httpx2
import pytest
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, OfflineModeIsEnabled
from huggingface_hub.utils import hf_raise_for_status

from hubkit.errors import UserError
from hubkit.hub_errors import explain, explained, redact

TOKEN = "hf_" + "aB3" * 12
URL = "https://hub.example/api/datasets/lab/x/commit/main"


def answer(status: int, **headers: str) -> HfHubHTTPError:
    request = httpx2.Request("POST", URL, headers={"Authorization": f"Bearer {TOKEN}"})
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    with pytest.raises(HfHubHTTPError) as caught:
        hf_raise_for_status(httpx2.Response(status, request=request, headers=names))
    return caught.value


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (answer(401, X_Error_Message="Invalid credentials in Authorization header"), "refused the token"),
        (answer(403, X_Error_Message=f"no {TOKEN}"), "may not write to lab/x"),
        (answer(404, X_Error_Code="RepoNotFound"), "has no lab/x"),
        (answer(404, X_Error_Code="RevisionNotFound"), "does not have that revision"),
        (answer(409), "busy"),
        (answer(412), "lab/x has moved on since the plan was made: run the same command again"),
        (answer(413), "too large"),
        (answer(429), "too many requests"),
        (answer(500), "HTTP 500"),
        (answer(507), "disk of the Hub at https://hub.example is full"),
        (answer(418), "HTTP 418"),
        (httpx2.ConnectError("[Errno 111] Connection refused"), "can't reach the Hub"),
        (httpx2.ReadTimeout("slow"), "did not answer in time"),
        (httpx2.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'"), "characters that can't be sent"),
        (httpx2.UnsupportedProtocol("x"), "HF_ENDPOINT"),
        (httpx2.RemoteProtocolError(f"Bearer {TOKEN}"), "broke off"),
        (HFValidationError(f"Repo id must be: '{TOKEN}'."), "OWNER/NAME"),
        (OfflineModeIsEnabled("x"), "HF_HUB_OFFLINE"),
        (ValueError(f"Invalid metadata in README.md. {TOKEN}"), "Invalid metadata"),
        (RuntimeError(f"404 for http://x/api/models/lab/x/xet-write-token/main {TOKEN}"), "set HF_HUB_DISABLE_XET=1"),
        (PermissionError(13, "Permission denied", "data/x"), "can't read data/x: Permission denied"),
    ],
)
def test_what_can_go_wrong_is_explained_in_one_line(error: Exception, word: str) -> None:
    shown = explain(error, "lab/x")
    assert isinstance(shown, UserError)
    assert word in str(shown)
    assert TOKEN not in str(shown)
    assert "\n" not in str(shown)


def test_the_error_inside_an_upload_error_is_the_one_that_is_explained() -> None:
    try:
        raise RuntimeError("Error while uploading 'x' to the Hub.") from answer(507)
    except RuntimeError as error:
        assert "is full" in str(explain(error))


def test_an_answer_without_a_token_asks_for_one() -> None:
    request = httpx2.Request("GET", "https://hub.example/api/datasets/lab/x")
    with pytest.raises(HfHubHTTPError) as caught:
        hf_raise_for_status(httpx2.Response(401, request=request))
    assert "wants a token" in str(explain(caught.value, "lab/x"))


def test_our_own_errors_pass_and_bugs_stay_bugs() -> None:
    ours = UserError("mend this")
    assert explain(ours) is ours
    with pytest.raises(UserError, match="mend this") as caught, explained("lab/x"):
        raise ours
    assert caught.value is ours
    with pytest.raises(ZeroDivisionError), explained("lab/x"):
        _ = 1 / 0


def test_tokens_of_every_spelling_are_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "an-odd-secret-of-mine")
    text = redact(f"a {TOKEN} b Bearer odd.one c http://me:word@host/ d an-odd-secret-of-mine e")
    assert text == "a *** b *** c http://***@host/ d *** e"
