"""``/config``: the settings in use, secrets masked."""

from aiohttp import web

from exporter.server.admission import in_worker
from exporter.server.context import ServerContext
from exporter.server.pages.template import page


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/config``."""

    async def config(request: web.Request) -> web.Response:
        return await in_worker(request, _page, context)

    app.router.add_get("/config", config)


def _page(context: ServerContext) -> web.Response:
    return page("config.html", site=context.site, config=context.config())
