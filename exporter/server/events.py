"""``/events``: a stream of server-sent events, one for each evaluation, so that pages update by themselves."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from aiohttp import hdrs, web

from exporter.exposition.views import SiteView
from exporter.server.admission import EVENTS_PATH, LONGEST_WRITE, reset, writing
from exporter.server.context import ServerContext

_HEARTBEAT_SECONDS: Final = 5.0
"""An event is sent at least this often, so that both sides notice that the other has gone. ``live.js`` waits for it."""
_LONGEST_STREAM: Final = 600.0
"""Seconds until a stream ends. The browser opens another, which checks its login again."""


class _Wake:
    """Wakes all streams of one event loop at each publication. It keeps nothing of the publication."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self.closing = False

    def published(self, _view: SiteView) -> None:
        """Wake the streams. Called in another thread, that of the evaluation."""
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self.wake)

    def wake(self) -> None:
        """Wake the streams, from the thread of the event loop."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    async def wait(self) -> None:
        """Wait for the next publication, but no longer than until the next heartbeat."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), _HEARTBEAT_SECONDS)


_WAKE: Final = web.AppKey("wake", _Wake)


def add_events(app: web.Application, context: ServerContext) -> None:
    """Serve ``/events``. Each event has the time and the age of the evaluation, and the age at which it is too old."""

    async def waking(running: web.Application) -> AsyncIterator[None]:
        wake = running[_WAKE] = _Wake()
        context.latest.subscribe(wake.published)
        yield
        context.latest.unsubscribe(wake.published)

    async def close(running: web.Application) -> None:
        running[_WAKE].closing = True
        running[_WAKE].wake()

    async def events(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: "text/event-stream", "X-Accel-Buffering": "no"})
        wake, ends = request.app[_WAKE], asyncio.get_running_loop().time() + _LONGEST_STREAM
        async with writing(request, _LONGEST_STREAM + LONGEST_WRITE):
            await response.prepare(request)
            while not wake.closing and asyncio.get_running_loop().time() < ends:
                if request.transport is None:
                    break
                if request.transport.get_write_buffer_size():  # the client reads slower than the site is evaluated
                    reset(request.transport)
                    break
                await response.write(_event(context))
                await wake.wait()
        return response

    app.cleanup_ctx.append(waking)
    app.on_shutdown.append(close)
    app.router.add_get(EVENTS_PATH, events)


def _event(context: ServerContext) -> bytes:
    publication = context.latest.publication
    state = {
        "evaluated": None if publication is None else publication.taken_at,
        "age": round(context.latest.age(), 1),
        "oldest": context.oldest,
    }
    return f"data: {json.dumps(state)}\n\n".encode()
