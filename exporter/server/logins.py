"""Basic auth against bcrypt hashes. An unknown user takes as long to reject as a wrong password."""

import asyncio
import base64
import hmac
import os
import secrets
import sys
import threading
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

import bcrypt
from pydantic import SecretStr

from exporter.server.admission import overloaded

_MOST_REJECTED: Final = 256
_MOST_WAITING: Final = 32
_MOST_WAITING_PER_CLIENT: Final = 8
_MOST_CLIENTS: Final = 1_024
_FREE_GUESSES: Final = 10
"""Rejected logins of a client before its next ones wait: several people may use one address."""
_FIRST_WAIT: Final = 0.1  # s; doubles with each rejected login
_LONGEST_WAIT: Final = 2.0  # s, less than the timeout of a scrape
_NICENESS: Final = 10
_LONGEST_PASSWORD: Final = 72  # bytes; bcrypt ignores the rest, and Go accepts longer ones


class Logins:
    """Checks logins and caches the results by a keyed digest, so that no password is kept in memory.

    A login that was accepted before waits for nothing. A client whose logins are rejected waits before each next one.

    Args:
        pause: Waits for some seconds.
    """

    def __init__(self, pause: Callable[[float], Awaitable[object]] = asyncio.sleep) -> None:
        self._pause = pause
        self._key = secrets.token_bytes(32)
        self._accepted: set[bytes] = set()
        self._rejected: OrderedDict[bytes, None] = OrderedDict()  # oldest first
        self._turns = _Turns()

    async def user(self, authorization: str, users: Mapping[str, SecretStr], client: str = "") -> str | None:
        """Return the user whose login this Authorization header is; None if it is none of these users'.

        Raises:
            aiohttp.web.HTTPTooManyRequests: Too many logins of this client, or of all, are waiting.
        """
        login = _login(authorization)
        if login is None:
            return None
        user, password = login
        hashed = users[user].get_secret_value() if user in users else _unmatchable(users)
        digest = hmac.digest(self._key, repr((user, hashed, password)).encode(), "sha256")
        if digest in self._accepted:
            return user
        wait = self._turns.wait_of(client)
        if wait:
            await self._pause(wait)
        if digest in self._rejected:
            self._turns.note_rejected(client)
            return None
        async with self._turns.turn(client):
            if digest not in self._accepted and digest not in self._rejected:
                matches = await self._turns.run(_matches, password, hashed)
                self._remember(digest, client, accepted=matches and user in users)
        return user if digest in self._accepted else None

    def close(self) -> None:
        """Stop the thread."""
        self._turns.close()

    def _remember(self, digest: bytes, client: str, *, accepted: bool) -> None:
        if accepted:
            self._accepted.add(digest)
            self._turns.forgive(client)
            return
        self._turns.note_rejected(client)
        self._rejected[digest] = None
        if len(self._rejected) > _MOST_REJECTED:
            self._rejected.popitem(last=False)


@dataclass(eq=False, slots=True)
class _Waiting:
    client: str
    turn: asyncio.Future[None]


class _Turns:
    """One check at a time in a thread of its own: bcrypt is slow by design. The client that guessed least is next."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, "logins", _give_way)
        self._busy = False
        self._waiting: list[_Waiting] = []  # oldest first
        self._guesses: Counter[str] = Counter()

    @asynccontextmanager
    async def turn(self, client: str) -> AsyncIterator[None]:
        """Wait for the client's turn. Raises 429 if too many are waiting."""
        if self._busy:
            await self._wait(client)
        self._busy = True
        try:
            yield
        finally:
            self._busy = False
            self._call_next()

    async def run(self, check: Callable[[str, str], bool], password: str, hashed: str) -> bool:
        """Call ``check`` in the thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, check, password, hashed)

    def note_rejected(self, client: str) -> None:
        """Let this client wait for clients with fewer rejected logins."""
        self._guesses[client] += 1
        if len(self._guesses) > _MOST_CLIENTS:
            self._guesses = Counter(dict(self._guesses.most_common(_MOST_CLIENTS // 2)))

    def forgive(self, client: str) -> None:
        """Forget the rejected logins of a client that gave a right one."""
        del self._guesses[client]

    def wait_of(self, client: str) -> float:
        """Return the seconds that the next login of this client waits: each rejected one doubles them."""
        beyond = self._guesses[client] - _FREE_GUESSES
        return min(_FIRST_WAIT * 2.0 ** min(beyond, 16), _LONGEST_WAIT) if beyond >= 0 else 0.0

    def close(self) -> None:
        """Stop the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _wait(self, client: str) -> None:
        if sum(waiting.client == client for waiting in self._waiting) >= _MOST_WAITING_PER_CLIENT:
            raise overloaded()
        if len(self._waiting) >= _MOST_WAITING:
            last = max(reversed(self._waiting), key=self._rank)
            if self._guesses[client] >= self._rank(last):
                raise overloaded()
            self._waiting.remove(last)
            last.turn.set_exception(overloaded())
        waiting = _Waiting(client, asyncio.get_running_loop().create_future())
        self._waiting.append(waiting)
        try:
            await waiting.turn
        except asyncio.CancelledError:
            if waiting in self._waiting:  # the client has gone
                self._waiting.remove(waiting)
            elif not waiting.turn.cancelled():  # it was called in the moment in which the client went
                self._busy = False
                self._call_next()
            raise

    def _call_next(self) -> None:
        present = [waiting for waiting in self._waiting if not waiting.turn.done()]
        if present:
            first = min(present, key=self._rank)
            self._waiting.remove(first)
            self._busy = True
            first.turn.set_result(None)

    def _rank(self, waiting: _Waiting) -> int:
        return self._guesses[waiting.client]


def _give_way() -> None:
    """Let every other thread go before this one, where a thread has a priority of its own."""
    if sys.platform == "linux":
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _NICENESS)


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
