"""The open connections. If there are too many, a new one replaces an idle one, so that nobody can lock scrapes out."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, cast

from aiohttp import web

from exporter.server.admission import Handler, reset

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
        self._taken: dict[Seat, None] = {}

    def take(self, client: str) -> Seat | None:
        """Take a place, if necessary that of another connection. None if all others are busier."""
        if len(self._taken) >= self._limit:
            replaced = self._replaceable(client)
            if replaced is None:
                return None
            self.leave(replaced)
            replaced.end()
        seat = Seat(client=client)
        self._taken[seat] = None
        return seat

    def leave(self, seat: Seat) -> None:
        """Free the place."""
        self._taken.pop(seat, None)

    def _replaceable(self, client: str) -> Seat | None:
        """Return the longest idle seat of the client with the most, or a busy one that it may lose."""
        shares = Counter(seat.client for seat in self._taken)
        largest, share = shares.most_common(1)[0]
        seat = min((seat for seat in self._taken if seat.client == largest), key=lambda seat: (seat.busy, seat.since))
        is_fair = shares[client] + 1 < share
        return seat if is_fair or not seat.busy or time.monotonic() - seat.since > _STALLED_SECONDS else None


class SeatedHandler(web.RequestHandler):
    """Handles the requests of one connection, and frees its seat at the end."""

    __slots__ = ("_seats", "seat")

    def __init__(self, handlers: web.Server, seats: Seats, seat: Seat, **options: Any) -> None:
        super().__init__(handlers, loop=asyncio.get_running_loop(), **options)
        self._seats = seats
        self.seat = seat

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note how to end the connection."""
        super().connection_made(transport)
        self.seat.mark(busy=False)
        self.seat.end = partial(reset, cast("asyncio.Transport", transport))

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
