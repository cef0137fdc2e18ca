"""Ages and timers while the system clock is set."""

import pytest

from exporter.decision.latch import Latch
from exporter.decision.values import Clock, DecisionState, Verdict
from exporter.model.readings import Reading
from exporter.polling.latest import Latest
from exporter.sources.contract import Kept, SourceContext
from exporter.steady_clock import SteadyClock

STEPS = [3600.0, -3600.0, 86_400.0, -86_400.0]


class Times:
    """A system clock that can be set, and a timer that cannot."""

    def __init__(self) -> None:
        self.timer = 5000.0
        self.offset = 1_774_000_000.0

    def pass_by(self, seconds: float) -> None:
        self.timer += seconds

    def steady(self) -> SteadyClock:
        return SteadyClock(lambda: self.timer + self.offset, lambda: self.timer)


@pytest.mark.parametrize("step", STEPS)
def test_the_clock_follows_a_step_only_on_request(step: float) -> None:
    times = Times()
    clock = times.steady()
    started = clock()
    times.offset += step
    times.pass_by(10)
    assert clock() == started + 10
    assert clock.follow() == step
    assert clock() == started + 10 + step
    assert clock.follow() == 0


def test_the_clock_follows_a_time_server_without_notice() -> None:
    times = Times()
    clock = times.steady()
    for _ in range(10_000):
        times.pass_by(15)
        times.offset += 0.0075  # 500 ppm
        assert clock.follow() == 0
    assert clock() == times.timer + times.offset


def test_a_pause_of_the_process_between_two_clocks_is_not_a_step() -> None:
    times = Times()
    pauses = [3.0, 2.0, 0.0] * 2  # a busy machine, or SIGSTOP

    def wall() -> float:
        times.pass_by(pauses.pop(0))
        return times.timer + times.offset

    clock = SteadyClock(wall, lambda: times.timer)
    assert clock() == times.timer + times.offset
    assert clock.follow() == 0
    assert pauses == []


@pytest.mark.parametrize("step", STEPS)
def test_a_kept_reading_ages_as_before(step: float) -> None:
    times = Times()
    clock = times.steady()
    context = SourceContext(None, clock, timer=lambda: times.timer)
    kept = Kept(Reading(1.0, clock()), context)
    times.pass_by(100)
    times.offset += step
    clock.follow()
    times.pass_by(50)
    assert kept.age == 150
    assert clock() - kept.reading.observed_at == 150


def test_a_reading_of_the_future_has_age_0() -> None:
    times = Times()
    clock = times.steady()
    assert Kept(Reading(1.0, clock() + 7), SourceContext(None, clock, timer=lambda: times.timer)).age == 0


@pytest.mark.parametrize("step", STEPS)
def test_a_latest_reading_stays_usable(step: float) -> None:
    latest: Latest[float] = Latest(60)
    latest.put(Reading(1.0, 1000.0))
    latest.shift(step)
    assert latest.fresh(1060.0 + step) == Reading(1.0, 1000.0 + step)
    assert latest.fresh(1061.0 + step) is None


def test_verdicts_keep_their_times() -> None:
    clock = Clock(verdict=Verdict.MINE, since=900.0, covered_at=950.0, curtail=Latch(evidence=7.0))
    state = DecisionState(evaluated_at=1000.0, rigs={"a": clock}, blocks={"b": Clock(stale_since=990.0)})
    assert state.shifted(-100.0) == DecisionState(
        evaluated_at=900.0,
        rigs={"a": Clock(verdict=Verdict.MINE, since=800.0, covered_at=850.0, curtail=Latch(evidence=7.0))},
        blocks={"b": Clock(stale_since=890.0)},
    )
    assert DecisionState().shifted(5.0) == DecisionState()
