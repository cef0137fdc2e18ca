"""The flag: sixteen ways in which it was wrong, each as the rule that it broke, and the margin it is made of."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import calculator
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sites import HASHPRICE, LEASE, NOW, rig

from exporter.decision.conversion import net_sale
from exporter.decision.history import MarginHistory
from exporter.decision.latch import Latch
from exporter.decision.settings import DecisionSettings
from exporter.decision.site import decide
from exporter.decision.values import (
    BlockDecision,
    BlockOutlook,
    Clock,
    DecisionState,
    Hindrance,
    SiteDecision,
    Verdict,
)
from exporter.economics.ai import value_ai
from exporter.economics.market import ai_market
from exporter.economics.settings import (
    AiSettings,
    Band,
    Basis,
    EconomicsSettings,
    OtherCost,
    OutlookSettings,
    PowerSettings,
    SiteSettings,
    StopsWith,
    TariffOverrides,
)
from exporter.economics.site import price_on
from exporter.economics.values import MarketEconomics, PricingFeed, SiteEconomics
from exporter.model.fleet import Block, Rig
from exporter.model.readings import Commitment, MeterReading
from exporter.model.snapshot import LastGood, RigSnapshot, SiteSnapshot, TariffPrice
from exporter.settings.load import load

HOUR = 3_600.0
DAY = 24 * HOUR
YEAR = 365 * DAY
BARE = SiteSettings(ai=LEASE, tariff="ppa")
QUICK = DecisionSettings(longest_gap=HOUR, history=7 * DAY, history_needed=6 * HOUR)
"""Evidence after six hours; the dwell is the usual one."""


def of(efficiency: float, *, kilowatts: float = 1.0, name: str = "a", **changes: Any) -> RigSnapshot:
    """Rigs of so many J/TH, without rejects."""
    facts = {"hashrate": kilowatts * 1e15 / efficiency, "power": kilowatts * 1e3, "reject_ratio": 0.0, "name": name}
    return rig(**(facts | changes))


class Desk:
    """A block on a market that is known by its hashprice, evaluated hour by hour."""

    def __init__(
        self,
        *rigs: RigSnapshot,
        site: SiteSettings = BARE,
        decision: DecisionSettings = QUICK,
        block: Block | None = None,
    ) -> None:
        self.now = NOW - NOW % HOUR
        self.rigs: tuple[RigSnapshot, ...] = rigs
        self.site = site
        self.decision = decision
        self.block_facts = block or Block(name="north")
        self.prices: dict[str, float] = {"ppa": 0.05}
        self.hashprice = HASHPRICE
        self.market: dict[str, Any] = {}
        self.outlooks: dict[str, BlockOutlook] = {}
        self.meters: tuple[MeterReading, ...] = ()
        self.history = MarginHistory()
        self.state = DecisionState()
        self.result = SiteDecision()
        self.economics: SiteEconomics | None = None

    def evaluate(self) -> BlockDecision:
        market = replace(
            MarketEconomics() if self.site.ai is None else ai_market(value_ai(self.site.ai)),
            payout_usd=self.hashprice,
            forward_payout_usd=self.hashprice,
            retarget_confident=True,
        )
        snapshot = SiteSnapshot(
            taken_at=self.now,
            rigs=self.rigs,
            blocks=(self.block_facts,),
            tariffs={name: TariffPrice(price) for name, price in self.prices.items()},
            meters=self.meters,
        )
        self.economics = price_on(replace(market, **self.market), snapshot, self.site)
        self.result, self.state, self.history = decide(
            self.state, snapshot, self.economics, self.history, self.site, self.decision, self.outlooks
        )
        return self.block

    def wait(self, hours: float, each: Callable[[], None] | None = None) -> BlockDecision:
        for _ in range(round(hours)):
            self.now += HOUR
            if each is not None:
                each()
            self.evaluate()
        return self.block

    @property
    def block(self) -> BlockDecision:
        return self.result.blocks[0]


def flagged(desk: Desk, hours: float = 90) -> bool:
    """Whether `reassign` ever came in so many hours."""
    verdicts = []
    desk.evaluate()
    desk.wait(hours, lambda: verdicts.append(desk.block.verdict))
    return Verdict.REASSIGN in [*verdicts, desk.block.verdict]


def test_the_control_is_flagged() -> None:
    desk = Desk(of(29.5))
    assert flagged(desk)
    assert desk.block.hindrance is None


# --- the sixteen cases ----------------------------------------------------------------------------------------------


def test_1_costs_that_end_at_the_conversion_count_against_mining() -> None:
    site = replace(
        BARE,
        economics=EconomicsSettings(opex_usd_per_kilowatt_month=6),
        power=PowerSettings(demand_charge_usd_per_kilowatt_month=9.5),
    )
    block = Desk(of(17.5), site=site).evaluate()
    assert block.conversion_margin == pytest.approx(70.5429, abs=5e-5)
    assert block.reassign_score == pytest.approx(83.2159, abs=5e-5)
    assert LEASE.tenant_pays_demand
    kept = replace(site, ai=LEASE.model_copy(update={"tenant_pays_demand": False}))
    assert Desk(of(17.5), site=kept).evaluate().conversion_margin == pytest.approx(70.5429 + 9.5 * 12, abs=5e-5)


def test_2_while_the_next_difficulty_is_a_guess_the_clock_pauses() -> None:
    """Blocks come 9 % late from an epoch's first: mining earns more after the retarget than the window says."""
    late = 1 / 0.91
    desk = Desk(of(22.2))
    desk.market = {"forward_payout_usd": HASHPRICE * late}
    blocks = 0.0
    paused = []

    def found() -> None:
        nonlocal blocks
        blocks += HOUR / (600 * late)
        desk.market = {"forward_payout_usd": HASHPRICE * late, "retarget_confident": blocks >= 500}
        assert desk.block.verdict is not Verdict.REASSIGN
        paused.append(desk.block.hindrance)

    desk.market["retarget_confident"] = False
    desk.evaluate()
    desk.wait(2_016 * 600 * late / HOUR, found)
    assert paused.count(Hindrance.NEXT_EPOCH_UNKNOWN) > 80
    assert desk.block.hindrance is Hindrance.NEXT_EPOCH_TOO_LOW
    assert flagged(Desk(of(22.2)))  # control: it would be without the retarget


def test_2_the_pause_neither_counts_nor_starts_anew_and_a_low_window_still_does() -> None:
    desk = Desk(of(29.5))
    desk.evaluate()
    desk.wait(30)
    before = desk.state.blocks["north"].reassign
    assert before.evidence == 24 * HOUR
    desk.market = {"retarget_confident": False}
    desk.wait(100)
    assert desk.state.blocks["north"].reassign == before
    desk.rigs = (of(15),)
    desk.wait(24 * 7)
    assert desk.state.blocks["north"].reassign.evidence is None
    assert desk.block.hindrance is Hindrance.SCORE_TOO_LOW


def test_2_taking_back_needs_the_window_alone() -> None:
    desk = Desk(of(29.5))
    assert flagged(desk)
    desk.market = {"retarget_confident": False}
    desk.rigs = (of(10),)
    desk.wait(24 * 8)
    assert desk.block.verdict is Verdict.MINE


@pytest.mark.parametrize(("days", "margin"), [(28, 248.07), (14, 194.14), (7, 86.29)])
def test_3_a_price_event_of_five_days_is_outweighed_by_the_window(days: int, margin: float) -> None:
    decision = DecisionSettings(longest_gap=HOUR, history=days * DAY, history_needed=days * DAY / 2)
    desk = Desk(of(33.30 / 24 / (0.05 + 302 / 8_760)), decision=decision)
    desk.evaluate()
    desk.wait((days - 5) * 24)
    assert desk.block.conversion_margin == pytest.approx(302)
    desk.prices["ppa"] = 0.30
    desk.wait(5 * 24)
    assert desk.block.conversion_margin == pytest.approx(margin, abs=0.6)
    assert (desk.block.verdict is Verdict.REASSIGN) is False


def test_3_the_default_window_is_28_days() -> None:
    assert (DecisionSettings().history, DecisionSettings().needed) == (28 * DAY, 14 * DAY)
    assert DecisionSettings(history=7 * DAY).needed == 3.5 * DAY


def test_4_the_floor_stands_per_rig_and_hour() -> None:
    block = Desk(of(17.5, name="new"), of(35, name="old")).evaluate()
    assert block.conversion_margin == pytest.approx(128.2714, abs=5e-5)
    assert block.reassign_score == pytest.approx(25.4873, abs=5e-5)


def test_5_a_block_of_which_nothing_answers_is_not_reassigned() -> None:
    facts = {"rated_hashrate": 100e12, "rated_power": 4_500.0}
    desk = Desk(rig(hashrate=None, facts=facts))
    assert not flagged(desk)
    assert desk.block.hindrance is Hindrance.NOT_OBSERVED
    assert desk.block.coverage == 0.0
    assert desk.block.verdict is Verdict.CURTAIL  # its potential says so much


def test_5_a_flagged_block_that_falls_silent_loses_its_flag_after_the_hold() -> None:
    good = LastGood(hashrate=1e15 / 29.5, power=1_000.0, observed_at=NOW)
    desk = Desk(of(29.5, last_good=good))
    assert flagged(desk)
    desk.rigs = (of(29.5, hashrate=None, last_good=good, last_success=desk.now),)
    desk.wait(1)
    assert desk.block.verdict is Verdict.REASSIGN
    desk.wait(1)
    assert desk.block.verdict is Verdict.CURTAIL


def test_6_below_its_coverage_a_block_is_not_planned_with() -> None:
    half = Desk(*(of(17.5, name=f"r{n}", power=1_000.0 if n < 5 else None, hashrate=1e15 / 17.5) for n in range(10)))
    block = half.evaluate()
    assert block.coverage == pytest.approx(0.5)
    assert block.margin_lost is None


def test_6_unpriced_rigs_count_at_the_best_margin_of_the_others() -> None:
    rigs = [of(17.5, name=f"r{n}", power=None if n == 9 else 1_000.0, hashrate=1e15 / 17.5) for n in range(10)]
    block = Desk(*rigs).evaluate()
    whole = Desk(*(of(17.5, name=f"r{n}") for n in range(10))).evaluate()
    assert block.coverage == pytest.approx(0.9)
    assert block.conversion_margin == pytest.approx(whole.conversion_margin)
    assert block.margin_lost == pytest.approx(whole.margin_lost)
    mixed = [of(35 if n < 5 else 17.5, name=f"r{n}", power=None if n == 9 else 1_000.0) for n in range(10)]
    assert Desk(*mixed).evaluate().conversion_margin == pytest.approx(256.5429 / 2, abs=5e-5)


def test_7_the_example_can_recommend_ai() -> None:
    example = load(Path("deploy/examples/site.yml"))
    worn = replace(of(35), rig=replace(of(35).rig, name="worn", tariff="utility"))
    desk = Desk(worn, site=example.site_settings, decision=example.decision.model_copy(update={"longest_gap": HOUR}))
    desk.prices = {"utility": 0.062}
    assert flagged(desk, 14 * 24 + 80)


def test_8_ai_must_pay_in_its_low_scenario_too() -> None:
    wide = LEASE.model_copy(update={"capex_usd_per_kilowatt": Band(low=8_000, base=10_000, high=15_000)})
    desk = Desk(of(29.5), site=replace(BARE, ai=wide))
    assert not flagged(desk)
    assert desk.block.hindrance is Hindrance.LOW_SCENARIO
    desk.outlooks = {"north": BlockOutlook(probability=0.9, lead=-1.0)}
    assert flagged(desk)


def test_9_what_the_rigs_are_sold_for_counts() -> None:
    decision = QUICK.model_copy(update={"rigs_sale_usd_per_terahash": 8.0})
    miner = rig(hashrate=200e12, power=3_500.0, reject_ratio=0.0, facts={"rated_hashrate": 200e12, "rated_power": 3e3})
    desk = Desk(miner, decision=decision)
    block = desk.evaluate()
    assert net_sale([miner], decision) / 3.5 == pytest.approx(457.1429, abs=5e-5)
    assert block.sale_value == pytest.approx(60.1023, abs=5e-5)
    assert block.reassign_score == pytest.approx(153.7587 + 60.1023 - 256.5429, abs=1e-3)
    assert block.payback_years == pytest.approx((10_000 / 1.4 - 457.1429) / (1_530 / 1.4 - 256.5429), rel=1e-6)
    removed = Desk(miner, decision=decision.model_copy(update={"rigs_removal_usd_per_rig": 350.0})).evaluate()
    assert removed.sale_value == pytest.approx(60.1023 - 13.1474, abs=1e-3)


def test_9_what_power_is_sold_for_counts() -> None:
    site = replace(BARE, tariffs={"ppa": TariffOverrides(resale_tariff="grid")})
    desk = Desk(of(17.5), site=site)
    desk.prices = {"ppa": 0.03, "grid": 0.0}
    desk.evaluate()

    def market() -> None:
        desk.prices["grid"] = 0.09 if round(desk.now / HOUR) % 10 == 0 else 0.02

    desk.wait(100, market)
    assert desk.block.conversion_margin == pytest.approx(441.1286, abs=5e-5)


def test_10_owed_energy_is_not_curtailed_and_not_counted_as_saved() -> None:
    site = replace(BARE, tariffs={"ppa": TariffOverrides(take_or_pay=True, resale_tariff="grid")})
    desk = Desk(of(21.5), site=site)
    desk.prices = {"ppa": 0.055, "grid": 0.02}
    desk.evaluate()
    desk.wait(10)
    assert desk.block.verdict is Verdict.MINE
    assert desk.block.conversion_margin == pytest.approx(83.5256, abs=5e-5)
    assert desk.block.reassign_score == pytest.approx(153.758737 - 83.5256, abs=1e-4)  # nothing is built: month 0


def test_10_while_building_the_site_still_owes_its_energy() -> None:
    ai = AiSettings(rent_usd_per_kilowatt_month=150, capex_usd_per_kilowatt=8_000, months_until_power_earns=12)
    site = replace(BARE, ai=ai, tariffs={"ppa": TariffOverrides(take_or_pay=True)})
    plain = value_ai(ai)
    assert plain is not None

    def value(**changes: Any) -> float:
        desk = Desk(of(21.5), site=replace(site, ai=ai.model_copy(update=changes)))
        desk.prices = {"ppa": 0.02}
        block = desk.evaluate()
        assert block.reassign_score is not None
        return block.reassign_score + max(block.conversion_margin or 0.0, 0.0)

    yearly, recovery = 0.02 * 8_760, calculator.annuity(0.1, 15)
    building = sum(yearly / 12 / 1.1 ** ((month + 0.5) / 12) for month in range(12)) * recovery
    assert value() == pytest.approx(plain.per_kilowatt_year - building)
    assert value(tenant_pays_energy=False) == pytest.approx(plain.per_kilowatt_year - building - yearly / 1.1)


def test_11_a_block_with_a_customers_rig_is_not_reassigned_without_a_contract() -> None:
    theirs = replace(of(29.5), rig=replace(of(29.5).rig, customer="acme"))
    desk = Desk(theirs, of(29.5, name="ours"))
    assert not flagged(desk)
    assert desk.block.hindrance is Hindrance.CUSTOMER_WITHOUT_CONTRACT
    assert desk.block.dwell is None


def test_12_a_halving_before_the_lease_begins_counts() -> None:
    ai = LEASE.model_copy(update={"months_until_power_earns": Band(low=15, base=15, high=15)}).model_copy(
        update={"rent_usd_per_kilowatt_month": Band(low=200, base=200, high=200)}
    )
    desk = Desk(of(21.5), site=replace(BARE, ai=ai))
    desk.market = {
        "forward_payout_usd": HASHPRICE * 1.6,
        "halved_payout_usd": HASHPRICE * 0.51,
        "halving_time": desk.now + 2 * YEAR,
    }
    assert not flagged(desk)
    assert desk.block.hindrance is Hindrance.NEXT_EPOCH_TOO_LOW
    desk.market["halving_time"] = desk.now + YEAR
    assert flagged(desk)
    assert desk.block.ahead_margin == 0.0


def test_13_a_half_used_feeder_is_compared_on_one_basis() -> None:
    feeder = Block(name="north", capacity_watts=1e6)
    half = Desk(of(17.5, kilowatts=500), block=feeder).evaluate()
    assert half.conversion_margin == pytest.approx(128.2714, abs=5e-5)
    assert half.reassign_score == pytest.approx(25.4873, abs=5e-5)
    assert half.unused_power == 500_000
    assert half.power_freed == 1e6
    assert half.margin_lost == pytest.approx(128.2714 * 1_000 / 365, abs=5e-4)
    fixed = replace(BARE, economics=EconomicsSettings(opex_usd_per_kilowatt_month=15.5))
    assert Desk(of(17.5, kilowatts=500), site=fixed, block=feeder).evaluate().conversion_margin == pytest.approx(
        35.2714, abs=5e-5
    )
    capacity = replace(fixed, economics=fixed.economics.model_copy(update={"basis": {"opex": Basis.CAPACITY}}))
    desk = Desk(of(17.5, kilowatts=500), site=capacity, block=feeder)
    assert desk.evaluate().conversion_margin == pytest.approx(-57.7286, abs=5e-5)
    assert desk.economics is not None
    (priced,) = desk.economics.rigs
    assert priced.allin_cost == pytest.approx(500 * 24 * 0.05 + 1_000 * 15.5 * 24 / 730)


def test_13_a_block_that_draws_more_than_its_capacity_is_not_judged_by_it() -> None:
    desk = Desk(of(29.5, kilowatts=500, metered_power=5e5), block=Block(name="north", capacity_watts=4e5))
    assert not flagged(desk)
    assert desk.block.hindrance is Hindrance.CAPACITY_EXCEEDED


def test_13_the_highest_power_that_was_metered_within_the_window_counts() -> None:
    def drawing(kilowatts: float) -> RigSnapshot:
        return of(29.5, kilowatts=kilowatts, metered_power=kilowatts * 1e3)

    desk = Desk(drawing(300), block=Block(name="north", capacity_watts=4e5))
    assert flagged(desk)
    desk.rigs = (drawing(500),)
    assert desk.wait(1).highest_metered == 5e5
    desk.rigs = (drawing(300),)
    desk.wait(6 * 24)
    assert (desk.block.hindrance, desk.block.verdict) == (Hindrance.CAPACITY_EXCEEDED, Verdict.CURTAIL)
    assert desk.wait(25).highest_metered == 3e5
    assert desk.block.hindrance is not Hindrance.CAPACITY_EXCEEDED


@pytest.mark.parametrize(
    ("metered", "feeder", "capacity", "large"),
    [
        (True, None, 160.0, True),
        (True, None, 150.0, False),
        (True, 120.0, 160.0, False),  # cooling behind the feeder's meter
        (False, None, 160.0, False),  # nothing is measured
        (False, 100.0, 160.0, True),
        (False, 100_000.0, 160.0, False),  # a meter in another unit
    ],
)
def test_13_a_capacity_far_above_the_highest_metered_power_is_warned_about(
    metered: bool, feeder: float | None, capacity: float, large: bool
) -> None:
    one = of(29.5, kilowatts=100, metered_power=1e5 if metered else None)
    desk = Desk(one, block=Block(name="north", capacity_watts=capacity * 1e3))
    desk.meters = () if feeder is None else (MeterReading(feeders={"north": feeder * 1e3}),)
    assert not desk.evaluate().large_feeder  # nothing is known of its past yet
    assert desk.wait(8).large_feeder is large
    assert (desk.block.hindrance is Hindrance.CAPACITY_EXCEEDED) is False


def test_14_a_gap_without_observation_is_not_bridged() -> None:
    desk = Desk(of(29.5))
    desk.evaluate()
    desk.wait(77)
    assert desk.block.verdict is Verdict.CURTAIL
    desk.rigs = (of(29.5, hashrate=None),)
    desk.wait(48)
    desk.rigs = (of(29.5),)
    desk.wait(60)
    assert desk.block.verdict is Verdict.CURTAIL
    desk.wait(13)
    assert desk.block.verdict is Verdict.REASSIGN


def test_15_a_block_below_the_least_size_is_not_reassigned() -> None:
    site = replace(BARE, ai=LEASE.model_copy(update={"least_kilowatts": 2_000.0}))
    desk = Desk(of(29.5, kilowatts=1_000), site=site, block=Block(name="north", capacity_watts=1.9e6))
    assert not flagged(desk)
    assert desk.block.hindrance is Hindrance.BELOW_LEAST_SIZE
    half = Block(name="north", capacity_watts=3e6, convertible_share=0.5)
    assert not flagged(Desk(of(29.5, kilowatts=1_000), site=site, block=half))
    assert flagged(Desk(of(29.5, kilowatts=1_000), site=site, block=replace(half, convertible_share=1.0)))


def test_the_lines_of_a_conversion_margin_add_up_to_it() -> None:
    costs = EconomicsSettings(
        opex_usd_per_kilowatt_month=6,
        credits_usd_per_kilowatt_month=2,
        other_costs=(OtherCost(name="next retarget", usd_per_kilowatt_month=1, stops_with=StopsWith.CONVERSION),),
    )
    desk = Desk(of(17.5), of(35, name="b"), site=replace(BARE, economics=costs))
    desk.market = {"forward_payout_usd": 36.0, "retarget_confident": True}
    desk.evaluate()
    desk.wait(10)
    lines = desk.block.margin_lines
    assert list(lines) == ["revenue", "power", "stopping or selling", "opex", "credits", "next retarget"]
    assert sum(lines.values()) == pytest.approx(desk.block.conversion_margin, rel=1e-12)
    mean = (1 / 17.5 + 1 / 35) / 2 * 33.3 * 365
    assert lines["revenue"] == pytest.approx(mean, rel=1e-3)
    assert lines["power"] == pytest.approx(-438, rel=1e-6)
    assert lines["stopping or selling"] == pytest.approx((438 - 33.3 / 35 * 365) / 2, rel=2e-3)
    assert lines["opex"] == pytest.approx(-72)
    assert lines["credits"] == pytest.approx(24)


def test_a_cost_with_the_name_of_another_line_is_added_to_it() -> None:
    power = OtherCost(name="power", usd_per_kilowatt_month=1, stops_with=StopsWith.CONVERSION)
    block = Desk(of(17.5), site=replace(BARE, economics=EconomicsSettings(other_costs=(power,)))).evaluate()
    assert block.margin_lines["power"] == pytest.approx(-438 - 12)
    assert sum(block.margin_lines.values()) == pytest.approx(block.conversion_margin)
    assert Desk(of(15.0)).evaluate().margin_lines["stopping or selling"] == 0.0  # no rounding error is shown


def test_a_margin_that_is_not_known_has_no_lines() -> None:
    desk = Desk(of(17.5, hashrate=None, power=None))
    desk.evaluate()
    assert desk.block.margin_lines == {}
    absurd = Desk(of(17.5))
    absurd.prices = {"ppa": 1e308}
    absurd.evaluate()
    absurd.wait(8)
    assert absurd.block.margin_lines == {}  # the power cost of a year is not finite


# --- evidence -------------------------------------------------------------------------------------------------------


def off(efficiency: float = 29.5, **changes: Any) -> RigSnapshot:
    """A rig that is switched off, and ran in the last days."""
    good = LastGood(hashrate=1e15 / efficiency, power=1_000.0, observed_at=NOW)
    return of(efficiency, hashrate=None, last_good=good, **changes)


def test_a_block_that_is_off_on_purpose_for_twenty_days_can_be_reassigned() -> None:
    decision = QUICK.model_copy(update={"history": 28 * DAY})
    assert flagged(Desk(off(expected_mining=False), decision=decision), 20 * 24)
    heeded = Desk(off(metered_power=5.0), decision=decision)
    heeded.state = DecisionState(
        evaluated_at=heeded.now, rigs={"a": Clock(verdict=Verdict.CURTAIL, curtail=Latch(on=True))}
    )
    assert flagged(heeded, 20 * 24)
    assert not flagged(Desk(off(25, metered_power=5.0), decision=decision), 20 * 24)  # it failed: nobody stopped it


@pytest.mark.parametrize("silent", [1, 4], ids=["a part of it", "all of it"])
def test_a_flagged_block_that_goes_blind_is_flagged_again_on_new_evidence_only(silent: int) -> None:
    rigs = [of(29.5, name=f"rig-{n}") for n in range(4)]
    desk = Desk(*rigs)
    assert flagged(desk)
    desk.rigs = (*(replace(one, reading=None, last_success=None) for one in rigs[:silent]), *rigs[silent:])
    desk.wait(4)
    assert desk.block.verdict is not Verdict.REASSIGN
    desk.rigs = tuple(rigs)
    desk.wait(round(QUICK.reassign_after / HOUR) - 1)
    assert desk.block.verdict is not Verdict.REASSIGN
    desk.wait(3)
    assert desk.block.verdict is Verdict.REASSIGN


def test_a_broken_rig_counts_at_its_potential_and_its_availability() -> None:
    good = LastGood(hashrate=1e15 / 17.5, power=1_000.0, observed_at=NOW)
    broken = of(17.5, hashrate=0.0, last_good=good)
    for availability in (1.0, 0.9):
        desk = Desk(broken, decision=QUICK.model_copy(update={"mining_availability": availability}))
        desk.evaluate()
        desk.wait(40)
        assert desk.result.rigs[0].verdict is Verdict.REPAIR
        desk.history = MarginHistory(observed_at=desk.now)
        desk.wait(10)
        assert desk.block.conversion_margin == pytest.approx(256.5429 * availability, abs=5e-4)


def test_a_reassignment_of_a_former_version_is_held_until_the_new_evidence_decides() -> None:
    desk = Desk(of(15))
    desk.state = DecisionState(blocks={"north": Clock(verdict=Verdict.REASSIGN, reassign=Latch(on=True))})
    desk.evaluate()
    desk.wait(6)
    assert desk.block.verdict is Verdict.REASSIGN
    desk.wait(30)
    assert desk.block.verdict is Verdict.MINE


def test_an_outlook_alone_can_call_for_it_if_the_halving_is_near() -> None:
    wide = LEASE.model_copy(update={"capex_usd_per_kilowatt": Band(low=8_000, base=10_000, high=15_000)})
    desk = Desk(of(21.5), site=replace(BARE, ai=wide))
    desk.market = {"halving_time": desk.now + 100 * DAY}
    desk.outlooks = {"north": BlockOutlook(probability=0.9, lead=10.0)}
    assert flagged(desk)
    for changes in ({"probability": 0.7}, {"lead": -1.0}):
        unsure = Desk(of(21.5), site=replace(BARE, ai=wide))
        unsure.market = desk.market
        unsure.outlooks = {"north": replace(desk.outlooks["north"], **changes)}
        assert not flagged(unsure)
    far = Desk(of(21.5), site=replace(BARE, ai=wide))
    far.market, far.outlooks = {"halving_time": desk.now + 400 * DAY}, desk.outlooks
    assert not flagged(far)


@pytest.mark.parametrize("halving_days", [100.0, 900.0])
@pytest.mark.parametrize("efficiency", [21.5, 29.5])
def test_an_outlook_that_is_set_and_not_there_pauses_the_clock(efficiency: float, halving_days: float) -> None:
    outlook = OutlookSettings(
        drift=0, volatility=0.5, difficulty_growth=0.2, elasticity=0.5,
        fees_bitcoins_per_block=Band(low=0, base=0.02, high=0.1),
    )  # fmt: skip
    wide = LEASE.model_copy(
        update={"capex_usd_per_kilowatt": Band(low=8_000, base=10_000, high=15_000), "outlook": outlook}
    )
    desk = Desk(of(efficiency), site=replace(BARE, ai=wide))
    desk.market = {"halving_time": desk.now + halving_days * DAY}
    desk.outlooks = {"north": BlockOutlook(probability=0.9, lead=10.0)}
    desk.evaluate()
    desk.wait(48)
    before = desk.state.blocks["north"].reassign
    desk.outlooks = {}  # the exporter starts again
    desk.wait(3)
    rests = efficiency == 29.5 or halving_days == 100.0
    assert (desk.block.hindrance is Hindrance.OUTLOOK_UNKNOWN) is rests
    assert (desk.state.blocks["north"].reassign == before) is (rests or before.evidence is None)
    if before.evidence is not None:
        desk.outlooks = {"north": BlockOutlook(probability=0.9, lead=10.0)}
        desk.wait(30)
        assert desk.block.verdict is Verdict.REASSIGN
        desk.outlooks = {}
        desk.hashprice = 90.0
        desk.wait(30)
        assert desk.block.verdict is Verdict.MINE  # taken back without an outlook


# --- the score that the verdict is judged on ------------------------------------------------------------------------


def hindrances(desk: Desk, value: float, low: float = 100.0, **market: Any) -> list[Hindrance | None]:
    """What hinders a conversion at once, and after six hours of evidence; AI's values in USD per kW and year."""
    desk.market = {"ai_value_per_kilowatt_year": value, "ai_value_per_kwh": (("low", low / 8_760),), **market}
    return [desk.evaluate().hindrance, desk.wait(6).hindrance]


def test_the_score_must_be_above_the_threshold() -> None:
    assert hindrances(Desk(of(29.5)), 40.5) == [Hindrance.EVIDENCE, Hindrance.DWELL]
    assert hindrances(Desk(of(29.5)), 40.0) == [Hindrance.SCORE_TOO_LOW] * 2
    assert hindrances(Desk(of(29.5)), 39.5) == [Hindrance.SCORE_TOO_LOW] * 2


def test_the_low_scenario_must_pay_something_or_the_outlook_be_as_sure_as_is_set() -> None:
    assert hindrances(Desk(of(29.5)), 50.0, 0.5)[1] is Hindrance.DWELL
    assert hindrances(Desk(of(29.5)), 50.0, 0.0)[1] is Hindrance.LOW_SCENARIO
    for probability, hindrance in ((0.8, Hindrance.DWELL), (0.79, Hindrance.LOW_SCENARIO)):
        desk = Desk(of(29.5), decision=QUICK.model_copy(update={"confidence": 0.8}))
        desk.outlooks = {"north": BlockOutlook(probability=probability, lead=-1.0)}
        assert hindrances(desk, 50.0, -1.0)[1] is hindrance


def test_what_the_rigs_are_sold_for_counts_in_each_score_of_the_verdict() -> None:
    """$8 per TH/s of a rig of 29.5 J/TH are $271 per kW, levelised $35.65 a year."""
    decision = QUICK.model_copy(update={"rigs_sale_usd_per_terahash": 8.0})
    assert hindrances(Desk(of(29.5), decision=decision), 5.0, -35.0) == [Hindrance.EVIDENCE, Hindrance.DWELL]
    assert hindrances(Desk(of(29.5), decision=decision), 4.0, -35.0) == [Hindrance.SCORE_TOO_LOW] * 2
    assert hindrances(Desk(of(29.5), decision=decision), 5.0, -36.0)[1] is Hindrance.LOW_SCENARIO
    ahead = {"forward_payout_usd": 1.01 * 29.5 * 24 * 0.05}  # a hundredth above the breakeven: $4.38 a year
    assert hindrances(Desk(of(29.5), decision=decision), 10.0, **ahead)[1] is Hindrance.DWELL
    assert hindrances(Desk(of(29.5), decision=decision), 8.0, **ahead)[1] is Hindrance.NEXT_EPOCH_TOO_LOW


def test_an_ai_value_of_nothing_is_no_ai_value() -> None:
    assert hindrances(Desk(of(29.5)), 0.0) == [Hindrance.NO_AI_VALUE] * 2
    assert hindrances(Desk(of(29.5)), 0.5) == [Hindrance.SCORE_TOO_LOW] * 2
    owing = replace(
        BARE,
        ai=LEASE.model_copy(update={"months_until_power_earns": Band(low=12, base=12, high=12)}),
        tariffs={"ppa": TariffOverrides(take_or_pay=True)},
    )
    desk = Desk(of(29.5), site=owing)
    desk.prices["ppa"] = 1.0  # a year of it costs more than AI brings
    assert (desk.evaluate().hindrance, desk.block.dwell) == (Hindrance.NO_AI_VALUE, None)


def test_a_block_that_draws_just_its_capacity_is_judged_by_it() -> None:
    desk = Desk(of(29.5, metered_power=1_000.0), block=Block(name="north", capacity_watts=1_000.0))
    assert hindrances(desk, 50.0)[1] is Hindrance.DWELL


@pytest.mark.parametrize("value", [0.5, 100.0])
def test_a_reassignment_stays_without_a_score_below_zero(value: float) -> None:
    desk = Desk(of(29.5))
    desk.state = DecisionState(blocks={"north": Clock(verdict=Verdict.REASSIGN, reassign=Latch(on=True))})
    hindrances(desk, value, retarget_confident=False)  # nor does the score of the next epoch count, as it is not known
    assert (desk.block.evidence, desk.state.blocks["north"].reassign) == (1.0, Latch(on=True))


def test_the_scores_that_are_shown_have_the_sale_and_the_former_decay() -> None:
    """A kW of 17.5 J/TH earns $256.54 a year; sold at $8 per TH/s it brings $60.10 a year."""
    for changes, shift in (
        ({"rigs_sale_usd_per_terahash": 8.0}, 60.1023),
        ({"resale_decay_usd_per_kilowatt_year": 30.0}, 30.0),
    ):
        desk = Desk(of(17.5), decision=QUICK.model_copy(update=changes))
        hindrances(desk, 300.0, 200.0)
        assert desk.block.reassign_score == pytest.approx(300 + shift - 256.5429, abs=1e-3)
        assert desk.block.low_score == pytest.approx(200 + shift - 256.5429, abs=1e-3)


def test_what_has_no_power_or_no_ai_adds_no_sale_to_a_score() -> None:
    decision = QUICK.model_copy(update={"rigs_sale_usd_per_terahash": 8.0})
    dark = of(17.5, hashrate=None, power=None, facts={"rated_hashrate": 57e12})
    feeder = Block(name="north", capacity_watts=1_000.0)
    assert Desk(dark, decision=decision).evaluate().sale_value == 0.0
    assert Desk(of(17.5), decision=decision, site=replace(BARE, ai=None)).evaluate().sale_value == 0.0
    desk = Desk(of(17.5), block=feeder)
    desk.evaluate()
    assert desk.wait(1).conversion_margin is not None
    desk.rigs = (dark,)
    assert desk.wait(1).conversion_margin is None  # the cost that ends is not known


def test_the_evidence_is_whole_once_as_much_is_known_as_is_needed() -> None:
    half = Block(name="north", convertible_share=0.5)
    desk = Desk(of(17.5), block=half)
    desk.evaluate()
    block = desk.wait(9)
    assert (block.watched, block.needed, block.evidence) == (9 * HOUR, 6 * HOUR, 1.0)
    assert block.margin_lost == pytest.approx(256.5429 / 2 / 365, rel=1e-5)  # of the half of it


def test_the_highest_metered_power_counts_for_as_long_as_the_history() -> None:
    for age, highest in ((7 * DAY, 2e3), (7 * DAY + 1, None)):
        desk = Desk(of(29.5))
        desk.state = DecisionState(blocks={"north": Clock(highest=2e3, highest_at=desk.now - age)})
        assert desk.evaluate().highest_metered == highest
    desk = Desk(of(29.5, metered_power=2e3))
    desk.state = DecisionState(blocks={"north": Clock(highest=2e3, highest_at=desk.now - DAY)})
    desk.evaluate()
    assert desk.state.blocks["north"].highest_at == desk.now  # it was seen again
    assert not desk.wait(8).large_feeder  # its capacity is not known
    desk.rigs = (of(29.5),)
    assert desk.wait(1).highest_metered == 2e3  # its meter is gone


def test_the_score_of_a_nameplate_is_that_at_the_end_of_its_band_at_which_mining_earns_more() -> None:
    """A kW of 17.5 J/TH earns $256.54 a year; if it draws a fifth less, $87.60 more."""
    rated = {"rated_hashrate": 1e15 / 17.5, "rated_power": 1_000.0}
    for watts, enough in ((1_000.0, 297.0), (None, 385.0)):
        too_little = enough - 1
        assert hindrances(Desk(of(17.5, power=watts, facts=rated)), enough, 500.0)[1] is Hindrance.DWELL
        assert hindrances(Desk(of(17.5, power=watts, facts=rated)), too_little, 500.0)[1] is Hindrance.SCORE_TOO_LOW


@pytest.mark.parametrize("unknown", ["halving_time", "halved_payout_usd"])
def test_a_halving_of_which_a_part_is_not_known_counts_for_nothing(unknown: str) -> None:
    desk = Desk(of(17.5))
    desk.market = {"forward_payout_usd": 40.0, "halving_time": desk.now, "halved_payout_usd": 20.0}
    assert desk.evaluate().ahead_margin == 0.0
    desk.market[unknown] = None
    assert desk.evaluate().ahead_margin == pytest.approx((40 / 17.5 / 24 - 0.05) * 8_760)


# --- against the independent calculator -----------------------------------------------------------------------------

rigs_of_hours = st.lists(st.tuples(st.floats(12, 60), st.floats(0.5, 5)), min_size=1, max_size=4)
prices_of_hours = st.lists(st.tuples(st.floats(-0.02, 0.2), st.floats(15, 80)), min_size=1, max_size=5)


@settings(deadline=None, max_examples=60)
@given(rigs_of_hours, prices_of_hours, st.floats(0, 20), st.floats(1, 3))
def test_the_margin_is_that_of_an_independent_calculator(
    fleet: list[tuple[float, float]], hours: list[tuple[float, float]], opex: float, spare: float
) -> None:
    total = sum(kilowatts for _, kilowatts in fleet)
    site = replace(BARE, economics=EconomicsSettings(opex_usd_per_kilowatt_month=opex))
    desk = Desk(
        *(of(efficiency, kilowatts=kilowatts, name=f"r{n}") for n, (efficiency, kilowatts) in enumerate(fleet)),
        site=site,
        block=Block(name="north", capacity_watts=total * spare * 1_000),
    )
    desk.evaluate()
    table = []
    for price, hashprice in hours:
        desk.prices["ppa"], desk.hashprice = price, hashprice
        desk.wait(1)
        table.append([(hashprice * kw / efficiency / 24, kw, price) for efficiency, kw in fleet])
    expected = calculator.conversion_margin(table, opex * 12 * total, total * spare)
    # Rigs within 0.1 J/TH of each other share a group: the floor may fall on all of a group or on none.
    slack = 8_760 * 0.2 * 0.1 / 12
    assert desk.block.window_margin == pytest.approx(expected, abs=slack)


@given(rent=st.integers(100, 200), capex=st.integers(0, 15_000), years=st.integers(5, 20), months=st.integers(0, 24))
def test_the_ai_value_is_that_of_an_independent_calculator(rent: int, capex: int, years: int, months: int) -> None:
    ai = value_ai(
        AiSettings(
            rent_usd_per_kilowatt_month=rent,
            capex_usd_per_kilowatt=capex,
            term_years=years,
            months_until_power_earns=months,
        )
    )
    assert ai is not None
    expected = calculator.lease_value(rent=rent, noi=0.85, capex=capex, rate=0.1, years=years, ratio=1.4, months=months)
    assert ai.per_kilowatt_year == pytest.approx(expected, rel=1e-9, abs=1e-6)


def test_a_rig_without_a_nameplate_is_sold_at_what_it_last_hashed() -> None:
    sale = DecisionSettings(rigs_sale_usd_per_terahash=8, rigs_removal_usd_per_rig=50)
    unrated = replace(rig(hashrate=200e12), rig=Rig(name="a", address="10.0.0.1"))
    assert net_sale([unrated], sale) == pytest.approx(1_550)
    good = LastGood(hashrate=190e12, power=3_500.0, observed_at=NOW)
    assert net_sale([replace(unrated, last_good=good)], sale) == pytest.approx(1_470)
    assert net_sale([replace(unrated, reading=None)], sale) == -50


# --- a block that goes dark -----------------------------------------------------------------------------------------


def reassigned(**settings: float) -> Desk:
    """Two rigs in a block that is `reassign` since an hour ago."""
    desk = Desk(of(29.5), of(29.5, name="b"), decision=QUICK.model_copy(update=settings))
    clock = Clock(verdict=Verdict.REASSIGN, since=desk.now - HOUR, reassign=Latch(on=True), covered_at=desk.now)
    desk.state = DecisionState(evaluated_at=desk.now, blocks={"north": clock})
    assert (desk.evaluate().verdict, desk.block.held, desk.block.dwell) == (Verdict.REASSIGN, False, 1.0)
    return desk


def test_a_reassignment_is_held_while_half_of_the_block_is_dark_and_then_lost() -> None:
    desk = reassigned()
    since = desk.now - HOUR
    desk.rigs = (desk.rigs[0], off(name="b"))
    assert (desk.wait(1).verdict, desk.block.held, desk.block.verdict_since) == (Verdict.REASSIGN, True, since)
    assert desk.state.blocks["north"].blind == HOUR
    assert (desk.wait(1).verdict, desk.block.held, desk.block.verdict_since) == (Verdict.CURTAIL, False, desk.now)
    assert (desk.state.blocks["north"].blind, desk.state.blocks["north"].reassign) == (2 * HOUR, Latch())


def test_a_reassignment_is_not_lost_by_time_that_was_not_watched() -> None:
    desk = reassigned()
    desk.rigs = (desk.rigs[0], off(name="b"))
    desk.wait(1)
    assert desk.state.blocks["north"].blind == HOUR
    desk.now += 2 * HOUR
    assert desk.evaluate().verdict is not Verdict.REASSIGN
    assert (desk.state.blocks["north"].blind, desk.state.blocks["north"].reassign) == (0.0, Latch(on=True))


@pytest.mark.parametrize(
    ("seen", "coverage", "kept"), [(1, 0.5, (True, True)), (1, 0.8, (True, True)), (0, 0.8, (True, False))]
)
def test_a_reassignment_is_lost_sooner_by_a_block_of_which_nothing_is_seen(
    seen: int, coverage: float, kept: tuple[bool, bool]
) -> None:
    desk = reassigned(coverage=coverage, hold_limit=2 * HOUR)
    desk.rigs = (*desk.rigs[:seen], *(off(name=each.rig.name) for each in desk.rigs[seen:]))
    assert tuple(desk.wait(1) and desk.state.blocks["north"].reassign.on for _ in kept) == kept
    assert desk.state.blocks["north"].blind == (0.0 if coverage == 0.5 else 2 * HOUR)


def test_a_block_of_which_nothing_is_seen_is_not_shown_as_reassigned() -> None:
    desk = reassigned()
    rigs, dark = desk.rigs, (off(), off(name="b"))
    desk.rigs = dark
    desk.now += 15
    assert (desk.evaluate().verdict, desk.block.dwell) == (Verdict.MINE, 1.0)
    desk.prices = {}
    desk.now += 15
    assert (desk.evaluate().verdict, desk.block.held) == (Verdict.MINE, True)
    desk.rigs, desk.prices = rigs, {"ppa": 0.05}
    desk.now += 15
    assert desk.evaluate().verdict is Verdict.REASSIGN
    desk.rigs, desk.prices = dark, {}
    desk.now += 15
    assert (desk.evaluate().verdict, desk.block.held) == (Verdict.UNKNOWN, False)


def test_evidence_of_a_longer_dwell_than_is_set_now_is_shown_as_whole() -> None:
    desk = Desk(off())
    clock = Clock(reassign=Latch(evidence=100 * HOUR), covered_at=desk.now)
    desk.state = DecisionState(evaluated_at=desk.now, blocks={"north": clock})
    assert (desk.evaluate().dwell, desk.block.hindrance) == (1.0, Hindrance.NOT_OBSERVED)


# --- what is not known ----------------------------------------------------------------------------------------------


def test_a_gap_in_the_price_of_owed_energy_pauses_the_clock_and_is_no_missing_ai_value() -> None:
    site = replace(BARE, tariffs={"ppa": TariffOverrides(take_or_pay=True, resale_tariff="grid")})
    desk = Desk(of(29.5), site=site)
    desk.prices = {"ppa": 0.055, "grid": 0.02}
    desk.evaluate()
    desk.wait(30)
    before = desk.state.blocks["north"].reassign
    assert before.evidence == 24 * HOUR
    del desk.prices["grid"]
    desk.wait(1)
    assert desk.block.hindrance is Hindrance.NOT_OBSERVED
    assert desk.state.blocks["north"].reassign == before


@pytest.mark.parametrize(("missing", "lost"), [(23, False), (24, True)])
def test_a_tariff_without_a_price_is_no_blindness_and_pauses_the_clock_for_a_day_at_most(
    missing: int, lost: bool
) -> None:
    grid = of(29.5, name="b")
    desk = Desk(of(29.5), replace(grid, rig=replace(grid.rig, tariff="grid")))
    desk.prices["grid"] = 0.05
    assert flagged(desk)
    desk.prices.pop("grid")
    assert desk.wait(missing).verdict is not Verdict.REASSIGN  # below its coverage it is never flagged
    assert desk.block.hindrance is Hindrance.NOT_OBSERVED
    desk.prices["grid"] = 0.05
    assert desk.wait(1).verdict is Verdict.REASSIGN
    young = Desk(*desk.rigs)
    young.prices["grid"] = 0.05
    young.evaluate()
    young.wait(50)
    evidence = young.state.blocks["north"].reassign.evidence or 0.0
    young.prices.pop("grid")
    young.wait(missing)
    young.prices["grid"] = 0.05
    young.wait(1)
    assert young.state.blocks["north"].reassign.evidence == (0.0 if lost else evidence + HOUR)


def test_a_feed_without_a_price_pauses_the_clock_and_holds_the_flag() -> None:
    feed = PricingFeed("vast", "H100 SXM", Commitment.FIRM)
    priced = {"ai_pricing": feed}
    absent: dict[str, Any] = priced | {
        "ai_value_per_kwh": (),
        "ai_value_per_kilowatt_year": None,
        "ai_noi_per_kilowatt_year": None,
    }
    desk = Desk(of(29.5))
    desk.market = priced
    desk.evaluate()
    desk.wait(50)
    dwell = desk.state.blocks["north"].reassign
    desk.market = absent
    assert desk.wait(12).hindrance is Hindrance.SCORE_UNKNOWN
    assert desk.state.blocks["north"].reassign == dwell
    desk.market = priced
    assert desk.wait(40).verdict is Verdict.REASSIGN
    desk.market = absent
    assert desk.wait(36).verdict is Verdict.REASSIGN
    assert desk.block.reassign_score is None


def test_without_a_least_coverage_an_unknown_margin_is_still_no_margin_to_lose() -> None:
    block = Desk(of(17.5, power=None), decision=QUICK.model_copy(update={"coverage": 0.0})).evaluate()
    assert (block.conversion_margin, block.margin_lost, block.coverage) == (None, None, 0.0)


def test_hours_whose_sale_price_was_not_known_are_left_out() -> None:
    desk = Desk(of(17.5))
    desk.evaluate()
    desk.wait(10)
    assert desk.block.watched == 10 * HOUR
    desk.site = replace(BARE, tariffs={"ppa": TariffOverrides(resale_tariff="grid")})
    desk.prices["grid"] = 0.09
    desk.wait(5)
    assert desk.block.watched == 5 * HOUR
    assert desk.block.window_margin == pytest.approx((0.09 - 0.05) * 8_760)  # sold: more than the 256.54 of mining


@pytest.mark.parametrize("dark", [0, 1])
def test_energy_in_a_block_of_power_is_booked_at_the_price_of_the_block(dark: int) -> None:
    """Two rigs of 1 kW: one is wholly in a block of 1.5 kW, the other by half."""
    site = replace(BARE, tariffs={"ppa": TariffOverrides(block_tariff="base", block_kilowatts=1.5)})
    desk = Desk(of(17.5, name="a"), of(17.5, name="b"), site=site)
    desk.prices = {"base": 0.03, "ppa": 0.06}
    desk.evaluate()
    desk.wait(3)
    mean = (1.5 * 0.03 + 0.5 * 0.06) / 2
    assert desk.block.window_margin == pytest.approx(256.5429 + (0.05 - mean) * 8_760, abs=5e-5)
    whole = Desk(
        *(of(17.5, name=f"r{n}") for n in range(4)),
        *(of(17.5, name=f"dark-{n}", power=None) for n in range(dark)),
        site=replace(BARE, tariffs={"ppa": TariffOverrides(block_tariff="base", block_kilowatts=9)}),
    )
    whole.prices = {"base": 0.03}  # nothing is drawn at the price of `ppa`
    whole.evaluate()
    whole.wait(3)
    assert whole.block.window_margin == pytest.approx(256.5429 + (0.05 - 0.03) * 8_760, abs=5e-5)


def test_figures_beyond_all_numbers_are_not_booked() -> None:
    """What is paid per kW of the one rig that is priced, times the kW of the other, is infinite."""
    absurd = of(17.5, name="a", power=1e-300)
    unpriced = of(17.5, name="b", power=1e12)
    desk = Desk(absurd, replace(unpriced, rig=replace(unpriced.rig, tariff="spot")))
    desk.decision = QUICK.model_copy(update={"coverage": 0.0})
    desk.evaluate()
    desk.wait(3)
    assert desk.block.conversion_margin is None
    assert list(desk.history.blocks["north"].hours) == []
    desk.rigs = (of(17.5, name="a"), desk.rigs[1])
    desk.wait(1)
    assert desk.block.conversion_margin == pytest.approx(256.5429, abs=5e-5)


def test_while_the_price_of_owed_energy_is_not_known_the_blocks_ai_value_is_not_either() -> None:
    ai = LEASE.model_copy(update={"months_until_power_earns": Band(low=12, base=12, high=12)})
    desk = Desk(of(29.5), site=replace(BARE, ai=ai, tariffs={"ppa": TariffOverrides(take_or_pay=True)}))
    plain = value_ai(ai)
    assert plain is not None

    def value() -> float | None:
        desk.wait(1)
        assert desk.economics is not None
        return desk.economics.blocks[0].ai_value_per_kilowatt_year

    building = sum(0.05 * 730 / 1.1 ** ((month + 0.5) / 12) for month in range(12)) * calculator.annuity(0.1, 15)
    assert value() == pytest.approx(plain.per_kilowatt_year - building)
    desk.prices = {}
    assert value() is None
    assert desk.block.hindrance is Hindrance.NOT_OBSERVED
