"""``/rigs``: the fleet as a table that sorts and filters, a page of it at a time."""

import asyncio
from typing import Final

from aiohttp import web

from exporter.decision.values import Verdict
from exporter.exposition.views import SiteView, Status
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.fleet import SORTS, RigQuery, read_count, read_query
from exporter.server.pages.template import page
from exporter.server.records import RigRecord, rig_record

_PER_PAGE: Final = 100


def add_to(app: web.Application, face: ServerContext) -> None:
    """Serve ``/rigs``."""

    async def rigs(request: web.Request) -> web.Response:
        query, view = read_query(request), evaluated(face)
        return await asyncio.to_thread(_page, face, view, query, read_count(request, "page", 1))

    app.router.add_get("/rigs", rigs)


def _page(face: ServerContext, view: SiteView, query: RigQuery, number: int) -> web.Response:
    found = query.select(view)
    pages = max(1, -(-len(found) // _PER_PAGE))
    number = min(max(number, 1), pages)
    start = (number - 1) * _PER_PAGE
    records = [rig_record(rig, face.failures) for rig in found[start : start + _PER_PAGE]]
    return page(
        "rigs.html",
        site=face.site,
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
    """What stands behind a rig's state, in few words."""
    if rig.failure_reason is not None:
        return f"{rig.failure_reason}: {rig.failure_detail}"
    if rig.faults:
        return ", ".join(dict.fromkeys(fault.code for fault in rig.faults))
    return "its inputs are stale: the verdict stands as it was" if rig.verdict_held else ""
