"""``/config``: what runs, secrets masked."""

import asyncio

from aiohttp import web

from exporter.server.context import ServerContext
from exporter.server.pages.template import page


def add_to(app: web.Application, face: ServerContext) -> None:
    """Serve ``/config``."""

    async def config(_request: web.Request) -> web.Response:
        text = await asyncio.to_thread(face.config)  # a large fleet's takes a second
        return page("config.html", site=face.site, config=text)

    app.router.add_get("/config", config)
