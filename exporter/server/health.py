"""``/-/healthy`` and ``/-/ready``, for the platform that runs the exporter."""

from aiohttp import web

from exporter.server.face import SiteFace


def add_health(app: web.Application, face: SiteFace) -> None:
    """Serve the two checks."""

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="Healthy.\n")

    async def ready(_request: web.Request) -> web.Response:
        if not face.ready():
            raise web.HTTPServiceUnavailable(text="Not ready: the first round of polls is not over.\n")
        return web.Response(text="Ready.\n")

    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
