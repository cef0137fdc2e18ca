"""``/-/healthy``, ``/-/ready`` and ``/-/reload``."""

from typing import Final

from aiohttp import web

from exporter.server.context import ServerContext

HEALTHY_PATH: Final = "/-/healthy"
READY_PATH: Final = "/-/ready"
_YES: Final = ("1", "true")


def add_health(app: web.Application, context: ServerContext) -> None:
    """Serve the health checks, and the reload if it is allowed."""

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response(status=503 if context.is_stuck() else 200)  # nothing else: anybody may ask

    async def ready(_request: web.Request) -> web.Response:
        if not context.ready():
            raise web.HTTPServiceUnavailable(text="Not ready: the first round of polls is not complete.\n")
        return web.Response(text="Ready.\n")

    async def reload(request: web.Request) -> web.Response:
        if context.reload is None:
            raise web.HTTPForbidden(text="Reloading over HTTP is disabled: set web.enable_lifecycle, or send SIGHUP.\n")
        rejection = await context.reload(request.query.get("allow_shrink", "") in _YES)
        if rejection is not None:
            raise web.HTTPInternalServerError(text=f"{rejection}\n")
        return web.Response(text="Reloaded.\n")

    app.router.add_post("/-/reload", reload)
    app.router.add_put("/-/reload", reload)
    app.router.add_get(HEALTHY_PATH, healthy)
    app.router.add_get(READY_PATH, ready)
