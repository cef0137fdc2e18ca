"""A replayed market: money by policy, verdicts as the exporter would have given them, and no look ahead."""

from collections.abc import Callable
from dataclasses import replace

import histories
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import SITE

from exporter.decision.settings import DecisionSettings, RestartSettings
from exporter.decision.values import Verdict
from exporter.economics.ai import value_ai
from exporter.economics.settings import AiSettings, Band, SiteSettings, TariffOverrides
from exporter.model.fleet import Block
from exporter.tools.backtest import sample_fleet
from exporter.tools.history import sample
from exporter.tools.replay import Backtest, Earnings, MarketPoint, RigGroup, backtest

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
    ai = 197.8011 / 365 * 350  # the lease's value as an annuity
    assert result.earned.always_mine == pytest.approx(30 * (old + new))
    assert result.earned.curtail_right == pytest.approx(30 * new)
    assert result.earned.curtailed == pytest.approx(30 * new + old / 144)  # ten minutes until it curtails
    assert result.earned.foresight == pytest.approx(30 * (new + ai), rel=1e-4)
    assert result.earned.followed == pytest.approx(30 * new + old / 144 + 13 * ai, rel=1e-4)


def test_a_converted_block_is_worth_its_leases_from_the_day_of_its_verdict_and_its_rigs_sale() -> None:
    building = (
        SITE.ai.model_copy(update={"months_until_power_earns": Band(low=15, base=15, high=15)}) if SITE.ai else None
    )
    cheap = DecisionSettings(rigs_sale_usd_per_terahash=1.0, rigs_removal_usd_per_rig=10.0)
    group = replace(OLD, rigs=100)
    result = backtest(FLAT, (group,), BLOCKS[:1], replace(SITE, ai=building), cheap)
    later = backtest(FLAT, (group,), BLOCKS[:1], replace(SITE, ai=building), TERMS)
    assert result.earned.followed - later.earned.followed == pytest.approx(11_000 - 1_000)
    idle = backtest(FLAT, (group,), BLOCKS[:1], replace(SITE, ai=None), TERMS)
    annuity = 12 * 1_280.0902 * (1 - 1.1 ** (-1 / 12)) * 1.1 ** (1 / 24)
    gained = later.earned.followed - idle.earned.followed
    assert gained == pytest.approx(annuity / 365 * 350 * 13, rel=1e-6)


def test_costs_that_end_at_the_conversion_are_paid_until_then() -> None:
    opex = replace(SITE, economics=SITE.economics.model_copy(update={"opex_usd_per_kilowatt_month": 6.0}))
    result, free = backtest(FLAT, (OLD, NEW), BLOCKS, opex, TERMS), replay(FLAT)
    daily = {name: 6 * 12 / 365 * kilowatts * 1.03 for name, kilowatts in (("old", 324.5), ("new", 350.0))}
    assert free.earned.always_mine - result.earned.always_mine == pytest.approx(30 * sum(daily.values()))
    paid = free.earned.followed - result.earned.followed
    assert paid == pytest.approx(17 * daily["old"] + 30 * daily["new"])


def test_a_part_of_a_block_mines_on() -> None:
    half = (replace(BLOCKS[0], convertible_share=0.5),)
    whole, part = (backtest(FLAT, (OLD,), blocks, SITE, TERMS).earned for blocks in (BLOCKS[:1], half))
    assert part.foresight == pytest.approx(whole.foresight / 2)
    assert 0 < part.followed < whole.followed


def test_rented_gpus_earn_their_levelised_value() -> None:
    rental = AiSettings.model_validate(
        {
            "gpu_rental": {
                "price_usd_per_gpu_hour": 2.5,
                "utilization": 0.8,
                "power_usd_per_kilowatt_hour": 0.05,
                "kilowatts_per_gpu": 1.3,
                "gpu_capex_usd": 30_000,
                "capex_usd_per_kilowatt": 10_000,
                "opex_usd_per_gpu_year": 1_000,
            }
        }
    )
    value = value_ai(rental)
    assert value is not None
    result = backtest(FLAT, (OLD,), BLOCKS[:1], replace(SITE, ai=rental), TERMS)
    assert result.earned.foresight == pytest.approx(30 * 350 * value.per_kilowatt_year / 365)


def test_a_price_of_minutes_is_followed_by_the_minute() -> None:
    """A history by the hour and one by five minutes of the same prices give the same."""
    hours = market(*((at / 24, 33.3, 0.12 if at % 5 == 0 else 0.05) for at in range(100)))
    minutes = market(*((at / 288, 33.3, 0.12 if at // 12 % 5 == 0 else 0.05) for at in range(12 * 99 + 1)))
    coarse, fine = replay(hours).earned, replay(minutes).earned
    assert fine.followed == pytest.approx(coarse.followed, rel=1e-4)
    assert fine.foresight == pytest.approx(coarse.foresight, rel=1e-4)


def test_a_stop_costs_a_start_for_everyone_but_always_mining() -> None:
    restart = DecisionSettings(restart=RestartSettings(minutes=0, usd=1.0))
    spike = market((0, 33.3, 0.05), (1, 33.3, 0.30), (2, 33.3, 0.05), (3, 33.3, 0.05), (4, 33.3, 0.05))
    group = (replace(NEW, rigs=100),)
    costly = backtest(spike, group, BLOCKS[1:], SITE, restart, known_ahead=2 * DAY).earned
    free = backtest(spike, group, BLOCKS[1:], SITE, TERMS, known_ahead=2 * DAY).earned
    assert free.curtail_right - costly.curtail_right == pytest.approx(100)
    assert costly.curtailed == pytest.approx(costly.curtail_right)
    assert costly.planned == pytest.approx(costly.curtail_right)
    assert costly.always_mine == free.always_mine
    surprised = backtest(spike, group, BLOCKS[1:], SITE, restart).earned
    assert surprised.curtailed <= costly.curtailed


def test_power_that_can_be_sold_is_sold_while_a_rig_stands_still() -> None:
    selling = replace(SITE, power=SITE.power.model_copy(update={"resale_tariff": "spot"}))
    points = [replace(point, sale_price=0.2) for point in FLAT]
    earned = backtest(points, (NEW,), BLOCKS[1:], selling, TERMS).earned
    assert earned.curtail_right == pytest.approx(30 * 350 * 1.03 * 24 * 0.15)


def test_the_next_difficulty_is_known_by_the_pace_of_the_epoch_from_500_blocks_on() -> None:
    days = market(*((float(day), 33.3, 0.05) for day in range(31)))
    falling = [replace(point, difficulty=1e14 if point.time < 20 * DAY else 0.5e14) for point in days]
    assert replay(falling).converted == (("old", 23 * DAY),)  # until day 20 hashprice is about to double
    noisy = [replace(point, difficulty=1e14 + index) for index, point in enumerate(days)]
    assert replay(noisy).converted == replay(FLAT).converted  # no retargets: they come too fast


def test_a_resale_tariff_changes_nothing() -> None:
    """Without its price in the history, power is sold for what it costs."""
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
    assert earned.curtail_right >= earned.curtailed - 1e-9


# --- the five histories ---------------------------------------------------------------------------------------------


def earned_on(points: list[MarketPoint], **known: float) -> Earnings:
    fleet = sample_fleet()
    return backtest(points, fleet.groups, fleet.blocks, fleet.settings, fleet.decision_settings, **known).earned


QUARTER = 2_190


def quarter_of(history: Callable[..., list[MarketPoint]], quarter: int) -> Callable[[], list[MarketPoint]]:
    """A quarter of a year. Each has a seed of its own, and none of those that the rules were tuned on."""
    return lambda: history(quarter, QUARTER, first=(quarter - 1) * QUARTER)


@pytest.mark.parametrize(
    ("points", "known"),
    [
        pytest.param(lambda: [row.point for row in sample()], 0.0, id="the sample"),
        pytest.param(lambda: histories.fixed(2 * QUARTER), 0.0, id="a fixed price"),
        *(pytest.param(quarter_of(histories.ercot, n), 0.0, id=f"like ERCOT, quarter {n}") for n in range(1, 5)),
        *(pytest.param(quarter_of(histories.nordic, n), DAY, id=f"like the Nordics, {n}") for n in range(1, 5)),
    ],
)
def test_following_the_verdicts_earns_95_percent_of_foresight(
    points: Callable[[], list[MarketPoint]], known: float
) -> None:
    earned = earned_on(points(), known_ahead=known)
    assert earned.followed >= 0.95 * earned.foresight > 0
    assert earned.curtailed >= 0.95 * earned.curtail_right
    assert earned.curtailed >= earned.always_mine
    assert (earned.planned is None) is (known == 0)
    if earned.planned is not None:
        assert earned.curtail_right >= earned.planned >= 0.99 * earned.curtail_right


JOULES = 25.0
BREAKEVEN = 33.3 / JOULES / 24  # USD per kWh
RIGS = 286
GIVEN = (RigGroup(block="b", hashrate=1e18 / JOULES, power=1e6, rigs=RIGS),)


@pytest.mark.parametrize(
    ("minutes", "usd", "least"),
    [(0.0, 0.0, 0.98), (20.0, 0.30, 0.7)],
    ids=["starts are free", "a start costs 20 minutes and $0.30"],
)
def test_a_price_that_wanders_about_the_breakeven_is_followed(minutes: float, usd: float, least: float) -> None:
    """How much of hindsight can be had is fixed by the walk: see the thresholds in test_decision_curtailment."""
    settings = DecisionSettings(restart=RestartSettings(minutes=minutes, usd=usd))
    judged = [histories.wandering(seed, about=BREAKEVEN) for seed in range(2)]
    earned = [backtest(points, GIVEN, (), SiteSettings(), settings).earned for points in judged]
    followed = sum(each.curtailed for each in earned)
    assert followed >= max(sum(each.always_mine for each in earned), 0.0)
    assert followed >= least * sum(each.curtail_right for each in earned)
