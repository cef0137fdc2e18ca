"""Chooses the login of a rig: several are tried in order, and after a rejected one none is sent for 15 minutes.

Rigs lock users out after a few wrong logins, so at most one wrong login is sent to a rig in that time.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Credentials
from exporter.sources.rigs.scoped import Scoped

RETRY_SECONDS: Final = 900.0
"""Seconds after a rejected login in which no login is sent to the rig."""


class Logins:
    """The logins of one rig at one address, and what the rig did with them.

    Args:
        offered: The logins in the order in which they are tried. Those that must not go to ``address`` are left out.
        address: The rig's address.
        accepted: Name of the login that the rig accepted last, which is tried first. Empty if there is none.
        waited: Seconds since the last rejected login of a former process, or None.
        clock: Monotonic seconds, by default of the running event loop.
    """

    def __init__(
        self,
        offered: Iterable[Credentials],
        address: str,
        *,
        accepted: str = "",
        waited: float | None = None,
        clock: Callable[[], float] = lambda: asyncio.get_running_loop().time(),
    ) -> None:
        self.offered = tuple(login for login in offered if login.may_go_to(address))
        self.rejected: list[str] = []
        """Names of the logins that were rejected since one was accepted. A login without a name is empty."""
        self.accepted: str | None = None
        """Name of the accepted login. None before the rig accepted one, and after it rejected it."""
        names = [login.name for login in self.offered]
        self._index = names.index(accepted) if accepted in names else 0
        self._clock = clock
        self._rejected_at = None if waited is None else clock() - min(max(waited, 0.0), RETRY_SECONDS)

    @property
    def current(self) -> Credentials | None:
        """The login to try now. None means the factory's login."""
        return self.offered[self._index] if self.offered else None

    @property
    def waited(self) -> float | None:
        """Seconds since the last rejected login. None if there was none in the last 15 minutes."""
        if self._rejected_at is None:
            return None
        waited = self._clock() - self._rejected_at
        return waited if waited < RETRY_SECONDS else None

    def check(self) -> None:
        """Raise a Failure AUTH if no login may be sent now."""
        waited = self.waited
        if waited is not None:
            minutes = (RETRY_SECONDS - waited) / 60.0
            raise Failure(Reason.AUTH, f"it rejected the login: the next one is tried in {minutes:.0f} min")

    def accept(self) -> None:
        """Note that the rig accepted the current login."""
        self.accepted = self.current.name if self.current is not None else ""
        self.rejected.clear()
        self._rejected_at = None

    def reject(self) -> None:
        """Note that the rig rejected the current login. The next one is tried later."""
        self.accepted = None
        name = self.current.name if self.current is not None else ""
        if name not in self.rejected:
            self.rejected.append(name)
        self._rejected_at = self._clock()
        if self.offered:
            self._index = (self._index + 1) % len(self.offered)


_in_use: ContextVar[Logins | None] = ContextVar("logins", default=None)


def using(logins: Logins) -> Scoped[Logins]:
    """Apply the limits of ``logins`` to every login that is sent inside, and note what the rig does with it."""
    return Scoped(_in_use, logins)


def in_use() -> Logins | None:
    """Return the logins whose limits apply here."""
    return _in_use.get()


@contextmanager
def login_attempt(*, repeated: bool = False) -> Iterator[None]:
    """Wrap one request that sends a login. Raises a Failure AUTH at once if none may be sent now.

    A ``repeated`` login was accepted a moment ago: if it is rejected now, that is about the page.
    """
    logins = _in_use.get()
    if logins is None:
        yield
        return
    if not repeated:
        logins.check()
    try:
        yield
    except Failure as failure:
        if failure.reason is Reason.AUTH and not repeated:
            logins.reject()
        raise
    logins.accept()
