"""Listens, and hands connections to the application; a bounded number of them, and none that dawdles for ever."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any, Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from exporter.server.app import make_app
from exporter.server.context import ServerContext
from exporter.server.guard import put_headers
from exporter.server.settings import WebSettings, split_address
from exporter.server.web_config import WebConfigFile

_log = structlog.get_logger(__name__)

_faults: Final = logging.getLogger(__name__)
_faults.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
"""Our own faults: what a client garbles is its own affair, and no reason for a line in the log."""

_IDLE_SECONDS: Final = 75.0  # until a request is complete: also the end of whoever sends one byte at a time
_HANDSHAKE_SECONDS: Final = 10.0
_UNREAD_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2.0
_BREATH_SECONDS: Final = 1.0
_BACKLOG: Final = 128


@asynccontextmanager
async def serving(face: ServerContext, terms: WebSettings) -> AsyncIterator[tuple[str, ...]]:
    """Serve the site while the context lasts; gives the URLs.

    Raises:
        OSError: the address can't be had.
        WebConfigError: the web configuration can't be used.
    """
    web_config = WebConfigFile(terms.config_file)
    runner = web.AppRunner(make_app(face, terms, web_config), shutdown_timeout=_STOP_SECONDS)
    async with AsyncExitStack() as stack:
        host, port = split_address(terms.listen_address)
        found = await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        listeners = [
            stack.enter_context(_listener(family, address)) for family, _, _, _, address in dict.fromkeys(found)
        ]
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        if runner.server is None:
            raise RuntimeError("the runner was not set up")
        door = _Door(runner.server, web_config, terms.max_connections)
        stack.push_async_callback(door.close)
        for listener in listeners:
            door.open(listener)
        scheme = "https" if web_config.current().tls else "http"
        urls = tuple(f"{scheme}://{_shown(listener)}/" for listener in listeners)
        _log.info("serving", urls=" ".join(urls))
        yield urls


class _Connection(web.RequestHandler):
    """One connection. What is no request never reaches the application, and its refusal has the same headers."""

    __slots__ = ("_web_config",)

    def __init__(self, handlers: web.Server, web_config: WebConfigFile) -> None:
        super().__init__(
            handlers,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]
            logger=_faults,
            keepalive_timeout=_IDLE_SECONDS,
            lingering_time=_STOP_SECONDS,
        )
        self._web_config = web_config

    def handle_error(self, *args: Any, **options: Any) -> web.StreamResponse:
        """Answer what could not be read or handled."""
        response = super().handle_error(*args, **options)
        put_headers(response, self._web_config)
        return response


class _Door:
    """Accepts connections and hands them to the application, with or without TLS as the web configuration now says."""

    def __init__(self, handlers: web.Server, web_config: WebConfigFile, most: int) -> None:
        self._handlers = handlers
        self._web_config = web_config
        self._most = most
        self._accepting: list[asyncio.Task[None]] = []
        self._greeting: set[asyncio.Task[None]] = set()

    def open(self, listener: socket.socket) -> None:
        """Accept from this listener until closed."""
        self._accepting.append(asyncio.create_task(self._accept(listener)))

    async def close(self) -> None:
        """Accept no more, and give up handshakes."""
        tasks = [*self._accepting, *self._greeting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        is_stuck = False
        while True:
            try:
                connection, _ = await loop.sock_accept(listener)
            except ConnectionError:
                continue
            except OSError as error:  # out of files, mostly
                if not is_stuck:
                    _log.error("cannot accept connections", error=str(error))
                is_stuck = True
                await asyncio.sleep(_BREATH_SECONDS)
                continue
            is_stuck = False
            if len(self._handlers.connections) + len(self._greeting) >= self._most:
                connection.close()
                continue
            task = asyncio.create_task(self._greet(connection))
            self._greeting.add(task)
            task.add_done_callback(self._greeting.discard)

    async def _greet(self, connection: socket.socket) -> None:
        tls = self._web_config.current().tls
        deadline = None if tls is None else _HANDSHAKE_SECONDS
        with suppress(OSError):  # a handshake that fails is the client's affair
            await asyncio.get_running_loop().connect_accepted_socket(
                partial(_Connection, self._handlers, self._web_config),
                connection,
                ssl=tls,
                ssl_handshake_timeout=deadline,
            )


def _listener(family: socket.AddressFamily, address: tuple[Any, ...]) -> socket.socket:
    listener = socket.create_server(address, family=family, backlog=_BACKLOG)
    listener.setblocking(False)
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux only; accepted sockets inherit it
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(_UNREAD_SECONDS * 1000))
    return listener


def _shown(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
