"""What an exporter serves while it stands by: its own metrics and health, and who is active."""

from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import hdrs, web
from prometheus_client.registry import CollectorRegistry

from exporter.exposition.render import own_metrics
from exporter.server.admission import METRICS_PATH
from exporter.server.health import HEALTHY_PATH, READY_PATH
from exporter.server.negotiation import negotiate


@dataclass(frozen=True, kw_only=True)
class StandbyContext:
    """The exporter that stands by as the server sees it."""

    site: str
    registry: CollectorRegistry  # of its own metrics
    active: Callable[[], str]  # name of the exporter that is active, empty if unknown


def add_standby(app: web.Application, context: StandbyContext) -> None:
    """Serve ``/metrics`` without any rig, and the health checks. All else is answered with 503 and a sentence."""

    async def metrics(request: web.Request) -> web.Response:
        wanted = negotiate(request.headers.get(hdrs.ACCEPT, "*/*"), "")
        body = own_metrics(context.registry)[wanted.encoding.format]
        headers = {hdrs.CONTENT_TYPE: wanted.content_type, hdrs.VARY: hdrs.ACCEPT}
        return web.Response(body=body, headers=headers)

    async def healthy(_request: web.Request) -> web.Response:
        return web.Response()

    async def ready(_request: web.Request) -> web.Response:
        return web.Response(text="Standing by.\n")

    async def elsewhere(_request: web.Request) -> web.Response:
        active = context.active()
        where = f": {active} is active" if active else ", and no other exporter is known to be active"
        raise web.HTTPServiceUnavailable(text=f"This exporter of {context.site} stands by{where}.\n")

    app.router.add_get(METRICS_PATH, metrics)
    app.router.add_get(HEALTHY_PATH, healthy)
    app.router.add_get(READY_PATH, ready)
    app.router.add_route("*", "/{path:.*}", elsewhere)
