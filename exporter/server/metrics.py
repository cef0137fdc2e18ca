"""``/metrics``: the last publication, and nothing else. A scrape never touches a rig."""

import asyncio
import socket
import struct
from typing import Final

from aiohttp import hdrs, web

from exporter.exposition.publication import Body, Encoding, Publication
from exporter.server.context import ServerContext
from exporter.server.negotiation import Negotiated, negotiate

_FROZEN_AFTER: Final = 3  # evaluation intervals
_LONGEST_WRITE: Final = 60.0  # s
_SCRAPE_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"


def add_metrics(app: web.Application, face: ServerContext) -> None:
    """Serve ``/metrics``."""

    async def metrics(request: web.Request) -> web.StreamResponse:
        publication = _living(face)
        wanted = negotiate(request.headers.get(hdrs.ACCEPT, "*/*"), request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        face.newsstand.asked(wanted.encoding)
        body = await _body(publication, wanted.encoding)
        response = web.StreamResponse(headers=_headers(wanted, body))
        await response.prepare(request)
        if request.method != hdrs.METH_HEAD:
            await _write(request, response, body)
        return response

    app.router.add_get("/metrics", metrics)


def _living(face: ServerContext) -> Publication:
    """The last publication. Raises 503 where there is none, or it is so old that the exporter must have frozen."""
    publication, age = face.newsstand.latest, face.newsstand.age()
    if publication is None:
        raise web.HTTPServiceUnavailable(text="There is no evaluation yet: ask again in a moment.\n")
    if age > _FROZEN_AFTER * face.evaluation_interval:
        raise web.HTTPServiceUnavailable(
            text=f"The last evaluation is {age:.0f} s old, but one is due every {face.evaluation_interval:g} s: "
            "the exporter has frozen, see its log.\n"
        )
    return publication


async def _body(publication: Publication, encoding: Encoding) -> Body:
    """The first scraper of its kind waits for its encoding; for the next one it is there already."""
    if publication.ready(encoding):
        return publication.body(encoding)
    return await asyncio.to_thread(publication.body, encoding)


def _headers(wanted: Negotiated, body: Body) -> dict[str, str]:
    headers: dict[str, str] = {
        hdrs.CONTENT_TYPE: wanted.content_type,
        hdrs.CONTENT_LENGTH: str(body.length),
        hdrs.VARY: "Accept, Accept-Encoding",
    }
    if wanted.encoding.gzip:
        headers[hdrs.CONTENT_ENCODING] = "gzip"
    return headers


async def _write(request: web.Request, response: web.StreamResponse, body: Body) -> None:
    """Write the body; whoever reads too slowly is cut off."""
    try:
        async with asyncio.timeout(_deadline(request)):
            for chunk in body.chunks:
                await response.write(chunk)
            await response.write_eof()
    except TimeoutError:
        if request.transport is not None:
            _reset(request.transport)


def _reset(transport: asyncio.Transport) -> None:
    """Drop the connection with what is still unsent, which a mere close would leave to the kernel."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _deadline(request: web.Request) -> float:
    try:
        asked = float(request.headers.get(_SCRAPE_TIMEOUT, ""))
    except ValueError:
        return _LONGEST_WRITE
    return asked if 0 < asked < _LONGEST_WRITE else _LONGEST_WRITE
