"""``/change``: why the margin changed since yesterday, as a waterfall of its causes."""

from aiohttp import web

from exporter.exposition.views import SiteView
from exporter.server.admission import in_worker
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.pages.blocks import waterfall
from exporter.server.pages.template import page, words


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/change``."""

    async def change(request: web.Request) -> web.Response:
        return await in_worker(request, _page, context, evaluated(context))

    app.router.add_get("/change", change)


def _page(context: ServerContext, view: SiteView) -> web.Response:
    return page(
        "change.html",
        site=context.site,
        taken_at=view.snapshot.taken_at,
        change=view.change,
        shard=view.shard,
        steps=[]
        if view.change is None
        else waterfall({words(name): value for name, value in view.change.causes.items()}),
    )
