"""Who may do what: access tokens, of which the server keeps only the sha256."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import secrets
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from hubkit.server.errors import HubError
from hubkit.server.files import Locks, write_atomic, write_json
from hubkit.server.paths import is_name

Role = Literal["read", "write"]

DEFAULT_USER = "lab"
_PREFIX = "hubkit_"


@dataclass(frozen=True)
class Identity:
    """Who a valid token belongs to.

    Attributes:
        user: The user name; commits carry it.
        role: `read` or `write`.
        token_name: What the token was called when it was made.
        created: When the token was made (ISO 8601).
    """

    user: str
    role: Role
    token_name: str
    created: str

    @property
    def may_write(self) -> bool:
        """Whether the token may change anything."""
        return self.role == "write"


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


class TokenStore:
    """The tokens of one hub, in `tokens.json`; the local user's own token lies in plain text in `token`, mode 0600.

    Args:
        root: The hub's folder.
    """

    def __init__(self, root: Path) -> None:
        self._file = root / "tokens.json"
        self._own = root / "token"
        self._locks = Locks(root / "locks")
        self._guard = threading.Lock()
        self._seen: tuple[int, int] | None = None
        self._known: dict[str, Identity] = {}

    def ensure_own(self) -> str:
        """Returns the local user's own write token; makes one where there is none or where it is no longer valid."""
        token = self.own()
        if token and self.identify(token):
            os.chmod(self._own, 0o600)
            return token
        token = self.add(DEFAULT_USER, "write", "owner")
        write_atomic(self._own, token.encode() + b"\n")
        return token

    def own(self) -> str | None:
        """The local user's own token, if there is one."""
        try:
            return self._own.read_text(encoding="utf-8").strip() or None
        except FileNotFoundError:
            return None

    def add(self, user: str, role: Role, name: str) -> str:
        """Makes a token and returns it: the only time that it is seen in plain text.

        Args:
            user: The user name that commits and `whoami` show.
            role: `read` or `write`.
            name: What to call the token, so that it can be told apart and revoked.

        Raises:
            HubError: If the role or the user name is not valid.
        """
        if role not in ("read", "write"):
            raise HubError(f"Unknown role {role!r}: use 'read' or 'write'")
        if not is_name(user):
            raise HubError(f"Invalid user name {user!r}: use letters, digits, '-', '_' and '.'")
        token = _PREFIX + secrets.token_hex(24)
        created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        record = {"sha256": _digest(token), "user": user, "role": role, "name": name, "created": created}
        with self._locks.hold("tokens"):
            write_json(self._file, {"tokens": [*self._read(), record]})
        return token

    def revoke(self, name: str) -> int:
        """Removes every token of that name; returns how many there were."""
        with self._locks.hold("tokens"):
            records = self._read()
            kept = [record for record in records if record["name"] != name]
            if len(kept) < len(records):
                write_json(self._file, {"tokens": kept})
        return len(records) - len(kept)

    def identities(self) -> list[Identity]:
        """All tokens' owners, oldest first."""
        return [self._identity(record) for record in self._read()]

    def identify(self, token: str) -> Identity | None:
        """Returns whose token this is, or None. Follows changes of the file, so revoking needs no restart."""
        try:
            info = self._file.stat()
        except FileNotFoundError:
            return None
        stamp = (info.st_mtime_ns, info.st_ino)
        with self._guard:
            if stamp != self._seen:
                self._known = {record["sha256"]: self._identity(record) for record in self._read()}
                self._seen = stamp
            return self._known.get(_digest(token))

    def _read(self) -> list[dict]:
        try:
            return json.loads(self._file.read_bytes())["tokens"]
        except FileNotFoundError:
            return []
        except (ValueError, KeyError, TypeError):
            raise HubError(f"{self._file} is damaged: remove it, and a new token is made at the next start") from None

    @staticmethod
    def _identity(record: dict) -> Identity:
        return Identity(record["user"], record["role"], record["name"], record["created"])
