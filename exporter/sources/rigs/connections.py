"""Connections that wait for the next question to a rig: until the end of a read, or from read to read."""

import time
from typing import Any, ClassVar, Final, Generic, NamedTuple, Protocol, TypeVar
from weakref import WeakSet

IDLE_SECONDS: Final = 120.0
"""How long a connection waits for the next read, before another one's end finds it left over."""
AFTER_END_SECONDS: Final = 3_600.0
"""How long no connection is kept to a rig that ended one: it does not keep them, or has few sockets left."""
SHORT_SECONDS: Final = 60.0
"""How long no connection is kept after this host had no socket for a poll."""

Where = tuple[str, int]
"""An IP address and a port."""


class Connection(Protocol):
    """A connection on which nothing is asked."""

    ended: bool

    def rest(self) -> None:
        """Prepare for a long wait."""
        ...

    def abort(self) -> None:
        """Close it."""
        ...


C = TypeVar("C", bound=Connection)


class _Idle(NamedTuple, Generic[C]):
    connection: C
    since: float  # monotonic s


class Connections(Generic[C]):
    """The connections of one read, at most one for each host and port."""

    lasts: ClassVar = False
    """Whether they outlive a read."""

    def __init__(self) -> None:
        """Keep nothing yet."""
        self._idle: dict[Where, _Idle[C]] = {}

    def take(self, where: Where) -> C | None:
        """Return the connection that is kept, and keep it no longer; None if there is none."""
        idle = self._idle.pop(where, None)
        return None if idle is None else idle.connection

    def keep(self, where: Where, connection: C) -> None:
        """Keep a connection for the next question, or close it."""
        self._idle[where] = _Idle(connection, 0.0)

    def lost(self, where: Where) -> None:
        """Note that a connection which was taken had ended, or ended before any of the answer came."""

    def close(self) -> None:
        """Close all that are kept."""
        for idle in self._idle.values():
            idle.connection.abort()
        self._idle.clear()  # each transport holds the context that holds them


class LastingConnections(Connections[C]):
    """Connections that are kept from read to read, while this host has descriptors for them.

    A rig that ends one while it waits gets a new connection for each read, for :data:`AFTER_END_SECONDS`.
    """

    lasts = True

    def __init__(self, most: int) -> None:
        """Keep at most ``most`` connections."""
        super().__init__()
        self._most = most
        self._after: dict[Where, float] = {}  # when one may be kept again (monotonic s)
        self._resumes = 0.0  # monotonic s
        self._sweeps = 0.0  # monotonic s
        _lasting.add(self)

    def keep(self, where: Where, connection: C) -> None:
        """See :class:`Connections`."""
        now = time.monotonic()
        if now >= self._sweeps:
            self._sweep(now)
        if (
            where in self._idle
            or len(self._idle) >= self._most
            or now < max(self._resumes, self._after.get(where, 0.0))
        ):
            connection.abort()
            return
        connection.rest()
        self._idle[where] = _Idle(connection, now)

    def lost(self, where: Where) -> None:
        """See :class:`Connections`."""
        self._after[where] = time.monotonic() + AFTER_END_SECONDS

    def give_back(self) -> None:
        """Close all, and keep none for :data:`SHORT_SECONDS`."""
        self._resumes = time.monotonic() + SHORT_SECONDS
        self.close()

    def _sweep(self, now: float) -> None:
        """Close those of rigs that are no longer read."""
        self._sweeps = now + IDLE_SECONDS / 2
        self._after = {where: at for where, at in self._after.items() if now < at}
        for where, idle in list(self._idle.items()):
            if idle.connection.ended or now - idle.since > IDLE_SECONDS:
                del self._idle[where]
                idle.connection.abort()


_lasting: Final[WeakSet[LastingConnections[Any]]] = WeakSet()


def give_back_sockets() -> None:
    """Close all connections that wait for a next read: this host needs their sockets."""
    for connections in list(_lasting):
        connections.give_back()
