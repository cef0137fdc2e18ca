"""Power markets on the days that are not 24 hours long, and other habits of theirs."""

import io
import re
import zipfile
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from aiohttp import web
from pydantic import ValidationError
from source_site import Handler, instant, load_case, placed, serve

from exporter.model.failures import Failure, Reason
from exporter.model.readings import PriceSlot
from exporter.sources.contract import SourceContext, SourceSettings
from exporter.sources.registry import settings_classes
from exporter.sources.shared import SharedAnswers
from exporter.sources.tariffs import template

BERLIN, LONDON, CHICAGO, NEW_YORK = (
    ZoneInfo(name) for name in ("Europe/Berlin", "Europe/London", "America/Chicago", "America/New_York")
)
SPRING, SUMMER, AUTUMN = date(2026, 3, 29), date(2026, 6, 1), date(2026, 10, 25)
US_SPRING, US_AUTUMN = date(2026, 3, 8), date(2026, 11, 1)


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as made:
        yield made


def midnight(day: date, zone: ZoneInfo) -> float:
    return datetime.combine(day, datetime.min.time(), zone).timestamp()


def made(kind: str, server: str, **changes: Any) -> SourceSettings:
    said = placed(load_case("tariffs", kind)["settings"], server) | changes
    return settings_classes("tariffs")[kind].model_validate(said)


async def slots_of(session: aiohttp.ClientSession, settings: SourceSettings, now: float) -> tuple[PriceSlot, ...]:
    slots: tuple[PriceSlot, ...] = (await settings.build(SourceContext(session, clock=lambda: now)).fetch()).value
    return slots


def assert_covers(slots: tuple[PriceSlot, ...], day: date, zone: ZoneInfo, count: int) -> None:
    """The slots are that many, follow each other, and last from midnight to midnight."""
    assert len(slots) == count
    assert slots[0].start == midnight(day, zone)
    assert slots[-1].end == midnight(day + timedelta(days=1), zone)
    assert all(slot.end == following.start for slot, following in pairwise(slots))


def serving(*bodies: str | bytes, **options: Any) -> Handler:
    """Answer with one body after the other, the last for ever."""
    left = list(bodies)

    async def handle(request: web.Request) -> web.Response:
        body = left.pop(0) if len(left) > 1 else left[0]
        return web.Response(body=body.encode() if isinstance(body, str) else body, **options)

    return handle


def entsoe_document(day: date, resolution: str, points: dict[int, float], currency: str = "EUR") -> str:
    start, end = (
        datetime.fromtimestamp(midnight(day + timedelta(days=ahead), BERLIN), UTC).strftime("%Y-%m-%dT%H:%MZ")
        for ahead in (0, 1)
    )
    periods = "".join(
        f"<Point><position>{position}</position><price.amount>{price}</price.amount></Point>"
        for position, price in points.items()
    )
    return f"""<Publication_MarketDocument xmlns="urn:iec62325.351:tc57wg16:451-3:publicationdocument:7:3"><TimeSeries>
        <currency_Unit.name>{currency}</currency_Unit.name><price_Measure_Unit.name>MWH</price_Measure_Unit.name>
        <Period><timeInterval><start>{start}</start><end>{end}</end></timeInterval><resolution>{resolution}</resolution>
        {periods}</Period></TimeSeries></Publication_MarketDocument>"""


@pytest.mark.parametrize(
    ("day", "resolution", "count"),
    [
        (SPRING, "PT15M", 92),
        (SUMMER, "PT15M", 96),
        (AUTUMN, "PT15M", 100),
        (SPRING, "PT60M", 23),
        (AUTUMN, "PT60M", 25),
    ],
)
async def test_entsoe_days_of_23_24_and_25_hours(
    session: aiohttp.ClientSession, day: date, resolution: str, count: int
) -> None:
    document = entsoe_document(day, resolution, {1: 108.0, count - 1: 216.0})
    async with serve(serving(document)) as server:
        slots = await slots_of(session, made("entsoe", server), midnight(day, BERLIN))
    assert_covers(slots, day, BERLIN, count)
    assert [slot.price for slot in slots[-3:]] == pytest.approx([0.11664, 0.23328, 0.23328])


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (
            "<Acknowledgement_MarketDocument><Reason><text>No data</text></Reason></Acknowledgement_MarketDocument>",
            Reason.NOT_READY,
        ),
        (entsoe_document(SUMMER, "PT15M", {1: 1.0}, currency="PLN"), Reason.IMPLAUSIBLE),
        (entsoe_document(SUMMER, "PT15M", {1: 1e6}), Reason.IMPLAUSIBLE),
        (entsoe_document(SUMMER, "P1Y", {1: 1.0}), Reason.GARBLED),
        (entsoe_document(SUMMER, "PT15M", {}), Reason.GARBLED),
        (re.sub("<end>20", "<end>59", entsoe_document(SUMMER, "PT15M", {1: 1.0})), Reason.GARBLED),  # 137 million slots
        ("<Publication_MarketDocument>", Reason.GARBLED),
        ('<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>', Reason.GARBLED),
    ],
)
async def test_entsoe_documents_without_usable_prices(
    session: aiohttp.ClientSession, document: str, reason: Reason
) -> None:
    async with serve(serving(document)) as server:
        with pytest.raises(Failure) as caught:
            await slots_of(session, made("entsoe", server), midnight(SUMMER, BERLIN))
    assert caught.value.reason is reason


@pytest.mark.parametrize(("day", "count"), [(SPRING, 46), (SUMMER, 48), (AUTUMN, 50)])
async def test_octopus_days_of_46_48_and_50_half_hours(session: aiohttp.ClientSession, day: date, count: int) -> None:
    first = midnight(day, LONDON)

    def iso(index: int) -> str:
        return datetime.fromtimestamp(first + index * 1800, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    rates = [
        {"value_exc_vat": index, "valid_from": iso(index), "valid_to": iso(index + 1), "payment_method": method}
        for index in reversed(range(count))
        for method in ("DIRECT_DEBIT", "NON_DIRECT_DEBIT")
    ]

    async def handle(request: web.Request) -> web.Response:
        page = int(request.query["page"])
        following = "more" if page * 40 < len(rates) else None
        return web.json_response({"next": following, "results": rates[(page - 1) * 40 : page * 40]})

    async with serve(handle) as server:
        settings = made("octopus_agile", server, fx={"kind": "fixed", "usd_per": {"GBP": 1}})
        slots = await slots_of(session, settings, first)
    assert_covers(slots, day, LONDON, count)
    assert slots[1].price == pytest.approx(0.01)


FIELDS = [
    {"name": name}
    for name in (
        "deliveryDate",
        "deliveryHour",
        "deliveryInterval",
        "settlementPoint",
        "settlementPointPrice",
        "DSTFlag",
    )
]


def ercot_rows(day: date) -> list[list[Any]]:
    """A day as ERCOT writes it: no hour 3 in spring; in autumn hour 2 twice, the second time flagged."""
    start, end = midnight(day, CHICAGO), midnight(day + timedelta(days=1), CHICAGO)
    rows = []
    for index in range(round((end - start) / 900)):
        local = datetime.fromtimestamp(start + index * 900, CHICAGO)
        rows.append([str(day), local.hour + 1, local.minute // 15 + 1, "HB_WEST", index, local.fold == 1])
    return rows


@pytest.mark.parametrize(("day", "count"), [(US_SPRING, 92), (SUMMER, 96), (US_AUTUMN, 100)])
async def test_ercot_days_of_92_96_and_100_quarter_hours(session: aiohttp.ClientSession, day: date, count: int) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"id_token": "token"})
        assert request.headers["Authorization"] == "Bearer token"
        assert request.headers["Ocp-Apim-Subscription-Key"] == "secret"
        return web.json_response({"fields": FIELDS, "data": ercot_rows(day)[::-1]})

    async with serve(handle) as server:
        slots = await slots_of(session, made("ercot", server), midnight(day, CHICAGO) + 43_200)
    assert_covers(slots, day, CHICAGO, count)
    assert [slot.price for slot in slots] == pytest.approx([index / 1000 for index in range(count)])


async def test_ercot_day_ahead_hours_end_at_their_name(session: aiohttp.ClientSession) -> None:
    async def handle(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"access_token": "token"})
        assert request.path.endswith("/np4-190-cd/dam_stlmnt_pnt_prices")
        names = ("deliveryDate", "hourEnding", "settlementPoint", "settlementPointPrice", "DSTFlag")
        rows = [["2026-06-01", "01:00", "HB_WEST", 20, False], ["2026-06-01", "24:00", "HB_WEST", 30, False]]
        return web.json_response({"fields": [{"name": name} for name in names], "data": rows})

    async with serve(handle) as server:
        slots = await slots_of(session, made("ercot", server, market="day_ahead"), midnight(SUMMER, CHICAGO))
    first = midnight(SUMMER, CHICAGO)
    assert slots == (PriceSlot(first, first + 3600, 0.02), PriceSlot(first + 23 * 3600, first + 24 * 3600, 0.03))


async def test_ercot_gets_a_new_token_when_the_old_one_is_refused(session: aiohttp.ClientSession) -> None:
    issued: list[str] = []
    refused: set[str] = set()

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/token":
            issued.append(f"token-{len(issued)}")
            return web.json_response({"id_token": issued[-1]})
        if request.headers["Authorization"].removeprefix("Bearer ") in refused:
            return web.Response(status=401)
        return web.json_response({"fields": FIELDS, "data": ercot_rows(SUMMER)})

    async with serve(handle) as server:
        source = made("ercot", server).build(SourceContext(session, clock=lambda: midnight(SUMMER, CHICAGO)))
        await source.fetch()
        await source.fetch()
        assert issued == ["token-0"]
        refused.add("token-0")
        with pytest.raises(Failure) as caught:
            await source.fetch()
        assert caught.value.reason is Reason.AUTH
        await source.fetch()
    assert issued == ["token-0", "token-1"]


@pytest.mark.parametrize(("day", "count"), [(US_SPRING, 23), (SUMMER, 24), (US_AUTUMN, 25)])
async def test_nyiso_days_in_local_time(session: aiohttp.ClientSession, day: date, count: int) -> None:
    start = midnight(day, NEW_YORK)
    stamps = [
        datetime.fromtimestamp(start + index * 3600, NEW_YORK).strftime("%m/%d/%Y %H:%M") for index in range(count)
    ]
    table = '"Time Stamp","Name","LBMP ($/MWHr)"\n' + "".join(
        f'"{stamp}","N.Y.C.",{index}\n' for index, stamp in enumerate(stamps)
    )

    async def handle(request: web.Request) -> web.Response:
        return web.Response(text=table) if request.path == f"/{day:%Y%m%d}.csv" else web.Response(status=404)

    async with serve(handle) as server:
        settings = template.Settings.model_validate(
            {"template": "nyiso", "area": "N.Y.C.", "url": f"{server}/{{date}}.csv"}
        )
        slots = await slots_of(session, settings, start + 7200)
    assert_covers(slots, day, NEW_YORK, count)


async def test_a_zipped_csv_is_read_like_a_plain_one(session: aiohttp.ClientSession) -> None:
    case = load_case("tariffs", "http_csv")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("prices.csv", case["answers"][0]["body"])
    async with serve(serving(packed.getvalue())) as server:
        slots = await slots_of(session, made("http_csv", server), instant(case["now"]))
    assert [slot.price for slot in slots] == pytest.approx([0.0315, -0.01225])


@pytest.mark.parametrize(("size", "reason"), [(50_000_000, Reason.TOO_LARGE), (None, Reason.GARBLED)])
async def test_a_zip_that_explodes_or_is_broken_is_refused(
    session: aiohttp.ClientSession, size: int | None, reason: Reason
) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("prices.csv", b"0" * (size or 1000))
    body = packed.getvalue() if size else packed.getvalue()[:50]
    async with serve(serving(body)) as server:
        with pytest.raises(Failure) as caught:
            await slots_of(session, made("http_csv", server), 0.0)
    assert caught.value.reason is reason


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"template": "nyis"}, "there is no template 'nyis': did you mean 'nyiso'"),
        ({"template": "nord_pool"}, "needs an area: a delivery area"),
        ({"template": "awattar"}, "prices in EUR need fx"),
        ({}, "template"),
    ],
)
def test_a_template_says_what_it_lacks(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        template.Settings.model_validate(settings)


async def test_an_unchanged_answer_is_not_sent_again(session: aiohttp.ClientSession) -> None:
    case = load_case("tariffs", "http_json")
    statuses = []

    async def handle(request: web.Request) -> web.Response:
        response = web.Response(text=case["answers"][0]["body"], headers={"ETag": '"v1"'})
        if request.headers.get("If-None-Match") == '"v1"':
            response = web.Response(status=304)
        statuses.append(response.status)
        return response

    async with serve(handle) as server:
        passed = 0.0
        shared = SharedAnswers[Any](lambda: passed)
        context = SourceContext(session, clock=lambda: instant(case["now"]), shared=shared)
        source = made("http_json", server).build(context)
        first = await source.fetch()
        passed = 3600.0  # an answer serves for half an interval
        assert (await source.fetch()).value == first.value
    assert statuses == [200, 304]


async def test_a_rate_is_asked_on_its_own_rhythm_and_kept_while_it_is_fresh(session: aiohttp.ClientSession) -> None:
    ecb = load_case("fx", "ecb")
    clock = {"now": instant(ecb["now"])}
    asked: list[str] = []
    broken = False

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path)
        return web.Response(status=500) if broken else web.Response(text=ecb["answers"][0]["body"])

    async with serve(handle) as server:
        settings = settings_classes("tariffs")["fixed"].model_validate(
            {
                "kind": "fixed",
                "usd_per_kilowatt_hour": 0.1,
                "currency": "EUR",
                "fx": {"kind": "ecb", "url": server, "interval": "1h", "max_age": "4d"},
            }
        )
        source = settings.build(SourceContext(session, clock=lambda: clock["now"], timer=lambda: clock["now"]))
        for wait in (0, 1800, 1800):
            clock["now"] += wait
            assert (await source.fetch()).value[0].price == pytest.approx(0.108)
        assert len(asked) == 2
        broken = True
        clock["now"] += 86_400
        assert (await source.fetch()).value[0].price == pytest.approx(0.108)
        clock["now"] += 3 * 86_400
        with pytest.raises(Failure):
            await source.fetch()


def query_result(*results: dict[str, Any]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"status": "success", "data": {"resultType": "vector", "result": list(results)}})

    return handle


@pytest.mark.parametrize(
    ("results", "reason"),
    [
        ([], Reason.NOT_READY),
        ([{"metric": {}, "value": [1774094400, "NaN"]}], Reason.NOT_READY),
        ([{"metric": {"a": "1"}, "value": [1, "1"]}, {"metric": {"a": "2"}, "value": [1, "2"]}], Reason.IMPLAUSIBLE),
        ([{"metric": {}, "value": [1774094400, "88000"]}], Reason.IMPLAUSIBLE),
    ],
)
async def test_a_query_without_exactly_one_sane_value_gives_no_price(
    session: aiohttp.ClientSession, results: list[dict[str, Any]], reason: Reason
) -> None:
    async with serve(query_result(*results)) as server:
        with pytest.raises(Failure) as caught:
            await slots_of(session, made("prometheus", server), 1774094400.0)
    assert caught.value.reason is reason


async def test_two_meters_for_one_rig_are_refused(session: aiohttp.ClientSession) -> None:
    results = [{"metric": {"rig": "a", "outlet": str(outlet)}, "value": [1774094400, "1700"]} for outlet in (1, 2)]
    async with serve(query_result(*results)) as server:
        settings = settings_classes("meters")["prometheus"].model_validate(
            {"kind": "prometheus", "url": server, "query": "outlet_watts"}
        )
        with pytest.raises(Failure, match="sum them by"):
            await settings.build(SourceContext(session)).fetch()


async def test_a_leap_of_the_price_is_refused_also_after_the_old_one_is_stale(session: aiohttp.ClientSession) -> None:
    clock = {"now": 1_774_094_400.0}
    prices = iter(["70370", "7037000", "703.7", "70400", "7037000", "180000", "181000"])

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"data": {"amount": next(prices), "currency": "USD"}})

    async with serve(handle) as server:
        settings = settings_classes("bitcoin")["coinbase"].model_validate({"kind": "coinbase", "url": server})
        source = settings.build(SourceContext(session, clock=lambda: clock["now"], timer=lambda: clock["now"]))
        assert (await source.fetch()).value == 70370
        for _ in range(2):
            with pytest.raises(Failure) as caught:
                await source.fetch()
            assert caught.value.reason is Reason.IMPLAUSIBLE
        assert (await source.fetch()).value == 70400
        clock["now"] += 3600
        for _ in range(2):
            with pytest.raises(Failure):
                await source.fetch()
        clock["now"] += 600
        assert (await source.fetch()).value == 181_000, "possible, and it has lasted"
