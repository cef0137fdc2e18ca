"""``/rigs/{rig}``: why a rig has its verdict, what is broken and what it is made of."""

import asyncio

from aiohttp import web

from exporter.decision.explain import Explanation
from exporter.exposition.views import SiteView
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.pages import hardware
from exporter.server.pages.rigs import reason
from exporter.server.pages.template import page
from exporter.server.records import rig_record


def add_to(app: web.Application, face: ServerContext) -> None:
    """Serve ``/rigs/{rig}``."""

    async def rig(request: web.Request) -> web.Response:
        return await asyncio.to_thread(_page, face, evaluated(face), request.match_info["rig"])

    app.router.add_get("/rigs/{rig}", rig)


def _page(face: ServerContext, view: SiteView, name: str) -> web.Response:
    explanation = face.explain(view, name)
    if explanation is None:
        return page("no_rig.html", status=404, site=face.site, name=name)
    rig = next(rig for rig in view.rigs if rig.snapshot.rig.name == name)
    record = rig_record(rig, face.failures)
    reading = rig.snapshot.reading.value if rig.snapshot.reading is not None else None
    return page(
        "rig.html",
        site=face.site,
        rig=record,
        reason=reason(record),
        failure=face.failures.get(name),
        explanation=explanation,
        longest=_longest(explanation),
        state=[] if reading is None else hardware.state(reading),
        boards=([], []) if reading is None else hardware.boards(reading),
    )


def _longest(explanation: Explanation) -> float:
    """The largest figure of the axis, which its bars are drawn against."""
    return max((abs(line.value) for line in explanation.axis if line.value is not None), default=0.0) or 1.0
