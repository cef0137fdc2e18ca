"""Public conditions of price servers: two rows a slot, empty answers, stated errors, repeated hours, odd tables."""

import asyncio
import io
import json
import time
import zipfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from source_site import Handler, answers, load_case, placed, serve
from structlog.testing import capture_logs

from exporter.model.failures import Failure, Reason
from exporter.model.readings import PriceSlot
from exporter.sources.contract import SourceContext
from exporter.sources.registry import settings_classes
from exporter.sources.shared import SharedAnswers
from exporter.sources.tariffs import template
from exporter.telemetry import Telemetry

SECRET = "sesame-and-poppy"


def at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def slot(start: str, end: str, price: float) -> PriceSlot:
    return PriceSlot(at(start), at(end), pytest.approx(price))


Ask = Callable[..., Awaitable[Any]]


@pytest.fixture
def telemetry() -> Telemetry:
    return Telemetry()


@pytest.fixture
async def ask(telemetry: Telemetry) -> AsyncIterator[Ask]:
    """Request one source of a room from a server that answers as ``served``, at the time ``now``."""
    async with aiohttp.ClientSession() as session:

        async def asking(room: str, served: Handler | str | bytes, now: str, **settings: Any) -> Any:
            async def handle(request: web.Request) -> web.StreamResponse:
                return web.Response(body=served.encode() if isinstance(served, str) else served)

            async with serve(served if callable(served) else handle) as server:
                made = settings_classes(room)[settings["kind"]].model_validate(placed(settings, server))
                context = SourceContext(session, clock=lambda: at(now), telemetry=telemetry).named("the source")
                return (await made.build(context).fetch()).value

        yield asking


async def failure_of(asked: Awaitable[Any]) -> Failure:
    with pytest.raises(Failure) as caught:
        await asked
    return caught.value


def discarded(telemetry: Telemetry, figure: str) -> float | None:
    labels = {"source": "the source", "figure": figure}
    return telemetry.registry.get_sample_value("mining_source_discarded_total", labels)


# --- ERCOT: one name, several prices ----------------------------------------------------------------------------------

ERCOT = load_case("tariffs", "ercot")["settings"] | {"point": "LZ_HOUSTON"}
ERCOT_FIELDS = (
    "deliveryDate",
    "deliveryHour",
    "deliveryInterval",
    "settlementPoint",
    "settlementPointType",
    "settlementPointPrice",
    "DSTFlag",
)


def ercot(*rows: list[Any]) -> Handler:
    fields = [{"name": name} for name in ERCOT_FIELDS]

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"id_token": "token"})
        return web.json_response({"fields": fields, "data": list(rows)})

    return handle


LZ = ["2026-02-10", 1, 1, "LZ_HOUSTON", "LZ", 21.5, False]
LZEW = ["2026-02-10", 1, 1, "LZ_HOUSTON", "LZEW", 22.75, False]
FIRST_QUARTER = ("2026-02-10T06:00Z", "2026-02-10T06:15Z")


async def test_a_load_zone_has_the_price_that_is_not_weighted_by_energy(ask: Ask) -> None:
    found = await ask("tariffs", ercot(LZ, LZEW), "2026-02-10T06:20Z", **ERCOT)
    assert found == (slot(*FIRST_QUARTER, 0.0215),)


async def test_the_other_type_of_a_settlement_point_can_be_configured(ask: Ask) -> None:
    found = await ask("tariffs", ercot(LZ, LZEW), "2026-02-10T06:20Z", **ERCOT, point_type="LZEW")
    assert found == (slot(*FIRST_QUARTER, 0.02275),)


async def test_a_type_that_a_settlement_point_does_not_have_is_refused_with_those_it_has(ask: Ask) -> None:
    failure = await failure_of(ask("tariffs", ercot(LZ, LZEW), "2026-02-10T06:20Z", **ERCOT, point_type="HU"))
    assert failure.detail == "LZ_HOUSTON has no type HU: it has LZ, LZEW"


async def test_rows_of_another_settlement_point_are_left_out(ask: Ask) -> None:
    other = ["2026-02-10", 1, 1, "HB_WEST", "HU", 99.0, False]
    assert await ask("tariffs", ercot(other, LZ), "2026-02-10T06:20Z", **ERCOT) == (slot(*FIRST_QUARTER, 0.0215),)


@pytest.mark.parametrize(("first", "second"), [(False, True), ("N", "Y"), ("false", "true"), (0, 1), ("F", "T")])
async def test_the_flag_of_the_repeated_hour_is_read_in_any_spelling(ask: Ask, first: Any, second: Any) -> None:
    rows = [["2026-11-01", 2, 4, "LZ_HOUSTON", "LZ", price, mark] for price, mark in ((20, first), (30, second))]
    assert await ask("tariffs", ercot(*rows), "2026-11-01T07:50Z", **ERCOT) == (
        slot("2026-11-01T06:45Z", "2026-11-01T07:00Z", 0.02),
        slot("2026-11-01T07:45Z", "2026-11-01T08:00Z", 0.03),
    )


async def test_an_unreadable_flag_costs_its_row_only(ask: Ask, telemetry: Telemetry) -> None:
    odd = ["2026-02-10", 1, 2, "LZ_HOUSTON", "LZ", 25.0, "perhaps"]
    assert await ask("tariffs", ercot(LZ, odd), "2026-02-10T06:20Z", **ERCOT) == (slot(*FIRST_QUARTER, 0.0215),)
    assert discarded(telemetry, "row") == 1


# --- success without a value ------------------------------------------------------------------------------------------

JSON = {"kind": "http_json", "url": "{server}/", "slots": "slots", "duration": "1h", "unit": "MWh"}
NOW = "2026-03-21T12:20Z"
OCTOPUS = load_case("tariffs", "octopus_agile")["settings"]


@pytest.mark.parametrize(
    ("room", "settings", "served", "reason", "words"),
    [
        ("tariffs", OCTOPUS, '{"count": 0, "next": null, "results": []}', Reason.NOT_READY, "was retired"),
        ("tariffs", JSON, '{"slots": []}', Reason.NOT_READY, "no prices: not published yet"),
        ("tariffs", JSON, '{"slots": [{"start": "2026-03-21T12:00Z", "price": null}]}', Reason.NOT_READY, "no prices"),
        ("tariffs", JSON, '{"slots": [{"start": "2026-03-18T12:00Z", "price": 5}]}', Reason.STALE,
         "the last price ended at 2026-03-18 13:00 UTC"),
        ("tariffs", JSON, '{"slots": [{"start": "2026-03-22T12:00Z", "price": 5}]}', Reason.NOT_READY,
         "the first starts at 2026-03-22 12:00 UTC"),
        ("tariffs", ERCOT, ercot(), Reason.NOT_READY, "LZ_HOUSTON is not the name of a settlement point"),
        ("tariffs", {"kind": "template", "template": "nyiso_real_time", "area": "NYC", "url": "{server}/"},
         '"Time Stamp","Name","LBMP ($/MWHr)"\n"03/21/2026 08:05:00","N.Y.C.",41.5\n', Reason.NOT_READY,
         "it is a zone, such as N.Y.C."),
        ("gpus", {"kind": "dcgm_exporter", "url": "{server}/"}, "# HELP nothing\n", Reason.GARBLED, "dcgm-exporter"),
        ("gpus", {"kind": "http_sd", "url": "{server}/"}, "[]", Reason.NOT_READY, "no targets"),
        ("meters", {"kind": "prometheus", "url": "{server}", "query": "watts"},
         '{"status": "success", "data": {"resultType": "vector", "result": []}}', Reason.NOT_READY, "no value"),
        ("fx", {"kind": "ecb", "url": "{server}/"}, "", Reason.GARBLED, "an empty body instead of XML"),
        ("fx", {"kind": "ecb", "url": "{server}/"}, "<Envelope><Cube><Cube time='2026-03-20'/></Cube></Envelope>",
         Reason.GARBLED, "it has no 'USD'"),
    ],
)  # fmt: skip
async def test_a_success_without_a_usable_value_is_a_failure_with_its_likely_cause(
    ask: Ask, room: str, settings: dict[str, Any], served: Any, reason: Reason, words: str
) -> None:
    failure = await failure_of(ask(room, served, NOW, **settings))
    assert failure.reason is reason
    assert words in failure.detail


async def test_status_204_is_no_data(ask: Ask) -> None:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=204)

    failure = await failure_of(ask("tariffs", handle, NOW, **JSON))
    assert (failure.reason, "no data" in failure.detail) == (Reason.NOT_READY, True)


async def test_a_price_that_is_late_is_held_for_its_own_length_and_then_a_failure(ask: Ask) -> None:
    served = '{"slots": [{"start": "2026-03-21T11:00Z", "price": 50}]}'
    assert await ask("tariffs", served, "2026-03-21T12:59Z", **JSON)
    failure = await failure_of(ask("tariffs", served, "2026-03-21T13:01Z", **JSON))
    assert failure.reason is Reason.STALE
    assert failure.retry_after == 300  # not sooner than its interval


# --- the server's own words -------------------------------------------------------------------------------------------

ACKNOWLEDGEMENT = """<?xml version="1.0"?><Acknowledgement_MarketDocument xmlns="urn:x"><Reason><code>999</code>
<text>No matching data found for Data item Day-ahead Prices [12.1.D] (10YXX) and interval 2026</text></Reason>
</Acknowledgement_MarketDocument>"""
PROBLEM = {"type": "x", "title": "One or more validation errors occurred.", "errors": {"deliveryArea": ["Unknown."]}}


def saying(status: int, body: str) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    return handle


@pytest.mark.parametrize(
    ("status", "body", "reason", "words"),
    [
        (400, ACKNOWLEDGEMENT, Reason.NOT_READY, "status 400: No matching data found for Data item Day-ahead Prices"),
        (400, json.dumps(PROBLEM), Reason.GARBLED, "One or more validation errors occurred.: deliveryArea: Unknown."),
        (404, '{"detail": "Not found."}', Reason.NOT_READY, "status 404: Not found."),
        (401, '{"statusCode": 401, "message": "Access denied due to missing subscription key."}', Reason.AUTH,
         "Access denied due to missing subscription key."),
        (429, "Rate limit is exceeded. Try again in 12 seconds.", Reason.RATE_LIMITED, "Try again in 12 seconds."),
        (503, "<html><head><title>503 Service Temporarily Unavailable</title></head></html>", Reason.NOT_READY,
         "status 503: 503 Service Temporarily Unavailable"),
        (500, '{"error": {"code": 7, "message": "backend\\n\\tbroke"}}', Reason.SERVER_ERROR,
         "status 500: backend broke"),
        (200, "<!DOCTYPE html><html><title>Sign in</title></html>", Reason.AUTH, 'a web page ("Sign in")'),
        (200, "Too many requests, slow down", Reason.GARBLED, "not JSON: Too many requests, slow down"),
        (200, '{"errors": [{"message": "Query cost too high"}], "data": null}', Reason.GARBLED, "Query cost too high"),
        (200, '{"errors": [{"message": "invalid token", "extensions": {"code": "UNAUTHENTICATED"}}], "data": null}',
         Reason.AUTH, "invalid token"),
        (200, '{"errors": [{"message": "No valid access token"}]}', Reason.AUTH, "No valid access token"),
        (400, "x" * 5000, Reason.GARBLED, "xxx..."),
    ],
)  # fmt: skip
async def test_a_failure_quotes_the_reason_that_the_server_gives(
    ask: Ask, status: int, body: str, reason: Reason, words: str
) -> None:
    failure = await failure_of(ask("tariffs", saying(status, body), NOW, **JSON))
    assert (failure.reason, words in failure.detail) == (reason, True), failure
    assert len(failure.detail) <= 200


@pytest.mark.parametrize(
    "body", ['{{"message": "the key {0} is unknown"}}', "no account {0}", "<r><text>{0}</text></r>"]
)
@pytest.mark.parametrize("given", ["headers", "parameters", "bearer_token"])
async def test_a_quoted_reason_has_no_secret(ask: Ask, given: str, body: str) -> None:
    secret: Any = SECRET if given == "bearer_token" else {"X-Key": SECRET}
    failure = await failure_of(ask("tariffs", saying(403, body.format(SECRET)), NOW, **JSON, **{given: secret}))
    assert SECRET not in str(failure)
    assert "***" in failure.detail


async def test_an_error_in_a_zip_is_quoted(ask: Ask) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(
            "INVALID_REQUEST.xml",
            '<m:OASISReport xmlns:m="x"><m:ERROR><m:ERR_CODE>1000</m:ERR_CODE>'
            "<m:ERR_DESC>No data returned for the specified selection</m:ERR_DESC></m:ERROR></m:OASISReport>",
        )
    settings = {"kind": "template", "template": "caiso", "area": "TH_SP15_GEN-APND", "url": "{server}/"}
    failure = await failure_of(ask("tariffs", packed.getvalue(), NOW, **settings))
    assert failure.reason is Reason.NOT_READY
    assert "No data returned for the specified selection" in failure.detail


TIBBER = {"kind": "template", "template": "tibber", "url": "{server}/", "bearer_token": "x", "currency": "USD"}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"viewer": None}, "the token has no account"),
        ({"viewer": {"homes": []}}, "the account has no home 0"),
        ({"viewer": {"homes": [{"currentSubscription": None}]}}, "home 0 has no subscription"),
        ({"viewer": {"homes": [{"currentSubscription": {"priceInfo": None}}]}}, "has no prices yet"),
        ({"viewer": {"homes": [{"currentSubscription": {"priceInfo": {"today": [], "tomorrow": []}}}]}}, "no prices"),
    ],
)
async def test_a_null_part_is_explained(ask: Ask, data: Any, words: str) -> None:
    failure = await failure_of(ask("tariffs", json.dumps({"data": data}), NOW, **TIBBER))
    assert (failure.reason, words in failure.detail) == (Reason.NOT_READY, True), failure


@pytest.mark.parametrize("room", ["network", "bitcoin", "tariffs"])
async def test_no_failure_speaks_python(ask: Ask, room: str) -> None:
    for kind in settings_classes(room):
        case = load_case(room, kind)
        if "answers" not in case:
            continue
        for body in ("null", "[]", "{}", '{"data": null}', '{"result": null, "error": []}', "[null]", '{"data": []}'):
            broken = case | {"answers": [answer | {"body": body} for answer in case["answers"]]}
            failure = await failure_of(ask(room, answers(broken), NOW, **case["settings"]))
            assert not any(word in failure.detail for word in ("NoneType", "Error:", "object", "subscriptable")), (
                failure
            )


# --- hours that occur twice -------------------------------------------------------------------------------------------

NYISO = {"kind": "template", "template": "nyiso_real_time", "area": "N.Y.C.", "url": "{server}/"}


@pytest.mark.parametrize(
    ("now", "end"),
    [("2026-11-01T05:32Z", "2026-11-01T05:30Z"), ("2026-11-01T06:32Z", "2026-11-01T06:30Z")],
    ids=["first", "second"],
)
async def test_a_lone_row_in_the_repeated_hour_is_the_occurrence_nearest_to_now(ask: Ask, now: str, end: str) -> None:
    table = '"Time Stamp","Name","LBMP ($/MWHr)"\n"11/01/2026 01:30:00","N.Y.C.",41.5\n'
    assert [one.end for one in await ask("tariffs", table, now, **NYISO)] == [at(end)]


LOCAL = JSON | {"timezone": "America/New_York", "duration": "15m", "slots": "@"}


@pytest.mark.parametrize(
    ("rows", "now", "starts"),
    [
        (["01:00", "01:15", "01:30"], "2026-11-01T05:40Z", ["05:00", "05:15", "05:30"]),
        (["01:00", "01:15", "01:30"], "2026-11-01T06:40Z", ["06:00", "06:15", "06:30"]),
        (["00:45", "01:00", "01:15"], "2026-11-01T05:20Z", ["04:45", "05:00", "05:15"]),
        (["01:30", "01:45", "01:00", "01:15"], "2026-11-01T06:20Z", ["05:30", "05:45", "06:00", "06:15"]),
        (["01:15", "01:00", "01:45", "01:30"], "2026-11-01T06:20Z", ["05:30", "05:45", "06:00", "06:15"]),
        (["01:45", "02:00", "02:15"], "2026-11-01T07:20Z", ["06:45", "07:00", "07:15"]),
    ],
)
async def test_rows_in_the_repeated_hour_keep_their_order(
    ask: Ask, rows: list[str], now: str, starts: list[str]
) -> None:
    body = json.dumps([{"start": f"2026-11-01T{row}", "price": 50} for row in rows])
    found = await ask("tariffs", body, now, **LOCAL)
    assert [one.start for one in found] == [at(f"2026-11-01T{start}Z") for start in starts]


AESO = load_case("templates", "aeso")["settings"]


def aeso(*rows: tuple[str, str]) -> str:
    return "\n".join(['"Historical Pool Price"', "", '"Date (HE)","Price ($)"', *(f'"{a}","{b}"' for a, b in rows)])


async def test_hours_named_by_their_end_and_a_marked_repeated_hour(ask: Ask) -> None:
    # The last year in which Alberta set its clocks back, by the time zone data of 2026.
    rows = [("11/01/2025 24", "10"), ("11/02/2025 01", "20"), ("11/02/2025 02", "30"), ("11/02/2025 02*", "40")]
    found = await ask("tariffs", aeso(*rows, ("11/02/2025 03", "50")), "2025-11-02T09:20Z", **AESO)
    assert [(one.start, one.price * 2000) for one in found] == [
        (at(f"2025-11-02T{hour}:00Z"), pytest.approx(price))
        for hour, price in (("05", 10), ("06", 20), ("07", 30), ("08", 40), ("09", 50))
    ]


# --- tables -----------------------------------------------------------------------------------------------------------

CSV = {
    "kind": "http_csv", "url": "{server}/", "start": "von", "duration": "1h", "price": "preis", "unit": "MWh",
    "time_format": "%d.%m.%Y %H:%M",
}  # fmt: skip
EXPECTED = (
    slot("2026-03-21T12:00Z", "2026-03-21T13:00Z", 0.0881),
    slot("2026-03-21T13:00Z", "2026-03-21T14:00Z", -1.23456),
)


@pytest.mark.parametrize(
    "table",
    [
        "von,preis\n21.03.2026 12:00,88.1\n21.03.2026 13:00,-1234.56\n",
        "sep=;\r\nvon;preis\r\n21.03.2026 12:00;88,1\r\n21.03.2026 13:00;-1.234,56\r\n",
        "von;preis\n21.03.2026 12:00;88,1\n21.03.2026 13:00;-1234,56\n",
        "von\tpreis\n21.03.2026 12:00\t88,10\n21.03.2026 13:00\t-1.234,56\n",
        '\ufeffvon,preis\n21.03.2026 12:00,"88,10"\n21.03.2026 13:00,"-1.234,56"\n',
        'von,preis\n21.03.2026 12:00,"88.10"\n21.03.2026 13:00,"-1,234.56"\n',
        "von;preis\n21.03.2026 12:00;88,1 €\n21.03.2026 13:00;(1.234,56)\n",
        "Preise\nStand 21.03.2026\n\nvon;preis;anmerkung\n21.03.2026 12:00;88,1;\n21.03.2026 13:00;-1234,56;x\n",
        "# note\nvon,zone,preis\n21.03.2026 12:00,A,88.1\n\n21.03.2026 13:00,A,-1234.56\nvon,zone,preis\n",
    ],
)
async def test_a_table_is_read_with_its_own_separator_title_and_decimal_mark(ask: Ask, table: str) -> None:
    assert await ask("tariffs", table, NOW, **CSV) == EXPECTED


async def test_a_table_in_utf_16_is_read(ask: Ask) -> None:
    table = "von\tpreis\n21.03.2026 12:00\t88,1\n21.03.2026 13:00\t-1.234,56\n"
    assert await ask("tariffs", table.encode("utf-16"), NOW, **CSV) == EXPECTED


async def test_a_table_as_windows_saves_it_is_read(ask: Ask) -> None:
    table = "Börse\r\nvon;preis\r\n21.03.2026 12:00;88,1 €\r\n21.03.2026 13:00;-1.234,56 €\r\n"
    assert await ask("tariffs", table.encode("cp1252"), NOW, **CSV) == EXPECTED


@pytest.mark.parametrize("unknown", ["-", "", "n/a", "N/A", "null", "--"])
async def test_a_price_that_is_not_known_yet_costs_nothing_else(ask: Ask, telemetry: Telemetry, unknown: str) -> None:
    table = f"von;preis\n21.03.2026 12:00;88,1\n21.03.2026 13:00;{unknown}\n"
    assert await ask("tariffs", table, NOW, **CSV) == EXPECTED[:1]
    assert discarded(telemetry, "price") is None


async def test_a_bad_row_costs_only_itself_and_is_named(ask: Ask, telemetry: Telemetry) -> None:
    table = "von;preis\n21.03.2026 12:00;88,1\n21.03.2026 13:00;teuer\nSumme;1\n"
    with capture_logs() as logs:
        assert await ask("tariffs", table, NOW, **CSV) == EXPECTED[:1]
    assert (discarded(telemetry, "price"), discarded(telemetry, "row")) == (1, 1)
    assert [entry["detail"] for entry in logs] == [
        "line 4: column 'von': 'Summe' is not a time like '%d.%m.%Y %H:%M'",
        "line 3: column 'preis': not a number: 'teuer'",
    ]


@pytest.mark.parametrize(
    ("table", "settings", "words"),
    [
        ("von;preis\n2026-03-21 12:00;88\n", {}, "line 2: column 'von': '2026-03-21 12:00' is not a time like"),
        ("von;preis\n03/21/2026 12:00;88\n", {}, 'set time_format to "%m/%d/%Y %H:%M"'),
        ("von;preis\n03/21/2026 24;88\n", {}, 'set time_format to "%m/%d/%Y %H"'),
        ("von;preis\n1774094400;88\n", {}, "set time_format to epoch_seconds"),
        ("von;preis\n1774094400000;88\n", {}, "set time_format to epoch_milliseconds"),
        ("von;preis\n21.03.2026 12:00;88\n", {"time_format": "epoch_seconds"}, "is not a number of epoch_seconds"),
        ('von,preis\n21.03.2026 12:00,"1,234"\n', {}, "could be a fraction or thousands: set decimal to ',' or '.'"),
        ("von;preise\n21.03.2026 12:00;88\n", {}, "there is no column 'preis': did you mean 'preise'?"),
        ('von;"Price ($)"\n21.03.2026 12:00;x\n', {"price": '"Price ($)"'}, "column 'Price ($)': not a number: 'x'"),
        ("zeit;euro\n21.03.2026 12:00;88,1\n", {}, "there is no column 'von': it has zeit, euro"),
        ("Börse;\nvon;preise\n21.03.2026 12:00;88\n", {}, "there is no column 'preis': did you mean 'preise'?"),
        ("von;preis\n", {}, "without rows"),
        ('von;preis\n"21.03', {}, "no such CSV"),
    ],
)  # fmt: skip
async def test_a_table_that_cannot_be_read_says_where_and_what_to_set(
    ask: Ask, table: str, settings: dict[str, Any], words: str
) -> None:
    failure = await failure_of(ask("tariffs", table, NOW, **CSV | settings))
    assert words in failure.detail


@pytest.mark.parametrize(("decimal", "price"), [(",", 0.001234), (".", 1.234)])
async def test_a_comma_that_could_be_either_is_configured(ask: Ask, decimal: str, price: float) -> None:
    table = 'von,preis\n21.03.2026 12:00,"1,234"\n'
    assert [one.price for one in await ask("tariffs", table, NOW, **CSV, decimal=decimal)] == [pytest.approx(price)]


async def test_an_unreadable_time_does_not_make_the_slot_before_it_longer(ask: Ask) -> None:
    rows = [("2026-03-21T11:00Z", 1), ("2026-03-21T12:00Z", 2), ("soon", 3), ("2026-03-21T14:00Z", 4)]
    body = json.dumps({"slots": [{"start": start, "price": price} for start, price in rows]})
    found = await ask("tariffs", body, NOW, kind="http_json", url="{server}/", slots="slots", unit="MWh")
    assert [(one.end - one.start, one.price) for one in found] == [(3600, 0.001), (3600, 0.002), (3600, 0.004)]


@pytest.mark.parametrize(
    ("bad", "figure"),
    [
        ({"start": "2026-03-21T13:00Z", "price": 9e9}, "slot"),
        ({"start": "2026-03-21T12:00Z", "price": 51}, "slot"),
        ({"start": 7, "price": 50}, "row"),
        ({"price": 50}, "row"),
    ],
)
async def test_one_bad_slot_never_refuses_the_answer(ask: Ask, telemetry: Telemetry, bad: Any, figure: str) -> None:
    good = [{"start": f"2026-03-21T1{hour}:00Z", "price": 50 + hour} for hour in range(5)]
    found = await ask("tariffs", json.dumps({"slots": [*good, bad]}), "2026-03-21T11:20Z", **JSON)
    assert slot("2026-03-21T11:00Z", "2026-03-21T12:00Z", 0.051) in found
    assert discarded(telemetry, figure) == 1


async def test_two_prices_for_most_slots_are_a_missing_filter(ask: Ask) -> None:
    rows = [{"start": f"2026-03-21T1{hour}:00Z", "price": price} for hour in range(5) for price in (50, 60)]
    failure = await failure_of(ask("tariffs", json.dumps({"slots": rows}), NOW, **JSON))
    assert "two prices for the slot at 2026-03-21 10:00 UTC, 0.05 and 0.06: is a filter missing?" in failure.detail


# --- what is no answer of the kind: what to do about it ---------------------------------------------------------------

JSON_PRICE = {"kind": "http_json", "url": "{server}/prices", "slots": "rows", "duration": "1h"}
CSV_PRICE = {"kind": "http_csv", "url": "{server}/prices", "duration": "1h"}
QUERY = {"kind": "prometheus", "url": "{server}", "query": "watts"}


@pytest.mark.parametrize(
    ("settings", "body", "advice"),
    [
        (JSON_PRICE, "<html><title>Welcome</title></html>", "open url in a browser"),
        (JSON_PRICE, b"\x80\x81\xff", "no text"),
        (JSON_PRICE, "", "check the path in url"),
        (JSON_PRICE, "<prices/>", "it answers XML"),
        (JSON_PRICE, "# HELP up 1\nup 1", "page of metrics"),
        (JSON_PRICE, "start,price\n1,2", "use kind http_csv"),
        (JSON_PRICE, '{"rows": [', "broken or cut off"),
        (JSON_PRICE, "OK", "try url with curl"),
        (JSON_PRICE, '{"data": []}', "correct slots"),
        (JSON_PRICE, '{"rows": [{"start": "soon", "price": 1}]}', "set time_format"),
        (JSON_PRICE, '{"rows": [{"start": "2026-02-10T00:00Z", "price": "dear"}]}', "set price to the right column"),
        (CSV_PRICE, "when,what\n1,2", "correct start, end and price"),
        (CSV_PRICE, b"PK\x03\x04", "download url once more"),
        (QUERY, '{"status": "error", "error": "parse error"}', "correct what its words name in url, query"),
    ],
)
async def test_advice_about_an_unreadable_answer_names_what_to_change(
    ask: Ask, settings: dict[str, Any], body: str | bytes, advice: str
) -> None:
    failure = await failure_of(ask("tariffs", body, "2026-02-10T06:20Z", **settings))
    assert failure.reason is Reason.GARBLED
    assert advice in failure.advice


async def test_advice_about_a_redirect_or_another_protocol_names_the_address(ask: Ask) -> None:
    async def elsewhere(request: web.Request) -> web.Response:
        raise web.HTTPFound("https://login.example/")

    async def round_and_round(request: web.Request) -> web.Response:
        raise web.HTTPFound(request.path)

    failure = await failure_of(ask("tariffs", elsewhere, "2026-02-10T06:20Z", **JSON_PRICE))
    assert "login.example" in failure.detail
    assert "set url to that address" in failure.advice
    failure = await failure_of(ask("tariffs", round_and_round, "2026-02-10T06:20Z", **JSON_PRICE))
    assert "where it ends" in failure.advice


async def test_the_token_of_someone_else_in_the_words_of_a_server_is_masked(ask: Ask) -> None:
    async def refuse(request: web.Request) -> web.Response:
        body = {"error": {"message": "token=9d8e7f6a5b4c was issued for client 17, not Bearer 1a2b3c4d5e6f7a8b"}}
        return web.json_response(body, status=403)

    failure = await failure_of(ask("tariffs", refuse, "2026-02-10T06:20Z", **JSON_PRICE))
    assert "token=*** was issued for client 17, not Bearer ***" in failure.detail


# --- several areas of one market --------------------------------------------------------------------------------------


async def test_the_areas_of_one_market_are_requested_together() -> None:
    asked: list[str] = []

    async def nord_pool(request: web.Request) -> web.Response:
        asked.append(request.query_string)
        await asyncio.sleep(0.01)
        areas = request.query["deliveryArea"].split(",")
        slot = {"deliveryStart": "2026-03-21T12:00:00Z", "deliveryEnd": "2026-03-21T12:15:00Z"}
        entry = slot | {"entryPerArea": {area: 20.0 + number for number, area in enumerate(areas)}}
        states = [{"state": "Final", "areas": areas}]
        return web.json_response({"currency": "EUR", "areaStates": states, "multiAreaEntries": [entry]})

    clock = [0.0]
    async with serve(nord_pool) as server, aiohttp.ClientSession() as session:
        url = f"{server}/api/DayAheadPrices?date={{date}}&deliveryArea=FI,SE3"
        market = {"kind": "template", "template": "nord_pool", "areas": ["FI", "SE3"], "url": url, "days": [0]}
        market["fx"] = {"kind": "fixed", "usd_per": {"EUR": 1.0}}
        context = SourceContext(session, clock=lambda: at("2026-03-21T12:07Z") + clock[0], timer=lambda: clock[0])
        context = replace(context, shared=SharedAnswers(lambda: clock[0]))
        tariffs = {
            name: template.Settings.model_validate(settings).build(context.named(name))
            for name, settings in template.expanded({"spot": market}).items()
        }
        first = await asyncio.gather(*(tariff.fetch() for tariff in tariffs.values()))
        assert [reading.value[0].price for reading in first] == pytest.approx([0.020, 0.021])
        assert len(asked) == 1
        clock[0] = 400.0
        late = await tariffs["spot-FI"].fetch()
        assert late.observed_at == at("2026-03-21T12:07Z"), "the answer is as old as the request"
        assert len(asked) == 1
        clock[0] = 500.0
        assert (await tariffs["spot-SE3"].fetch()).observed_at == at("2026-03-21T12:07Z") + 500
        assert len(asked) == 2


@pytest.mark.parametrize(
    ("name", "area", "query"),
    [
        ("nord_pool", "FI", "deliveryArea=FI,SE3"),
        ("caiso", "FI", "node=FI,SE3"),
        ("caiso_real_time", "FI", "node=FI,SE3"),
        ("pjm", "FI", "pnode_id=FI;SE3"),
        ("pjm_real_time", "FI", "pnode_id=FI;SE3"),
    ],
)
def test_a_template_names_all_areas_that_its_market_takes_in_one_request(name: str, area: str, query: str) -> None:
    fx = {"fx": {"kind": "fixed", "usd_per": {"EUR": 1.0}}} if name == "nord_pool" else {}
    both = template.expanded({"x": {"kind": "template", "template": name, "areas": ["FI", "SE3"], **fx}})
    urls = {template.Settings.model_validate(settings).url for settings in both.values()}
    assert len(urls) == 1
    assert query in urls.pop()
    alone = template.Settings.model_validate({"kind": "template", "template": name, "area": area, **fx})
    assert f"{query.partition('=')[0]}={area}&" in alone.url


async def test_a_failure_is_shared_by_those_who_waited_for_it_and_no_others() -> None:
    requests = 0

    async def failing() -> str:
        nonlocal requests
        requests += 1
        await asyncio.sleep(0.01)
        raise Failure(Reason.RATE_LIMITED, "slow down")

    shared = SharedAnswers[str](time.monotonic)
    outcomes = await asyncio.gather(*(shared.get("a", 60, failing) for _ in range(5)), return_exceptions=True)
    assert [outcome.reason for outcome in outcomes if isinstance(outcome, Failure)] == [Reason.RATE_LIMITED] * 5
    assert requests == 1
    with pytest.raises(Failure):
        await shared.get("a", 60, failing)
    assert requests == 2
    for number in range(50):
        assert await shared.get(number, 60, _right) == ("right", 0.0)
    assert len(shared._outcomes) <= 33


async def _right() -> str:
    return "right"


# --- CAISO as it is recorded: zips, repeated rows, errors and throttling as documents ---------------------------------

CAISO = {"kind": "template", "template": "caiso_real_time", "area": "TH_NP15_GEN-APND", "url": "{server}/SingleZip"}
CAISO_HEADER = (
    "INTERVALSTARTTIME_GMT,INTERVALENDTIME_GMT,OPR_DT,OPR_HR,OPR_INTERVAL,NODE_ID_XML,NODE_ID,NODE,"
    "MARKET_RUN_ID,LMP_TYPE,XML_DATA_ITEM,PNODE_RESMRID,GRP_TYPE,POS,{price},GROUP"
)


def zipped(name: str, text: str) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(name, text)
    return packed.getvalue()


@pytest.mark.parametrize("price", ["VALUE", "MW"])
async def test_both_versions_of_caisos_report_are_read_from_the_zip(ask: Ask, price: str) -> None:
    row = (
        "2026-11-20T08:00:00-00:00,2026-11-20T08:05:00-00:00,2026-11-20,1,1,{node},{node},{node},RTM,{kind},"
        "LMP_PRC,{node},ALL_APNODES,0,{value},1"
    )
    rows = [
        row.format(node="TH_NP15_GEN-APND", kind=kind, value=value)
        for kind, value in (("MCE", 30), ("LMP", 31.5), ("MGHG", 0), ("LMP", 31.5))  # one is repeated
    ]
    rows.append(row.format(node="TH_SP15_GEN-APND", kind="LMP", value=12))
    body = zipped("PRC_INTVL_LMP_RTM.csv", "\n".join([CAISO_HEADER.format(price=price), *rows]))
    found = await ask("tariffs", body, "2026-11-20T08:06Z", **CAISO)
    assert found == (slot("2026-11-20T08:00Z", "2026-11-20T08:05Z", 0.0315),)


@pytest.mark.parametrize(
    ("body", "reason", "words"),
    [
        (
            zipped(
                "INVALID_REQUEST.xml",
                '<?xml version="1.0"?><m:OASISReport xmlns:m="http://www.caiso.com/soa/OASISReport_v1.xsd"><m:ERROR>'
                "<m:ERR_CODE>1000</m:ERR_CODE><m:ERR_DESC>No data returned for the specified selection</m:ERR_DESC>"
                "</m:ERROR></m:OASISReport>",
            ),
            Reason.NOT_READY,
            "No data returned for the specified selection",
        ),
        (
            (
                b"<html><head><style>p{}</style></head><body><p>CAISO Acceptable Use Policy Violation.\n Please retry "
                b"your request after 5 seconds.</p></body></html>"
            ),
            Reason.RATE_LIMITED,
            "CAISO Acceptable Use Policy Violation. Please retry",
        ),
    ],
)
async def test_what_oasis_answers_instead_of_prices_is_classified(
    ask: Ask, body: bytes, reason: Reason, words: str
) -> None:
    failure = await failure_of(ask("tariffs", body, "2026-11-20T08:06Z", **CAISO))
    assert failure.reason is reason
    assert words in failure.detail


# --- PJM: the whole envelope as Data Miner answers it -----------------------------------------------------------------


async def test_pjms_answer_is_read_among_its_links_and_search_terms(ask: Ask) -> None:
    item = {"datetime_beginning_utc": "2024-02-20T05:00:00", "datetime_beginning_ept": "2024-02-20T00:00:00"}
    items = [
        item | {"pnode_id": 1, "pnode_name": "PJM-RTO", "type": "ZONE", "zone": None, "total_lmp_da": 23.632196},
        item | {"pnode_id": 3, "pnode_name": "MID-ATL/APS", "voltage": None, "total_lmp_da": 23.679954},
    ]
    body = {
        "links": [{"rel": "self", "href": "https://api.pjm.com/api/v1/da_hrl_lmps?RowCount=5"}],
        "items": items,
        "searchSpecification": {"rowCount": 5, "filters": [{"datetime_beginning_ept": "2024-02-20"}]},
        "totalRows": 325176,
    }
    pjm = {"kind": "template", "template": "pjm", "area": "3", "url": "{server}/api/v1/da_hrl_lmps"}
    found = await ask("tariffs", json.dumps(body), "2024-02-20T05:10Z", **pjm)
    assert found == (slot("2024-02-20T05:00Z", "2024-02-20T06:00Z", 0.023679954),)
