"""Obligations from Prometheus, Luxor Energy and a file: when they begin, what is unclear, and what is never none."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from source_site import serve

from exporter.decision.values import RigDecision
from exporter.economics.values import RigEconomics
from exporter.exposition.views import RigView, Status
from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Rig
from exporter.model.obligations import Obligation, ObligationKind
from exporter.model.snapshot import RigSnapshot
from exporter.sources.contract import SourceContext
from exporter.sources.obligations.luxor import Settings as Luxor
from exporter.sources.obligations.prometheus import Settings as Prometheus
from exporter.sources.obligations.schedule import Settings as Schedule

NOW = 1_774_094_400.0


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


class Told:
    """A Prometheus with one value, and the source that reads it."""

    def __init__(self) -> None:
        self.now = NOW
        self.value: float | None = 0.0
        self.source: Any = None

    async def answer(self, _request: web.Request) -> web.Response:
        value = [] if self.value is None else [{"metric": {}, "value": [self.now, str(self.value)]}]
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": value}})

    def read_by(self, server: str, session: aiohttp.ClientSession, **settings: Any) -> None:
        said = Prometheus.model_validate({"url": server, "query": "x"} | settings)
        self.source = said.build(SourceContext(session, clock=lambda: self.now))

    async def owed(self, value: float | None) -> tuple[Obligation, ...]:
        self.value = value
        self.now += 30
        owed: tuple[Obligation, ...] = (await self.source.fetch()).value
        return owed


async def test_a_cap_begins_when_its_value_is_first_seen_and_ends_when_it_is_negative(
    session: aiohttp.ClientSession,
) -> None:
    found = Told()
    async with serve(found.answer) as server:
        found.read_by(server, session, obligation="cap")
        (first,) = await found.owed(400)
        (same,) = await found.owed(400)
        (lower,) = await found.owed(300)
        none = await found.owed(-1)
        (again,) = await found.owed(0)
    assert (first.cap, first.start, first.end) == (400e3, NOW + 30, None)
    assert same == first
    assert (lower.cap, lower.event, lower.start) == (300e3, first.event, NOW + 90)
    assert none == ()
    assert (again.cap, again.event) == (0.0, f"{NOW + 150:.0f}")


@pytest.mark.parametrize(
    ("meaning", "value", "expected"),
    [
        ("reduction", 500, {"reduction": 5e5}),
        ("floor", 500, {"floor": 5e5}),
        ("level", 2, {"level": 2, "cap": 4e6}),
        ("level", 1, {"level": 1, "cap": None, "unclear": "level 1 is not in `levels`"}),
    ],
)
async def test_each_meaning_is_read(
    session: aiohttp.ClientSession, meaning: str, value: float, expected: dict[str, Any]
) -> None:
    found = Told()
    async with serve(found.answer) as server:
        found.read_by(server, session, meaning=meaning, levels={2: 4000}, blocks=["c1"])
        assert await found.owed(0) == ()
        (owed,) = await found.owed(value)
    assert {name: getattr(owed, name) for name in expected} == expected
    assert owed.blocks == ("c1",)


@pytest.mark.parametrize(
    ("value", "reason"), [(None, Reason.NOT_READY), (1.5, Reason.IMPLAUSIBLE), (4, Reason.IMPLAUSIBLE)]
)
async def test_no_result_or_no_level_is_a_failure(
    session: aiohttp.ClientSession, value: float | None, reason: Reason
) -> None:
    found = Told()
    async with serve(found.answer) as server:
        found.read_by(server, session, meaning="level")
        with pytest.raises(Failure) as caught:
            await found.owed(value)
    assert caught.value.reason is reason


def row(number: int, **changes: Any) -> dict[str, Any]:
    times = {"start_time": "2026-03-21T12:00:00Z", "end_time": "2026-03-21T13:00:00Z"}
    return {"as_type": "RRS", "opr_date": f"d{number}", "quantity_kw": "150.0"} | times | changes


async def test_all_pages_of_luxor_are_read_and_an_unreadable_call_is_unclear(session: aiohttp.ClientSession) -> None:
    async def luxor(request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer key"
        page = int(request.query["page_number"])
        if request.path.endswith("as-awards"):
            rows = [row(number) for number in range(100 if page == 1 else 3)]
            return web.json_response({"as_awards": [*rows[:-1], row(0, quantity_kw="a lot")]})
        return web.json_response({"as_calls": [row(0, end_time="2026-03-21T11:00:00Z"), row(1)]})

    async with serve(luxor) as server:
        said = Luxor.model_validate({"url": server, "site_id": "s", "bearer_token": "key"})
        context = SourceContext(session, clock=lambda: NOW)
        owed = (await said.build(context).fetch()).value
    assert sum(each.kind is ObligationKind.AWARD for each in owed) == 101
    assert [each.unclear for each in owed if each.kind is ObligationKind.CALL] == [
        "row 1 of as_calls: it ends before it begins",
        "",
    ]
    assert set(context.discards.notes) == {"as_awards", "as_calls"}


async def test_endless_pages_of_luxor_are_a_failure(session: aiohttp.ClientSession) -> None:
    async def luxor(_request: web.Request) -> web.Response:
        return web.json_response({"as_awards": [row(number) for number in range(100)]})

    async with serve(luxor) as server:
        said = Luxor.model_validate({"url": server, "site_id": "s", "bearer_token": "key"})
        with pytest.raises(Failure, match="more than 20 pages"):
            await said.build(SourceContext(session, clock=lambda: NOW)).fetch()


async def test_bad_lines_of_a_schedule_are_left_out(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    file = tmp_path / "obligations.csv"
    file.write_text(
        "kind,from,until,cap_kilowatts,level\n"
        "cap,,,4000,\n"
        "cap,,,4000,2\n"
        "cap,2026-03-21 13:00,2026-03-21 12:00,1,\n"
        "kap,,,1,\n"
        "call,,,,2\n"
    )
    source = Schedule(path=file, levels={2: 10}).build(SourceContext(session, clock=lambda: NOW))
    owed = (await source.fetch()).value
    assert [(each.kind, each.cap) for each in owed] == [(ObligationKind.CAP, 4e6), (ObligationKind.CALL, 1e4)]
    assert all(each.start == 0 and each.end is None for each in owed)
    file.unlink()
    with pytest.raises(Failure):
        await source.fetch()


def test_a_rig_that_stands_still_is_unknown_while_it_is_not_known_what_is_owed() -> None:
    rig = RigSnapshot(rig=Rig(name="a", address="a"), up=False, expected_mining=None)
    assert RigView(rig, RigEconomics(), RigDecision()).status is Status.UNKNOWN
