"""Recorded hours from a Prometheus and from a file, and how a history is filled with them."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from pydantic import TypeAdapter, ValidationError
from sites import HASHPRICE, NOW
from source_site import serve

from exporter.decision.history import BlockHour, MarginHistory
from exporter.decision.settings import DecisionSettings
from exporter.economics.settings import EconomicsSettings, PayoutScheme, PowerSettings, SiteSettings
from exporter.model.failures import Failure, Reason
from exporter.model.fleet import Rig
from exporter.polling.backfill import Backfill
from exporter.sources.backfill import BackfillSettings, Wanted, read_file, recorded
from exporter.sources.contract import SourceContext
from exporter.telemetry import Telemetry

HOUR = 3_600.0
CURRENT = NOW - NOW % HOUR
SITE = SiteSettings(tariff="ppa")
SETTINGS: TypeAdapter[Any] = TypeAdapter(BackfillSettings)
RIGS = [Rig(name=name, address=f"10.0.0.{index}", block="north", tariff="ppa") for index, name in enumerate("ab", 1)]

Answers = Mapping[str, list[tuple[dict[str, str], float]]]
RECORDED: dict[str, list[tuple[dict[str, str], float]]] = {
    "avg_over_time(mining_hashprice": [({"site": "x"}, HASHPRICE)],
    "count_over_time(mining_hashprice": [({}, 240.0)],
    "mining_power_price": [({"tariff": "ppa"}, 0.05), ({"tariff": "grid"}, 0.09)],
    "count(max by (rig) (last_over_time(mining_rig_inventory_info": [({}, 2.0)],
    "max by (rig, tariff) (last_over_time(mining_rig_inventory_info": [
        ({"rig": "a", "tariff": "ppa"}, 1.0),
        ({"rig": "b", "tariff": "ppa"}, 1.0),
    ],
    "mining_rig_potential_margin": [({"rig": "a"}, HASHPRICE / 17.5 - 1.2), ({"rig": "b"}, HASHPRICE / 35 - 1.2)],
    "mining_rig_potential_power": [({"rig": "a"}, 1_000.0), ({"rig": "b"}, 1_000.0)],
}


@asynccontextmanager
async def prometheus(answers: Answers, asked: list[str] | None = None, failures: int = 0) -> AsyncIterator[str]:
    """A server whose range queries give constant series: those of the first name that the query contains."""

    async def query(request: web.Request) -> web.Response:
        nonlocal failures
        failures -= 1
        if failures >= 0:
            return web.Response(status=500)
        start, end, step = (float(request.query[name]) for name in ("start", "end", "step"))
        text = request.query["query"]
        if asked is not None:
            asked.append(text)
        times = [start + step * number for number in range(int((end - start) / step) + 1)]
        series = next((found for name, found in answers.items() if name in text), [])
        result = [{"metric": labels, "values": [[at, str(value)] for at in times]} for labels, value in series]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    async with serve(query) as url:
        yield url


async def fill(
    settings: dict[str, Any], *, site: SiteSettings = SITE, rigs: Iterable[Rig] = RIGS, history: float = 2 * 86_400
) -> tuple[dict[str, list[BlockHour]], Telemetry]:
    recovered: dict[str, list[BlockHour]] = {}
    telemetry = Telemetry()
    async with aiohttp.ClientSession() as session:
        context = SourceContext(session, lambda: NOW)
        backfill = Backfill(
            SETTINGS.validate_python(settings),
            context,
            telemetry,
            MarginHistory,
            lambda block, hours: recovered.setdefault(block, []).extend(hours),
            first_retry=0.01,
        )
        await backfill.run(rigs, site, DecisionSettings(history=history, history_needed=history / 2))
    return recovered, telemetry


async def test_a_history_is_filled_from_prometheus_per_block_and_hour() -> None:
    asked: list[str] = []
    async with prometheus(RECORDED, asked) as url:
        recovered, _ = await fill({"kind": "prometheus", "url": url, "selector": 'site="x"'})
    assert list(recovered) == ["north"]
    hours = recovered["north"]
    assert [hour.hour for hour in hours] == [CURRENT - back * HOUR for back in range(48, 0, -1)]
    assert all(hour.recorded and hour.seconds == HOUR for hour in hours)
    (tariff,) = hours[0].tariffs
    assert (tariff.price, list(tariff.steps)) == (0.05, [175, 350])
    assert list(tariff.work) == pytest.approx([1 / 17.5 / 24, 1 / 35 / 24])
    assert all('site="x"' in query for query in asked)
    assert any('rig=~"a|b"' in query for query in asked)


async def test_queries_are_bounded_in_rigs_and_hours() -> None:
    asked: list[str] = []
    many = [Rig(name=f"r{index}", address="10.0.0.1", block="north") for index in range(450)]
    async with prometheus(RECORDED, asked) as url:
        await fill({"kind": "prometheus", "url": url}, rigs=many, history=14 * 86_400)
    assert sum("mining_rig_potential_power" in query for query in asked) == 2 * 3
    assert max(query.count("|") for query in asked) == 199


async def test_an_hour_of_which_a_part_was_recorded_counts_in_part() -> None:
    counts = iter((240.0, 120.0))

    async def query(request: web.Request) -> web.Response:
        text, start = request.query["query"], float(request.query["start"])
        series = next((found for name, found in RECORDED.items() if name in text), [])
        values = [
            (
                labels,
                [[start + number * HOUR, str(next(counts) if "count_over" in text else value)] for number in (0, 1)],
            )
            for labels, value in series
        ]
        result = [{"metric": labels, "values": pairs} for labels, pairs in values]
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": result}})

    async with serve(query) as url, aiohttp.ClientSession() as session:
        settings = SETTINGS.validate_python({"kind": "prometheus", "url": url})
        wanted = {"north": Wanted([CURRENT - 2 * HOUR, CURRENT - HOUR], ["a", "b"])}
        found = [hours async for _, hours in recorded(settings, session, wanted, SITE)]
    assert [hour.seconds for hours in found for hour in hours] == [HOUR, HOUR / 2]


async def test_a_rig_that_had_two_tariffs_in_an_hour_is_not_known() -> None:
    both = RECORDED["max by (rig, tariff) (last_over_time(mining_rig_inventory_info"]
    answers = RECORDED | {
        "max by (rig, tariff) (last_over_time(mining_rig_inventory_info": [*both, ({"rig": "b", "tariff": "grid"}, 1.0)]
    }
    async with prometheus(answers) as url:
        recovered, _ = await fill({"kind": "prometheus", "url": url})
    assert recovered == {"north": []}  # half of the block is below the coverage


async def test_energy_that_can_be_sold_needs_the_recorded_price() -> None:
    sellable = SiteSettings(tariff="ppa", power=PowerSettings(resale_tariff="grid"))
    async with prometheus(RECORDED) as url:
        recovered, _ = await fill({"kind": "prometheus", "url": url}, site=sellable)
    assert {tariff.sale for hour in recovered["north"] for tariff in hour.tariffs} == {0.09}
    async with prometheus(RECORDED | {"mining_power_price": [({"tariff": "ppa"}, 0.05)]}) as url:
        recovered, _ = await fill({"kind": "prometheus", "url": url}, site=sellable)
    assert recovered == {"north": []}


async def test_without_records_nothing_is_recovered() -> None:
    async with prometheus({}) as url:
        assert (await fill({"kind": "prometheus", "url": url}))[0] == {}


@pytest.mark.parametrize(
    ("answers", "site", "words"),
    [
        (
            RECORDED | {"avg_over_time(mining_hashprice": [({"site": "x"}, 33.0), ({"site": "y"}, 33.0)]},
            SITE,
            "several sites",
        ),
        (RECORDED, SiteSettings(economics=EconomicsSettings(scheme=PayoutScheme.PPS)), "fpps"),
    ],
)
async def test_records_that_do_not_say_what_was_earned_are_refused(
    answers: Answers, site: SiteSettings, words: str
) -> None:
    async with prometheus(answers) as url, aiohttp.ClientSession() as session:
        settings = SETTINGS.validate_python({"kind": "prometheus", "url": url})
        with pytest.raises(Failure, match=words):
            async for _ in recorded(settings, session, {"north": Wanted([CURRENT], ["a"])}, site):
                pass


def test_a_selector_has_no_braces() -> None:
    with pytest.raises(ValidationError, match="without braces"):
        SETTINGS.validate_python({"kind": "prometheus", "url": "http://p:9090", "selector": '{site="x"}'})


async def test_a_failure_is_counted_and_tried_again() -> None:
    async with prometheus(RECORDED, failures=2) as url:
        recovered, telemetry = await fill({"kind": "prometheus", "url": url})
    assert recovered
    exported = telemetry.registry.get_sample_value
    assert exported("mining_source_failures_total", {"source": "backfill", "reason": "server_error"}) == 2
    assert exported("mining_source_requests_total", {"source": "backfill"}) == 3
    assert exported("mining_source_up", {"source": "backfill"}) == 1


# --- files ----------------------------------------------------------------------------------------------------------

HEADER = "time,block,tariff,kilowatts,petahashes,hashprice,power_price,sale_price"


def written(folder: Path, *lines: str) -> Path:
    file = folder / "hours.csv"
    file.write_text("\n".join((HEADER, *lines)), encoding="utf-8")
    return file


async def test_a_history_is_filled_from_a_file(tmp_path: Path) -> None:
    hour = f"{CURRENT - HOUR:.0f}"
    file = written(
        tmp_path,
        f"{hour},north,ppa,1,{1 / 17.5},33.3,0.05,",
        f"{hour},north,grid,1,{1 / 35},33.3,0.09,0.02",
        f"{hour},elsewhere,ppa,1,0.05,33.3,0.05,",
    )
    recovered, _ = await fill({"kind": "file", "path": str(file)})
    (block,) = recovered.values()
    (one,) = block
    assert (one.hour, one.recorded, one.payout) == (CURRENT - HOUR, True, pytest.approx(33.3))
    assert [(each.tariff, each.price, each.sale) for each in one.tariffs] == [
        ("grid", 0.09, 0.02),
        ("ppa", 0.05, None),
    ]


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (("2026-03-21T14:30:00Z,north,ppa,1,0.05,33,0.05,",), "line 2: time '2026-03-21T14:30:00Z' is not the start"),
        (("soon,north,ppa,1,0.05,33,0.05,",), "line 2: time 'soon' must be like"),
        (("2026-03-21T14:00:00Z,north,ppa,-1,0.05,33,0.05,",), "kilowatts -1 is below 0"),
        (("2026-03-21T14:00:00Z,north,ppa,1,much,33,0.05,",), "line 2: not a number: 'much'"),
        (
            ("2026-03-21T14:00:00Z,north,ppa,1,0.05,33,0.05,", "2026-03-21 14:00,north,ppa,1,0.05,34,0.05,"),
            "line 3: the hashprice differs",
        ),
        (
            ("2026-03-21T14:00:00Z,north,ppa,1,0.05,33,0.05,", "2026-03-21 14:00,north,ppa,1,0.05,33,0.06,"),
            "line 3: a price differs",
        ),
    ],
)
def test_a_row_that_is_wrong_is_named_with_its_line(tmp_path: Path, lines: tuple[str, ...], words: str) -> None:
    with pytest.raises(Failure) as caught:
        read_file(written(tmp_path, *lines))
    assert caught.value.reason is Reason.GARBLED
    assert words in caught.value.detail


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"none\.csv: No such file"):
        read_file(tmp_path / "none.csv")
