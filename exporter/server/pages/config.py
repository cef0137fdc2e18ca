"""``/config``: what runs, secrets masked."""

from aiohttp import web

from exporter.server.face import SiteFace
from exporter.server.pages.template import page


def add_to(app: web.Application, face: SiteFace) -> None:
    """Serve ``/config``."""

    async def config(_request: web.Request) -> web.Response:
        return page("config.html", site=face.site, config=face.config())

    app.router.add_get("/config", config)
