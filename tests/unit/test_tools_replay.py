"""A replayed market: money by policy, verdicts as the exporter would have given them, and no look ahead."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import SITE

from exporter.decision.settings import DecisionSettings
from exporter.decision.values import Verdict
from exporter.economics.settings import TariffOverrides
from exporter.model.fleet import Block
from exporter.tools.replay import Backtest, MarketPoint, RigGroup, backtest

DAY = 86_400.0
TERMS = DecisionSettings()
OLD = RigGroup(block="old", hashrate=11e15, power=324_500.0)  # 100 rigs of 29.5 J/TH
NEW = RigGroup(block="new", hashrate=20e15, power=350_000.0)
BLOCKS = (Block(name="old", capacity_watts=350_000.0), Block(name="new", capacity_watts=400_000.0))


def market(*days: tuple[float, float, float]) -> list[MarketPoint]:
    """Points of (day, hashprice, power price)."""
    return [MarketPoint(time=day * DAY, hashprice=hashprice, power_price=price) for day, hashprice, price in days]


def replay(points: list[MarketPoint], blocks: tuple[Block, ...] = BLOCKS) -> Backtest:
    return backtest(points, (OLD, NEW), blocks, SITE, TERMS)


FLAT = market((0, 33.3, 0.05), (30, 33.3, 0.05))


def test_a_flat_market_converts_the_old_block_after_its_dwell() -> None:
    result = replay(FLAT)
    assert result.blocks == ("old", "new")
    assert result.converted == (("old", (14 * 24 + 72) * 3_600.0),)  # its evidence, then its dwell
    assert [(change.block, change.before, change.after) for change in result.changes] == [
        ("old", Verdict.MINE, Verdict.CURTAIL),
        ("old", Verdict.CURTAIL, Verdict.REASSIGN),
    ]


def test_each_policy_has_its_earnings() -> None:
    result = replay(FLAT)
    revenue = {"old": 11 * 33.3 * 0.99, "new": 20 * 33.3 * 0.99}
    cost = {"old": 324.5 * 1.03 * 24 * 0.05, "new": 350 * 1.03 * 24 * 0.05}
    old, new = (revenue[name] - cost[name] for name in ("old", "new"))
    assert old < 0 < new
    ai = 153.758737 / 365 * 350
    assert result.earned.always_mine == pytest.approx(30 * (old + new))
    assert result.earned.curtail_right == pytest.approx(30 * new)
    assert result.earned.foresight == pytest.approx(30 * (new + ai))
    assert result.earned.followed == pytest.approx(30 * new + old / 24 + 13 * ai)  # an hour until it curtails


def test_a_resale_tariff_changes_nothing() -> None:
    """Its past is not known, and without a price there would be no verdict at all."""
    selling = replace(SITE, power=SITE.power.model_copy(update={"resale_tariff": "spot"}))
    assert backtest(FLAT, (OLD, NEW), BLOCKS, selling, TERMS) == replay(FLAT)


def test_each_group_is_priced_by_the_terms_of_its_tariff() -> None:
    hosted = replace(SITE, tariffs={"hosted": TariffOverrides(overhead=1.3)})
    groups = (replace(OLD, tariff="ppa"), replace(NEW, tariff="hosted"))
    result = backtest(FLAT, groups, BLOCKS, hosted, TERMS)
    dearer = 30 * 350 * (1.3 - 1.03) * 24 * 0.05
    assert result.earned.always_mine == pytest.approx(replay(FLAT).earned.always_mine - dearer)


def test_a_block_that_is_not_convertible_is_never_converted() -> None:
    blocks = tuple(
        Block(name=block.name, capacity_watts=block.capacity_watts, convertible_share=0.0) for block in BLOCKS
    )
    result = replay(FLAT, blocks)
    assert result.converted == ()
    assert result.earned.foresight == result.earned.curtail_right


def test_a_generated_point_stays_labelled() -> None:
    points = [MarketPoint(time=0, hashprice=33.3, power_price=0.05, generated=True), FLAT[-1]]
    assert [step.point.generated for step in replay(points).steps] == [True]


def test_decisions_do_not_depend_on_later_points() -> None:
    calm = market((0, 50, 0.05), (10, 50, 0.05), (20, 50, 0.05))
    crash = market((0, 50, 0.05), (10, 50, 0.05), (20, 5, 0.3), (30, 5, 0.3))
    assert replay(crash).steps[:1] == replay(calm).steps[:1]


def test_fewer_than_two_points_earn_nothing() -> None:
    assert replay(FLAT[:1]).steps == ()
    assert replay([]).earned.always_mine == 0.0


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.floats(5, 80), st.floats(-0.1, 0.3)), min_size=2, max_size=12))
def test_foresight_beats_every_policy(days: list[tuple[float, float]]) -> None:
    points = market(*((float(day), hashprice, price) for day, (hashprice, price) in enumerate(days)))
    earned = replay(points).earned
    assert earned.curtail_right >= earned.always_mine - 1e-9
    assert earned.foresight >= earned.curtail_right - 1e-9
    assert earned.foresight >= earned.followed - 1e-9
