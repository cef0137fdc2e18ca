"""``/map``: every rig as a cell, by block, rack and position."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt
from typing import Any, Final

from aiohttp import web

from exporter.decision.values import Verdict
from exporter.exposition.views import RigView, SiteView, Status
from exporter.server.admission import in_worker
from exporter.server.api import evaluated
from exporter.server.context import ServerContext
from exporter.server.pages.template import page

_NUMBERS: Final = re.compile(r"(\d+)")
_ASPECT: Final = 2.0  # a grid without positions is this many times as wide as high

LOSS: Final = -2.0
"""USD per day, below which the alert MiningRigAvoidableLoss fires."""
HOT: Final = 85.0
"""Board temperature in celsius, above which the alert MiningRigOverheating fires."""

VIEWS: Final[Mapping[str, Mapping[str, Any]]] = {
    "status": {
        "field": 1,
        "kinds": {Status.MINING: "good", Status.STOPPED: "warn", Status.DOWN: "bad", Status.EXPECTED_OFF: "calm"},
    },
    "verdict": {
        "field": 2,
        "kinds": {Verdict.MINE: "good", Verdict.CURTAIL: "warn", Verdict.REASSIGN: "calm", Verdict.REPAIR: "bad"},
    },
    "margin": {
        "field": 3,
        "steps": [
            (f"below −${-LOSS:g} a day", "bad", LOSS),  # noqa: RUF001
            (f"−${-LOSS:g} to $0", "warn", 0.0),  # noqa: RUF001
            ("$0 to $2", "fair", 2.0),
            ("$2 and more", "good", None),
        ],
    },
    "heat": {
        "field": 4,
        "steps": [
            ("below 65 °C", "calm", 65.0),
            ("65 to 75 °C", "fair", 75.0),
            (f"75 to {HOT:g} °C", "warn", HOT),
            (f"{HOT:g} °C and more", "bad", None),
        ],
    },
}
"""How ``map.js`` colours the cells: by which field of a rig (see ``_rig``), and the colour of each value, or of all
values below a limit."""


def add_to(app: web.Application, context: ServerContext) -> None:
    """Serve ``/map``, and the values of its cells as JSON."""

    async def site_map(request: web.Request) -> web.Response:
        return await in_worker(request, page, "map.html", site=context.site)

    async def cells(request: web.Request) -> web.Response:
        return await in_worker(request, _cells, context, evaluated(context))

    app.router.add_get("/map", site_map)
    app.router.add_get("/map.json", cells)


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockPlan:
    """The cells of one block: columns from the left, rows from the top, and the indexes of their rigs."""

    name: str
    columns: int
    rows: int
    cells: Sequence[tuple[int, int, int]]  # column, row, index


def _cells(context: ServerContext, view: SiteView) -> web.Response:
    rigs = view.rigs
    return web.json_response(
        {
            "evaluated": view.snapshot.taken_at,
            "stuck": context.is_stuck(),
            "views": VIEWS,
            "blocks": [
                {"name": plan.name, "columns": plan.columns, "rows": plan.rows, "cells": plan.cells}
                for plan in plans(rigs)
            ],
            "rigs": [_rig(rig) for rig in rigs],
        }
    )


def _rig(rig: RigView) -> tuple[Any, ...]:
    """Return name, status, verdict, margin in USD per day, and the hottest board in celsius."""
    margin = rig.economics.margin
    return (
        rig.snapshot.rig.name,
        rig.status,
        rig.decision.verdict,
        None if margin is None else round(margin, 2),
        hottest_board(rig),
    )


def hottest_board(rig: RigView) -> float | None:
    """Return the temperature of the hottest board in celsius; None if it is not known now."""
    reading = rig.snapshot.reading
    boards = () if reading is None else reading.value.boards
    return max((board.temperature for board in boards if board.temperature is not None), default=None)


def plans(rigs: Sequence[RigView]) -> list[BlockPlan]:
    """Lay out every block, by name. A rack is a column; rigs without a place of their own are a grid beneath."""
    of_block: dict[str, list[int]] = defaultdict(list)
    for index, rig in enumerate(rigs):
        of_block[rig.snapshot.rig.block].append(index)
    return [_plan(name, rigs, of_block[name]) for name in sorted(of_block, key=natural)]


def _plan(name: str, rigs: Sequence[RigView], indexes: Iterable[int]) -> BlockPlan:
    places: dict[tuple[str, str], int] = {}
    rest: list[int] = []
    for index in indexes:
        rig = rigs[index].snapshot.rig
        if rig.position and places.setdefault((rig.rack, rig.position), index) == index:
            continue
        rest.append(index)
    rest.sort(key=lambda index: natural(rigs[index].snapshot.rig.name))
    columns = _order(rack for rack, _ in places)
    rows = _order(position for _, position in places)
    cells = [(columns[rack], rows[position], index) for (rack, position), index in places.items()]
    width = max(len(columns), ceil(sqrt(_ASPECT * len(rest))))
    cells += [(number % width, len(rows) + number // width, index) for number, index in enumerate(rest)]
    height = len(rows) + (ceil(len(rest) / width) if rest else 0)
    return BlockPlan(name=name, columns=width, rows=height, cells=cells)


def _order(names: Iterable[str]) -> Mapping[str, int]:
    return {name: index for index, name in enumerate(sorted(set(names), key=natural))}


def natural(name: str) -> list[tuple[int, int, str]]:
    """Sort numbers within names by their value: rack 2 before rack 10."""
    return [
        (0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in _NUMBERS.split(name)
    ]
