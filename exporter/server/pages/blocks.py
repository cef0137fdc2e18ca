"""``/blocks``: margin of each block, and the value of its power for AI hosting."""

from aiohttp import web

from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.pages.template import page
from exporter.server.records import BlockRecord, block_record


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/blocks``."""

    async def blocks(_request: web.Request) -> web.Response:
        view = evaluated(context)
        records = sorted(map(block_record, view.blocks), key=_rank)
        return page("blocks.html", site=context.site, taken_at=view.snapshot.taken_at, blocks=records)

    app.router.add_get("/blocks", blocks)


def _rank(block: BlockRecord) -> tuple[bool, float]:
    """Sort by reassign score, highest first, unknown last."""
    score = block.reassign_score_usd_per_kilowatt_year
    return score is None, -(score or 0.0)
