"""The web application: every route, and the headers that all answers carry."""

from typing import Final

from aiohttp import hdrs, web

from exporter.server.api import add_api
from exporter.server.face import SiteFace
from exporter.server.health import add_health
from exporter.server.metrics import add_metrics
from exporter.server.pages import add_pages

_LARGEST_REQUEST_BYTES: Final = 65_536
_HEADERS: Final = {
    hdrs.SERVER: "hashmargin",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def make_app(face: SiteFace) -> web.Application:
    """Make the application for one site."""
    app = web.Application(client_max_size=_LARGEST_REQUEST_BYTES)
    app.on_response_prepare.append(_add_headers)
    add_metrics(app, face)
    add_health(app, face)
    add_api(app, face)
    add_pages(app, face)
    return app


async def _add_headers(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)
    response.headers.setdefault(hdrs.CACHE_CONTROL, "no-store")
