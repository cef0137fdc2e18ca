"""Accepts connections for the application. Limits their number and how long a client may take."""

import asyncio
import errno
import logging
import os
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from exporter.server.admission import client_of
from exporter.server.app import make_app
from exporter.server.connections import Seat, SeatedHandler, Seats
from exporter.server.context import ServerContext
from exporter.server.guard import put_headers
from exporter.server.settings import WebSettings, split_address
from exporter.server.standby import StandbyContext
from exporter.server.web_config import WebConfigFile

_log = structlog.get_logger(__name__)

_server_log: Final = logging.getLogger(__name__)
_server_log.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
"""Logs our own errors, but no malformed requests, which are errors of the client."""

_IDLE_SECONDS: Final = 75.0  # until a request is complete; also ends a client that sends one byte at a time
_HANDSHAKE_SECONDS: Final = 10.0
_UNREAD_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2.0
_RETRY_SECONDS: Final = 1.0
_SPARE_SECONDS: Final = 0.005  # between two tries to hold a free file descriptor
_PAUSE_SECONDS: Final = 0.08
"""A pause while file descriptors are short, because clients that are turned away come back at once."""
_NO_DESCRIPTOR: Final = (errno.EMFILE, errno.ENFILE)
_BACKLOG: Final = 128
_ACCEPTED_AT_ONCE: Final = 16


@asynccontextmanager
async def serving(context: ServerContext | StandbyContext, settings: WebSettings) -> AsyncIterator[tuple[str, ...]]:
    """Serve the site, or that this exporter stands by, while the context is active. Yields the URLs.

    Raises:
        OSError: Cannot listen on the address.
        WebConfigError: The web configuration is invalid.
    """
    web_config = WebConfigFile(settings.config_file)
    runner = web.AppRunner(make_app(context, settings, web_config), shutdown_timeout=_STOP_SECONDS)
    async with AsyncExitStack() as stack:
        host, port = split_address(settings.listen_address)
        addresses = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listeners = [
            stack.enter_context(_listener(family, address)) for family, _, _, _, address in dict.fromkeys(addresses)
        ]
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        if runner.server is None:
            raise RuntimeError("the runner was not set up")
        acceptor = _Acceptor(runner.server, web_config, settings.max_connections)
        stack.push_async_callback(acceptor.close)
        for listener in listeners:
            acceptor.open(listener)
        scheme = "https" if web_config.current().tls else "http"
        urls = tuple(f"{scheme}://{_shown(listener)}/" for listener in listeners)
        _log.info("serving", urls=" ".join(urls))
        yield urls


class _Connection(SeatedHandler):
    """One connection. A malformed request does not reach the application, but its response has the same headers."""

    __slots__ = ("_web_config",)

    def __init__(self, handlers: web.Server, web_config: WebConfigFile, seats: Seats, seat: Seat) -> None:
        super().__init__(
            handlers,
            seats,
            seat,
            access_log=None,
            logger=_server_log,
            keepalive_timeout=_IDLE_SECONDS,
            lingering_time=_STOP_SECONDS,
        )
        self._web_config = web_config

    def handle_error(self, *args: Any, **options: Any) -> web.StreamResponse:
        """Respond to a request that could not be parsed or handled."""
        response = super().handle_error(*args, **options)
        put_headers(response, self._web_config)
        return response


class _Acceptor:
    """Accepts connections, with or without TLS according to the current web configuration."""

    def __init__(self, handlers: web.Server, web_config: WebConfigFile, limit: int) -> None:
        self._handlers = handlers
        self._web_config = web_config
        self._seats = Seats(limit)
        self._spare = _Spare()
        self._accepting: list[asyncio.Task[None]] = []
        self._handshakes: set[asyncio.Task[None]] = set()

    def open(self, listener: socket.socket) -> None:
        """Accept connections of this listener until closed."""
        self._accepting.append(asyncio.create_task(self._accept(listener)))

    async def close(self) -> None:
        """Stop accepting, and abort handshakes."""
        tasks = [*self._accepting, *self._handshakes]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._spare.release()

    async def _accept(self, listener: socket.socket) -> None:
        failing = False
        while True:
            await _readable(listener)
            for _ in range(_ACCEPTED_AT_ONCE):
                try:
                    connection, address = self._next(listener)
                except BlockingIOError:
                    break
                except ConnectionError:
                    continue
                except OSError as error:
                    if not failing:
                        _log.error("cannot accept connections", error=str(error))
                    failing = True
                    await asyncio.sleep(_RETRY_SECONDS)
                    break
                failing = False
                self._admit(connection, client_of(address))
                if not self._spare.hold():
                    break
            while not self._spare.hold():  # noqa: ASYNC110 -- what is awaited happens in the kernel
                await asyncio.sleep(_SPARE_SECONDS)
            if self._seats.are_short:
                await asyncio.sleep(_PAUSE_SECONDS)

    def _next(self, listener: socket.socket) -> tuple[socket.socket, Any]:
        """Accept a connection, if necessary with the spare descriptor. Raises OSError."""
        try:
            return listener.accept()
        except OSError as error:
            if error.errno not in _NO_DESCRIPTOR:
                raise
        if not self._seats.are_short:
            _log.warning("no free file descriptors: clients have fewer connections for a minute")
        self._seats.halve()
        self._spare.release()
        return listener.accept()

    def _admit(self, connection: socket.socket, client: str) -> None:
        seat = self._seats.take(client)
        if seat is None:
            connection.close()
            return
        tls = self._web_config.current().tls
        task = asyncio.create_task(self._handshake(connection, seat, tls))
        if tls is not None:
            seat.end = task.cancel
        self._handshakes.add(task)
        task.add_done_callback(self._handshakes.discard)

    async def _handshake(self, connection: socket.socket, seat: Seat, tls: ssl.SSLContext | None) -> None:
        deadline = None if tls is None else _HANDSHAKE_SECONDS
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(_Connection, self._handlers, self._web_config, self._seats, seat),
                connection,
                ssl=tls,
                ssl_handshake_timeout=deadline,
            )
        except (OSError, asyncio.CancelledError) as error:  # a failed handshake is an error of the client
            self._seats.leave(seat)
            connection.close()
            if isinstance(error, asyncio.CancelledError):
                raise


class _Spare:
    """A file descriptor that is kept, so that a connection can be accepted when no other is free."""

    def __init__(self) -> None:
        self._held: int | None = None
        self.hold()

    def hold(self) -> bool:
        """Take a descriptor if it was released. False if none is free."""
        if self._held is None:
            with suppress(OSError):
                self._held = os.open(os.devnull, os.O_RDONLY)
        return self._held is not None

    def release(self) -> None:
        """Free the descriptor."""
        if self._held is not None:
            os.close(self._held)
            self._held = None


async def _readable(listener: socket.socket) -> None:
    """Wait until a client connects. Without one, accepting fails too if no file descriptor is free."""
    loop, readable = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(listener, readable.set)
    try:
        await readable.wait()
    finally:
        loop.remove_reader(listener)


def _listener(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.create_server(address, family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux only; accepted sockets inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(_UNREAD_SECONDS * 1000))
    return listener


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
