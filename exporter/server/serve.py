"""Listens, and hands connections to the application; a bounded number of them, and none that dawdles for ever."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from exporter.server.app import make_app
from exporter.server.face import SiteFace
from exporter.server.terms import WebTerms, split_address

_log = structlog.get_logger(__name__)

_faults: Final = logging.getLogger(__name__)
_faults.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError)))
"""Our own faults: what a client garbles is its own affair, and no reason for a line in the log."""

_IDLE_SECONDS: Final = 75.0  # until a request is complete: also the end of whoever sends one byte at a time
_UNREAD_SECONDS: Final = 60.0
_STOP_SECONDS: Final = 2.0


@asynccontextmanager
async def serving(face: SiteFace, terms: WebTerms) -> AsyncIterator[tuple[str, ...]]:
    """Serve the site while the context lasts; gives the URLs. Raises OSError where the address can't be had."""
    runner = web.AppRunner(
        make_app(face),
        access_log=None,
        logger=_faults,
        keepalive_timeout=_IDLE_SECONDS,
        lingering_time=_STOP_SECONDS,
        shutdown_timeout=_STOP_SECONDS,
    )
    await runner.setup()
    handlers = runner.server
    if handlers is None:
        raise RuntimeError("the runner was not set up")

    def accept() -> asyncio.BaseProtocol:
        return handlers() if len(handlers.connections) < terms.max_connections else _Refusal()

    try:
        host, port = split_address(terms.listen_address)
        server = await asyncio.get_running_loop().create_server(accept, host, port)
        try:
            urls = tuple(_prepared(listener) for listener in server.sockets)
            _log.info("serving", urls=" ".join(urls))
            yield urls
        finally:
            server.close()
    finally:
        await runner.cleanup()


class _Refusal(asyncio.Protocol):
    """Closes at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.close()


def _prepared(listener: socket.socket) -> str:
    """Bound how long a client may leave what it was sent unread (accepted sockets inherit it); tell the URL."""
    if hasattr(socket, "TCP_USER_TIMEOUT"):  # Linux only
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(_UNREAD_SECONDS * 1000))
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
