"""Who may read: basic auth against bcrypt hashes, as slow for a wrong name as for a wrong password."""

import asyncio
import base64
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import bcrypt
from pydantic import SecretStr

_MOST_WRONG: Final = 256
_LONGEST_PASSWORD: Final = 72  # bytes: bcrypt looks at no more, and Go's accepts more than it looks at


class Logins:
    """Checks logins, and remembers verdicts under a keyed digest: neither it nor the memory tells a password."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._right: set[bytes] = set()
        self._wrong: OrderedDict[bytes, None] = OrderedDict()  # the oldest first
        self._one_at_a_time = asyncio.Lock()  # bcrypt is slow by design: strangers must not get all cores

    async def allows(self, authorization: str, users: Mapping[str, SecretStr]) -> bool:
        """Whether this Authorization header is one of these users'."""
        login = _login(authorization)
        if login is None:
            return False
        user, password = login
        hashed = users[user].get_secret_value() if user in users else _nobody(users)
        digest = hmac.digest(self._key, repr((user, hashed, password)).encode(), "sha256")
        if digest not in self._right and digest not in self._wrong:
            async with self._one_at_a_time:
                is_right = await asyncio.to_thread(_matches, password, hashed)
            self._remember(digest, is_right=is_right and user in users)
        return digest in self._right

    def _remember(self, digest: bytes, *, is_right: bool) -> None:
        if is_right:
            self._right.add(digest)
            return
        self._wrong[digest] = None
        if len(self._wrong) > _MOST_WRONG:
            self._wrong.popitem(last=False)


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


def _nobody(users: Mapping[str, SecretStr]) -> str:
    """A hash that no password has, as costly as the users' costliest."""
    cost = max(hashed.get_secret_value()[4:6] for hashed in users.values())
    return f"$2b${cost}${'.' * 53}"
