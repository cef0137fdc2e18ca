"""What is remembered between evaluations, when the system clock is set."""

from dataclasses import replace

from exporter.decision.latch import Latch
from exporter.decision.price_motion import PriceMotion
from exporter.decision.values import Clock, DecisionState, Verdict


def test_every_time_moves_with_the_clock_and_nothing_else_does() -> None:
    evidence = Latch(evidence=600.0)  # seconds that were watched: no time of the clock
    clock = Clock(
        verdict=Verdict.CURTAIL,
        since=1_000.0,
        stale_since=2_000.0,
        covered_at=3_000.0,
        blind=40.0,
        highest=9_000.0,
        highest_at=4_000.0,
        curtail=evidence,
        regret=2.5,
    )
    moved = replace(clock, since=1_100.0, stale_since=2_100.0, covered_at=3_100.0, highest_at=4_100.0)
    motion = PriceMotion(price=0.05, sampled_at=5_000.0, since=6_000.0)
    state = DecisionState(evaluated_at=7_000.0, rigs={"a": clock}, blocks={"b": clock}, motions={"spot": motion})
    assert state.shifted(100.0) == DecisionState(
        evaluated_at=7_100.0,
        rigs={"a": moved},
        blocks={"b": moved},
        motions={"spot": PriceMotion(price=0.05, sampled_at=5_100.0, since=6_100.0)},
    )


def test_what_has_no_time_yet_has_none_after_the_clock_was_set() -> None:
    new = DecisionState(rigs={"a": Clock()})
    assert new.shifted(-3_600.0) == new
