"""Basic auth against bcrypt hashes. An unknown user takes as long to reject as a wrong password."""

import asyncio
import base64
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import bcrypt
from pydantic import SecretStr

_MOST_REJECTED: Final = 256
_LONGEST_PASSWORD: Final = 72  # bytes; bcrypt ignores the rest, and Go accepts longer ones


class Logins:
    """Checks logins and caches the results by a keyed digest, so that no password is kept in memory."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._accepted: set[bytes] = set()
        self._rejected: OrderedDict[bytes, None] = OrderedDict()  # oldest first
        self._one_at_a_time = asyncio.Lock()  # bcrypt is slow by design: attackers must not occupy all cores

    async def allows(self, authorization: str, users: Mapping[str, SecretStr]) -> bool:
        """Whether this Authorization header is the login of one of these users."""
        login = _login(authorization)
        if login is None:
            return False
        user, password = login
        hashed = users[user].get_secret_value() if user in users else _unmatchable(users)
        digest = hmac.digest(self._key, repr((user, hashed, password)).encode(), "sha256")
        if digest not in self._accepted and digest not in self._rejected:
            async with self._one_at_a_time:
                accepted = await asyncio.to_thread(_matches, password, hashed)
            self._remember(digest, accepted=accepted and user in users)
        return digest in self._accepted

    def _remember(self, digest: bytes, *, accepted: bool) -> None:
        if accepted:
            self._accepted.add(digest)
            return
        self._rejected[digest] = None
        if len(self._rejected) > _MOST_REJECTED:
            self._rejected.popitem(last=False)


def _login(authorization: str) -> tuple[str, str] | None:
    """Read user and password from a Basic Authorization header (RFC 7617)."""
    scheme, _, encoded = authorization.partition(" ")
    try:
        user, colon, password = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
    except ValueError:
        return None
    return (user, password) if colon and scheme.lower() == "basic" else None


def _matches(password: str, hashed: str) -> bool:
    try:
        return bcrypt.checkpw(password.encode()[:_LONGEST_PASSWORD], hashed.encode())
    except ValueError:
        return False


def _unmatchable(users: Mapping[str, SecretStr]) -> str:
    """Return a hash that no password matches, as slow to check as the slowest of the users' hashes."""
    cost = max(hashed.get_secret_value()[4:6] for hashed in users.values())
    return f"$2b${cost}${'.' * 53}"
