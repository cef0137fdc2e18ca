"""``/rigs``: the fleet as a table with sorting, filters and pages."""

from typing import Final

from aiohttp import web

from exporter.decision.values import Verdict
from exporter.exposition.views import SiteView, Status
from exporter.server.admission import in_worker
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.customers import seen_by
from exporter.server.fleet import SORTS, RigQuery, read_count, read_query
from exporter.server.pages.template import page
from exporter.server.records import RigRecord, rig_record

_PER_PAGE: Final = 100


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/rigs``."""

    async def rigs(request: web.Request) -> web.Response:
        query, view = read_query(request), seen_by(request, evaluated(context))
        return await in_worker(request, _page, context, view, query, read_count(request, "page", 1))

    app.router.add_get("/rigs", rigs)


def _page(context: ServerContext, view: SiteView, query: RigQuery, number: int) -> web.Response:
    found = query.select(view)
    pages = max(1, -(-len(found) // _PER_PAGE))
    number = min(max(number, 1), pages)
    start = (number - 1) * _PER_PAGE
    records = [rig_record(rig, context.failures) for rig in found[start : start + _PER_PAGE]]
    return page(
        "rigs.html",
        site=context.site,
        query=query,
        taken_at=view.snapshot.taken_at,
        rigs=[(record, reason(record)) for record in records],
        total=len(found),
        first=start + 1,
        number=number,
        pages=pages,
        sorts=SORTS,
        blocks=[block.economics.name for block in view.blocks],
        statuses=list(Status),
        verdicts=list(Verdict),
    )


def reason(rig: RigRecord) -> str:
    """Return why the rig is in its state: the last failure, the faults, or stale inputs. Empty if nothing is wrong."""
    if rig.failure_reason is not None:
        return f"{rig.failure_reason}: {rig.failure_detail}"
    if rig.faults:
        return ", ".join(dict.fromkeys(fault.code for fault in rig.faults))
    return "inputs are stale, verdict kept" if rig.verdict_held else ""
