"""``/api/v1``: the latest evaluation as JSON, and lists for controllers as CSV too. See ``docs/api.md``."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from aiohttp import web
from pydantic_core import to_json

from exporter.exposition import spreadsheets
from exporter.exposition.views import SiteView
from exporter.model.configuration_errors import unknown
from exporter.server.admission import in_worker
from exporter.server.context import ServerContext
from exporter.server.customers import explanation_for, seen_by
from exporter.server.fleet import RigQuery, read_count, read_query
from exporter.server.obligation_records import delivery_record, obligation_record
from exporter.server.outlook_records import outlook_record
from exporter.server.plan_records import plan_record
from exporter.server.records import RigRecord, block_record, market_record, rig_record
from exporter.server.setpoint_records import CutRecord, SetpointRecord, setpoint_records, shed_record

_CSV: Final = "text/csv"
_EVERYTHING: Final = 1_000_000
_LONGEST_NAME: Final = 80
_MOST_KILOWATTS: Final = 1e7
_PIECE: Final = 200  # records; writing them takes a few milliseconds


def add_api(app: web.Application, context: ServerContext) -> None:
    """Serve the JSON API."""

    async def rigs(request: web.Request) -> web.Response:
        query, view = read_query(request), seen_by(request, evaluated(context))
        limit, offset = read_count(request, "limit", _EVERYTHING), read_count(request, "offset", 0)
        names = _read_fields(request)
        return await _respond(request, lambda: _rigs(context, view, query, slice(offset, offset + limit), names))

    async def rig(request: web.Request) -> web.Response:
        view, name = seen_by(request, evaluated(context)), request.match_info["rig"]
        explanation = await in_worker(request, context.explain, view, name)
        if explanation is None:
            raise web.HTTPNotFound(text="There is no rig with this name.\n")
        explanation = explanation_for(request, explanation)
        known = next(rig for rig in view.rigs if rig.snapshot.rig.name == name)
        return await _respond(
            request,
            lambda: _envelope(context, view, rig=rig_record(known, context.failures), explanation=explanation),
        )

    async def blocks(request: web.Request) -> web.Response:
        view = evaluated(context)
        return await _respond(
            request, lambda: _envelope(context, view, blocks=[block_record(block) for block in view.blocks])
        )

    async def market(request: web.Request) -> web.Response:
        view = evaluated(context)
        return await _respond(request, lambda: _envelope(context, view, market=market_record(view)))

    async def outlook(request: web.Request) -> web.Response:
        view, found = evaluated(context), context.outlook()
        record = None if found is None else outlook_record(found)
        return await _respond(request, lambda: _envelope(context, view, outlook=record))

    async def obligations(request: web.Request) -> web.Response:
        view = evaluated(context)
        return await _respond(request, lambda: _obligations(context, view))

    async def plan(request: web.Request) -> web.Response:
        view = evaluated(context)
        record = None if view.plan is None else plan_record(view.plan)
        return await _respond(request, lambda: _envelope(context, view, plan=record))

    _add_points(app, context)
    app.router.add_get("/api/v1/rigs", rigs)
    app.router.add_get("/api/v1/rigs/{rig}", rig)
    app.router.add_get("/api/v1/blocks", blocks)
    app.router.add_get("/api/v1/market", market)
    app.router.add_get("/api/v1/outlook", outlook)
    app.router.add_get("/api/v1/obligations", obligations)
    app.router.add_get("/api/v1/plan", plan)


def _add_points(app: web.Application, context: ServerContext) -> None:
    """Serve the calls about operating points."""

    async def setpoints(request: web.Request) -> web.Response:
        view, block = evaluated(context), request.query.get("block", "")
        limit, offset = read_count(request, "limit", _EVERYTHING), read_count(request, "offset", 0)

        def chosen() -> tuple[int, list[SetpointRecord]]:
            found = [each for each in setpoint_records(view) if not block or each.block == block]
            return len(found), found[offset : offset + limit]

        total, records = await in_worker(request, chosen)
        if _wants_csv(request):
            return await _respond_csv(request, SetpointRecord, records)
        return await _respond(request, lambda: _envelope(context, view, total=total, setpoints=records))

    async def shed(request: web.Request) -> web.Response:
        view, wanted = evaluated(context), _read_kilowatts(request)
        found = await in_worker(request, lambda: shed_record(view, wanted))
        if _wants_csv(request):
            return await _respond_csv(request, CutRecord, found.cuts)
        return await _respond(request, lambda: _envelope(context, view, shed=found))

    app.router.add_get("/api/v1/setpoints", setpoints)
    app.router.add_get("/api/v1/shed", shed)


def evaluated(context: ServerContext) -> SiteView:
    """Return the latest evaluation. Raises 503 before the first."""
    if context.latest.publication is None:
        raise web.HTTPServiceUnavailable(text="There is no evaluation yet: try again in a moment.\n")
    return context.latest.publication.view


def _rigs(
    context: ServerContext, view: SiteView, query: RigQuery, chosen: slice, names: Sequence[str]
) -> dict[str, Any]:
    found = query.select(view)
    records: Iterable[Any] = (rig_record(rig, context.failures) for rig in found[chosen])
    if names:
        records = ({name: getattr(record, name) for name in names} for record in records)
    return _envelope(context, view, total=len(found), rigs=list(records))


def _obligations(context: ServerContext, view: SiteView) -> dict[str, Any]:
    owed = view.snapshot.obligations
    return _envelope(
        context,
        view,
        known=owed.known,
        obligations=[obligation_record(each) for each in owed.listed],
        deliveries=[delivery_record(each) for each in view.compliance.closed],
    )


def _read_fields(request: web.Request) -> list[str]:
    """Read the fields to return, all if empty. Raises 400 for an unknown one."""
    names = [name for name in request.query.get("fields", "").split(",") if name]
    known = [field.name for field in fields(RigRecord)]
    for name in names:
        if name not in known:
            raise web.HTTPBadRequest(text=f"{unknown('field', name[:_LONGEST_NAME], known)}\n")
    return names


def _read_kilowatts(request: web.Request) -> float:
    """Read the power to shed. Raises 400 for anything but a number above 0."""
    try:
        wanted = float(request.query.get("kilowatts", ""))
    except ValueError:
        wanted = 0.0
    if not 0 < wanted <= _MOST_KILOWATTS:
        raise web.HTTPBadRequest(text="kilowatts must be a number above 0, such as 2000\n")
    return wanted


def _wants_csv(request: web.Request) -> bool:
    """Return whether the client asks for CSV. Raises 400 for a format that is neither CSV nor JSON."""
    accepted = "csv" if _CSV in request.headers.get("Accept", "") else "json"
    match request.query.get("format", accepted):
        case "csv":
            return True
        case "json":
            return False
    raise web.HTTPBadRequest(text="format must be json or csv\n")


def _envelope(context: ServerContext, view: SiteView, **content: Any) -> dict[str, Any]:
    return {"site": context.site, "evaluated_at_timestamp_seconds": view.snapshot.taken_at, **content}


async def _respond(request: web.Request, content: Callable[[], Mapping[str, Any]]) -> web.Response:
    """Respond with the JSON that ``content`` makes. It runs in a worker thread."""
    body = await in_worker(request, lambda: _json(content()))
    return web.Response(body=body, content_type="application/json")


async def _respond_csv(request: web.Request, kind: type, records: Sequence[Any]) -> web.Response:
    """Respond with a header of the fields of ``kind``, and a row for each record."""
    names = [field.name for field in fields(kind)]

    def written() -> bytes:
        rows = ([spreadsheets.cell(getattr(record, name)) for name in names] for record in records)
        return spreadsheets.as_csv(names, rows).encode(errors="backslashreplace")

    return web.Response(body=await in_worker(request, written), content_type=_CSV, charset="utf-8")


def _json(content: Mapping[str, Any]) -> bytes:
    pairs = (to_json(key) + b":" + _value(value) for key, value in content.items())
    return b"{" + b",".join(pairs) + b"}"


def _value(value: Any) -> bytes:
    """Write a list in pieces: a single call would block the event loop until it is done."""
    if not isinstance(value, list):
        return to_json(value, inf_nan_mode="null")
    pieces = (value[start : start + _PIECE] for start in range(0, len(value), _PIECE))
    return b"[" + b",".join(to_json(piece, inf_nan_mode="null")[1:-1] for piece in pieces) + b"]"
