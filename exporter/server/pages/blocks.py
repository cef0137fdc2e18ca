"""``/blocks``: margin of each block, and the value of its power for AI hosting."""

from collections.abc import Mapping
from itertools import accumulate, pairwise
from typing import NamedTuple

from aiohttp import web

from exporter.exposition.views import SiteView
from exporter.server.admission import in_worker
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.pages.charts import RINGS, charts
from exporter.server.pages.template import page
from exporter.server.records import BlockRecord, block_record
from exporter.server.rings import Rings


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/blocks``."""

    async def blocks(request: web.Request) -> web.Response:
        return await in_worker(request, _page, context, evaluated(context), request.app[RINGS])

    app.router.add_get("/blocks", blocks)


def _page(context: ServerContext, view: SiteView, rings: Rings) -> web.Response:
    records = sorted(map(block_record, view.blocks), key=_rank)
    steps = {block.block: waterfall(block.conversion_margin_lines) for block in records}
    drawn = {name: charts(courses) for name, courses in rings.blocks().items()}
    return page(
        "blocks.html",
        site=context.site,
        taken_at=view.snapshot.taken_at,
        blocks=records,
        steps=steps,
        charts={block.block: drawn[block.block] for block in records if drawn.get(block.block)},
    )


class Step(NamedTuple):
    """One bar of a waterfall: a line, the sum up to it, and where the bar begins and how wide it is, in per cent."""

    name: str
    value: float
    total: float
    start: float
    width: float


def waterfall(lines: Mapping[str, float]) -> list[Step]:
    """Lay the bars out from the first line to the sum. Lines of 0 are left out."""
    named = {name: value for name, value in lines.items() if value}
    edges = list(accumulate(named.values(), initial=0.0))
    low = min(edges)
    scale = 100 / (max(edges) - low) if named else 0.0
    return [
        Step(name, value, after, (min(before, after) - low) * scale, abs(value) * scale)
        for (name, value), (before, after) in zip(named.items(), pairwise(edges), strict=True)
    ]


def _rank(block: BlockRecord) -> tuple[bool, float]:
    """Sort by reassign score, highest first, unknown last."""
    score = block.reassign_score_usd_per_kilowatt_year
    return score is None, -(score or 0.0)
