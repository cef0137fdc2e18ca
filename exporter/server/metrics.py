"""``/metrics``: the latest publication. A scrape polls no rig."""

import asyncio
from typing import Final

from aiohttp import hdrs, web

from exporter.exposition.publication import Body, Encoding, Publication
from exporter.server.admission import LONGEST_WRITE, METRICS_PATH, writing
from exporter.server.context import ServerContext
from exporter.server.negotiation import Negotiated, negotiate

_SCRAPE_TIMEOUT: Final = "X-Prometheus-Scrape-Timeout-Seconds"


def add_metrics(app: web.Application, context: ServerContext) -> None:
    """Serve ``/metrics``."""

    async def metrics(request: web.Request) -> web.StreamResponse:
        publication = _current(context)
        wanted = negotiate(request.headers.get(hdrs.ACCEPT, "*/*"), request.headers.get(hdrs.ACCEPT_ENCODING, ""))
        context.latest.requested(wanted.encoding)
        body = await _body(publication, wanted.encoding)
        response = web.StreamResponse(headers=_headers(wanted, body))
        async with writing(request, _deadline(request)):  # also the headers: the scraper may have gone meanwhile
            await response.prepare(request)
            for chunk in body.chunks if request.method != hdrs.METH_HEAD else ():
                await response.write(chunk)
            await response.write_eof()
        return response

    app.router.add_get(METRICS_PATH, metrics)


def _current(context: ServerContext) -> Publication:
    """Return the latest publication.

    Raises 503 if there is none, if it is so old that evaluations must be stuck, or if the lease is lost.
    """
    publication = context.latest.publication
    if publication is None:
        raise web.HTTPServiceUnavailable(text="There is no evaluation yet: try again in a moment.\n")
    if not context.is_active():
        raise web.HTTPServiceUnavailable(text="The lease could not be renewed: another exporter may be active.\n")
    if context.is_stuck():
        raise web.HTTPServiceUnavailable(
            text=f"The latest evaluation is {context.latest.age():.0f} s old, but one is due every "
            f"{context.evaluation_interval:g} s: evaluations are stuck, see the log of the exporter.\n"
        )
    return publication


async def _body(publication: Publication, encoding: Encoding) -> Body:
    """Return the body. The first scraper with a new encoding waits for it; later publications have it prepared."""
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


def _deadline(request: web.Request) -> float:
    try:
        timeout = float(request.headers.get(_SCRAPE_TIMEOUT, ""))
    except ValueError:
        return LONGEST_WRITE
    return timeout if 0 < timeout < LONGEST_WRITE else LONGEST_WRITE
