"""Connections that wait for the next question to a rig: until the end of a read, or from read to read."""

import time
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeVar
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


class LastingConnections(Generic[C]):
    """Connections that are kept from read to read, while this host has descriptors for them.

    A rig that ends one while it waits gets a new connection for each read, for :data:`AFTER_END_SECONDS`.
    """

    def __init__(self, most: int) -> None:
        """Keep at most ``most`` connections."""
        self._most = most
        self._idle: dict[Where, _Idle[C]] = {}
        self._after: dict[Where, float] = {}  # when one may be kept again (monotonic s)
        self._resumes = 0.0  # monotonic s
        self._sweeps = 0.0  # monotonic s
        _lasting.add(self)

    def take(self, where: Where) -> C | None:
        """Return the connection that is kept, and keep it no longer; None if there is none."""
        idle = self._idle.pop(where, None)
        return None if idle is None else idle.connection

    def keep(self, where: Where, connection: C) -> None:
        """Keep a connection for the next read, or close it."""
        now = time.monotonic()
        if now >= self._sweeps:
            self._sweep(now)
        full = len(self._idle) >= self._most or where in self._idle
        if full or now < self._resumes or now < self._after.get(where, 0.0):
            connection.abort()
            return
        connection.rest()
        self._idle[where] = _Idle(connection, now)

    def lost(self, where: Where) -> None:
        """Note that a connection which was taken had ended, or ended before any of the answer came."""
        self._after[where] = time.monotonic() + AFTER_END_SECONDS

    def close(self) -> None:
        """Close all that are kept."""
        for idle in self._idle.values():
            idle.connection.abort()
        self._idle.clear()

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


class Connections(Generic[C]):
    """The connections of one read, at most one for each host and port.

    Args:
        lasting: Where they come from and go to; None if they end with the read.
    """

    def __init__(self, lasting: LastingConnections[C] | None) -> None:
        self.lasting: Final = lasting
        self._idle: dict[Where, C] = {}

    def take(self, where: Where) -> C | None:
        """Return the connection that is kept, and keep it no longer; None if there is none."""
        connection = self._idle.pop(where, None)
        return self.lasting.take(where) if connection is None and self.lasting is not None else connection

    def keep(self, where: Where, connection: C) -> None:
        """Keep a connection for the next question."""
        self._idle[where] = connection

    def lost(self, where: Where) -> None:
        """See :meth:`LastingConnections.lost`."""
        if self.lasting is not None:
            self.lasting.lost(where)

    def end(self) -> None:
        """Close all that are kept, or keep them for the next read."""
        for where, connection in self._idle.items():
            if self.lasting is None:
                connection.abort()
            else:
                self.lasting.keep(where, connection)
        self._idle.clear()  # each transport holds the context that holds them


_lasting: Final[WeakSet[LastingConnections[Any]]] = WeakSet()


def give_back_sockets() -> None:
    """Close all connections that wait for a next read: this host needs their sockets."""
    for connections in list(_lasting):
        connections.give_back()
