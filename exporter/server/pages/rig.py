"""``/rigs/{rig}``: explanation of the verdict, faults and hardware of a rig."""

from aiohttp import web

from exporter.decision.explain import Explanation
from exporter.server.admission import in_worker
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.customers import explanation_for, seen_by
from exporter.server.pages import hardware
from exporter.server.pages.points import points_of
from exporter.server.pages.rigs import reason
from exporter.server.pages.template import page
from exporter.server.records import rig_record


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/rigs/{rig}``."""

    async def rig(request: web.Request) -> web.Response:
        return await in_worker(request, _page, context, request)

    app.router.add_get("/rigs/{rig}", rig)


def _page(context: ServerContext, request: web.Request) -> web.Response:
    view, name = seen_by(request, evaluated(context)), request.match_info["rig"]
    explanation = context.explain(view, name)
    if explanation is None:
        return page("no_rig.html", status=404, site=context.site, name=name)
    explanation = explanation_for(request, explanation)
    rig = next(rig for rig in view.rigs if rig.snapshot.rig.name == name)
    record = rig_record(rig, context.failures)
    reading = rig.snapshot.reading.value if rig.snapshot.reading is not None else None
    return page(
        "rig.html",
        site=context.site,
        rig=record,
        reason=reason(record),
        failure=context.failures.get(name),
        explanation=explanation,
        points=points_of(rig),
        longest=_longest(explanation),
        state=[] if reading is None else hardware.state(reading),
        boards=([], []) if reading is None else hardware.boards(reading),
    )


def _longest(explanation: Explanation) -> float:
    """Return the largest absolute value of the axis, which scales its bars."""
    return max((abs(line.value) for line in explanation.axis if line.value is not None), default=0.0) or 1.0
