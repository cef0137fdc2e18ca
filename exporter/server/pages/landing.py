"""``/``: overview of the site, with links to the other pages."""

from collections.abc import Callable

from aiohttp import web

from exporter.economics.values import BlockEconomics
from exporter.exposition.views import SiteView
from exporter.model.units import total
from exporter.server.admission import in_worker
from exporter.server.context import ServerContext
from exporter.server.pages.charts import RINGS, charts
from exporter.server.pages.template import page
from exporter.server.rings import Rings


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/``."""

    async def landing(request: web.Request) -> web.Response:
        return await in_worker(request, _page, context, request.app[RINGS])

    app.router.add_get("/", landing)


def _page(context: ServerContext, rings: Rings) -> web.Response:
    publication = context.latest.publication
    return page(
        "landing.html",
        site=context.site,
        ready=context.ready(),
        age=context.latest.age(),
        view=None if publication is None else publication.view,
        charts=charts(rings.site()),
        totals={} if publication is None else totals(publication.view),
    )


def totals(view: SiteView) -> dict[str, float | None]:
    """Sum up the blocks. None if no block has the value."""
    blocks = view.economics.blocks

    def summed(figure: Callable[[BlockEconomics], float | None]) -> float | None:
        return total(map(figure, blocks))

    return {
        "rigs": summed(lambda block: block.rigs),
        "priced": summed(lambda block: block.priced),
        "hashrate": summed(lambda block: block.hashrate),
        "power": summed(lambda block: block.power),
        "revenue": summed(lambda block: block.revenue),
        "power_cost": summed(lambda block: block.power_cost),
        "margin": summed(lambda block: block.margin),
        "potential_margin": summed(lambda block: block.potential_margin),
        "avoidable_loss": summed(lambda block: block.avoidable_loss),
    }
