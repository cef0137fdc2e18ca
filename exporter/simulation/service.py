"""Base of the HTTP services of the simulated site: a listening socket, and faults that can be switched on."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Final

from aiohttp import web

from exporter.simulation.faults import GARBAGE
from exporter.simulation.wire import listen

_SHUTDOWN_SECONDS: Final = 0.1


class SourceFault(StrEnum):
    """A fault of a service."""

    DOWN = "down"
    HANG = "hang"
    GARBAGE = "garbage"
    ERROR = "error"


class Service:
    """An aiohttp application on a port of its own."""

    def __init__(self, name: str, host: str, port: int, routes: list[web.RouteDef]) -> None:
        self.name = name
        self.fault: SourceFault | None = None
        self._host = host
        self._port = port
        self._routes = routes
        self._runner: web.AppRunner | None = None
        self._changed = asyncio.Event()

    @property
    def url(self) -> str:
        """The address. With port 0 it is known only after the start."""
        return f"http://{self._host}:{self._port}"

    async def start(self) -> None:
        """Listen and serve. Raises SimulationError if the port is taken."""
        sock = listen(self._host, self._port)
        self._port = sock.getsockname()[1]  # with port 0 the system has chosen one
        application = web.Application(middlewares=[self._suffer])
        application.add_routes(self._routes)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        await web.SockSite(self._runner, sock).start()

    async def stop(self) -> None:
        """Stop listening and close open connections."""
        self._release()
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def set_fault(self, fault: SourceFault | None) -> None:
        """Switch a fault on, or off with None."""
        self.fault = fault
        self._release()
        if fault is SourceFault.DOWN:
            await self.stop()
        elif self._runner is None:
            await self.start()

    def _release(self) -> None:
        """Let hanging requests continue with the current fault."""
        self._changed.set()
        self._changed = asyncio.Event()

    @web.middleware
    async def _suffer(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        if self.fault is SourceFault.HANG:
            await self._changed.wait()
        if self.fault is SourceFault.GARBAGE:
            return web.Response(body=GARBAGE, content_type="application/octet-stream")
        if self.fault is SourceFault.ERROR:
            return web.Response(status=500, text="internal error")
        return await handler(request)
