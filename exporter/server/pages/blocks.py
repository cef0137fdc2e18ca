"""``/blocks``: margin of each block, and the value of its power for AI hosting."""

from aiohttp import web

from exporter.exposition.views import SiteView
from exporter.server.admission import in_worker
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.pages.template import page
from exporter.server.records import BlockRecord, block_record


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/blocks``."""

    async def blocks(request: web.Request) -> web.Response:
        return await in_worker(request, _page, context, evaluated(context))

    app.router.add_get("/blocks", blocks)


def _page(context: ServerContext, view: SiteView) -> web.Response:
    records = sorted(map(block_record, view.blocks), key=_rank)
    return page("blocks.html", site=context.site, taken_at=view.snapshot.taken_at, blocks=records)


def _rank(block: BlockRecord) -> tuple[bool, float]:
    """Sort by reassign score, highest first, unknown last."""
    score = block.reassign_score_usd_per_kilowatt_year
    return score is None, -(score or 0.0)
