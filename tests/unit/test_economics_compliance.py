"""Power delivered against power obliged, per interval: means, gaps, cancelled and changed events, baselines."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.economics.compliance import (
    METER,
    Compliance,
    ComplianceMemory,
    ComplianceSettings,
    Delivered,
    Delivery,
    ObligationStatus,
    Outcome,
    Scope,
    follow,
    measured_power,
    resolve,
)
from exporter.economics.settings import PowerSettings, SiteSettings
from exporter.economics.shed import share_of, shed
from exporter.economics.values import (
    BlockEconomics,
    GpuEconomics,
    MarketEconomics,
    PowerSource,
    RigEconomics,
    SiteEconomics,
)
from exporter.model.fleet import Rig
from exporter.model.obligations import Obligation, ObligationKind, SiteObligations
from exporter.model.readings import MeterReading, Reading, RigReading
from exporter.model.snapshot import RigSnapshot, SiteSnapshot

START = datetime(2026, 11, 29, 22, tzinfo=UTC).timestamp()
QUARTER = 900.0
MEGAWATT = 1e6


def owed(start: float = 0.0, end: float | None = QUARTER, **fields: object) -> Obligation:
    given: dict[str, object] = {"kind": ObligationKind.CALL, "source": "u", "event": "e", "cap": 4 * MEGAWATT} | fields
    return Obligation(start=START + start, end=None if end is None else START + end, **given)  # type: ignore[arg-type]


def follow_through(
    power: Callable[[float], float | None],
    listed: Callable[[float], tuple[Obligation, ...]],
    *,
    first: float = -60.0,
    last: float = QUARTER + 15,
    step: float = 15.0,
    settings: ComplianceSettings | None = None,
    baselines: Mapping[str, float] | None = None,
    memory: ComplianceMemory | None = None,
    pause: tuple[float, float] = (0.0, 0.0),
) -> list[Compliance]:
    """Evaluate every ``step`` seconds; power (W) and obligations are functions of the seconds since ``START``."""
    found: list[Compliance] = []
    memory = memory or ComplianceMemory()
    count = round((last - first) / step) + 1
    for number in range(count):
        at = first + number * step
        if pause[0] < at < pause[1]:
            continue

        def measure(_: Scope, at: float = at) -> Delivered | None:
            watts = power(at)
            return None if watts is None else Delivered(watts, METER)

        held = tuple(each for each in listed(at) if each.end is None or each.end > START + at)
        result = follow(
            memory,
            SiteObligations(listed=held),
            measure,
            START + at,
            settings or ComplianceSettings(),
            baselines=baselines,
            scopes={()},
        )
        memory = result.memory
        found.append(result)
    return found


def closed(found: list[Compliance]) -> list[Delivery]:
    return list(found[-1].memory.closed)


def step_between(
    begun: float, now: float, *listed: Obligation, memory: ComplianceMemory | None = None, watts: float | None = 10.0
) -> ComplianceMemory:
    """Evaluate at ``begun`` and at ``now``, seconds after ``START``, with 10 W at both."""
    for at in (begun, now):
        known = None if watts is None else Delivered(watts, METER)
        found = follow(
            memory or ComplianceMemory(),
            SiteObligations(listed=listed),
            lambda _, known=known: known,  # type: ignore[misc]
            START + at,
            ComplianceSettings(),
        )
        memory = found.memory
    assert memory is not None
    return memory


def test_a_step_across_the_end_of_an_interval_is_cut_there() -> None:
    memory = step_between(880, 920, owed(890, None, cap=10.0))
    (first,) = memory.closed
    ((_, second),) = memory.open.items()
    assert (first.start - START, first.end - START, first.measured, first.cap) == (890, 900, 10, 10.0)
    assert (second.delivery.start - START, second.delivery.end - START) == (900, 1800)
    assert (second.delivery.measured, second.energy, second.allowed) == (20, 200.0, 200.0)


def test_an_event_between_two_steps_is_judged() -> None:
    memory = step_between(0, 60, owed(15, 45))
    assert [(each.start - START, each.end - START, each.measured) for each in memory.closed] == [(15, 45, 30)]
    certain = step_between(0, 60, owed(15, 45, randomize=5.0))
    assert [(each.start - START, each.end - START, each.measured) for each in certain.closed] == [(20, 40, 20)]


@pytest.mark.parametrize(("now", "measured"), [(0.5, 0.5), (60.0, 60.0), (60.5, 0.0)])
def test_power_goes_on_between_two_steps_unless_they_are_far_apart(now: float, measured: float) -> None:
    memory = step_between(0, now, owed())
    assert sum(tally.delivery.measured for tally in memory.open.values()) == measured


def test_an_interval_shows_what_its_event_is_about() -> None:
    facts = {"blocks": ("c1",), "program": "4CP", "reason": "heat", "kind": ObligationKind.CAP, "price": 0.5}
    ((_, tally),) = step_between(300, 315, owed(-3600, None, **facts)).open.items()
    delivery = tally.delivery
    assert (delivery.source, delivery.event, delivery.program, delivery.reason) == ("u", "e", "4CP", "heat")
    assert (delivery.kind, delivery.blocks, delivery.price) == (ObligationKind.CAP, ("c1",), 0.5)
    assert (delivery.start, delivery.end) == (START, START + QUARTER)
    assert delivery.baseline is None


def test_an_interval_ends_with_the_part_of_the_event_that_is_certain() -> None:
    ((_, tally),) = step_between(1200, 1215, owed(0, 1800, randomize=300.0)).open.items()
    assert tally.delivery.end == START + 1500


def test_a_constant_power_below_the_cap_keeps_the_interval() -> None:
    (delivery,) = closed(follow_through(lambda _: 3.9 * MEGAWATT, lambda _: (owed(),)))
    assert (delivery.outcome, delivery.start, delivery.end) == (Outcome.KEPT, START, START + QUARTER)
    assert delivery.delivered == pytest.approx(3.9 * MEGAWATT)
    assert (delivery.cap, delivery.measured, delivery.power_source) == (pytest.approx(4 * MEGAWATT), QUARTER, METER)


def test_the_mean_counts_not_the_highest_moment() -> None:
    def late(at: float) -> float:
        return 10 * MEGAWATT if at < 60 else 3 * MEGAWATT

    (delivery,) = closed(follow_through(late, lambda _: (owed(),)))
    # 52.5 s at 10 MW (half a step between the two), the rest at 3 MW
    assert delivery.delivered == pytest.approx((52.5 * 10 + (QUARTER - 52.5) * 3) / QUARTER * MEGAWATT)
    assert delivery.outcome is Outcome.KEPT


@pytest.mark.parametrize(("tolerance", "outcome"), [(0.0, Outcome.FAILED), (0.02, Outcome.KEPT)])
def test_a_mean_above_the_cap_fails_beyond_the_tolerance(tolerance: float, outcome: Outcome) -> None:
    settings = ComplianceSettings(tolerance=tolerance)
    found = follow_through(lambda _: 4.05 * MEGAWATT, lambda _: (owed(),), settings=settings)
    assert [delivery.outcome for delivery in closed(found)] == [outcome]
    counts = {("u", "call", each.value): int(each is outcome) for each in Outcome}
    assert found[-1].memory.counts == counts


def test_an_award_fails_if_too_little_runs() -> None:
    award = owed(kind=ObligationKind.AWARD, cap=None, floor=5 * MEGAWATT, price=0.008)
    assert closed(follow_through(lambda _: 5 * MEGAWATT, lambda _: (award,)))[0].outcome is Outcome.KEPT
    (failed,) = closed(follow_through(lambda _: 4.9 * MEGAWATT, lambda _: (award,)))
    assert (failed.outcome, failed.floor, failed.cap, failed.price) == (Outcome.FAILED, 5 * MEGAWATT, None, 0.008)


@pytest.mark.parametrize(
    ("tolerance", "megawatts", "outcome"),
    [
        (0.0, 5.0, Outcome.KEPT),
        (0.0, 4.95, Outcome.FAILED),
        (0.02, 4.95, Outcome.KEPT),
        (0.02, 4.85, Outcome.FAILED),
    ],
)
def test_an_award_fails_below_its_floor_less_the_tolerance(
    tolerance: float, megawatts: float, outcome: Outcome
) -> None:
    award = owed(kind=ObligationKind.AWARD, cap=None, floor=5 * MEGAWATT)
    settings = ComplianceSettings(tolerance=tolerance)
    found = follow_through(lambda _: megawatts * MEGAWATT, lambda _: (award,), settings=settings)
    assert [each.outcome for each in closed(found)] == [outcome]


def test_power_at_the_cap_keeps_it() -> None:
    assert closed(follow_through(lambda _: 4 * MEGAWATT, lambda _: (owed(),)))[0].outcome is Outcome.KEPT


def test_an_event_of_an_hour_has_four_intervals() -> None:
    found = follow_through(lambda _: MEGAWATT, lambda _: (owed(end=3600),), last=3600 + 15)
    assert [each.start - START for each in closed(found)] == [0, 900, 1800, 2700]
    assert {each.outcome for each in closed(found)} == {Outcome.KEPT}
    assert found[-1].memory.counts == {("u", "call", each.value): 4 * (each is Outcome.KEPT) for each in Outcome}


def test_an_interval_that_nothing_was_counted_for_yet_is_counted() -> None:
    memory = replace(step_between(870, 885, owed()), counts={})
    assert step_between(900, 915, memory=memory).counts == {("u", "call", "not_measured"): 1}


def test_each_block_is_measured_by_itself() -> None:
    """The power of c2 is not known at first: it counts from when it is, without one of another block before it."""
    memory = ComplianceMemory()
    both = (owed(blocks=("c1",), event="1"), owed(blocks=("c2",), event="2"))
    for at, watts in ((0.0, {"c1": 10.0}), (15.0, {"c1": 30.0, "c2": 100.0}), (30.0, {"c2": 100.0})):

        def measure(scope: Scope, watts: Mapping[str, float] = watts) -> Delivered | None:
            return Delivered(watts[scope[0]], METER) if scope[0] in watts else None

        memory = follow(memory, SiteObligations(listed=both), measure, START + at, ComplianceSettings()).memory
    first, second = (memory.open["u", event] for event in ("1", "2"))
    assert (first.delivery.measured, first.energy) == (15, 15 * 20.0)  # the mean of 10 and 30 W
    assert (second.delivery.measured, second.energy) == (30, 30 * 100.0)


def test_intervals_are_cut_where_the_event_begins_and_ends() -> None:
    deliveries = closed(follow_through(lambda _: MEGAWATT, lambda _: (owed(300, 1000),), last=1100))
    assert [(each.start - START, each.end - START) for each in deliveries] == [(300, 900), (900, 1000)]
    assert [each.measured for each in deliveries] == [600, 100]


def test_a_projection_warns_before_the_interval_fails() -> None:
    found = follow_through(lambda at: (3 if at < 300 else 6) * MEGAWATT, lambda _: (owed(),), last=600)
    (status,) = found[-1].statuses
    assert status.delivered is not None
    assert status.delivered < 4.6 * MEGAWATT
    assert status.projected == pytest.approx((292.5 * 3 + 607.5 * 6) / 900 * MEGAWATT)
    assert status.projected > (status.cap or 0)
    assert status.power == 6 * MEGAWATT


@pytest.mark.parametrize(("measured", "outcome"), [(810, Outcome.KEPT), (795, Outcome.NOT_MEASURED)])
def test_an_interval_of_which_90_per_cent_were_measured_is_judged(measured: float, outcome: Outcome) -> None:
    pause = (0, 900 - measured)
    (delivery,) = closed(follow_through(lambda _: MEGAWATT, lambda _: (owed(),), pause=pause, step=15.0))
    assert (delivery.measured, delivery.outcome) == (measured, outcome)


def test_after_a_long_gap_an_interval_begins_by_the_clock() -> None:
    found = follow_through(lambda _: MEGAWATT, lambda _: (owed(end=None),), last=3615, pause=(915, 2900))
    assert [(each.start - START, each.end - START) for each in closed(found)] == [(0, 900), (900, 1800), (2700, 3600)]


def test_an_event_that_comes_back_within_an_interval_goes_on_where_it_ended() -> None:
    found = follow_through(lambda _: MEGAWATT, lambda at: () if 300 < at <= 600 else (owed(),))
    assert [(each.start - START, each.end - START) for each in closed(found)] == [(0, 300), (300, 900)]


def test_a_status_has_the_strictest_limits_of_an_event_and_its_latest_end() -> None:
    facts: dict[str, Any] = {"blocks": ("c1",), "program": "4CP", "reason": "heat", "kind": ObligationKind.CAP}
    listed = (
        owed(0, 600, **facts | {"cap": 50.0, "floor": 5.0, "level": 1}),
        owed(0, 1200, **facts | {"cap": 40.0, "floor": 8.0, "level": 2, "unclear": "level 2"}),
        owed(0, None, event="f", cap=40.0),
        owed(0, 1200, event="f", cap=40.0),
        owed(0, 60.5, event="g", cap=40.0),
    )
    memory = ComplianceMemory()
    for at, watts in ((0, 10.0), (60, 30.0)):
        found = follow(
            memory,
            SiteObligations(listed=listed),
            lambda _, watts=watts: Delivered(watts, METER),  # type: ignore[misc]
            START + at,
            ComplianceSettings(),
        )
        memory = found.memory
    drawn = {"delivered": 20.0, "power": 30.0}  # 20 W on average so far
    assert found.statuses[0] == ObligationStatus(
        source="u",
        event="e",
        end=START + 1200,
        cap=40.0,
        floor=8.0,
        level=2,
        unclear="level 2",
        projected=(60 * 20.0 + 540 * 30.0) / 600,  # to the end of the first
        **facts,
        **drawn,
    )
    assert (found.statuses[1].end, found.statuses[1].unclear) == (None, "")
    assert found.statuses[2].projected == pytest.approx((60 * 20.0 + 0.5 * 30.0) / 60.5)


def test_a_gap_is_not_filled_and_the_interval_is_not_measured() -> None:
    (delivery,) = closed(follow_through(lambda _: MEGAWATT, lambda _: (owed(),), pause=(300, 500)))
    assert delivery.outcome is Outcome.NOT_MEASURED
    assert delivery.measured == pytest.approx(690)  # to 300 s, and from 510 s


def test_an_exporter_that_starts_late_does_not_judge_the_part_it_has_seen() -> None:
    (delivery,) = closed(follow_through(lambda _: MEGAWATT, lambda _: (owed(),), first=300))
    assert (delivery.start, delivery.outcome) == (START, Outcome.NOT_MEASURED)


def test_unknown_power_is_not_zero() -> None:
    found = follow_through(lambda _: None, lambda _: (owed(),))
    (delivery,) = closed(found)
    assert (delivery.outcome, delivery.delivered, delivery.measured) == (Outcome.NOT_MEASURED, None, 0)
    assert all(status.projected is None for each in found for status in each.statuses)


def test_a_cancelled_event_ends_its_interval_where_it_was_last_in_force() -> None:
    found = follow_through(lambda _: MEGAWATT, lambda at: (owed(),) if at <= 450 else ())
    (delivery,) = closed(found)
    assert (delivery.end - START, delivery.measured, delivery.outcome) == (450, 450, Outcome.KEPT)


def test_a_changed_cap_counts_from_when_it_is_known() -> None:
    def listed(at: float) -> tuple[Obligation, ...]:
        return (owed(cap=4 * MEGAWATT if at <= 450 else 2 * MEGAWATT),)

    (delivery,) = closed(follow_through(lambda _: 2.9 * MEGAWATT, listed))
    assert delivery.cap == pytest.approx(3 * MEGAWATT)
    assert delivery.outcome is Outcome.KEPT


def test_of_two_caps_of_one_event_the_lower_holds() -> None:
    both = (owed(cap=4 * MEGAWATT), owed(cap=2 * MEGAWATT, level=2))
    found = follow_through(lambda _: 3 * MEGAWATT, lambda _: both)
    assert closed(found)[0].outcome is Outcome.FAILED
    status = found[30].statuses[0]
    assert (status.cap, status.level) == (2 * MEGAWATT, 2)


def test_only_the_part_that_is_certain_of_a_random_start_is_judged() -> None:
    deliveries = closed(follow_through(lambda _: MEGAWATT, lambda _: (owed(0, 1800, randomize=300.0),), last=1815))
    assert [(each.start - START, each.end - START) for each in deliveries] == [(300, 900), (900, 1500)]


def test_an_event_without_an_end_goes_on() -> None:
    found = follow_through(lambda _: MEGAWATT, lambda _: (owed(end=None),), last=1900)
    assert [each.end - START for each in closed(found)] == [900, 1800]
    assert found[-1].statuses[0].end is None


def test_a_reduction_counts_from_the_mean_before_the_event() -> None:
    reduction = owed(cap=None, reduction=3 * MEGAWATT)
    found = follow_through(lambda at: (10 if at <= 0 else 7) * MEGAWATT, lambda _: (reduction,), first=-600)
    (delivery,) = closed(found)
    assert delivery.baseline == pytest.approx(10 * MEGAWATT)
    assert delivery.cap == pytest.approx(7 * MEGAWATT)
    assert "baseline" in found[0].obligations.listed[0].unclear  # until it begins


def test_the_baseline_of_an_event_stays_while_it_lasts() -> None:
    """It is the mean of 10 and 12 MW, known when the event begins and not before, and other events have none."""
    listed = (owed(end=2700, event="a"), owed(end=2700, event="b", cap=None, reduction=3 * MEGAWATT))
    found = follow_through(
        lambda at: (10 if at < -300 else 12 if at < 0 else 7) * MEGAWATT, lambda _: listed, first=-600, last=2715
    )
    before, begun = found[39], found[40]
    assert before.memory.baselines == {}
    assert "baseline" in before.obligations.listed[1].unclear
    assert begun.obligations.listed[1].cap == pytest.approx(8 * MEGAWATT)
    by_event = {event: [each for each in closed(found) if each.event == event] for event in "ab"}
    assert [each.baseline for each in by_event["a"]] == [None] * 3
    assert [each.baseline for each in by_event["b"]] == [pytest.approx(11 * MEGAWATT)] * 3
    assert [each.outcome for each in by_event["b"]] == [Outcome.KEPT] * 3


def test_a_baseline_counts_power_up_to_the_begin_of_the_event() -> None:
    samples = {(): ((START - 15, 10.0), (START, 12.0), (START + 15, 2.0))}
    memory = ComplianceMemory(observed_at=START + 15, samples=samples)
    reduction = owed(cap=None, reduction=1.0)
    assert resolve(SiteObligations(listed=(reduction,)), memory, {}, START + 30).listed[0].cap == 10.0


def test_power_is_kept_for_15_minutes() -> None:
    kept = ((START - 900, 1e12), (START - 15, 3.0))
    samples = {(): ((START - 900.5, 1.0), *kept, (START, 5.0))}
    memory = ComplianceMemory(observed_at=START - 15, samples=samples)
    found = follow(memory, SiteObligations(), lambda _: Delivered(9.0, METER), START, ComplianceSettings(), scopes={()})
    assert found.memory.samples == {(): (*kept, (START, 9.0))}


def test_a_baseline_of_the_settings_is_known_before_the_event() -> None:
    reduction = owed(cap=None, reduction=3 * MEGAWATT)
    found = follow_through(lambda _: MEGAWATT, lambda _: (reduction,), baselines={"u": 8 * MEGAWATT})
    assert found[0].obligations.listed[0].cap == 5 * MEGAWATT
    assert not found[0].obligations.listed[0].unclear


def test_without_any_measurement_a_reduction_stays_unclear() -> None:
    reduction = owed(cap=None, reduction=3 * MEGAWATT)
    found = follow_through(lambda _: None, lambda _: (reduction,), last=300)
    assert found[-1].obligations.listed[0].unclear == "its baseline is not known"
    unclear = replace(reduction, unclear="level 2")
    assert resolve(SiteObligations(listed=(unclear,)), ComplianceMemory(), {}, START).listed[0].unclear == "level 2"


def test_a_call_that_comes_late_is_counted_from_what_was_drawn_so_far() -> None:
    def listed(at: float) -> tuple[Obligation, ...]:
        return (owed(-3600, cap=None, reduction=3 * MEGAWATT),) if at >= 0 else ()

    found = follow_through(lambda _: 9 * MEGAWATT, listed, first=-300, last=0)
    assert found[-1].obligations.listed[0].cap == pytest.approx(6 * MEGAWATT)


def test_flags_and_levels_without_a_cap_are_shown_and_not_judged() -> None:
    found = follow_through(lambda _: MEGAWATT, lambda _: (owed(cap=None, level=2, unclear="level 2"),))
    assert closed(found) == []
    status = found[20].statuses[0]
    assert (status.level, status.cap, status.projected, status.unclear) == (2, None, None, "level 2")


def test_the_clock_being_set_ends_the_open_intervals() -> None:
    memory = follow_through(lambda _: MEGAWATT, lambda _: (owed(),), last=300)[-1].memory
    moved = memory.shifted(100.0)
    assert (moved.observed_at, moved.open, moved.samples) == (START + 400, {}, {})
    assert ComplianceMemory().shifted(5.0).observed_at is None


@given(
    powers=st.lists(st.floats(0, 1e8), min_size=66, max_size=66),
    cap=st.floats(1e3, 1e8),
    step=st.sampled_from([15.0, 30.0, 60.0]),
)
def test_the_outcome_is_that_of_the_mean(powers: list[float], cap: float, step: float) -> None:
    def power(at: float) -> float:
        return powers[int(max(at, 0.0) // 15)]

    (delivery,) = closed(follow_through(power, lambda _: (owed(cap=cap),), last=960, step=step))
    at = [power(number * step) for number in range(round(QUARTER / step) + 1)]
    mean = sum((one + other) / 2 for one, other in itertools.pairwise(at)) / (len(at) - 1)
    assert delivery.delivered == pytest.approx(mean, abs=1e-3)
    assert delivery.outcome is (Outcome.FAILED if delivery.delivered > delivery.cap else Outcome.KEPT)  # type: ignore[operator]


# --- what is drawn --------------------------------------------------------------------------------------------------


def rig(name: str, block: str = "c1", *, hashes: bool = True, **fields: object) -> RigSnapshot:
    reading = Reading(RigReading(hashrate=1e14 if hashes else 0.0), START)
    return RigSnapshot(rig=Rig(name=name, address=name, block=block), reading=reading, **fields)  # type: ignore[arg-type]


def priced(watts: float | None, running: float | None = None, breakeven: float | None = None) -> RigEconomics:
    return RigEconomics(
        billed_power=watts,
        power_source=None if watts is None else PowerSource.REPORTED,
        potential_power=watts if running is None else running,
        potential_breakeven_power_price=breakeven,
    )


def site(
    *members: tuple[RigSnapshot, RigEconomics],
    gpus: tuple[GpuEconomics, ...] = (),
    meters: tuple[MeterReading, ...] = (),
) -> tuple[SiteSnapshot, SiteEconomics]:
    rigs, economics = tuple(each for each, _ in members), tuple(each for _, each in members)
    blocks = tuple(BlockEconomics(name=name, rigs=1) for name in dict.fromkeys(each.rig.block for each in rigs))
    snapshot = SiteSnapshot(taken_at=START, rigs=rigs, meters=meters)
    return snapshot, SiteEconomics(market=MarketEconomics(), rigs=economics, blocks=blocks, gpus=gpus)


TWO = ((rig("a"), priced(3000.0)), (rig("b", "c2"), priced(2000.0)))
LOSSY = SiteSettings(power=PowerSettings(transformer_loss=0.02))


@pytest.mark.parametrize(
    ("meters", "scope", "expected"),
    [
        ((), (), Delivered(5000.0, "reported")),
        ((), ("c2",), Delivered(2000.0, "reported")),
        ((MeterReading(utilities={"": 6000.0}),), (), Delivered(6000.0, METER)),
        ((MeterReading(utilities={"": 6000.0}),), ("c1",), Delivered(3000.0, "reported")),
        ((MeterReading(feeders={"": 4900.0}),), (), Delivered(5000.0, METER)),
        ((MeterReading(utilities={"c1": 3100.0}),), ("c1",), Delivered(3100.0, METER)),
        ((MeterReading(utilities={"c1": 3100.0, "c2": 2100.0}),), (), Delivered(5200.0, METER)),
        ((MeterReading(utilities={"c1": 3100.0}),), (), Delivered(5000.0, "reported")),
        ((MeterReading(utilities={"": 1.0}), MeterReading(utilities={"": 2.0})), (), Delivered(1.0, METER)),
        (
            (MeterReading(utilities={"c1": 3100.0}), MeterReading(utilities={"c2": 2100.0})),
            (),
            Delivered(5200.0, METER),
        ),
        ((MeterReading(utilities={"c1": 3100.0, "c2": 2100.0}),), ("c1", "c3"), Delivered(3000.0, "reported")),
        ((), ("c3",), None),
    ],
)
def test_the_best_meter_counts_else_the_rigs(
    meters: tuple[MeterReading, ...], scope: Scope, expected: Delivered | None
) -> None:
    found = measured_power(*site(*TWO, meters=meters), LOSSY, scope)
    assert found == (None if expected is None else Delivered(pytest.approx(expected.watts), expected.source))


def test_a_meter_that_contradicts_its_rigs_does_not_count() -> None:
    known = site(*TWO, meters=(MeterReading(utilities={"": 5.0}),))
    assert measured_power(*known, SiteSettings(), (), {""}) == Delivered(5000.0, "reported")


def test_gpus_count_for_the_site() -> None:
    known = site(*TWO, gpus=(GpuEconomics(billed_power=700.0), GpuEconomics()))
    assert measured_power(*known, SiteSettings(), ()) == Delivered(5700.0, "reported")


def test_a_few_silent_rigs_count_at_their_running_power_and_many_make_it_unknown() -> None:
    many = [(rig(f"r{number}"), priced(1000.0)) for number in range(19)]
    silent = (rig("s"), priced(None, 1000.0))
    assert measured_power(*site(*many, silent), SiteSettings(), ()) == Delivered(20_000.0, "reported")
    assert measured_power(*site(*many[:18], silent), SiteSettings(), ()) is None
    unrated = (rig("u"), priced(None))
    assert measured_power(*site(*many, unrated), SiteSettings(), ()) == Delivered(19_000.0, "reported")
    assert measured_power(*site(*many[:18], unrated), SiteSettings(), ()) is None


def test_a_twentieth_of_the_power_or_of_the_rigs_may_be_unknown() -> None:
    many = [(rig(f"r{number}"), priced(1000.0)) for number in range(38)]
    silent = [(rig(f"s{number}"), priced(None, 1000.0)) for number in range(3)]
    unrated = [(rig(f"u{number}"), priced(None)) for number in range(2)]
    assert measured_power(*site(*many, *silent[:2]), SiteSettings(), ()) == Delivered(40_000.0, "reported")
    assert measured_power(*site(*many, *silent), SiteSettings(), ()) is None
    assert measured_power(*site(*many, *unrated), SiteSettings(), ()) == Delivered(38_000.0, "reported")
    assert measured_power(*site(*many[:37], *unrated), SiteSettings(), ()) is None


@pytest.mark.parametrize(
    ("sources", "worst"),
    [
        ((PowerSource.METERED, PowerSource.METERED), "metered"),
        ((PowerSource.REPORTED, PowerSource.METERED), "reported"),
        ((PowerSource.REPORTED, PowerSource.NAMEPLATE, PowerSource.METERED), "nameplate"),
    ],
)
def test_the_worst_source_of_a_rig_is_named(sources: tuple[PowerSource, ...], worst: str) -> None:
    rigs = [(rig(f"r{n}"), priced(10.0)._replace(power_source=source)) for n, source in enumerate(sources)]
    assert measured_power(*site(*rigs), SiteSettings(), ()) == Delivered(10.0 * len(rigs), worst)


def test_a_rig_without_a_source_of_its_power_does_not_name_one() -> None:
    odd = priced(10.0)._replace(power_source=None)
    assert measured_power(*site((rig("a"), odd)), SiteSettings(), ()) == Delivered(10.0, "metered")


# --- which rigs a cap leaves no power for ---------------------------------------------------------------------------


def off(cap: float, *members: tuple[RigSnapshot, RigEconomics], **fields: object) -> dict[str, ObligationKind]:
    return shed(*site(*members), (owed(cap=cap, **fields),), START)


FLEET = (
    (rig("new"), priced(3000.0, breakeven=0.09)),
    (rig("old"), priced(3000.0, breakeven=0.05)),
    (rig("mid", "c2"), priced(2000.0, breakeven=0.07)),
)


@pytest.mark.parametrize(
    ("cap", "names"),
    [
        (8000, set()),
        (7999, {"old"}),
        (5000, {"old"}),
        (4999, {"mid", "old"}),
        (2999, {"new", "old"}),
        (0, {"new", "old", "mid"}),
    ],
)
def test_the_rigs_with_the_lowest_breakeven_go_first(cap: float, names: set[str]) -> None:
    assert off(cap, *FLEET).keys() == names


def test_a_cap_of_a_block_is_about_its_rigs() -> None:
    assert off(0, *FLEET, blocks=("c2",)) == {"mid": ObligationKind.CALL}
    assert off(0, *FLEET, blocks=("c9",)) == {}


def test_rigs_that_stand_still_make_room_for_those_that_hash() -> None:
    stopped = (rig("new", hashes=False), priced(0.0, 3000.0, breakeven=0.09))
    assert off(5000, stopped, *FLEET[1:]).keys() == {"new"}


def test_rigs_that_are_off_anyway_take_no_room() -> None:
    serviced = (replace(FLEET[0][0], off_because=ObligationKind.MAINTENANCE), FLEET[0][1])
    assert off(5000, serviced, *FLEET[1:]) == {}


def test_a_rig_of_unknown_power_stays_unless_nothing_may_be_drawn() -> None:
    unknown = (rig("x"), priced(None))
    assert off(1.0, unknown) == {}
    assert off(0.0, unknown) == {"x": ObligationKind.CALL}


def test_a_rig_of_unknown_power_does_not_keep_those_after_it_on() -> None:
    unknown = (rig("x"), priced(None, breakeven=0.10))
    assert off(1_000.0, unknown, *FLEET[:2]).keys() == {"new", "old"}


def test_a_rig_that_is_not_priced_counts_at_its_rating() -> None:
    unpriced = RigSnapshot(rig=Rig(name="x", address="x", block="c1", rated_power=3500.0))
    assert off(2000.0, (unpriced, priced(None))) == {"x": ObligationKind.CALL}
    assert off(4000.0, (unpriced, priced(None))) == {}
    assert measured_power(*site((unpriced, priced(None))), SiteSettings(), ()) is None


def test_a_rig_without_a_breakeven_stays_longest() -> None:
    unpriced = (rig("x"), priced(3000.0))
    assert off(3000, unpriced, FLEET[0]).keys() == {"new"}


def test_the_first_kind_names_the_reason_and_only_caps_in_force_count() -> None:
    caps = (owed(kind=ObligationKind.CAP, cap=0.0), owed(cap=0.0), owed(600, cap=0.0), owed(cap=None, level=1))
    assert set(shed(*site(*FLEET), caps, START).values()) == {ObligationKind.CALL}
    assert shed(*site(*FLEET), caps[2:], START) == {}


def test_a_shard_keeps_to_its_share_of_a_cap_of_the_site() -> None:
    assert shed(*site(*FLEET), (owed(cap=16_000),), START, share=0.5) == {}
    assert shed(*site(*FLEET), (owed(cap=10_000),), START, share=0.5).keys() == {"old"}
    of_a_block = owed(cap=3_000, blocks=("c1",))  # is whole: all of the block's rigs are on this shard
    assert shed(*site(*FLEET), (of_a_block,), START, share=0.5).keys() == {"old"}
    rated = [Rig(name=name, address=name, rated_power=watts) for name, watts in (("a", 3000.0), ("b", 1000.0))]
    assert share_of(rated[:1], rated) == 0.75
    assert share_of(rated[:1], [*rated[:1], Rig(name="c", address="c")]) == 0.5
    assert share_of([], []) == 1.0
    passive, other = (Rig(name=name, address=name, rated_power=0.0) for name in ("d", "e"))
    assert (share_of([passive], [passive, rated[0]]), share_of(rated[:1], [passive, rated[0]])) == (0.0, 1.0)
    assert share_of([passive], [passive, other]) == 0.5
