"""``/wall``: the few figures that an ops room reads from three metres."""

from collections import Counter

from aiohttp import web

from exporter.exposition.views import SiteView, Status
from exporter.model.failures import Failure
from exporter.server.admission import in_worker
from exporter.server.context import ServerContext
from exporter.server.pages.landing import totals
from exporter.server.pages.template import page
from exporter.sources.alertmanager import Firing

_FAILING = (Status.DOWN, Status.STOPPED)


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/wall``."""

    async def wall(request: web.Request) -> web.Response:
        alerts = await context.alerts()
        return await in_worker(request, _page, context, alerts)

    app.router.add_get("/wall", wall)


def _page(context: ServerContext, alerts: Firing) -> web.Response:
    publication = context.latest.publication
    view = None if publication is None or context.is_stuck() else publication.view  # never yesterday's figures
    return page(
        "wall.html",
        site=context.site,
        taken_at=None if publication is None else publication.taken_at,
        view=view,
        totals={} if view is None else totals(view),
        failing=None if view is None else failing(view),
        alerts=alerts if isinstance(alerts, list) else None,
        why=str(alerts.detail) if isinstance(alerts, Failure) else None,
    )


def failing(view: SiteView) -> list[tuple[str, int]]:
    """Count the rigs of each block that are down or stopped, the most first."""
    return Counter(rig.snapshot.rig.block for rig in view.rigs if rig.status in _FAILING).most_common()
