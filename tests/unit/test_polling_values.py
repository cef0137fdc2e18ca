import math
from dataclasses import replace
from datetime import datetime
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Rig
from exporter.model.readings import Fault, Pool, PriceSlot, Reading, RigIdentity, RigReading
from exporter.model.snapshot import TariffPrice
from exporter.polling.counters import CounterWindow, Energy
from exporter.polling.latest import FUTURE_SKEW, Latest
from exporter.polling.ledger import RigLedger, RigMemory
from exporter.polling.schedules import ScheduleSettings
from exporter.polling.settings import PollingSettings
from exporter.polling.tariffs import next_boundary, price_in_force, tariff_prices
from exporter.sources.rigs.faults import fault

# --- Latest -----------------------------------------------------------------------------------------------------------


@given(age=st.floats(-1e6, 1e6), max_age=st.floats(1, 1e5))
def test_a_value_is_given_only_while_it_can_be_relied_on(age: float, max_age: float) -> None:
    latest: Latest[str] = Latest(max_age)
    reading = Reading("value", 1e9)
    latest.put(reading)
    now = 1e9 + age
    if -FUTURE_SKEW <= now - 1e9 <= max_age:
        assert latest.fresh(now) is reading
    else:
        assert latest.fresh(now) is None


def test_once_the_clock_is_put_right_an_older_observation_counts() -> None:
    latest: Latest[str] = Latest(60)
    latest.put(Reading("clock was ahead", 9e9))
    latest.put(Reading("right", 1000))
    assert latest.fresh(1001) == Reading("right", 1000)


# --- energy -----------------------------------------------------------------------------------------------------------

_watts = st.none() | st.floats(0, 10_000)
_polls = st.lists(st.tuples(st.floats(0.1, 200), _watts), max_size=50)


@given(polls=_polls)
def test_energy_is_the_area_under_the_power_where_readings_are_close(polls: list[tuple[float, float | None]]) -> None:
    energy, at, totals = Energy(), 0.0, []
    track = []
    for pause, watts in polls:
        at += pause
        energy.observe(watts, at, 75)
        track.append((at, watts))
        totals.append(energy.joules or 0.0)
    area = sum(
        (later[1] + earlier[1]) / 2 * (later[0] - earlier[0])
        for earlier, later in pairwise(track)
        if None not in {earlier[1], later[1]} and later[0] - earlier[0] <= 75
    )
    assert totals == sorted(totals)
    assert (energy.joules or 0.0) == pytest.approx(area)
    assert (energy.joules is None) == all(watts is None for _, watts in polls)


@pytest.mark.parametrize("watts", [-5.0, math.nan, math.inf, None])
def test_a_power_that_can_not_be_interrupts_the_counter(watts: float | None) -> None:
    energy = Energy(1000.0)
    for at, power in [(0, 100.0), (10, watts), (20, 100.0), (30, 100.0)]:
        energy.observe(power, at, 75)
    assert energy.joules == 2000.0


def test_a_monotonic_clock_that_did_not_move_adds_nothing() -> None:
    energy = Energy()
    energy.observe(100.0, 5.0, 75)
    energy.observe(100.0, 5.0, 75)
    assert energy.joules == 0.0


# --- what share counters say ------------------------------------------------------------------------------------------


@given(rate=st.floats(0.01, 1e6), pauses=st.lists(st.floats(1, 90), min_size=1, max_size=100))
def test_a_steady_rate_is_found_whatever_the_rhythm(rate: float, pauses: list[float]) -> None:
    window, at = CounterWindow(600), 0.0
    window.observe(at, 0.0)
    for pause in pauses:
        at += pause
        window.observe(at, rate * at)
    growth = window.growth()
    assert (growth is None) == (at < 600)
    if growth is not None:
        seconds, counted = growth
        assert 600 <= seconds < 600 + 600 / 5 + 90
        assert counted == pytest.approx(rate * seconds, rel=1e-6)


@given(st.lists(st.tuples(st.floats(1, 90), st.floats(0, 100)), max_size=60))
def test_a_counter_never_shrinks_over_the_window(steps: list[tuple[float, float]]) -> None:
    window, at = CounterWindow(300), 0.0
    for pause, counter in steps:
        at += pause
        window.observe(at, counter)
        growth = window.growth()
        assert growth is None or growth[1] >= 0


@pytest.mark.parametrize(("at", "counter"), [(930.0, 5.0), (2000.0, 5000.0)])
def test_a_counter_that_falls_or_pauses_for_long_begins_anew(at: float, counter: float) -> None:
    window = CounterWindow(600)
    for minute in range(16):
        window.observe(60.0 * minute, 100.0 * minute)
    assert window.growth() is not None
    window.observe(at, counter)
    assert window.growth() is None


def _ledger(memory: RigMemory | None = None, now: float = 0.0) -> RigLedger:
    return RigLedger(Rig(name="a", address="a"), PollingSettings(), memory or RigMemory(), now)


def test_work_hashrate_and_reject_ratio_come_from_shares_alone() -> None:
    ledger = _ledger()
    for poll in range(31):
        pools = (
            Pool(index=0, accepted=100.0 + 90 * poll, rejected=8.0 * poll, stale=2.0 * poll),
            Pool(index=1, accepted=0.0, rejected=0.0),
            Pool(index=2),
        )
        difficulty = 1e9 + poll * 30 * 2**-32 * 100e12
        reading = RigReading(hashrate=555e12, accepted_difficulty=difficulty, pools=pools)
        ledger.succeeded(reading, 1000.0 + 30 * poll, 30.0 * poll)
        snapshot = ledger.snapshot(1000.0 + 30 * poll)
        assert (snapshot.work_hashrate is None) == (snapshot.reject_ratio is None) == (poll < 20)
    assert snapshot.work_hashrate == pytest.approx(100e12)
    assert snapshot.reject_ratio == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"mac": "02:00:00:00:00:01", "serial": "S1"}, {"mac": "02:00:00:00:00:02", "serial": "S1"}, "device"),
        ({"mac": "02:00:00:00:00:01", "serial": "S1"}, {"mac": "02:00:00:00:00:01", "serial": "S2"}, None),
        ({"serial": "S1"}, {"serial": "S2"}, "device"),
        ({"serial": "S1"}, {}, None),
        ({"firmware_version": "1"}, {"firmware_version": "2"}, "firmware"),
    ],
)
def test_another_control_board_or_firmware_is_noticed(
    before: dict[str, str], after: dict[str, str], change: str | None
) -> None:
    ledger = _ledger()
    ledger.identified(RigIdentity(reader="fake", make="Acme", model="A1", **before))
    assert ledger.identified(RigIdentity(reader="fake", make="Acme", model="A1", **after)) == change


@pytest.mark.parametrize(
    ("expected", "worker", "verdict"),
    [
        ("acme.{rig}", "acme.a", True),
        ("acme.{rig}", "thief.a", False),
        ("acme.{rig}", "acme.b", False),
        ("acme.*", "acme.10x1x2x3", True),
        ("acme.*", "acmething", False),
        ("", "acme.a", None),
        ("acme.*", "", None),
    ],
)
def test_the_worker_of_the_pool_in_use_is_held_against_the_expected_one(
    expected: str, worker: str, verdict: bool | None
) -> None:
    ledger = RigLedger(Rig(name="a", address="a", worker=expected), PollingSettings(), RigMemory(), 0.0)
    pools = (Pool(index=0, worker="acme.spare", active=False), Pool(index=1, worker=worker, active=True))
    ledger.succeeded(RigReading(hashrate=1e14, pools=pools), 0.0, 0.0)
    assert ledger.snapshot(0.0).worker_expected is verdict


@pytest.mark.parametrize(("workers", "verdict"), [(["acme.a", "acme.a"], True), (["acme.a", "thief.a"], False)])
def test_of_several_pools_in_use_each_must_have_the_expected_worker(workers: list[str], verdict: bool) -> None:
    ledger = RigLedger(Rig(name="a", address="a", worker="acme.{rig}"), PollingSettings(), RigMemory(), 0.0)
    pools = tuple(Pool(index=index, worker=worker, active=True) for index, worker in enumerate(workers))
    ledger.succeeded(RigReading(hashrate=1e14, pools=pools), 0.0, 0.0)
    assert ledger.snapshot(0.0).worker_expected is verdict


def test_without_shares_there_is_no_reject_ratio_and_the_work_is_zero() -> None:
    ledger = _ledger()
    for poll in range(31):
        pools = (Pool(index=0, accepted=7.0, rejected=1.0),)
        ledger.succeeded(RigReading(hashrate=0.0, accepted_difficulty=5.0, pools=pools), 30.0 * poll, 30.0 * poll)
    snapshot = ledger.snapshot(30.0 * 30)
    assert (snapshot.work_hashrate, snapshot.reject_ratio) == (0.0, None)


def _faulty(ledger: RigLedger, now: float, *faults: Fault) -> tuple[float, ...]:
    """Read a rig that reports ``faults``, and say since when the ledger knows each."""
    ledger.succeeded(RigReading(hashrate=1e14, faults=faults), now, now)
    return ledger.snapshot(now).faults_since


FAN = fault(FaultCode.FAN_FAILED, component="fan 1")
OTHER_FAN = fault(FaultCode.FAN_FAILED, component="fan 2")


def test_a_fault_is_as_old_as_its_component_has_it_without_a_break() -> None:
    ledger = _ledger()
    assert _faulty(ledger, 1000.0, FAN) == (1000.0,)
    assert _faulty(ledger, 1030.0, OTHER_FAN, FAN) == (1030.0, 1000.0)
    ledger.failed()
    assert _faulty(ledger, 5000.0, FAN) == (1000.0,)
    assert _faulty(ledger, 5030.0) == ()
    assert _faulty(ledger, 5060.0, FAN) == (5060.0,)


def test_once_the_clock_is_put_right_no_fault_is_of_the_future() -> None:
    ledger = _ledger(RigMemory(faults=(("fan_failed", "fan 1", 9e9),)))
    assert _faulty(ledger, 1000.0, FAN) == (1000.0,)
    assert _faulty(ledger, 1030.0, FAN) == (1000.0,)


def test_a_fault_with_two_codes_has_one_age() -> None:
    ledger = _ledger()
    _faulty(ledger, 1000.0, FAN)
    assert _faulty(ledger, 1030.0, FAN, replace(FAN, vendor_code="0x18")) == (1000.0, 1000.0)


def test_a_fault_has_the_age_that_the_rig_reports() -> None:
    ledger = _ledger()
    assert _faulty(ledger, 1000.0, replace(FAN, since=400.0), FAN) == (400.0, 400.0)
    assert _faulty(ledger, 1030.0, replace(FAN, since=1020.0)) == (1020.0,)  # that one was mended, this is another
    assert _faulty(ledger, 1060.0, replace(FAN, since=9e9)) == (1060.0,)


def test_a_restart_keeps_the_age_of_a_fault_that_is_still_there() -> None:
    before = _ledger()
    _faulty(before, 1000.0, FAN, OTHER_FAN)
    after = _ledger(before.memory(1030.0), now=2000.0)
    assert after.memory(2000.0).faults == before.memory(1030.0).faults, "kept until the rig answers"
    assert _faulty(after, 2000.0, OTHER_FAN) == (1000.0,)
    assert after.memory(2000.0).faults == (("fan_failed", "fan 2", 1000.0),)


@pytest.mark.parametrize(("mac", "since"), [("02:00:00:00:00:01", 1000.0), ("02:00:00:00:00:02", 1030.0)])
def test_another_device_has_faults_of_its_own(mac: str, since: float) -> None:
    ledger = _ledger()
    ledger.identified(RigIdentity(reader="fake", make="Acme", model="A1", mac="02:00:00:00:00:01"))
    _faulty(ledger, 1000.0, FAN)
    ledger.identified(RigIdentity(reader="fake", make="Acme", model="A1", mac=mac))
    assert _faulty(ledger, 1030.0, FAN) == (since,)


@given(gap=st.floats(-1e6, 1e6), power=st.none() | st.floats(0, 1e4))
def test_a_restart_never_lets_the_energy_fall_nor_invents_much(gap: float, power: float | None) -> None:
    ledger = _ledger(RigMemory(last_success=1e9, energy=5e9, power=power), now=1e9 + gap)
    energy = ledger.memory(1e9 + gap).energy
    assert 5e9 <= energy <= 5e9 + (power or 0.0) * 75


# --- schedules --------------------------------------------------------------------------------------------------------


def _schedule(zone: str, *windows: dict[str, object]) -> ScheduleSettings:
    return ScheduleSettings.model_validate({"timezone": zone, "mining": windows})


def _at(zone: str, *when: int, fold: int = 0) -> float:
    return datetime(*when, fold=fold, tzinfo=ZoneInfo(zone)).timestamp()


CHICAGO = "America/Chicago"


@pytest.mark.parametrize(
    ("when", "mining"),
    [
        ((2026, 3, 2, 21, 59), False),  # a Monday
        ((2026, 3, 2, 22, 0), True),
        ((2026, 3, 3, 5, 59), True),
        ((2026, 3, 3, 6, 0), False),
        ((2026, 3, 3, 22, 30), False),  # Tuesdays are not listed
        ((2026, 3, 2, 5, 0), False),  # nor are Sundays, whose night this is
    ],
)
def test_a_window_over_midnight_belongs_to_the_day_it_starts(when: tuple[int, ...], mining: bool) -> None:
    nights = _schedule(CHICAGO, {"days": ["mon"], "from": "22:00", "to": "06:00"})
    assert nights.mining_at(_at(CHICAGO, *when)) is mining


def test_a_window_keeps_to_the_wall_clock_when_that_changes() -> None:
    nights = _schedule(CHICAGO, {"from": "22:00", "to": "06:00"})
    for day in (7, 8, 9):  # clocks go forward on 8 March 2026
        assert not nights.mining_at(_at(CHICAGO, 2026, 3, day, 6, 0))
        assert nights.mining_at(_at(CHICAGO, 2026, 3, day, 5, 59))
    assert sum(nights.mining_at(_at(CHICAGO, 2026, 3, 7, 12) + 60 * minute) for minute in range(1440)) == 7 * 60
    assert sum(nights.mining_at(_at(CHICAGO, 2026, 10, 31, 12) + 60 * minute) for minute in range(1500)) == 9 * 60


def test_a_window_from_a_time_to_the_same_is_a_whole_day() -> None:
    saturday = _schedule("UTC", {"days": ["sat"], "from": "00:00", "to": "24:00"})
    from_six = _schedule("UTC", {"days": ["sat"], "from": "06:00", "to": "06:00"})
    start = int(_at("UTC", 2026, 3, 2))
    for schedule in (saturday, from_six):
        assert sum(schedule.mining_at(start + 3600 * hour) for hour in range(24 * 7)) == 24


def test_without_windows_it_is_always_off() -> None:
    assert not _schedule("UTC").mining_at(1e9)


def test_times_are_read_as_people_and_yaml_write_them() -> None:
    schedule = _schedule(CHICAGO, {"days": ["mon"], "from": 1320, "to": "6:00"})  # YAML reads an unquoted 22:00 as 1320
    again = schedule.model_dump(mode="json")
    assert again == {"timezone": CHICAGO, "mining": [{"days": ["mon"], "from": "22:00", "to": "06:00"}]}
    assert ScheduleSettings.model_validate(again) == schedule


@pytest.mark.parametrize(
    "window",
    [
        {"from": "25:00", "to": "06:00"},
        {"from": "22:60", "to": "06:00"},
        {"from": "noon", "to": "06:00"},
        {"from": "22:00"},
        {"days": ["mon", "funday"], "from": "22:00", "to": "06:00"},
        {"days": [], "from": "22:00", "to": "06:00"},
        {"from": "22:00", "to": "06:00", "until": "x"},
    ],
)
def test_a_window_that_makes_no_sense_is_refused(window: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        _schedule("UTC", window)


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValidationError):
        _schedule("America/Chigaco")


# --- tariffs ----------------------------------------------------------------------------------------------------------

HOURS = tuple(PriceSlot(3600.0 * hour, 3600.0 * (hour + 1), 0.01 * hour) for hour in range(3))


def bare(price: TariffPrice | None) -> TariffPrice | None:
    """A price without the slots ahead."""
    return price if price is None else replace(price, ahead=())


@pytest.mark.parametrize(("now", "starts"), [(0, [0, 3600, 7200]), (4000, [3600, 7200]), (7200, [7200])])
def test_the_slots_ahead_begin_with_the_one_in_force(now: float, starts: list[float]) -> None:
    price = price_in_force(HOURS, now)
    assert price is not None
    assert [slot.start for slot in price.ahead] == starts
    gap = (HOURS[0], PriceSlot(4000.0, 5000.0, 0.3))
    apart = price_in_force(gap, 0)
    assert apart is not None
    assert [slot.start for slot in apart.ahead] == [0]


@pytest.mark.parametrize(
    ("now", "price"),
    [
        (-1, None),
        (0, TariffPrice(0.0, 0.01)),
        (3599.999, TariffPrice(0.0, 0.01)),
        (3600, TariffPrice(0.01, 0.02)),
        (7200, TariffPrice(0.02, None)),
        (10800, TariffPrice(0.02, None)),  # the next day's prices are late
        (14399.9, TariffPrice(0.02, None)),
        (14400, None),
    ],
)
def test_the_price_changes_on_the_boundary_and_is_held_for_one_slot(now: float, price: TariffPrice | None) -> None:
    assert bare(price_in_force(HOURS, now)) == price
    assert bare(price_in_force(HOURS[::-1], now)) == price


@pytest.mark.parametrize(
    ("now", "price"), [(4000, TariffPrice(0.0, 0.05)), (7200, None), (9000, None), (9900, TariffPrice(0.05, None))]
)
def test_a_hole_in_the_slots_is_bridged_by_one_slot_at_most(now: float, price: TariffPrice | None) -> None:
    holed = (HOURS[0], PriceSlot(7200.0 if now < 7200 else 9900.0, 13_500.0, 0.05))
    assert bare(price_in_force(holed, now)) == price


def test_a_price_for_ever_is_in_force_at_any_time() -> None:
    assert bare(price_in_force((PriceSlot(-math.inf, math.inf, 0.05),), 1e9)) == TariffPrice(0.05)


def test_of_slots_that_overlap_the_later_one_holds() -> None:
    quarter = PriceSlot(900.0, 1800.0, 0.5)
    assert [price_in_force((quarter, HOURS[0]), now).price for now in (0, 900, 1800)] == [0.0, 0.5, 0.0]


def test_tariffs_without_a_price_are_left_out() -> None:
    fresh: Latest[tuple[PriceSlot, ...]] = Latest(86_400)
    fresh.put(Reading(HOURS, 0.0))
    ended: Latest[tuple[PriceSlot, ...]] = Latest(86_400)
    ended.put(Reading(HOURS[:0], 0.0))
    stale: Latest[tuple[PriceSlot, ...]] = Latest(60)
    stale.put(Reading(HOURS, 0.0))
    tariffs = {"fresh": fresh, "ended": ended, "stale": stale, "never": Latest(60)}
    prices = tariff_prices(tariffs, 100.0)
    assert prices.keys() == {"fresh"}
    assert bare(prices["fresh"]) == TariffPrice(0.0, 0.01, observed_at=0.0)


@given(
    lengths=st.lists(st.sampled_from([900, 1800, 3600]), min_size=1, max_size=30),
    at=st.integers(0, 30 * 3600),
)
def test_within_the_slots_the_price_is_always_that_of_the_slot(lengths: list[int], at: int) -> None:
    slots, start = [], 0
    for index, length in enumerate(lengths):
        slots.append(PriceSlot(start, start + length, float(index)))
        start += length
    price = price_in_force(slots, at)
    if at < start:
        inside = next(slot for slot in slots if slot.start <= at < slot.end)
        following = inside.price + 1 if inside is not slots[-1] else None
        assert bare(price) == TariffPrice(inside.price, following)
    else:
        assert (price is not None) == (at < start + lengths[-1])


def test_the_next_boundary_is_the_next_beginning_of_any_usable_tariff() -> None:
    def latest(observed_at: float, *starts: float) -> Latest[tuple[PriceSlot, ...]]:
        kept: Latest[tuple[PriceSlot, ...]] = Latest(1_000)
        kept.put(Reading(tuple(PriceSlot(start, start + 100, 0.05) for start in starts), observed_at))
        return kept

    tariffs = {"hourly": latest(0, 3_600, 7_200), "quarterly": latest(0, 900, 0, 1_800), "stale": latest(-1_000, 800)}
    assert [next_boundary(tariffs, now) for now in (1, 899.9, 900)] == [900, 900, 1_800]
    assert next_boundary(tariffs, 1_001) is None
    assert next_boundary({}, 0) is None
