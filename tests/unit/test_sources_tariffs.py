"""What is paid for power: the time-of-use list on every kind of day, the formula on top, and currencies."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from source_site import answers, serve

from exporter.model.failures import Failure, Reason
from exporter.model.readings import PriceSlot
from exporter.sources.contract import SourceContext
from exporter.sources.tariffs import fixed, http_json, time_of_use

NOW = datetime(2026, 3, 21, 12, tzinfo=UTC).timestamp()


@pytest.fixture
async def context() -> AsyncIterator[SourceContext]:
    async with aiohttp.ClientSession() as session:
        yield SourceContext(session, clock=lambda: NOW)


def tou(**settings: Any) -> time_of_use.Settings:
    return time_of_use.Settings.model_validate({"timezone": "Europe/Berlin", "periods": [{"price": 0.1}]} | settings)


def prices_of_day(settings: time_of_use.Settings, day: date) -> list[tuple[float, float]]:
    """Hours and price of each slot of a local day."""
    zone = settings.timezone
    midnight, following = (
        datetime.combine(day + timedelta(days=ahead), datetime.min.time(), zone).timestamp() for ahead in (0, 1)
    )
    return [((slot.end - slot.start) / 3600, slot.price) for slot in settings.slots(midnight, following)]


NIGHT_AND_DAY = [{"price": 0.05, "from": "22:00", "to": "06:00"}, {"price": 0.1}]


@pytest.mark.parametrize(
    ("day", "slots"),
    [
        (date(2026, 3, 28), [(6, 0.05), (16, 0.1), (2, 0.05)]),
        (date(2026, 3, 29), [(5, 0.05), (16, 0.1), (2, 0.05)]),  # 23 hours
        (date(2026, 10, 25), [(7, 0.05), (16, 0.1), (2, 0.05)]),  # 25 hours
    ],
)
def test_a_day_of_23_or_25_hours_keeps_its_local_times(day: date, slots: list[tuple[float, float]]) -> None:
    assert prices_of_day(tou(periods=NIGHT_AND_DAY), day) == slots


def test_a_price_within_the_hour_that_comes_twice_holds_twice() -> None:
    twice = tou(periods=[{"price": 0.5, "from": "02:30", "to": "02:45"}, {"price": 0.1}])
    slots = prices_of_day(twice, date(2026, 10, 25))
    assert slots == [(2.5, 0.1), (0.25, 0.5), (0.75, 0.1), (0.25, 0.5), (21.25, 0.1)]
    assert prices_of_day(twice, date(2026, 3, 29)) == [(23, 0.1)]


@given(
    start=st.integers(1_700_000_000, 1_900_000_000),
    zone=st.sampled_from(["America/Chicago", "Europe/London", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
)
def test_slots_follow_each_other_and_hold_the_price_of_each_moment(start: int, zone: str) -> None:
    settings = tou(
        timezone=zone, periods=[{"price": 0.2, "days": "weekday", "from": "16:10", "to": "21:00"}, *NIGHT_AND_DAY]
    )
    slots = settings.slots(start, start + 48 * 3600)
    assert slots[0].start <= start
    assert slots[-1].end >= start + 48 * 3600
    for slot, following in itertools.pairwise(slots):
        assert slot.end == following.start
        assert slot.price != following.price
    for slot in slots:
        assert {settings.price_at(slot.start), settings.price_at(slot.end - 1)} == {slot.price}


def changes_of_the_clock(zone: str) -> list[int]:
    """The hours (unix seconds) of 2026 to 2029 in which local time jumps."""
    at = ZoneInfo(zone)
    hours = range(1_767_225_600, 1_893_456_000, 3_600)
    offsets = [datetime.fromtimestamp(hour, at).utcoffset() for hour in hours]
    return [hour for hour, (before, after) in zip(hours, itertools.pairwise(offsets), strict=False) if before != after]


CHANGES = {zone: changes_of_the_clock(zone) for zone in ("America/Chicago", "Europe/Berlin", "Australia/Lord_Howe")}


@given(st.data(), st.sampled_from(sorted(CHANGES)), st.integers(-2_880, 2_880))
def test_the_wall_clock_has_the_say_around_every_change_of_it(data: st.DataObject, zone: str, minutes: int) -> None:
    change = data.draw(st.sampled_from(CHANGES[zone]))
    moment = change + 60 * minutes
    slots = tou(timezone=zone, periods=NIGHT_AND_DAY).slots(change - 49 * 3_600, change + 49 * 3_600)
    (price,) = [slot.price for slot in slots if slot.start <= moment < slot.end]
    hour = datetime.fromtimestamp(moment, ZoneInfo(zone)).hour
    assert price == (0.05 if hour >= 22 or hour < 6 else 0.1)


def test_weekdays_weekends_holidays_and_seasons_have_their_prices() -> None:
    settings = tou(
        holidays=["2026-12-25"],
        seasons={"winter": {"first": "11-01", "last": "02-28"}},
        periods=[
            {"price": 0.4, "days": "holiday"},
            {"price": 0.3, "days": "weekday", "season": "winter"},
            {"price": 0.2, "days": ["weekday"]},
            {"price": 0.1},
        ],
    )
    assert prices_of_day(settings, date(2026, 12, 25)) == [(24, 0.4)]  # a Friday
    assert prices_of_day(settings, date(2026, 12, 24)) == [(24, 0.3)]
    assert prices_of_day(settings, date(2026, 1, 5)) == [(24, 0.3)]
    assert prices_of_day(settings, date(2026, 3, 2)) == [(24, 0.2)]
    assert prices_of_day(settings, date(2026, 12, 26)) == [(24, 0.1)]


def test_unquoted_times_of_yaml_are_understood() -> None:
    settings = tou(periods=[{"price": 0.05, "from": 1320, "to": 24 * 60}, {"price": 0.1}])
    assert prices_of_day(settings, date(2026, 3, 2)) == [(22, 0.1), (2, 0.05)]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"periods": [{"price": 1, "days": "weekday"}]}, "no price for sat at 00:00"),
        ({"periods": [{"price": 1, "from": "06:00"}]}, "no price for mon at 00:00"),
        ({"periods": [{"price": 1, "to": "23:30"}]}, "no price for mon at 23:30"),
        ({"periods": [{"price": 1, "days": ["weekday", "sat", "sun"]}], "holidays": ["2026-01-01"]},
         "no price for holiday"),
        ({"periods": [{"price": 1, "season": "summer"}], "seasons": {"summer": {"first": "06-01", "last": "09-30"}}},
         "no price for mon at 00:00 from 01-01"),
        ({"periods": [{"price": 1, "season": "sumer"}], "seasons": {"summer": {"first": "06-01", "last": "09-30"}}},
         "there is no season 'sumer': did you mean 'summer'?"),
        ({"periods": [{"price": 1, "days": "mon", "from": "22:00", "to": "06:00"}, {"price": 2}]}, "ambiguous"),
        ({"periods": [{"price": 1, "from": "25:00"}]}, "'25:00' is not a time of day"),
        ({"periods": [{"price": 1, "from": "6 am"}]}, "not a time of day"),
        ({"periods": [{"price": 1, "days": "funday"}]}, "Input should be"),
        ({"periods": []}, "at least 1"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
    ],
)  # fmt: skip
def test_a_price_list_with_a_gap_or_a_slip_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        tou(**settings)


async def priced(context: SourceContext, **settings: Any) -> float:
    made = fixed.Settings.model_validate({"usd_per_kilowatt_hour": 0.05} | settings)
    return (await made.build(context).fetch()).value[0].price


@pytest.mark.parametrize(
    ("settings", "price"),
    [
        ({}, 0.05),
        ({"usd_per_kilowatt_hour": -0.02}, -0.02),
        ({"adder_usd_per_kilowatt_hour": 0.01}, 0.06),
        ({"multiplier": 0.9, "losses": 0.03, "adder_usd_per_kilowatt_hour": 0.01, "taxes": 0.1}, 0.061985),
        ({"usd_per_kilowatt_hour": -0.1, "floor_usd_per_kilowatt_hour": 0, "adder_usd_per_kilowatt_hour": 0.01}, 0.01),
        ({"usd_per_kilowatt_hour": 1.5, "cap_usd_per_kilowatt_hour": 0.2, "taxes": 0.5}, 0.3),
        ({"currency": "EUR", "fx": {"kind": "fixed", "usd_per": {"EUR": 1.08}}}, 0.054),
        ({"currency": "GBP", "usd_per_kilowatt_hour": 0.1743, "fx": {"kind": "fixed", "usd_per": {"GBP": 1.27}}},
         0.221361),
    ],
)  # fmt: skip
async def test_the_formula_is_losses_then_adder_then_taxes(
    context: SourceContext, settings: dict[str, Any], price: float
) -> None:
    assert await priced(context, **settings) == pytest.approx(price)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"currency": "EUR"}, "need fx"),
        ({"fx": {"kind": "fixed", "usd_per": {"EUR": 1.08}}}, "need no fx"),
        ({"currency": "euro"}, "'euro' is no currency: write its code, such as EUR"),
        ({"currency": "eur"}, "did you mean 'EUR'"),
        ({"currency": "SEK", "fx": {"kind": "fixed", "usd_per": {"EUR": 1.08}}}, "there is no exchange rate for 'SEK'"),
        ({"floor_usd_per_kilowatt_hour": 1, "cap_usd_per_kilowatt_hour": 0}, "above the cap"),
    ],
)
def test_a_currency_needs_its_rate(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        fixed.Settings.model_validate({"usd_per_kilowatt_hour": 0.05} | settings)


async def test_a_currency_without_a_rate_gives_no_price(context: SourceContext) -> None:
    rates = "<Envelope><Cube time='2026-03-20'><Cube currency='USD' rate='1.08'/></Cube></Envelope>"
    async with serve(answers({"answers": [{"path": "/rates", "body": rates, "type": "text/xml"}]})) as url:
        with pytest.raises(Failure, match="no exchange rate for SEK"):
            await priced(context, currency="SEK", fx={"kind": "ecb", "url": f"{url}/rates"})


Ask = Callable[..., Awaitable[list[PriceSlot]]]


@pytest.fixture
def ask(context: SourceContext) -> Ask:
    async def asking(body: str, now: float = NOW, **settings: Any) -> list[PriceSlot]:
        async with serve(answers({"answers": [{"path": "/", "body": body}]})) as server:
            made = http_json.Settings.model_validate({"url": server} | settings)
            return list((await made.build(replace(context, clock=lambda: now)).fetch()).value)

    return asking


def slot(start: str, end: str, price: float) -> PriceSlot:
    return PriceSlot(datetime.fromisoformat(start).timestamp(), datetime.fromisoformat(end).timestamp(), price)


async def test_columns_are_taken_side_by_side(ask: Ask) -> None:
    body = '{"unix_seconds": [1774090800, 1774094400, 1774098000], "price": [88.1, null, -5.0], "unit": "USD / MWh"}'
    found = await ask(body, start="unix_seconds", time_format="epoch_seconds", unit="MWh")
    assert found == [PriceSlot(1774090800, 1774094400, 0.0881), PriceSlot(1774098000, 1774101600, -0.005)]


async def test_slots_without_an_end_last_until_the_next(ask: Ask) -> None:
    body = '[{"start": "2026-03-21T12:00Z", "price": "1"}, {"start": "2026-03-21T12:30Z", "price": "2"}]'
    assert await ask(body, slots="@") == [
        slot("2026-03-21T12:00Z", "2026-03-21T12:30Z", 1),
        slot("2026-03-21T12:30Z", "2026-03-21T13:00Z", 2),
    ]


async def test_a_slot_may_be_named_by_its_end(ask: Ask) -> None:
    body = '[{"at": "03/21/2026 08:05", "price": 50}]'
    found = await ask(
        body, slots="@", start=None, end="at", duration="5m", time_format="%m/%d/%Y %H:%M", timezone="America/New_York",
        unit="MWh",
    )  # fmt: skip
    assert found == [slot("2026-03-21T12:00Z", "2026-03-21T12:05Z", 0.05)]


@pytest.mark.parametrize("step", [1, -1], ids=["oldest first", "newest first"])
async def test_a_local_hour_that_comes_twice_is_distinguished_by_its_order(ask: Ask, step: int) -> None:
    times = ["2026-11-01T00:00", "2026-11-01T01:00", "2026-11-01T01:00", "2026-11-01T02:00"]
    rows = [f'{{"start": "{time}", "price": {price}}}' for price, time in enumerate(times)]
    body = f"[{','.join(rows[::step])}]"
    midnight = datetime(2026, 11, 1, tzinfo=ZoneInfo("America/New_York")).timestamp()
    found = await ask(body, now=midnight, slots="@", timezone="America/New_York")
    assert [(each.end - each.start, each.price) for each in found] == [(3600, 0), (3600, 1), (3600, 2), (3600, 3)]
    assert found[0].start == midnight


async def test_pence_are_a_hundredth(ask: Ask, context: SourceContext) -> None:
    found = await ask(
        '[{"start": "2026-03-21T12:00Z", "price": 17.43}]', slots="@", duration="30m", minor_units=True, currency="GBP",
        fx={"kind": "fixed", "usd_per": {"GBP": 1.27}},
    )  # fmt: skip
    assert found[0].price == pytest.approx(0.221361)


@pytest.mark.parametrize(
    ("body", "settings", "reason"),
    [
        ('{"currency": "EUR", "slots": []}', {"slots": "slots"}, Reason.IMPLAUSIBLE),
        ('{"unit": "EUR / MWh", "slots": []}', {"slots": "slots", "unit": "MWh"}, Reason.IMPLAUSIBLE),
        ('{"unit": "EUR/MWH", "slots": []}', {"slots": "slots", "unit": "MWh"}, Reason.IMPLAUSIBLE),
        ('{"unit": "USD/MWH", "slots": []}', {"slots": "slots", "unit": "MWh"}, Reason.NOT_READY),
        ('{"unit": "kWh", "slots": []}', {"slots": "slots", "unit": "MWh"}, Reason.IMPLAUSIBLE),
        ('{"slots": []}', {"slots": "slots"}, Reason.NOT_READY),
        ('{"slots": [{"start": "2026-03-21T12:00Z", "price": 88.1}]}', {"slots": "slots", "duration": "1h"},
         Reason.IMPLAUSIBLE),
        ('{"slots": [{"start": "2026-03-21T12:00Z", "price": 1}]}', {"slots": "slots"}, Reason.GARBLED),
        ('{"slots": [{"start": "noon", "price": 1}]}', {"slots": "slots", "duration": "1h"}, Reason.GARBLED),
        ('{"slots": [{"start": "2026-03-21T12:00Z", "end": "2026-03-21T11:00Z", "price": 1}]}',
         {"slots": "slots", "end": "end"}, Reason.IMPLAUSIBLE),
        ('{"slots": [{"start": "2026-03-21T12:00Z", "price": 1}, {"start": "2026-03-21T12:00Z", "price": 2}]}',
         {"slots": "slots", "duration": "1h"}, Reason.IMPLAUSIBLE),
        ("[]", {"slots": "nothing.here"}, Reason.GARBLED),
    ],
)  # fmt: skip
async def test_an_answer_that_is_not_what_was_configured_is_refused(
    ask: Ask, body: str, settings: dict[str, Any], reason: Reason
) -> None:
    with pytest.raises(Failure) as caught:
        await ask(body, **settings)
    assert caught.value.reason is reason, caught.value


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"slots": "a["}, "is not JMESPath"),
        ({"start": None}, "start alone or two of"),
        ({"end": "end", "duration": "1h"}, "start alone or two of"),
        ({"unit": "kW"}, "unit"),
    ],
)
def test_a_wrong_expression_is_refused_when_it_is_read(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        http_json.Settings.model_validate({"url": "http://host/"} | settings)


async def test_an_unreadable_price_of_tomorrow_costs_only_itself(context: SourceContext) -> None:
    good = '{"start": "2026-03-2%sT12:00Z", "price": 0.1}'
    served = [
        {"path": "/", "if": "day=2026-03-21", "body": f"[{good % 1}]"},
        {"path": "/", "if": "day=2026-03-22", "body": f'[{good % 2}, {{"start": "2026-03-22T13:00Z", "price": "?"}}]'},
    ]
    async with serve(answers({"answers": served})) as server:
        made = http_json.Settings.model_validate(
            {"url": server + "/?day={date}", "days": [0, 1], "slots": "@", "duration": "1h"}
        )
        found = (await made.build(context).fetch()).value
    assert found == (
        slot("2026-03-21T12:00Z", "2026-03-21T13:00Z", 0.1),
        slot("2026-03-22T12:00Z", "2026-03-22T13:00Z", 0.1),
    )
