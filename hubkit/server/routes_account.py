"""Endpoints that concern no repository: who am I, is this card valid, is this the right server."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.responses import JSONResponse, Response

from hubkit.server import cards
from hubkit.server.context import Context, json_response
from hubkit.server.errors import bad_request
from hubkit.server.routing import Route


def whoami(context: Context) -> Response:
    """Tells the owner of the token."""
    identity = context.identity
    assert identity is not None
    token = {"displayName": identity.token_name, "role": identity.role, "createdAt": identity.created}
    answer: dict[str, Any] = {
        "type": "user",
        "id": hashlib.sha256(identity.user.encode()).hexdigest()[:24],
        "name": identity.user,
        "fullname": identity.user,
        "isPro": False,
        "canPay": False,
        "avatarUrl": "",
        "orgs": [],
        "auth": {"type": "access_token", "accessToken": token},
    }
    return json_response(answer)


def validate_yaml(context: Context) -> Response:
    """Checks the metadata of a README before it is committed."""
    content = context.body.get("content")
    if not isinstance(content, str):
        raise bad_request("'content' must be the text of a README")
    errors, warnings = cards.validate(content, str(context.body.get("repoType") or "model"))
    answer = {"errors": [{"message": text} for text in errors], "warnings": [{"message": text} for text in warnings]}
    return JSONResponse(answer, status_code=400 if errors else 200)


def health(context: Context) -> Response:
    """Tells which run of which server this is: a process id alone proves nothing."""
    return json_response({"instance": context.hub.instance})


ROUTES = [
    Route("GET", "/api/whoami-v2", whoami, access="account"),
    Route("POST", "/api/validate-yaml", validate_yaml, access="open", body="json"),
    Route("GET", "/api/hubkit/health", health, access="open"),
]
