"""Operating points, learned from a rig's readings in virtual time and kept across restarts."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest
from pydantic_core import to_json
from virtual_time import EPOCH, run, unix_clock

from exporter.economics.points import curve_of
from exporter.economics.settings import PointsSettings
from exporter.economics.values import PowerSource
from exporter.model.failures import Failure, Reason
from exporter.model.fault_codes import FaultCode
from exporter.model.fleet import Rig
from exporter.model.points import Point, PointList, RigPoints
from exporter.model.readings import RigIdentity, RigReading, TunerState
from exporter.model.snapshot import RigSnapshot
from exporter.polling.learning import PointBook, PointLearner, PointMemory
from exporter.polling.ledger import RigMemory
from exporter.polling.rigs import RigPoller
from exporter.polling.settings import PollingSettings
from exporter.sources.rigs.contract import Target
from exporter.sources.rigs.faults import fault
from exporter.telemetry import Telemetry

SETTINGS = PointsSettings()
IDENTITY = RigIdentity(reader="fake", make="Acme", model="A1", mac="02:00:00:00:00:01")
READING = RigReading(hashrate=100e12, power=2_800.0, mining=True, point="stock", uptime=86_400.0)
LISTED = PointList(points=(Point(name="stock", hashrate=100e12, power=2_800.0),))
HOUR = 3_600.0
DAY = 86_400.0


class Rigs:
    """One rig that answers as configured."""

    def __init__(self, reading: Callable[[float], RigReading] = lambda _: READING) -> None:
        self.reading = reading
        self.identity = IDENTITY
        self.listed: PointList | Failure | None = LISTED
        self.lists: list[float] = []

    async def identify(self, target: Target) -> RigIdentity:  # noqa: ARG002
        return self.identity

    async def read(self, target: Target, identity: RigIdentity) -> RigReading:  # noqa: ARG002
        return self.reading(unix_clock())

    async def points(self, target: Target, identity: RigIdentity) -> PointList | None:  # noqa: ARG002
        self.lists.append(unix_clock())
        if isinstance(self.listed, Failure):
            raise self.listed
        return self.listed


def poller(rigs: Rigs, remembered: RigMemory | None = None, settings: PointsSettings | None = SETTINGS) -> RigPoller:
    made = RigPoller(
        [Rig(name="a", address="a")],
        rigs,
        PollingSettings(identify_every=2 * HOUR),
        Telemetry(),
        remembered={} if remembered is None else {"a": remembered},
        clock=unix_clock,
        rng=random.Random(7),
    )
    made.learn_points(settings)
    return made


async def poll(made: RigPoller, *hours: float) -> RigPoints:
    """Poll for these hours, one after the other, and return what is known in the end."""
    task = asyncio.create_task(made.run())
    for each in hours:
        await asyncio.sleep(each * HOUR)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return known(made)


def known(made: RigPoller) -> RigPoints:
    (snapshot,) = made.snapshots(unix_clock())
    assert snapshot.points is not None
    return snapshot.points


def after(hours: float, made: Rigs, metered: float | None = None) -> RigPoints:
    async def main() -> RigPoints:
        made_for = poller(made)
        made_for.metered = {} if metered is None else {"a": metered}
        return await poll(made_for, hours)

    return run(main())


def test_a_rig_that_lies_about_its_watts_is_found_out_by_the_meter_within_an_hour() -> None:
    points = after(0.99, Rigs(), metered=3_500.0)
    (learned,) = points.learned
    assert (learned.name, learned.power, learned.hashrate, learned.metered) == ("stock", 3_500.0, 100e12, True)
    assert learned.seconds >= SETTINGS.stable
    rig = RigSnapshot(rig=Rig(name="a", address="a"), identity=IDENTITY, points=points)
    factors = dict.fromkeys(PowerSource, 0.024)
    curve = curve_of(rig, {}, factors, SETTINGS, learned.observed_at)
    assert curve.estimate_error == pytest.approx(0.25)
    assert [point.power for point in curve.candidates] == [3_500.0]


def test_the_first_minutes_at_a_point_teach_nothing() -> None:
    assert after(0.4, Rigs()).learned == ()
    (learned,) = after(0.5, Rigs()).learned
    assert 0 < learned.seconds < SETTINGS.stable


@pytest.mark.parametrize(
    "reading",
    [
        replace(READING, tuner=TunerState.TUNING),
        replace(READING, tuner=TunerState.FAILED),
        replace(READING, settled=False),
        replace(READING, suspended=True),
        replace(READING, mining=False),
        replace(READING, hashrate=0.0),
        replace(READING, uptime=600.0),
        replace(READING, power=None),
        replace(READING, point=""),
        replace(READING, faults=(fault(FaultCode.BOARD_MISSING, "board 1"),)),
    ],
)
def test_a_rig_that_does_not_run_steadily_teaches_nothing(reading: RigReading) -> None:
    assert after(3, Rigs(lambda _: reading)).learned == ()


def test_a_moment_of_throttling_counts_for_nothing() -> None:
    def reading(now: float) -> RigReading:
        return replace(READING, hashrate=60e12, power=1_500.0) if int(now // 30) % 5 == 0 else READING

    (learned,) = after(2, Rigs(reading)).learned
    assert (learned.hashrate, learned.power) == (100e12, 2_800.0)


def test_each_point_is_learned_for_itself_and_a_change_is_counted() -> None:
    low = replace(READING, point="low", hashrate=70e12, power=1_700.0)

    def reading(now: float) -> RigReading:
        return READING if now < EPOCH + 1_000 + 2 * HOUR else low

    points = after(4, Rigs(reading))
    assert {each.name: each.power for each in points.learned} == {"stock": 2_800.0, "low": 1_700.0}
    assert points.changes == 1
    assert points.since == pytest.approx(EPOCH + 1_000 + 2 * HOUR, abs=60)


def test_a_rig_that_changed_for_good_is_learned_anew() -> None:
    def reading(now: float) -> RigReading:
        return READING if now < EPOCH + 1_000 + 3 * HOUR else replace(READING, power=3_100.0)

    (learned,) = after(3.9, Rigs(reading)).learned
    assert learned.power == 3_100.0


def test_what_was_learned_outlives_a_restart_and_a_time_without_points() -> None:
    async def main() -> None:
        made = poller(Rigs())
        await poll(made, 1)
        memory = made.memories(unix_clock())["a"]
        assert [each.name for each in memory.points] == ["stock"]
        off = poller(Rigs(), memory, settings=None)
        (snapshot,) = off.snapshots(unix_clock())
        assert snapshot.points is None
        assert off.memories(unix_clock())["a"].points == memory.points
        again = poller(Rigs(), off.memories(unix_clock())["a"])
        await poll(again, 0.05)
        assert [(each.name, each.power) for each in known(again).learned] == [("stock", 2_800.0)]
        again.learn_points(None)
        (snapshot,) = again.snapshots(unix_clock())
        assert snapshot.points is None

    run(main())


def test_a_meter_that_comes_later_begins_the_point_anew() -> None:
    async def main() -> None:
        made = poller(Rigs())
        task = asyncio.create_task(made.run())
        await asyncio.sleep(HOUR)
        made.metered = {"a": 3_000.0}
        await asyncio.sleep(0.2 * HOUR)
        (learned,) = known(made).learned
        assert (learned.power, learned.metered) == (3_000.0, True)
        assert learned.seconds < SETTINGS.stable
        task.cancel()

    run(main())


def test_the_list_of_points_is_asked_about_once_an_hour_and_never_without_the_setting() -> None:
    rigs = Rigs()
    assert after(8, rigs).listed == LISTED
    assert 7 <= len(rigs.lists) <= 9

    async def main() -> None:
        without = Rigs()
        made = poller(without, settings=None)
        task = asyncio.create_task(made.run())
        await asyncio.sleep(8 * HOUR)
        task.cancel()
        assert without.lists == []

    run(main())


def test_a_list_that_does_not_come_costs_no_poll_and_is_dropped_after_two_misses() -> None:
    async def main() -> None:
        rigs = Rigs()
        made = poller(rigs)
        task = asyncio.create_task(made.run())
        await asyncio.sleep(0.5 * HOUR)
        assert known(made).listed == LISTED
        rigs.listed = Failure(Reason.AUTH, "it is locked")
        await asyncio.sleep(1.2 * HOUR)
        assert known(made).listed == LISTED
        await asyncio.sleep(1.2 * HOUR)
        assert known(made).listed is None
        (snapshot,) = made.snapshots(unix_clock())
        assert snapshot.up
        assert snapshot.reading is not None
        rigs.listed = None  # other firmware, that lists none
        await asyncio.sleep(1.2 * HOUR)
        assert known(made).listed is None
        task.cancel()

    run(main())


def test_other_firmware_or_another_device_has_other_points() -> None:
    async def main() -> None:
        rigs = Rigs()
        made = poller(rigs)
        task = asyncio.create_task(made.run())
        await asyncio.sleep(HOUR)
        assert known(made).learned
        rigs.identity = replace(IDENTITY, firmware_version="2")
        await asyncio.sleep(2 * HOUR)
        assert sum(each.seconds for each in known(made).learned) < 2 * HOUR
        await asyncio.sleep(HOUR)
        assert [each.seconds < 3 * HOUR for each in known(made).learned] == [True]
        task.cancel()

    run(main())


# --- one learner -----------------------------------------------------------------------------------------------------


def teach(learner: PointLearner, name: str, start: float, hours: float = 1.0) -> None:
    for second in range(0, int(hours * HOUR), 30):
        learner.observe(replace(READING, point=name), SETTINGS, start + second, start + second, 3_456.7)


def test_at_most_eight_points_are_kept_in_at_most_two_kilobytes() -> None:
    learner = PointLearner()
    for index in range(12):
        teach(learner, f"{index:02d}" + "x" * 62, index * DAY, hours=4)
    memories = learner.memories
    assert [each.name[:2] for each in memories] == ["04", "05", "06", "07", "08", "09", "10", "11"]
    assert len(to_json(memories)) <= 2_048


def test_a_gap_in_the_readings_is_no_time_at_a_point() -> None:
    learner = PointLearner()
    for index in range(100):
        learner.observe(READING, SETTINGS, index * 400.0, index * 400.0, None)
    assert learner.points(40_000.0).learned == ()


def test_changes_are_counted_over_a_day_and_move_with_the_clock() -> None:
    learner = PointLearner()
    for index, name in enumerate("abab"):
        learner.observe(replace(READING, point=name), SETTINGS, index * HOUR, index * HOUR, None)
    assert learner.points(4 * HOUR).changes == 3
    learner.shift(HOUR)
    assert learner.points(4 * HOUR).since == 4 * HOUR
    assert learner.points(DAY + 3.5 * HOUR).changes == 1
    learner.forget()
    assert learner.points(DAY + 4 * HOUR) == RigPoints()
    learner.shift(HOUR)


def test_a_damaged_memory_is_left_out() -> None:
    broken = PointMemory(name="a", metered=False, seconds=1.0, observed_at=0.0, watts=(), gigahashes=(1.0,))
    assert PointLearner([broken]).memories == ()
    book = PointBook({"a": (broken,), "b": ()})
    assert book.memories("a") == (broken,)
    assert book.of("a").memories == ()
    book.shift(1.0)
