"""``/``: overview of the site, with links to the other pages."""

from collections.abc import Callable, Iterable

from aiohttp import web

from exporter.economics.values import BlockEconomics
from exporter.exposition.views import SiteView
from exporter.server.context import ServerContext
from exporter.server.pages.template import page


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/``."""

    async def landing(_request: web.Request) -> web.Response:
        publication = context.latest.publication
        return page(
            "landing.html",
            site=context.site,
            ready=context.ready(),
            age=context.latest.age(),
            view=None if publication is None else publication.view,
            totals={} if publication is None else totals(publication.view),
        )

    app.router.add_get("/", landing)


def totals(view: SiteView) -> dict[str, float | None]:
    """Sum up the blocks. None if no block has the value."""
    blocks = view.economics.blocks

    def total(figure: Callable[[BlockEconomics], float | None]) -> float | None:
        return _sum(map(figure, blocks))

    return {
        "rigs": total(lambda block: block.rigs),
        "priced": total(lambda block: block.priced),
        "hashrate": total(lambda block: block.hashrate),
        "power": total(lambda block: block.power),
        "revenue": total(lambda block: block.revenue),
        "power_cost": total(lambda block: block.power_cost),
        "margin": total(lambda block: block.margin),
        "potential_margin": total(lambda block: block.potential_margin),
        "avoidable_loss": total(lambda block: block.avoidable_loss),
    }


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
