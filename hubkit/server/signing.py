"""URLs that carry their own permission: signed, expiring, and bound to exactly one thing."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from pathlib import Path
from urllib.parse import urlencode

from hubkit.server.errors import ApiError
from hubkit.server.files import write_atomic

LIFETIME_S = 3600


class Signer:
    """Signs and checks with a key that lies beside the data, so that URLs survive a restart.

    Args:
        key: The secret key.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    @classmethod
    def of(cls, root: Path) -> Signer:
        """The signer of a hub; makes its key at the first start."""
        path = root / "signing.key"
        if not path.exists():
            write_atomic(path, secrets.token_bytes(32))
        return cls(path.read_bytes())

    def query(self, *parts: str | int, lifetime: float = LIFETIME_S) -> str:
        """The query string that permits what the parts name, until it expires."""
        expires = int(time.time() + lifetime)
        return urlencode({"expires": expires, "signature": self._sign(expires, parts)})

    def check(self, query: dict[str, str], *parts: str | int) -> None:
        """Checks the query string of a request.

        Raises:
            ApiError: 403 when it is not a permission for exactly these parts, or is too old.
        """
        text = query.get("expires", "")
        expires = int(text) if text.isascii() and text.isdigit() and len(text) < 16 else 0
        signature = query.get("signature", "")
        if not hmac.compare_digest(signature.encode(), self._sign(expires, parts).encode()):
            raise ApiError(403, "This URL was not signed by this hub for this object")
        if time.time() > expires:
            raise ApiError(403, "This URL has expired: ask for a new one")

    def _sign(self, expires: int, parts: tuple[str | int, ...]) -> str:
        # A separator that no part contains: ("a", "bc") and ("ab", "c") must differ.
        message = "\n".join([str(expires), *map(str, parts)])
        return hmac.new(self._key, message.encode(), hashlib.sha256).hexdigest()
