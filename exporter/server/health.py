"""``/-/healthy``, ``/-/ready`` and ``/-/reload``, for the platform that runs the exporter."""

from aiohttp import web

from exporter.server.context import ServerContext


def add_health(app: web.Application, face: ServerContext) -> None:
    """Serve the two checks, and the reload where it is allowed."""

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(text="Healthy.\n")

    async def ready(_request: web.Request) -> web.Response:
        if not face.ready():
            raise web.HTTPServiceUnavailable(text="Not ready: the first round of polls is not over.\n")
        return web.Response(text="Ready.\n")

    async def reload(_request: web.Request) -> web.Response:
        if face.reload is None:
            raise web.HTTPForbidden(text="Reloading over HTTP is off: set web.enable_lifecycle, or send SIGHUP.\n")
        refusal = await face.reload()
        if refusal is not None:
            raise web.HTTPInternalServerError(text=f"The new configuration is refused, the old one stays:\n{refusal}\n")
        return web.Response(text="Reloaded.\n")

    app.router.add_post("/-/reload", reload)
    app.router.add_put("/-/reload", reload)
    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", ready)
