"""Coincident peaks: known answers of the programs, and how likely an interval is one of them."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from math import sqrt
from statistics import NormalDist
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.decision.curtailment import known_ahead, marginal_price
from exporter.economics.lines import cost_lines
from exporter.economics.margin import RigPricer
from exporter.economics.peaks import (
    DayPeak,
    PeakEconomics,
    PeakInterval,
    PeakMemory,
    PeakSettings,
    cost_per_kilowatt,
    intervals_ahead,
    measured,
    observe,
    peaks_so_far,
    price_at,
    price_peaks,
    shared_cost_per_kilowatt,
    shifted,
    surcharges_by_tariff,
    tag,
)
from exporter.economics.settings import EconomicsSettings, OtherCost, PowerSettings, SiteSettings, StopsWith
from exporter.economics.values import MarketEconomics
from exporter.model.fleet import Rig
from exporter.model.models import BITCOIN_ALGORITHM
from exporter.model.readings import LoadPoint, PriceSlot, Reading, RigReading, SystemLoad
from exporter.model.snapshot import RigSnapshot, SiteSnapshot, TariffPrice

CENTRAL = ZoneInfo("America/Chicago")
GIGA = 1e9


def settings(program: str = "ercot_4cp", **changes: Any) -> PeakSettings:
    return PeakSettings.model_validate({"program": program, "load": "grid", "rate_usd_per_kilowatt_year": 70} | changes)


def at(day: date, hour: int, minute: int = 0) -> float:
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=CENTRAL).timestamp()


TODAY = date(2026, 7, 15)
NOW = at(TODAY, 16, 30)


def days(*peaks: float, last: date = TODAY - timedelta(days=1)) -> dict[date, DayPeak]:
    """The peaks (GW) of the days up to ``last``."""
    found = {}
    for back, peak in enumerate(reversed(peaks)):
        day = last - timedelta(days=back)
        found[day] = DayPeak(at(day, 16, 45), peak * GIGA)
    return found


def load(now: float, *, forecast: dict[int, float] | None = None, watts: float = 80 * GIGA) -> SystemLoad:
    """Measured load in the last quarter hour, and a forecast (GW) by hour of today."""
    begun = now // 900 * 900 - 900
    points = tuple(LoadPoint(begun + 300 * number, begun + 300 * (number + 1), watts) for number in range(3))
    ahead = tuple(
        LoadPoint(at(TODAY, hour), at(TODAY, hour) + 3600, value * GIGA) for hour, value in (forecast or {}).items()
    )
    return SystemLoad(measured=points, forecast=ahead)


# --- known answers --------------------------------------------------------------------------------------------------


def test_one_peak_costs_its_share_of_the_rate() -> None:
    assert settings().usd_per_kilowatt == pytest.approx(17.50)
    assert settings("ercot_12cp").usd_per_kilowatt == pytest.approx(5.8333, abs=5e-5)
    assert cost_per_kilowatt(70, 4) * 1000 == 17_500


@pytest.mark.parametrize(("rate", "year", "fifth"), [(329.17, 120.147, 24.029), (333.44, 121.706, 24.341)])
def test_a_rate_per_megawatt_day_is_one_per_kilowatt_year(rate: float, year: float, fifth: float) -> None:
    yearly = rate * 365 / 1000
    assert yearly == pytest.approx(year, abs=5e-4)
    assert settings("pjm_5cp", rate_usd_per_kilowatt_year=yearly).usd_per_kilowatt == pytest.approx(fifth, abs=5e-4)


def test_ontario_shares_its_cost_by_load_in_five_peaks() -> None:
    megawatts = 23_000 + 23_500 + 22_800 + 22_900 + 24_000
    factor = (20 + 20 + 0 + 20 + 20) / megawatts
    assert factor == pytest.approx(0.000688468, abs=5e-10)
    assert factor * 6e9 == pytest.approx(4_130_809, abs=1)
    assert shared_cost_per_kilowatt(6e9, megawatts) == pytest.approx(51.635, abs=5e-4)
    assert shared_cost_per_kilowatt(6e9, megawatts) * 20_000 == pytest.approx(1_032_702, abs=1)
    program = PeakSettings(
        program="ontario_ici",
        load="grid",
        shared_cost_usd_per_year=6e9,
        peaks_megawatts=megawatts,  # type: ignore[arg-type]
    )
    assert program.usd_per_kilowatt == pytest.approx(51.635, abs=5e-4)


def test_a_tag_is_the_mean_of_the_own_load() -> None:
    assert tag([900, 0, 100, 1000]) == 500
    assert tag([900, 0, 100, 1000]) * 70 == 35_000
    assert pytest.approx(2_916.67, abs=5e-3) == 35_000 / 12


@pytest.mark.parametrize(("probability", "dollars"), [(0.05, 0.875), (0.10, 1.75), (0.25, 4.375)])
def test_running_through_an_hour_costs_its_probability(probability: float, dollars: float) -> None:
    assert probability * settings().usd_per_kilowatt == pytest.approx(dollars)


@pytest.mark.parametrize(("joules", "probability"), [(17.5, 0.0016735), (21.5, 0.00083056)])
def test_curtailing_for_an_hour_pays_from_a_small_probability_on(joules: float, probability: float) -> None:
    revenue = 33.30 / 24 / joules  # USD per kWh
    assert (revenue - 0.05) / 17.5 == pytest.approx(probability, rel=5e-4)


def test_a_rig_that_loses_anyway_stops_at_any_probability() -> None:
    assert 33.30 / 24 / 29.5 < 0.05


# --- periods --------------------------------------------------------------------------------------------------------


def test_a_month_has_its_own_peak_and_a_season_its_highest_days() -> None:
    assert settings().period(TODAY) == (date(2026, 7, 1), date(2026, 7, 31))
    assert settings().period(date(2026, 11, 1)) is None
    assert settings("pjm_5cp").period(TODAY) == (date(2026, 1, 1), date(2026, 9, 30))
    ici = settings("ontario_ici")
    assert ici.period(date(2026, 4, 30)) == (date(2025, 5, 1), date(2026, 4, 30))
    assert ici.period(date(2026, 5, 1)) == (date(2026, 5, 1), date(2027, 4, 30))
    winter = settings("custom", monthly=False, months=(2, 12, 1), season_begins=12)
    assert winter.period(date(2028, 1, 31)) == (date(2027, 12, 1), date(2028, 2, 29))
    july = settings("custom", monthly=False, months=(7,), season_begins=7)
    assert july.period(TODAY) == (date(2026, 7, 1), date(2026, 7, 31))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"rate_usd_per_kilowatt_year": None}, "give rate_usd_per_kilowatt_year, or"),
        ({"shared_cost_usd_per_year": 1}, "set both or neither"),
        ({"shared_cost_usd_per_year": 1, "peaks_megawatts": 1}, "give rate_usd_per_kilowatt_year, or"),
        ({"peak_hours": [19, 14]}, "first hour before the last"),
    ],
)
def test_half_a_rate_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        settings(**changes)


def test_settings_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(ValueError, match="PeakSettings"):
        PeakSettings.model_validate("ercot")


# --- probability ----------------------------------------------------------------------------------------------------


def probabilities(
    memory: dict[date, DayPeak], grid: SystemLoad | None, now: float = NOW, **changes: Any
) -> dict[str, float]:
    found = intervals_ahead(PeakMemory(days=memory), settings(**changes), grid, now)
    return {f"{datetime.fromtimestamp(each.start, CENTRAL):%d %H:%M}": each.probability for each in found}


HOT = {15: 78.0, 16: 85.0, 17: 84.0, 18: 80.0}
MILD = {15: 68.0, 16: 70.0, 17: 69.0, 18: 68.0}


def test_a_hot_day_late_in_the_month_is_likely_and_its_hour_most() -> None:
    last = date(2026, 7, 31)
    now = at(last, 15)
    grid = SystemLoad(
        measured=(LoadPoint(now - 900, now, 78 * GIGA),),
        forecast=tuple(LoadPoint(at(last, hour), at(last, hour) + 3600, watts * GIGA) for hour, watts in HOT.items()),
    )
    found = probabilities(days(*[78.0] * 20, last=last - timedelta(days=1)), grid, now)
    assert sum(found.values()) == pytest.approx(1.0, abs=0.03)
    assert max(found, key=found.__getitem__).startswith("31 16:")


def test_a_mild_day_is_none() -> None:
    found = probabilities(days(*[78.0] * 13, 84.0), load(NOW, forecast=MILD, watts=69 * GIGA))
    assert max(found.values()) < 1e-3


def test_days_to_come_make_it_less_likely() -> None:
    early = probabilities(days(76.0, 79.0, 82.0, 78.0, 80.0, 77.0), load(NOW, forecast=HOT))
    calm = probabilities(days(70.0, 70.1, 70.2, 70.1, 70.0, 70.1), load(NOW, forecast=HOT))
    assert 0 < sum(early.values()) < sum(calm.values()) <= 1.0 + 1e-9


def test_more_peaks_that_count_make_it_more_likely() -> None:
    known = days(*[78.0] * 10, 85.5)
    one = sum(probabilities(known, load(NOW, forecast=HOT), monthly=True).values())
    five = sum(probabilities(known, load(NOW, forecast=HOT), monthly=False, count=5).values())
    assert one < five


def test_too_little_is_unknown_and_not_zero() -> None:
    assert probabilities(days(78.0, 78.0), load(NOW, forecast=HOT)) == {}
    assert probabilities(days(*[78.0] * 5), None) == {}
    assert probabilities(days(*[78.0] * 5), SystemLoad()) == {}
    economics = price_peaks("4cp", PeakMemory(days=days(78.0)), settings(), load(NOW, forecast=HOT), NOW)
    assert (economics.probability, economics.expected_cost, economics.surcharges) == (None, None, ())


def test_earlier_months_stand_in_for_the_first_days_of_one() -> None:
    first = date(2026, 7, 1)
    now = at(first, 16)
    grid = SystemLoad(measured=(LoadPoint(now - 900, now, 80 * GIGA),))
    assert probabilities(days(*[78.0] * 10, last=date(2026, 6, 30)), grid, now)


def test_the_last_day_needs_no_other() -> None:
    last = date(2026, 7, 31)
    now = at(last, 16)
    grid = SystemLoad(measured=(LoadPoint(now - 900, now, 80 * GIGA),))
    assert sum(probabilities({}, grid, now).values()) == pytest.approx(1.0, abs=0.1)


def test_without_a_forecast_the_usual_hours_share_it() -> None:
    found = probabilities(days(*[70.0] * 14), load(NOW))
    assert {label[3:5] for label, value in found.items() if value > 0} == {"16", "17", "18"}
    assert len({round(value, 9) for value in found.values() if value > 0}) == 1


def test_a_month_without_peaks_costs_nothing() -> None:
    november = at(date(2026, 11, 3), 16)
    grid = SystemLoad(measured=(LoadPoint(november - 900, november, 80 * GIGA),))
    found = probabilities({}, grid, november)
    assert found
    assert set(found.values()) == {0.0}
    (*_, last) = intervals_ahead(PeakMemory(), settings(), grid, november)
    assert last.end == last.start + 900 == at(date(2026, 11, 4), 0)


def test_a_peak_that_has_passed_today_leaves_less() -> None:
    higher = load(NOW, forecast={17: 80.0, 18: 79.0}, watts=86 * GIGA)
    lower = load(NOW, forecast={17: 80.0, 18: 79.0}, watts=70 * GIGA)
    known = days(*[75.0] * 14)
    assert sum(probabilities(known, higher).values()) < sum(probabilities(known, lower).values())


def test_a_forecast_of_one_point_stands_for_its_hour() -> None:
    found = probabilities(days(*[70.0] * 14), load(NOW, forecast={17: 85.0}))
    assert {label[3:5] for label, value in found.items() if value > 0} == {"17"}


def test_tomorrow_is_judged_where_it_is_forecast() -> None:
    tomorrow = TODAY + timedelta(days=1)
    grid = load(NOW, forecast=HOT)
    grid = replace(grid, forecast=(*grid.forecast, LoadPoint(at(tomorrow, 16), at(tomorrow, 17), 86 * GIGA)))
    found = probabilities(days(*[78.0] * 14), grid)
    assert any(label.startswith("16 ") and value > 0 for label, value in found.items())


@pytest.mark.parametrize("day", [date(2026, 11, 1), date(2026, 3, 8)])
def test_days_of_23_and_25_hours_are_whole(day: date) -> None:
    midnight = datetime(day.year, day.month, day.day, tzinfo=CENTRAL)
    now = midnight.timestamp()
    grid = SystemLoad(measured=(LoadPoint(now - 900, now, 50 * GIGA),))
    found = intervals_ahead(PeakMemory(), settings("ercot_12cp"), grid, now)
    hours = 25 if day.month == 11 else 23
    known = intervals_ahead(
        PeakMemory(days=days(*[50.0] * 20, last=day - timedelta(days=1))), settings("ercot_12cp"), grid, now
    )
    assert found == []
    assert len(known) == 2 * hours
    assert known[-1].end == datetime(day.year, day.month, day.day + 1, tzinfo=CENTRAL).timestamp()


@given(
    st.lists(st.floats(60, 90), min_size=3, max_size=14),
    st.dictionaries(st.integers(15, 20), st.floats(60, 90), min_size=1),
    st.integers(1, 5),
)
def test_probabilities_are_probabilities(known: list[float], forecast: dict[int, float], count: int) -> None:
    found = probabilities(days(*known), load(NOW, forecast=forecast), monthly=False, count=count)
    assert all(0 <= value <= 1 for value in found.values())
    assert sum(found.values()) <= 1.05  # the highest interval of one day is one interval


LAST = date(2026, 7, 31)
BEFORE = date(2026, 7, 30)


def at_the_end(day: date, forecast: list[LoadPoint], memory: dict[date, float], **changes: Any) -> list[PeakInterval]:
    """The half hours from 23:00 on of a program by month. Its load was low today, and high the evening before."""
    evening = at(day - timedelta(days=1), 20)
    measured = [LoadPoint(evening, evening + 1800, 99 * GIGA), LoadPoint(at(day, 22), at(day, 22, 30), GIGA)]
    program = settings("custom", interval=1800, timezone="America/Chicago", **changes)
    known = {each: DayPeak(at(each, 16), watts * GIGA) for each, watts in memory.items()}
    grid = SystemLoad(measured=tuple(measured), forecast=tuple(forecast))
    return intervals_ahead(PeakMemory(days=known), program, grid, at(day, 23))


def hourly(*gigawatts: float, day: date = LAST) -> list[LoadPoint]:
    """A forecast of the day's last hours."""
    end = at(day, 23) + 3600
    begins = [end - 3600 * back for back in range(len(gigawatts), 0, -1)]
    return [LoadPoint(begin, begin + 3600, each * GIGA) for begin, each in zip(begins, gigawatts, strict=True)]


@pytest.mark.parametrize(
    ("forecast", "loads"),
    [
        (hourly(80.0), (80.0, 80.0)),
        (hourly(80.0, 81.0), (80.75, 81.0)),  # 23:15 is between 22:30 and 23:30; after it nothing is extrapolated
        (hourly(70.0, 80.0, 81.0), (80.75, 81.0)),
        (hourly(81.0, 79.5), (79.875, 79.5)),
        ([LoadPoint(at(LAST, 23, 15), at(LAST, 23, 45), 80 * GIGA)], (80.0, 80.0)),  # the middles of both
        (
            [
                LoadPoint(at(LAST, 23), at(LAST, 23, 20), 80 * GIGA),
                LoadPoint(at(LAST, 23, 20), at(LAST, 23, 40), 80.3 * GIGA),
                LoadPoint(at(LAST, 23, 40), at(LAST, 23) + 3600, 80.9 * GIGA),
            ],
            (80.075, 80.75),
        ),
    ],
)
def test_the_higher_of_two_intervals_is_likelier_by_the_error_of_a_forecasts_shape(
    forecast: list[LoadPoint], loads: tuple[float, float]
) -> None:
    """Both loads are normal with a deviation of 0.5 % of the higher one: the first is higher by Phi(d / sqrt(2) s)."""
    first, second = at_the_end(LAST, forecast, {})
    chance = NormalDist().cdf((loads[0] - loads[1]) / (0.005 * max(loads) * sqrt(2)))
    assert first.probability == pytest.approx(chance, abs=2e-3)
    assert second.probability == pytest.approx(1 - chance, abs=2e-3)


def days_of_july(**peaks: float) -> dict[date, float]:
    return {date(2026, 6 if name[0] == "j" else 7, int(name[1:])): watts for name, watts in peaks.items()}


PHI = NormalDist().cdf
WIDE = days_of_july(j30=90.0, d1=60.0, d2=60.0)  # mean 70 GW, deviation 14.142 GW
LOWER = PHI(10 / 14.142)  # how likely a day to come is below 80 GW


@pytest.mark.parametrize(
    ("day", "memory", "changes", "chance"),
    [
        (LAST, {}, {}, 1.0),
        # the highest day so far, one deviation of the forecast (2 %) below or above
        (LAST, days_of_july(d1=78.4), {}, PHI(1)),
        (LAST, days_of_july(d1=81.6), {}, PHI(-1)),
        (LAST, days_of_july(d1=80.8), {"forecast_error": 0.01}, PHI(-1)),
        (LAST, days_of_july(d1=90.0), {}, 0.0),
        (LAST, days_of_july(d1=90.0, d2=60.0), {"count": 2}, 1.0),
        (LAST, days_of_july(d1=90.0, d2=90.0), {"count": 2}, 0.0),
        (LAST, days_of_july(j30=95.0), {}, 1.0),  # another month
        (LAST, days_of_july(d31=95.0), {}, 1.0),  # the day itself
        # days to come, from those of the last 30 days
        (BEFORE, WIDE, {}, LOWER),
        (BEFORE, days_of_july(j30=60.0, d1=60.0, d29=90.0), {"count": 2}, LOWER),
        (BEFORE, days_of_july(j30=90.0, d1=60.0, d29=60.0), {}, LOWER),
        (BEFORE, days_of_july(j29=10.0, j30=90.0, d1=60.0, d2=60.0, d30=10.0), {}, LOWER),
        (BEFORE, days_of_july(j29=90.0, d1=60.0, d2=60.0), {}, None),
        (BEFORE, days_of_july(j30=70.0, d1=70.0, d2=70.0, d3=79.0), {"forecast_error": 0.001}, PHI(7 / 4.243)),
        (date(2026, 7, 29), WIDE, {}, LOWER**2),
        (date(2026, 7, 29), WIDE, {"count": 2}, 1 - (1 - LOWER) ** 2),
        (date(2026, 7, 29), WIDE, {"count": 3}, 1.0),
        # three equal days have a deviation of 0.5 %
        (BEFORE, days_of_july(d1=79.6, d2=79.6, d3=79.6), {"forecast_error": 1e-4}, PHI(0.4 / 0.398)),
        # three days of this month are enough
        (BEFORE, days_of_july(j30=10.0, d1=79.6, d2=79.6, d3=79.6), {"forecast_error": 1e-4}, PHI(0.4 / 0.398)),
    ],
)
def test_a_day_of_80_gigawatts_is_the_peak_if_no_other_is_higher(
    day: date, memory: dict[date, float], changes: dict[str, Any], chance: float | None
) -> None:
    found = at_the_end(day, hourly(80.0, day=day), memory, **changes)
    assert [(each.start, each.end) for each in found] == (
        [] if chance is None else [(at(day, 23), at(day, 23, 30)), (at(day, 23, 30), at(day, 23) + 3600)]
    )
    assert sum(each.probability for each in found) == pytest.approx(chance or 0.0, abs=0.03)


def test_a_peak_at_midnight_is_one_of_the_day() -> None:
    midnight, now = at(LAST, 0), at(LAST, 1)
    grid = SystemLoad(
        measured=(LoadPoint(midnight, midnight + 900, 95 * GIGA),),
        forecast=(LoadPoint(now, now + 3600, 80 * GIGA),),
    )
    assert sum(probabilities({}, grid, now).values()) == 0.0


def test_the_usual_hours_without_a_forecast_begin_with_the_first_and_nothing_is_left_after_the_last() -> None:
    noon, evening = at(TODAY, 12), at(TODAY, 20)
    found = probabilities(days(*[70.0] * 14), load(noon), noon)
    assert {label[3:5] for label, value in found.items() if value > 0} == {"14", "15", "16", "17", "18"}
    late = probabilities(days(*[70.0] * 14), load(evening), evening)
    assert set(late.values()) == {0.0}


def test_today_and_tomorrow_are_judged_and_no_day_after() -> None:
    ahead = tuple(LoadPoint(at(TODAY, 16) + 3600 * hour, at(TODAY, 17) + 3600 * hour, GIGA) for hour in range(72))
    found = intervals_ahead(PeakMemory(days=days(*[78.0] * 14)), settings(), replace(load(NOW), forecast=ahead), NOW)
    assert (found[0].start, found[-1].end) == (NOW, at(TODAY + timedelta(days=2), 0))
    assert all(each.end == after.start for each, after in pairwise(found))


# --- memory, and what past peaks cost -------------------------------------------------------------------------------


def test_measured_load_is_averaged_over_whole_intervals() -> None:
    points = (LoadPoint(0, 300, 1.0), LoadPoint(300, 600, 3.0), LoadPoint(900, 1200, 9.0))
    assert list(measured(SystemLoad(measured=points), 900)) == [(0, 2.0)]
    assert list(measured(SystemLoad(measured=(LoadPoint(0, 585, 2.0),)), 900)) == [(0, 2.0)]  # 65 % of it
    assert list(measured(SystemLoad(measured=(LoadPoint(0, 584, 2.0),)), 900)) == []
    assert list(measured(None, 900)) == []


def test_a_peak_remembers_what_the_site_drew_and_what_it_would_have_drawn() -> None:
    memory, begun = PeakMemory(), at(TODAY, 16, 30)
    for step in range(0, 901, 60):
        memory = observe(memory, settings(), None, begun + step, 2e6, 10e6)
    grid = SystemLoad(measured=tuple(LoadPoint(begun + 300 * n, begun + 300 * (n + 1), 85 * GIGA) for n in range(3)))
    memory = observe(memory, settings(), grid, begun + 960, 10e6, 10e6)
    (peak,) = memory.days.values()
    assert (peak.start, peak.grid, peak.own, peak.running) == (
        begun,
        85 * GIGA,
        pytest.approx(2e6),
        pytest.approx(10e6),
    )
    (past,) = price_peaks("4cp", memory, settings(), grid, begun + 960).past
    assert past.cost == pytest.approx(2_000 * 17.5)
    assert past.saved == pytest.approx(8_000 * 17.5)
    again = observe(memory, settings(), SystemLoad(measured=grid.measured), begun + 4 * 86_400, None, None)
    assert again.days[TODAY].own == pytest.approx(2e6)  # kept when the own load of then is forgotten
    higher = SystemLoad(measured=(LoadPoint(begun + 3600, begun + 4500, 86 * GIGA),))
    moved = observe(again, settings(), higher, begun + 5 * 86_400, None, None)
    assert moved.days[TODAY] == DayPeak(begun + 3600, 86 * GIGA)


@pytest.mark.parametrize(
    ("before", "after", "joules"),
    [
        (None, 0.0, None),  # the first step
        (0.0, 0.0, None),
        (0.0, -5.0, None),  # the clock was set back
        (0.0, 0.5, 0.5e6),
        (0.0, 60.0, 60e6),
        (0.0, 60.5, None),  # a gap
    ],
)
def test_power_counts_since_the_last_step_unless_that_is_long_ago(
    before: float | None, after: float, joules: float | None
) -> None:
    begun = at(TODAY, 16, 30)
    memory = PeakMemory(observed_at=None if before is None else begun + before)
    found = observe(memory, settings(), None, begun + after, 1e6, 2e6)
    assert found.own == (() if joules is None else ((begun, after, joules, 2 * joules),))
    assert found.observed_at == begun + after


def test_a_step_counts_where_its_middle_lies() -> None:
    begun = at(TODAY, 16, 30)
    found = observe(PeakMemory(observed_at=begun - 20), settings(), None, begun + 10, 1e6, None)
    assert found.own == ((begun - 900, 30.0, 30e6, 30e6),)


def test_own_load_is_kept_for_two_days() -> None:
    begun = at(TODAY, 16, 30)
    own = tuple((begun - seconds, 900.0, 1.0, 2.0) for seconds in (172_800 + 900, 172_800, 900))
    assert observe(PeakMemory(own=own), settings(), None, begun, None, None).own == own[1:]


@pytest.mark.parametrize(("seconds", "own", "running"), [(584.0, None, None), (585.0, 1e6, 3e6), (900.0, 1e6, 3e6)])
def test_own_load_of_65_per_cent_of_an_interval_stands_for_it(
    seconds: float, own: float | None, running: float | None
) -> None:
    """What is known of a peak stays known when its own load is forgotten."""
    begun = at(TODAY, 16, 30)
    grid = SystemLoad(measured=(LoadPoint(begun, begun + 900, 85 * GIGA),))
    memory = PeakMemory(own=((begun, seconds, seconds * 1e6, seconds * 3e6),))
    seen = observe(memory, settings(), grid, begun + 900, None, None)
    later = observe(seen, settings(), grid, begun + 3 * 86_400, None, None)
    assert later.own == ()
    for each in (seen, later):
        assert each.days == {TODAY: DayPeak(begun, 85 * GIGA, own, running)}


def test_the_days_of_a_program_are_those_of_its_time_zone() -> None:
    """It is 23:00 in Chicago and already the next day in UTC; July's peak counts until midnight."""
    last = date(2026, 7, 31)
    late = at(last, 23)
    grid = SystemLoad(measured=(LoadPoint(late - 900, late, 85 * GIGA),))
    memory = observe(PeakMemory(), settings(), grid, late, None, None)
    assert list(memory.days) == [last]
    assert len(price_peaks("4cp", memory, settings(), grid, late).past) == 1
    assert price_peaks("4cp", memory, settings(), grid, late + 3_600).past == ()


def test_of_two_equal_intervals_the_first_is_the_peak() -> None:
    begun = at(TODAY, 16, 30)
    grid = SystemLoad(measured=tuple(LoadPoint(at, at + 900, 85 * GIGA) for at in (begun, begun + 900)))
    assert observe(PeakMemory(), settings(), grid, begun + 1800, None, None).days[TODAY].start == begun


def test_power_that_was_not_measured_is_not_zero() -> None:
    memory, begun = PeakMemory(), at(TODAY, 16, 30)
    for step in range(0, 901, 60):
        memory = observe(memory, settings(), None, begun + step, None, 10e6)
    grid = SystemLoad(measured=(LoadPoint(begun, begun + 900, 85 * GIGA),))
    memory = observe(memory, settings(), grid, begun + 960, None, None)
    (past,) = price_peaks("4cp", memory, settings(), grid, begun + 960).past
    assert (past.peak.own, past.cost, past.saved) == (None, None, None)
    drawn = observe(PeakMemory(observed_at=begun), settings(), None, begun + 30, 5.0, None)
    assert drawn.own == ((begun, 30.0, 150.0, 150.0),)


def test_a_lower_interval_of_a_day_is_not_its_peak() -> None:
    begun = at(TODAY, 16, 30)
    memory = PeakMemory(days={TODAY: DayPeak(begun, 85 * GIGA, 1.0, 2.0)})
    lower = SystemLoad(measured=(LoadPoint(begun + 900, begun + 1800, 84 * GIGA),))
    assert observe(memory, settings(), lower, begun + 1800, None, None).days == memory.days


def test_peaks_that_the_operator_knows_count() -> None:
    program = settings(known_peaks_megawatts={"2026-07-03": 84_000})
    memory = observe(PeakMemory(), program, None, NOW, None, None)
    assert memory.days == {date(2026, 7, 3): DayPeak(at(date(2026, 7, 3), 12), 84 * GIGA)}
    economics = price_peaks("4cp", memory, program, None, NOW)
    assert (economics.threshold, economics.grid, economics.past[0].cost) == (84 * GIGA, None, None)


def test_only_days_of_the_period_are_peaks() -> None:
    known = days(80.0, 84.0, 82.0)
    assert [peak.grid / GIGA for peak in peaks_so_far(known, settings(), TODAY)] == [84]
    five = settings("pjm_5cp", timezone="America/Chicago")
    assert [peak.grid / GIGA for peak in peaks_so_far(known, five, TODAY)] == [84, 82, 80]
    assert peaks_so_far(known, settings(), date(2026, 8, 1)) == []
    assert peaks_so_far(known, settings(), date(2026, 11, 1)) == []
    economics = price_peaks("5cp", PeakMemory(days=known), five, None, NOW)
    assert economics.threshold is None  # five count
    assert [each.rank for each in economics.past] == [1, 2, 3]
    first, last = date(2026, 7, 1), date(2026, 7, 31)
    edges = [first - timedelta(days=1), first, last, last + timedelta(days=1)]
    around = {day: DayPeak(at(day, 16), watts) for day, watts in zip(edges, (9.0, 8.0, 7.0, 6.0), strict=True)}
    assert [peak.grid for peak in peaks_so_far(around, settings(count=4), TODAY)] == [8.0, 7.0]


def test_a_program_shows_the_latest_load_and_what_its_peaks_cost_and_saved() -> None:
    known = {
        date(2026, 7, 1): DayPeak(at(date(2026, 7, 1), 16), 84 * GIGA, 2e6, 2e6),
        date(2026, 7, 2): DayPeak(at(date(2026, 7, 2), 16), 83 * GIGA, 2e6, None),
        date(2026, 7, 3): DayPeak(at(date(2026, 7, 3), 16), 82 * GIGA, 2e6, 10e6),
    }
    grid = SystemLoad(
        measured=(LoadPoint(NOW - 900, NOW - 600, 90 * GIGA), LoadPoint(NOW - 300, NOW, 80 * GIGA)),
    )
    found = price_peaks("july", PeakMemory(days=known), settings(count=3), grid, NOW)
    assert (found.name, found.grid) == ("july", 80 * GIGA)
    assert found.usd_per_kilowatt == pytest.approx(70 / 12)
    cost = pytest.approx(2_000 * 70 / 12)
    assert [(each.rank, each.cost, each.saved) for each in found.past] == [
        (1, cost, 0.0),
        (2, cost, None),
        (3, cost, pytest.approx(8_000 * 70 / 12)),
    ]
    assert price_peaks("july", PeakMemory(), settings(), SystemLoad(), NOW).grid is None


def test_the_clock_being_set_moves_the_memory() -> None:
    assert shifted(PeakMemory(observed_at=5.0), 3.0).observed_at == 8.0
    assert shifted(PeakMemory(), 3.0).observed_at is None


# --- as a cost ------------------------------------------------------------------------------------------------------


def priced(*slots: PriceSlot) -> PeakEconomics:
    return PeakEconomics(name="p", surcharges=slots)


def test_costs_of_programs_add_up_by_tariff() -> None:
    ours = (settings(tariffs=["spot"]), priced(PriceSlot(0, 10, 0.1)))
    all_of_them = (settings(), priced(PriceSlot(5, 15, 0.2), PriceSlot(20, 30, 0.3)))
    found = surcharges_by_tariff([ours, all_of_them], ["spot", "ppa"])
    assert found["spot"] == (
        PriceSlot(0, 5, 0.1),
        PriceSlot(5, 10, pytest.approx(0.3)),
        PriceSlot(10, 15, 0.2),
        PriceSlot(20, 30, 0.3),
    )
    assert found["ppa"] == (PriceSlot(5, 15, 0.2), PriceSlot(20, 30, 0.3))
    assert surcharges_by_tariff([ours], ["ppa"]) == {}
    assert (price_at(found["spot"], 7), price_at(found["spot"], 15)) == (pytest.approx(0.3), 0.0)


def test_an_hour_costs_probability_times_a_peak_per_kilowatt_hour() -> None:
    economics = price_peaks("4cp", PeakMemory(days=days(*[78.0] * 14)), settings(), load(NOW, forecast=HOT), NOW)
    assert economics.probability is not None
    assert economics.expected_cost == pytest.approx(economics.probability * 17.5)
    assert all(slot.price > 0 for slot in economics.surcharges)
    assert price_at(economics.surcharges, NOW) == pytest.approx(economics.probability * 17.5 * 4)  # a quarter hour


RIG = RigSnapshot(
    rig=Rig(name="a", address="a", tariff="spot", algorithm=BITCOIN_ALGORITHM),
    reading=Reading(RigReading(hashrate=1e15 / 17.5, power=1000.0, uptime=1e6), 0.0),
)
MARKET = MarketEconomics(payout_usd=33.30, payout_btc=0.0005)
TARIFFS = {"spot": TariffPrice(0.05)}


def economics_of(surcharge: float, *, tag: bool) -> Any:
    costs = [OtherCost(name="4CP tag", usd_per_kilowatt_month=5.0, stops_with=StopsWith.PERIOD, peak_tag=tag)]
    settings = SiteSettings(economics=EconomicsSettings(other_costs=tuple(costs)))
    return RigPricer(MARKET, TARIFFS, settings, surcharges={"spot": surcharge}).price(RIG)


def test_the_cash_margin_counts_the_expected_cost_and_curtails() -> None:
    calm, peak = economics_of(0.0, tag=False), economics_of(0.10, tag=False)
    assert calm.margin - peak.margin == pytest.approx(2.4)
    assert peak.marginal_price == pytest.approx(0.15)
    assert calm.opportunity_margin > 0 > peak.opportunity_margin


def test_other_margins_count_the_tag_or_the_expected_cost_and_never_both() -> None:
    calm, tagged, untagged = economics_of(0.0, tag=True), economics_of(0.1, tag=True), economics_of(0.1, tag=False)
    assert tagged.allin_margin == pytest.approx(calm.allin_margin)
    assert tagged.allin_cost == pytest.approx(calm.allin_cost)
    assert tagged.best_margin == pytest.approx(calm.best_margin)
    assert tagged.margin == untagged.margin
    assert untagged.allin_margin == pytest.approx(calm.allin_margin - 2.4)
    assert untagged.best_margin < calm.best_margin


def test_a_tag_is_a_line_of_the_settings() -> None:
    cost = OtherCost(name="tag", usd_per_kilowatt_month=5.0, peak_tag=True)
    lines = cost_lines(EconomicsSettings(other_costs=(cost,)), PowerSettings())
    assert [line.peak_tag for line in lines] == [True]


def test_prices_ahead_are_cut_where_a_peak_begins_and_ends() -> None:
    slots = (PriceSlot(0, 3600, 0.05), PriceSlot(3600, 7200, 0.06))
    snapshot = SiteSnapshot(
        taken_at=0.0,
        tariffs={"spot": TariffPrice(0.05, 0.06, ahead=slots)},
        surcharges={"spot": (PriceSlot(900, 1800, 0.5),)},
    )
    found = known_ahead("spot", snapshot, SiteSettings())
    assert [(round(slot.hours * 60), slot.price) for slot in found] == [
        (15, 0.05),
        (15, pytest.approx(0.55)),
        (30, 0.05),
        (60, 0.06),
    ]
    assert marginal_price("spot", replace(snapshot, taken_at=1000.0), SiteSettings()) == pytest.approx(0.55)
