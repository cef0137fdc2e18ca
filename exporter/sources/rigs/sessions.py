"""Logins that give a token: it is kept in memory, and a new one is requested only if the rig rejects it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.logins import login_attempt

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Session:
    credentials: Credentials
    token: str = field(repr=False)


class Sessions:
    """The tokens of all rigs of one firmware, by address."""

    def __init__(self, log_in: Callable[[str, Credentials], Awaitable[str]], factory_login: Credentials) -> None:
        """Make the sessions; nothing is sent yet.

        Args:
            log_in: Requests a token from the rig at an address. Raises Failure.
            factory_login: The login to try if the inventory has none.
        """
        self._log_in = log_in
        self._factory_login = factory_login
        self._sessions: dict[str, _Session] = {}

    async def ask(self, target: Target, question: Callable[[str], Awaitable[T]]) -> T:
        """Ask a question with the token that is kept, or with a new one if that is rejected. Raises Failure."""
        credentials = target.credentials or self._factory_login
        session = self._sessions.get(target.address)
        if session is not None and session.credentials == credentials:
            try:
                return await question(session.token)
            except Failure as failure:
                if failure.reason is not Reason.AUTH:
                    raise
        with login_attempt():
            token = await self._log_in(target.address, credentials)
        self._sessions[target.address] = _Session(credentials, token)
        return await question(token)
