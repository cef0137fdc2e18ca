"""The open connections. If there are too many, a new one replaces an idle one, so that nobody can lock scrapes out."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from aiohttp import web

from exporter.server.admission import Handler, reset

FEWEST_CONNECTIONS: Final = 8
"""Connections that clients may have, however few file descriptors there are."""
_SHORT_SECONDS: Final = 60.0
_STALLED_SECONDS: Final = 1.0
"""Seconds after which a request in progress may be ended for another connection of the same client."""


def _do_nothing() -> None:
    pass


@dataclass(eq=False, slots=True, kw_only=True)
class Seat:
    """The place of one connection, from accepting it until its end."""

    client: str
    end: Callable[[], object] = _do_nothing
    busy: bool = False  # whether a request is in progress
    since: float = field(default_factory=time.monotonic)  # when it became busy or idle

    def mark(self, *, busy: bool) -> None:
        """Note that a request starts or ends."""
        self.busy, self.since = busy, time.monotonic()


class Seats:
    """The places for connections. Each client has a fair share if there are not enough."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._short_limit = limit
        self._short_until = -math.inf
        self._taken: dict[Seat, None] = {}

    @property
    def are_short(self) -> bool:
        """Whether there was no free file descriptor within the last minute."""
        return time.monotonic() < self._short_until

    def halve(self) -> None:
        """End half of the connections, because no file descriptor is free, and allow no more than that for a minute."""
        self._short_until = time.monotonic() + _SHORT_SECONDS
        self._short_limit = min(self._limit, max(FEWEST_CONNECTIONS, len(self._taken) // 2))
        while len(self._taken) > self._short_limit:
            self._end(self._first_to_end(self._shares()))

    def take(self, client: str) -> Seat | None:
        """Take a place, if necessary that of another connection. None if all others are busier."""
        if len(self._taken) >= (self._short_limit if self.are_short else self._limit):
            replaced = self._replaceable(client)
            if replaced is None:
                return None
            self._end(replaced)
        seat = Seat(client=client)
        self._taken[seat] = None
        return seat

    def leave(self, seat: Seat) -> None:
        """Free the place."""
        self._taken.pop(seat, None)

    def has(self, seat: Seat) -> bool:
        """Whether it has not lost its place."""
        return seat in self._taken

    def _replaceable(self, client: str) -> Seat | None:
        """Return the first seat to end. None if it is busy and a new one of ``client`` has no better claim."""
        shares = self._shares()
        seat = self._first_to_end(shares)
        is_fair = shares[client] + 1 < shares[seat.client]
        return seat if is_fair or not seat.busy or time.monotonic() - seat.since > _STALLED_SECONDS else None

    def _shares(self) -> Counter[str]:
        return Counter(seat.client for seat in self._taken)

    def _first_to_end(self, shares: Counter[str]) -> Seat:
        """Return the longest idle seat of the client with the most, or its longest busy one."""
        largest, _ = shares.most_common(1)[0]
        return min((seat for seat in self._taken if seat.client == largest), key=lambda seat: (seat.busy, seat.since))

    def _end(self, seat: Seat) -> None:
        self.leave(seat)
        seat.end()


class SeatedHandler(web.RequestHandler):
    """Handles the requests of one connection, and frees its seat at the end."""

    __slots__ = ("_seats", "seat")

    def __init__(self, handlers: web.Server, seats: Seats, seat: Seat, **options: Any) -> None:
        super().__init__(handlers, loop=asyncio.get_running_loop(), **options)
        self._seats = seats
        self.seat = seat

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note how to end the connection. End it if it lost its seat before."""
        super().connection_made(transport)
        self.seat.mark(busy=False)
        self.seat.end = partial(reset, cast("asyncio.Transport", transport))
        if not self._seats.has(self.seat):
            self.seat.end()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Free the seat."""
        super().connection_lost(exc)
        self._seats.leave(self.seat)


@web.middleware
async def mark_busy(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Mark the connection as busy until its request has been responded to."""
    protocol = request.protocol
    if not isinstance(protocol, SeatedHandler):
        raise TypeError("connections are accepted by exporter.server.serve")
    protocol.seat.mark(busy=True)
    try:
        return await handler(request)
    finally:
        protocol.seat.mark(busy=False)
