"""Limits the requests of one client and of all together. ``/metrics`` and health checks do not wait for pages."""

import asyncio
import gzip
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from ipaddress import ip_interface
from typing import Final, ParamSpec, TypeVar

import structlog
from aiohttp import hdrs, web

from exporter.server.negotiation import accepts_gzip
from exporter.server.settings import WebSettings

_log = structlog.get_logger(__name__)

P = ParamSpec("P")
T = TypeVar("T")

LONGEST_WRITE: Final = 60.0
"""Seconds that a client may take to read a response."""

METRICS_PATH: Final = "/metrics"
EVENTS_PATH: Final = "/events"
MOST_STREAMS: Final = 50
"""Streams of events that are open at the same time."""
_CONTROL_PATHS: Final = "/-/"
HOLD_SECONDS: Final = 0.5
"""Seconds for which a response 429 is held back."""
_MOST_SCRAPES: Final = 64
"""Scrapes of one client at the same time. More than that do not fit into a second with 1,000 rigs."""

_IPV6_CLIENT_BITS: Final = 64
_COMPRESSED_FROM: Final = 4_096  # bytes
_GZIP_LEVEL: Final = 1
_WORKER: Final = web.AppKey("worker", ThreadPoolExecutor)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def client_of(address: object) -> str:
    """Return the client of a peer address: the IPv4 address, or the /64 network that an IPv6 host may have whole."""
    host = address[0] if isinstance(address, tuple) else address
    try:
        interface = ip_interface(f"{host}/{_IPV6_CLIENT_BITS}" if ":" in str(host) else str(host))
    except ValueError:
        return str(host)
    return str(interface.network.network_address)


class OverloadedError(web.HTTPTooManyRequests):
    """Too many requests are waiting. The response is held back, so that a client without a pause gets one."""


def overloaded() -> OverloadedError:
    """Return the error 429. The client should try again in a second."""
    return OverloadedError(
        text="Too many requests are waiting: try again in a moment.\n", headers={hdrs.RETRY_AFTER: "1"}
    )


class Slots:
    """The requests in progress, limited in total and for each client."""

    def __init__(self, total: int, per_client: int) -> None:
        self._total = total
        self._per_client = per_client
        self._taken: Counter[str] = Counter()

    @contextmanager
    def taken(self, client: str) -> Iterator[None]:
        """Take a slot while the context is active. Raises 429 if the client or all clients together have too many."""
        if self._taken[client] >= self._per_client or self._taken.total() >= self._total:
            raise overloaded()
        self._taken[client] += 1
        try:
            yield
        finally:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


def add_admission(app: web.Application, settings: WebSettings) -> None:
    """Admit a limited number of requests for pages and the JSON API, which share one worker thread."""
    pages = Slots(settings.max_requests, min(settings.max_requests_per_client, settings.max_requests))
    scrapes = Slots(settings.max_connections, _MOST_SCRAPES)
    streams = Slots(MOST_STREAMS, MOST_STREAMS)  # behind a proxy all are of one client

    @web.middleware
    async def admit(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path.startswith(_CONTROL_PATHS):
            return await handler(request)
        is_scrape = request.path == METRICS_PATH
        slots = scrapes if is_scrape else streams if request.path == EVENTS_PATH else pages
        with slots.taken(client_of(request.remote)):
            response = await handler(request)
            if not is_scrape:
                await _compress(request, response)
                async with writing(request, LONGEST_WRITE):  # here, so that unread responses are limited, too
                    await response.prepare(request)
                    await response.write_eof()
            return response

    async def worker(running: web.Application) -> AsyncIterator[None]:
        with ThreadPoolExecutor(1, "pages") as pool:  # more threads would only take the interpreter from evaluations
            running[_WORKER] = pool
            yield
            pool.shutdown(wait=False, cancel_futures=True)

    app.middlewares.append(admit)
    app.cleanup_ctx.append(worker)


async def in_worker(request: web.Request, function: Callable[P, T], *args: P.args, **options: P.kwargs) -> T:
    """Call a slow function in the worker thread of pages and the JSON API."""
    return await asyncio.get_running_loop().run_in_executor(request.app[_WORKER], partial(function, *args, **options))


async def _compress(request: web.Request, response: web.StreamResponse) -> None:
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes):
        return
    response.headers.setdefault(hdrs.VARY, hdrs.ACCEPT_ENCODING)
    if len(response.body) >= _COMPRESSED_FROM and accepts_gzip(request.headers.get(hdrs.ACCEPT_ENCODING, "")):
        response.body = await in_worker(request, gzip.compress, response.body, _GZIP_LEVEL)
        response.headers[hdrs.CONTENT_ENCODING] = "gzip"


@asynccontextmanager
async def writing(request: web.Request, seconds: float) -> AsyncIterator[None]:
    """Disconnect a client that does not read its response within ``seconds``. One that disconnects is no error."""
    try:
        async with asyncio.timeout(seconds):
            yield
    except ConnectionError:
        _log.debug("client disconnected", client=request.remote, path=request.path)
    except TimeoutError:
        if request.transport is not None:
            reset(request.transport)


def reset(transport: asyncio.Transport) -> None:
    """Reset the connection and discard unsent data, which a normal close would leave in the kernel."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.fileno() >= 0:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
