"""The web application: every route, and the guard in front of them."""

from typing import Final

from aiohttp import web

from exporter.server.admission import add_admission
from exporter.server.api import add_api
from exporter.server.connections import mark_busy
from exporter.server.context import ServerContext
from exporter.server.events import add_events
from exporter.server.guard import add_guard
from exporter.server.health import add_health
from exporter.server.metrics import add_metrics
from exporter.server.pages import add_pages
from exporter.server.settings import WebSettings
from exporter.server.standby import StandbyContext, add_standby
from exporter.server.web_config import WebConfigFile

_LARGEST_REQUEST_BYTES: Final = 65_536


def make_app(
    context: ServerContext | StandbyContext, settings: WebSettings, web_config: WebConfigFile
) -> web.Application:
    """Make the application for one site, or for an exporter that stands by."""
    app = web.Application(client_max_size=_LARGEST_REQUEST_BYTES, middlewares=[mark_busy])
    add_guard(app, settings, web_config)
    add_admission(app, settings)
    if isinstance(context, StandbyContext):
        add_standby(app, context)
        return app
    add_metrics(app, context)
    add_health(app, context)
    add_api(app, context)
    add_events(app, context)
    add_pages(app, context)
    return app
