"""``/config``: the settings in use, secrets masked."""

import asyncio

from aiohttp import web

from exporter.server.context import ServerContext
from exporter.server.pages.template import page


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/config``."""

    async def config(_request: web.Request) -> web.Response:
        text = await asyncio.to_thread(context.config)  # takes a second for a large fleet
        return page("config.html", site=context.site, config=text)

    app.router.add_get("/config", config)
